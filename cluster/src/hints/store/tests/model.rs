//! Histories of a store beside a model: a list of all hints. Whatever fails and whatever is lost with the machine's power:
//! a hint that was durable comes, or its token is marked, or its table or target is gone; what comes is what was given.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tholos_storage::planted::{Planted, plant};

use super::*;

const TARGETS: u8 = 3;

#[derive(Clone, Debug)]
enum Step {
    Append {
        target: u8,
        table: u128,
        bytes: usize,
    },
    Sync,
    /// Reads so many bytes; they are delivered, or not if the target does not answer.
    Deliver {
        target: u8,
        bytes: usize,
        answers: bool,
    },
    Wait(i64),
    Expire,
    DropTable(u128),
    Forget(u8),
    Repair(u8),
    Fail {
        after: u64,
        failure: u8,
        lasts: bool,
    },
    Heal,
    Crash(Option<u64>),
    /// A file is damaged, or gone, while nothing runs.
    Rot {
        file: prop::sample::Index,
        at: prop::sample::Index,
    },
    Lose(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    let target = || 1..=TARGETS;
    let table = || 1..4_u128;
    let index = any::<prop::sample::Index>;
    prop_oneof![
        12 => (target(), table(), 8..200_usize)
            .prop_map(|(target, table, bytes)| Step::Append { target, table, bytes }),
        6 => Just(Step::Sync),
        4 => (target(), 1..900_usize, any::<bool>())
            .prop_map(|(target, bytes, answers)| Step::Deliver { target, bytes, answers }),
        2 => (0..600_i64).prop_map(Step::Wait),
        1 => Just(Step::Expire),
        1 => table().prop_map(Step::DropTable),
        1 => target().prop_map(Step::Forget),
        1 => target().prop_map(Step::Repair),
        2 => (0..12_u64, 0..3_u8, any::<bool>())
            .prop_map(|(after, failure, lasts)| Step::Fail { after, failure, lasts }),
        2 => Just(Step::Heal),
        3 => any::<Option<u64>>().prop_map(Step::Crash),
        1 => (index(), index()).prop_map(|(file, at)| Step::Rot { file, at }),
        1 => index().prop_map(Step::Lose),
    ]
}

/// A hint as the model has it.
#[derive(Clone, Debug)]
struct Given {
    target: u8,
    mutation: Mutation,
    /// What tells when it is durable; nothing after a restart.
    position: Option<HintPosition>,
    /// It was refused, and the mark of it may not be durable yet.
    refused: bool,
    must_hold: bool,
    /// It need not come, and no mark is needed: it came, or its target or table is gone, or a repair brought it.
    excused: bool,
}

#[derive(Clone)]
struct Model {
    given: Vec<Given>,
    dropped_tables: BTreeSet<u128>,
    wall: Timestamp,
}

struct History {
    fs: FaultyFs,
    store: HintStore,
    model: Model,
    /// The model whenever something became durable, and how many operations the disk had seen.
    moments: Vec<(usize, Model)>,
}

fn open_anew(fs: &FaultyFs, wall: Timestamp) -> HintStore {
    let open = || {
        let others = [1, 2, 3].map(node);
        HintStore::open(Arc::new(fs.clone()), Path::new(DIR), limits(), wall, others)
    };
    // A start that failed is tried again once the disk is well.
    open().unwrap_or_else(|_| {
        fs.heal();
        open().expect("nothing fails any more")
    })
}

impl History {
    fn new() -> History {
        let fs = FaultyFs::new();
        let (given, dropped_tables) = (Vec::new(), BTreeSet::new());
        let store = open(&fs);
        let model = Model { given, dropped_tables, wall: 0 };
        History { fs, store, model, moments: Vec::new() }
    }

    fn run(&mut self, step: Step) -> Result<(), TestCaseError> {
        match step {
            Step::Append { target, table, bytes } => self.append(target, table, bytes),
            Step::Sync => self.sync(),
            Step::Deliver { target, bytes, answers } => self.deliver(target, bytes, answers)?,
            Step::Wait(time) => self.model.wall += time,
            Step::Expire => self.store.expire(self.model.wall),
            Step::DropTable(table) => drop(self.model.dropped_tables.insert(table)),
            Step::Forget(target) => {
                self.store.forget(node(target));
                let of = self.model.given.iter_mut().filter(|given| given.target == target);
                of.for_each(|given| given.excused = true);
            }
            Step::Repair(target) => self.repair(target),
            Step::Fail { after, failure, lasts } => {
                let failure = [Failure::Device, Failure::Full, Failure::Short][failure as usize];
                match lasts {
                    true => self.fs.fail_from(None, after, failure),
                    false => self.fs.fail(None, after, failure),
                }
            }
            Step::Heal => self.fs.heal(),
            Step::Crash(seed) => {
                let crash = seed.map_or(Crash::KeepSynced, |seed| Crash::Random { seed });
                self.restart(self.fs.crash(crash));
            }
            Step::Rot { file, at } => self.rot(file, Some(at)),
            Step::Lose(file) => self.rot(file, None),
        }
        self.within_limits()
    }

    fn append(&mut self, target: u8, table: u128, bytes: usize) {
        if self.model.dropped_tables.contains(&table) {
            return;
        }
        let id = self.model.given.len() as u64;
        // Tokens are far apart, so that what is marked for one is not marked for another by chance.
        let token = (id as i64).wrapping_mul(0x1234_5678_9abc_def1);
        let mutation = mutation(table, token, id, bytes);
        let position = self.store.append(self.model.wall, node(target), &mutation).ok();
        let refused = position.is_none();
        let (must_hold, excused) = (false, false);
        self.model.given.push(Given { target, mutation, position, refused, must_hold, excused });
    }

    fn sync(&mut self) {
        let synced = self.store.sync().is_ok();
        for given in &mut self.model.given {
            let durable = given.position.is_some_and(|position| self.store.is_durable(position));
            given.must_hold |= durable || (given.refused && synced);
        }
        self.moments.push((self.fs.recorded(), self.model.clone()));
    }

    fn deliver(&mut self, target: u8, bytes: usize, answers: bool) -> Result<(), TestCaseError> {
        let from = self.store.start(node(target));
        let judge = |hint: &Hint| self.model.verdict(hint);
        let Ok(chunk) = self.store.read(self.model.wall, node(target), from, bytes, &judge) else {
            return Ok(());
        };
        let ids: Vec<u64> = chunk.hints.iter().map(id_of).collect();
        prop_assert!(ids.is_sorted(), "{:?}", ids);
        self.model.delivered(target, &chunk.hints)?;
        if answers {
            self.store.advance(node(target), &chunk, ids.len() as u64);
        }
        Ok(())
    }

    fn repair(&mut self, target: u8) {
        let dirty = self.store.dirty(node(target)).tokens();
        let begun = self.store.repair_begins(self.model.wall);
        for given in self.model.given.iter_mut().filter(|given| given.target == target) {
            given.excused |= dirty.contains(token(&given.mutation));
        }
        self.store.clear_dirty(node(target), &TokenRanges::all(), begun);
    }

    fn restart(&mut self, fs: FaultyFs) {
        self.store = open_anew(&fs, self.model.wall);
        self.fs = fs;
        self.moments.clear();
        for given in &mut self.model.given {
            (given.position, given.refused) = (None, false);
        }
    }

    /// Damages a byte of a file, or removes the file.
    fn rot(&mut self, file: prop::sample::Index, at: Option<prop::sample::Index>) {
        let fs = self.fs.crash(Crash::KeepAll);
        let mut files = fs.list(Path::new(DIR)).unwrap();
        // Without any segments nothing tells of a ledger that was there.
        let is_alone = !files.iter().any(|name| name.ends_with(".hints"));
        files.retain(|name| !is_alone || at.is_some() || name != "ledger");
        if !files.is_empty() {
            let path = Path::new(DIR).join(file.get(&files));
            match at {
                None => fs.remove(&path).unwrap(),
                Some(at) => fs.damage(&path, |bytes| {
                    // A file of another version is refused, and left as it is.
                    let at = at.index(bytes.len().max(1));
                    if let Some(byte) = bytes.get_mut(at).filter(|_| !(8..12).contains(&at)) {
                        *byte ^= 0x10;
                    }
                }),
            }
        }
        self.restart(fs);
    }

    fn within_limits(&self) -> Result<(), TestCaseError> {
        let figures = self.store.figures();
        let total: u64 = figures.values().map(|figures| figures.bytes).sum();
        prop_assert_eq!(total, self.store.total_bytes);
        prop_assert!(total <= limits().total_bytes);
        for (target, figures) in figures {
            prop_assert!(figures.bytes <= limits().target_bytes, "{}: {:?}", target, figures);
        }
        let pending = self.store.targets.values().flat_map(|of| &of.pending);
        let pending: u64 = pending.map(|pending| pending.charged).sum();
        prop_assert_eq!(pending, self.store.pending_bytes);
        Ok(())
    }

    /// Everything that is there is delivered: what must have come has.
    fn end(mut self) -> Result<(), TestCaseError> {
        self.fs.heal();
        self.sync();
        let fs = self.fs.crash(Crash::KeepSynced);
        self.model.hold(&fs)
    }
}

impl Model {
    fn verdict(&self, hint: &Hint) -> Verdict {
        match self.dropped_tables.contains(&hint.mutation.table.0.as_u128()) {
            true => Verdict::Drop,
            false => Verdict::Deliver,
        }
    }

    fn delivered(&mut self, target: u8, hints: &[Hint]) -> Result<(), TestCaseError> {
        for hint in hints {
            let given = self.given.get_mut(id_of(hint) as usize);
            let given = given.ok_or_else(|| TestCaseError::fail("never given"))?;
            prop_assert_eq!(given.target, target);
            prop_assert_eq!(&given.mutation, &hint.mutation);
            given.excused = true;
        }
        Ok(())
    }

    /// What a start from that disk finds is enough.
    fn hold(mut self, fs: &FaultyFs) -> Result<(), TestCaseError> {
        let mut store = open_anew(fs, self.wall);
        for target in 1..=TARGETS {
            let mut cursor = store.start(node(target));
            loop {
                let judge = |hint: &Hint| self.verdict(hint);
                let chunk = store.read(self.wall, node(target), cursor, 200, &judge);
                let chunk = chunk.expect("nothing fails any more");
                self.delivered(target, &chunk.hints)?;
                cursor = chunk.next;
                if chunk.at_end {
                    break;
                }
            }
        }
        for given in self.given.iter().filter(|given| given.must_hold && !given.excused) {
            let is_dropped = self.dropped_tables.contains(&given.mutation.table.0.as_u128());
            let dirty = store.dirty(node(given.target)).tokens();
            let is_marked = dirty.contains(token(&given.mutation));
            prop_assert!(is_dropped || is_marked, "lost: {:?}", given);
        }
        Ok(())
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..60)
}

fn check(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut history = History::new();
    steps.into_iter().try_for_each(|step| history.run(step))?;
    history.end()
}

/// Power is lost after any operation of the disk, also in the middle of a sync.
fn check_crashes(steps: Vec<Step>, seed: u64) -> Result<(), TestCaseError> {
    let mut history = History::new();
    let is_plain = |step: &Step| !matches!(step, Step::Rot { .. } | Step::Lose(_) | Step::Crash(_));
    for step in steps.into_iter().filter(is_plain) {
        history.run(step)?;
    }
    let moments = std::mem::take(&mut history.moments);
    for prefix in 0..history.fs.recorded() {
        let next = moments.partition_point(|(recorded, _)| *recorded <= prefix);
        let Some((_, known)) = next.checked_sub(1).and_then(|last| moments.get(last)) else {
            continue;
        };
        // What was going on may be on the disk too, and excuses what it excuses; nothing of it must be there.
        let mut model = moments.get(next).map_or(&history.model, |(_, model)| model).clone();
        let earlier =
            known.given.iter().map(|given| given.must_hold).chain(std::iter::repeat(false));
        for (given, must_hold) in model.given.iter_mut().zip(earlier) {
            given.must_hold = must_hold;
        }
        for crash in [Crash::KeepSynced, Crash::Random { seed: seed ^ prefix as u64 }] {
            model.clone().hold(&history.fs.crash_at(prefix, crash))?;
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(Config::with_cases(400))]

    #[test]
    fn a_durable_hint_comes_or_is_marked(steps in steps()) {
        check(steps)?;
    }
}

proptest! {
    #![proptest_config(Config::with_cases(12))]

    #[test]
    fn power_may_go_at_any_time(steps in steps(), seed: u64) {
        check_crashes(steps, seed)?;
    }
}

/// Every call of the file system fails once, in every way, or from then on for a while.
#[test]
fn every_call_may_fail() {
    let some = |target, table| {
        let append = Step::Append { target, table, bytes: 150 };
        [append.clone(), Step::Wait(100), append.clone(), append, Step::Sync]
    };
    let script = |fail: Step| {
        let deliver = |bytes| Step::Deliver { target: 1, bytes, answers: true };
        let mut steps = vec![fail];
        steps.extend([some(1, 1), some(1, 2), some(2, 1), some(1, 1), some(1, 3)].concat());
        steps.extend([deliver(300), Step::Sync, Step::Expire, Step::Sync, Step::Forget(2)]);
        steps.extend([Step::Sync, Step::Crash(None), deliver(300), Step::Sync, deliver(9_999)]);
        steps.extend([vec![Step::Heal], some(1, 1).to_vec()].concat());
        steps
    };
    for (failure, lasts) in [(0, false), (0, true), (1, false), (1, true), (2, false), (2, true)] {
        let mut has_failed = true;
        for after in (0..).take_while(|after| *after < 1_000) {
            let mut history = History::new();
            let disk = history.fs.clone();
            for step in script(Step::Fail { after, failure, lasts }) {
                history.run(step).unwrap();
            }
            history.end().unwrap();
            has_failed = disk.failed() > 0;
            if !has_failed {
                assert!(after > 50, "{after}");
                break;
            }
        }
        assert!(!has_failed, "more than 1,000 calls");
    }
}

#[test]
fn broken_rules_are_noticed() {
    let bugs = [
        Planted::HintLostOnOverflow,
        Planted::HintsLostOnRestart,
        Planted::HintExpiresUnnoticed,
        Planted::HintOfAnotherTable,
        Planted::HintDurableBeforeSync,
        Planted::DamagedHintsUnnoticed,
    ];
    for bug in bugs {
        let config = Config {
            cases: 3_000,
            failure_persistence: None,
            max_shrink_iters: 0,
            ..Config::default()
        };
        plant(Some(bug));
        let found = TestRunner::new(config).run(&steps(), check).is_err();
        plant(None);
        assert!(found, "{bug:?}");
    }
}

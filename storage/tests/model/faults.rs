//! Every call to the disk fails once, or for good: no panic, no lost acknowledgement, no half write.

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use tholos_storage::fs::faulty::{Crash, Failure, FaultyFs};
use tholos_storage::model::entry::Direction;
use tholos_storage::model::mutation::Mutation;

use crate::database::Model;
use crate::engine::{TestClock, open};
use crate::generate::{STILL, TABLE, mutations};
use crate::observe::live;

const WRITES: usize = 40;

/// The same writes every time.
fn writes() -> Vec<Mutation> {
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &[7; 32]);
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let mut write = || mutations(STILL).new_tree(&mut runner).unwrap().current();
    (0..WRITES).map(|_| write()).collect()
}

/// What is known of a run.
#[derive(Default)]
struct Run {
    /// How many writes were applied, and how many of them were acknowledged.
    applied: Vec<Mutation>,
    acknowledged: usize,
}

/// Writes, flushes and compacts; errors are met, not handled.
fn run(fs: &FaultyFs, writes: &[Mutation]) -> Run {
    let mut run = Run::default();
    let Ok(engine) = open(fs, &TestClock::at(STILL.now)) else { return run };
    for (index, write) in writes.iter().enumerate() {
        if engine.apply(write).is_ok() {
            run.applied.push(write.clone());
        }
        if index % 3 == 2 && engine.sync_log().is_ok() {
            run.acknowledged = run.applied.len();
        }
        if index % 8 == 7 && engine.flush(TABLE).is_ok() {
            run.acknowledged = run.applied.len();
        }
        if index % 11 == 10 {
            let _ = engine.background_step();
        }
        if index % 29 == 28 {
            let _ = engine.compact(TABLE);
        }
    }
    let table = engine.table(TABLE).unwrap();
    let scan = table.scan(&[], &[], Direction::Forward, STILL.now);
    if let Ok(seen) = scan.and_then(|rows| live(rows, Direction::Forward, STILL.now)) {
        let expected = model(&run.applied).live(&[], &[], STILL.now);
        assert_eq!(seen, expected, "what was applied is what is read");
    }
    run
}

fn model<'a>(writes: impl IntoIterator<Item = &'a Mutation>) -> Model {
    let mut model = Model::default();
    writes.into_iter().for_each(|write| model.write(write));
    model
}

/// After a crash, what was acknowledged is there, and with it whole writes only, in order.
fn check_after_crash(fs: &FaultyFs, run: &Run, what: &str) {
    fs.heal();
    for crash in [Crash::KeepSynced, Crash::KeepAll, Crash::Random { seed: 3 }] {
        let fs = fs.crash(crash);
        let engine = open(&fs, &TestClock::at(STILL.now));
        let engine = engine.unwrap_or_else(|error| panic!("{what}, then {crash:?}: {error}"));
        let table = engine.table(TABLE).unwrap();
        let scan = table.scan(&[], &[], Direction::Forward, STILL.now).unwrap();
        let seen = live(scan, Direction::Forward, STILL.now).unwrap();
        let lengths = run.acknowledged..=run.applied.len();
        let fits = |len: &usize| model(&run.applied[..*len]).live(&[], &[], STILL.now) == seen;
        assert!(
            lengths.clone().any(|len| fits(&len)),
            "{what}, then {crash:?}: none of {lengths:?} writes"
        );
    }
}

#[test]
fn any_call_may_fail() {
    let writes = writes();
    let sound = FaultyFs::new();
    let whole = run(&sound, &writes);
    assert_eq!(whole.applied.len(), WRITES);
    check_after_crash(&sound, &whole, "no failure");
    let calls = sound.calls();
    assert!(calls > 100, "the script reaches the disk");
    let factor: u64 =
        std::env::var("THOLOS_CASES").ok().and_then(|factor| factor.parse().ok()).unwrap_or(1);
    let step = (calls / (120 * factor)).max(1) as usize;
    for failure in [Failure::Device, Failure::Full, Failure::Short] {
        for after in (0..calls).step_by(step) {
            let once = FaultyFs::new();
            once.fail(None, after, failure);
            check_after_crash(&once, &run(&once, &writes), &format!("{failure:?} at {after}"));
            let lasting = FaultyFs::new();
            lasting.fail_from(None, after, failure);
            let what = format!("{failure:?} from {after}");
            check_after_crash(&lasting, &run(&lasting, &writes), &what);
        }
    }
}

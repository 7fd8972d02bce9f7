//! Deliveries of several senders to one receiver, over a network that loses, repeats, delays and reorders, between nodes
//! that stop at any time.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use smallvec::SmallVec;
use tholos_storage::fs::faulty::{Crash, FaultyFs};
use tholos_storage::fs::memory::MemoryFs;
use tholos_storage::model::mutation::Mutation;
use tholos_storage::model::position::token_prefix;
use tholos_storage::planted::{Planted, plant};
use tholos_storage::schema::TableId;

use super::*;
use crate::hints::credits::Credits;
use crate::hints::store::HintLimits;

const DIR: &str = "/hints";
const RECEIVER: Uuid = Uuid::from_u128(99);
const SECOND: Micros = 1_000_000;

fn hint(number: i64, bytes: usize) -> Mutation {
    let mut partition: SmallVec<[u8; 40]> = SmallVec::from_slice(&token_prefix(number));
    partition.resize(bytes.max(8), 7);
    Mutation { table: TableId(Uuid::nil()), partition, updates: SmallVec::new() }
}

fn all(_: &Hint) -> Verdict {
    Verdict::Deliver
}

fn now(at: Micros) -> Now {
    Now { at, wall: at }
}

fn tokens(batches: &[Batch]) -> Vec<Vec<i64>> {
    batches.iter().map(|batch| batch.hints.iter().map(Hint::token).collect()).collect()
}

/// A delivery with so many hints of 1,000 bytes, in batches of about four.
struct Few {
    store: HintStore,
    delivery: Delivery,
}

impl Few {
    fn new(hints: i64) -> Few {
        let limits = ReplayLimits { batch_bytes: 4_000, ..ReplayLimits::default() };
        let fs = Arc::new(MemoryFs::new());
        let open = HintStore::open(fs, Path::new(DIR), HintLimits::default(), 0, []);
        let mut few = Few { store: open.unwrap(), delivery: Delivery::new(limits) };
        few.append(0..hints);
        few.delivery.up(&few.store, RECEIVER);
        few
    }

    fn append(&mut self, numbers: std::ops::Range<i64>) {
        for number in numbers {
            self.store.append(0, RECEIVER, &hint(number, 1_000)).unwrap();
        }
        self.store.sync().unwrap();
    }

    fn tick(&mut self, at: Micros) -> Vec<Batch> {
        let mut out = Vec::new();
        self.delivery.tick(&mut self.store, &all, now(at), &mut out);
        out
    }

    fn answer(&mut self, at: Micros, input: Input) -> Vec<Batch> {
        let mut out = Vec::new();
        self.delivery.answered(&mut self.store, &all, now(at), (RECEIVER, input), &mut out);
        out
    }

    fn pending(&self) -> u64 {
        self.store.figures()[&RECEIVER].pending
    }
}

#[test]
fn one_batch_asks_and_then_several_go_at_the_rate_that_is_granted() {
    let mut few = Few::new(40);
    let first = few.tick(0);
    assert_eq!(tokens(&first), [[0, 1, 2, 3]]);
    assert_eq!(few.tick(1), []);
    let rate = 1_000_000;
    let second = few.answer(10, Input::Acked { batch: first[0].batch, rate });
    assert_eq!(tokens(&second), [[4, 5, 6, 7]], "the next is due when this one's time is over");
    assert_eq!(few.pending(), 36);
    let due = few.delivery.wakes_at().unwrap();
    assert!((4_000..4_500).contains(&(due - 10)), "4,080 bytes of 1,000,000 a second: {due}");
    assert_eq!(few.tick(due - 1), []);
    assert_eq!(few.tick(due).len(), 1);
    // Answers in another order: what is behind one that is not answered is not done.
    let third = second[0].batch + 1;
    few.answer(due, Input::Acked { batch: third, rate });
    assert_eq!(few.pending(), 36);
    few.answer(due, Input::Acked { batch: second[0].batch, rate });
    assert_eq!(few.pending(), 28);
}

#[test]
fn what_is_refused_or_late_is_sent_again_after_longer_and_longer_pauses() {
    let mut few = Few::new(5);
    let ReplayLimits { min_pause, timeout, .. } = ReplayLimits::default();
    let first = few.tick(0);
    assert_eq!(few.answer(1, Input::Refused { batch: first[0].batch }), []);
    assert_eq!(few.delivery.wakes_at(), Some(1 + min_pause));
    let at = 1 + min_pause;
    let second = few.tick(at);
    assert_eq!(tokens(&second), tokens(&first));
    assert_eq!(few.delivery.wakes_at(), Some(at + timeout));
    assert_eq!(few.tick(at + timeout), []);
    assert_eq!(few.delivery.wakes_at(), Some(at + timeout + 2 * min_pause));
    // An answer to a batch that was given up is none to its successor.
    assert_eq!(few.answer(at, Input::Acked { batch: first[0].batch, rate: 1_000_000 }), []);
    assert_eq!(few.pending(), 5);
}

#[test]
fn a_receiver_that_grants_nothing_is_asked_once_a_second() {
    let mut few = Few::new(20);
    let first = few.tick(0);
    assert_eq!(few.answer(5, Input::Acked { batch: first[0].batch, rate: 0 }), []);
    assert_eq!(few.delivery.wakes_at(), Some(5 + SECOND));
    assert_eq!(few.tick(4 + SECOND), []);
    assert_eq!(few.tick(5 + SECOND).len(), 1);
}

#[test]
fn an_operator_may_pause_and_slow_it_down() {
    let mut few = Few::new(40);
    few.delivery.pause();
    assert_eq!(few.tick(0), []);
    assert_eq!(few.delivery.wakes_at(), None);
    few.delivery.resume();
    few.delivery.throttle(Some(4_000));
    let first = few.tick(0);
    assert_eq!(few.answer(1, Input::Acked { batch: first[0].batch, rate: 1 << 30 }), []);
    let due = few.delivery.wakes_at().unwrap();
    assert!(due > SECOND && due < 2 * SECOND, "{due}");
    few.delivery.pause();
    assert_eq!(few.tick(due), []);
    assert_eq!(few.pending(), 36, "what was answered counts");
}

#[test]
fn who_goes_down_is_left_in_peace_and_goes_on_where_it_was() {
    let mut few = Few::new(8);
    let first = few.tick(0);
    few.delivery.down(RECEIVER);
    assert_eq!((few.tick(1), few.delivery.wakes_at()), (vec![], None));
    few.delivery.up(&few.store, RECEIVER);
    let again = few.tick(2);
    assert_eq!(tokens(&again), tokens(&first));
    assert_ne!(again[0].batch, first[0].batch, "an answer to the first is none to this one");
    few.answer(3, Input::Acked { batch: again[0].batch, rate: 1 << 30 });
    let last = again[0].batch + 1;
    few.answer(4, Input::Acked { batch: last, rate: 1 << 30 });
    assert_eq!(few.tick(SECOND / 2), []);
    assert_eq!((few.pending(), few.delivery.wakes_at()), (0, None), "nothing more to do");
    few.append(8..9);
    assert_eq!(tokens(&few.tick(SECOND)), [[8]]);
}

/// What befalls the nodes and the network.
#[derive(Clone, Debug)]
enum Step {
    Append {
        sender: usize,
        bytes: usize,
    },
    Sync(usize),
    /// Time goes on; messages arrive, each after a delay that its number gives.
    Run(Micros),
    CrashSender(usize),
    ReceiverDown,
    ReceiverUp,
    /// Of a hundred messages so many are lost, so many come twice.
    Network {
        lost: u8,
        twice: u8,
    },
    Credit(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let sender = || 0..SENDERS;
    prop_oneof![
        10 => (sender(), 8..3_000_usize).prop_map(|(sender, bytes)| Step::Append { sender, bytes }),
        4 => sender().prop_map(Step::Sync),
        6 => (1..5 * SECOND).prop_map(Step::Run),
        1 => sender().prop_map(Step::CrashSender),
        1 => Just(Step::ReceiverDown),
        2 => Just(Step::ReceiverUp),
        1 => (0..60_u8, 0..60_u8).prop_map(|(lost, twice)| Step::Network { lost, twice }),
        1 => (0..40_000_u64).prop_map(Step::Credit),
    ]
}

const SENDERS: usize = 3;

#[derive(Clone, Debug)]
enum Message {
    Hints(usize, Batch),
    Answer(usize, Input),
}

struct Sender {
    fs: FaultyFs,
    store: HintStore,
    delivery: Delivery,
    /// Tokens of its hints that are durable, and of those that are not yet.
    durable: BTreeSet<i64>,
    appended: BTreeSet<i64>,
    /// Answers to an earlier run do not come to a later one: their connection is closed.
    run: u64,
}

struct World {
    senders: Vec<Sender>,
    credits: Credits,
    credit: u64,
    is_up: bool,
    at: Micros,
    messages: BTreeMap<(Micros, u64), (u64, Message)>,
    sent: u64,
    lost: u8,
    twice: u8,
    bits: u64,
    /// What the receiver has, and when it got how many bytes.
    got: BTreeSet<i64>,
    arrivals: Vec<(Micros, usize)>,
    next_token: i64,
}

fn limits() -> HintLimits {
    HintLimits { segment_bytes: 20_000, window: i64::MAX, ..HintLimits::default() }
}

fn open(fs: &FaultyFs) -> (HintStore, Delivery) {
    let store = HintStore::open(Arc::new(fs.clone()), Path::new(DIR), limits(), 0, [RECEIVER]);
    let replay = ReplayLimits { batch_bytes: 8_000, ..ReplayLimits::default() };
    (store.unwrap(), Delivery::new(replay))
}

impl World {
    fn new(seed: u64) -> World {
        let sender = |_| {
            let fs = FaultyFs::new();
            let (store, delivery) = open(&fs);
            let (durable, appended) = (BTreeSet::new(), BTreeSet::new());
            Sender { fs, store, delivery, durable, appended, run: 0 }
        };
        World {
            senders: (0..SENDERS).map(sender).collect(),
            credits: Credits::new(20_000),
            credit: 20_000,
            is_up: false,
            at: 0,
            messages: BTreeMap::new(),
            sent: 0,
            lost: 0,
            twice: 0,
            bits: seed | 1,
            got: BTreeSet::new(),
            arrivals: Vec::new(),
            next_token: 0,
        }
    }

    /// The next of a row of numbers that looks like chance (xorshift).
    fn bits(&mut self) -> u64 {
        self.bits ^= self.bits << 13;
        self.bits ^= self.bits >> 7;
        self.bits ^= self.bits << 17;
        self.bits
    }

    fn post(&mut self, run: u64, message: Message) {
        let chance = |bits: u64| (bits >> 8) % 100;
        let copies = match (chance(self.bits()), chance(self.bits())) {
            (lost, _) if lost < u64::from(self.lost) => 0,
            (_, twice) if twice < u64::from(self.twice) => 2,
            _ => 1,
        };
        for _ in 0..copies {
            let delay = 1 + (self.bits() >> 8) as Micros % 200_000;
            self.sent += 1;
            self.messages.insert((self.at + delay, self.sent), (run, message.clone()));
        }
    }

    fn run(&mut self, step: Step) {
        match step {
            Step::Append { sender, bytes } => {
                let sender = &mut self.senders[sender];
                self.next_token += 1;
                let mutation = hint(self.next_token, bytes);
                sender.store.append(self.at, RECEIVER, &mutation).unwrap();
                sender.appended.insert(self.next_token);
            }
            Step::Sync(sender) => {
                let sender = &mut self.senders[sender];
                sender.store.sync().unwrap();
                sender.durable.append(&mut sender.appended);
            }
            Step::Run(time) => self.go_on(time),
            Step::CrashSender(number) => {
                let is_up = self.is_up;
                let sender = &mut self.senders[number];
                sender.fs = sender.fs.crash(Crash::KeepSynced);
                (sender.store, sender.delivery) = open(&sender.fs);
                sender.appended.clear();
                sender.run += 1;
                if is_up {
                    sender.delivery.up(&sender.store, RECEIVER);
                }
            }
            Step::ReceiverDown => self.receiver(false),
            Step::ReceiverUp => self.receiver(true),
            Step::Network { lost, twice } => (self.lost, self.twice) = (lost, twice),
            Step::Credit(credit) => {
                self.credit = self.credit.max(credit);
                self.credits.set_total(credit);
            }
        }
    }

    fn receiver(&mut self, is_up: bool) {
        self.is_up = is_up;
        for sender in &mut self.senders {
            match is_up {
                true => sender.delivery.up(&sender.store, RECEIVER),
                false => sender.delivery.down(RECEIVER),
            }
        }
    }

    /// Lets messages arrive and machines wake until so much time is over.
    fn go_on(&mut self, time: Micros) {
        let until = self.at + time;
        loop {
            let message = self.messages.keys().next().map(|(at, _)| *at);
            let wakes = self.senders.iter().filter_map(|sender| sender.delivery.wakes_at()).min();
            let next = message.into_iter().chain(wakes).min().unwrap_or(until);
            if next >= until {
                break;
            }
            self.at = self.at.max(next);
            if message == Some(next) {
                self.arrive();
            } else {
                self.tick();
            }
        }
        self.at = until;
        self.tick();
    }

    fn tick(&mut self) {
        for number in 0..SENDERS {
            let (mut out, sender) = (Vec::new(), &mut self.senders[number]);
            sender.delivery.tick(&mut sender.store, &all, now(self.at), &mut out);
            let run = sender.run;
            out.into_iter().for_each(|batch| self.post(run, Message::Hints(number, batch)));
        }
    }

    fn arrive(&mut self) {
        let Some((_, (run, message))) = self.messages.pop_first() else { return };
        match message {
            Message::Hints(sender, batch) if self.is_up => {
                let bytes = batch.hints.iter().map(|hint| hint.mutation.partition.len()).sum();
                self.arrivals.push((self.at, bytes));
                self.got.extend(batch.hints.iter().map(Hint::token));
                let rate = self.credits.grant(self.at, Uuid::from_u128(sender as u128));
                let answer = Input::Acked { batch: batch.batch, rate };
                self.post(run, Message::Answer(sender, answer));
            }
            Message::Hints(..) => {}
            Message::Answer(number, input) => {
                let (mut out, sender) = (Vec::new(), &mut self.senders[number]);
                if sender.run == run {
                    let (store, of) = (&mut sender.store, (RECEIVER, input));
                    sender.delivery.answered(store, &all, now(self.at), of, &mut out);
                }
                out.into_iter().for_each(|batch| self.post(run, Message::Hints(number, batch)));
            }
        }
    }
}

fn history(steps: Vec<Step>, seed: u64) -> Result<(), TestCaseError> {
    let mut world = World::new(seed);
    steps.into_iter().for_each(|step| world.run(step));
    // What was let go of has come; nothing is needed of the network for that.
    for sender in &mut world.senders {
        let waiting = sender.store.figures().get(&RECEIVER).map_or(0, |figures| figures.pending);
        let missing = sender.durable.difference(&world.got).count() as u64;
        prop_assert!(missing <= waiting, "{missing} have not come, {waiting} wait");
    }
    // All is well again.
    for number in 0..SENDERS {
        world.run(Step::Sync(number));
    }
    world.run(Step::Network { lost: 0, twice: 0 });
    world.run(Step::Credit(20_000));
    world.run(Step::ReceiverUp);
    for _ in 0..300 {
        world.run(Step::Run(SECOND));
    }
    for sender in &world.senders {
        let missing: Vec<&i64> = sender.durable.difference(&world.got).collect();
        prop_assert!(missing.is_empty(), "never came: {missing:?}");
        let waiting = sender.store.figures().get(&RECEIVER).map_or(0, |figures| figures.pending);
        prop_assert_eq!(waiting, 0);
        prop_assert!(sender.store.dirty(RECEIVER).is_empty());
    }
    Ok(())
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 1..80)
}

proptest! {
    #![proptest_config(Config::with_cases(150))]

    #[test]
    fn every_hint_comes_whatever_the_network_does(steps in steps(), seed: u64) {
        history(steps, seed)?;
    }
}

#[test]
fn hints_that_count_as_delivered_when_they_are_sent_are_missed() {
    let config = Config {
        cases: 1_000,
        failure_persistence: None,
        max_shrink_iters: 0,
        ..Config::default()
    };
    plant(Some(Planted::HintDeliveredWhenSent));
    let run =
        TestRunner::new(config).run(&(steps(), any::<u64>()), |(steps, seed)| history(steps, seed));
    plant(None);
    assert!(run.is_err());
}

#[test]
fn a_node_that_is_back_is_not_flooded_by_all_at_once() {
    let mut world = World::new(7);
    for sender in 0..SENDERS {
        (0..200).for_each(|_| world.run(Step::Append { sender, bytes: 1_000 }));
        world.run(Step::Sync(sender));
    }
    world.run(Step::ReceiverUp);
    world.run(Step::Run(60 * SECOND));
    assert_eq!(world.got.len(), 600);
    let total: usize = world.arrivals.iter().map(|(_, bytes)| bytes).sum();
    assert_eq!(total, 600_000, "nothing came twice");
    let last = world.arrivals.last().unwrap().0;
    assert!(last < 40 * SECOND, "600,000 bytes at 20,000 a second took {last} us");
    for second in 0..60 {
        let within = |at: &Micros| (second * SECOND..(second + 1) * SECOND).contains(at);
        let bytes = world.arrivals.iter().filter(|(at, _)| within(at)).map(|(_, bytes)| bytes);
        let bytes: usize = bytes.sum();
        // At first each asks with a batch, and has all of the credit until it hears of the others.
        let slack = if second == 0 { SENDERS * 20_000 } else { SENDERS * 5_000 };
        assert!(bytes <= 20_000 + slack, "second {second}: {bytes}");
    }
}

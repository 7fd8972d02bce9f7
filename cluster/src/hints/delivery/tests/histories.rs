//! Deliveries of several senders to one receiver, over a network that loses, repeats, delays and reorders, between nodes
//! that stop at any time.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tholos_storage::fs::faulty::{Crash, FaultyFs};
use tholos_storage::planted::{Planted, plant};

use super::*;
use crate::hints::credits::Credits;

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
                let bytes: usize =
                    batch.hints.iter().map(|hint| hint.mutation.partition.len()).sum();
                self.arrivals.push((self.at, bytes));
                self.got.extend(batch.hints.iter().map(Hint::token));
                let rate = self.credits.grant(self.at, Uuid::from_u128(sender as u128), bytes);
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

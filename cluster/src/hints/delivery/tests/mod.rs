//! Cases of one delivery; those of several senders are in `histories`.

mod histories;

use std::path::Path;
use std::sync::Arc;

use smallvec::SmallVec;
use tholos_storage::fs::memory::MemoryFs;
use tholos_storage::model::mutation::Mutation;
use tholos_storage::model::position::token_prefix;
use tholos_storage::schema::TableId;

use super::*;
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

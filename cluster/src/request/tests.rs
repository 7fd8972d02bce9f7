//! The machines by hand: who is asked, what becomes of answers that fail, differ, come late or not at all. What real
//! replicas say through them is tested where there are engines.

use std::collections::BTreeMap;
use std::sync::Arc;

use tholos_grammar::consistency::Consistency;
use tholos_storage::model::entry::Direction;
use tholos_storage::model::position::token_prefix;
use tholos_storage::model::read::{AnswerKind, KeyInterval, ReadCommand, ReadLimits};
use tholos_storage::read::page::{Answer, Page, digest};
use tholos_storage::schema::TableId;
use uuid::Uuid;

use super::range::RangeRead;
use super::read::{Effect, Effects, Input, Read, ReadContext, Rows};
use super::{Refusal, RequestError};
use crate::placement::{Placement, Replication};
use crate::ring::{NodeIndex, Ring};
use crate::testing::node;

const DEADLINE: i64 = 1_000;

/// Nodes with one token each: 10, 20, 30, ...; every other one in another data centre if there are two.
fn ring(nodes: u16, data_centers: u16) -> Arc<Ring> {
    let node =
        |index: u16| node(index, format!("dc{}", index % data_centers), i64::from(index + 1) * 10);
    Arc::new(Ring::new((0..nodes).map(node).collect()).unwrap())
}

fn context(level: Consistency, nodes: u16, factor: u32) -> ReadContext {
    let placement = Placement::new(ring(nodes, 1), &Replication::Simple { factor }, 0);
    ReadContext { placement: Arc::new(placement), level, deadline: DEADLINE }
}

fn interval(from: i64, to: i64) -> KeyInterval {
    let bound = |token: i64| token_prefix(token).to_vec();
    KeyInterval { lower: bound(from), upper: bound(to), partition_len: None }
}

fn command(intervals: Vec<KeyInterval>) -> ReadCommand {
    ReadCommand {
        table: TableId(Uuid::nil()),
        intervals,
        direction: Direction::Forward,
        limits: ReadLimits { rows: None, bytes: 1000 },
        now: 1,
        answer: AnswerKind::Data,
    }
}

/// Where a page is cut behind a key of that token.
fn behind(token: i64) -> Vec<u8> {
    [&token_prefix(token)[..], &[0]].concat()
}

/// A page without entries, up to where it was cut.
fn page(interval: &KeyInterval, cut: Option<i64>) -> Arc<Page> {
    let upper = cut.map_or(interval.upper.clone(), behind);
    let mut bytes = vec![if cut.is_some() { 2 } else { 0 }];
    for slice in [&interval.lower[..], &upper[..], &[0; 9][..]] {
        bytes.push(slice.len() as u8);
        bytes.extend_from_slice(slice);
    }
    Arc::new(Page::decode(&mut bytes.as_slice()).unwrap())
}

/// What a replica without rows answers.
fn answer(command: &ReadCommand, cut: Option<i64>) -> Answer {
    let pages: Vec<Arc<Page>> = match cut {
        Some(cut) => vec![page(&command.intervals[0], Some(cut))],
        None => command.intervals.iter().map(|interval| page(interval, None)).collect(),
    };
    match command.answer {
        AnswerKind::Data => Answer::Pages(pages),
        AnswerKind::Digest => Answer::Digest(digest(pages.iter().map(|page| &**page))),
    }
}

/// Whom the effects ask, and for what.
fn asked(effects: &Effects) -> Vec<(NodeIndex, AnswerKind)> {
    let reads = effects.iter().filter_map(|effect| match effect {
        Effect::Read { to, command, .. } => Some((*to, command.answer)),
        _ => None,
    });
    reads.collect()
}

fn done(effects: &Effects) -> Option<Result<Rows, RequestError>> {
    let mut all = effects.iter().filter_map(|effect| match effect {
        Effect::Done(result) => Some(result.clone()),
        _ => None,
    });
    let first = all.next();
    assert!(all.next().is_none(), "over twice");
    first
}

/// A read and what it did so far.
struct Run {
    read: Read,
    command: ReadCommand,
    effects: Effects,
}

impl Run {
    fn begin(context: ReadContext, alive: &[NodeIndex]) -> Run {
        let command = command(vec![interval(1, 9)]);
        let mut effects = Effects::new();
        let read = Read::begin(context, 0, command.clone(), alive, &mut effects);
        Run { read, command, effects }
    }

    fn on(&mut self, now: i64, input: Input) -> &mut Self {
        self.read.on(now, input, &mut self.effects);
        self
    }

    fn answers(&mut self, from: NodeIndex, kind: AnswerKind, cut: Option<i64>) -> &mut Self {
        let command = ReadCommand { answer: kind, ..self.command.clone() };
        self.on(1, Input::Answered { part: 0, from, answer: answer(&command, cut) })
    }

    fn fails(&mut self, from: NodeIndex) -> &mut Self {
        self.on(1, Input::Failed { part: 0, from, reason: Refusal::Overloaded })
    }

    fn error(&self) -> RequestError {
        done(&self.effects).expect("it is over").expect_err("it failed")
    }
}

use AnswerKind::{Data, Digest};

#[test]
fn one_sends_data_and_the_others_digests() {
    let mut run = Run::begin(context(Consistency::Quorum, 5, 3), &[2, 0, 1]);
    assert_eq!(
        asked(&run.effects),
        [(2, Data), (0, Digest)],
        "no more than are needed, the best first"
    );
    run.answers(0, Digest, None);
    assert!(done(&run.effects).is_none());
    run.answers(2, Data, None);
    let rows = done(&run.effects).unwrap().unwrap();
    assert_eq!((rows.runs.len(), rows.repairs), (1, 0));
    // What comes afterwards does nothing.
    run.answers(1, Data, None).fails(0).on(DEADLINE, Input::Tick);
    assert!(done(&run.effects).is_some());
}

#[test]
fn too_few_alive_is_said_before_any_is_asked() {
    let run = Run::begin(context(Consistency::Quorum, 5, 3), &[2]);
    assert_eq!(asked(&run.effects), []);
    let level = Consistency::Quorum;
    assert_eq!(run.error(), RequestError::Unavailable { level, required: 2, alive: 1 });
}

#[test]
fn another_replica_takes_the_place_of_one_that_fails() {
    let mut run = Run::begin(context(Consistency::Quorum, 5, 3), &[0, 1, 2]);
    run.fails(0);
    // The one that was to send data failed: another one does, and a third one sends its digest.
    assert_eq!(asked(&run.effects), [(0, Data), (1, Digest), (2, Digest), (1, Data)]);
    run.answers(1, Digest, None).answers(2, Digest, None);
    assert!(done(&run.effects).is_none(), "nobody sent data");
    run.answers(1, Data, None);
    assert!(done(&run.effects).unwrap().is_ok());
}

#[test]
fn failures_are_told_with_counts_and_reasons() {
    let mut run = Run::begin(context(Consistency::Quorum, 5, 3), &[0, 1, 2]);
    run.answers(0, Data, None).fails(1).fails(2);
    let reason = Refusal::Overloaded;
    assert_eq!(
        run.error(),
        RequestError::Failure {
            level: Consistency::Quorum,
            required: 2,
            received: 1,
            data_present: true,
            refusals: [(1, reason), (2, reason)].into_iter().collect(),
        }
    );
}

#[test]
fn what_does_not_come_in_time_is_told_with_counts() {
    let mut run = Run::begin(context(Consistency::All, 5, 3), &[0, 1, 2]);
    run.answers(1, Digest, None).on(DEADLINE - 1, Input::Tick);
    assert!(done(&run.effects).is_none());
    run.on(DEADLINE, Input::Tick);
    let level = Consistency::All;
    let timeout = RequestError::Timeout { level, required: 3, received: 1, data_present: false };
    assert_eq!(run.error(), timeout);
}

#[test]
fn where_digests_differ_all_send_pages_and_the_least_of_them_counts() {
    let mut run = Run::begin(context(Consistency::Quorum, 5, 3), &[0, 1, 2]);
    run.answers(0, Data, None).answers(1, Digest, Some(5));
    assert_eq!(asked(&run.effects)[2..], [(1, Data)], "the first one sent pages already");
    assert!(done(&run.effects).is_none());
    run.answers(1, Data, Some(5));
    let rows = done(&run.effects).unwrap().unwrap();
    let [run] = &rows.runs[..] else { panic!("{rows:?}") };
    assert!(run.is_cut());
    assert_eq!((run.lower(), run.upper()), (&token_prefix(1)[..], &behind(5)[..]));
}

#[test]
fn a_page_of_something_else_counts_as_failed() {
    let mut run = Run::begin(context(Consistency::One, 5, 3), &[0, 1]);
    let other = command(vec![interval(2, 9)]);
    run.on(1, Input::Answered { part: 0, from: 0, answer: answer(&other, None) });
    assert_eq!(asked(&run.effects), [(0, Data), (1, Data)]);
    run.on(1, Input::Answered { part: 0, from: 1, answer: Answer::Pages(vec![]) });
    assert!(matches!(run.error(), RequestError::Failure { received: 0, .. }));
}

#[test]
fn levels_of_one_data_centre_ask_no_other() {
    let factors = BTreeMap::from([("dc0".to_string(), 3), ("dc1".to_string(), 3)]);
    let replication = Replication::NetworkTopology { factors };
    let placement = Arc::new(Placement::new(ring(6, 2), &replication, 0));
    let asks = |level| {
        let context = ReadContext { placement: Arc::clone(&placement), level, deadline: DEADLINE };
        asked(&Run::begin(context, &[1, 0, 2, 3, 4, 5]).effects)
    };
    assert_eq!(asks(Consistency::LocalQuorum), [(0, Data), (2, Digest)]);
    assert_eq!(asks(Consistency::LocalOne), [(0, Data)]);
    assert_eq!(asks(Consistency::One), [(1, Data)]);
    let each = asks(Consistency::EachQuorum);
    assert_eq!(each, [(1, Data), (0, Digest), (2, Digest), (3, Digest)]);
}

/// A range read on a ring of three nodes, each with its own range, and what is asked of it.
struct Ranges {
    range: RangeRead,
    asks: Vec<(u32, NodeIndex, ReadCommand)>,
    result: Option<Result<Rows, RequestError>>,
}

impl Ranges {
    fn begin(intervals: Vec<KeyInterval>) -> Ranges {
        let mut effects = Effects::new();
        let order = |replicas: &[NodeIndex]| replicas.to_vec();
        let context = context(Consistency::One, 3, 1);
        let range = RangeRead::begin(context, command(intervals), &order, &mut effects);
        let mut ranges = Ranges { range, asks: Vec::new(), result: None };
        ranges.note(effects);
        ranges
    }

    fn note(&mut self, effects: Effects) {
        self.result = self.result.take().or(done(&effects));
        for effect in effects {
            if let Effect::Read { part, to, command } = effect {
                self.asks.push((part, to, (*command).clone()));
            }
        }
    }

    fn answers(&mut self, at: usize, cut: Option<i64>) {
        let (part, from, command) = self.asks[at].clone();
        let mut effects = Effects::new();
        let input = Input::Answered { part, from, answer: answer(&command, cut) };
        self.range.on(1, input, &mut effects);
        self.note(effects);
    }

    fn nodes(&self) -> Vec<NodeIndex> {
        self.asks.iter().map(|(_, node, _)| *node).collect()
    }
}

#[test]
fn a_range_is_read_piece_by_piece_in_the_order_of_tokens() {
    let whole = KeyInterval { lower: vec![], upper: vec![], partition_len: None };
    let mut ranges = Ranges::begin(vec![whole]);
    assert_eq!(ranges.nodes(), [0], "one piece may be enough");
    ranges.answers(0, None);
    assert_eq!(ranges.nodes(), [0, 1, 2], "it was not");
    // Tokens beyond the last one are the first node's again.
    ranges.answers(2, None);
    assert!(ranges.result.is_none());
    ranges.answers(1, None);
    assert_eq!(ranges.nodes(), [0, 1, 2, 0]);
    ranges.answers(3, None);
    let rows = ranges.result.unwrap().unwrap();
    let bounds: Vec<(&[u8], &[u8])> = rows.runs.iter().map(|r| (r.lower(), r.upper())).collect();
    let at = [11, 21, 31].map(token_prefix);
    assert_eq!(
        bounds,
        [(&[][..], &at[0][..]), (&at[0], &at[1]), (&at[1], &at[2]), (&at[2], &[][..])]
    );
}

#[test]
fn a_range_ends_with_a_piece_that_was_cut() {
    let mut ranges = Ranges::begin(vec![interval(1, 100)]);
    ranges.answers(0, None);
    ranges.answers(1, Some(15));
    let rows = ranges.result.take().unwrap().unwrap();
    assert_eq!(rows.runs.len(), 2);
    assert_eq!(rows.runs[1].upper(), behind(15));
    // What was in flight behind it does nothing any more.
    ranges.answers(2, None);
    assert!(ranges.result.is_none());
}

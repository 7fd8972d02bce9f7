//! What several replicas say together is what one says that has it all: random writes, each on some of the replicas,
//! and every kind of SELECT, through the coordinator's machines and over commands and pages as they go over the wire.
//!
//! `THOLOS_CASES` multiplies the number of cases; each has some hundred reads.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use tholos_cluster::placement::{Placement, Replication};
use tholos_cluster::request::range::RangeRead;
use tholos_cluster::request::read::{Effect, Effects, Input, Part, ReadContext, Rows as Fetches};
use tholos_cluster::ring::{Node, NodeIndex, Ring, Weight};
use tholos_grammar::consistency::Consistency;
use tholos_grammar::token::Token;
use tholos_storage::model::entry::Direction;
use tholos_storage::model::read::{AnswerKind, Digest, KeyInterval, ReadCommand, ReadLimits};
use tholos_storage::planted::{Planted, plant};
use tholos_storage::read::budget::{self as storage, ReadBudget};
use tholos_storage::read::page::{Answer, Page, digest};
use tholos_storage::schema::TableId;
use uuid::Uuid;

use super::fetched::Fetched;
use super::model_tests::{Query, queries};
use super::{PageBudget, Round, select_within, take_fetched};
use crate::error::QueryError;
use crate::halt::Halt;
use crate::query::plan::{Plan, Planned};
use crate::query::select::plan::Across;
use crate::testing::{Bench, Rows};

const TABLE: &str = "CREATE TABLE m (k int, a int, b int, s int STATIC, v int, l map<int, int>, c set<int>, PRIMARY KEY (k, a, b)) WITH CLUSTERING ORDER BY (a ASC, b DESC)";

/// A statement, a bit for each replica that gets it, and what happens there afterwards.
#[derive(Clone, Debug)]
struct Step {
    cql: String,
    to: u8,
    then: Then,
}

#[derive(Clone, Copy, Debug)]
enum Then {
    Nothing,
    Flush,
    Compact,
    /// Time goes by, everywhere.
    Wait,
}

/// A read and how it goes.
#[derive(Clone, Debug)]
struct Read {
    cql: String,
    can_be_paged: bool,
    page_size: i32,
    entries: u64,
    /// What each replica sends for one round.
    bytes: u32,
    /// How many entries each replica walks for one answer.
    work: u64,
    /// Chooses which of the messages under way comes next.
    order: u64,
    /// Whether repairs are done, or only said to be.
    repairs: bool,
}

fn small() -> impl Strategy<Value = i32> {
    0..4i32
}

fn slice() -> impl Strategy<Value = String> {
    prop_oneof![
        small().prop_map(|a| format!("a = {a}")),
        small().prop_map(|a| format!("a >= {a}")),
        (small(), small()).prop_map(|(a, b)| format!("a = {a} AND b < {b}")),
        (small(), small()).prop_map(|(a, b)| format!("(a, b) > ({a}, {b})")),
        (small(), small()).prop_map(|(a, b)| format!("(a, b) <= ({a}, {b})")),
    ]
}

fn statement() -> impl Strategy<Value = String> {
    let value = || {
        prop::option::weighted(0.8, 0..3i32)
            .prop_map(|value| value.map_or("null".into(), |v| v.to_string()))
    };
    let row = || (small(), small(), small());
    let key = |(k, a, b): (i32, i32, i32)| format!("k = {k} AND a = {a} AND b = {b}");
    // Few timestamps, so that ties are common. Times to live never make two writes of different times end at once.
    let at = || (1..9i64).prop_map(|at| format!("USING TIMESTAMP {at}"));
    let until = || {
        (1..9i64, prop::option::weighted(0.25, prop::sample::select(vec![7, 13]))).prop_map(
            |(at, ttl)| match ttl {
                Some(ttl) => format!("USING TIMESTAMP {at} AND TTL {ttl}"),
                None => format!("USING TIMESTAMP {at}"),
            },
        )
    };
    prop_oneof![
        8 => (row(), value(), until()).prop_map(|((k, a, b), v, u)| {
            format!("INSERT INTO m (k, a, b, v) VALUES ({k}, {a}, {b}, {v}) {u}")
        }),
        3 => (row(), value(), until()).prop_map(move |(r, v, u)| format!("UPDATE m {u} SET v = {v} WHERE {}", key(r))),
        2 => (row(), small(), value(), until()).prop_map(move |(r, e, v, u)| format!("UPDATE m {u} SET l[{e}] = {v} WHERE {}", key(r))),
        1 => (row(), small(), small(), until()).prop_map(move |(r, e, f, u)| format!("UPDATE m {u} SET l = {{{e}: {f}}}, c = {{{f}}} WHERE {}", key(r))),
        1 => (row(), small(), until()).prop_map(move |(r, e, u)| format!("UPDATE m {u} SET c = c + {{{e}}} WHERE {}", key(r))),
        1 => (row(), small(), at()).prop_map(move |(r, e, u)| format!("UPDATE m {u} SET c = c - {{{e}}} WHERE {}", key(r))),
        1 => (row(), at()).prop_map(move |(r, u)| format!("DELETE l FROM m {u} WHERE {}", key(r))),
        3 => (0..6i32, value(), until()).prop_map(|(k, s, u)| format!("INSERT INTO m (k, s) VALUES ({k}, {s}) {u}")),
        2 => (row(), at()).prop_map(move |(r, u)| format!("DELETE FROM m {u} WHERE {}", key(r))),
        3 => (small(), slice(), at()).prop_map(|(k, slice, u)| format!("DELETE FROM m {u} WHERE k = {k} AND {slice}")),
        1 => (small(), at()).prop_map(|(k, u)| format!("DELETE FROM m {u} WHERE k = {k}")),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let then = prop_oneof![
        12 => Just(Then::Nothing), 3 => Just(Then::Flush), 1 => Just(Then::Compact), 1 => Just(Then::Wait),
    ];
    let step = (statement(), 1..32u8, then).prop_map(|(cql, to, then)| Step { cql, to, then });
    vec(step, 1..40)
}

/// What is shown of rows.
const SHOWN: [&str; 8] = [
    "k, a, b, s, v",
    "*",
    "k, v, writetime(v), ttl(v), l, c",
    "b, l, s",
    "count(*)",
    "count(v), sum(v), min(a), max(b), min(s)",
    "k, a, count(*), sum(v)",
    "k, s, max(v)",
];

fn reads() -> impl Strategy<Value = Read> {
    let group = prop::sample::select(vec![
        "",
        "",
        "",
        " GROUP BY k",
        " GROUP BY k, a",
        " GROUP BY k, a, b",
    ]);
    let bytes = prop_oneof![3 => 1..300u32, 1 => Just(1 << 20)];
    let work = prop_oneof![1 => 1..20u64, 2 => Just(u64::MAX)];
    let how = (1..6i32, 1..7u64, bytes, work, any::<u64>(), prop::bool::weighted(0.1));
    (queries(), prop::sample::select(SHOWN.to_vec()), group, how).prop_map(
        |(query, shown, group, (page_size, entries, bytes, work, order, repairs))| {
            let cql = grouped(&query, shown, group);
            let can_be_paged = query.can_be_paged();
            Read { cql, can_be_paged, page_size, entries, bytes, work, order, repairs }
        },
    )
}

fn grouped(query: &Query, shown: &str, group: &str) -> String {
    let cql = query.cql().replace("SELECT k, a, b, s, v FROM", &format!("SELECT {shown} FROM"));
    let ends = [" ORDER BY", " PER PARTITION", " LIMIT", " ALLOW FILTERING"];
    let at = ends.iter().filter_map(|end| cql.find(end)).min().unwrap_or(cql.len());
    format!("{}{group}{}", &cql[..at], &cql[at..])
}

/// Replicas of one table, all of which have all of its tokens; and one that got every write.
struct Replicas {
    single: Bench,
    nodes: Vec<Bench>,
    /// Has nothing of its own to say.
    coordinator: Bench,
    placement: Arc<Placement>,
    now: Arc<AtomicI64>,
    reads: u64,
    rounds: u64,
    repairs: u64,
}

impl Replicas {
    fn new(count: usize) -> Self {
        let mut single = Bench::new();
        single.run(TABLE);
        let node = |_| {
            let mut bench = Bench::new();
            bench.run(TABLE);
            bench
        };
        // Ranges have all nodes, but in different orders: ranges of tokens are read piece by piece.
        let member = |index: usize| Node {
            host_id: Uuid::from_u128(index as u128),
            address: ([127, 0, 0, 1], 7000 + index as u16).into(),
            data_center: "dc1".to_string(),
            rack: "r1".to_string(),
            weight: Weight::ONE,
            tokens: (0..3).map(|at| Token((at * 5 + index as i64 - 7) * (1 << 59))).collect(),
        };
        let ring = Arc::new(Ring::new((0..count).map(member).collect()).unwrap());
        let replication = Replication::Simple { factor: count as u32 };
        let mut coordinator = node(0);
        coordinator.join(Arc::clone(&ring), count);
        Replicas {
            coordinator,
            placement: Arc::new(Placement::new(ring, &replication, 0)),
            nodes: (0..count).map(node).collect(),
            now: Arc::new(AtomicI64::new(1_000_000)),
            single,
            reads: 0,
            rounds: 0,
            repairs: 0,
        }
    }

    fn table(&self) -> TableId {
        let Plan::Select(plan) = self.single.plan("SELECT * FROM m").unwrap().plan else {
            panic!()
        };
        plan.table.id
    }

    fn apply(&mut self, step: &Step) {
        let table = self.table();
        let count = self.nodes.len();
        // No write is lost: it goes somewhere.
        let gets_it = |node: usize| step.to >> node & 1 == 1 || step.to & ((1 << count) - 1) == 0;
        if let Then::Wait = step.then {
            self.now.fetch_add(10, Ordering::Relaxed);
        }
        let now = self.now.load(Ordering::Relaxed);
        self.single.now.store(now, Ordering::Relaxed);
        self.single.run(&step.cql);
        for (index, node) in self.nodes.iter_mut().enumerate() {
            node.now.store(now, Ordering::Relaxed);
            self.coordinator.now.store(now, Ordering::Relaxed);
            if !gets_it(index) {
                continue;
            }
            node.run(&step.cql);
            match step.then {
                Then::Flush => node.engine().flush(table).unwrap(),
                Then::Compact => node.engine().compact(table).unwrap(),
                Then::Nothing | Then::Wait => {}
            }
        }
    }

    /// One page through the coordinator.
    fn page(
        &mut self,
        planned: &Planned,
        page_size: Option<i32>,
        state: Option<&[u8]>,
        budget: PageBudget,
        read: &Read,
    ) -> Result<Rows, QueryError> {
        let mut fetched = Fetched::new(read.bytes);
        let mut so_far = None;
        Bench::shown(planned, |plan, out, writer| {
            for _ in 0..2_000 {
                let round = self.coordinator.with(&[], page_size, state, |cx| {
                    let from = (&fetched, so_far.take());
                    select_within(cx, plan, Consistency::All, budget, from, out, writer)
                });
                match round.map_err(Halt::refused)? {
                    Round::Done(state) => return Ok(state),
                    Round::Needs(commands, rest) => {
                        assert!(!commands.is_empty());
                        let runs =
                            commands.into_iter().flat_map(|command| self.fetch(command, read));
                        let runs: Vec<_> = runs.collect();
                        take_fetched(&mut fetched, &rest, runs);
                        so_far = Some(rest);
                        self.rounds += 1;
                    }
                }
            }
            panic!("rounds without end: {}", read.cql);
        })
    }

    /// Carries a command to all replicas over a network that delivers in any order.
    fn fetch(
        &mut self,
        command: ReadCommand,
        read: &Read,
    ) -> Vec<tholos_storage::read::run::MergedRun> {
        let context = ReadContext {
            placement: Arc::clone(&self.placement),
            level: Consistency::All,
            deadline: i64::MAX,
        };
        let mut effects = Effects::new();
        let order = |replicas: &[NodeIndex]| replicas.to_vec();
        let mut machine = RangeRead::begin(context, command, &order, &mut effects);
        let mut under_way: VecDeque<Effect> = VecDeque::new();
        let mut chance = read.order;
        loop {
            under_way.extend(effects.drain(..));
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let at = (chance >> 33) as usize % under_way.len().max(1);
            let input = match under_way.swap_remove_back(at).expect("it ends by being done") {
                Effect::Read { part, to, command } => self.answer(part, to, &command, read.work),
                Effect::Repair { part, to, mutations } => {
                    for mutation in mutations.iter().filter(|_| read.repairs) {
                        self.nodes[to as usize].engine().apply(mutation).unwrap();
                    }
                    Input::Written { part, from: to }
                }
                Effect::Done(rows) => {
                    let Fetches { runs, repairs } = rows.unwrap();
                    self.repairs += u64::from(repairs);
                    return runs;
                }
            };
            machine.on(0, input, &mut effects);
        }
    }

    /// What a node answers, all of it over the wire.
    fn answer(&self, part: Part, from: NodeIndex, command: &ReadCommand, work: u64) -> Input {
        let mut bytes = Vec::new();
        command.encode(&mut bytes);
        let command = ReadCommand::decode(&mut bytes.as_slice()).expect("a command comes back");
        let table = self.nodes[from as usize].engine().table(command.table).unwrap();
        let page = ReadBudget { entries: work, ..ReadBudget::UNLIMITED };
        let budget = storage::PageBudget { page, ..storage::PageBudget::UNLIMITED };
        let pages = table.pages_within(&command, budget).unwrap();
        let over_the_wire = |page: &Page| {
            let mut bytes = Vec::new();
            page.encode(&mut bytes);
            Arc::new(Page::decode(&mut bytes.as_slice()).expect("a page comes back"))
        };
        let answer = match command.answer {
            AnswerKind::Digest => Answer::Digest(digest(&pages)),
            AnswerKind::Data => Answer::Pages(pages.iter().map(over_the_wire).collect()),
        };
        Input::Answered { part, from, answer }
    }

    /// Reads in all ways; what is wrong, if anything is.
    fn check(&mut self, read: &Read, bug: Option<Planted>) -> Result<(), TestCaseError> {
        let Ok(planned) = self.single.plan(&read.cql) else { return Ok(()) };
        let budget = ReadBudget { entries: read.entries, ..ReadBudget::UNLIMITED };
        let expected = self.single.page(&planned, &[], None, None, ReadBudget::UNLIMITED);
        let Ok(expected) = expected else { return Ok(()) };
        // Groups that are sorted by their first rows are known when all are.
        let comes_whole = matches!(
            &planned.plan,
            Plan::Select(plan) if matches!(plan.across, Across::SortedGroups(_))
        );
        plant(bug);
        let whole = self.page(&planned, None, None, ReadBudget::UNLIMITED.into(), read);
        self.reads += 1;
        plant(None);
        prop_assert_eq!(&whole.unwrap().rows, &expected.rows, "{}", &read.cql);
        for budget in [ReadBudget::UNLIMITED, budget] {
            if !read.can_be_paged {
                break;
            }
            let (mut rows, mut state, mut pages) = (Vec::new(), None, 0);
            loop {
                pages += 1;
                prop_assert!(pages < MOST_PAGES, "pages without end: {}", &read.cql);
                plant(bug);
                let page = self.page(
                    &planned,
                    Some(read.page_size),
                    state.as_deref(),
                    budget.into(),
                    read,
                );
                plant(None);
                self.reads += 1;
                let Ok(page) = page else {
                    // What can't be paged is told by one as by several.
                    let alone = self.single.page(
                        &planned,
                        &[],
                        Some(read.page_size),
                        state.as_deref(),
                        budget,
                    );
                    prop_assert!(alone.is_err(), "{}: {:?}", &read.cql, page);
                    return Ok(());
                };
                let fits = page.rows.len() <= read.page_size as usize;
                prop_assert!(fits || comes_whole, "{}: {:?}", &read.cql, page.rows);
                rows.extend(page.rows);
                state = page.paging_state;
                if state.is_none() || rows.len() > expected.rows.len() + 10 {
                    break;
                }
            }
            prop_assert_eq!(
                &rows,
                &expected.rows,
                "{} in pages of {}, {:?}",
                &read.cql,
                read.page_size,
                budget
            );
        }
        Ok(())
    }

    fn digest_of(&self, bench: &Bench) -> Digest {
        let command = ReadCommand {
            table: self.table(),
            intervals: vec![KeyInterval { lower: vec![], upper: vec![], partition_len: None }],
            direction: Direction::Forward,
            limits: ReadLimits { rows: None, bytes: u32::MAX },
            now: self.now.load(Ordering::Relaxed),
            answer: AnswerKind::Data,
        };
        digest(&bench.engine().table(command.table).unwrap().pages(&command).unwrap())
    }

    /// After everything was read once, with repairs, all have all.
    fn repair(&mut self) -> Result<(), TestCaseError> {
        let planned = self.single.plan("SELECT * FROM m").unwrap();
        let read = Read {
            cql: "SELECT * FROM m".to_string(),
            can_be_paged: true,
            page_size: 1,
            entries: 1,
            bytes: 200,
            work: u64::MAX,
            order: 1,
            repairs: true,
        };
        self.page(&planned, None, None, ReadBudget::UNLIMITED.into(), &read).unwrap();
        let expected = self.digest_of(&self.single);
        for (index, node) in self.nodes.iter().enumerate() {
            prop_assert_eq!(self.digest_of(node), expected, "replica {}", index);
        }
        let repairs = self.repairs;
        self.page(&planned, None, None, ReadBudget::UNLIMITED.into(), &read).unwrap();
        prop_assert_eq!(self.repairs, repairs, "what is repaired is not repaired again");
        Ok(())
    }
}

fn config(usual: u32) -> ProptestConfig {
    let factor = std::env::var("THOLOS_CASES").ok().and_then(|factor| factor.parse().ok());
    let mut config = ProptestConfig {
        cases: usual.saturating_mul(factor.unwrap_or(1)),
        failure_persistence: None,
        max_shrink_iters: 0,
        ..ProptestConfig::default()
    };
    // The usual run is the same every time; the long one looks for more, or takes the seed that it is given.
    if factor.is_none() {
        config.rng_seed = RngSeed::Fixed(7);
    }
    config
}

fn run(
    count: usize,
    steps: &[Step],
    reads: &[Read],
    bug: Option<Planted>,
) -> Result<Replicas, TestCaseError> {
    plant(None);
    let mut replicas = Replicas::new(count);
    for step in steps {
        replicas.apply(step);
    }
    for read in reads {
        replicas.check(read, bug)?;
    }
    Ok(replicas)
}

/// More pages than any read here has: each walks an entry at least, and there are some hundred.
const MOST_PAGES: u32 = 2_000;

#[test]
fn merged_is_single() {
    let mut runner = TestRunner::new(config(8));
    let (reads_done, rounds, repairs) = (AtomicI64::new(0), AtomicI64::new(0), AtomicI64::new(0));
    let result = runner.run(&(2..6usize, steps(), vec(reads(), 20)), |(count, steps, reads)| {
        let mut replicas = run(count, &steps, &reads, None)?;
        replicas.repair()?;
        reads_done.fetch_add(replicas.reads as i64, Ordering::Relaxed);
        rounds.fetch_add(replicas.rounds as i64, Ordering::Relaxed);
        repairs.fetch_add(replicas.repairs as i64, Ordering::Relaxed);
        Ok(())
    });
    if let Err(error) = result {
        panic!("{error}");
    }
    println!("{reads_done:?} reads in {rounds:?} rounds, {repairs:?} repairs");
}

#[test]
fn broken_rules_of_merged_reads_are_noticed() {
    for bug in [
        Planted::RowsBeyondTheLeastKey,
        Planted::TombstonesLeftOutOfPages,
        Planted::LimitsBeforeFilter,
    ] {
        let config = ProptestConfig { max_shrink_iters: 0, ..config(40) };
        let mut runner = TestRunner::new(config);
        let found = runner.run(&(2..6usize, steps(), vec(reads(), 20)), |(count, steps, reads)| {
            run(count, &steps, &reads, Some(bug)).map(drop)
        });
        assert!(found.is_err(), "{bug:?} was not noticed");
    }
}

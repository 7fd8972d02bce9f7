//! Pages of replicas: what several of them say together is what one that had all writes would say.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use tholos_storage::model::entry::Direction;
use tholos_storage::model::mutation::Mutation;
use tholos_storage::model::read::{KeyInterval, ReadLimits};
use tholos_storage::planted::{Planted, plant};
use tholos_storage::read::budget::{PageBudget, ReadBudget};
use tholos_storage::read::merge::MergeCursor;
use tholos_storage::read::page::{Page, digest};
use tholos_storage::read::page_maker::{PageMaker, PageRules};
use tholos_storage::read::repair::repairs;
use tholos_storage::read::run::MergedRun;
use tholos_storage::read::source::Source;

use crate::cases;
use crate::database::Seen;
use crate::generate::{STILL, TABLE, all_partitions, mutations, scan_bounds};
use crate::observe::{live, memtable, on_disk, stream};

/// When a replica stops.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stops {
    limits: ReadLimits,
    budget: PageBudget,
}

const NO_LIMITS: ReadLimits = ReadLimits { rows: None, bytes: u32::MAX };
const UNLIMITED: Stops = Stops { limits: NO_LIMITS, budget: PageBudget::UNLIMITED };

/// A write, a bit for each replica that got it, and in which of a replica's sources it is.
pub(crate) type Write = (Mutation, u8, usize);

pub(crate) fn writes() -> impl Strategy<Value = Vec<Write>> {
    vec((mutations(STILL), 1..8_u8, 0..3_usize), 1..24)
}

/// What a replica with these writes has: in memory and on disk.
pub(crate) fn sources<'a>(
    writes: impl Iterator<Item = &'a Write> + Clone,
    count: usize,
) -> Vec<Source> {
    let of = |source: usize| {
        let here = writes.clone().filter(move |(_, _, at)| at % count == source);
        memtable(here.map(|(write, ..)| write))
    };
    (0..count).map(|source| if source == 1 { on_disk(of(source)).0 } else { of(source) }).collect()
}

pub(crate) fn page(
    sources: &[Source],
    interval: &KeyInterval,
    direction: Direction,
    stops: Stops,
    now: i64,
) -> Page {
    let rules = PageRules { now, gc_before: i64::MIN, columns: None, floors: None };
    let mut maker = PageMaker::new(rules, stops.limits, stops.budget);
    let walk = |interval: &KeyInterval| {
        MergeCursor::open(sources.to_vec(), &interval.lower, &interval.upper, direction)
    };
    let page = maker.pages(std::slice::from_ref(interval), direction, walk).unwrap().remove(0);
    let mut bytes = Vec::new();
    page.encode(&mut bytes);
    let mut input = bytes.as_slice();
    let back = Page::decode(&mut input).unwrap();
    assert!(input.is_empty());
    assert!(page.answers(interval, direction));
    assert_eq!(digest(&[page]), digest(std::slice::from_ref(&back)));
    back
}

/// An interval between two bounds; in reverse only within one partition.
fn interval(a: &[u8], b: &[u8]) -> KeyInterval {
    let (lower, upper) = if b.is_empty() || a < b { (a, b) } else { (b, a) };
    let partitions = all_partitions();
    let inside = partitions.iter().find(|p| lower.starts_with(p)).map(Vec::len);
    KeyInterval { lower: lower.to_vec(), upper: upper.to_vec(), partition_len: inside }
}

/// What is left of an interval behind a run.
fn rest(interval: &KeyInterval, run: &MergedRun, direction: Direction) -> KeyInterval {
    match direction {
        Direction::Forward => self::interval(run.upper(), &interval.upper),
        Direction::Reverse => KeyInterval { upper: run.lower().to_vec(), ..interval.clone() },
    }
}

fn entries(run: &MergedRun, lower: &[u8], upper: &[u8], direction: Direction) -> Vec<Seen> {
    let pages: Vec<Source> =
        run.pages().iter().map(|page| Source::Page(Arc::clone(page))).collect();
    stream(&pages, lower, upper, direction).unwrap()
}

struct Case<'a> {
    writes: &'a [Write],
    interval: KeyInterval,
    direction: Direction,
    stops: Stops,
    now: i64,
}

/// Reads an interval from three replicas piece by piece; what is wrong, if anything is.
fn check(case: &Case<'_>) -> Result<(), TestCaseError> {
    let Case { writes, interval, direction, stops, now } = case;
    let replica = |bit: u8| sources(writes.iter().filter(move |(_, to, _)| to & bit != 0), 2);
    let mut replicas = [1, 2, 4].map(replica);
    let all = sources(writes.iter(), 3);
    let mut interval = interval.clone();
    for _ in 0..1_000 {
        let pages = replicas
            .each_ref()
            .map(|sources| Arc::new(page(sources, &interval, *direction, *stops, *now)));
        let run = MergedRun::new(pages).unwrap();
        plant(None);
        let truth = page(&all, &interval, *direction, UNLIMITED, *now);
        let truth = MergedRun::new([Arc::new(truth)]).unwrap();
        let (lower, upper) = (run.lower(), run.upper());
        let rows = |run: &MergedRun| {
            let rows = run.rows(lower, upper, *direction, *now).unwrap().unwrap();
            live(rows, *direction, *now).unwrap()
        };
        prop_assert_eq!(rows(&run), rows(&truth));
        // What expired loses its value in pages, so what is not seen may differ then.
        if *now <= STILL.now {
            for way in [Direction::Forward, Direction::Reverse] {
                let (found, expected) =
                    (entries(&run, lower, upper, way), entries(&truth, lower, upper, way));
                prop_assert_eq!(found, expected, "{:?}", way);
            }
            repaired(&run, &interval, &mut replicas, &all, *now)?;
        }
        interval = rest(&interval, &run, *direction);
        if !run.is_cut() || interval.is_empty() {
            return whole(case, &replicas, &all);
        }
    }
    Err(TestCaseError::fail("pages without end"))
}

/// After its repairs each replica has the rows that all have together, where the run is good.
fn repaired(
    run: &MergedRun,
    asked: &KeyInterval,
    replicas: &mut [Vec<Source>; 3],
    all: &[Source],
    now: i64,
) -> Result<(), TestCaseError> {
    let good = interval(run.lower(), run.upper());
    if good.is_empty() {
        return Ok(());
    }
    // Which deletions there are is the same only where no bound cuts one: rows are what one can tell.
    let rows = |sources: &[Source]| {
        let page = page(sources, &good, Direction::Forward, UNLIMITED, now);
        let source = Source::Page(Arc::new(page));
        let mut all = stream(&[source], &good.lower, &good.upper, Direction::Forward).unwrap();
        all.retain(|seen| !matches!(seen, Seen::Marker(..)));
        all
    };
    let expected = rows(all);
    for (at, replica) in replicas.iter_mut().enumerate() {
        let mutations = repairs(TABLE, run, asked, at).unwrap();
        replica.push(memtable(mutations.iter()));
        prop_assert_eq!(rows(replica), expected.clone(), "repairs {:?}", mutations);
    }
    Ok(())
}

/// After all of it was read, each replica has all that there is.
fn whole(
    case: &Case<'_>,
    replicas: &[Vec<Source>; 3],
    all: &[Source],
) -> Result<(), TestCaseError> {
    let Case { interval, now, .. } = case;
    let inside = |bound: &[u8]| all_partitions().iter().any(|p| bound.starts_with(p));
    if *now > STILL.now || inside(&interval.lower) || inside(&interval.upper) {
        return Ok(());
    }
    let of = |sources: &[Source]| {
        digest(&[page(sources, interval, Direction::Forward, UNLIMITED, *now)])
    };
    for replica in replicas {
        prop_assert_eq!(of(replica), of(all));
    }
    Ok(())
}

fn limits() -> impl Strategy<Value = ReadLimits> {
    prop_oneof![
        2 => Just(NO_LIMITS),
        4 => (1..4_u32).prop_map(|rows| ReadLimits { rows: Some(rows), bytes: u32::MAX }),
        4 => (1..120_u32).prop_map(|bytes| ReadLimits { rows: None, bytes }),
    ]
}

/// What replicas of equal content stop at in the same place.
fn limits_alone() -> impl Strategy<Value = Stops> {
    limits().prop_map(|limits| Stops { limits, ..UNLIMITED })
}

/// Limits and work, which is more for one replica than for another.
pub(crate) fn stops() -> impl Strategy<Value = Stops> {
    let spent = |most: u64| prop_oneof![Just(u64::MAX), 1..most];
    (limits(), spent(6), spent(4)).prop_map(|(limits, entries, tombstones)| {
        let page = ReadBudget { entries, tombstones, bytes: u64::MAX };
        Stops { limits, budget: PageBudget { page, ..PageBudget::UNLIMITED } }
    })
}

pub(crate) fn reads(
    stops: impl Strategy<Value = Stops>,
) -> impl Strategy<Value = (KeyInterval, Direction, Stops, i64)> {
    (scan_bounds(), scan_bounds(), any::<bool>(), stops, 8..16_i64).prop_map(
        |(a, b, reverse, stops, now)| {
            let interval = interval(&a, &b);
            let reverse = reverse && interval.is_of_one_partition();
            let direction = if reverse { Direction::Reverse } else { Direction::Forward };
            (interval, direction, stops, now)
        },
    )
}

proptest! {
    #![proptest_config(cases(1_024))]

    #[test]
    fn replicas_together_say_what_one_with_all_writes_says(writes in writes(), read in reads(stops())) {
        let (interval, direction, stops, now) = read;
        prop_assume!(!interval.is_empty());
        check(&Case { writes: &writes, interval, direction, stops, now })?;
    }

    #[test]
    fn equal_content_has_equal_digests(writes in writes(), read in reads(limits_alone()), a in 1..4_usize, b in 1..4_usize) {
        let (interval, direction, stops, now) = read;
        prop_assume!(!interval.is_empty());
        let of = |count| page(&sources(writes.iter(), count), &interval, direction, stops, now);
        prop_assert_eq!(digest(&[of(a)]), digest(&[of(b)]));
    }

    #[test]
    fn any_bytes_are_a_page_or_an_error(writes in writes(), at: prop::sample::Index, byte: u8, cut: bool) {
        let interval = KeyInterval { lower: vec![], upper: vec![], partition_len: None };
        let page = page(&sources(writes.iter(), 1), &interval, Direction::Forward, UNLIMITED, 10);
        let mut bytes = Vec::new();
        page.encode(&mut bytes);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if cut {
            bytes.truncate(at);
        }
        if let Ok(page) = Page::decode(&mut bytes.as_slice()) {
            for direction in [Direction::Forward, Direction::Reverse] {
                let source = Source::Page(Arc::new(page.clone()));
                stream(&[source], page.lower(), page.upper(), direction).unwrap();
            }
        }
    }
}

/// Rules broken on purpose are noticed.
#[test]
fn broken_rules_of_pages_are_noticed() {
    for bug in [
        Planted::RowsBeyondTheLeastKey,
        Planted::TombstonesLeftOutOfPages,
        Planted::LimitsBeforeFilter,
        Planted::SpentPagesAreWhole,
    ] {
        let mut runner = proptest::test_runner::TestRunner::new(cases(512));
        let found = runner.run(&(writes(), reads(stops())), |(writes, read)| {
            let (interval, direction, stops, now) = read;
            prop_assume!(!interval.is_empty());
            plant(Some(bug));
            let result = check(&Case { writes: &writes, interval, direction, stops, now });
            plant(None);
            result
        });
        assert!(found.is_err(), "{bug:?} was not noticed");
    }
}

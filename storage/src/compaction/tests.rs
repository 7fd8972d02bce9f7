//! The strategies over figures alone.

mod crowds;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use proptest::prelude::*;

use super::{Strategy as _, *};
use crate::model::Timestamp;

const MIB: u64 = 1 << 20;
const CALM: Moment = Moment { now: 1_000, gc_before: 0, memory: Timestamp::MAX };

fn options(class: &str, given: &[(&str, &str)]) -> Unified {
    let mut map: BTreeMap<String, String> =
        given.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    map.insert("class".into(), class.into());
    CompactionOptions::of(&map).strategy
}

fn size_tiered() -> Unified {
    options("SizeTieredCompactionStrategy", &[])
}

/// A file over the whole ring.
fn file(number: FileNumber, mib: u64) -> FileStats {
    FileStats {
        number,
        bytes: mib * MIB,
        slices: 1,
        first: i64::MIN,
        last: i64::MAX,
        min_timestamp: 1,
        max_timestamp: 100,
        max_deleted_at: Seconds::MAX,
        cells: 1_000,
        old_tombstones: 0,
        held: false,
    }
}

/// A file in one of so many slices.
fn fragment(number: FileNumber, mib: u64, slice: u32, slices: u32) -> FileStats {
    let width = (1_i128 << 64) / i128::from(slices);
    let first = i128::from(i64::MIN) + i128::from(slice) * width;
    let (first, last) = (first as i64, (first + width - 1) as i64);
    FileStats { slices, first, last, ..file(number, mib) }
}

fn files(sizes: &[u64]) -> Vec<FileStats> {
    sizes.iter().zip(1..).map(|(mib, number)| file(number, *mib)).collect()
}

fn picked(strategy: &Unified, files: &[FileStats]) -> Option<Vec<u64>> {
    strategy.pick(files, CALM).map(|job| job.inputs)
}

#[test]
fn files_of_a_size_go_together() {
    let picked = |sizes: &[u64]| picked(&size_tiered(), &files(sizes));
    assert_eq!(picked(&[]), None);
    assert_eq!(picked(&[100, 100, 100]), None, "too few");
    assert_eq!(picked(&[100, 110, 90, 105]), Some(vec![1, 2, 3, 4]));
    assert_eq!(picked(&[100, 400, 1600, 6400]), None, "all of different sizes");
    assert_eq!(picked(&[1000, 100, 110, 90, 105]), Some(vec![2, 3, 4, 5]), "without the big one");
    assert_eq!(picked(&[4, 49, 20, 5]), Some(vec![1, 2, 3, 4]), "small files are of one size");
    assert_eq!(picked(&[1, 49, 20, 5]), None, "but not a sixteenth of another");
    let two_buckets = [200, 210, 190, 205, 1000, 1010, 990, 1005];
    assert_eq!(picked(&two_buckets), Some(vec![1, 2, 3, 4]), "smaller ones first");
    let many_large = [200, 210, 190, 205, 900, 910, 890, 905, 900, 910, 890, 905];
    assert_eq!(picked(&many_large).map(|inputs| inputs[0]), Some(5), "but not for ever");
    assert_eq!(picked(&[1; 40]).map(|inputs| inputs.len()), Some(32));
}

#[test]
fn the_backlog_is_what_is_ready() {
    assert_eq!(size_tiered().backlog(&files(&[100, 110, 90, 105, 1000]), CALM), 405 * MIB);
    assert_eq!(size_tiered().backlog(&files(&[100, 1000]), CALM), 0);
}

#[test]
fn fragments_of_a_run_count_as_one_and_are_merged_slice_by_slice() {
    // Four runs of 4 GiB in four fragments each.
    let runs = |slices: u32| -> Vec<FileStats> {
        let fragment = |number: u64| {
            let slice = (number % u64::from(slices)) as u32;
            fragment(number, 4096 / u64::from(slices), slice, slices)
        };
        (0..4 * u64::from(slices)).map(fragment).collect()
    };
    let job = size_tiered().pick(&runs(4), CALM).unwrap();
    assert_eq!(job.inputs.len(), 4, "those over one slice: {job:?}");
    let residues: Vec<u64> = job.inputs.iter().map(|number| number % 4).collect();
    assert!(residues.iter().all(|residue| *residue == residues[0]), "{job:?}");
    assert_eq!((job.bytes, job.slices), (4096 * MIB, 16), "in fragments of a GiB at most");
    let mut with_small = runs(4);
    with_small.extend([file(100, 900), file(101, 950), file(102, 1000)]);
    let job = size_tiered().pick(&with_small, CALM).unwrap();
    assert!(job.inputs.iter().all(|number| *number < 100), "a GiB of a quarter is no GiB: {job:?}");
}

#[test]
fn who_is_held_is_left_alone() {
    let mut files = files(&[100, 100, 100, 100]);
    files[0].held = true;
    assert_eq!(picked(&size_tiered(), &files), None);
}

#[test]
fn leveled_keeps_one_run_per_level() {
    let leveled = options("LeveledCompactionStrategy", &[]);
    assert_eq!(picked(&leveled, &files(&[60, 60, 60])), None, "what is flushed is gathered first");
    assert_eq!(picked(&leveled, &files(&[60, 60, 60, 60])), Some(vec![1, 2, 3, 4]));
    assert_eq!(picked(&leveled, &files(&[240, 240])), Some(vec![1, 2]), "one run per level");
    assert_eq!(picked(&leveled, &files(&[240, 2_000])), None);
    let job = leveled.pick(&files(&[700, 700]), CALM).unwrap();
    assert_eq!(job.slices, 16, "fragments of 160 MiB: 1400 / 160, as a power of two");
    // One new fragment over two old ones: only what overlaps is written anew.
    let level = [
        fragment(1, 150, 0, 16),
        fragment(2, 150, 1, 16),
        fragment(3, 150, 2, 16),
        fragment(4, 250, 0, 8),
    ];
    assert_eq!(picked(&leveled, &level), Some(vec![1, 2, 4]));
}

#[test]
fn windows_are_merged_once_they_are_over() {
    let given = [("compaction_window_unit", "HOURS"), ("compaction_window_size", "2")];
    let strategy = options("TimeWindowCompactionStrategy", &given);
    let hour = 3_600_000_000;
    let at = |number, hours: i64| FileStats {
        min_timestamp: hours * hour,
        max_timestamp: hours * hour + 1,
        ..file(number, 10)
    };
    assert_eq!(strategy.window(&at(1, 3)), Window(1));
    assert_eq!(picked(&strategy, &[at(1, 2), at(2, 3)]), None, "the newest is size-tiered");
    assert_eq!(picked(&strategy, &[at(1, 2), at(2, 3), at(3, 4)]), Some(vec![1, 2]));
    assert_eq!(picked(&strategy, &[at(1, 1), at(2, 3), at(3, 5)]), None, "never across windows");
    let newest: Vec<FileStats> = (1..=4).map(|number| at(number, 5)).collect();
    assert_eq!(picked(&strategy, &newest), Some(vec![1, 2, 3, 4]));
}

#[test]
fn expired_files_go_whole_unless_they_hide_something() {
    let strategy = size_tiered();
    let moment = Moment { now: 1_000, gc_before: 500, memory: Timestamp::MAX };
    let over = |number, min_timestamp, max_timestamp| FileStats {
        min_timestamp,
        max_timestamp,
        max_deleted_at: 499,
        ..file(number, 10)
    };
    let live = |number, min_timestamp| FileStats { min_timestamp, ..file(number, 10) };
    let expired = |files: &[FileStats], moment| {
        let job = strategy.pick(files, moment).filter(|job| job.kind == JobKind::Expired);
        job.map(|job| job.inputs)
    };
    assert_eq!(expired(&[over(1, 10, 20), live(2, 21)], moment), Some(vec![1]));
    assert_eq!(expired(&[over(1, 10, 20), live(2, 20)], moment), None, "equal is not newer");
    let in_memory = Moment { memory: 15, ..moment };
    assert_eq!(expired(&[over(1, 10, 20)], in_memory), None, "memtables count");
    // 1 must stay because of the live file, and hides nothing in 2; but 2 hides something in 1.
    let chain = [over(1, 10, 20), over(2, 15, 40), live(3, 20)];
    assert_eq!(expired(&chain, moment), None, "what stays keeps others");
    let held = FileStats { held: true, ..over(1, 10, 20) };
    assert_eq!(expired(&[held, over(2, 15, 40)], moment), None, "held files hide too");
    let elsewhere = [
        FileStats { first: 0, last: 5, ..over(1, 10, 20) },
        FileStats { first: 6, last: 9, ..live(2, 5) },
    ];
    assert_eq!(expired(&elsewhere, moment), Some(vec![1]), "no partition in common");
    let blind = options(
        "TimeWindowCompactionStrategy",
        &[("unsafe_aggressive_sstable_expiration", "true")],
    );
    let job = blind.pick(&[over(1, 10, 20), live(2, 20)], moment).unwrap();
    assert_eq!((job.kind, job.inputs), (JobKind::Expired, vec![1]));
}

#[test]
fn a_file_full_of_tombstones_goes_alone_if_all_of_them_would_go() {
    let full = |number, min_timestamp, max_timestamp| FileStats {
        min_timestamp,
        max_timestamp,
        old_tombstones: 300,
        ..file(number, 10)
    };
    let tombstones = |files: &[FileStats]| {
        let job = size_tiered().pick(files, CALM).filter(|job| job.kind == JobKind::Tombstones);
        job.map(|job| job.inputs)
    };
    assert_eq!(tombstones(&[full(1, 10, 20)]), Some(vec![1]));
    assert_eq!(tombstones(&[FileStats { old_tombstones: 200, ..full(1, 10, 20) }]), None);
    let older = FileStats { min_timestamp: 5, max_timestamp: 6, ..file(2, 1_000) };
    assert_eq!(tombstones(&[full(1, 10, 20), older]), None, "they are still needed");
    let newer = FileStats { min_timestamp: 21, ..file(2, 1_000) };
    assert_eq!(tombstones(&[full(1, 10, 20), newer]), Some(vec![1]));
    assert_eq!(CALM.gc_before, 0);
}

#[test]
fn old_is_what_a_compaction_forgets() {
    let statistics = crate::sstable::Statistics {
        tombstone_times: vec![(499, 10), (500, 300)],
        min_key: vec![0; 9],
        max_key: vec![0; 9],
        ..Default::default()
    };
    let file = TableFile { number: 1, run: 1, slices: 1, repaired_at: 0, statistics };
    assert_eq!(FileStats::of(&file, 500).old_tombstones, 10, "at gc_before is not before it");
    assert_eq!(FileStats::of(&file, 501).old_tombstones, 310);
}

#[test]
fn scaling_parameters_are_read() {
    let step = |fan, threshold| Step { fan, threshold };
    assert_eq!(
        scaling_steps("T4, L10, N, 2, -8, 0"),
        Ok(vec![step(4, 4), step(10, 2), step(2, 2), step(4, 4), step(10, 2), step(2, 2)])
    );
    for wrong in ["", "T", "T1", "X3", "T4,,L4", "1.5", "L-4"] {
        assert!(scaling_steps(wrong).is_err(), "{wrong}");
    }
    assert_eq!(size_in_bytes("1GiB"), Some(1 << 30));
    assert_eq!(size_in_bytes("100 MB"), Some(100 << 20));
    assert_eq!(size_in_bytes("1.5k"), Some(1536));
    assert_eq!(size_in_bytes("12"), Some(12));
    assert_eq!(size_in_bytes("GiB"), None);
    assert_eq!(size_in_bytes("1 parsec"), None);
}

#[test]
fn a_slow_thread_is_not_slowed_further() {
    #[derive(Debug)]
    struct At(i64);
    impl crate::engine::Clock for At {
        fn now_micros(&self) -> i64 {
            self.0
        }
    }
    let rate = || Some(MIB);
    let mut pace = Pace::default();
    assert_eq!(pace.moved(1_000, &At(0), rate), None, "not worth a look at the clock");
    assert_eq!(pace.moved(MIB / 4 - 1_000, &At(10_000_000), rate), Some(0), "the first is free");
    assert_eq!(pace.moved(MIB / 4, &At(10_100_000), rate), Some(150_000), "a quarter second each");
    assert_eq!(pace.moved(MIB / 4, &At(10_500_000), rate), Some(0), "already late");
    assert_eq!(pace.moved(MIB / 4, &At(1_000_000), rate), Some(250_000), "a clock set back");
    assert_eq!(pace.moved(MIB / 4, &At(10_600_000), || None), None, "no limit");
    assert_eq!(bytes_per_second(0, 0), None);
    assert_eq!(bytes_per_second(64 * MIB, 100 * MIB), Some(64 * MIB));
    assert_eq!(bytes_per_second(64 * MIB, 512 * MIB), Some(128 * MIB));
    assert_eq!(bytes_per_second(64 * MIB, 5_000 * MIB), None);
}

/// Runs a strategy over flushes of one size until nothing is left to do after each; every job writes all of its inputs.
struct Simulated {
    files: Vec<FileStats>,
    next: FileNumber,
    flushed: u64,
    written: u64,
    deepest: usize,
}

impl Simulated {
    fn run(strategy: &Unified, flushes: u64, mib: u64) -> Simulated {
        let mut table =
            Simulated { files: Vec::new(), next: 1, flushed: 0, written: 0, deepest: 0 };
        for _ in 0..flushes {
            table.flush(mib);
            while let Some(job) = strategy.pick(&table.files, CALM) {
                table.compact(&job);
            }
            let over = |token: i64| {
                let lies_over = |file: &&FileStats| file.first <= token && token <= file.last;
                table.files.iter().filter(lies_over).count()
            };
            table.deepest = table.deepest.max(over(i64::MIN)).max(over(i64::MAX));
        }
        table
    }

    fn flush(&mut self, mib: u64) {
        self.files.push(file(self.next, mib));
        self.next += 1;
        self.flushed += mib * MIB;
    }

    fn compact(&mut self, job: &Job) {
        let is_input = |file: &FileStats| job.inputs.contains(&file.number);
        let inputs: Vec<FileStats> = self.files.iter().copied().filter(is_input).collect();
        self.files.retain(|file| !is_input(file));
        let first = inputs.iter().map(|file| file.first).min().unwrap();
        let last = inputs.iter().map(|file| file.last).max().unwrap();
        let slices = (0..job.slices).map(|slice| fragment(0, 1, slice, job.slices));
        let covered: Vec<FileStats> =
            slices.filter(|slice| slice.first <= last && first <= slice.last).collect();
        let count = covered.len() as u64;
        for slice in covered {
            self.files.push(FileStats { number: self.next, bytes: job.bytes / count, ..slice });
            self.next += 1;
        }
        self.written += job.bytes;
    }

    fn summary(&self) -> String {
        format!(
            "written {:.1}x, at most {} files over a place, {} files at the end",
            (self.written + self.flushed) as f64 / self.flushed as f64,
            self.deepest,
            self.files.len()
        )
    }
}

/// What the strategies cost and give, over 30 GiB in flushes of 60 MiB. Golden: a change here is a change of behaviour.
#[test]
fn costs_are_as_they_were() {
    let mut out = String::new();
    for (name, class, given) in [
        ("size-tiered", "SizeTieredCompactionStrategy", vec![]),
        ("leveled", "LeveledCompactionStrategy", vec![]),
        ("unified T4", "UnifiedCompactionStrategy", vec![]),
        ("unified L10", "UnifiedCompactionStrategy", vec![("scaling_parameters", "L10")]),
        ("unified T8", "UnifiedCompactionStrategy", vec![("scaling_parameters", "T8")]),
    ] {
        let simulated = Simulated::run(&options(class, &given), 512, 60);
        let _ = writeln!(out, "{name}: {}", simulated.summary());
    }
    assert_eq!(out, include_str!("costs.golden"));
}

proptest! {
    #[test]
    fn order_does_not_matter_and_it_ends(
        sizes in prop::collection::vec((1..5000_u64, 0..6_u32), 0..40),
        class in prop::sample::select(vec![
            "SizeTieredCompactionStrategy", "LeveledCompactionStrategy", "UnifiedCompactionStrategy",
        ]),
    ) {
        let strategy = options(class, &[]);
        let cut = |((mib, bits), number): (&(u64, u32), u64)| {
            fragment(number, *mib, *mib as u32 % (1 << bits), 1 << bits)
        };
        let mut files: Vec<FileStats> = sizes.iter().zip(1..).map(cut).collect();
        let picked = strategy.pick(&files, CALM);
        files.reverse();
        prop_assert_eq!(&strategy.pick(&files, CALM), &picked);
        let mut table = Simulated { files, next: 1000, flushed: 1, written: 0, deepest: 0 };
        let mut jobs = 0;
        while let Some(job) = strategy.pick(&table.files, CALM) {
            prop_assert!(job.inputs.len() >= 2);
            table.compact(&job);
            jobs += 1;
            prop_assert!(jobs < 1_000, "it goes on and on");
        }
        prop_assert_eq!(strategy.backlog(&table.files, CALM), 0);
    }
}

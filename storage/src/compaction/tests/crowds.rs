//! The number of files follows from their bytes, not from the number of flushes: tables whose files don't overlap.

use std::collections::BTreeMap;

use super::*;
use crate::compaction::slices::slice_of;

/// What a file takes beside its partitions: filter, index, statistics, footer.
const FILE_BYTES: u64 = 1_000;
const DAY: i64 = 86_400_000_000;
const CLASSES: [(&str, &[(&str, &str)]); 6] = [
    ("SizeTieredCompactionStrategy", &[]),
    ("LeveledCompactionStrategy", &[]),
    ("TimeWindowCompactionStrategy", &[]),
    ("UnifiedCompactionStrategy", &[]),
    ("UnifiedCompactionStrategy", &[("scaling_parameters", "L10")]),
    ("UnifiedCompactionStrategy", &[("scaling_parameters", "T8")]),
];

/// Bytes by token.
type Partitions = BTreeMap<i64, u64>;

/// A table whose files are known partition by partition.
struct Table {
    strategy: Unified,
    files: Vec<(FileStats, Partitions)>,
    next: FileNumber,
    flushed: u64,
    written: u64,
}

impl Table {
    fn new(class: &str, given: &[(&str, &str)]) -> Table {
        let strategy = options(class, given);
        Table { strategy, files: Vec::new(), next: 1, flushed: 0, written: 0 }
    }

    fn stats(&self) -> Vec<FileStats> {
        self.files.iter().map(|(stats, _)| *stats).collect()
    }

    fn add(&mut self, partitions: Partitions, like: FileStats) {
        let (Some((first, _)), Some((last, _))) =
            (partitions.first_key_value(), partitions.last_key_value())
        else {
            return;
        };
        let bytes = FILE_BYTES + partitions.values().sum::<u64>();
        let stats = FileStats { number: self.next, bytes, first: *first, last: *last, ..like };
        self.next += 1;
        self.files.push((stats, partitions));
    }

    /// A flush, and the compactions that follow.
    fn flush(&mut self, partitions: Partitions, like: FileStats) {
        self.flushed += FILE_BYTES + partitions.values().sum::<u64>();
        self.add(partitions, FileStats { slices: 1, ..like });
        self.settle();
    }

    fn settle(&mut self) {
        let mut jobs = 0;
        while let Some(job) = self.strategy.pick(&self.stats(), CALM) {
            self.compact(&job);
            jobs += 1;
            assert!(jobs < 1_000, "it goes on and on: {job:?}");
        }
        assert_eq!(self.strategy.backlog(&self.stats(), CALM), 0);
    }

    fn compact(&mut self, job: &Job) {
        let is_input =
            |(stats, _): &mut (FileStats, Partitions)| job.inputs.contains(&stats.number);
        let inputs: Vec<(FileStats, Partitions)> = self.files.extract_if(.., is_input).collect();
        let like = FileStats {
            slices: job.slices,
            min_timestamp: inputs.iter().map(|(file, _)| file.min_timestamp).min().unwrap(),
            max_timestamp: inputs.iter().map(|(file, _)| file.max_timestamp).max().unwrap(),
            max_deleted_at: inputs.iter().map(|(file, _)| file.max_deleted_at).max().unwrap(),
            ..inputs[0].0
        };
        self.written += inputs.iter().map(|(file, _)| file.bytes).sum::<u64>();
        let mut merged = Partitions::new();
        for (token, bytes) in inputs.into_iter().flat_map(|(_, partitions)| partitions) {
            *merged.entry(token).or_default() += bytes;
        }
        let mut output = Partitions::new();
        for (token, bytes) in merged {
            let other_slice = output.last_key_value().is_some_and(|(last, _)| {
                slice_of(*last, job.slices) != slice_of(token, job.slices)
            });
            if other_slice || output.values().sum::<u64>() >= self.strategy.fragment_bytes {
                self.add(std::mem::take(&mut output), like);
            }
            output.insert(token, bytes);
        }
        self.add(output, like);
    }

    /// What any sequence of flushes must leave: a few small files of each tier, and large ones; and each byte written
    /// once per tier, as it is where files overlap.
    fn assert_bounded(&self, what: &str) {
        let bytes: u64 = self.files.iter().map(|(file, _)| file.bytes).sum();
        let tiers = 2 + u64::from((bytes >> 14).checked_ilog(4).unwrap_or(0));
        let most = tiers * 7 + bytes / (8 * MIB);
        let count = self.files.len() as u64;
        assert!(count <= most, "{what}: {count} files for {bytes} bytes, not {most}");
        let times = self.written as f64 / self.flushed as f64;
        let limit = 4.0 + 4.0 * tiers as f64;
        assert!(times <= limit, "{what}: written {times} times, {tiers} tiers");
    }
}

/// Some number that looks random, the same each time.
fn spread(number: u64) -> u64 {
    let mixed = (number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
}

fn forever() -> FileStats {
    file(0, 0)
}

#[test]
fn flushes_of_one_new_partition_each_leave_few_files() {
    for (class, given) in CLASSES {
        for bytes in [100, 20_000, 3 * MIB] {
            let mut ascending = Table::new(class, given);
            let mut random = Table::new(class, given);
            for number in 0..1_500_u64 {
                let token = (i64::MIN + 10).wrapping_add((number as i64) << 50);
                ascending.flush([(token, bytes)].into(), forever());
                random.flush([(spread(number) as i64, bytes)].into(), forever());
            }
            ascending.assert_bounded(&format!("{class} {given:?}, {bytes} bytes, ascending"));
            random.assert_bounded(&format!("{class} {given:?}, {bytes} bytes, random"));
        }
    }
}

#[test]
fn flushes_of_a_few_partitions_leave_few_files() {
    for (class, given) in CLASSES {
        for partitions in [3, 40] {
            let mut table = Table::new(class, given);
            for number in 0..1_500_u64 {
                let random = spread(number);
                let token = spread(random % partitions) as i64;
                // Large ones among many small ones.
                let bytes = if random.is_multiple_of(10) { MIB } else { 500 };
                table.flush([(token, bytes)].into(), forever());
            }
            table.assert_bounded(&format!("{class} {given:?}, {partitions} partitions"));
        }
    }
}

#[test]
fn files_that_were_left_to_lie_are_gathered() {
    for (class, given) in CLASSES {
        let mut table = Table::new(class, given);
        for number in 0..2_000_u64 {
            let partitions: Partitions = [(spread(number) as i64, 5_000)].into();
            table.flushed += 6_000;
            table.add(partitions, forever());
        }
        // What compactions of a large table leave if most of it expires: fragments of nothing.
        for slice in 0..256_u32 {
            let place = fragment(0, 0, slice, 256);
            table.flushed += 1_500;
            table.add([(place.first, 200), (place.last, 300)].into(), place);
        }
        table.settle();
        table.assert_bounded(&format!("{class} {given:?}"));
        assert!(table.files.len() < 20, "{class} {given:?}: {} files", table.files.len());
    }
}

#[test]
fn who_has_few_files_keeps_them() {
    let beside = |number, kib: u64| FileStats {
        bytes: kib << 10,
        first: number as i64 * 10,
        last: number as i64 * 10 + 5,
        ..file(number, 0)
    };
    for class in ["SizeTieredCompactionStrategy", "UnifiedCompactionStrategy"] {
        let strategy = options(class, &[]);
        let picked = |sizes: &[u64]| {
            let files: Vec<FileStats> =
                sizes.iter().zip(1..).map(|(kib, number)| beside(number, *kib)).collect();
            picked(&strategy, &files)
        };
        assert_eq!(picked(&[5, 6, 5]), None, "three are no crowd");
        assert_eq!(picked(&[5, 6, 5, 7]), Some(vec![1, 2, 3, 4]));
        assert_eq!(picked(&[22, 5, 6, 5]), None, "of two tiers");
        assert_eq!(picked(&[22, 5, 90, 6, 5, 1]), Some(vec![2, 4, 5, 6]), "without large ones");
        assert_eq!(picked(&[200 << 10; 100]), None, "large files are not too many");
        assert_eq!(picked(&[5; 64]).map(|inputs| inputs.len()), Some(32));
    }
    let patient = options("SizeTieredCompactionStrategy", &[("min_threshold", "6")]);
    let files: Vec<FileStats> = (1..=6).map(|number| beside(number, 5)).collect();
    assert_eq!(picked(&patient, &files[..5]), None, "as many as of those over each other");
    assert_eq!(picked(&patient, &files), Some(vec![1, 2, 3, 4, 5, 6]));
}

fn a_day(day: i64, expires: bool) -> FileStats {
    FileStats {
        min_timestamp: day * DAY,
        max_timestamp: day * DAY + 1,
        max_deleted_at: if expires { 1_000_000 + day } else { Seconds::MAX },
        ..forever()
    }
}

#[test]
fn windows_stay_apart_until_they_are_very_many() {
    for expires in [false, true] {
        let mut table = Table::new("TimeWindowCompactionStrategy", &[]);
        for day in 0..128 {
            let token = spread(day as u64) as i64;
            table.flush([(token, 2_000)].into(), a_day(day, expires));
        }
        assert_eq!(table.files.len(), 128, "each of a window of its own");
        for day in 128..3_000 {
            let token = spread(day as u64) as i64;
            table.flush([(token, 2_000)].into(), a_day(day, expires));
        }
        let count = table.files.len();
        assert!(count <= 128 + 7 * 4, "{count} files");
        let mut newest = table.stats();
        newest.sort_by_key(|file| file.max_timestamp);
        let spans = newest.iter().rev().map(|file| (file.max_timestamp - file.min_timestamp) / DAY);
        assert_eq!(spans.take(128).max(), Some(0), "the newest are of one day");
        let times = table.written as f64 / table.flushed as f64;
        assert!(times < 8.0, "written {times} times");
    }
}

#[test]
fn what_lives_for_ever_is_not_put_to_what_expires() {
    let mut table = Table::new("TimeWindowCompactionStrategy", &[]);
    let mut lasting = 0;
    for day in 0..1_000 {
        let expires = day % 10 != 0;
        lasting += i64::from(!expires);
        table.flush([(spread(day as u64) as i64, 2_000)].into(), a_day(day, expires));
    }
    let of_lasting: usize = table
        .files
        .iter()
        .filter(|(file, _)| file.max_deleted_at == Seconds::MAX)
        .map(|(_, partitions)| partitions.len())
        .sum();
    assert_eq!(of_lasting as i64, lasting);
    assert!(table.files.len() < 200, "{} files", table.files.len());
}

#[test]
fn a_window_that_gets_a_partition_at_a_time_is_one_window() {
    let mut table = Table::new("TimeWindowCompactionStrategy", &[]);
    for number in 0..2_000_u64 {
        // Now and then something comes late.
        let day = if number % 7 == 0 { 3 } else { 5 };
        table.flush([(spread(number) as i64, 400)].into(), a_day(day, true));
    }
    table.assert_bounded("two windows");
    let windows: Vec<Window> =
        table.stats().iter().map(|file| table.strategy.window(file)).collect();
    assert!(windows.contains(&Window(3)) && windows.contains(&Window(5)));
    assert!(table.stats().iter().all(|file| file.max_timestamp - file.min_timestamp < DAY));
}

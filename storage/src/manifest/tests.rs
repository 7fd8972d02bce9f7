use super::*;
use crate::fs::faulty::{Crash, Failure, FaultyFs, Operation};

const DIR: &str = "/data/ks/table";

fn file(number: FileNumber) -> TableFile {
    let statistics = Statistics {
        rows: number * 10,
        min_key: vec![number as u8; 9],
        max_key: vec![0xff; 11],
        tombstone_times: vec![(60, 3), (120, number)],
        min_timestamp: -5,
        max_timestamp: i64::MAX - 1,
        ..Statistics::default()
    };
    TableFile { number, run: number / 2, slices: 4, repaired_at: number as i64 - 3, statistics }
}

fn open(fs: &FaultyFs) -> Manifest {
    Manifest::open(Arc::new(fs.clone()), Path::new(DIR)).unwrap()
}

/// Flushes and compactions; the state after each, and how many operations were recorded by then.
fn workload(fs: &FaultyFs, edits: u64) -> Vec<(usize, TableFiles)> {
    let mut manifest = open(fs);
    let mut states = vec![(fs.recorded(), manifest.files().clone())];
    for edit in 1..=edits {
        let number = manifest.next_number();
        let flushed = Some(LogPosition { segment: edit, offset: 7 });
        let compacted = if edit % 3 == 0 {
            manifest.files().files.keys().copied().collect()
        } else {
            Vec::new()
        };
        let truncated = (edit == 5).then_some((LogPosition { segment: 4, offset: 9 }, -77));
        manifest
            .apply(ManifestEdit { add: vec![file(number)], remove: compacted, flushed, truncated })
            .unwrap();
        states.push((fs.recorded(), manifest.files().clone()));
    }
    states
}

#[test]
fn every_crash_leaves_the_state_before_or_after_an_edit() {
    let fs = FaultyFs::new();
    let states = workload(&fs, 12);
    for prefix in states[0].0..=fs.recorded() {
        for crash in
            (0..20).map(|seed| Crash::Random { seed }).chain([Crash::KeepAll, Crash::KeepSynced])
        {
            let found = open(&fs.crash_at(prefix, crash)).files().clone();
            let at = states.iter().rposition(|(recorded, _)| *recorded <= prefix).unwrap();
            let next = states.get(at + 1).map(|(_, state)| state);
            assert!(found == states[at].1 || Some(&found) == next, "prefix {prefix}, {crash:?}");
        }
    }
}

#[test]
fn a_long_manifest_is_rewritten_and_numbers_never_come_again() {
    let fs = FaultyFs::new();
    let states = workload(&fs, 3000);
    let path = Path::new(DIR).join(layout::MANIFEST);
    assert!((fs.content(&path).unwrap().len() as u64) < 2 * MAX_BYTES);
    let mut manifest = open(&fs);
    assert_eq!(manifest.files(), &states.last().unwrap().1);
    assert_eq!(manifest.next_number(), 3001);
    let removed = manifest.files().files.keys().copied().collect();
    manifest.apply(ManifestEdit { remove: removed, ..ManifestEdit::default() }).unwrap();
    assert_eq!(open(&fs).next_number(), 3001);
}

#[test]
fn files_that_no_edit_added_are_orphans() {
    let fs = FaultyFs::new();
    workload(&fs, 1);
    for number in [1, 9] {
        fs.create(&Path::new(DIR).join(format!("{number}.sst"))).unwrap();
    }
    let mut manifest = open(&fs);
    assert_eq!(manifest.orphans().unwrap(), [manifest.path(9)]);
    assert_eq!(manifest.next_number(), 10);
}

#[test]
fn edits_that_do_not_fit_or_fail_change_nothing() {
    let fs = FaultyFs::new();
    let before = workload(&fs, 2).pop().unwrap().1;
    let mut manifest = open(&fs);
    let twice = ManifestEdit { add: vec![file(1)], ..ManifestEdit::default() };
    let unknown = ManifestEdit { remove: vec![44], ..ManifestEdit::default() };
    for edit in [twice, unknown] {
        assert!(matches!(manifest.apply(edit).unwrap_err(), StorageError::Unusable(_)));
    }
    let edit = || ManifestEdit { remove: vec![1], ..ManifestEdit::default() };
    fs.fail(Some(Operation::Write), 0, Failure::Short);
    assert!(matches!(manifest.apply(edit()).unwrap_err(), StorageError::DiskFull { .. }));
    assert_eq!(manifest.files(), &before);
    manifest.apply(edit()).unwrap();
    fs.fail(Some(Operation::Sync), 0, Failure::Device);
    assert!(manifest.apply(ManifestEdit { remove: vec![2], ..ManifestEdit::default() }).is_err());
    let fenced = manifest.apply(ManifestEdit { remove: vec![2], ..ManifestEdit::default() });
    assert!(matches!(fenced.unwrap_err(), StorageError::Fenced { .. }));
}

#[test]
fn flipped_bits_and_cut_off_ends_never_give_another_state() {
    let fs = FaultyFs::new();
    let states: Vec<TableFiles> = workload(&fs, 6).into_iter().map(|(_, state)| state).collect();
    let path = Path::new(DIR).join(layout::MANIFEST);
    let good = fs.content(&path).unwrap();
    for bit in (0..good.len() * 8).step_by(3) {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        // What hits nothing but the end mark, or what is behind it, is harmless.
        if let Ok(found) = read_manifest(&path, &bytes) {
            assert_eq!(Some(&found), states.last(), "bit {bit}");
        }
    }
    for len in 0..good.len() {
        assert!(read_manifest(&path, &good[..len]).is_err(), "cut to {len}");
    }
}

#[test]
fn the_format_is_this() {
    let fs = FaultyFs::new();
    workload(&fs, 1);
    let content = fs.content(&Path::new(DIR).join(layout::MANIFEST)).unwrap();
    let hex: String = content.iter().map(|byte| format!("{byte:02x}")).collect();
    let hex = hex.trim_end_matches("00");
    assert_eq!(
        hex,
        concat!(
            "54484c536d616e69030000005500000032ff2ca292c80cb30101000403000a00000000000009fcffffffffffffffff01feffffffffff",
            "ffffff01feffffffffffffffff01ffffffffffffffffff01090101010101010101010bffffffffffffffffffffff027803f0010103010700000000000000008b84b0dc"
        )
    );
}

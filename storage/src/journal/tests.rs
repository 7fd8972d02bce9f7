use super::*;
use crate::fs::create_dir_durably;
use crate::fs::faulty::{Crash, Failure, FaultyFs, Operation};
use crate::fs::memory::MemoryFs;

const FORMAT: JournalFormat = JournalFormat { magic: *b"THLStest", version: 1 };

fn read(fs: &FaultyFs, path: &Path) -> Result<Vec<Vec<u8>>, StorageError> {
    let mut records = Vec::new();
    Journal::open(Arc::new(fs.clone()), path, FORMAT, &mut |_, record| {
        records.push(record.to_vec());
        Ok(())
    })?;
    Ok(records)
}

fn record(number: usize) -> Vec<u8> {
    vec![number as u8; 1 + number * 97]
}

#[test]
fn every_crash_leaves_a_prefix_that_holds_all_acknowledged_records() {
    let fs = FaultyFs::new();
    let dir = Path::new("/d");
    let path = dir.join("journal");
    create_dir_durably(&fs, dir).unwrap();
    let mut journal = Journal::create(Arc::new(fs.clone()), &path, FORMAT, []).unwrap();
    // (recorded operations, expected records) after each acknowledgement.
    let mut acknowledged = vec![(fs.recorded(), Vec::new())];
    let mut expected: Vec<Vec<u8>> = Vec::new();
    for number in 0..12 {
        if number == 7 {
            expected = vec![b"checkpoint".to_vec()];
            journal.rewrite(expected.iter().map(Vec::as_slice)).unwrap();
            acknowledged.push((fs.recorded(), expected.clone()));
        }
        expected.push(record(number));
        journal.append(&record(number)).unwrap();
        acknowledged.push((fs.recorded(), expected.clone()));
    }
    for prefix in acknowledged[0].0..=fs.recorded() {
        let crashes =
            (0..12).map(|seed| Crash::Random { seed }).chain([Crash::KeepAll, Crash::KeepSynced]);
        for crash in crashes {
            let found = read(&fs.crash_at(prefix, crash), &path).unwrap();
            let at = acknowledged.iter().rposition(|(recorded, _)| *recorded <= prefix).unwrap();
            let next = acknowledged.get(at + 1).map(|(_, records)| records);
            assert!(
                found == acknowledged[at].1 || Some(&found) == next,
                "prefix {prefix}, {crash:?}"
            );
        }
    }
}

#[test]
fn appends_after_a_torn_end_are_read_back() {
    let fs = FaultyFs::new();
    fs.create_dir_all(Path::new("/d")).unwrap();
    let path = Path::new("/d/journal");
    let mut journal =
        Journal::create(Arc::new(fs.clone()), path, FORMAT, [b"first".as_slice()]).unwrap();
    journal.append(b"a longer second one").unwrap();
    fs.damage(path, |bytes| bytes.truncate(bytes.len() - 1));
    let mut journal =
        Journal::open(Arc::new(fs.clone()), path, FORMAT, &mut |_, _| Ok(())).unwrap();
    journal.append(b"third").unwrap();
    assert_eq!(
        fs.content(path).unwrap().len(),
        12 + (8 + 5) + (8 + 5),
        "nothing is left of the torn one"
    );
    assert_eq!(read(&fs, path).unwrap(), [b"first".to_vec(), b"third".to_vec()]);
}

#[test]
fn a_bit_flip_is_found_or_hits_the_last_record() {
    let fs = MemoryFs::new();
    fs.create_dir_all(Path::new("/d")).unwrap();
    let path = Path::new("/d/journal");
    let records = [record(0), record(1), record(2)];
    Journal::create(Arc::new(fs.clone()), path, FORMAT, records.iter().map(Vec::as_slice)).unwrap();
    let good = fs.content(path).unwrap();
    let last = good.len() - RECORD_HEADER_BYTES - records[2].len();
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        match read_records(path, FORMAT, &bytes) {
            // A flip in the last record looks like a torn end; that it is one is why appends are synced one by one.
            Ok(found) => assert!(bit / 8 >= last && found == records[..2], "bit {bit}"),
            Err(StorageError::Corrupt { .. } | StorageError::Unusable(_)) => {
                assert!(bit / 8 < last)
            }
            Err(other) => panic!("{other}"),
        }
    }
    for len in 0..good.len() {
        if let Ok(found) = read_records(path, FORMAT, &good[..len]) {
            assert!(records.starts_with(&found) && found.len() < 3);
        }
    }
}

#[test]
fn a_failed_write_is_no_record_and_a_failed_sync_ends_the_journal() {
    let fs = FaultyFs::new();
    fs.create_dir_all(Path::new("/d")).unwrap();
    let path = Path::new("/d/journal");
    let mut journal = Journal::create(Arc::new(fs.clone()), path, FORMAT, []).unwrap();
    fs.fail(Some(Operation::Write), 0, Failure::Short);
    let full = journal.append(&[7; 1000]).unwrap_err();
    assert!(matches!(full, StorageError::DiskFull { .. }));
    journal.append(b"short").unwrap();
    assert_eq!(read(&fs, path).unwrap(), [b"short".to_vec()]);
    fs.fail(Some(Operation::Sync), 0, Failure::Device);
    assert!(matches!(journal.append(b"x").unwrap_err(), StorageError::Io { .. }));
    assert!(matches!(journal.append(b"y").unwrap_err(), StorageError::Fenced { .. }));
    assert!(matches!(journal.rewrite([]).unwrap_err(), StorageError::Fenced { .. }));
}

#[test]
fn the_format_is_this() {
    let fs = MemoryFs::new();
    fs.create_dir_all(Path::new("/d")).unwrap();
    let path = Path::new("/d/journal");
    let mut journal =
        Journal::create(Arc::new(fs.clone()), path, FORMAT, [b"one".as_slice()]).unwrap();
    journal.append(b"two").unwrap();
    let hex: String = fs.content(path).unwrap().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "54484c537465737401000000030000007defe3266f6e65030000005bdad3d774776f");
}

#[test]
fn other_files_are_refused() {
    let header = |magic: &[u8], version: u32| [magic, &version.to_le_bytes()].concat();
    let path = Path::new("journal");
    assert!(matches!(read_records(path, FORMAT, b"THLS"), Err(StorageError::Corrupt { .. })));
    assert!(matches!(
        read_records(path, FORMAT, &header(b"THLSxxxx", 1)),
        Err(StorageError::Corrupt { .. })
    ));
    let newer = read_records(path, FORMAT, &header(b"THLStest", 2)).unwrap_err();
    assert!(newer.to_string().contains("version 2"));
}

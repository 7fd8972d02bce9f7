use super::*;
use crate::fs::create_dir_durably;
use crate::fs::faulty::{Crash, Failure, FaultyFs, Operation};
use crate::fs::memory::MemoryFs;

const FORMAT: JournalFormat = JournalFormat::new(*b"THLStest", 1);

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
fn a_record_can_be_read_alone_and_no_damaged_one_is() {
    let fs = FaultyFs::new();
    fs.create_dir_all(Path::new("/d")).unwrap();
    let path = Path::new("/d/journal");
    let mut journal = Journal::create(Arc::new(fs.clone()), path, FORMAT, []).unwrap();
    let mut offsets = vec![FIRST_RECORD];
    for number in 0..4 {
        journal.append(&record(number)).unwrap();
        offsets.push(offsets[number] + bytes_of_record(record(number).len()));
    }
    assert_eq!(offsets.pop(), Some(journal.bytes()));
    for (number, offset) in offsets.iter().enumerate() {
        assert_eq!(read_record(&fs, path, FORMAT, *offset).unwrap(), record(number));
    }
    for offset in [0, 13, journal.bytes(), journal.bytes() + 1, 1 << 20, u64::MAX] {
        let found = read_record(&fs, path, FORMAT, offset);
        assert!(matches!(found, Err(StorageError::Corrupt { .. })), "{offset}: {found:?}");
    }
    for bit in 0..bytes_of_record(record(1).len()) * 8 {
        let flip = |bytes: &mut Vec<u8>| bytes[(offsets[1] + bit / 8) as usize] ^= 1 << (bit % 8);
        fs.damage(path, flip);
        let found = read_record(&fs, path, FORMAT, offsets[1]);
        assert!(matches!(found, Err(StorageError::Corrupt { .. })), "{bit}: {found:?}");
        fs.damage(path, flip);
    }
    fs.damage(path, |bytes| bytes.truncate(offsets[3] as usize + 5));
    read_record(&fs, path, FORMAT, offsets[2]).unwrap();
    read_record(&fs, path, FORMAT, offsets[3]).unwrap_err();
}

#[test]
fn appends_after_a_torn_end_are_read_back() {
    let fs = FaultyFs::new();
    fs.create_dir_all(Path::new("/d")).unwrap();
    let path = Path::new("/d/journal");
    let mut journal =
        Journal::create(Arc::new(fs.clone()), path, FORMAT, [b"first".as_slice()]).unwrap();
    journal.append(b"a longer second one").unwrap();
    let second = HEADER_BYTES as usize + RECORD_HEADER_BYTES + 5;
    // As a power cut leaves it: the mark behind was not written.
    fs.damage(path, |bytes| bytes[second + RECORD_HEADER_BYTES + 9..].fill(0));
    let mut journal =
        Journal::open(Arc::new(fs.clone()), path, FORMAT, &mut |_, _| Ok(())).unwrap();
    journal.append(b"third").unwrap();
    let third = second + RECORD_HEADER_BYTES + 5;
    let rest = fs.content(path).unwrap().split_off(third + RECORD_HEADER_BYTES);
    assert!(rest.iter().all(|byte| *byte == 0), "nothing is left of the torn one");
    assert_eq!(read(&fs, path).unwrap(), [b"first".to_vec(), b"third".to_vec()]);
}

#[test]
fn flipped_bits_and_cut_off_ends_are_noticed_or_harmless() {
    let fs = MemoryFs::new();
    fs.create_dir_all(Path::new("/d")).unwrap();
    let path = Path::new("/d/journal");
    let records = [record(0), record(1), record(2)];
    let all = records.iter().map(Vec::as_slice);
    let mut journal = Journal::create(Arc::new(fs.clone()), path, FORMAT, []).unwrap();
    all.for_each(|record| journal.append(record).unwrap());
    let good = fs.content(path).unwrap();
    let mark = journal.bytes() as usize;
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        match read_records(path, FORMAT, &bytes) {
            Ok(found) => assert!(bit / 8 >= mark && found == records, "bit {bit}"),
            Err(StorageError::Corrupt { .. } | StorageError::Unusable(_)) => {
                assert!(bit / 8 < mark, "bit {bit}");
            }
            Err(other) => panic!("{other}"),
        }
    }
    for len in 0..good.len() {
        let cut = read_records(path, FORMAT, &good[..len]);
        assert!(matches!(cut, Err(StorageError::Corrupt { .. })), "cut to {len}");
    }
}

/// Also where the end of a page is the end of a record, or cuts through one.
#[test]
fn a_journal_that_lost_whole_pages_is_refused() {
    let page = PAGE_BYTES as usize;
    let (header, head) = (HEADER_BYTES as usize, RECORD_HEADER_BYTES);
    for len in page - header - 3 * head..page - header + 2 * head {
        let fs = MemoryFs::new();
        fs.create_dir_all(Path::new("/d")).unwrap();
        let path = Path::new("/d/journal");
        let mut journal = Journal::create(Arc::new(fs.clone()), path, FORMAT, []).unwrap();
        journal.append(&vec![7; len]).unwrap();
        journal.append(&[8; 30]).unwrap();
        let good = fs.content(path).unwrap();
        assert_eq!(read_records(path, FORMAT, &good).unwrap().len(), 2);
        assert!(good.len() > page);
        let cut = read_records(path, FORMAT, &good[..page]);
        assert!(matches!(cut, Err(StorageError::Corrupt { .. })), "a record of {len} bytes");
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

/// After a failed sync the system takes what was written for clean. The next run reads it, and acts on it: it must not be
/// lost with the machine's power then.
#[test]
fn what_a_failed_sync_left_is_durable_once_it_was_read() {
    let fs = FaultyFs::new();
    let dir = Path::new("/d");
    create_dir_durably(&fs, dir).unwrap();
    let path = dir.join("journal");
    let mut journal = Journal::create(Arc::new(fs.clone()), &path, FORMAT, []).unwrap();
    journal.append(&record(1)).unwrap();
    fs.fail(Some(Operation::Sync), 0, Failure::Device);
    journal.append(&record(2)).unwrap_err();
    let killed = fs.crash(Crash::KeepAll);
    assert_eq!(read(&killed, &path).unwrap(), [record(1), record(2)]);
    for crash in [Crash::KeepSynced, Crash::KeepAll, Crash::Random { seed: 1 }] {
        assert_eq!(read(&killed.crash(crash), &path).unwrap(), [record(1), record(2)]);
    }
}

#[test]
fn the_format_is_this() {
    let fs = MemoryFs::new();
    fs.create_dir_all(Path::new("/d")).unwrap();
    let path = Path::new("/d/journal");
    let mut journal =
        Journal::create(Arc::new(fs.clone()), path, FORMAT, [b"one".as_slice()]).unwrap();
    journal.append(b"two").unwrap();
    let content = fs.content(path).unwrap();
    let hex: String = content.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((content.len(), hex.trim_end_matches('0').len() / 2), (4096, 54), "zeros follow");
    let hex = &hex[..2 * 54];
    assert_eq!(
        hex,
        "54484c53746573740100000003000000c87cb0e47a40a6686f6e650300000017a1db080295aba774776f0000000000000000048a370f"
    );
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

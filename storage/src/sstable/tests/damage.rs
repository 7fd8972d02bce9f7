//! Damaged, cut-off and half-written files, and a disk that fails.

use super::*;
use crate::fs::faulty::{Crash, Failure, FaultyFs, Operation};

/// A file of a few blocks with everything in it, and its entries.
fn sample() -> (Vec<u8>, Vec<Item>) {
    let mut items = plain_items(3, 6);
    items.extend(partition_items(
        &position::token_prefix(50),
        Some(3),
        true,
        vec![(3, b"three".to_vec()), (700, b"x".to_vec())],
        [((2, false), Some(104)), ((9, true), Some(103)), ((800, true), None)].into(),
    ));
    let fs = MemoryFs::new();
    write_to(Arc::new(fs.clone()), &items, options(100, Compression::Lz4)).unwrap();
    (fs.content(Path::new(PATH)).unwrap(), items)
}

fn file_of(bytes: Vec<u8>) -> Arc<SsTable> {
    let fs = MemoryFs::new();
    fs.put(Path::new(PATH), bytes);
    open_in(Arc::new(fs))
}

/// Whatever comes before an error is as it was written, whichever way it is read.
fn no_wrong_rows(table: &Arc<SsTable>, items: &[Item], what: &str) {
    for direction in [Direction::Forward, Direction::Reverse] {
        let mut expected: Vec<&Item> = items.iter().collect();
        if direction == Direction::Reverse {
            expected.reverse();
        }
        let Ok(mut cursor) = table.cursor(&[], None, direction) else { continue };
        let mut found = 0;
        loop {
            match cursor.advance() {
                Ok(Some(entry)) => {
                    assert_eq!(Some(&&Item::of(entry)), expected.get(found), "{what}")
                }
                Ok(None) => {
                    break assert_eq!(
                        found,
                        items.len(),
                        "{what}: rows are missing and nothing is said"
                    );
                }
                Err(error) => break assert_damage(&error, what),
            }
            found += 1;
        }
    }
    for item in items {
        match table.may_contain(&item.key[..item.partition_len]) {
            Ok(may_contain) => assert!(may_contain, "{what}: a false negative"),
            Err(error) => assert_damage(&error, what),
        }
    }
}

fn assert_damage(error: &StorageError, what: &str) {
    match error {
        StorageError::Corrupt { file, .. } => assert_eq!(file, Path::new(PATH), "{what}"),
        StorageError::Unusable(message) => {
            assert!(message.contains("version"), "{what}: {message}")
        }
        StorageError::Io { source, .. } => {
            assert_eq!(source.kind(), std::io::ErrorKind::UnexpectedEof, "{what}: {error}");
        }
        other => panic!("{what}: {other}"),
    }
}

#[test]
fn every_flipped_bit_is_detected_or_harmless() {
    let (good, items) = sample();
    assert!(file_of(good.clone()).verify().is_ok());
    for bit in 0..good.len() * 8 {
        let mut bytes = good.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let table = file_of(bytes);
        assert!(table.verify().is_err(), "bit {bit} is covered by no checksum");
        no_wrong_rows(&table, &items, &format!("bit {bit}"));
    }
}

#[test]
fn every_truncation_is_detected() {
    let (good, items) = sample();
    for len in 0..good.len() {
        let table = file_of(good[..len].to_vec());
        assert!(table.cursor(&[], None, Direction::Forward).is_err(), "cut to {len}");
        no_wrong_rows(&table, &items, &format!("cut to {len}"));
    }
}

fn last_of(mut cursor: SsTableCursor) -> Result<(), StorageError> {
    while cursor.advance()?.is_some() {}
    Ok(())
}

#[test]
fn blocks_with_right_checksums_and_wrong_content_do_no_harm() {
    // A file without compression whose checksums are made right again after each change: the decoders must cope.
    let fs = MemoryFs::new();
    let items = plain_items(2, 40);
    write_to(Arc::new(fs.clone()), &items, options(1 << 20, Compression::None)).unwrap();
    let good = fs.content(Path::new(PATH)).unwrap();
    let crc_at = |bytes: &[u8], wanted: u32| {
        bytes
            .windows(4)
            .position(|window| window == wanted.to_le_bytes())
            .expect("the crc is in the index")
    };
    let footer_at = good.len() - format::FOOTER_BYTES;
    let footer =
        format::Footer::decode(good[footer_at..].try_into().unwrap(), good.len() as u64).unwrap();
    // One data block, one index block, one entry in the top index.
    let top = footer.top_index.offset as usize
        ..footer.top_index.offset as usize + footer.top_index.len as usize;
    let index_start = (8..top.start).find(|start| {
        let crc = crc32fast::hash(&good[*start..top.start]).to_le_bytes();
        good[top.clone()].windows(4).any(|window| window == crc)
    });
    let index_start = index_start.unwrap();
    for at in 8..index_start {
        for change in [0x01, 0x40, 0x80, 0xff] {
            let mut bytes = good.clone();
            let index_crc = crc32fast::hash(&bytes[index_start..top.start]);
            let data_crc = crc32fast::hash(&bytes[8..index_start]);
            bytes[at] ^= change;
            let data_crc_at = index_start + crc_at(&good[index_start..], data_crc);
            let new = crc32fast::hash(&bytes[8..index_start]);
            bytes[data_crc_at..data_crc_at + 4].copy_from_slice(&new.to_le_bytes());
            let index_crc_at = top.start + crc_at(&good[top.start..], index_crc);
            let new = crc32fast::hash(&bytes[index_start..top.start]);
            bytes[index_crc_at..index_crc_at + 4].copy_from_slice(&new.to_le_bytes());
            let new = crc32fast::hash(&bytes[top.clone()]);
            bytes[footer_at + 12..footer_at + 16].copy_from_slice(&new.to_le_bytes());
            let new = crc32fast::hash(&bytes[footer_at..footer_at + 68]);
            bytes[footer_at + 68..footer_at + 72].copy_from_slice(&new.to_le_bytes());
            let table = file_of(bytes);
            let error = table.cursor(&[], None, Direction::Forward).and_then(last_of);
            assert!(!error.is_err_and(|error| error.to_string().contains("checksum")));
            crate::fuzz::read_through(&table);
        }
    }
}

#[test]
fn a_failing_disk_gives_errors_and_never_a_file_that_seems_whole() {
    let items = plain_items(5, 30);
    let options = || options(200, Compression::Lz4);
    let calls = {
        let fs = FaultyFs::new();
        write_to(Arc::new(fs.clone()), &items, options()).unwrap();
        fs.calls()
    };
    for failure in [Failure::Device, Failure::Full, Failure::Short] {
        for call in 0..calls {
            let fs = FaultyFs::new();
            fs.fail(None, call, failure);
            assert!(
                write_to(Arc::new(fs.clone()), &items, options()).is_err(),
                "{failure:?} at {call}"
            );
        }
    }
    let fs = FaultyFs::new();
    write_to(Arc::new(fs.clone()), &items, options()).unwrap();
    for call in 0..30 {
        let table = open_in(Arc::new(fs.clone()));
        fs.fail(None, call, Failure::Device);
        let failed = table.cursor(&[], None, Direction::Forward).and_then(walk).is_err();
        fs.heal();
        assert!(failed, "read call {call}");
        let again = table.cursor(&[], None, Direction::Forward).and_then(walk).unwrap();
        assert_eq!(again, items, "a failed read leaves no trace");
    }
}

#[test]
fn a_finished_file_survives_every_crash() {
    let items = plain_items(5, 30);
    let fs = FaultyFs::new();
    write_to(Arc::new(fs.clone()), &items, options(200, Compression::Lz4)).unwrap();
    for prefix in 0..=fs.recorded() {
        for seed in 0..20 {
            let found = fs.crash_at(prefix, Crash::Random { seed });
            if found.exists(Path::new(PATH)).unwrap() {
                no_wrong_rows(&open_in(Arc::new(found)), &items, "an unfinished file");
            } else {
                assert!(prefix < fs.recorded());
            }
        }
    }
    let survivor = open_in(Arc::new(fs.crash(Crash::KeepSynced)));
    survivor.verify().unwrap();
}

#[test]
fn a_read_that_went_wrong_once_is_read_again() {
    let items = plain_items(1, 5);
    let fs = FaultyFs::new();
    write_to(Arc::new(fs.clone()), &items, options(4096, Compression::None)).unwrap();
    fs.damage(Path::new(PATH), |bytes| bytes[20] ^= 1);
    let table = open_in(Arc::new(fs.clone()));
    table.statistics().unwrap();
    let read = || table.cursor(&[], None, Direction::Forward).and_then(walk).unwrap_err();
    assert!(matches!(read(), StorageError::Corrupt { offset: 8, .. }));
    let before = fs.calls();
    assert!(matches!(read(), StorageError::Corrupt { offset: 8, .. }));
    // The index block is cached by now; the data block is read twice.
    assert_eq!(fs.calls() - before, 2);
    assert_eq!(table.damage_log().found().len(), 1);
    assert!(fs.content(Path::new(PATH)).is_some());
    fs.fail(Some(Operation::Read), 0, Failure::Device);
    assert!(matches!(table.may_contain(b"x").unwrap_err(), StorageError::Io { .. }));
}

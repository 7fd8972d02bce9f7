//! Damaged files: what can still be read of them, what is said to be lost, and what is remembered.

use super::*;

const BLOCK_BYTES: usize = 120;

/// Where a block is, how long it is, and what is in it.
type Block = (u64, u64, Vec<Item>);

/// A file of many blocks and several index blocks, its bytes and entries, and where each data block is with its items.
fn sample() -> (Vec<u8>, Vec<Item>, Vec<Block>) {
    let fs = MemoryFs::new();
    let items = plain_items(4, 40);
    write_to(Arc::new(fs.clone()), &items, options(BLOCK_BYTES, Compression::Lz4)).unwrap();
    let mut blocks = Vec::new();
    let mut inspector = Inspector::open(&fs, Path::new(PATH)).unwrap();
    while let Some(step) = inspector.next_block().unwrap() {
        let mut block = step.unwrap();
        let mut found = Vec::new();
        while let Some(entry) = block.next_entry().unwrap() {
            found.push(Item::of(entry));
        }
        blocks.push((block.offset(), block.stored_bytes(), found));
    }
    (fs.content(Path::new(PATH)).unwrap(), items, blocks)
}

fn damaged_at(good: &[u8], offset: u64) -> MemoryFs {
    let mut bytes = good.to_vec();
    bytes[offset as usize] ^= 0x10;
    let fs = MemoryFs::new();
    fs.put(Path::new(PATH), bytes);
    fs
}

#[test]
fn a_walk_by_blocks_finds_what_a_cursor_finds() {
    let (good, items, blocks) = sample();
    let found: Vec<Item> = blocks.iter().flat_map(|(_, _, items)| items.clone()).collect();
    assert_eq!(found, items);
    let fs = MemoryFs::new();
    fs.put(Path::new(PATH), good.clone());
    let mut inspector = Inspector::open(&fs, Path::new(PATH)).unwrap();
    assert_eq!(inspector.count_blocks().unwrap(), []);
    let overview = inspector.overview();
    assert_eq!(overview.data.blocks, blocks.len() as u64);
    assert_eq!(overview.data.stored_bytes, blocks.iter().map(|block| block.1).sum::<u64>());
    assert!(overview.index.blocks > 3, "{overview:?}");
    assert_eq!(overview.file_bytes, good.len() as u64);
    let statistics = inspector.statistics().unwrap();
    assert_eq!(overview.data.raw_bytes, statistics.uncompressed_bytes);
    assert_eq!((statistics.partitions, statistics.rows), (4, 160));
}

#[test]
fn a_damaged_block_takes_its_own_rows_away_and_no_others() {
    let (good, items, blocks) = sample();
    for (offset, len, lost) in &blocks {
        let fs = damaged_at(&good, offset + len / 2);
        let mut inspector = Inspector::open(&fs, Path::new(PATH)).unwrap();
        let (mut found, mut damages) = (Vec::new(), Vec::new());
        while let Some(step) = inspector.next_block().unwrap() {
            match step {
                Err(damage) => damages.push(damage),
                Ok(mut block) => {
                    while let Some(entry) = block.next_entry().unwrap() {
                        found.push(Item::of(entry));
                    }
                }
            }
        }
        let left: Vec<Item> = items.iter().filter(|item| !lost.contains(item)).cloned().collect();
        assert_eq!(found, left);
        let [damage] = damages.as_slice() else { panic!("{damages:?}") };
        assert_eq!(damage.offset, *offset);

        let table = open_in(Arc::new(fs));
        for item in &items {
            let after = [&item.key[..], &[0]].concat();
            let read = table.cursor(&item.key, Some(&after), Direction::Forward).and_then(walk);
            match read {
                Ok(found) => assert_eq!(found, std::slice::from_ref(item)),
                Err(error) => {
                    assert!(lost.contains(item), "{error} for a row that is whole");
                    assert!(
                        matches!(error, StorageError::Corrupt { offset: at, .. } if at == *offset)
                    );
                }
            }
        }
        let noted = table.damage_log().found();
        let [noted] = noted.as_slice() else { panic!("{noted:?}") };
        assert!(table.damage_log().lost_keys());
        let keys = noted.damage.keys.clone().unwrap();
        let covers = |item: &Item| {
            keys.lower <= item.key && keys.upper.as_ref().is_none_or(|upper| item.key < *upper)
        };
        for item in &items {
            assert_eq!(covers(item), lost.contains(item), "the range that is told is the block's");
        }
        let (first, last) = keys.tokens();
        for item in lost {
            assert!((first..=last).contains(&position::token_of(&item.key)));
        }
    }
}

#[test]
fn verification_lists_all_damage_there_is() {
    let (good, _, blocks) = sample();
    let mut bytes = good.clone();
    let chosen: Vec<u64> = blocks.iter().step_by(7).map(|block| block.0).collect();
    for offset in &chosen {
        bytes[*offset as usize + 3] ^= 1;
    }
    let fs = MemoryFs::new();
    fs.put(Path::new(PATH), bytes);
    let table = open_in(Arc::new(fs));
    let found: Vec<u64> =
        table.verify_with(None).unwrap().iter().map(|damage| damage.offset).collect();
    assert_eq!(found, chosen);
    assert_eq!(table.damage_log().found().len(), chosen.len(), "and it is remembered");
    assert!(
        open_in(Arc::new(damaged_at(&good, 9))).verify_with(Some(|_| Err("no row".into()))).is_ok()
    );
}

#[test]
fn without_a_filter_or_statistics_all_rows_are_there() {
    let (good, items, _) = sample();
    let footer_at = good.len() - format::FOOTER_BYTES;
    let footer =
        format::Footer::decode(good[footer_at..].try_into().unwrap(), good.len() as u64).unwrap();
    for section in [footer.filter, footer.statistics] {
        let table = open_in(Arc::new(damaged_at(&good, section.offset + 1)));
        assert!(
            items.iter().all(|item| table.may_contain(&item.key[..item.partition_len]).unwrap())
        );
        assert_eq!(table.cursor(&[], None, Direction::Forward).and_then(walk).unwrap(), items);
        let damages = table.verify_with(None).unwrap();
        let [damage] = damages.as_slice() else { panic!("{damages:?}") };
        assert_eq!((damage.offset, &damage.keys), (section.offset, &None));
        assert!(!table.damage_log().lost_keys(), "nothing keeps it out of a compaction");
    }
    let table = open_in(Arc::new(damaged_at(&good, footer.filter.offset)));
    assert!(table.may_contain(b"12345678-absent").unwrap(), "what can't tell says perhaps");
    assert_eq!(table.damage_log().found().len(), 1);
}

#[test]
fn what_is_written_wrong_with_right_checksums_is_found() {
    // The writer trusts the codec: here it lies about the rows, and the statistics say so.
    let fs = MemoryFs::new();
    let lies: RowTranscode =
        |row, base, out| opaque(row, base, out).map(|summary| RowSummary { cells: 2, ..summary });
    let options = SsTableOptions { transcode: lies, ..options(BLOCK_BYTES, Compression::None) };
    write_to(Arc::new(fs.clone()), &plain_items(2, 9), options).unwrap();
    let table = open_in(Arc::new(fs));
    assert_eq!(table.verify_with(None).unwrap(), [], "rows are not looked into");
    let damages = table.verify_with(Some(|row| opaque(row, 0, &mut Vec::new()))).unwrap();
    let [damage] = damages.as_slice() else { panic!("{damages:?}") };
    assert!(damage.what.contains("statistics"), "{damage:?}");
}

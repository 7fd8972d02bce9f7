//! The format's bytes, what a file takes, and what is skipped.

use super::*;

#[test]
fn the_format_is_this() {
    let mut items = plain_items(1, 2);
    items.extend(partition_items(
        &position::token_prefix(2),
        Some(3),
        true,
        vec![(3, b"three".to_vec())],
        [((2, false), Some(104)), ((9, true), None)].into(),
    ));
    for name in [b"one", b"two"] {
        let prefix = prefix_of(Token::of(name).0, name);
        items.extend(partition_items(&prefix, None, false, vec![(1, vec![])], [].into()));
    }
    items.sort_by(|left: &Item, right: &Item| left.key.cmp(&right.key));
    let fs = MemoryFs::new();
    write_to(Arc::new(fs.clone()), &items, options(60, Compression::None)).unwrap();
    let hex: Vec<String> = fs
        .content(Path::new(PATH))
        .unwrap()
        .chunks(48)
        .map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    assert_eq!(hex.join("\n"), include_str!("golden.hex").trim_end());
}

#[test]
fn statistics_name_the_largest_partitions() {
    let mut items = plain_items(3, 2);
    let big = position::token_prefix(70);
    let rows = (0..40).map(|row| (row, vec![7; 100])).collect();
    items.extend(partition_items(&big, None, false, rows, Default::default()));
    let options = SsTableOptions { written_at: 5, ..options(200, Compression::Lz4) };
    let written = write_to(Arc::new(MemoryFs::new()), &items, options).unwrap();
    let sizes = written.partition_sizes.unwrap();
    assert_eq!((sizes.count(), sizes.largest.len(), sizes.written_at), (4, 4, 5));
    let largest = &sizes.largest[0];
    assert_eq!((&largest.key[..], largest.rows), (&big[..], 40));
    assert_eq!(largest.bytes, sizes.max_bytes);
    assert!((4_000..5_000).contains(&largest.bytes), "{}", largest.bytes);
    let sum: u64 = sizes.largest.iter().map(|partition| partition.bytes).sum();
    assert!(sum <= written.uncompressed_bytes && sum * 10 > written.uncompressed_bytes * 9);
    assert_eq!(sizes.largest.iter().map(|partition| partition.rows).sum::<u64>(), written.rows);
}

#[test]
fn statistics_say_what_is_in_the_file() {
    let mut items = plain_items(2, 3);
    items.extend(partition_items(
        &position::token_prefix(9),
        Some(30),
        true,
        vec![],
        [((2, false), Some(104)), ((9, true), None)].into(),
    ));
    let fs = Arc::new(MemoryFs::new());
    let written = write_to(fs.clone(), &items, options(60, Compression::Lz4)).unwrap();
    assert_eq!(open_in(fs.clone()).statistics().unwrap(), written);
    assert_eq!((written.partitions, written.rows, written.cells), (3, 7, 7));
    assert_eq!(
        (written.tombstones, written.partition_deletions, written.range_deletions),
        (2, 1, 1)
    );
    assert_eq!((written.min_timestamp, written.max_timestamp), (30, 1002));
    assert_eq!((written.min_deleted_at, written.max_deleted_at), (3, i64::MAX));
    assert_eq!((&written.min_key, &written.max_key), (&items[0].key, &items[items.len() - 1].key));
    assert_eq!(written.tombstone_times, [(60, 2)]);
    assert_eq!((written.tombstones_until(59), written.tombstones_until(60)), (0, 2));
    assert_eq!(written.file_bytes, fs.content(Path::new(PATH)).unwrap().len() as u64);
}

#[test]
fn a_file_without_entries_is_fine() {
    let table = table(&[], options(100, Compression::Lz4));
    check_slice(&table, &[], &[], None);
    check_slice(&table, &[], b"a", Some(b"b"));
    table.verify().unwrap();
    assert!(table.may_contain(b"x").unwrap(), "no filter: maybe");
}

#[test]
fn streams_that_are_not_sorted_runs_are_refused() {
    let items = plain_items(1, 2);
    let swapped = [items[1].clone(), items[0].clone()];
    let marker =
        |timestamp| partition_items(&position::token_prefix(0), None, false, vec![], timestamp);
    let open = marker([((2, false), Some(104)), ((9, true), None)].into());
    let cases = [
        (&swapped[..], "ascend"),
        (&[items[0].clone(), items[0].clone()][..], "ascend"),
        (&open[..1], "not closed"),
        (&open[1..], "does not follow"),
        (&[Item { partition_len: items[0].key.len(), ..items[0].clone() }][..], "position"),
        (
            &[Item { key: vec![1; 9], partition_len: 8, value: Value::Row(row(1, b"")) }][..],
            "row's position",
        ),
        (&[Item { value: Value::Row(vec![]), ..items[0].clone() }][..], "too short"),
    ];
    for (items, why) in cases {
        let error = write_to(Arc::new(MemoryFs::new()), items, options(100, Compression::None))
            .unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
}

#[test]
fn blocks_that_a_deletion_covers_are_skipped_unread() {
    // One partition; a range deletion in the file itself covers the rows 200 to 400.
    let mut items = plain_items(1, 600);
    let covered = deletion(900_000);
    let prefix = position::token_prefix(0);
    for (number, weight, before, after) in [
        (200u16, position::BEFORE, Deletion::NONE, covered),
        (400, position::AFTER, covered, Deletion::NONE),
    ] {
        let [high, low] = number.to_be_bytes();
        let key = [&prefix[..], &[position::COMPONENT, high, low, weight]].concat();
        items.push(Item { key, partition_len: 8, value: Value::Marker(before, after) });
    }
    items.sort_by(|left, right| left.key.cmp(&right.key));
    let table = table(&items, options(300, Compression::None));
    table.verify().unwrap();
    for direction in [Direction::Forward, Direction::Reverse] {
        let mut cursor = table.cursor(&[], None, direction).unwrap();
        let mut found = Vec::new();
        while let Some(entry) = cursor.advance().unwrap() {
            found.push(Item::of(entry));
        }
        assert!(cursor.blocks_skipped() >= 15, "{}", cursor.blocks_skipped());
        let is_seen = |item: &&Item| item.key < items[200].key || item.key > items[402].key;
        found.sort_by(|left, right| left.key.cmp(&right.key));
        let seen: Vec<&Item> = items.iter().filter(is_seen).collect();
        assert_eq!(found.iter().filter(is_seen).collect::<Vec<_>>(), seen);
        assert_eq!(found.iter().filter(|item| matches!(item.value, Value::Marker(..))).count(), 2);
    }
}

#[test]
fn blocks_that_a_deletion_elsewhere_covers_are_skipped_unread() {
    let items = plain_items(1, 600);
    let table = table(&items, options(300, Compression::None));
    for direction in [Direction::Forward, Direction::Reverse] {
        let (start, until) = match direction {
            Direction::Forward => (100, 400),
            Direction::Reverse => (400, 100),
        };
        let mut cursor = table.cursor(&[], None, direction).unwrap();
        while cursor.advance().unwrap().is_some_and(|entry| entry.key != items[start].key) {}
        cursor.skip_covered(deletion(1550), &items[until].key);
        let mut found = Vec::new();
        while let Some(entry) = cursor.advance().unwrap() {
            found.push(Item::of(entry));
        }
        assert!(cursor.blocks_skipped() >= 20, "{}", cursor.blocks_skipped());
        let uncovered = |item: &&Item| match direction {
            Direction::Forward => item.key >= items[until].key,
            Direction::Reverse => item.key <= items[until].key,
        };
        assert_eq!(found.iter().filter(uncovered).count(), if until == 400 { 200 } else { 101 });
        // Nothing is skipped that is newer than the deletion.
        let mut cursor = table.cursor(&[], None, direction).unwrap();
        cursor.skip_covered(deletion(999), &items[until].key);
        assert_eq!(walk(cursor).unwrap().len(), 600);
    }
}

#[test]
fn an_obsolete_file_goes_when_its_last_user_is_gone() {
    let items = plain_items(1, 100);
    let fs = Arc::new(MemoryFs::new());
    write_to(fs.clone(), &items, options(100, Compression::Lz4)).unwrap();
    let table = open_in(fs.clone());
    let cursor = table.cursor(&[], None, Direction::Forward).unwrap();
    table.remove_when_unused();
    drop(table);
    assert!(fs.exists(Path::new(PATH)).unwrap());
    assert_eq!(walk(cursor).unwrap(), items);
    assert!(!fs.exists(Path::new(PATH)).unwrap());
}

#[test]
fn the_cache_stays_within_its_budget_and_serves_what_it_holds() {
    let items = plain_items(40, 100);
    let fs = Arc::new(MemoryFs::new());
    write_to(fs.clone(), &items, options(1000, Compression::Lz4)).unwrap();
    let cache = Arc::new(BlockCache::new(32 << 10));
    let table = SsTable::new(fs.clone(), PathBuf::from(PATH), cache.clone());
    for _ in 0..3 {
        assert_eq!(walk(table.cursor(&[], None, Direction::Forward).unwrap()).unwrap(), items);
        assert!(cache.bytes() <= cache.capacity_bytes() && cache.bytes() > 0);
    }
    let cache = Arc::new(BlockCache::new(1 << 20));
    let table = SsTable::new(fs, PathBuf::from(PATH), cache.clone());
    let point = || {
        let cursor =
            table.cursor(&items[77].key, Some(&items[78].key), Direction::Forward).unwrap();
        assert_eq!(walk(cursor).unwrap(), [items[77].clone()]);
    };
    point();
    let (hits, misses) = cache.hits_and_misses();
    point();
    let (more_hits, same_misses) = cache.hits_and_misses();
    assert!(more_hits > hits && misses == same_misses);
}

#[test]
fn a_filter_too_large_for_the_cache_is_kept_within_the_budget() {
    let items = plain_items(500, 1);
    let fs = Arc::new(MemoryFs::new());
    write_to(fs.clone(), &items, options(1000, Compression::Lz4)).unwrap();
    let open =
        |cache: &Arc<BlockCache>| SsTable::new(fs.clone(), PathBuf::from(PATH), cache.clone());
    let passed = |table: &SsTable| {
        let may_contain = |number: i64| table.may_contain(&position::token_prefix(number)).unwrap();
        (1000..1100).filter(|number| may_contain(*number)).count()
    };
    let roomy = Arc::new(BlockCache::new(1 << 20));
    assert!(passed(&open(&roomy)) < 10);
    let filter_bytes = roomy.bytes();

    // More than half of the cache, yet within its budget.
    let tight = Arc::new(BlockCache::new(filter_bytes * 3 / 2));
    let table = open(&tight);
    assert!(passed(&table) < 10);
    assert!(tight.bytes() > filter_bytes / 2, "it counts: {}", tight.bytes());
    for _ in 0..3 {
        assert_eq!(walk(table.cursor(&[], None, Direction::Forward).unwrap()).unwrap(), items);
        assert!(tight.bytes() <= tight.capacity_bytes(), "{}", tight.bytes());
    }
    assert!(passed(&table) < 10, "blocks do not push it out");
    let other = open(&tight);
    assert_eq!(passed(&other), 100, "there is no room for a second one");
    drop(table);
    assert!(passed(&other) < 10, "the room of a table that is gone is free");

    assert_eq!(passed(&open(&Arc::new(BlockCache::new(filter_bytes / 2)))), 100);
    assert_eq!(passed(&open(&Arc::new(BlockCache::new(0)))), 100);
}

/// Of absent partitions, a written file lets through about the share that it was to let through.
#[test]
fn files_let_through_as_many_absent_partitions_as_they_may() {
    let items = plain_items(20_000, 1);
    for wanted in [0.1, 0.01, 0.001] {
        let fs = Arc::new(MemoryFs::new());
        let options =
            SsTableOptions { filter_false_positives: wanted, ..options(1000, Compression::Lz4) };
        write_to(fs.clone(), &items, options).unwrap();
        let table = open_in(fs);
        let absent = 200_000;
        let passes =
            |number: &i64| table.may_contain(&position::token_prefix(number + 1_000_000)).unwrap();
        let share = (0..absent).filter(passes).count() as f64 / absent as f64;
        assert!((wanted / 1.5..wanted * 1.5).contains(&share), "{share} instead of {wanted}");
        assert!(
            items.iter().all(|item| table.may_contain(&item.key[..item.partition_len]).unwrap())
        );
    }
}

#[test]
fn small_rows_take_little_room() {
    // A 16-byte key and a 32-byte value of noise, as a row codec with 7 bytes of its own would have it.
    let mut noise = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = || {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise
    };
    let rows = 50_000u64;
    let mut items: Vec<Item> = (0..rows)
        .map(|_| {
            let words: Vec<[u8; 8]> = (0..7).map(|_| next().to_be_bytes()).collect();
            let prefix = words[..3].concat();
            let key = [&prefix[..], &[position::ROW]].concat();
            Item {
                key,
                partition_len: prefix.len(),
                value: Value::Row(row(5, &words[3..].concat()[..31])),
            }
        })
        .collect();
    items.sort_by(|left, right| left.key.cmp(&right.key));
    let statistics =
        write_to(Arc::new(MemoryFs::new()), &items, SsTableOptions::new(5, opaque)).unwrap();
    let bytes_per_row = statistics.file_bytes as f64 / rows as f64;
    // 39 of row, 16 of key, 6 of token, 2 of entry head, 1.3 of filter, 0.4 of index and restarts.
    assert!(bytes_per_row < 66.0, "{bytes_per_row}");
}

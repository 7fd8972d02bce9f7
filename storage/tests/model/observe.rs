//! What the code under test shows.

use std::path::Path;
use std::sync::Arc;

use tholos_storage::StorageError;
use tholos_storage::fs::Fs;
use tholos_storage::fs::memory::MemoryFs;
use tholos_storage::memtable::Memtable;
use tholos_storage::model::Row;
use tholos_storage::model::entry::{Content, Cursor, Direction, Entry};
use tholos_storage::model::mutation::Mutation;
use tholos_storage::model::row::transcode;
use tholos_storage::read::live::{LiveRow, LiveRows};
use tholos_storage::read::merge::MergeCursor;
use tholos_storage::read::point::PointRow;
use tholos_storage::read::source::Source;
use tholos_storage::sstable::{BlockCache, SsTable, SsTableCursor, SsTableOptions, SsTableWriter};

use crate::database::{Seen, visible};

pub(crate) fn memtable<'a>(writes: impl IntoIterator<Item = &'a Mutation>) -> Source {
    let memtable = Memtable::new(4);
    for write in writes {
        memtable.apply(write, || Ok(())).expect("a memtable takes what is canonical");
    }
    Source::Memtable(Arc::new(memtable))
}

/// The same as a file of small blocks, and its bytes; a source that holds nothing stays in memory.
pub(crate) fn on_disk(source: Source) -> (Source, Vec<u8>) {
    let (fs, path) = (MemoryFs::new(), Path::new("/1.sst"));
    fs.create_dir_all(Path::new("/")).unwrap();
    let options = SsTableOptions { block_bytes: 48, ..SsTableOptions::new(5, transcode) };
    let mut merge = MergeCursor::open(vec![source.clone()], &[], &[], Direction::Forward).unwrap();
    let mut writer = None;
    while let Some(entry) = merge.advance().unwrap() {
        let create = || SsTableWriter::create(Arc::new(fs.clone()), path.into(), options).unwrap();
        writer.get_or_insert_with(create).add(entry).unwrap();
    }
    let Some(writer) = writer else { return (source, Vec::new()) };
    writer.finish().unwrap();
    let bytes = fs.content(path).unwrap();
    let cache = Arc::new(BlockCache::new(1 << 20));
    (Source::Table(SsTable::new(Arc::new(fs), path.into(), cache)), bytes)
}

/// What several sources become in one file.
pub(crate) fn compacted(sources: &[Source]) -> Vec<u8> {
    let (fs, path) = (MemoryFs::new(), Path::new("/2.sst"));
    fs.create_dir_all(Path::new("/")).unwrap();
    let options = SsTableOptions::new(5, transcode);
    let mut writer = SsTableWriter::create(Arc::new(fs.clone()), path.into(), options).unwrap();
    let mut merge = MergeCursor::open(sources.to_vec(), &[], &[], Direction::Forward).unwrap();
    while let Some(entry) = merge.advance().unwrap() {
        writer.add(entry).unwrap();
    }
    writer.finish().unwrap();
    fs.content(path).unwrap()
}

/// The stream of `lower..upper`, as a merge yields it.
pub(crate) fn stream(
    sources: &[Source],
    lower: &[u8],
    upper: &[u8],
    direction: Direction,
) -> Result<Vec<Seen>, StorageError> {
    entries(&mut MergeCursor::open(sources.to_vec(), lower, upper, direction)?)
}

/// Everything in a walk, as it comes.
pub(crate) fn entries(walk: &mut impl Walk) -> Result<Vec<Seen>, StorageError> {
    let mut seen = Vec::new();
    while let Some(entry) = walk.next_entry()? {
        let key = entry.key.to_vec();
        seen.push(match entry.content {
            Content::Partition(deletion) => Seen::Partition(key, deletion),
            Content::Row(row) => {
                row.validate()?;
                Seen::Row(key, row.decode()?)
            }
            Content::Marker { before, after } => Seen::Marker(key, before, after),
        });
    }
    Ok(seen)
}

/// A walk through one source, or through several as one.
pub(crate) trait Walk {
    fn next_entry(&mut self) -> Result<Option<Entry<'_>>, StorageError>;
}

impl Walk for MergeCursor {
    fn next_entry(&mut self) -> Result<Option<Entry<'_>>, StorageError> {
        self.advance()
    }
}

impl Walk for SsTableCursor {
    fn next_entry(&mut self) -> Result<Option<Entry<'_>>, StorageError> {
        self.advance()
    }
}

/// All that a reader sees, ascending.
pub(crate) fn live(
    mut rows: LiveRows,
    direction: Direction,
    now: i64,
) -> Result<Vec<(Vec<u8>, Row)>, StorageError> {
    let mut seen = Vec::new();
    while let Some(live) = rows.next()? {
        seen.push((live.key.to_vec(), seen_row(&live, now)?));
    }
    if direction == Direction::Reverse {
        seen.reverse();
    }
    Ok(seen)
}

/// What a reader sees of a row that a walk came to.
pub(crate) fn seen_row(live: &LiveRow<'_>, now: i64) -> Result<Row, StorageError> {
    Ok(visible(live.row.decode()?, now).expect("a live row is visible"))
}

/// What a reader sees of one row.
pub(crate) fn point(row: Option<PointRow>, now: i64) -> Option<Row> {
    let row = row?.row().decode().expect("a stored row decodes");
    Some(visible(row, now).expect("a live row is visible"))
}

//! Entry points for fuzzing: each takes any bytes as a file of one kind and reads it in every way there is. Errors are
//! fine; a panic, or memory out of proportion to the input, is a bug.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::commitlog::{read_segment, record};
use crate::fs::memory::MemoryFs;
use crate::manifest::read_manifest;
use crate::model::entry::{Cursor, Direction};
use crate::sstable::{BlockCache, SsTable};

/// Reads the bytes as an SSTable: whole in both directions, slices, the filter, and verification.
pub fn sstable(bytes: &[u8]) {
    let path = PathBuf::from("/fuzz/1.sst");
    let fs = MemoryFs::new();
    fs.put(&path, bytes.to_vec());
    read_through(&SsTable::new(Arc::new(fs), path, Arc::new(BlockCache::new(1 << 20))));
}

/// Reads a table in every way there is.
pub(crate) fn read_through(table: &Arc<SsTable>) {
    let mut keys = vec![Vec::new()];
    for direction in [Direction::Forward, Direction::Reverse] {
        walk(table, &[], None, direction, &mut keys);
    }
    for pair in keys.windows(2).step_by(keys.len() / 16 + 1) {
        if let [lower, upper] = pair {
            walk(table, lower, Some(upper), Direction::Forward, &mut Vec::new());
            walk(table, lower, Some(upper), Direction::Reverse, &mut Vec::new());
        }
    }
    // Errors are as good an answer as any here.
    let _ = (table.may_contain(b"12345678"), table.statistics(), table.verify());
}

fn walk(
    table: &Arc<SsTable>,
    lower: &[u8],
    upper: Option<&[u8]>,
    direction: Direction,
    keys: &mut Vec<Vec<u8>>,
) {
    let Ok(mut cursor) = table.cursor(lower, upper, direction) else { return };
    while let Ok(Some(entry)) = cursor.advance() {
        keys.push(entry.key.to_vec());
    }
}

/// Reads the bytes as a commit log segment with the id 1, and as one mutation.
pub fn commit_log_segment(bytes: &[u8]) {
    let _ =
        (read_segment(Path::new("/fuzz/1.log"), 1, bytes), record::decode_mutation(bytes, None));
}

/// Reads the bytes as a manifest.
pub fn manifest(bytes: &[u8]) {
    let _ = read_manifest(Path::new("/fuzz/manifest"), bytes);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn noise_does_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
            super::sstable(&bytes);
            super::commit_log_segment(&bytes);
            super::manifest(&bytes);
        }
    }
}

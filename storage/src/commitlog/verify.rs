//! Verification of the log's files, without replaying them. Works beside a running node too: what looks damaged because
//! it was being written is looked at a second time.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::frame::{End, FILE_HEADER_BYTES, Frame, frame_at, walk};
use super::replay::{check_file_header, find_end, read_file};
use super::segments::live_segments;
use crate::StorageError;
use crate::fs::Fs;
use crate::schema::TableId;

/// A segment whose bytes are not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedSegment {
    /// The file.
    pub file: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// What does not hold.
    pub what: String,
    /// Nothing is damaged, but records of this table are of no use: it is lost.
    pub lost_table: Option<TableId>,
}

/// Checks the log in a directory: every frame's checksum, that records decode, and that the log ends only where it can.
/// `progress` is told of every segment file with its length, `is_known` says of
/// a table whether it is there or was dropped.
///
/// # Errors
/// The journal of segments can't be read or is damaged; `Io`.
pub fn verify_segments(
    fs: &dyn Fs,
    dir: &Path,
    is_known: &dyn Fn(TableId) -> bool,
    progress: &mut dyn FnMut(&Path, u64),
) -> Result<Vec<DamagedSegment>, StorageError> {
    let suspects = damaged_segments(fs, dir, is_known, progress)?;
    if suspects.is_empty() {
        return Ok(suspects);
    }
    let again = damaged_segments(fs, dir, is_known, &mut |_, _| {})?;
    Ok(suspects.into_iter().filter(|suspect| again.contains(suspect)).collect())
}

fn damaged_segments(
    fs: &dyn Fs,
    dir: &Path,
    is_known: &dyn Fn(TableId) -> bool,
    progress: &mut dyn FnMut(&Path, u64),
) -> Result<Vec<DamagedSegment>, StorageError> {
    let mut damaged = Vec::new();
    // Segments that end without a seal: only the last with frames may.
    let mut open: Vec<DamagedSegment> = Vec::new();
    for (segment, path) in live_segments(fs, dir)? {
        let at = |offset: u64, what: &str| DamagedSegment {
            file: path.clone(),
            offset,
            what: what.to_string(),
            lost_table: None,
        };
        let file = match read_file(fs, &path) {
            Ok(file) => file,
            Err(StorageError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                damaged.push(at(0, "it is missing"));
                continue;
            }
            Err(error) => return Err(error),
        };
        progress(&path, file.len() as u64);
        if let Err(error) = check_file_header(&path, &file) {
            match error {
                StorageError::Corrupt { .. } => damaged.push(at(0, "its header is not one")),
                error => return Err(error),
            }
            continue;
        }
        if frame_at(&file, segment, FILE_HEADER_BYTES).is_some() {
            damaged.append(&mut open);
        }
        match find_end(&file, segment) {
            End::Sealed => {}
            End::Open(offset) => {
                open.push(at(
                    u64::from(offset),
                    "it ends without a seal, and the log goes on in a later segment",
                ));
            }
            End::Damaged(offset) => {
                damaged.push(at(
                    u64::from(offset),
                    "a frame is not what was written, and the log goes on after it",
                ));
            }
        }
        let mut tables = BTreeSet::new();
        if let Err(offset) = decode_all(&file, segment, &mut tables) {
            damaged
                .push(at(u64::from(offset), "a record is malformed although its checksum matches"));
        }
        for table in tables.into_iter().filter(|table| !is_known(*table)) {
            let what = format!(
                "it has writes to a table that the schema does not know and did not drop (id {table})"
            );
            damaged.push(DamagedSegment { lost_table: Some(table), ..at(0, &what) });
        }
    }
    Ok(damaged)
}

/// Decodes every record, and notes its table; the offset of one that is none.
fn decode_all(file: &[u8], segment: u64, tables: &mut BTreeSet<TableId>) -> Result<(), u32> {
    let visit = &mut |frame: Frame<'_>| {
        frame.records().try_for_each(|record| {
            tables.insert(record?.1.table);
            Ok(())
        })
    };
    walk(file, segment, false, visit).map(drop)
}

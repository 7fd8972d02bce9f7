//! Verification of the log's files, without replaying them. Works beside a running node too: what looks damaged because
//! it was being written is looked at a second time.

use std::io;
use std::path::{Path, PathBuf};

use super::frame::{End, FILE_HEADER_BYTES, frame_at, walk};
use super::replay::{check_file_header, find_end, read_file};
use super::segments::live_segments;
use crate::StorageError;
use crate::fs::Fs;

/// A segment whose bytes are not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedSegment {
    /// The file.
    pub file: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// What does not hold.
    pub what: String,
}

/// Checks the log in a directory: every frame's checksum, that records decode, and that the log ends only where it can.
/// `progress` is told of every segment file with its length.
///
/// # Errors
/// The journal of segments can't be read or is damaged; `Io`.
pub fn verify_segments(
    fs: &dyn Fs,
    dir: &Path,
    progress: &mut dyn FnMut(&Path, u64),
) -> Result<Vec<DamagedSegment>, StorageError> {
    let suspects = damaged_segments(fs, dir, progress)?;
    if suspects.is_empty() {
        return Ok(suspects);
    }
    let again = damaged_segments(fs, dir, &mut |_, _| {})?;
    Ok(suspects.into_iter().filter(|suspect| again.contains(suspect)).collect())
}

fn damaged_segments(
    fs: &dyn Fs,
    dir: &Path,
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
        if let Err(offset) = decode_all(&file, segment) {
            damaged
                .push(at(u64::from(offset), "a record is malformed although its checksum matches"));
        }
    }
    Ok(damaged)
}

/// Decodes every record; the offset of one that is none.
fn decode_all(file: &[u8], segment: u64) -> Result<(), u32> {
    walk(file, segment, false, &mut |frame| frame.records().try_for_each(|record| record.map(drop)))
        .map(drop)
}

//! A journal: an append-only file of checksummed records, for what is small and must not be lost (the manifest, the
//! segments of the commit log, the schema).
//!
//! Layout: 8 bytes of magic that say whose journal it is, a format version (u32), then records: length (u32, never 0),
//! crc32 of the payload (u32), crc32 of the header (u32) and payload; all little endian. Both checksums also cover the
//! record's offset (u64), so no copy of a record elsewhere is ever taken for one. A header of length 0 is the *end
//! mark*: all before it was synced. Zeros follow, up to a multiple of 4 KiB; there is always room for a mark.
//!
//! Each append is synced before it returns, and only then is the mark written, so at most the last record can be torn:
//! bytes that are no record are the end, unless a valid header follows them, which is damage. The file grows, and is
//! synced, before it is written to: a length that does not fit is damage too. A journal is created and rewritten under
//! another name and renamed, so it is there whole or not at all.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::StorageError;
use crate::fs::{File, Fs};
use crate::planted::planted;

/// Largest payload of a record, in bytes.
pub const MAX_RECORD_BYTES: usize = 64 << 20;

/// Where the first record of every journal begins.
pub const FIRST_RECORD: u64 = HEADER_BYTES;

const HEADER_BYTES: u64 = 12;
const RECORD_HEADER_BYTES: usize = 12;
/// The file's length is a multiple of this.
const PAGE_BYTES: u64 = 4 << 10;

/// Whose journal it is, and which version of its records it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalFormat {
    /// The first bytes of the file.
    pub magic: [u8; 8],
    /// The version that is written.
    pub version: u32,
    /// The oldest version that is read: records of such a file are passed on as they are, and its owner is to
    /// [`rewrite`](Journal::rewrite) it before it appends. Files of other versions are refused.
    pub oldest: u32,
}

impl JournalFormat {
    /// A format of which one version only is read.
    pub const fn new(magic: [u8; 8], version: u32) -> Self {
        JournalFormat { magic, version, oldest: version }
    }
}

/// Takes a record and its offset.
pub type Visitor<'a> = dyn FnMut(u64, &[u8]) -> Result<(), StorageError> + 'a;

/// A journal that is appended to. Its file is open only meanwhile: there may be more journals than descriptors.
#[derive(Debug)]
pub struct Journal {
    fs: Arc<dyn Fs>,
    path: PathBuf,
    format: JournalFormat,
    /// Where the next record goes; until then an end mark is there.
    end: u64,
    /// Length of the file.
    allocated: u64,
    /// An append failed halfway: its bytes are to go before the next one.
    ragged: bool,
    fenced: bool,
    /// The file has records of an older version.
    outdated: bool,
}

impl Journal {
    /// Creates a journal with some records, replacing what has that name.
    pub fn create<'a>(
        fs: Arc<dyn Fs>,
        path: &Path,
        format: JournalFormat,
        records: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Journal, StorageError> {
        let (end, allocated) = write_whole(&*fs, path, format, records)?;
        let path = path.to_path_buf();
        let (ragged, fenced, outdated) = (false, false, false);
        Ok(Journal { fs, path, format, end, allocated, ragged, fenced, outdated })
    }

    /// Opens a journal and passes every record, with its offset, to `visit`. A torn end is cut off; what is read is
    /// durable.
    ///
    /// # Errors
    /// `Io` (`NotFound`) if there is none; `Corrupt` for damage before a valid record; `Unusable` if it is another
    /// journal or version; what `visit` returns.
    pub fn open(
        fs: Arc<dyn Fs>,
        path: &Path,
        format: JournalFormat,
        visit: &mut Visitor<'_>,
    ) -> Result<Journal, StorageError> {
        let failed = |operation| move |error| StorageError::io(operation, path, error);
        let file = fs.open(path, false).map_err(failed("open"))?;
        let len = file.len().map_err(failed("size"))?;
        let mut bytes =
            vec![0; usize::try_from(len).map_err(|_| corrupt(path, 0, "it is too large"))?];
        file.read_exact_at(&mut bytes, 0).map_err(failed("read"))?;
        let outdated = check_header(path, format, &bytes)? != format.version;
        // A process may have been killed between a write, or a rename, and its sync: what is acted on from here must not
        // be lost with the machine's power later.
        if !planted!(TrustWhatIsRead) {
            // If a sync failed after the file grew, the system may have forgotten that its length is not on disk.
            file.set_len(len).map_err(failed("grow"))?;
            file.sync_data().map_err(failed("sync"))?;
            fs.sync_dir(dir_of(path)).map_err(failed(SYNC_NAMES))?;
        }
        let mut last = HEADER_BYTES;
        let end = visit_records(path, &bytes, &mut |offset, record| {
            last = offset;
            visit(offset, record)
        })?;
        remove_leftover(&*fs, path)?;
        let is_marked = matches!(found_at(&bytes, end as usize), Found::Mark);
        if !is_marked && !planted!(TrustWhatIsRead) {
            // If its sync failed, the system has forgotten that the last record is not on disk: to sync again is not
            // enough, only what is written again gets there.
            let record = bytes.get(last as usize..end as usize).unwrap_or_default();
            file.write_all_at(record, last).map_err(failed("write"))?;
            file.sync_data().map_err(failed("sync"))?;
        }
        let path = path.to_path_buf();
        let (ragged, fenced) = (false, false);
        let journal = Journal { fs, path, format, end, allocated: len, ragged, fenced, outdated };
        if !is_marked {
            journal.clear_end(&*file)?;
        }
        Ok(journal)
    }

    /// Opens a journal, or creates it empty if there is none.
    pub fn open_or_create(
        fs: Arc<dyn Fs>,
        path: &Path,
        format: JournalFormat,
        visit: &mut Visitor<'_>,
    ) -> Result<Journal, StorageError> {
        if fs.exists(path).map_err(|error| StorageError::io("look up", path, error))? {
            Journal::open(fs, path, format, visit)
        } else {
            Journal::create(fs, path, format, [])
        }
    }

    /// Appends a record and syncs it.
    ///
    /// # Errors
    /// After a failed sync, this and every later append is refused. After other errors the record is not there.
    pub fn append(&mut self, record: &[u8]) -> Result<(), StorageError> {
        if self.fenced {
            return Err(StorageError::Fenced { file: self.path.clone() });
        }
        if self.outdated {
            let what = format!("{} has records of an older version", self.path.display());
            return Err(StorageError::Unusable(what));
        }
        let mut bytes = Vec::with_capacity(record.len() + RECORD_HEADER_BYTES);
        encode_record(&mut bytes, self.end, record)?;
        let end = self.end + bytes.len() as u64;
        let file = self.fs.open(&self.path, false);
        let file = file.map_err(|error| StorageError::io("open", &self.path, error))?;
        self.grow(&*file, end)?;
        if self.ragged {
            self.clear_end(&*file)?;
        }
        self.ragged = true;
        file.write_all_at(&bytes, self.end)
            .map_err(|error| StorageError::io("write", &self.path, error))?;
        self.sync(&*file)?;
        self.ragged = false;
        self.end = end;
        if let Err(error) = file.write_all_at(&end_mark(end), end) {
            // It only serves to tell damage from a torn end.
            tracing::warn!(file = %self.path.display(), %error, "no end mark could be written");
        }
        Ok(())
    }

    /// Makes room for records up to `end` and a mark.
    fn grow(&mut self, file: &dyn File, end: u64) -> Result<(), StorageError> {
        let needed = end + RECORD_HEADER_BYTES as u64;
        if needed <= self.allocated {
            return Ok(());
        }
        let len = needed.max(self.allocated * 2).next_multiple_of(PAGE_BYTES);
        let failed = |error| StorageError::io("grow", &self.path, error);
        file.set_len(len).map_err(failed)?;
        self.sync(file)?;
        self.allocated = len;
        Ok(())
    }

    fn sync(&mut self, file: &dyn File) -> Result<(), StorageError> {
        file.sync_data().map_err(|error| {
            self.fenced = true;
            tracing::error!(file = %self.path.display(), %error, "sync failed: the journal takes no more records");
            StorageError::io("sync", &self.path, error)
        })
    }

    /// Marks the end of what was synced, and removes what lies behind.
    fn clear_end(&self, file: &dyn File) -> Result<(), StorageError> {
        let mut bytes = end_mark(self.end).to_vec();
        bytes.resize(self.allocated.saturating_sub(self.end) as usize, 0);
        file.write_all_at(&bytes, self.end)
            .map_err(|error| StorageError::io("write", &self.path, error))
    }

    /// Replaces all records at once: what is read later is the old ones or the new ones.
    ///
    /// # Errors
    /// If it is unknown which of both is on disk (the directory's sync failed), later appends are refused.
    pub fn rewrite<'a>(
        &mut self,
        records: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(), StorageError> {
        if self.fenced {
            return Err(StorageError::Fenced { file: self.path.clone() });
        }
        match write_whole(&*self.fs, &self.path, self.format, records) {
            Ok((end, allocated)) => {
                (self.end, self.allocated) = (end, allocated);
                (self.ragged, self.outdated) = (false, false);
                Ok(())
            }
            Err(error) => {
                self.fenced = matches!(error, StorageError::Io { operation: SYNC_NAMES, .. });
                Err(error)
            }
        }
    }

    /// Whether a sync failed: what is on disk is unknown, and nothing is appended any more.
    pub fn is_fenced(&self) -> bool {
        self.fenced
    }

    /// Whether its records are of an older version: it is to be rewritten before anything is appended.
    pub fn is_outdated(&self) -> bool {
        self.outdated
    }

    /// Length of its records in bytes.
    pub fn bytes(&self) -> u64 {
        self.end
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The records of a journal given as bytes, as [`Journal::open`] would read them: for tools and fuzzing.
pub fn read_records(
    path: &Path,
    format: JournalFormat,
    bytes: &[u8],
) -> Result<Vec<Vec<u8>>, StorageError> {
    check_header(path, format, bytes)?;
    let mut records = Vec::new();
    visit_records(path, bytes, &mut |_, record| {
        records.push(record.to_vec());
        Ok(())
    })?;
    Ok(records)
}

/// So many bytes of a journal's file are those of a record with a payload of that length.
pub const fn bytes_of_record(payload: usize) -> u64 {
    (RECORD_HEADER_BYTES + payload) as u64
}

/// The payload of the record at an offset of a journal's file, read alone: for journals that are too long to be read
/// whole. It must be known to be there.
///
/// # Errors
/// `Corrupt` if it is not, or not what was written; `Unusable` if it is another journal or version; `Io`.
pub fn read_record(
    fs: &dyn Fs,
    path: &Path,
    format: JournalFormat,
    offset: u64,
) -> Result<Vec<u8>, StorageError> {
    let file = fs.open(path, true).map_err(|error| StorageError::io("open", path, error))?;
    let len = file.len().map_err(|error| StorageError::io("size", path, error))?;
    let read = |at: u64, bytes: u64| {
        if at.checked_add(bytes).is_none_or(|end| end > len) {
            return Err(corrupt(path, at, "it was cut off here"));
        }
        let mut buffer = vec![0; bytes as usize];
        let read = file.read_exact_at(&mut buffer, at);
        read.map_err(|error| StorageError::io("read", path, error))?;
        Ok(buffer)
    };
    check_header(path, format, &read(0, HEADER_BYTES)?)?;
    let is_no_record = || corrupt(path, offset, "a record is not what was written");
    let header = read(offset, RECORD_HEADER_BYTES as u64)?;
    let (payload_len, crc) = match *header.as_slice() {
        [l0, l1, l2, l3, c0, c1, c2, c3, ..] => {
            (u32::from_le_bytes([l0, l1, l2, l3]), u32::from_le_bytes([c0, c1, c2, c3]))
        }
        _ => return Err(is_no_record()),
    };
    if payload_len == 0 || header != record_header(offset, payload_len, crc) {
        return Err(is_no_record());
    }
    let payload = read(offset + RECORD_HEADER_BYTES as u64, u64::from(payload_len))?;
    if checksum(offset, &payload) == crc { Ok(payload) } else { Err(is_no_record()) }
}

/// The operation whose failure leaves open which of two files has the name.
const SYNC_NAMES: &str = "sync the directory of";

fn corrupt(path: &Path, offset: u64, what: impl Into<String>) -> StorageError {
    StorageError::Corrupt { file: path.to_path_buf(), offset, what: what.into() }
}

fn checksum(offset: u64, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&offset.to_le_bytes());
    hasher.update(bytes);
    hasher.finalize()
}

fn record_header(offset: u64, len: u32, crc: u32) -> [u8; RECORD_HEADER_BYTES] {
    let mut header = [0; RECORD_HEADER_BYTES];
    let (fields, check) = header.split_at_mut(RECORD_HEADER_BYTES - 4);
    fields[..4].copy_from_slice(&len.to_le_bytes());
    fields[4..].copy_from_slice(&crc.to_le_bytes());
    check.copy_from_slice(&checksum(offset, fields).to_le_bytes());
    header
}

fn end_mark(offset: u64) -> [u8; RECORD_HEADER_BYTES] {
    record_header(offset, 0, 0)
}

fn encode_record(out: &mut Vec<u8>, offset: u64, payload: &[u8]) -> Result<(), StorageError> {
    if payload.is_empty() || payload.len() > MAX_RECORD_BYTES {
        let limits =
            format!("a journal record of {} bytes: must be 1 to {MAX_RECORD_BYTES}", payload.len());
        return Err(StorageError::Unusable(limits));
    }
    let crc = checksum(offset, payload);
    out.extend_from_slice(&record_header(offset, payload.len() as u32, crc));
    out.extend_from_slice(payload);
    Ok(())
}

/// What is at an offset.
enum Found<'a> {
    Record(&'a [u8]),
    /// The end mark.
    Mark,
    /// A header, whose payload is not what was written.
    Torn,
    /// A header, whose payload lies beyond the end of the file.
    CutOff,
    Nothing,
}

fn found_at(bytes: &[u8], offset: usize) -> Found<'_> {
    let header = bytes.get(offset..).and_then(<[u8]>::split_first_chunk::<RECORD_HEADER_BYTES>);
    let Some((header, rest)) = header else { return Found::Nothing };
    let [l0, l1, l2, l3, c0, c1, c2, c3, ..] = *header;
    let (len, crc) = (u32::from_le_bytes([l0, l1, l2, l3]), u32::from_le_bytes([c0, c1, c2, c3]));
    // Most of what a search sees are zeros: the cheap test comes first.
    if *header == [0; RECORD_HEADER_BYTES] || *header != record_header(offset as u64, len, crc) {
        return Found::Nothing;
    }
    match rest.get(..len as usize) {
        None => Found::CutOff,
        Some([]) => Found::Mark,
        Some(payload) if checksum(offset as u64, payload) == crc => Found::Record(payload),
        Some(_) => Found::Torn,
    }
}

/// The version of the file.
fn check_header(path: &Path, format: JournalFormat, bytes: &[u8]) -> Result<u32, StorageError> {
    let Some((magic, rest)) = bytes.split_first_chunk::<8>() else {
        return Err(corrupt(path, 0, "it is shorter than its header"));
    };
    let Some(version) = rest.first_chunk::<4>() else {
        return Err(corrupt(path, 8, "it is shorter than its header"));
    };
    if *magic != format.magic {
        return Err(corrupt(path, 0, "it does not begin with the magic bytes of such a file"));
    }
    let version = u32::from_le_bytes(*version);
    if !(format.oldest..=format.version).contains(&version) {
        let read = match format.oldest {
            oldest if oldest == format.version => oldest.to_string(),
            oldest => format!("{oldest} to {}", format.version),
        };
        let what = format!(
            "{} has format version {version}, this release reads {read}: use the release that wrote it",
            path.display(),
        );
        return Err(StorageError::Unusable(what));
    }
    Ok(version)
}

/// Visits all records and says where they end.
fn visit_records(path: &Path, bytes: &[u8], visit: &mut Visitor<'_>) -> Result<u64, StorageError> {
    if !(bytes.len() as u64).is_multiple_of(PAGE_BYTES) {
        return Err(corrupt(
            path,
            bytes.len() as u64,
            "it was cut off: its length is not one it can have",
        ));
    }
    let mut offset = HEADER_BYTES as usize;
    while let Found::Record(payload) = found_at(bytes, offset) {
        visit(offset as u64, payload)?;
        offset += RECORD_HEADER_BYTES + payload.len();
    }
    let has_room = offset + RECORD_HEADER_BYTES <= bytes.len();
    if !has_room || matches!(found_at(bytes, offset), Found::CutOff) {
        return Err(corrupt(path, offset as u64, "it was cut off after this record"));
    }
    let is_header = |later: &usize| !matches!(found_at(bytes, *later), Found::Nothing);
    match (offset + 1..bytes.len()).find(is_header) {
        None => Ok(offset as u64),
        Some(later) => {
            let what = format!(
                "a record's checksum does not match, and it was on disk before what follows at offset {later}"
            );
            Err(corrupt(path, offset as u64, what))
        }
    }
}

fn dir_of(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn leftover_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(".new");
    path.with_file_name(name)
}

fn remove_leftover(fs: &dyn Fs, path: &Path) -> Result<(), StorageError> {
    let leftover = leftover_of(path);
    match fs.remove(&leftover) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StorageError::io("remove", leftover, error))
        }
        _ => Ok(()),
    }
}

fn write_whole<'a>(
    fs: &dyn Fs,
    path: &Path,
    format: JournalFormat,
    records: impl IntoIterator<Item = &'a [u8]>,
) -> Result<(u64, u64), StorageError> {
    let mut bytes = Vec::from(format.magic);
    bytes.extend_from_slice(&format.version.to_le_bytes());
    for record in records {
        let offset = bytes.len() as u64;
        encode_record(&mut bytes, offset, record)?;
    }
    let end = bytes.len() as u64;
    bytes.extend_from_slice(&end_mark(end));
    bytes.resize(bytes.len().next_multiple_of(PAGE_BYTES as usize), 0);
    remove_leftover(fs, path)?;
    let draft = leftover_of(path);
    let failed = |operation| {
        let draft = draft.clone();
        move |error| StorageError::io(operation, draft, error)
    };
    let file = fs.create(&draft).map_err(failed("create"))?;
    file.write_all_at(&bytes, 0).map_err(failed("write"))?;
    file.sync_data().map_err(failed("sync"))?;
    fs.rename(&draft, path).map_err(failed("rename"))?;
    fs.sync_dir(dir_of(path)).map_err(|error| StorageError::Io {
        operation: SYNC_NAMES,
        file: path.to_path_buf(),
        source: error,
    })?;
    Ok((end, bytes.len() as u64))
}

/// The bytes of a journal's file.
///
/// # Errors
/// `Io`.
pub fn read_file(fs: &dyn Fs, path: &Path) -> Result<Vec<u8>, StorageError> {
    let file = fs.open(path, true).map_err(|error| StorageError::io("open", path, error))?;
    let len = file.len().map_err(|error| StorageError::io("size", path, error))?;
    let too_large = |_| StorageError::Corrupt {
        file: path.to_path_buf(),
        offset: 0,
        what: "it is too large".into(),
    };
    let mut bytes = vec![0; usize::try_from(len).map_err(too_large)?];
    file.read_exact_at(&mut bytes, 0).map_err(|error| StorageError::io("read", path, error))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests;

//! Verification of a data directory: that every file is what was written, without a running engine.
//!
//! Files are only read. SSTables never change, so this may run beside a node that uses the directory: a file that went
//! away meanwhile (a compaction's input, a dropped table's) is no problem.

use std::io;
use std::path::{Path, PathBuf};

use uuid::Uuid;

use crate::StorageError;
use crate::commitlog::verify_segments;
use crate::fs::Fs;
use crate::journal::read_file;
use crate::layout;
use crate::manifest::{self, FileNumber, TableFile, TableFiles, read_manifest};
use crate::model::row;
use crate::schema::TableId;
use crate::sstable::{Damage, Inspector, KeyRange, verify as verify_sstable};

/// Something that is not as it should be.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// The file.
    pub file: PathBuf,
    /// Where in it, if it is a certain place.
    pub offset: Option<u64>,
    /// What does not hold.
    pub what: String,
    /// What kind of file, and what belongs to it.
    pub subject: Subject,
}

/// What a problem concerns.
#[derive(Clone, Debug, PartialEq)]
pub enum Subject {
    /// An SSTable.
    SsTable {
        /// The keyspace, as the directory says.
        keyspace: String,
        /// The table, as the directory says.
        table: String,
        /// The table's id, as the directory says.
        id: TableId,
        /// The file's number.
        number: FileNumber,
        /// Keys that can't be read; none if it is only the filter or the statistics.
        keys: Option<KeyRange>,
    },
    /// A table's manifest: nothing is known of its files.
    Manifest {
        /// The keyspace.
        keyspace: String,
        /// The table.
        table: String,
    },
    /// The commit log.
    CommitLog,
    /// A segment of the commit log with writes to a table that is not there.
    LostTable,
    /// Something that must be there and is not: what to do when it is lost for good.
    Missing(&'static str),
    /// A journal of the node.
    Journal,
}

impl From<StorageError> for Problem {
    fn from(error: StorageError) -> Problem {
        match error {
            StorageError::Missing { file, holds, instead } => Problem {
                file,
                offset: None,
                what: format!("it is missing: {holds}"),
                subject: Subject::Missing(instead),
            },
            StorageError::Corrupt { file, offset, what } => {
                Problem { file, offset: Some(offset), what, subject: Subject::Journal }
            }
            other => Problem {
                file: PathBuf::new(),
                offset: None,
                what: other.to_string(),
                subject: Subject::Journal,
            },
        }
    }
}

impl Problem {
    /// What to do about it.
    pub fn advice(&self) -> String {
        let advice = match &self.subject {
            Subject::Missing(instead) => {
                return format!("the node does not start without it; put it back, or {instead}");
            }
            Subject::LostTable => {
                "the node does not start with it; bring back the schema's journal that belongs to this data, or start with --set-aside-damaged-log: writes that are only in such segments are not there then"
            }
            Subject::SsTable { keys: Some(_), .. } => {
                "reads of these keys answer an error, all others go on; bring the rows back from a snapshot (tholos restore)"
            }
            Subject::SsTable { keys: None, .. } => {
                "no rows are lost; the next compaction of the file makes it good"
            }
            Subject::Manifest { .. } | Subject::CommitLog | Subject::Journal => {
                crate::error::advice(&self.file)
            }
        };
        advice.to_string()
    }
}

/// Is told how far a verification is.
pub trait Watch {
    /// A file is looked at now.
    fn begin(&mut self, file: &Path);
    /// So many more bytes were read.
    fn read(&mut self, bytes: u64);
    /// Something was found.
    fn problem(&mut self, problem: Problem);
}

/// What was verified.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Tables.
    pub tables: u64,
    /// SSTables.
    pub sstables: u64,
    /// Their bytes.
    pub bytes: u64,
}

/// Verifies all tables and the commit log of an engine's directory. `is_known` says of a table that the log has records
/// of whether it is there or was dropped.
///
/// # Errors
/// A directory can't be listed, or a file not be read, or is of another version: the rest was not looked at.
pub fn verify_storage(
    fs: &dyn Fs,
    dir: &Path,
    is_known: &dyn Fn(TableId) -> bool,
    watch: &mut dyn Watch,
) -> Result<Verified, StorageError> {
    let mut verified = Verified::default();
    let data = dir.join("data");
    for keyspace in names(fs, &data)? {
        for table in names(fs, &data.join(&keyspace))? {
            let dir = data.join(&keyspace).join(&table);
            let Some((name, id)) = table.rsplit_once('-') else { continue };
            let Ok(id) = Uuid::try_parse(id) else { continue };
            let table = TableDir { dir, keyspace: &keyspace, name, id: TableId(id) };
            verify_table(fs, &table, watch, &mut verified)?;
        }
    }
    verify_log(fs, &dir.join("commitlog"), is_known, watch)?;
    Ok(verified)
}

struct TableDir<'a> {
    dir: PathBuf,
    keyspace: &'a str,
    name: &'a str,
    id: TableId,
}

impl TableDir<'_> {
    fn manifest(&self, fs: &dyn Fs) -> Result<Option<TableFiles>, StorageError> {
        let path = self.dir.join(layout::MANIFEST);
        match read_file(fs, &path).and_then(|bytes| read_manifest(&path, &bytes)) {
            Ok(files) => Ok(Some(files)),
            // Being created, or being dropped.
            Err(error) if is_missing(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn problem(&self, file: &TableFile, damage: Damage) -> Problem {
        let place = Some(damage.offset).filter(|offset| *offset > 0 || damage.keys.is_some());
        Problem {
            file: manifest::file_path(&self.dir, file.number),
            offset: place,
            what: damage.what,
            subject: Subject::SsTable {
                keyspace: self.keyspace.to_string(),
                table: self.name.to_string(),
                id: self.id,
                number: file.number,
                keys: damage.keys,
            },
        }
    }
}

fn verify_table(
    fs: &dyn Fs,
    table: &TableDir<'_>,
    watch: &mut dyn Watch,
    verified: &mut Verified,
) -> Result<(), StorageError> {
    let path = table.dir.join(layout::MANIFEST);
    watch.begin(&path);
    let files = match table.manifest(fs) {
        Ok(Some(files)) => files.files,
        Ok(None) => return Ok(()),
        Err(StorageError::Corrupt { offset, what, .. }) => {
            let (keyspace, table) = (table.keyspace.to_string(), table.name.to_string());
            let subject = Subject::Manifest { keyspace, table };
            watch.problem(Problem { file: path, offset: Some(offset), what, subject });
            return Ok(());
        }
        Err(error) => return Err(error),
    };
    verified.tables += 1;
    for file in files.values() {
        let path = manifest::file_path(&table.dir, file.number);
        watch.begin(&path);
        match verify_file(fs, &path, file, watch) {
            Ok(damages) => {
                verified.sstables += 1;
                verified.bytes += file.statistics.file_bytes;
                damages.into_iter().for_each(|damage| watch.problem(table.problem(file, damage)));
            }
            Err(error) if is_missing(&error) => {
                let now = table.manifest(fs)?;
                if now.is_some_and(|files| files.files.contains_key(&file.number)) {
                    let keys =
                        KeyRange::ALL.within(&file.statistics.min_key, &file.statistics.max_key);
                    let what = "the manifest names it, and it is missing".to_string();
                    let damage = Damage { offset: 0, what, keys: Some(keys) };
                    watch.problem(Problem { offset: None, ..table.problem(file, damage) });
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn verify_file(
    fs: &dyn Fs,
    path: &Path,
    file: &TableFile,
    watch: &mut dyn Watch,
) -> Result<Vec<Damage>, StorageError> {
    let mut damages = verify_sstable(fs, path, Some(row::check), &mut |bytes| watch.read(bytes))?;
    let statistics = &file.statistics;
    for damage in &mut damages {
        // The file's own statistics may be what is damaged: the manifest has them too.
        damage.keys =
            damage.keys.take().map(|keys| keys.within(&statistics.min_key, &statistics.max_key));
    }
    if damages.is_empty() && Inspector::open(fs, path)?.statistics()? != *statistics {
        let what = "the manifest says something else of it than the file itself".to_string();
        damages.push(Damage { offset: 0, what, keys: None });
    }
    Ok(damages)
}

fn verify_log(
    fs: &dyn Fs,
    dir: &Path,
    is_known: &dyn Fn(TableId) -> bool,
    watch: &mut dyn Watch,
) -> Result<(), StorageError> {
    let mut begun = Vec::new();
    let found = verify_segments(fs, dir, is_known, &mut |path, bytes| {
        begun.push((path.to_path_buf(), bytes))
    });
    for (path, bytes) in begun {
        watch.begin(&path);
        watch.read(bytes);
    }
    let subject = || Subject::CommitLog;
    match found {
        Ok(damaged) => {
            for segment in damaged {
                let (file, offset, what) = (segment.file, Some(segment.offset), segment.what);
                let is_lost = segment.lost_table.is_some();
                let subject = if is_lost { Subject::LostTable } else { subject() };
                watch.problem(Problem { file, offset, what, subject });
            }
            Ok(())
        }
        // A directory that no engine was opened in yet.
        Err(error) if is_missing(&error) => Ok(()),
        Err(StorageError::Corrupt { file, offset, what }) => {
            watch.problem(Problem { file, offset: Some(offset), what, subject: subject() });
            Ok(())
        }
        Err(error) => Err(error),
    }
}

fn is_missing(error: &StorageError) -> bool {
    matches!(error, StorageError::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

/// Names in a directory; none if it is missing or no directory.
fn names(fs: &dyn Fs, dir: &Path) -> Result<Vec<String>, StorageError> {
    match fs.list(dir) {
        Ok(names) => Ok(names),
        Err(error)
            if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) =>
        {
            Ok(Vec::new())
        }
        Err(error) => Err(StorageError::io("list", dir, error)),
    }
}

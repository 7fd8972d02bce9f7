//! The schema on disk: a journal of changes, begun with a snapshot.
//!
//! Records are JSON: `{"snapshot": Schema}` or `{"changes": [SchemaChange, ...]}`. All changes of one statement are one
//! record, so they happen together or not at all. A record is synced before its statement is answered. Once changes
//! outweigh the schema itself the journal is rewritten as one snapshot.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tholos_storage::StorageError;
use tholos_storage::fs::Fs;
use tholos_storage::journal::{Journal, JournalFormat, read_records};
use tholos_storage::schema::change::SchemaError;
use tholos_storage::schema::{Schema, SchemaChange};
use tholos_storage::snapshot::read_file;

/// The journal's file in the data directory.
pub const FILE: &str = "schema.journal";

const FORMAT: JournalFormat = JournalFormat { magic: *b"THOLSCHM", version: 2 };

/// Below this the journal is never rewritten.
const CHECKPOINT_BYTES: u64 = 1 << 20;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Record {
    Snapshot(Schema),
    Changes(Vec<SchemaChange>),
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum SchemaStoreError {
    /// It does not fit the schema.
    #[error(transparent)]
    Schema(#[from] SchemaError),
    /// It could not be written.
    #[error(transparent)]
    Storage(#[from] StorageError),
}

/// The schema's journal, and the schema that it comes to.
#[derive(Debug)]
pub struct SchemaStore {
    journal: Journal,
    schema: Arc<Schema>,
    /// Length of the journal after the last snapshot.
    snapshot_bytes: u64,
}

impl SchemaStore {
    /// Reads the schema of a data directory; an empty one if there is none yet.
    ///
    /// # Errors
    /// The journal can't be read, is damaged, or holds what this release does not understand.
    pub fn open(fs: Arc<dyn Fs>, dir: &Path) -> Result<SchemaStore, StorageError> {
        let path = dir.join(FILE);
        let mut schema = Schema::default();
        let journal = Journal::open_or_create(fs, &path, FORMAT, &mut |offset, bytes| {
            schema = read_record(&path, offset, bytes, std::mem::take(&mut schema))?;
            Ok(())
        })?;
        Ok(SchemaStore { journal, schema: Arc::new(schema), snapshot_bytes: 0 })
    }

    /// The schema as it is on disk.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.schema
    }

    /// The schema that these changes come to; nothing is written.
    ///
    /// # Errors
    /// They do not fit.
    pub fn preview(&self, changes: &[SchemaChange]) -> Result<Schema, SchemaError> {
        applied(&self.schema, changes)
    }

    /// Makes changes durable: when this returns they survive a crash, all of them.
    ///
    /// # Errors
    /// They do not fit, or could not be written: then the schema is as it was.
    pub fn commit(&mut self, changes: &[SchemaChange]) -> Result<Arc<Schema>, SchemaStoreError> {
        let next = Arc::new(applied(&self.schema, changes)?);
        self.journal.append(&encode(&Record::Changes(changes.to_vec()))?)?;
        self.schema = next;
        if self.journal.bytes() > CHECKPOINT_BYTES.max(4 * self.snapshot_bytes) {
            self.checkpoint();
        }
        Ok(Arc::clone(&self.schema))
    }

    /// Rewrites the journal as one snapshot. A failure loses nothing: the journal stays as it was, or takes no more.
    fn checkpoint(&mut self) {
        let snapshot = encode(&Record::Snapshot(Schema::clone(&self.schema)));
        let rewritten = snapshot.and_then(|bytes| self.journal.rewrite([bytes.as_slice()]));
        match rewritten {
            Ok(()) => self.snapshot_bytes = self.journal.bytes(),
            Err(error) => {
                tracing::warn!(%error, "the schema's journal could not be shortened; it goes on growing");
            }
        }
    }
}

/// The schema of a data directory, which a node may be using.
///
/// # Errors
/// There is none, or it can't be read.
pub fn read(fs: &dyn Fs, dir: &Path) -> Result<Schema, StorageError> {
    let path = dir.join(FILE);
    let bytes = read_file(fs, &path)?;
    let mut schema = Schema::default();
    for record in read_records(&path, FORMAT, &bytes)? {
        schema = read_record(&path, 0, &record, schema)?;
    }
    Ok(schema)
}

/// The schema after one more record of the journal.
fn read_record(
    path: &Path,
    offset: u64,
    record: &[u8],
    schema: Schema,
) -> Result<Schema, StorageError> {
    let corrupt = |what: String| StorageError::Corrupt { file: path.to_path_buf(), offset, what };
    match serde_json::from_slice(record).map_err(|error| corrupt(error.to_string()))? {
        Record::Snapshot(snapshot) => Ok(snapshot),
        Record::Changes(changes) => {
            applied(&schema, &changes).map_err(|error| corrupt(error.to_string()))
        }
    }
}

fn applied(schema: &Schema, changes: &[SchemaChange]) -> Result<Schema, SchemaError> {
    let Some((first, rest)) = changes.split_first() else { return Ok(schema.clone()) };
    rest.iter().try_fold(schema.apply(first)?, |schema, change| schema.apply(change))
}

fn encode(record: &Record) -> Result<Vec<u8>, StorageError> {
    serde_json::to_vec(record)
        .map_err(|error| StorageError::Unusable(format!("the schema can't be written: {error}")))
}

#[cfg(test)]
mod tests {
    use tholos_grammar::name::Name;
    use tholos_storage::fs::memory::MemoryFs;

    use super::*;

    fn keyspace(name: &str, factor: usize) -> SchemaChange {
        let replication = [
            ("class".to_string(), "SimpleStrategy".to_string()),
            ("replication_factor".to_string(), factor.to_string()),
        ];
        SchemaChange::PutKeyspace {
            name: Name::from(name),
            replication: replication.into(),
            durable_writes: true,
        }
    }

    fn open(fs: &Arc<dyn Fs>) -> SchemaStore {
        SchemaStore::open(Arc::clone(fs), Path::new("/data")).unwrap()
    }

    fn memory() -> Arc<dyn Fs> {
        let fs: Arc<dyn Fs> = Arc::new(MemoryFs::default());
        fs.create_dir_all(Path::new("/data")).unwrap();
        fs
    }

    #[test]
    fn changes_are_there_after_opening_again() {
        let fs = memory();
        let mut store = open(&fs);
        store.commit(&[keyspace("a", 1), keyspace("b", 1)]).unwrap();
        store.commit(&[SchemaChange::DropKeyspace("a".into())]).unwrap();
        let schema = Arc::clone(store.schema());
        drop(store);
        assert_eq!(**open(&fs).schema(), *schema);
        assert_eq!(schema.epoch, 3);
        assert!(!schema.keyspaces.contains_key("a") && schema.keyspaces.contains_key("b"));
    }

    #[test]
    fn changes_of_one_statement_happen_together_or_not_at_all() {
        let fs = memory();
        let mut store = open(&fs);
        let missing = SchemaChange::DropKeyspace("nowhere".into());
        let refused = store.commit(&[keyspace("a", 1), missing]);
        assert!(matches!(refused, Err(SchemaStoreError::Schema(_))));
        assert_eq!(store.schema().epoch, 0);
        drop(store);
        assert_eq!(open(&fs).schema().epoch, 0);
    }

    #[test]
    fn a_long_journal_becomes_a_snapshot() {
        let fs = memory();
        let mut store = open(&fs);
        let long = "x".repeat(1000);
        for factor in 0..2_000 {
            store.commit(&[keyspace(&long, factor)]).unwrap();
        }
        assert!(store.journal.bytes() < CHECKPOINT_BYTES + 10_000);
        let schema = Arc::clone(store.schema());
        drop(store);
        let store = open(&fs);
        assert_eq!(*store.schema(), schema);
        assert_eq!(schema.epoch, 2_000);
    }

    #[test]
    fn a_damaged_record_names_the_file() {
        let fs = memory();
        let mut store = open(&fs);
        store.commit(&[keyspace("a", 1)]).unwrap();
        store.commit(&[keyspace("b", 1)]).unwrap();
        drop(store);
        let path = Path::new("/data").join(FILE);
        fs.open(&path, false).unwrap().write_all_at(b"!", 40).unwrap();
        let error = SchemaStore::open(fs, Path::new("/data")).unwrap_err().to_string();
        assert!(error.contains(FILE), "{error}");
    }
}

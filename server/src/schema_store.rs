//! The schema on disk: a journal of changes, begun with a checkpoint.
//!
//! Records are JSON: `{"changes": [SchemaChange, ...]}` or `{"checkpoint": {"schema": Schema, "dropped": [id, ...]}}`,
//! both with user types by name (`tholos_storage::schema::user_types`). All changes of one statement are one record, so
//! they happen together or not at all. A record is read back before it is written, and synced before its statement is
//! answered. Once changes outweigh the schema itself the journal is rewritten as one checkpoint.
//!
//! Beside the schema it tells which tables were dropped, for as long as the commit log may have records of them: so that
//! these are told from records of tables that the schema has lost.
//!
//! Version 2 had `{"snapshot": Schema}` in the place of a checkpoint, and definitions of user types at each use. It is
//! read, and rewritten.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tholos_storage::StorageError;
use tholos_storage::fs::Fs;
use tholos_storage::journal::{Journal, JournalFormat, read_file, read_records};
use tholos_storage::schema::error::SchemaError;
use tholos_storage::schema::{Schema, SchemaChange, TableId};

/// The journal's file in the data directory.
pub const FILE: &str = "schema.journal";

const FORMAT: JournalFormat = JournalFormat { magic: *b"THOLSCHM", version: 3, oldest: 2 };

/// Below this the journal is never rewritten.
const CHECKPOINT_BYTES: u64 = 1 << 20;

#[derive(PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Record {
    Changes(Vec<SchemaChange>),
    Checkpoint {
        schema: Schema,
        dropped: BTreeSet<TableId>,
    },
    /// Version 2's checkpoint: it does not know what was dropped before.
    Snapshot(Schema),
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

/// What the journal comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// The schema.
    pub schema: Arc<Schema>,
    /// Tables that were dropped, whose records the commit log may still have.
    pub dropped: BTreeSet<TableId>,
    /// Whether those are all there can be.
    pub knows_all_dropped: bool,
}

/// The schema's journal, and the schema that it comes to.
#[derive(Debug)]
pub struct SchemaStore {
    journal: Journal,
    stored: Stored,
    /// Length of the journal after the last checkpoint.
    checkpoint_bytes: u64,
}

impl SchemaStore {
    /// Reads the schema of a data directory; an empty one if there is none yet.
    ///
    /// # Errors
    /// The journal can't be read, is damaged, or holds what this release does not understand.
    pub fn open(fs: Arc<dyn Fs>, dir: &Path) -> Result<SchemaStore, StorageError> {
        let path = dir.join(FILE);
        let mut stored = Stored::empty();
        let journal = Journal::open_or_create(fs, &path, FORMAT, &mut |offset, bytes| {
            stored.read(&path, offset, bytes)
        })?;
        stored.knows_all_dropped &= !journal.is_outdated();
        Ok(SchemaStore { journal, stored, checkpoint_bytes: 0 })
    }

    /// The schema as it is on disk.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.stored.schema
    }

    /// What the journal comes to.
    pub fn stored(&self) -> &Stored {
        &self.stored
    }

    /// To be called once the commit log was replayed, with the tables whose records were found there although neither
    /// the schema nor the dropped tables have them: they count as dropped from now on. A journal of an older version is
    /// rewritten.
    ///
    /// # Errors
    /// It can't be rewritten: it stays as it was.
    pub fn settle(&mut self, unknown: &BTreeSet<TableId>) -> Result<(), StorageError> {
        self.stored.knows_all_dropped = true;
        if self.journal.is_outdated() || !unknown.is_empty() {
            self.stored.dropped.extend(unknown);
            self.rewrite()?;
        }
        Ok(())
    }

    /// The schema that these changes come to; nothing is written.
    ///
    /// # Errors
    /// They do not fit, or have types beyond the limits.
    fn preview(&self, changes: &[SchemaChange]) -> Result<Schema, SchemaError> {
        let after = applied(&self.stored.schema, changes)?;
        changes.iter().try_for_each(|change| change.check_types(&after))?;
        Ok(after)
    }

    /// Makes changes durable: when this returns they survive a crash, all of them. `forgotten` names dropped tables of
    /// which the commit log has no more records; it is asked now and then.
    ///
    /// # Errors
    /// They do not fit, or could not be written: then the schema is as it was.
    pub fn commit(
        &mut self,
        changes: &[SchemaChange],
        forgotten: impl FnOnce() -> BTreeSet<TableId>,
    ) -> Result<Arc<Schema>, SchemaStoreError> {
        let after = self.preview(changes)?;
        let by_name = changes.iter().map(|change| change.by_name(&after)).collect();
        let (bytes, record) = encode(Record::Changes(by_name))?;
        let mut stored = self.stored.clone();
        stored.apply(record)?;
        self.journal.append(&bytes)?;
        self.stored = stored;
        if self.journal.bytes() > CHECKPOINT_BYTES.max(4 * self.checkpoint_bytes) {
            let forgotten = forgotten();
            self.stored.dropped.retain(|id| !forgotten.contains(id));
            if let Err(error) = self.rewrite() {
                tracing::warn!(%error, "the schema's journal could not be shortened; it goes on growing");
            }
        }
        Ok(Arc::clone(&self.stored.schema))
    }

    /// Rewrites the journal as one checkpoint. A failure loses nothing: the journal stays as it was, or takes no more.
    fn rewrite(&mut self) -> Result<(), StorageError> {
        let Stored { schema, dropped, .. } = &self.stored;
        let record = Record::Checkpoint { schema: schema.by_name(), dropped: dropped.clone() };
        self.journal.rewrite([encode(record)?.0.as_slice()])?;
        self.checkpoint_bytes = self.journal.bytes();
        Ok(())
    }
}

/// What the journal of a data directory comes to, which a node may be using.
///
/// # Errors
/// There is none, or it can't be read.
pub fn read(fs: &dyn Fs, dir: &Path) -> Result<Stored, StorageError> {
    let path = dir.join(FILE);
    let bytes = read_file(fs, &path)?;
    let mut stored = Stored::empty();
    for record in read_records(&path, FORMAT, &bytes)? {
        stored.read(&path, 0, &record)?;
    }
    Ok(stored)
}

impl Stored {
    /// Whether a table is there, or was dropped, or may have been.
    pub fn has(&self, id: TableId) -> bool {
        let mut keyspaces = self.schema.keyspaces.values();
        !self.knows_all_dropped
            || self.dropped.contains(&id)
            || keyspaces.any(|keyspace| keyspace.tables.values().any(|table| table.id == id))
    }

    fn empty() -> Stored {
        let (schema, dropped) = (Arc::default(), BTreeSet::new());
        Stored { schema, dropped, knows_all_dropped: true }
    }

    /// Goes on with one more record of the journal.
    fn read(&mut self, path: &Path, offset: u64, record: &[u8]) -> Result<(), StorageError> {
        let corrupt =
            |what: String| StorageError::Corrupt { file: path.to_path_buf(), offset, what };
        let record = serde_json::from_slice(record).map_err(|error| corrupt(error.to_string()))?;
        self.apply(record).map_err(|error| corrupt(error.to_string()))
    }

    fn apply(&mut self, record: Record) -> Result<(), SchemaError> {
        match record {
            Record::Changes(changes) => {
                for change in changes {
                    let after = self.schema.apply(&change)?;
                    self.note_dropped(&change);
                    self.schema = Arc::new(after);
                }
            }
            Record::Checkpoint { schema, dropped } => {
                (self.schema, self.dropped) = (Arc::new(schema.resolved()?), dropped);
            }
            Record::Snapshot(schema) => {
                self.schema = Arc::new(schema.resolved()?);
                self.knows_all_dropped = false;
            }
        }
        Ok(())
    }

    /// Notes the tables that a change is about to take away.
    fn note_dropped(&mut self, change: &SchemaChange) {
        let keyspace = |name| self.schema.keyspaces.get(name);
        match change {
            SchemaChange::DropKeyspace(name) => {
                let tables =
                    keyspace(name).into_iter().flat_map(|keyspace| keyspace.tables.values());
                self.dropped.extend(tables.map(|table| table.id));
            }
            SchemaChange::DropTable(of, name) => {
                let table = keyspace(of).and_then(|keyspace| keyspace.tables.get(name));
                self.dropped.extend(table.map(|table| table.id));
            }
            SchemaChange::PutTable(table) => {
                self.dropped.remove(&table.id);
            }
            _ => {}
        }
    }
}

fn applied(schema: &Schema, changes: &[SchemaChange]) -> Result<Schema, SchemaError> {
    let Some((first, rest)) = changes.split_first() else { return Ok(schema.clone()) };
    rest.iter().try_fold(schema.apply(first)?, |schema, change| schema.apply(change))
}

/// The record's bytes, and what is read of them, which is the same. What can't be read again must not be written.
fn encode(record: Record) -> Result<(Vec<u8>, Record), StorageError> {
    let unusable = |what: String| {
        StorageError::Unusable(format!("the schema can't be written, nothing was changed: {what}"))
    };
    let bytes = serde_json::to_vec(&record).map_err(|error| unusable(error.to_string()))?;
    let read: Record =
        serde_json::from_slice(&bytes).map_err(|error| unusable(error.to_string()))?;
    match read == record {
        true => Ok((bytes, read)),
        false => Err(unusable("it says something else when it is read".to_string())),
    }
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

    impl SchemaStore {
        fn commit_all(
            &mut self,
            changes: &[SchemaChange],
        ) -> Result<Arc<Schema>, SchemaStoreError> {
            self.commit(changes, BTreeSet::new)
        }
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
        store.commit_all(&[keyspace("a", 1), keyspace("b", 1)]).unwrap();
        store.commit_all(&[SchemaChange::DropKeyspace("a".into())]).unwrap();
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
        let refused = store.commit_all(&[keyspace("a", 1), missing]);
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
            store.commit_all(&[keyspace(&long, factor)]).unwrap();
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
        store.commit_all(&[keyspace("a", 1)]).unwrap();
        store.commit_all(&[keyspace("b", 1)]).unwrap();
        drop(store);
        let path = Path::new("/data").join(FILE);
        fs.open(&path, false).unwrap().write_all_at(b"!", 40).unwrap();
        let error = SchemaStore::open(fs, Path::new("/data")).unwrap_err().to_string();
        assert!(error.contains(FILE), "{error}");
    }
}

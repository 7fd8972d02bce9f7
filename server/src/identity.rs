//! Who this node is and what it must not forget: its host id and tokens, chosen at the first start and kept ever after;
//! that its first start is over; which system tables it has made; and a time that its clock is not to be behind of.
//!
//! A journal of its own, of JSON records that each say everything ([`NodeRecord`]): the last one counts. A data directory
//! belongs to the node that made it: the tokens say which data is in it, so they never change by themselves.
//!
//! The journal is the first file of a new data directory. Until the record says that the first start is over, nothing was
//! ever written here, and what is missing is made; from then on it is lost (see [`crate::presence`]).

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tholos_cluster::allocation::evenly_spaced;
use tholos_cluster::ring::TOKENS_PER_NODE;
use tholos_grammar::token::Token;
use tholos_storage::StorageError;
use tholos_storage::fs::Fs;
use tholos_storage::journal::{Journal, JournalFormat, read_file, read_records};
use tholos_storage::model::Timestamp;
use tholos_storage::schema::TableId;
use uuid::Uuid;

/// The journal's file in the data directory.
pub const FILE: &str = "node.journal";

const FORMAT: JournalFormat = JournalFormat::new(*b"THOLNODE", 2);

/// A journal that is longer is rewritten.
const MAX_JOURNAL_BYTES: u64 = 64 << 10;

/// A node's identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// Its id.
    pub host_id: Uuid,
    /// Its tokens.
    pub tokens: Vec<i64>,
    /// The cluster that it belongs to.
    pub cluster_name: String,
}

/// All that the journal says. Earlier releases wrote the identity alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// Who the node is.
    #[serde(flatten)]
    pub identity: Identity,
    /// The first start is over: whatever is not there from now on was lost.
    #[serde(default = "yes")]
    pub established: bool,
    /// No timestamp above this was given out, in microseconds since 1970.
    #[serde(default)]
    pub clock_ceiling: Timestamp,
    /// Stored system tables that were made: what is not there of them from now on was lost. A table that a later release
    /// brings is made at its first start.
    #[serde(default)]
    pub system_tables: BTreeSet<TableId>,
}

fn yes() -> bool {
    true
}

/// The journal, open.
#[derive(Debug)]
pub struct NodeStore {
    journal: Journal,
    record: NodeRecord,
}

impl NodeStore {
    /// Reads the journal of a data directory, or begins one with an identity; `random` is where its bits come from.
    ///
    /// # Errors
    /// The journal can't be read or written, or the directory belongs to a cluster of another name.
    pub fn open(
        fs: Arc<dyn Fs>,
        dir: &Path,
        cluster_name: &str,
        random: &mut dyn FnMut() -> u64,
    ) -> Result<NodeStore, StorageError> {
        let path = dir.join(FILE);
        let mut found: Option<NodeRecord> = None;
        let mut journal = Journal::open_or_create(fs, &path, FORMAT, &mut |offset, bytes| {
            found = Some(decode(&path, offset, bytes)?);
            Ok(())
        })?;
        let record = match found {
            Some(record) => {
                record.identity.check_cluster(cluster_name, dir)?;
                record
            }
            None => {
                let identity = Identity::choose(cluster_name, random);
                tracing::info!(
                    dir = %dir.display(), host_id = %identity.host_id,
                    "there is no node in this directory yet: a new one begins here"
                );
                let record = NodeRecord::first(identity);
                journal.append(&encode(&record)?)?;
                record
            }
        };
        Ok(NodeStore { journal, record })
    }

    /// What it says.
    pub fn record(&self) -> &NodeRecord {
        &self.record
    }

    /// Makes it say that the first start is over, and that these system tables are there.
    ///
    /// # Errors
    /// It can't be written.
    pub fn establish(&mut self, system_tables: &BTreeSet<TableId>) -> Result<(), StorageError> {
        if self.record.established && self.record.system_tables.is_superset(system_tables) {
            return Ok(());
        }
        let system_tables = &self.record.system_tables | system_tables;
        self.write(NodeRecord { established: true, system_tables, ..self.record.clone() })
    }

    /// Makes it say that no timestamp above this was given out.
    ///
    /// # Errors
    /// It can't be written: it says what it said before.
    pub fn keep_clock(&mut self, ceiling: Timestamp) -> Result<(), StorageError> {
        self.write(NodeRecord { clock_ceiling: ceiling, ..self.record.clone() })
    }

    fn write(&mut self, record: NodeRecord) -> Result<(), StorageError> {
        let bytes = encode(&record)?;
        if self.journal.bytes() > MAX_JOURNAL_BYTES {
            self.journal.rewrite([bytes.as_slice()])?;
        } else {
            self.journal.append(&bytes)?;
        }
        self.record = record;
        Ok(())
    }
}

/// What the journal of a data directory says, which a node may be using; `None` if there is none, or nothing in it.
///
/// # Errors
/// The journal can't be read, or is damaged.
pub fn read(fs: &dyn Fs, dir: &Path) -> Result<Option<NodeRecord>, StorageError> {
    let path = dir.join(FILE);
    if !fs.exists(&path).map_err(|error| StorageError::io("look up", &path, error))? {
        return Ok(None);
    }
    let records = read_records(&path, FORMAT, &read_file(fs, &path)?)?;
    records.last().map(|record| decode(&path, 0, record)).transpose()
}

fn decode(path: &Path, offset: u64, record: &[u8]) -> Result<NodeRecord, StorageError> {
    serde_json::from_slice(record).map_err(|error| StorageError::Corrupt {
        file: path.to_path_buf(),
        offset,
        what: error.to_string(),
    })
}

fn encode(record: &NodeRecord) -> Result<Vec<u8>, StorageError> {
    serde_json::to_vec(record)
        .map_err(|error| StorageError::Unusable(format!("the node's record: {error}")))
}

impl NodeRecord {
    /// That of a node whose first start has begun.
    fn first(identity: Identity) -> NodeRecord {
        NodeRecord {
            identity,
            established: false,
            clock_ceiling: 0,
            system_tables: BTreeSet::new(),
        }
    }
}

impl Identity {
    /// The tokens, as the ring takes them.
    pub fn ring_tokens(&self) -> Vec<Token> {
        self.tokens.iter().copied().map(Token).collect()
    }

    fn choose(cluster_name: &str, random: &mut dyn FnMut() -> u64) -> Identity {
        let host_id = {
            let (high, low) = (random(), random());
            uuid::Builder::from_random_bytes(*Uuid::from_u64_pair(high, low).as_bytes()).into_uuid()
        };
        let mut tokens: Vec<i64> =
            evenly_spaced(TOKENS_PER_NODE, random()).into_iter().map(|token| token.0).collect();
        tokens.sort_unstable();
        Identity { host_id, tokens, cluster_name: cluster_name.to_string() }
    }

    fn check_cluster(&self, cluster_name: &str, dir: &Path) -> Result<(), StorageError> {
        if self.cluster_name == cluster_name {
            return Ok(());
        }
        Err(StorageError::Unusable(format!(
            "the data in {} belongs to cluster {:?}, the configuration says cluster_name = {cluster_name:?}: \
             set it back, or use another data directory",
            dir.display(),
            self.cluster_name
        )))
    }
}

#[cfg(test)]
mod tests {
    use tholos_storage::fs::memory::MemoryFs;

    use super::*;

    fn open(fs: &Arc<dyn Fs>, name: &str, seed: u64) -> Result<NodeStore, StorageError> {
        let mut next = seed;
        let mut random = move || {
            next += 0x9e37_79b9;
            next
        };
        NodeStore::open(Arc::clone(fs), Path::new("/data"), name, &mut random)
    }

    fn memory() -> Arc<dyn Fs> {
        let fs: Arc<dyn Fs> = Arc::new(MemoryFs::default());
        fs.create_dir_all(Path::new("/data")).unwrap();
        fs
    }

    #[test]
    fn an_identity_is_chosen_once() {
        let fs = memory();
        let first = open(&fs, "a", 1).unwrap().record.identity;
        assert_eq!(open(&fs, "a", 2).unwrap().record.identity, first);
        assert_eq!(first.tokens.len(), TOKENS_PER_NODE);
        assert_eq!(first.host_id.get_version_num(), 4);
        let error = open(&fs, "b", 3).unwrap_err().to_string();
        assert!(error.contains("cluster_name"), "{error}");
    }

    #[test]
    fn what_was_said_last_counts_and_the_journal_stays_short() {
        let fs = memory();
        let mut store = open(&fs, "a", 1).unwrap();
        assert!(!store.record().established);
        let tables: BTreeSet<TableId> = [1, 2].map(|id| TableId(Uuid::from_u128(id))).into();
        store.establish(&tables).unwrap();
        for micros in 0..1000 {
            store.keep_clock(micros).unwrap();
        }
        assert!(store.journal.bytes() < 2 * MAX_JOURNAL_BYTES);
        let record = store.record().clone();
        assert!(record.established && record.clock_ceiling == 999);
        assert_eq!(record.system_tables, tables);
        drop(store);
        assert_eq!(open(&fs, "a", 1).unwrap().record, record);
        assert_eq!(read(&*fs, Path::new("/data")).unwrap(), Some(record));
    }

    #[test]
    fn a_record_of_an_earlier_release_is_of_a_node_that_was_started() {
        let fs = memory();
        let identity = Identity::choose("a", &mut || 7);
        let bytes = serde_json::to_vec(&identity).unwrap();
        let path = Path::new("/data").join(FILE);
        Journal::create(Arc::clone(&fs), &path, FORMAT, [bytes.as_slice()]).unwrap();
        let record = open(&fs, "a", 1).unwrap().record;
        assert_eq!(record, NodeRecord { established: true, ..NodeRecord::first(identity) });
    }

    #[test]
    fn system_tables_of_a_later_release_are_added_once() {
        let fs = memory();
        let mut store = open(&fs, "a", 1).unwrap();
        let id = |number| TableId(Uuid::from_u128(number));
        store.establish(&[id(1)].into()).unwrap();
        store.establish(&[id(1), id(2)].into()).unwrap();
        let bytes = store.journal.bytes();
        // That of an earlier release again.
        store.establish(&[id(1)].into()).unwrap();
        assert_eq!(store.journal.bytes(), bytes, "it says so already");
        drop(store);
        assert_eq!(open(&fs, "a", 1).unwrap().record.system_tables, [id(1), id(2)].into());
    }
}

//! Who this node is: its host id and tokens, chosen at the first start and kept ever after.
//!
//! One JSON record in a journal of its own. A data directory belongs to the node that made it: the tokens say which
//! data is in it, so they never change by themselves.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tholos_cluster::ring::{TOKENS_PER_NODE, allocate_tokens};
use tholos_grammar::token::Token;
use tholos_storage::StorageError;
use tholos_storage::fs::Fs;
use tholos_storage::journal::{Journal, JournalFormat, read_records};
use tholos_storage::snapshot::read_file;
use uuid::Uuid;

/// The journal's file in the data directory.
pub const FILE: &str = "node.journal";

const FORMAT: JournalFormat = JournalFormat { magic: *b"THOLNODE", version: 2 };

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

impl Identity {
    /// Reads the identity of a data directory, or chooses one; `random` is where its bits come from.
    ///
    /// # Errors
    /// The journal can't be read or written, or the directory belongs to a cluster of another name.
    pub fn open(
        fs: Arc<dyn Fs>,
        dir: &Path,
        cluster_name: &str,
        random: &mut dyn FnMut() -> u64,
    ) -> Result<Identity, StorageError> {
        let path = dir.join(FILE);
        let mut found: Option<Identity> = None;
        let mut journal = Journal::open_or_create(fs, &path, FORMAT, &mut |offset, bytes| {
            let identity = serde_json::from_slice(bytes).map_err(|error| {
                StorageError::Corrupt { file: path.clone(), offset, what: error.to_string() }
            })?;
            found = Some(identity);
            Ok(())
        })?;
        if let Some(identity) = found {
            return identity.of_cluster(cluster_name, dir);
        }
        let identity = Identity::choose(cluster_name, random);
        let bytes = serde_json::to_vec(&identity)
            .map_err(|error| StorageError::Unusable(format!("the node's identity: {error}")))?;
        journal.append(&bytes)?;
        Ok(identity)
    }

    /// The identity in a data directory, which a node may be using; `None` if it has none yet.
    ///
    /// # Errors
    /// The journal can't be read, or is damaged.
    pub fn read(fs: &dyn Fs, dir: &Path) -> Result<Option<Identity>, StorageError> {
        let path = dir.join(FILE);
        if !fs.exists(&path).map_err(|error| StorageError::io("look up", &path, error))? {
            return Ok(None);
        }
        let records = read_records(&path, FORMAT, &read_file(fs, &path)?)?;
        let Some(record) = records.last() else { return Ok(None) };
        let corrupt = |error: serde_json::Error| StorageError::Corrupt {
            file: path.clone(),
            offset: 0,
            what: error.to_string(),
        };
        serde_json::from_slice(record).map(Some).map_err(corrupt)
    }

    /// The tokens, as the ring takes them.
    pub fn ring_tokens(&self) -> Vec<Token> {
        self.tokens.iter().copied().map(Token).collect()
    }

    fn choose(cluster_name: &str, random: &mut dyn FnMut() -> u64) -> Identity {
        let host_id = {
            let (high, low) = (random(), random());
            uuid::Builder::from_random_bytes(*Uuid::from_u64_pair(high, low).as_bytes()).into_uuid()
        };
        let mut tokens: Vec<i64> = allocate_tokens(&[], TOKENS_PER_NODE, random())
            .into_iter()
            .map(|token| token.0)
            .collect();
        tokens.sort_unstable();
        Identity { host_id, tokens, cluster_name: cluster_name.to_string() }
    }

    fn of_cluster(self, cluster_name: &str, dir: &Path) -> Result<Identity, StorageError> {
        if self.cluster_name == cluster_name {
            return Ok(self);
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

    fn open(fs: &Arc<dyn Fs>, name: &str, seed: u64) -> Result<Identity, StorageError> {
        let mut next = seed;
        let mut random = move || {
            next += 0x9e37_79b9;
            next
        };
        Identity::open(Arc::clone(fs), Path::new("/data"), name, &mut random)
    }

    #[test]
    fn an_identity_is_chosen_once() {
        let fs: Arc<dyn Fs> = Arc::new(MemoryFs::default());
        fs.create_dir_all(Path::new("/data")).unwrap();
        let first = open(&fs, "a", 1).unwrap();
        assert_eq!(open(&fs, "a", 2).unwrap(), first);
        assert_eq!(first.tokens.len(), TOKENS_PER_NODE);
        assert_eq!(first.host_id.get_version_num(), 4);
        let error = open(&fs, "b", 3).unwrap_err().to_string();
        assert!(error.contains("cluster_name"), "{error}");
    }
}

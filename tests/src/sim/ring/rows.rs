//! What is known of each row: the writes that it got, and what reads must not be older than.

use std::collections::BTreeMap;

/// Partition and row.
pub type Key = (u64, u64);

/// What a write does to a row, in the order in which one wins over another: later ones over earlier ones, a deletion over a
/// value of the same time, and the greater value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Its timestamp.
    pub at: i64,
    /// Whether it deletes the row.
    pub deletes: bool,
    /// The value.
    pub value: i32,
}

/// What a read shows of a row: its value and timestamp, if it is there.
pub type Seen = Option<(i32, i64)>;

/// A row.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// What may have been written, and by how many statements that were not refused for good.
    written: BTreeMap<Version, u32>,
    /// What each later read at QUORUM must not be older than.
    quorum: Option<Version>,
    /// What a read at QUORUM showed since a node crashed last.
    shown: Option<Version>,
    /// What any later read must not be older than.
    all: Option<Version>,
}

/// What a read must not be older than.
#[derive(Clone, Copy, Debug, Default)]
pub struct Floor {
    /// A read at QUORUM or above.
    pub quorum: Option<Version>,
    /// The same, as long as no node crashes.
    pub shown: Option<Version>,
    /// How many nodes had crashed.
    pub crashes: u64,
    /// Any read.
    pub all: Option<Version>,
}

/// All rows.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    rows: BTreeMap<Key, Row>,
    crashes: u64,
}

impl Rows {
    /// A write was begun: from now on it may be seen.
    pub fn begin(&mut self, key: Key, version: Version) {
        *self.rows.entry(key).or_default().written.entry(version).or_default() += 1;
    }

    /// A write was refused for good: nobody may see it, unless another statement wrote the same.
    pub fn refuse(&mut self, key: Key, version: Version) {
        let Some(row) = self.rows.get_mut(&key) else { return };
        if let Some(count) = row.written.get_mut(&version) {
            *count -= 1;
            if *count == 0 {
                row.written.remove(&version);
            }
        }
    }

    /// A write was acknowledged at QUORUM, or at ALL.
    pub fn acknowledge(&mut self, key: Key, version: Version, by_all: bool) {
        let row = self.rows.entry(key).or_default();
        row.quorum = row.quorum.max(Some(version));
        if by_all {
            row.all = row.all.max(Some(version));
        }
    }

    /// What a read that begins now must not be older than.
    pub fn floor(&self, key: Key) -> Floor {
        let row = self.rows.get(&key);
        Floor {
            quorum: row.and_then(|row| row.quorum),
            shown: row.and_then(|row| row.shown),
            crashes: self.crashes,
            all: row.and_then(|row| row.all),
        }
    }

    /// A node crashed: what was seen there and was not synced, so that nobody was told that it is written, may be gone.
    pub fn crash(&mut self) {
        self.crashes += 1;
        self.rows.values_mut().for_each(|row| row.shown = None);
    }

    /// Checks what a read shows of a row. `floor` is from when it began; a read at QUORUM raises it for later ones.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(
        &mut self,
        key: Key,
        seen: Seen,
        floor: Floor,
        at_quorum: bool,
    ) -> Result<(), String> {
        let row = self.rows.entry(key).or_default();
        let shown_before = floor.shown.filter(|_| floor.crashes == self.crashes);
        let least = match at_quorum {
            true => floor.quorum.max(floor.all).max(shown_before),
            false => floor.all,
        };
        let shown = match seen {
            Some((value, at)) => {
                let version = Version { at, deletes: false, value };
                if !row.written.contains_key(&version) {
                    return Err(format!("row {key:?} shows {version:?}, which nobody wrote"));
                }
                Some(version)
            }
            None => {
                let deletes = |version: &&Version| version.deletes && Some(**version) >= least;
                match least {
                    None => None,
                    // The least deletion that it may be.
                    Some(_) => match row.written.keys().find(deletes) {
                        Some(deletion) => Some(*deletion),
                        None => return Err(format!("row {key:?} is gone; it has {least:?}")),
                    },
                }
            }
        };
        if shown < least {
            return Err(format!("row {key:?} shows {shown:?}, which is older than {least:?}"));
        }
        if at_quorum && floor.crashes == self.crashes {
            row.shown = row.shown.max(shown);
        }
        Ok(())
    }
}

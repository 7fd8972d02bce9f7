//! Verification of a file: that every byte is what was written, and that its parts agree with each other.
//!
//! Checked are all checksums, the order of keys, that the index says of each block what is in it (its keys, deletions in
//! force, greatest timestamp), that range deletions are closed, that the filter has every partition, and that the
//! statistics are those of the entries. Rows are looked into by whoever knows their encoding.

use std::path::Path;

use super::damage::{Damage, KeyRange};
use super::filter::{self, Filter};
use super::index::StartState;
use super::inspect::{InspectedBlock, Inspector, damage_of};
use super::options::RowCheck;
use super::partition_sizes::PartitionSizes;
use super::statistics::{Statistics, StatisticsBuilder};
use super::table::SsTable;
use crate::StorageError;
use crate::fs::Fs;
use crate::model::entry::{Content, Entry};
use crate::model::{Deletion, Timestamp};

impl SsTable {
    /// Reads and checks every byte and every entry; remembers what is damaged, and answers the first of it.
    ///
    /// # Errors
    /// `Corrupt` and `Unusable` for what is wrong with the file, `Io` when it can't be read.
    pub fn verify(&self) -> Result<(), StorageError> {
        let problems = self.verify_with(None)?;
        match problems.into_iter().next() {
            None => Ok(()),
            Some(Damage { offset, what, .. }) => {
                Err(StorageError::Corrupt { file: self.path().to_path_buf(), offset, what })
            }
        }
    }

    /// [`verify`](Self::verify), with rows looked into as `check` does, and everything that is damaged as the answer.
    ///
    /// # Errors
    /// `Io` when the file can't be read, `Unusable` for another version: nothing is known of it then.
    pub fn verify_with(&self, check: Option<RowCheck>) -> Result<Vec<Damage>, StorageError> {
        let damages = verify(&*self.fs, self.path(), check, &mut |_| {})?;
        for damage in &damages {
            self.damage_log().note(damage.clone());
        }
        Ok(damages)
    }
}

/// Checks a whole file and lists what is damaged; empty if nothing is. `progress` is told bytes of data blocks as they
/// were read.
///
/// # Errors
/// `Io` when the file can't be read, `Unusable` for another format version.
pub fn verify(
    fs: &dyn Fs,
    path: &Path,
    check: Option<RowCheck>,
    progress: &mut dyn FnMut(u64),
) -> Result<Vec<Damage>, StorageError> {
    let mut inspector = match Inspector::open(fs, path) {
        Ok(inspector) => inspector,
        Err(error) => return damage_of(error, Some(KeyRange::ALL)).map(|damage| vec![damage]),
    };
    let mut damages = Vec::new();
    let filter = keep(&mut damages, inspector.filter())?.flatten();
    let statistics = keep(&mut damages, inspector.statistics())?;
    let mut check = Check::new(filter, check);
    while let Some(step) = inspector.next_block()? {
        let result = step.and_then(|mut block| {
            progress(block.stored_bytes());
            check.block(&mut block)
        });
        if let Err(damage) = result {
            check.gap();
            damages.push(damage);
        }
    }
    let whole = !damages.iter().any(|damage| damage.keys.is_some());
    if !check.range.is_none() && whole {
        damages.push(file_damage("its last range deletion is not closed"));
    }
    if check.filter_misses {
        damages.push(file_damage("its filter does not have all partitions"));
    }
    if let Some(statistics) = statistics {
        let bounds = (statistics.min_key.clone(), statistics.max_key.clone());
        if whole && let Some(what) = check.differs(&statistics) {
            damages.push(file_damage(&format!("its statistics do not say what is in it: {what}")));
        }
        for keys in damages.iter_mut().filter_map(|damage| damage.keys.as_mut()) {
            *keys = std::mem::replace(keys, KeyRange::ALL).within(&bounds.0, &bounds.1);
        }
    }
    damages.sort_by_key(|damage| damage.offset);
    Ok(damages)
}

/// Damage of no certain place that takes no keys away.
fn file_damage(what: &str) -> Damage {
    Damage { offset: 0, what: what.to_string(), keys: None }
}

fn keep<T>(
    damages: &mut Vec<Damage>,
    result: Result<T, StorageError>,
) -> Result<Option<T>, StorageError> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) => {
            damages.push(damage_of(error, None)?);
            Ok(None)
        }
    }
}

/// What is known from the entries so far.
struct Check {
    filter: Option<Filter>,
    check: Option<RowCheck>,
    filter_misses: bool,
    last_key: Vec<u8>,
    last_partition_len: usize,
    partition: Deletion,
    range: Deletion,
    /// Whether blocks were left out, so that nothing is known of what comes before the next entry.
    after_gap: bool,
    statistics: StatisticsBuilder,
}

impl Check {
    fn new(filter: Option<Filter>, check: Option<RowCheck>) -> Check {
        Check {
            filter,
            check,
            filter_misses: false,
            last_key: Vec::new(),
            last_partition_len: 0,
            partition: Deletion::NONE,
            range: Deletion::NONE,
            after_gap: false,
            statistics: StatisticsBuilder::default(),
        }
    }

    fn gap(&mut self) {
        self.after_gap = true;
    }

    fn block(&mut self, block: &mut InspectedBlock) -> Result<(), Damage> {
        self.statistics.statistics.uncompressed_bytes += block.raw_bytes();
        let index = (block.keys.clone(), block.entry.start);
        let mut seen = Seen { has_changes: false, one_partition: true, max_timestamp: None };
        let mut is_first = true;
        loop {
            // An entry borrows the block: what is wrong with it is said in words first.
            let result = match block.next_entry()? {
                None => break,
                Some(entry) => self.entry(&entry, is_first.then_some(&index), &mut seen),
            };
            result.map_err(|what| block.damage(what))?;
            is_first = false;
        }
        let entry = &block.entry;
        let newest = seen.max_timestamp.filter(|_| self.check.is_some());
        if is_first
            || seen.has_changes != entry.has_changes
            || seen.one_partition != entry.one_partition
            || newest.is_some_and(|newest| newest != entry.max_timestamp)
        {
            return Err(block.damage("the index does not say what is in a block"));
        }
        Ok(())
    }

    /// The next entry; `index` says what the index knows of the block's start, if it is the first there.
    fn entry(
        &mut self,
        entry: &Entry<'_>,
        index: Option<&(KeyRange, StartState)>,
        seen: &mut Seen,
    ) -> Result<(), String> {
        if entry.partition_len < 8 || entry.partition_len >= entry.key.len() {
            return Err("a key has no token or no position".into());
        }
        if let Some((keys, start)) = index {
            self.block_start(entry, keys, *start)?;
        }
        if !self.last_key.is_empty() && entry.key <= self.last_key.as_slice() {
            return Err("its keys do not ascend".into());
        }
        let is_new = self.begins_partition(entry);
        if is_new {
            if !self.range.is_none() {
                return Err("a range deletion is not closed at the end of its partition".into());
            }
            (self.partition, self.range) = (Deletion::NONE, Deletion::NONE);
            self.statistics.statistics.partitions += 1;
            let hash = filter::hash(entry.key.get(..entry.partition_len).unwrap_or_default());
            let is_missing = |filter: &Filter| !filter.may_contain(hash);
            self.filter_misses |= self.filter.as_ref().is_some_and(is_missing);
        }
        seen.one_partition &= index.is_some() || !is_new;
        self.content(entry.content, seen)?;
        if self.last_key.is_empty() {
            self.statistics.statistics.min_key = entry.key.to_vec();
        }
        self.last_key.clear();
        self.last_key.extend_from_slice(entry.key);
        self.last_partition_len = entry.partition_len;
        Ok(())
    }

    fn begins_partition(&self, entry: &Entry<'_>) -> bool {
        self.last_key.is_empty() || !entry.key.starts_with(self.last_partition())
    }

    fn last_partition(&self) -> &[u8] {
        self.last_key.get(..self.last_partition_len).unwrap_or_default()
    }

    /// Whether the block's first entry is where the index says, and the deletions in force there are those it names.
    fn block_start(
        &mut self,
        entry: &Entry<'_>,
        keys: &KeyRange,
        start: StartState,
    ) -> Result<(), String> {
        const WRONG: &str = "the index does not say where a block begins";
        let lower = keys.lower.as_slice();
        if entry.key < lower {
            return Err(WRONG.into());
        }
        if std::mem::take(&mut self.after_gap) {
            // All that is known of what came before is what the index says.
            (self.partition, self.range) = (start.partition, start.range);
            self.last_key = lower.to_vec();
            self.last_key.pop();
            self.last_partition_len = start.partition_len.min(self.last_key.len());
            return Ok(());
        }
        if self.last_key.is_empty() {
            return Ok(());
        }
        let is_new = self.begins_partition(entry);
        let in_force = match is_new {
            true => StartState::NONE,
            false => StartState {
                partition_len: entry.partition_len,
                partition: self.partition,
                range: self.range,
            },
        };
        let expected = match in_force.partition.is_none() && in_force.range.is_none() {
            true => StartState::NONE,
            false => in_force,
        };
        if lower <= self.last_key.as_slice()
            || is_new && lower.starts_with(self.last_partition())
            || start != expected
        {
            return Err(WRONG.into());
        }
        Ok(())
    }

    fn content(&mut self, content: Content<'_>, seen: &mut Seen) -> Result<(), String> {
        let newest = match content {
            Content::Row(row) => match self.check {
                Some(check) => {
                    let summary = check(row)?;
                    self.statistics.row(&summary);
                    Some(summary.max_timestamp)
                }
                None => {
                    self.statistics.statistics.rows += 1;
                    None
                }
            },
            Content::Partition(deletion) => {
                seen.has_changes = true;
                self.partition = deletion;
                self.statistics.partition_deletion(deletion);
                Some(deletion.timestamp)
            }
            Content::Marker { before, after } => {
                seen.has_changes = true;
                if before != self.range || before == after {
                    return Err("a range marker does not follow the one before it".into());
                }
                self.range = after;
                self.statistics.marker(before, after);
                Some(before.timestamp.max(after.timestamp))
            }
        };
        seen.max_timestamp = seen.max_timestamp.max(newest);
        Ok(())
    }

    /// What the statistics of a file say that is not so.
    fn differs(self, said: &Statistics) -> Option<&'static str> {
        let rows_are_known = self.check.is_some();
        let mut found = self.statistics.finish(0);
        found.max_key = self.last_key;
        let pairs = [
            ("partitions", found.partitions, said.partitions),
            ("rows", found.rows, said.rows),
            ("partition deletions", found.partition_deletions, said.partition_deletions),
            ("range deletions", found.range_deletions, said.range_deletions),
            ("bytes before compression", found.uncompressed_bytes, said.uncompressed_bytes),
        ];
        if let Some((what, ..)) = pairs.iter().find(|(_, found, said)| found != said) {
            return Some(what);
        }
        if (&found.min_key, &found.max_key) != (&said.min_key, &said.max_key) {
            return Some("least and greatest key");
        }
        // The exact sizes are the block writer's; what can be told from here is whether every partition has one.
        let counted = said.partition_sizes.as_ref().map(PartitionSizes::count);
        if counted.is_some_and(|counted| counted != said.partitions) {
            return Some("sizes of partitions");
        }
        found.partition_sizes.clone_from(&said.partition_sizes);
        found.file_bytes = said.file_bytes;
        (rows_are_known && found != *said).then_some("cells, timestamps or tombstones")
    }
}

/// What was seen in a block.
struct Seen {
    has_changes: bool,
    one_partition: bool,
    /// Of what could be looked into.
    max_timestamp: Option<Timestamp>,
}

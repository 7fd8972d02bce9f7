//! Read repair: what one replica lacks of what all of them have together.
//!
//! ```text
//! together            deletion c .. m at 9,  row f at 12,  row z at 3
//! this replica        row f at 12, row g at 4
//! lacks               deletion c .. m at 9,  row z at 3
//! ```
//! A row that differs is sent as it is together: merging it again changes nothing where it is there already. Bounds of
//! deletions are rounded to positions between rows, where the read began or ended at a row.

use smallvec::SmallVec;

use super::merge::MergeCursor;
use super::run::MergedRun;
use super::source::Source;
use crate::StorageError;
use crate::model::Deletion;
use crate::model::entry::{Content, Direction, Entry, RowBuf};
use crate::model::mutation::{Mutation, Update};
use crate::model::position::{AFTER, BEFORE, HEADER, ROW};
use crate::model::read::KeyInterval;
use crate::schema::TableId;

/// What the replica at that place among the run's pages lacks, a mutation for each partition; nothing beyond where the run
/// is good, nor outside of the interval that was asked for.
///
/// # Errors
/// When a row does not decode.
pub fn repairs(
    table: TableId,
    run: &MergedRun,
    asked: &KeyInterval,
    replica: usize,
) -> Result<Vec<Mutation>, StorageError> {
    let Some(page) = run.pages().get(replica) else { return Ok(Vec::new()) };
    let own = vec![Source::Page(std::sync::Arc::clone(page))];
    let (lower, upper) = (run.lower(), run.upper());
    let mut together = run.walk(lower, upper, Direction::Forward)?;
    let mut alone = MergeCursor::open(own, lower, upper, Direction::Forward)?;
    let mut lacks = Lacks::new(table, asked, lower);
    let starts = run.pages().iter().map(|page| page.run().start());
    // All pages that begin inside a partition begin in the same one, or are cut in reverse: those say it at their bound.
    if let Some(partition) =
        starts.map(|start| &start.partition).find(|p| lower.starts_with(p) && !p.is_empty())
    {
        let (should, is) = (together.deletions_at_start(), alone.deletions_at_start());
        lacks.begin(partition, should, is);
    }
    together.step()?;
    alone.step()?;
    loop {
        let (theirs, own) = (together.current(), alone.current());
        let order = match (&theirs, &own) {
            (None, None) => break,
            (Some(theirs), Some(own)) => theirs.key.cmp(own.key),
            (Some(_), None) => std::cmp::Ordering::Less,
            (None, Some(_)) => std::cmp::Ordering::Greater,
        };
        lacks.entry(theirs.filter(|_| order.is_le()), own.filter(|_| order.is_ge()))?;
        if order.is_le() {
            together.step()?;
        }
        if order.is_ge() {
            alone.step()?;
        }
    }
    lacks.finish(upper)
}

/// A position between rows.
type Bound = SmallVec<[u8; 24]>;

/// What was found lacking so far.
struct Lacks<'a> {
    table: TableId,
    asked: &'a KeyInterval,
    mutations: Vec<Mutation>,
    partition: Vec<u8>,
    updates: SmallVec<[Update; 1]>,
    /// The position up to which range deletions were looked at.
    from: Vec<u8>,
    /// In force from there on: what should be, and what is.
    should: InForce,
    is: InForce,
}

#[derive(Clone, Copy, Default)]
struct InForce {
    partition: Option<Deletion>,
    range: Option<Deletion>,
}

impl InForce {
    fn greatest(&self) -> Deletion {
        let of = |deletion: Option<Deletion>| deletion.unwrap_or(Deletion::NONE);
        of(self.partition).max(of(self.range))
    }
}

impl<'a> Lacks<'a> {
    fn new(table: TableId, asked: &'a KeyInterval, lower: &[u8]) -> Self {
        Lacks {
            table,
            asked,
            mutations: Vec::new(),
            partition: Vec::new(),
            updates: SmallVec::new(),
            from: lower.to_vec(),
            should: InForce::default(),
            is: InForce::default(),
        }
    }

    /// The read begins inside a partition, where these deletions are in force.
    fn begin(&mut self, partition: &[u8], should: (Deletion, Deletion), is: (Deletion, Deletion)) {
        self.partition = partition.to_vec();
        self.from.drain(..partition.len());
        let in_force =
            |(partition, range)| InForce { partition: Some(partition), range: Some(range) };
        (self.should, self.is) = (in_force(should), in_force(is));
        self.partition_deletion();
    }

    /// What the replica has not of the partition's deletion.
    fn partition_deletion(&mut self) {
        let should = self.should.partition.unwrap_or(Deletion::NONE);
        if should > self.is.partition.unwrap_or(Deletion::NONE) {
            self.updates.push(Update::Partition(should));
            self.is.partition = Some(should);
        }
    }

    /// What there should be at a key, and what there is.
    fn entry(
        &mut self,
        should: Option<Entry<'_>>,
        is: Option<Entry<'_>>,
    ) -> Result<(), StorageError> {
        let Some(Entry { key, partition_len, .. }) = should.or(is) else { return Ok(()) };
        let (partition, position) = key.split_at(partition_len);
        if self.partition != partition {
            self.end_partition(&[AFTER]);
            self.partition = partition.to_vec();
        }
        match (should.map(|entry| entry.content), is.map(|entry| entry.content)) {
            (Some(Content::Row(should)), is) => {
                let should = should.to_buf()?;
                let own = match is {
                    Some(Content::Row(own)) => Some(own.to_buf()?),
                    _ => None,
                };
                self.row(position, should, own);
            }
            // What is deleted together and lies here: the deletion is what it lacks.
            (None, Some(Content::Row(_))) => {}
            (should, is) => self.deletions(position, should, is),
        }
        Ok(())
    }

    fn row(&mut self, position: &[u8], should: RowBuf, own: Option<RowBuf>) {
        if own.as_ref() != Some(&should) {
            self.updates
                .push(Update::Row { position: SmallVec::from_slice(position), row: should });
        }
    }

    fn deletions(&mut self, position: &[u8], should: Option<Content<'_>>, is: Option<Content<'_>>) {
        self.range_up_to(position);
        for (content, in_force) in [(should, &mut self.should), (is, &mut self.is)] {
            match content {
                Some(Content::Partition(deletion)) => in_force.partition = Some(deletion),
                Some(Content::Marker { after, .. }) => in_force.range = Some(after),
                _ => {}
            }
        }
        if position == [HEADER] {
            self.partition_deletion();
        }
    }

    /// Notes the range deletion that is missing from where the last one was looked at up to a position.
    fn range_up_to(&mut self, position: &[u8]) {
        let from = std::mem::replace(&mut self.from, position.to_vec());
        let (should, is) = (self.should.greatest(), self.is.greatest());
        if should > is
            && let Some((start, end)) = self.bounds(&from, position)
            && start < end
        {
            self.updates.push(Update::Range { start, end, deletion: should });
        }
    }

    /// The bounds between rows that are where two positions cut the partition. What was asked for is not left, whatever a
    /// replica says where it was cut.
    fn bounds(&self, from: &[u8], to: &[u8]) -> Option<(Bound, Bound)> {
        let (mut start, mut end) = (between_rows(from)?, between_rows(to)?);
        let inside = |bound: &'a [u8]| bound.strip_prefix(self.partition.as_slice());
        if let Some(lower) = inside(&self.asked.lower) {
            start = start.max(between_rows(lower)?);
        }
        if let Some(upper) = inside(&self.asked.upper) {
            end = end.min(between_rows(upper)?);
        }
        Some((start, end))
    }

    fn end_partition(&mut self, position: &[u8]) {
        if !self.partition.is_empty() {
            self.range_up_to(position);
        }
        let updates = std::mem::take(&mut self.updates);
        if !updates.is_empty() {
            let partition = SmallVec::from_slice(&self.partition);
            self.mutations.push(Mutation { table: self.table, partition, updates });
        }
        self.from.clear();
        (self.should, self.is) = (InForce::default(), InForce::default());
    }

    fn finish(mut self, upper: &[u8]) -> Result<Vec<Mutation>, StorageError> {
        let position = upper.strip_prefix(self.partition.as_slice()).unwrap_or(&[AFTER]).to_vec();
        self.end_partition(&position);
        Ok(self.mutations)
    }
}

/// The bound between rows that is where a position cuts a partition: what is at or behind the position is behind the bound.
/// `None` if that can't be told: then nothing is deleted.
fn between_rows(position: &[u8]) -> Option<Bound> {
    let mut bound: Bound = SmallVec::from_slice(position);
    let behind = bound.last() == Some(&0);
    if behind {
        bound.pop();
    }
    match bound.as_mut_slice() {
        [] | [(..=BEFORE)] => return Some(SmallVec::from_slice(&[BEFORE])),
        [0xff] => return Some(SmallVec::from_slice(&[AFTER])),
        [.., weight @ ROW] => *weight = if behind { AFTER } else { BEFORE },
        [.., BEFORE | AFTER] => {}
        _ => return None,
    }
    Some(bound)
}

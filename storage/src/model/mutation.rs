//! What one write does to one partition.

use smallvec::SmallVec;

use crate::model::entry::RowBuf;
use crate::model::position::{AFTER, BEFORE, ROW, STATIC};
use crate::model::row::RowError;
use crate::model::{Deletion, Timestamp};
use crate::schema::TableId;

/// Changes to one partition of one table, visible together or not at all.
#[derive(Clone, Debug, PartialEq)]
pub struct Mutation {
    /// The table.
    pub table: TableId,
    /// The partition prefix: `token | partition key components`.
    pub partition: SmallVec<[u8; 40]>,
    /// The changes, applied in order; merging makes the order irrelevant.
    pub updates: SmallVec<[Update; 1]>,
}

/// One change within a partition. Positions are the key's bytes after the partition prefix.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// Deletes the partition.
    Partition(Deletion),
    /// Writes or deletes a row, or the static row: at a `ROW` or `STATIC` position.
    Row {
        /// Where.
        position: SmallVec<[u8; 24]>,
        /// What, encoded.
        row: RowBuf,
    },
    /// Deletes all rows between two `BEFORE`/`AFTER` positions; `start < end`.
    Range {
        /// First position deleted.
        start: SmallVec<[u8; 24]>,
        /// Position after the last one deleted.
        end: SmallVec<[u8; 24]>,
        /// The deletion.
        deletion: Deletion,
    },
}

impl Mutation {
    /// Checks one that came from elsewhere, as far as this can be without its table: that it has a token, that what it
    /// writes stands where rows and bounds do, that its rows decode, and that its deletions delete something.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn validate(&self) -> Result<(), RowError> {
        if self.partition.len() < 8 {
            return Err(RowError("a partition without a token"));
        }
        self.updates.iter().try_for_each(Update::validate)
    }
}

impl Update {
    fn validate(&self) -> Result<(), RowError> {
        let deletes = |deletion: &Deletion| match deletion.timestamp {
            Timestamp::MIN => Err(RowError("a deletion of nothing")),
            _ => Ok(()),
        };
        match self {
            Update::Partition(deletion) => deletes(deletion),
            Update::Row { position, row } => {
                if **position != [STATIC] && position.last() != Some(&ROW) {
                    return Err(RowError("a row that stands where none can"));
                }
                row.as_row().validate().map(|_| ())
            }
            Update::Range { start, end, deletion } => {
                let is_bound = |position: &[u8]| matches!(position.last(), Some(&(BEFORE | AFTER)));
                if !is_bound(start) || !is_bound(end) || start >= end {
                    return Err(RowError("a range deletion without bounds in order"));
                }
                deletes(deletion)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use smallvec::smallvec;
    use uuid::Uuid;

    use super::*;
    use crate::model::row::RowBuilder;

    #[test]
    fn what_comes_from_elsewhere_is_checked() {
        let deletion = Deletion { timestamp: 1, deleted_at: 1 };
        let mut builder = RowBuilder::new();
        builder.deletion(deletion);
        let row = builder.finish();
        let wrong_row = RowBuf { head: row.head.clone(), body: vec![0xff] };
        let at = |position: &[u8], row: &RowBuf| Update::Row {
            position: position.into(),
            row: row.clone(),
        };
        let range = |start: u8, end: u8, deletion| Update::Range {
            start: smallvec![start],
            end: smallvec![end],
            deletion,
        };
        let table = TableId(Uuid::nil());
        let check = |partition: &[u8], update| {
            Mutation { table, partition: partition.into(), updates: smallvec![update] }.validate()
        };
        let partition = b"12345678key".as_slice();
        for (update, is_right) in [
            (at(&[STATIC], &row), true),
            (at(&[ROW], &row), true),
            (at(&[], &row), false),
            (at(&[AFTER], &row), false),
            (at(&[ROW], &wrong_row), false),
            (at(&[ROW], &RowBuf::default()), false),
            (range(BEFORE, AFTER, deletion), true),
            (range(AFTER, BEFORE, deletion), false),
            (range(BEFORE, ROW, deletion), false),
            (range(BEFORE, AFTER, Deletion::NONE), false),
            (Update::Partition(deletion), true),
            (Update::Partition(Deletion::NONE), false),
        ] {
            assert_eq!(check(partition, update.clone()).is_ok(), is_right, "{update:?}");
        }
        assert!(check(b"1234567", Update::Partition(deletion)).is_err());
    }
}

//! Plan and values to mutations: a pure function, and the hot path of every write.

use smallvec::{SmallVec, smallvec};
use tholos_storage::model::entry::RowBuf;
use tholos_storage::model::mutation::{Mutation, Update};
use tholos_storage::model::position::STATIC;
use tholos_storage::model::row::{CellRef, RowBuilder};
use tholos_storage::model::{ColumnId, Timestamp};
use tholos_storage::schema::Table;

use super::attributes::WriteTime;
use super::cells::write_columns;
use super::elements::{ElementContext, ListPaths};
use super::operations::ColumnWrite;
use super::{ModifyKind, ModifyPlan};
use crate::error::QueryError;
use crate::halt::Halt;
use crate::query::functions::CallContext;
use crate::query::intervals::Interval;
use crate::query::keys::{self, MAX_COMBINATIONS, Position};
use crate::query::modify::document::DocumentValues;
use crate::query::restriction::evaluate::Evaluator;
use crate::query::restriction::keys::LongKeys;
use crate::query::values::Bound;

/// What one execution of a statement brings.
#[derive(Clone, Copy)]
pub struct WriteRequest<'v> {
    /// Values of the markers.
    pub values: &'v [Bound<'v>],
    /// The request's time and random bits.
    pub call: CallContext<'v>,
    /// The timestamp of a statement that brings none of its own: the client's or the request's, in microseconds.
    pub timestamp: Timestamp,
}

/// A row, or static row, that a statement must know before it can say what it writes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NeededRow {
    /// Its partition.
    pub partition: keys::Partition,
    /// Its position there.
    pub position: Position,
}

/// Rows as they are, for the writes that depend on them.
pub trait Existing {
    /// The row (or static row) at a position of a partition, reconciled; none if there is none.
    ///
    /// # Errors
    /// A row that is damaged, or not among those that were [`needed`].
    fn row(
        &self,
        table: &Table,
        partition: &[u8],
        position: &[u8],
    ) -> Result<Option<RowBuf>, QueryError>;
}

/// The rows that must be read before [`mutations`] can be made: none, unless the plan [reads](ModifyPlan::reads).
///
/// # Errors
/// [`QueryError::Invalid`] for values that don't fit the key's columns, or too many rows.
pub fn needed(
    plan: &ModifyPlan,
    values: &[Bound<'_>],
    call: CallContext<'_>,
) -> Result<Vec<NeededRow>, Halt> {
    let mut needed = Vec::new();
    if !plan.reads() {
        return Ok(needed);
    }
    let evaluator = Evaluator { values, context: call };
    let reads = |writes: &[ColumnWrite]| writes.iter().any(ColumnWrite::reads);
    let mut positions = SmallVec::<[Position; 1]>::new();
    if reads(&plan.statics) {
        positions.push(Position::from_slice(&[STATIC]));
    }
    if reads(&plan.regulars) && plan.clustering.width() == plan.table.clustering.len() {
        positions.extend(plan.clustering.rows(&plan.table, evaluator)?);
    }
    let partitions = plan.partitions.partitions(&plan.table, evaluator)?;
    if partitions.len().saturating_mul(positions.len()) > MAX_COMBINATIONS {
        return Err(keys::too_many_combinations().into());
    }
    for partition in partitions {
        let of_partition = |position: &Position| NeededRow {
            partition: partition.clone(),
            position: position.clone(),
        };
        needed.extend(positions.iter().map(of_partition));
    }
    Ok(needed)
}

/// The mutations of one statement, one per partition. Partitions to which nothing is written (every value unset, an
/// empty IN) have none.
///
/// `paths` is the request's, for all its statements. `existing` is asked only for what is [`needed`].
///
/// # Errors
/// [`QueryError::Invalid`] for values that don't fit their columns; what `existing` fails with.
pub fn mutations(
    plan: &ModifyPlan,
    request: WriteRequest<'_>,
    paths: &mut ListPaths,
    existing: &dyn Existing,
) -> Result<SmallVec<[Mutation; 1]>, Halt> {
    let WriteRequest { values, call, timestamp } = request;
    let table = &*plan.table;
    let time = plan.attributes.write_time(table, timestamp, values, call)?;
    let document = plan.json.as_ref().map(|json| json.values(values, call)).transpose()?;
    let of_document = document.as_ref().map(DocumentValues::bound);
    let values = of_document.as_deref().unwrap_or(values);
    let request = WriteRequest { values, ..request };
    let partitions = plan.partitions.partitions(table, Evaluator { values, context: call })?;
    let partition_count = partitions.len();
    // What does not depend on the partition is made once for all of them.
    let shares = partitions.len() > 1 && !plan.reads();
    let mut writer = RowWriter { plan, request, time, existing, paths };
    let mut shared = None;
    let mut mutations = SmallVec::new();
    for partition in partitions {
        let updates = match &shared {
            Some(updates) => SmallVec::clone(updates),
            None => writer.updates(&partition)?,
        };
        if partition_count.saturating_mul(updates.len()) > MAX_COMBINATIONS {
            return Err(keys::too_many_combinations().into());
        }
        if shares && shared.is_none() {
            shared = Some(updates.clone());
        }
        if !updates.is_empty() {
            mutations.push(Mutation { table: table.id, partition, updates });
        }
    }
    Ok(mutations)
}

struct RowWriter<'p> {
    plan: &'p ModifyPlan,
    request: WriteRequest<'p>,
    time: WriteTime,
    existing: &'p dyn Existing,
    paths: &'p mut ListPaths,
}

impl RowWriter<'_> {
    fn updates(&mut self, partition: &[u8]) -> Result<SmallVec<[Update; 1]>, Halt> {
        let plan = self.plan;
        if plan.kind == ModifyKind::DeleteRows {
            return self.deletions();
        }
        let mut updates = SmallVec::new();
        if !plan.statics.is_empty() {
            let position = Position::from_slice(&[STATIC]);
            let row = self.row(&plan.statics, partition, &position, false, &[])?;
            push_row(&mut updates, position, row);
        }
        let has_rows = plan.clustering.width() == plan.table.clustering.len();
        let inserts = plan.kind == ModifyKind::Insert;
        if !has_rows || (plan.regulars.is_empty() && !inserts) {
            return Ok(updates);
        }
        self.rows(partition, inserts, &mut updates)?;
        Ok(updates)
    }

    fn rows(
        &mut self,
        partition: &[u8],
        inserts: bool,
        updates: &mut SmallVec<[Update; 1]>,
    ) -> Result<(), Halt> {
        let plan = self.plan;
        let table = &plan.table;
        let has_forms = table.clustering.iter().any(|column| keys::has_forms(&column.cql_type));
        if has_forms && plan.kind != ModifyKind::DeleteColumns {
            for (position, written) in plan.clustering.rows_as_written(table, self.evaluator())? {
                let row = self.row(&plan.regulars, partition, &position, inserts, &written)?;
                push_row(updates, position, row);
            }
            return Ok(());
        }
        let mut positions = plan.clustering.rows(table, self.evaluator())?;
        if plan.regulars.iter().any(ColumnWrite::reads) {
            for position in positions {
                let row = self.row(&plan.regulars, partition, &position, inserts, &[])?;
                push_row(updates, position, row);
            }
            return Ok(());
        }
        let Some(last) = positions.pop() else { return Ok(()) };
        let row = self.row(&plan.regulars, partition, &last, inserts, &[])?;
        for position in positions {
            push_row(updates, position, row.clone());
        }
        push_row(updates, last, row);
        Ok(())
    }

    fn row(
        &mut self,
        writes: &[ColumnWrite],
        partition: &[u8],
        position: &[u8],
        inserts: bool,
        written: &[(ColumnId, Vec<u8>)],
    ) -> Result<RowBuf, Halt> {
        let existing = match writes.iter().any(ColumnWrite::reads) {
            true => self.existing.row(&self.plan.table, partition, position)?,
            false => None,
        };
        let mut builder = RowBuilder::with_capacity(16 + 24 * writes.len());
        if inserts {
            builder.liveness(self.time.liveness());
        }
        let context = ElementContext {
            time: &self.time,
            values: self.request.values,
            call: self.request.call,
            existing: existing.as_ref().map(RowBuf::as_row),
        };
        write_columns(&mut builder, writes, self.paths, context)?;
        let written = if builder.is_bare() { &[] } else { written };
        for (column, value) in written {
            let (timestamp, state) = (self.time.timestamp, self.time.state());
            builder.cell(CellRef { column: *column, path: None, timestamp, state, value });
        }
        Ok(builder.finish())
    }

    /// What a DELETE without targets deletes: partitions, rows, or ranges of rows.
    fn deletions(&self) -> Result<SmallVec<[Update; 1]>, Halt> {
        let ModifyPlan { table, clustering, .. } = self.plan;
        let deletion = self.time.deletion();
        if clustering.is_all() {
            return Ok(smallvec![Update::Partition(deletion)]);
        }
        if clustering.width() == table.clustering.len() {
            let mut builder = RowBuilder::new();
            builder.deletion(deletion);
            let row = builder.finish();
            let positions = clustering.rows(table, self.evaluator())?.into_iter();
            return Ok(positions
                .map(|position| Update::Row { position, row: row.clone() })
                .collect());
        }
        let ranges = clustering.intervals(table, self.evaluator(), LongKeys::Refused)?.into_iter();
        let range = |Interval { lower, upper }| Update::Range {
            start: Position::from_vec(lower),
            end: Position::from_vec(upper),
            deletion,
        };
        Ok(ranges.map(range).collect())
    }

    fn evaluator(&self) -> Evaluator<'_> {
        Evaluator { values: self.request.values, context: self.request.call }
    }
}

fn push_row(updates: &mut SmallVec<[Update; 1]>, position: Position, row: RowBuf) {
    if !row.is_empty() {
        updates.push(Update::Row { position, row });
    }
}

//! BATCH: several modifications as one, by one timestamp.
//!
//! A batch comes as text (`BEGIN BATCH ... APPLY BATCH`, one list of values for all its statements) or as the protocol's
//! BATCH message (prepared and plain statements, each with its values). Both end here as [`BatchItem`]s: their mutations
//! of one partition become one, which is seen whole or not at all.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use smallvec::SmallVec;
use tholos_grammar::ast::modify::{Batch, BatchKind, Modification};
use tholos_storage::model::Timestamp;
use tholos_storage::model::entry::{RowBuf, RowRef};
use tholos_storage::model::merge::merge_rows;
use tholos_storage::model::mutation::{Mutation, Update};
use tholos_storage::model::row::RowBuilder;
use tholos_storage::schema::{Table, TableId};

use crate::error::QueryError;
use crate::halt::Halt;
use crate::query::column::ColumnSpec;
use crate::query::expression::Binder;
use crate::query::functions::CallContext;
use crate::query::modify::attributes::Attributes;
use crate::query::modify::elements::{ListPaths, unreadable};
use crate::query::modify::mutation::{Existing, WriteRequest, mutations};
use crate::query::modify::{self, ModifyPlan};
use crate::query::values::Bound;

/// A planned `BEGIN BATCH`.
#[derive(Clone, Debug)]
pub struct BatchPlan {
    /// LOGGED, UNLOGGED or COUNTER.
    pub kind: BatchKind,
    /// The statements, whose markers are numbered through.
    pub statements: Vec<ModifyPlan>,
    /// USING: no TTL.
    pub attributes: Attributes,
}

/// One statement of a batch with its values.
#[derive(Clone, Copy)]
pub struct BatchItem<'a> {
    /// The statement.
    pub plan: &'a ModifyPlan,
    /// Values of its markers.
    pub values: &'a [Bound<'a>],
}

/// Plans a batch that came as text.
///
/// # Errors
/// [`QueryError::Invalid`] when a statement is wrong or does not belong into such a batch.
pub fn plan(batch: &Batch, binder: &mut Binder<'_>) -> Result<BatchPlan, QueryError> {
    let using = Attributes::bind(&batch.using, &batch_spec(batch), binder)?;
    if batch.kind == BatchKind::Counter && using.timestamp.is_some() {
        return Err(QueryError::invalid(
            "cannot provide custom timestamp for counter BATCH: leave USING TIMESTAMP out",
        ));
    }
    let mut statements = Vec::with_capacity(batch.statements.len());
    for statement in &batch.statements {
        let plan = modify::plan(statement, binder)?;
        if using.timestamp.is_some() && plan.attributes.timestamp.is_some() {
            return Err(QueryError::invalid(
                "timestamp must be set either on BATCH or individual statements: leave one out",
            ));
        }
        if plan.attributes.consistency.is_some() {
            return Err(QueryError::invalid(
                "a statement in a batch has the batch's consistency level: write USING CONSISTENCY behind BEGIN BATCH",
            ));
        }
        statements.push(plan);
    }
    check_kind(batch.kind, statements.iter())?;
    Ok(BatchPlan { kind: batch.kind, statements, attributes: using })
}

/// Whether statements may stand together in a batch of some kind.
///
/// # Errors
/// [`QueryError::Invalid`] when counters and other columns are mixed, or counters stand in a logged batch.
pub fn check_kind<'p>(
    kind: BatchKind,
    statements: impl Iterator<Item = &'p ModifyPlan>,
) -> Result<(), QueryError> {
    let (mut counters, mut others) = (false, false);
    for statement in statements {
        counters |= statement.is_counter();
        others |= !statement.is_counter();
    }
    match kind {
        BatchKind::Counter if others => Err(QueryError::invalid(
            "cannot include a non-counter statement in a counter batch: use BEGIN BATCH for it",
        )),
        BatchKind::Logged if counters => Err(QueryError::invalid(
            "cannot include a counter statement in a logged batch: use BEGIN COUNTER BATCH",
        )),
        BatchKind::Unlogged if counters && others => Err(QueryError::invalid(
            "counter and non-counter mutations cannot exist in the same batch: use two batches",
        )),
        _ => Ok(()),
    }
}

impl BatchPlan {
    /// Marker positions of the partition key: those of the first statement, if all are about one table.
    pub fn pk_indexes(&self) -> Vec<u16> {
        let Some(first) = self.statements.first() else { return Vec::new() };
        let one_table = self.statements.iter().all(|plan| plan.table.id == first.table.id);
        if one_table { first.pk_indexes() } else { Vec::new() }
    }

    /// The tables that it is about, each once.
    pub fn tables(&self) -> SmallVec<[Arc<Table>; 1]> {
        let mut tables = SmallVec::<[Arc<Table>; 1]>::new();
        for plan in &self.statements {
            if !tables.iter().any(|table| table.id == plan.table.id) {
                tables.push(Arc::clone(&plan.table));
            }
        }
        tables
    }

    /// The timestamp of statements that bring none, if the batch says one.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] for a timestamp out of range.
    pub fn timestamp(
        &self,
        values: &[Bound<'_>],
        call: CallContext<'_>,
    ) -> Result<Option<Timestamp>, Halt> {
        self.attributes.check_timeout(values, call)?;
        self.attributes.timestamp(values, call)
    }
}

/// The mutations of a batch, one per partition, in the order of their keys.
///
/// All of it is made before any of it is written. What a statement reads is what was there before the batch; but counters
/// count on from what the batch's earlier statements made of them.
///
/// # Errors
/// As [`mutations`]; nothing of the batch is to be written then.
pub fn merged(
    items: &[BatchItem<'_>],
    call: CallContext<'_>,
    timestamp: Timestamp,
    existing: &dyn Existing,
) -> Result<Vec<Mutation>, Halt> {
    let mut all: Vec<Mutation> = Vec::with_capacity(items.len());
    let mut paths = ListPaths::default();
    let mut counted = Counted { existing, rows: BTreeMap::new() };
    for item in items {
        let request = WriteRequest { values: item.values, call, timestamp };
        let made = mutations(item.plan, request, &mut paths, &counted)?;
        if item.plan.is_counter() {
            made.iter().try_for_each(|mutation| counted.note(mutation))?;
        }
        all.extend(made);
    }
    // Stable: the updates of one partition stay in the order of the statements.
    all.sort_by(|a, b| (a.table, &a.partition).cmp(&(b.table, &b.partition)));
    all.dedup_by(|later, kept| {
        let same = later.table == kept.table && later.partition == kept.partition;
        if same {
            kept.updates.extend(std::mem::take(&mut later.updates));
        }
        same
    });
    Ok(all)
}

/// Rows as they are, with what a batch's statements made of counters so far.
struct Counted<'e> {
    existing: &'e dyn Existing,
    rows: BTreeMap<(TableId, Vec<u8>), RowBuf>,
}

impl Counted<'_> {
    /// Deletions are not noted: they delete what the batch counts at the same timestamp, whichever comes first.
    fn note(&mut self, mutation: &Mutation) -> Result<(), QueryError> {
        for update in &mutation.updates {
            let Update::Row { position, row } = update else { continue };
            let key = (mutation.table, [&mutation.partition[..], position].concat());
            match self.rows.entry(key) {
                Entry::Vacant(free) => {
                    free.insert(row.clone());
                }
                Entry::Occupied(mut taken) => {
                    let merged = merge(&[taken.get().as_row(), row.as_row()])?;
                    taken.insert(merged);
                }
            }
        }
        Ok(())
    }
}

impl Existing for Counted<'_> {
    fn row(
        &self,
        table: &Table,
        partition: &[u8],
        position: &[u8],
    ) -> Result<Option<RowBuf>, QueryError> {
        let stored = self.existing.row(table, partition, position)?;
        let noted = self.rows.get(&(table.id, [partition, position].concat()));
        match (stored, noted) {
            (Some(stored), Some(noted)) => merge(&[stored.as_row(), noted.as_row()]).map(Some),
            (stored, noted) => Ok(stored.or_else(|| noted.cloned())),
        }
    }
}

fn merge(rows: &[RowRef<'_>]) -> Result<RowBuf, QueryError> {
    let mut merged = RowBuilder::new();
    merge_rows(rows, &mut merged).map_err(unreadable)?;
    Ok(merged.finish())
}

/// Attributes of a batch belong to no table: their markers are described by the first statement's.
fn batch_spec(batch: &Batch) -> ColumnSpec {
    let table = batch.statements.first().map(Modification::table);
    let keyspace = table.and_then(|table| table.keyspace.as_deref().cloned());
    ColumnSpec {
        keyspace: keyspace.unwrap_or_else(|| "".into()),
        table: table.map_or_else(|| "".into(), |table| table.name.name.clone()),
        name: String::new(),
        cql_type: tholos_grammar::types::Native::Bigint.into(),
    }
}

/// The statements of a planned batch, all with the same values.
pub fn items<'a>(plan: &'a BatchPlan, values: &'a [Bound<'a>]) -> SmallVec<[BatchItem<'a>; 8]> {
    plan.statements.iter().map(|plan| BatchItem { plan, values }).collect()
}

impl std::fmt::Display for BatchPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Batch: {:?}", self.kind)?;
        if let Some(timestamp) = &self.attributes.timestamp {
            write!(f, "\n  timestamp {timestamp}")?;
        }
        for statement in &self.statements {
            write!(f, "\n{statement}")?;
        }
        Ok(())
    }
}

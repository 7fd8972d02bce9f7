//! How large a batch may be, and when it is worth a warning.
//!
//! A batch of one partition is one write however large it is. One of several partitions is held in memory as a whole, and
//! is no faster than its statements sent side by side: clients are told from a few KiB on, and stopped where it is an
//! accident. Figures and messages begin as Cassandra's, so that what watches for them finds them.

use std::collections::BTreeSet;

use tholos_grammar::ast::modify::BatchKind;
use tholos_storage::model::mutation::{Mutation, Update};
use tholos_storage::schema::TableId;

use crate::config::BatchLimits;
use crate::error::QueryError;
use crate::query::batch::BatchItem;

impl BatchLimits {
    /// Weighs what a batch would write: warnings for the client.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] when it is too large.
    pub(super) fn check(
        &self,
        kind: BatchKind,
        items: &[BatchItem<'_>],
        mutations: &[Mutation],
    ) -> Result<Vec<String>, QueryError> {
        if mutations.len() < 2 {
            return Ok(Vec::new());
        }
        let bytes = mutations.iter().map(size).sum::<usize>();
        let partitions = mutations.len();
        if self.fail_bytes > 0 && bytes > self.fail_bytes {
            return Err(QueryError::invalid(format!(
                "Batch too large: {bytes} bytes over {partitions} partitions of {}, and the limit is {} (limits.batch_fail_kib); nothing of it was written. Send its statements one by one, or a batch for each partition",
                tables(items),
                self.fail_bytes
            )));
        }
        let mut warnings = Vec::new();
        if self.warn_bytes > 0 && bytes > self.warn_bytes {
            warnings.push(format!(
                "Batch for {} is of size {bytes}, exceeding specified threshold of {} by {}: it has {partitions} partitions; make a batch for each, or send its statements one by one",
                tables(items),
                self.warn_bytes,
                bytes - self.warn_bytes
            ));
        }
        warnings.extend(self.many_partitions(kind, items, partitions));
        Ok(warnings)
    }

    /// A warning for a batch that is not logged and has many partitions.
    fn many_partitions(
        &self,
        kind: BatchKind,
        items: &[BatchItem<'_>],
        partitions: usize,
    ) -> Option<String> {
        let many = self.warn_partitions > 0 && partitions > self.warn_partitions;
        (many && kind != BatchKind::Logged).then(|| {
            format!(
                "Unlogged batch covering {partitions} partitions detected against table {}. You should use a logged batch for atomicity, or asynchronous writes for performance.",
                tables(items)
            )
        })
    }
}

/// The bytes that a mutation keeps.
fn size(mutation: &Mutation) -> usize {
    let update = |update: &Update| match update {
        Update::Partition(_) => size_of_val(update),
        Update::Row { position, row } => position.len() + row.head.len() + row.body.len(),
        Update::Range { start, end, .. } => start.len() + end.len(),
    };
    mutation.partition.len() + mutation.updates.iter().map(update).sum::<usize>()
}

/// The tables of a batch, each once: `[ks.a, ks.b]`.
fn tables(items: &[BatchItem<'_>]) -> String {
    let tables = items.iter().map(|item| &item.plan.table);
    let mut seen = BTreeSet::<TableId>::new();
    let names: Vec<String> = tables
        .filter(|table| seen.insert(table.id))
        .map(|table| format!("{}.{}", table.keyspace, table.name))
        .collect();
    format!("[{}]", names.join(", "))
}

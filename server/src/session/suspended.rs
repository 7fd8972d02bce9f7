//! Statements that go on later: all that they need for it, owned.

use std::sync::Arc;
use std::time::Instant;

use tholos_cluster::request::read::Rows;
use tholos_grammar::ast::modify::BatchKind;
use tholos_grammar::consistency::Consistency;
use tholos_grammar::name::Name;
use tholos_grammar::protocol::response::rows_writer::RowsWriter;

use crate::error::Attempt;
use crate::execute::modify::{Held, Wanted};
use crate::execute::select::fetched::Fetched;
use crate::execute::select::{SoFar, take_fetched};
use crate::halt::Halt;
use crate::metrics::RequestKind;
use crate::node::Metadata;
use crate::prepared::Ready;
use crate::query::values::{Bound, BoundValues, RequestOptions, RequestTime};

/// A statement, or a batch of them, that waits for what replicas have.
#[derive(Debug)]
pub struct Suspended {
    /// What the request is, for metrics.
    pub(super) kind: RequestKind,
    /// What is being done, should it fail.
    pub(super) attempt: Attempt,
    /// What it was begun with, and goes on with.
    pub(super) metadata: Arc<Metadata>,
    pub(super) request: OwnedRequest,
    pub(super) options: OwnedOptions,
    pub(super) time: RequestTime,
    pub(super) started: Instant,
    pub(super) stage: Stage,
    /// What it waits for.
    pub(super) reads: Arc<[Wanted]>,
}

impl Suspended {
    /// Memory that it takes, roughly.
    pub(super) fn bytes(&self) -> usize {
        let request = match &self.request {
            OwnedRequest::Statement { values, .. } => values.bytes(),
            OwnedRequest::Batch(_, statements) => {
                statements.iter().map(|(_, values)| values.bytes()).sum()
            }
        };
        let stage = match &self.stage {
            Stage::Rows(rows) => rows.body.capacity() + rows.fetched.bytes(),
            Stage::Modify(_) => 0,
        };
        size_of::<Suspended>() + request + stage
    }
}

/// What is carried out.
#[derive(Debug)]
pub(super) enum OwnedRequest {
    Statement {
        ready: Arc<Ready>,
        keyspace: Option<Name>,
        values: OwnedValues,
    },
    /// Of a BATCH message.
    Batch(BatchKind, Vec<(Arc<Ready>, OwnedValues)>),
}

/// How far it has come.
#[derive(Debug)]
pub(super) enum Stage {
    Rows(Box<RowsSoFar>),
    Modify(Held),
}

/// A page of rows that is not full yet.
#[derive(Debug)]
pub(super) struct RowsSoFar {
    pub(super) fetched: Fetched,
    pub(super) so_far: Box<SoFar>,
    pub(super) writer: RowsWriter,
    /// The body of the answer.
    pub(super) body: Vec<u8>,
}

impl Stage {
    /// Takes what came for what was wanted.
    pub(super) fn take(
        &mut self,
        reads: &[Wanted],
        came: Vec<Rows>,
        time: RequestTime,
    ) -> Result<(), Halt> {
        match self {
            Stage::Rows(rows) => {
                let runs = came.into_iter().flat_map(|rows| rows.runs);
                take_fetched(&mut rows.fetched, &rows.so_far, runs);
            }
            Stage::Modify(held) => {
                for (wanted, rows) in reads.iter().zip(&came) {
                    held.take(wanted, &rows.runs, time.seconds)?;
                }
            }
        }
        Ok(())
    }
}

/// Values of markers, owned.
#[derive(Debug)]
pub(super) struct OwnedValues(Vec<OwnedValue>);

#[derive(Debug)]
enum OwnedValue {
    Null,
    Unset,
    Bytes(Box<[u8]>),
}

impl OwnedValues {
    pub(super) fn of(values: &[Bound<'_>]) -> OwnedValues {
        let owned = |value: &Bound<'_>| match value {
            Bound::Null => OwnedValue::Null,
            Bound::Unset => OwnedValue::Unset,
            Bound::Bytes(bytes) => OwnedValue::Bytes((*bytes).into()),
        };
        OwnedValues(values.iter().map(owned).collect())
    }

    fn bytes(&self) -> usize {
        let bytes = |value: &OwnedValue| match value {
            OwnedValue::Null | OwnedValue::Unset => 0,
            OwnedValue::Bytes(bytes) => bytes.len(),
        };
        self.0.iter().map(|value| size_of::<OwnedValue>() + bytes(value)).sum()
    }

    pub(super) fn bound(&self) -> BoundValues<'_> {
        let bound = |value| match value {
            &OwnedValue::Null => Bound::Null,
            &OwnedValue::Unset => Bound::Unset,
            OwnedValue::Bytes(bytes) => Bound::Bytes(bytes),
        };
        self.0.iter().map(bound).collect()
    }
}

/// A request's options, owned.
#[derive(Debug)]
pub(super) struct OwnedOptions {
    options: RequestOptions<'static>,
    paging_state: Option<Vec<u8>>,
}

impl OwnedOptions {
    pub(super) fn of(options: &RequestOptions<'_>) -> OwnedOptions {
        let paging_state = options.paging_state.map(<[u8]>::to_vec);
        OwnedOptions { options: RequestOptions { paging_state: None, ..*options }, paging_state }
    }

    pub(super) fn options(&self) -> RequestOptions<'_> {
        RequestOptions { paging_state: self.paging_state.as_deref(), ..self.options }
    }

    /// The level at which it reads: a write at ANY asks nothing of replicas, but what it depends on must come from one.
    pub(super) fn read_level(&self) -> Consistency {
        match self.options.consistency {
            Consistency::Any => Consistency::One,
            other => other,
        }
    }
}

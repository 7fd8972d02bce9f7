//! Running one planned statement: its context made, its plan carried out, its rows written.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use parking_lot::Mutex;
use tholos_grammar::ast::Statement;
use tholos_grammar::ast::modify::BatchKind;
use tholos_grammar::consistency::Consistency;
use tholos_grammar::name::Name;
use tholos_grammar::protocol::header::Version;
use tholos_grammar::protocol::request::parameters::QueryParameters;
use tholos_grammar::protocol::response::error::WriteType;
use tholos_grammar::protocol::response::event::{ChangeType, SchemaChange, SchemaTarget};
use tholos_grammar::protocol::response::metadata::EncodedColumns;
use tholos_grammar::protocol::response::result::QueryResult;
use tholos_grammar::protocol::response::rows_writer::RowsWriter;
use tholos_storage::fs::nowait::without_waiting;
use uuid::Uuid;

use super::bind::bind_values;
use crate::budget::Credit;
use crate::error::{At, Attempt, PutOff, QueryError};
use crate::execute::replica::LogPosition;
use crate::execute::{self, ExecuteContext, RequestWatch};
use crate::metrics::RequestKind;
use crate::node::{Altered, Metadata, Node};
use crate::prepared::Ready;
use crate::query::batch::BatchItem;
use crate::query::catalogue::Catalogue;
use crate::query::context::PlanContext;
use crate::query::ddl::{self, DataCenter, DdlContext};
use crate::query::plan::{Plan, SchemaEvent};
use crate::query::select::plan::SelectPlan;
use crate::query::values::{Bound, RequestOptions, RequestTime, TimestampWatch};

/// The longest answer that is made in a thread that serves other clients too; the second while memory is short.
const INLINE_ANSWER: usize = 8 << 20;
const SHORT_ANSWER: usize = 4 << 10;

/// One statement about to run.
pub(super) struct Run<'a> {
    node: &'a Node,
    metadata: &'a Metadata,
    ready: &'a Ready,
    keyspace: Option<&'a Name>,
    started: Instant,
    /// This thread may wait for the disk. If not, it serves other clients too: what would wait fails instead, before
    /// anything is done.
    pub(super) may_wait: bool,
    /// What the answer may take of memory is taken here as it grows.
    pub(super) room: Option<Arc<Mutex<Credit>>>,
    /// What the answer is written for.
    pub(super) version: Version,
    /// The client has this result's metadata.
    pub(super) metadata_known: bool,
    /// The client is told the metadata's id when it does not have it.
    pub(super) tells_metadata_id: bool,
}

/// What it came to; rows and schema changes are in the buffer.
#[derive(Default)]
pub(super) struct Done {
    /// A write: answered once this is durable.
    pub(super) position: Option<LogPosition>,
    /// USE: the session's keyspace from now on.
    pub(super) keyspace: Option<Name>,
    pub(super) warnings: Vec<String>,
}

impl<'a> Run<'a> {
    /// A statement of a QUERY: the client has no metadata.
    pub(super) fn new(
        node: &'a Node,
        metadata: &'a Metadata,
        ready: &'a Ready,
        keyspace: Option<&'a Name>,
        started: Instant,
        version: Version,
    ) -> Run<'a> {
        let (metadata_known, tells_metadata_id, may_wait) = (false, false, true);
        Run {
            node,
            metadata,
            ready,
            keyspace,
            started,
            may_wait,
            room: None,
            version,
            metadata_known,
            tells_metadata_id,
        }
    }

    pub(super) fn node(&self) -> &'a Node {
        self.node
    }

    pub(super) fn kind(&self) -> RequestKind {
        match self.ready.planned.plan {
            Plan::Select(_) | Plan::Describe(_) => RequestKind::Read,
            Plan::Modify(_) => RequestKind::Write,
            Plan::Batch(_) => RequestKind::Batch,
            Plan::Schema(_) | Plan::Truncate(_) => RequestKind::Schema,
            Plan::Use(_) => RequestKind::Other,
        }
    }

    pub(super) fn attempt(&self, asked: Consistency) -> Attempt {
        let consistency = self.ready.planned.consistency.unwrap_or(asked);
        let write = match &self.ready.planned.plan {
            Plan::Modify(plan) if plan.is_counter() => Some(WriteType::Counter),
            Plan::Modify(_) => Some(WriteType::Simple),
            Plan::Batch(plan) => Some(match plan.kind {
                BatchKind::Logged => WriteType::Batch,
                BatchKind::Unlogged => WriteType::UnloggedBatch,
                BatchKind::Counter => WriteType::Counter,
            }),
            _ => None,
        };
        Attempt { consistency, write }
    }

    pub(super) fn execute(
        &self,
        parameters: &QueryParameters<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Done, QueryError> {
        match &self.ready.planned.plan {
            // These read all they need before they write anything, so that they can be done all over elsewhere.
            Plan::Select(_) | Plan::Modify(_) | Plan::Batch(_) if !self.may_wait => {
                without_waiting(|| self.carry_out(parameters, out))
            }
            // These wait for the disk whatever it does.
            Plan::Schema(_) | Plan::Truncate(_) if !self.may_wait => {
                Err(QueryError::PutOff(PutOff::Disk))
            }
            _ => self.carry_out(parameters, out),
        }
    }

    fn carry_out(
        &self,
        parameters: &QueryParameters<'_>,
        out: &mut Vec<u8>,
    ) -> Result<Done, QueryError> {
        let planned = &self.ready.planned;
        let values = bind_values(parameters.values, &planned.markers)?;
        let options = RequestOptions {
            consistency: planned.consistency.unwrap_or(parameters.consistency),
            serial_consistency: serial(parameters.serial_consistency)?,
            page_size: parameters.page_size.filter(|size| *size > 0),
            paging_state: parameters.paging_state,
            timestamp: parameters.timestamp,
            now_in_seconds: parameters.now_in_seconds,
            skip_metadata: parameters.skip_metadata,
        };
        let watch = RequestWatch { room: self.room.clone(), ..watch(self.node) };
        let cx = context(self.node, self.metadata, &options, &values, self.started, &watch);
        match &planned.plan {
            Plan::Select(plan) => self
                .rows(&options, out, |writer, out| {
                    execute::select::select(&cx, plan, options.consistency, out, writer)
                })
                .map(|done| self.warned(plan, done, &watch)),
            Plan::Describe(plan) => self.rows(&options, out, |writer, out| {
                execute::describe::describe(&cx, plan, out, writer).map(|()| None)
            }),
            Plan::Modify(plan) => {
                admit(self.node, cx.time)?;
                let position = Some(execute::modify::modify(&cx, plan)?);
                Ok(Done { position, keyspace: None, warnings: written_warnings(self.node, &watch) })
            }
            Plan::Batch(plan) => {
                admit(self.node, cx.time)?;
                let position = Some(execute::modify::batch(&cx, plan)?);
                Ok(Done { position, keyspace: None, warnings: written_warnings(self.node, &watch) })
            }
            Plan::Truncate(table) => {
                let kept = self
                    .node
                    .truncate(table)
                    .map_err(|error| QueryError::Truncate(error.to_string()))?;
                let warnings = self.node.kept_warning(kept.as_slice()).into_iter().collect();
                Ok(Done { position: Some(LogPosition::default()), warnings, ..Done::default() })
            }
            Plan::Use(keyspace) => self.use_keyspace(keyspace),
            Plan::Schema(statement) => self.schema(statement, cx.time, out),
        }
    }

    /// Tells the client of an aggregate over many partitions; and, now and then the log too, of a read that walked over
    /// many tombstones.
    fn warned(&self, plan: &SelectPlan, mut done: Done, watch: &RequestWatch) -> Done {
        done.warnings.extend(plan.wide_aggregate());
        if let Some(read) = watch.over_threshold.take() {
            self.node.metrics().tombstone_warnings.fetch_add(1, Ordering::Relaxed);
            self.node.tombstone_log().tell(&read, self.node.clock().instant());
            done.warnings.push(read.warning());
        }
        done
    }

    fn use_keyspace(&self, keyspace: &Name) -> Result<Done, QueryError> {
        if self.metadata.catalogue.keyspace(keyspace.as_str()).is_none() {
            return Err(QueryError::invalid(format!("keyspace {keyspace} does not exist")));
        }
        Ok(Done { keyspace: Some(keyspace.clone()), ..Done::default() })
    }

    /// Writes rows: metadata, what `fill` appends, and the paging state that it gives.
    fn rows(
        &self,
        options: &RequestOptions<'_>,
        out: &mut Vec<u8>,
        fill: impl FnOnce(&mut RowsWriter, &mut Vec<u8>) -> Result<Option<Vec<u8>>, QueryError>,
    ) -> Result<Done, QueryError> {
        let columns = self.ready.columns.as_ref().ok_or_else(no_columns)?;
        let mut writer = self.begin_rows(columns, options, out);
        let paging_state = fill(&mut writer, out)?;
        writer.finish(out, paging_state.as_deref());
        Ok(Done::default())
    }

    fn begin_rows(
        &self,
        columns: &EncodedColumns,
        options: &RequestOptions<'_>,
        out: &mut Vec<u8>,
    ) -> RowsWriter {
        let skip = options.skip_metadata && self.metadata_known;
        let tell = self.tells_metadata_id && !self.metadata_known;
        let id = tell.then_some(self.ready.metadata_id.as_slice());
        RowsWriter::begin(out, self.version, columns, skip, id)
    }

    fn ddl_context<'c>(
        &'c self,
        catalogue: &'c Catalogue,
        data_centers: &'c [DataCenter],
        time: RequestTime,
    ) -> DdlContext<'c> {
        let (high, low) = (self.node.random().bits(), self.node.random().bits());
        let random = Uuid::from_u64_pair(high, low);
        DdlContext {
            plan: PlanContext { catalogue, keyspace: self.keyspace, effort: None },
            data_centers,
            table_id: uuid::Builder::from_random_bytes(*random.as_bytes()).into_uuid(),
            now: time.micros,
        }
    }

    fn schema(
        &self,
        statement: &Statement,
        time: RequestTime,
        out: &mut Vec<u8>,
    ) -> Result<Done, QueryError> {
        // The ring is this node alone.
        let data_centers = [DataCenter { name: self.node.config().data_center.clone(), nodes: 1 }];
        self.node.clock().cover(time.micros);
        let Altered { told: (event, mut warnings), kept } =
            self.node.alter_schema(|catalogue| {
                let context = self.ddl_context(catalogue, &data_centers, time);
                let effect = ddl::effect(statement, &context).at(ddl::object(statement))?;
                Ok((effect.changes, (effect.event, effect.warnings)))
            })?;
        warnings.extend(self.node.kept_warning(&kept));
        let position = match event {
            Some(event) => {
                let change = wire_event(&event)?;
                QueryResult::SchemaChange(change.clone()).encode(out, self.version);
                self.node.publish(change);
                None
            }
            // IF [NOT] EXISTS made it a no-op: VOID.
            None => Some(LogPosition::default()),
        };
        Ok(Done { position, keyspace: None, warnings })
    }
}

/// Runs a batch of prepared and plain statements: where it is in the log, and warnings.
pub(super) fn run_batch(
    node: &Node,
    metadata: &Metadata,
    kind: BatchKind,
    items: &[BatchItem<'_>],
    options: &RequestOptions<'_>,
    started: Instant,
) -> Result<(LogPosition, Vec<String>), QueryError> {
    let watch = watch(node);
    let cx = context(node, metadata, options, &[], started, &watch);
    admit(node, cx.time)?;
    let position = execute::modify::batch_of(&cx, kind, items)?;
    Ok((position, written_warnings(node, &watch)))
}

/// What to tell the client of a write.
fn written_warnings(node: &Node, watch: &RequestWatch) -> Vec<String> {
    let mut warnings = watch.warnings.take();
    warnings.extend(watch.timestamps.warning(node.clock().wall_micros()));
    warnings
}

/// Refuses a write as a whole, before anything of it is done, while memory is full. Its timestamp outlives a restart.
fn admit(node: &Node, time: RequestTime) -> Result<(), QueryError> {
    node.clock().cover(time.micros);
    if node.engine().admits_writes() { Ok(()) } else { Err(QueryError::PutOff(PutOff::NoRoom)) }
}

fn context<'a>(
    node: &'a Node,
    metadata: &'a Metadata,
    options: &'a RequestOptions<'a>,
    values: &'a [Bound<'a>],
    started: Instant,
    watch: &'a RequestWatch,
) -> ExecuteContext<'a> {
    let mut time = node.clock().next();
    if let Some(seconds) = options.now_in_seconds {
        time.seconds = i64::from(seconds);
    }
    ExecuteContext {
        coordinator: node.coordinator(),
        locks: node.locks(),
        cluster: &metadata.cluster,
        catalogue: &metadata.catalogue,
        system: node,
        time,
        options,
        values,
        random: node.random(),
        deadline: node.deadline(started),
        watch,
    }
}

fn watch(node: &Node) -> RequestWatch {
    let config = node.config();
    // While memory is short even small answers must get theirs from the budget.
    let budget = node.budget();
    let inline_bytes = match budget.is_short() {
        true => SHORT_ANSWER,
        false => INLINE_ANSWER.min(budget.total() / 64),
    };
    RequestWatch {
        tombstone_threshold: config.reads.tombstone_warn_threshold,
        batch_limits: config.limits.batch_limits(),
        timestamps: TimestampWatch::new(&config.timestamps),
        inline_bytes,
        ..RequestWatch::default()
    }
}

fn serial(level: Option<Consistency>) -> Result<Consistency, QueryError> {
    match level {
        None => Ok(Consistency::Serial),
        Some(level) if level.is_serial() => Ok(level),
        Some(level) => Err(QueryError::invalid(format!(
            "serial consistency can be SERIAL or LOCAL_SERIAL, not {level}"
        ))),
    }
}

fn no_columns() -> QueryError {
    QueryError::Internal("a plan that gives rows has no columns".to_string())
}

fn wire_event(event: &SchemaEvent) -> Result<SchemaChange, QueryError> {
    let change = match event.change {
        "CREATED" => ChangeType::Created,
        "UPDATED" => ChangeType::Updated,
        "DROPPED" => ChangeType::Dropped,
        other => return Err(QueryError::Internal(format!("schema change {other:?}"))),
    };
    let object = || event.object.as_ref().map(|name| name.as_str().to_string()).unwrap_or_default();
    let target = match event.target {
        "KEYSPACE" => SchemaTarget::Keyspace,
        "TABLE" => SchemaTarget::Table(object()),
        "TYPE" => SchemaTarget::Type(object()),
        other => return Err(QueryError::Internal(format!("schema target {other:?}"))),
    };
    Ok(SchemaChange { change, keyspace: event.keyspace.as_str().to_string(), target })
}

//! Running one planned statement: its context made, its plan carried out, its rows written.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use parking_lot::Mutex;
use smallvec::SmallVec;
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
use tholos_storage::model::read::ReadCommand;
use tholos_storage::schema::Table;
use uuid::Uuid;

use super::bind::bind_values;
use super::suspended::{OwnedOptions, OwnedRequest, OwnedValues, RowsSoFar, Stage, Suspended};
use crate::budget::Credit;
use crate::error::{At, Attempt, QueryError};
use crate::execute::modify::{Held, Modified, Wanted, Written};
use crate::execute::select::fetched::Fetched;
use crate::execute::select::{FETCH_BYTES, Round, select};
use crate::execute::{self, ExecuteContext, RequestWatch};
use crate::halt::{Halt, PutOff};
use crate::metrics::RequestKind;
use crate::node::{Altered, Metadata, Node};
use crate::prepared::Ready;
use crate::query::batch::BatchItem;
use crate::query::catalogue::Catalogue;
use crate::query::context::PlanContext;
use crate::query::ddl::{self, DataCenter, DdlContext};
use crate::query::plan::{Plan, SchemaEvent};
use crate::query::select::plan::SelectPlan;
use crate::query::values::{Bound, BoundValues, RequestOptions, RequestTime, TimestampWatch};

/// The longest answer that is made in a thread that serves other clients too; the second while memory is short.
const INLINE_ANSWER: usize = 8 << 20;
const SHORT_ANSWER: usize = 4 << 10;

/// One statement about to run.
pub(super) struct Run<'a> {
    node: &'a Node,
    metadata: &'a Arc<Metadata>,
    ready: &'a Arc<Ready>,
    keyspace: Option<&'a Name>,
    started: Instant,
    /// This thread may wait for the disk. If not, it serves other clients too: what would wait is put off instead, before
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

/// What it came to, for now.
pub(super) enum Ran {
    Done(Done),
    /// It goes on when what it needs is there. Nothing was appended to the buffer.
    Suspended(Box<Suspended>),
}

/// What it came to in the end; rows and schema changes are in the buffer.
#[derive(Default)]
pub(super) struct Done {
    /// A write: answered once this is done.
    pub(super) written: Option<Written>,
    /// USE: the session's keyspace from now on.
    pub(super) keyspace: Option<Name>,
    pub(super) warnings: Vec<String>,
}

impl<'a> Run<'a> {
    /// A statement of a QUERY: the client has no metadata.
    pub(super) fn new(
        node: &'a Node,
        metadata: &'a Arc<Metadata>,
        ready: &'a Arc<Ready>,
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

    /// What the request is, and what is being done.
    pub(super) fn what(&self, parameters: &QueryParameters<'_>) -> (RequestKind, Attempt) {
        (self.kind(), self.attempt(parameters.consistency))
    }

    fn kind(&self) -> RequestKind {
        match self.ready.planned.plan {
            Plan::Select(_) | Plan::Describe(_) => RequestKind::Read,
            Plan::Modify(_) => RequestKind::Write,
            Plan::Batch(_) => RequestKind::Batch,
            Plan::Schema(_) | Plan::Truncate(_) => RequestKind::Schema,
            Plan::Use(_) => RequestKind::Other,
        }
    }

    fn attempt(&self, asked: Consistency) -> Attempt {
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
    ) -> Result<Ran, Halt> {
        match &self.ready.planned.plan {
            // These read all they need before they write anything, so that they can be done all over elsewhere.
            Plan::Select(_) | Plan::Modify(_) | Plan::Batch(_) if !self.may_wait => {
                without_waiting(|| self.carry_out(parameters, out))
            }
            // These wait for the disk whatever it does.
            Plan::Schema(_) | Plan::Truncate(_) if !self.may_wait => Err(PutOff::Disk.into()),
            _ => self.carry_out(parameters, out),
        }
    }

    fn carry_out(&self, parameters: &QueryParameters<'_>, out: &mut Vec<u8>) -> Result<Ran, Halt> {
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
        let time = request_time(self.node, &options);
        self.go_on(&options, &values, time, None, out)
    }

    /// Runs the statement from the beginning, or from where it stopped.
    pub(super) fn go_on(
        &self,
        options: &RequestOptions<'_>,
        values: &[Bound<'_>],
        time: RequestTime,
        stage: Option<Stage>,
        out: &mut Vec<u8>,
    ) -> Result<Ran, Halt> {
        let watch = RequestWatch { room: self.room.clone(), ..watch(self.node) };
        let cx = context(self.node, self.metadata, options, values, time, self.started, &watch);
        let done = match &self.ready.planned.plan {
            Plan::Select(plan) => return self.select(&cx, plan, stage, out),
            Plan::Modify(plan) => {
                admit(self.node, cx.time)?;
                let modified = execute::modify::modify(&cx, plan, held(stage))?;
                return Ok(self.modified(&cx, modified));
            }
            Plan::Batch(plan) => {
                admit(self.node, cx.time)?;
                let modified = execute::modify::batch(&cx, plan, held(stage))?;
                return Ok(self.modified(&cx, modified));
            }
            Plan::Describe(plan) => {
                let columns = self.ready.columns.as_ref().ok_or_else(no_columns)?;
                let mut writer = self.begin_rows(columns, options, out);
                execute::describe::describe(&cx, plan, out, &mut writer)?;
                writer.finish(out, None);
                Done::default()
            }
            Plan::Truncate(table) => self.truncate(table)?,
            Plan::Use(keyspace) => self.use_keyspace(keyspace)?,
            Plan::Schema(statement) => self.schema(statement, cx.time, out)?,
        };
        Ok(Ran::Done(done))
    }

    fn select(
        &self,
        cx: &ExecuteContext<'_>,
        plan: &SelectPlan,
        stage: Option<Stage>,
        out: &mut Vec<u8>,
    ) -> Result<Ran, Halt> {
        let consistency = cx.options.consistency;
        let Some(Stage::Rows(rows)) = stage else {
            let start = out.len();
            let columns = self.ready.columns.as_ref().ok_or_else(no_columns)?;
            let mut writer = self.begin_rows(columns, cx.options, out);
            let fetched = Fetched::new(FETCH_BYTES);
            let round = select(cx, plan, consistency, (&fetched, None), out, &mut writer)?;
            let (commands, mut so_far) = match round {
                Round::Done(state) => {
                    return Ok(self.page(cx, plan, state.as_deref(), writer, out));
                }
                Round::Needs(commands, so_far) => (commands, so_far),
            };
            // It goes on in a buffer of its own.
            let body = out.split_off(start);
            writer.move_back(start);
            so_far.move_back(start);
            let rows = RowsSoFar { fetched, so_far, writer, body };
            let reads = wanted(cx, plan, commands);
            return Ok(self.suspend(cx, Stage::Rows(Box::new(rows)), reads));
        };
        let RowsSoFar { fetched, so_far, mut writer, mut body } = *rows;
        let so_far = (&fetched, Some(so_far));
        match select(cx, plan, consistency, so_far, &mut body, &mut writer)? {
            Round::Done(state) => {
                let page = self.page(cx, plan, state.as_deref(), writer, &mut body);
                out.append(&mut body);
                Ok(page)
            }
            Round::Needs(commands, so_far) => {
                let rows = RowsSoFar { fetched, so_far, writer, body };
                let reads = wanted(cx, plan, commands);
                Ok(self.suspend(cx, Stage::Rows(Box::new(rows)), reads))
            }
        }
    }

    /// Ends a page of rows.
    fn page(
        &self,
        cx: &ExecuteContext<'_>,
        plan: &SelectPlan,
        state: Option<&[u8]>,
        writer: RowsWriter,
        out: &mut Vec<u8>,
    ) -> Ran {
        writer.finish(out, state);
        Ran::Done(self.warned(plan, cx.watch))
    }

    fn modified(&self, cx: &ExecuteContext<'_>, modified: Modified) -> Ran {
        match modified {
            Modified::Written(written) => {
                let warnings = written_warnings(self.node, cx.watch);
                Ran::Done(Done { written: Some(written), warnings, ..Done::default() })
            }
            Modified::Needs(reads, held) => self.suspend(cx, Stage::Modify(held), reads),
        }
    }

    fn suspend(&self, cx: &ExecuteContext<'_>, stage: Stage, reads: Vec<Wanted>) -> Ran {
        let request = OwnedRequest::Statement {
            ready: Arc::clone(self.ready),
            keyspace: self.keyspace.cloned(),
            values: OwnedValues::of(cx.values),
        };
        Ran::Suspended(Box::new(Suspended {
            kind: self.kind(),
            attempt: self.attempt(cx.options.consistency),
            metadata: Arc::clone(self.metadata),
            request,
            options: OwnedOptions::of(cx.options),
            time: cx.time,
            started: self.started,
            stage,
            reads: reads.into(),
        }))
    }

    /// Tells the client of an aggregate over many partitions; and, now and then the log too, of a read that walked over
    /// many tombstones.
    fn warned(&self, plan: &SelectPlan, watch: &RequestWatch) -> Done {
        let mut done = Done::default();
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

    fn truncate(&self, table: &Table) -> Result<Done, QueryError> {
        let kept =
            self.node.truncate(table).map_err(|error| QueryError::Truncate(error.to_string()))?;
        let warnings = self.node.kept_warning(kept.as_slice()).into_iter().collect();
        Ok(Done { written: Some(Written::default()), warnings, ..Done::default() })
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
        let written = match event {
            Some(event) => {
                let change = wire_event(&event)?;
                QueryResult::SchemaChange(change.clone()).encode(out, self.version);
                self.node.publish(change);
                None
            }
            // IF [NOT] EXISTS made it a no-op: VOID.
            None => Some(Written::default()),
        };
        Ok(Done { written, keyspace: None, warnings })
    }
}

/// A batch of prepared and plain statements about to run.
pub(super) struct BatchRun<'a> {
    pub(super) node: &'a Node,
    pub(super) metadata: &'a Arc<Metadata>,
    pub(super) kind: BatchKind,
    pub(super) started: Instant,
    pub(super) attempt: Attempt,
}

impl BatchRun<'_> {
    /// Runs it from the beginning, or from where it stopped.
    pub(super) fn go_on(
        &self,
        statements: &[(Arc<Ready>, BoundValues<'_>)],
        options: &RequestOptions<'_>,
        time: RequestTime,
        stage: Option<Stage>,
    ) -> Result<Ran, Halt> {
        let mut items = SmallVec::<[BatchItem<'_>; 8]>::with_capacity(statements.len());
        for (ready, values) in statements {
            let Plan::Modify(plan) = &ready.planned.plan else {
                return Err(QueryError::invalid(
                    "a batch takes INSERT, UPDATE and DELETE only: send other statements by themselves",
                ).into());
            };
            items.push(BatchItem { plan, values: values.as_slice() });
        }
        let (node, metadata) = (self.node, self.metadata);
        let watch = watch(node);
        let cx = context(node, metadata, options, &[], time, self.started, &watch);
        admit(node, cx.time)?;
        Ok(match execute::modify::batch_of(&cx, self.kind, &items, held(stage))? {
            Modified::Written(written) => {
                let warnings = written_warnings(node, &watch);
                Ran::Done(Done { written: Some(written), warnings, ..Done::default() })
            }
            Modified::Needs(reads, held) => {
                let owned = |(ready, values): &(Arc<Ready>, BoundValues<'_>)| {
                    (Arc::clone(ready), OwnedValues::of(values))
                };
                let statements = statements.iter().map(owned).collect();
                Ran::Suspended(Box::new(Suspended {
                    kind: RequestKind::Batch,
                    attempt: self.attempt,
                    metadata: Arc::clone(metadata),
                    request: OwnedRequest::Batch(self.kind, statements),
                    options: OwnedOptions::of(options),
                    time,
                    started: self.started,
                    stage: Stage::Modify(held),
                    reads: reads.into(),
                }))
            }
        })
    }
}

/// What a SELECT is to be told by the replicas of its keyspace.
fn wanted(cx: &ExecuteContext<'_>, plan: &SelectPlan, commands: Vec<ReadCommand>) -> Vec<Wanted> {
    let placement = cx.cluster.placement(plan.table.keyspace.as_str());
    let wanted = |command| Wanted { placement: Arc::clone(placement), command };
    commands.into_iter().map(wanted).collect()
}

fn held(stage: Option<Stage>) -> Option<Held> {
    match stage {
        Some(Stage::Modify(held)) => Some(held),
        Some(Stage::Rows(_)) | None => None,
    }
}

/// What to tell the client of a write.
fn written_warnings(node: &Node, watch: &RequestWatch) -> Vec<String> {
    let mut warnings = watch.warnings.take();
    warnings.extend(watch.timestamps.warning(node.clock().wall_micros()));
    warnings
}

/// Refuses a write as a whole, before anything of it is done, while memory is full. Its timestamp outlives a restart.
fn admit(node: &Node, time: RequestTime) -> Result<(), Halt> {
    node.clock().cover(time.micros);
    if node.engine().admits_writes() { Ok(()) } else { Err(PutOff::NoRoom.into()) }
}

/// The time of a request that begins.
pub(super) fn request_time(node: &Node, options: &RequestOptions<'_>) -> RequestTime {
    let mut time = node.clock().next();
    if let Some(seconds) = options.now_in_seconds {
        time.seconds = i64::from(seconds);
    }
    time
}

fn context<'a>(
    node: &'a Node,
    metadata: &'a Metadata,
    options: &'a RequestOptions<'a>,
    values: &'a [Bound<'a>],
    time: RequestTime,
    started: Instant,
    watch: &'a RequestWatch,
) -> ExecuteContext<'a> {
    ExecuteContext {
        engine: node.engine(),
        network: node.network(),
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

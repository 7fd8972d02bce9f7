//! Executing SELECT: restrictions become keys, a walk yields rows, a page filters, projects and counts them.
//!
//! - [`source`]: where rows come from; [`fetched`]: what replicas sent; [`walk`], [`scan`], [`merge`]: in which order.
//! - [`row`]: one row's values; [`filter`], [`project`], [`aggregate`], [`sorted`]: what is done with them; [`page`]: all
//!   of it.
//!
//! Rows go from storage to the connection's buffer one by one: a result is never held as a whole, and a plain column's
//! bytes are copied once.

mod aggregate;
pub mod fetched;
mod filter;
#[cfg(test)]
mod forged_state_tests;
#[cfg(test)]
mod group_model_tests;
mod merge;
#[cfg(test)]
mod merged_tests;
#[cfg(test)]
mod model_tests;
mod order;
mod page;
mod project;
mod row;
mod scan;
mod sorted;
mod source;
#[cfg(test)]
mod tests;
mod walk;
#[cfg(test)]
mod written_key_tests;

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use smallvec::SmallVec;
use tholos_grammar::consistency::Consistency;
use tholos_grammar::protocol::response::rows_writer::RowsWriter;
use tholos_grammar::value::Value;
use tholos_storage::memtable::Memtable;
use tholos_storage::model::entry::Direction;
use tholos_storage::model::read::{AnswerKind, KeyInterval, ReadCommand, ReadLimits};
use tholos_storage::read::live::ReadBudget;
use tholos_storage::read::run::MergedRun;

use self::fetched::{Fetched, Want};
pub use self::page::SoFar;
use self::page::{Flow, Limits, Page, PageTime};
use self::row::Partition;
use self::source::RowSource;
use self::walk::Walk;
use crate::error::QueryError;
use crate::execute::paging::{PagingState, fingerprint};
use crate::execute::tombstones::{TombstoneRead, partition_text};
use crate::execute::{ExecuteContext, Found};
use crate::halt::Halt;
use crate::query::expression::{Evaluated, Expr};
use crate::query::restriction::evaluate::Evaluator;
use crate::query::restriction::keys::LongKeys;
use crate::query::restriction::{Access, PartitionKeys};
use crate::query::select::plan::{Across, Projection, SelectPlan};
use crate::system::Wanted;

/// How much a page of a paged read may walk, all its partitions together, before it ends early, with a paging state and
/// perhaps without any row. It also ends early when half of the request's time is over.
/// Aggregates and reads without paging are not limited by it: they have no page to end.
pub const PAGE_BUDGET: PageBudget = PageBudget {
    walk: ReadBudget { entries: 1_000_000, tombstones: 100_000, bytes: 32 << 20 },
    time: Duration::MAX,
};

/// How much a page may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageBudget {
    /// What may be walked.
    pub walk: ReadBudget,
    /// How long it may take; never more than half of the request's time.
    pub time: Duration,
}

impl From<ReadBudget> for PageBudget {
    fn from(walk: ReadBudget) -> Self {
        PageBudget { walk, time: Duration::MAX }
    }
}

/// What became of a run.
#[derive(Debug)]
pub enum Round {
    /// The page is done; with the paging state if there are more.
    Done(Option<Vec<u8>>),
    /// This is to be fetched, and then the page goes on.
    Needs(Vec<ReadCommand>, Box<SoFar>),
}

/// Runs a SELECT: appends its rows to `out` through `writer`. From the beginning, with nothing fetched; or on from where it
/// had to stop for what several replicas are to say.
///
/// Commands of one round are of different partitions or ranges of tokens; what came for them is to be
/// [taken](take_fetched) before the next one. `out` and `writer` must be as they were left.
///
/// On an error `out` holds whatever was written up to there; the caller takes it back.
///
/// # Errors
/// [`QueryError::Invalid`] for bound values that make no sense, a damaged paging state, and what reading meets.
pub fn select(
    cx: &ExecuteContext<'_>,
    plan: &SelectPlan,
    consistency: Consistency,
    (fetched, so_far): (&Fetched, Option<Box<SoFar>>),
    out: &mut Vec<u8>,
    writer: &mut RowsWriter,
) -> Result<Round, Halt> {
    select_within(cx, plan, consistency, PAGE_BUDGET, (fetched, so_far), out, writer)
}

/// As [`select`], with a budget of one's own.
///
/// # Errors
/// As [`select`].
pub fn select_within(
    cx: &ExecuteContext<'_>,
    plan: &SelectPlan,
    consistency: Consistency,
    budget: PageBudget,
    (fetched, so_far): (&Fetched, Option<Box<SoFar>>),
    out: &mut Vec<u8>,
    writer: &mut RowsWriter,
) -> Result<Round, Halt> {
    if plan.virtual_table {
        let memtable = crate::system::rows(&plan.table, cx, &wanted(cx, plan)?)?;
        let source = RowSource::Memory { memtable, now: cx.time.seconds };
        return run(cx, plan, &source, budget, out, writer).map(Round::Done);
    }
    let (keyspace, table) = (&plan.table.keyspace, plan.table.id);
    let source = RowSource::Table { cx, keyspace, table, consistency, fetched };
    Ok(match run_from(cx, plan, &source, so_far, budget, out, writer)? {
        Ran::Done(state) => Round::Done(state),
        Ran::Wants(wants, so_far) => {
            Round::Needs(commands(cx, plan, fetched.round_bytes, wants), so_far)
        }
    })
}

/// Which rows of a virtual table the statement reads at most.
fn wanted(cx: &ExecuteContext<'_>, plan: &SelectPlan) -> Result<Wanted, Halt> {
    let Access::Keys(keys) = &plan.access else { return Ok(Wanted::default()) };
    let evaluator = Evaluator { values: cx.values, context: cx.call() };
    let first_key = match (keys.columns.first(), plan.table.partition_key.first()) {
        (Some(points), Some(column)) => {
            let values = evaluator.candidates(&points.values, 1, |_| column.name.as_str())?;
            Some(values.into_iter().flatten().map(Cow::into_owned).collect())
        }
        _ => None,
    };
    let first = plan.clustering.points.first().and_then(|points| points.values.single());
    let first_clustering = match (first, plan.table.clustering.first()) {
        (Some(value), Some(column)) => {
            Some(evaluator.value(value, column.name.as_str())?.into_owned())
        }
        _ => None,
    };
    let partitions = Some(keys.partitions(&plan.table, evaluator)?.into_vec());
    Ok(Wanted { partitions, first_key, first_clustering })
}

/// Runs a SELECT over a memtable that holds the rows of its table.
///
/// # Errors
/// As [`select`].
pub fn select_from(
    memtable: Memtable,
    cx: &ExecuteContext<'_>,
    plan: &SelectPlan,
    budget: PageBudget,
    out: &mut Vec<u8>,
    writer: &mut RowsWriter,
) -> Result<Option<Vec<u8>>, Halt> {
    let source = RowSource::Memory { memtable: Arc::new(memtable), now: cx.time.seconds };
    run(cx, plan, &source, budget, out, writer)
}

/// Adds what came for the commands of a round.
pub fn take_fetched(
    fetched: &mut Fetched,
    so_far: &SoFar,
    runs: impl IntoIterator<Item = MergedRun>,
) {
    fetched.take(runs, so_far.partition());
}

/// Bytes that each replica usually sends for one round, all commands together.
pub const FETCH_BYTES: u32 = 1 << 20;

/// What a command may ask for at least.
const LEAST_FETCH_BYTES: u32 = 4 << 10;

fn commands(
    cx: &ExecuteContext<'_>,
    plan: &SelectPlan,
    round_bytes: u32,
    wants: Vec<Want>,
) -> Vec<ReadCommand> {
    let count = u32::try_from(wants.len()).unwrap_or(u32::MAX).max(1);
    let bytes = (round_bytes / count).max(LEAST_FETCH_BYTES.min(round_bytes));
    let command = |want: Want| ReadCommand {
        table: plan.table.id,
        intervals: want.intervals,
        direction: match plan.access {
            Access::Keys(_) => plan.direction,
            Access::Scan(_) => Direction::Forward,
        },
        limits: ReadLimits { rows: want.rows, bytes },
        now: cx.time.seconds,
        answer: AnswerKind::Data,
    };
    wants.into_iter().map(command).collect()
}

/// What became of a run.
enum Ran {
    Done(Option<Vec<u8>>),
    Wants(Vec<Want>, Box<SoFar>),
}

fn run(
    cx: &ExecuteContext<'_>,
    plan: &SelectPlan,
    source: &RowSource<'_, '_>,
    budget: PageBudget,
    out: &mut Vec<u8>,
    writer: &mut RowsWriter,
) -> Result<Option<Vec<u8>>, Halt> {
    match run_from(cx, plan, source, None, budget, out, writer)? {
        Ran::Done(state) => Ok(state),
        Ran::Wants(..) => {
            Err(QueryError::Internal("what is here was to be fetched".to_string()).into())
        }
    }
}

fn run_from(
    cx: &ExecuteContext<'_>,
    plan: &SelectPlan,
    source: &RowSource<'_, '_>,
    so_far: Option<Box<SoFar>>,
    budget: PageBudget,
    out: &mut Vec<u8>,
    writer: &mut RowsWriter,
) -> Result<Ran, Halt> {
    let evaluator = Evaluator { values: cx.values, context: cx.call() };
    let mut resume = match cx.options.paging_state {
        Some(bytes) => Some(PagingState::decode(bytes, fingerprint(plan, cx.values))?),
        None => None,
    };
    let page_size = cx.options.page_size.and_then(|rows| u32::try_from(rows).ok());
    let page_size = page_size.filter(|rows| *rows > 0);
    let one_row =
        matches!(plan.projection, Projection::Aggregates { .. }) && plan.group_by.is_none();
    let limits = limits(plan, evaluator, page_size, one_row, resume.as_ref())?;
    let deadline = match &plan.timeout {
        Some(timeout) => cx.deadline.or_in(span(timeout, evaluator)?),
        None => cx.deadline,
    };
    if limits.total == Some(0) {
        return Ok(Ran::Done(None));
    }
    let limited = page_size.is_some() && !matches!(plan.projection, Projection::Aggregates { .. });
    let conditions = filter::conditions(plan, evaluator)?;
    let (now, time) = (cx.time.seconds, PageTime::until(deadline, limited.then_some(budget.time)));
    let budget = if limited { budget.walk } else { ReadBudget::UNLIMITED };
    let mut page = Page::new(plan, evaluator, conditions, limits, now, time, cx.watch, out, writer);
    if let Some(so_far) = so_far {
        resume = page.resume(*so_far);
    }
    let walk = Walk { plan, source, resume, budget, wants: RefCell::default() };
    let stopped = walk_rows(&walk, evaluator, &mut page)?;
    let wants = walk.wants.into_inner();
    if !wants.is_empty() {
        return Ok(Ran::Wants(wants, Box::new(page.suspend())));
    }
    if let Some((partition, tombstones, rows)) = page.many_tombstones() {
        cx.watch.over_threshold.replace(Some(TombstoneRead {
            table: plan.table.id,
            name: format!("{}.{}", plan.table.keyspace, plan.table.name),
            partition: partition_text(&plan.table, partition),
            tombstones,
            rows,
        }));
    }
    Ok(Ran::Done(page.finish(stopped)?.map(|state| state.encode())))
}

fn walk_rows(
    walk: &Walk<'_, '_>,
    evaluator: Evaluator<'_>,
    page: &mut Page<'_>,
) -> Result<bool, Halt> {
    let plan = walk.plan;
    match &plan.access {
        Access::Keys(keys) => {
            if let Some(stopped) = walk_row(walk, keys, evaluator, page)? {
                return Ok(stopped);
            }
            let table = &plan.table;
            let prefixes = keys.partitions(table, evaluator)?;
            let intervals = plan.clustering.intervals(table, evaluator, LongKeys::Absent)?;
            if let Across::Merged(columns) = plan.across {
                return walk.merged(&prefixes, &intervals, columns, page);
            }
            let points = !plan.distinct && plan.clustering.width() == table.clustering.len();
            walk.partitions(&prefixes, &intervals, points, page)
        }
        Access::Scan(tokens) => match tokens.key_range(&plan.table, evaluator)? {
            Some((lower, upper)) => walk.scan(&lower, &upper, page),
            None => Ok(false),
        },
    }
}

/// The usual read: one row by its whole key, without more work than that; `None` if it is not one.
fn walk_row(
    walk: &Walk<'_, '_>,
    keys: &PartitionKeys,
    evaluator: Evaluator<'_>,
    page: &mut Page<'_>,
) -> Result<Option<bool>, Halt> {
    let plan = walk.plan;
    let shows_static =
        page.layout.needs_static() || !(plan.restricts_rows || plan.table.statics.is_empty());
    if shows_static || plan.distinct || walk.resume.is_some() || !keys.is_one() {
        return Ok(None);
    }
    let Some(position) = plan.clustering.one_row(&plan.table, evaluator)? else {
        return Ok(None);
    };
    let partitions = keys.partitions(&plan.table, evaluator)?;
    let Some(prefix) = partitions.first() else { return Ok(Some(false)) };
    let mut key: SmallVec<[u8; 96]> = SmallVec::from_slice(prefix);
    key.extend_from_slice(&position);
    let row = match walk.source.row(&key, prefix.len(), page.layout.regular_columns())? {
        Found::Row(row) => row,
        Found::Absent => return Ok(Some(false)),
        Found::Unknown => {
            let (lower, upper) = (key.to_vec(), [&key[..], &[0]].concat());
            let partition_len = Some(prefix.len());
            let intervals = vec![KeyInterval { lower, upper, partition_len }];
            walk.wants.borrow_mut().push(Want { intervals, rows: None });
            return Ok(Some(true));
        }
    };
    let partition = Partition::open(prefix, &page.layout, &plan.table)?;
    let flow = page.visit(&partition, &position, Some(row.row()))?;
    Ok(Some(flow == Flow::Stop))
}

fn limits(
    plan: &SelectPlan,
    evaluator: Evaluator<'_>,
    page: Option<u32>,
    one_row: bool,
    resume: Option<&PagingState>,
) -> Result<Limits, Halt> {
    let total = limit(plan.limit.as_ref(), "LIMIT", evaluator)?;
    let per_partition = limit(plan.per_partition_limit.as_ref(), "PER PARTITION LIMIT", evaluator)?;
    // An aggregate over everything is one row whatever the limits are.
    if one_row {
        return Ok(Limits::default());
    }
    if matches!(plan.across, Across::Merged(_)) && per_partition.is_some() && page.is_some() {
        return Err(QueryError::invalid(
            "Cannot page queries with ORDER BY, an IN restriction on the partition key and PER PARTITION LIMIT: leave one of them out, or disable paging for this query",
        ).into());
    }
    let total = match resume {
        Some(state) => state.remaining.or(total),
        None => total,
    };
    Ok(Limits { page, total, per_partition })
}

fn limit(expr: Option<&Expr>, what: &str, evaluator: Evaluator<'_>) -> Result<Option<u32>, Halt> {
    let Some(expr) = expr else { return Ok(None) };
    match expr.evaluate(evaluator.values, evaluator.context)? {
        Evaluated::Unset => Ok(None),
        Evaluated::Null => {
            Err(QueryError::invalid(format!("{what} is null: bind a number above 0")).into())
        }
        Evaluated::Bytes(bytes) => {
            let number = bytes.as_ref().try_into().map(i32::from_be_bytes).unwrap_or(0);
            match u32::try_from(number) {
                Ok(number) if number > 0 => Ok(Some(number)),
                _ => Err(QueryError::invalid(format!(
                    "{what} must be strictly positive, not {number}"
                ))
                .into()),
            }
        }
    }
}

/// The time that USING TIMEOUT allows. It shortens what the node allows, and never lengthens it.
fn span(expr: &Expr, evaluator: Evaluator<'_>) -> Result<Duration, Halt> {
    let bytes = evaluator.value(expr, "USING TIMEOUT")?;
    if let Ok(Value::Duration(span)) = Value::decode(&expr.cql_type, &bytes)
        && span.months == 0
    {
        let days = u64::try_from(span.days).ok().and_then(|days| days.checked_mul(86_400));
        let rest = u64::try_from(span.nanoseconds).ok();
        if let (Some(days), Some(rest)) = (days, rest)
            && (days > 0 || rest > 0)
        {
            return Ok(Duration::from_secs(days) + Duration::from_nanos(rest));
        }
    }
    Err(QueryError::invalid(
        "USING TIMEOUT takes a positive duration without months, such as 500ms or 2s",
    )
    .into())
}

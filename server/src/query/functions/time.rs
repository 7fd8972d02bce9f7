//! Times moved by durations, and rounded down to a multiple of one.
//!
//! `floor(time, duration [, start])` is the latest `start + n * duration` that is not after the time; the start is 1970
//! unless it is said. Months are those of the calendar, so n is searched for:
//!
//! ```text
//! floor('2016-09-27 16:10:33.123', 5m)                 2016-09-27 16:10
//! floor('2016-09-27 16:10:33.123', 1mo, '2016-01-15')  2016-09-15 00:00
//! ```

use tholos_grammar::types::{CqlType, Native};
use tholos_grammar::value::calendar::add_months;
use tholos_grammar::value::{Duration, Value};

use super::{Function, clock};
use crate::error::QueryError;

const MS_PER_DAY: i64 = 86_400_000;
const NS_PER_MS: i64 = 1_000_000;
const NS_PER_DAY: i64 = MS_PER_DAY * NS_PER_MS;
const EPOCH_DAYS: i64 = 1 << 31;

/// A timestamp or date, moved: months by the calendar, then days and the rest.
pub(super) fn shift(
    function: &Function,
    value: &Value,
    span: Duration,
    back: bool,
) -> Result<Option<Vec<u8>>, QueryError> {
    let (start, is_date) = match value {
        Value::Timestamp(ms) => (*ms, false),
        Value::Date(days) => ((i64::from(*days) - EPOCH_DAYS) * MS_PER_DAY, true),
        _ => return Err(function.defect("only timestamps and dates are moved")),
    };
    check_precision(span, is_date).map_err(|what| function.refuse(&what))?;
    let moved = moved(start, span, if back { -1 } else { 1 }).and_then(|ms| in_type(ms, is_date));
    function.encode(&moved.ok_or_else(|| function.refuse("the result is out of range"))?)
}

/// Refuses durations that are finer than the type can say.
fn check_precision(span: Duration, is_date: bool) -> Result<(), String> {
    let what = if is_date && span.nanoseconds != 0 {
        "a date takes a duration of whole days"
    } else if span.nanoseconds % NS_PER_MS != 0 {
        "a timestamp takes a duration of whole milliseconds"
    } else {
        return Ok(());
    };
    Err(format!("{what}, not {span}"))
}

/// A time in milliseconds since 1970, some times a duration later.
fn moved(start: i64, span: Duration, times: i64) -> Option<i64> {
    let (day, rest) = (start.div_euclid(MS_PER_DAY), start.rem_euclid(MS_PER_DAY));
    let day = add_months(day, i64::from(span.months).checked_mul(times)?)?
        .checked_add(i64::from(span.days).checked_mul(times)?)?;
    let ms = (span.nanoseconds / NS_PER_MS).checked_mul(times)?;
    day.checked_mul(MS_PER_DAY)?.checked_add(rest)?.checked_add(ms)
}

fn in_type(ms: i64, is_date: bool) -> Option<Value> {
    if !is_date {
        return Some(Value::Timestamp(ms));
    }
    Some(Value::Date(u32::try_from(ms.div_euclid(MS_PER_DAY) + EPOCH_DAYS).ok()?))
}

/// `floor`. Arguments are the time, the duration and possibly the start.
pub(super) fn floor(
    function: &Function,
    arguments: &[&[u8]],
) -> Result<Option<Vec<u8>>, QueryError> {
    let argument = |place: usize| arguments.get(place).copied().unwrap_or_default();
    let Value::Duration(span) = function.decode(1, argument(1))? else {
        return Err(function.defect("its second argument is no duration"));
    };
    if span.months < 0 || span.days < 0 || span.nanoseconds < 0 {
        return Err(misused(&format!("it takes no negative durations such as {span}")));
    }
    if function.returns == CqlType::Native(Native::Time) {
        return floor_time(function, argument(0), span);
    }
    let is_date = function.returns == CqlType::Native(Native::Date);
    check_precision(span, is_date).map_err(|what| misused(&what))?;
    let Some(time) = clock::unix_ms_of(function, 0, argument(0))? else { return Ok(None) };
    let start = match arguments.get(2) {
        Some(bytes) => clock::unix_ms_of(function, 2, bytes)?,
        None => Some(0),
    };
    let Some(start) = start else { return Ok(None) };
    if time < start {
        return Err(misused(
            "the time is before the one that durations are counted from (1970, unless a third argument says)",
        ));
    }
    let floor = latest(start, span, time).and_then(|ms| in_type(ms, is_date));
    function.encode(&floor.ok_or_else(|| function.refuse("the result is out of range"))?)
}

/// What `floor` does not take is a mistake in the statement, not a failure of the function.
fn misused(what: &str) -> QueryError {
    QueryError::invalid(format!("floor(): {what}"))
}

/// The last `start + n * span` up to `time`.
fn latest(start: i64, span: Duration, time: i64) -> Option<i64> {
    if span.months == 0 {
        let period = i128::from(span.days) * i128::from(MS_PER_DAY)
            + i128::from(span.nanoseconds / NS_PER_MS);
        if period == 0 {
            return Some(time);
        }
        let (start, time) = (i128::from(start), i128::from(time));
        return i64::try_from(start + (time - start) / period * period).ok();
    }
    // No month is shorter than 28 days.
    let shortest = i64::from(span.months).checked_mul(28 * MS_PER_DAY)?;
    let (mut fits, mut beyond) = (0, time.checked_sub(start)? / shortest + 1);
    while beyond - fits > 1 {
        let middle = fits + (beyond - fits) / 2;
        match moved(start, span, middle) {
            Some(ms) if ms <= time => fits = middle,
            _ => beyond = middle,
        }
    }
    moved(start, span, fits)
}

fn floor_time(
    function: &Function,
    bytes: &[u8],
    span: Duration,
) -> Result<Option<Vec<u8>>, QueryError> {
    if span.months != 0 || span.days != 0 || span.nanoseconds > NS_PER_DAY {
        let what = format!("a time takes a duration of hours and less, up to a day, not {span}");
        return Err(misused(&what));
    }
    match function.decode(0, bytes)? {
        Value::Time(time) if span.nanoseconds > 0 => {
            function.encode(&Value::Time(time - time % span.nanoseconds))
        }
        Value::Time(time) => function.encode(&Value::Time(time)),
        _ => Ok(None),
    }
}

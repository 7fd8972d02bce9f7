//! Times: the request's own, in every type, and conversions between the types that hold one.

use tholos_grammar::value::{Value, timeuuid};
use uuid::Uuid;

use super::{CallContext, Function};
use crate::error::QueryError;

const MS_PER_DAY: i64 = 86_400_000;
const NS_PER_US: i64 = 1000;
const US_PER_DAY: i64 = 86_400_000_000;

/// `date` counts days from here.
const EPOCH_DAYS: i64 = 1 << 31;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Clock {
    Timeuuid,
    RandomUuid,
    Timestamp,
    Date,
    Time,
    MinTimeuuid,
    MaxTimeuuid,
    ToDate,
    ToTimestamp,
    ToUnixTimestamp,
}

pub(super) fn call(
    clock: Clock,
    function: &Function,
    argument: &[u8],
    context: CallContext<'_>,
) -> Result<Option<Vec<u8>>, QueryError> {
    let micros = context.time.micros;
    let now_ms = micros.div_euclid(1000);
    let value = match clock {
        Clock::Timeuuid => Value::Uuid(now(function, context)?),
        Clock::RandomUuid => Value::Uuid(
            uuid::Builder::from_random_bytes(
                Uuid::from_u64_pair(context.random.bits(), context.random.bits()).into_bytes(),
            )
            .into_uuid(),
        ),
        Clock::Timestamp => Value::Timestamp(now_ms),
        Clock::Date => Value::Date(days(function, now_ms)?),
        Clock::Time => Value::Time(micros.rem_euclid(US_PER_DAY) * NS_PER_US),
        Clock::MinTimeuuid | Clock::MaxTimeuuid => {
            let Some(ms) = unix_ms(function, argument)? else { return Ok(None) };
            let made = match clock {
                Clock::MinTimeuuid => timeuuid::min_for(ms),
                _ => timeuuid::max_for(ms),
            };
            Value::Uuid(made.ok_or_else(|| out_of_range(function, ms))?)
        }
        Clock::ToDate => match unix_ms(function, argument)? {
            Some(ms) => Value::Date(days(function, ms)?),
            None => return Ok(None),
        },
        Clock::ToTimestamp => match unix_ms(function, argument)? {
            Some(ms) => Value::Timestamp(ms),
            None => return Ok(None),
        },
        Clock::ToUnixTimestamp => match unix_ms(function, argument)? {
            Some(ms) => Value::Bigint(ms),
            None => return Ok(None),
        },
    };
    function.encode(&value)
}

/// A time-UUID of the request's time, told from every other one by random bits in place of clock sequence and node.
fn now(function: &Function, context: CallContext<'_>) -> Result<Uuid, QueryError> {
    const VARIANT: u64 = 0b10 << 62;
    const MULTICAST: u64 = 1 << 40;
    let rest = context.random.bits() & !(0b11 << 62) | VARIANT | MULTICAST;
    let micros = context.time.micros;
    let ticks = micros.checked_mul(10);
    ticks
        .and_then(|ticks| timeuuid::from_ticks(ticks, rest))
        .ok_or_else(|| out_of_range(function, micros.div_euclid(1000)))
}

/// Milliseconds since 1970 of a timeuuid, timestamp or date; `None` for the empty value.
pub(super) fn unix_ms(function: &Function, bytes: &[u8]) -> Result<Option<i64>, QueryError> {
    unix_ms_of(function, 0, bytes)
}

/// As [`unix_ms`], of the argument at a place.
pub(super) fn unix_ms_of(
    function: &Function,
    place: usize,
    bytes: &[u8],
) -> Result<Option<i64>, QueryError> {
    Ok(match function.decode(place, bytes)? {
        Value::Uuid(uuid) => Some(timeuuid::unix_ms(&uuid).ok_or_else(|| {
            function.refuse(&format!("{uuid} is no version 1 UUID, so it has no time"))
        })?),
        Value::Timestamp(ms) => Some(ms),
        Value::Date(days) => Some((i64::from(days) - EPOCH_DAYS) * MS_PER_DAY),
        _ => None,
    })
}

/// The `date` of a time.
pub(super) fn days(function: &Function, unix_ms: i64) -> Result<u32, QueryError> {
    u32::try_from(unix_ms.div_euclid(MS_PER_DAY) + EPOCH_DAYS)
        .map_err(|_| out_of_range(function, unix_ms))
}

fn out_of_range(function: &Function, unix_ms: i64) -> QueryError {
    function.refuse(&format!(
        "{unix_ms} ms since 1970 is beyond what type {} can hold",
        function.returns
    ))
}

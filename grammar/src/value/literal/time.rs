//! Dates, times and timestamps as text.
//!
//! | Type | Printed | Read |
//! |---|---|---|
//! | `date` | `2011-02-03`; far years as `-0001-02-03` and `+12345-02-03` | the same, with one digit for month and day too |
//! | `time` | `04:05:06.123456789` | parts with one or two digits, and up to 9 digits after the point |
//! | `timestamp` | `2011-02-03 04:05:06.123+0000` | date; date and time, with `T` or a space between, with or without seconds and up to 9 digits after the point (below a millisecond they are cut off); `24:00` is the next day's midnight; then a zone ([`super::zone`]) or nothing for UTC |
//!
//! All read what they print.

use super::zone;
use crate::value::calendar::{civil_from_days, days_from_civil, days_in_month};

/// What is expected of a date, for messages.
pub const DATE_FORM: &str =
    "expected a date such as 2011-02-03, or days as an integer with 2147483648 for 1970-01-01";
/// What is expected of a time.
pub const TIME_FORM: &str =
    "expected a time such as 04:05:06.123456789, or nanoseconds since midnight as an integer";
/// What is expected of a timestamp.
pub const TIMESTAMP_FORM: &str = "expected a timestamp such as 2011-02-03, 2011-02-03 04:05+0000, \
     2011-02-03 04:05 Europe/Paris or 2011-02-03T04:05:06.123Z, or milliseconds since 1970 as an integer";

/// The `date` of 1970-01-01.
const EPOCH_DATE: i64 = 1 << 31;

const MS_PER_DAY: i64 = 86_400_000;
const NS_PER_MS: i64 = 1_000_000;
const NS_PER_S: i64 = 1_000_000_000;
const NS_PER_MINUTE: i64 = 60 * NS_PER_S;
const NS_PER_HOUR: i64 = 60 * NS_PER_MINUTE;
const NS_PER_DAY: i64 = 24 * NS_PER_HOUR;

/// As many as the year of the last timestamp has.
const MAX_YEAR_DIGITS: usize = 9;

/// A `date` as text.
pub fn format_date(days: u32) -> String {
    civil(i64::from(days) - EPOCH_DATE)
}

/// A `time` (nanoseconds since midnight) as text.
pub fn format_time(nanoseconds: i64) -> String {
    let (hours, rest) = (nanoseconds.div_euclid(NS_PER_HOUR), nanoseconds.rem_euclid(NS_PER_HOUR));
    let (minutes, rest) = (rest / NS_PER_MINUTE, rest % NS_PER_MINUTE);
    format!("{hours:02}:{minutes:02}:{:02}.{:09}", rest / NS_PER_S, rest % NS_PER_S)
}

/// A `timestamp` (milliseconds since 1970) as text; `None` outside the years 0 to 9999, which literals of Cassandra have
/// no form for.
pub fn format_timestamp(ms: i64) -> Option<String> {
    let (year, ..) = civil_from_days(ms.div_euclid(MS_PER_DAY))?;
    (0..=9999).contains(&year).then(|| format!("{}+0000", format_instant(ms, ' ')))
}

/// A `timestamp` as ISO 8601 has it, of any year, without a zone: `2011-02-03T04:05:06.123`.
pub(crate) fn format_instant(ms: i64, separator: char) -> String {
    let date = civil(ms.div_euclid(MS_PER_DAY));
    let time = format_time(ms.rem_euclid(MS_PER_DAY) * NS_PER_MS);
    // Without the six digits below a millisecond.
    let time = time.get(..time.len() - 6).unwrap_or_default();
    format!("{date}{separator}{time}")
}

/// A day as text; far years have a sign.
fn civil(days: i64) -> String {
    let (year, month, day) = civil_from_days(days).unwrap_or_default();
    let sign = match year {
        ..0 => "-",
        0..=9999 => "",
        _ => "+",
    };
    format!("{sign}{:04}-{month:02}-{day:02}", year.unsigned_abs())
}

/// The `date` that text says.
pub fn parse_date(text: &str) -> Option<u32> {
    let (days, rest) = split_date(text)?;
    if rest.is_empty() { u32::try_from(days.checked_add(EPOCH_DATE)?).ok() } else { None }
}

/// The `time`, in nanoseconds since midnight, that text says.
pub fn parse_time(text: &str) -> Option<i64> {
    match split_time(text)? {
        (nanoseconds, true, "") => Some(nanoseconds).filter(|time| *time < NS_PER_DAY),
        _ => None,
    }
}

/// The `timestamp`, in milliseconds since 1970, that text says.
pub fn parse_timestamp(text: &str) -> Option<i64> {
    let (days, rest) = split_date(text)?;
    let (nanoseconds, zone) =
        match rest.strip_prefix(['T', 't', ' ']).filter(|time| starts_with_digit(time)) {
            Some(time) => split_time(time).map(|(nanoseconds, _, zone)| (nanoseconds, zone))?,
            None => (0, rest),
        };
    zone::to_utc(days.checked_mul(MS_PER_DAY)?.checked_add(nanoseconds / NS_PER_MS)?, zone)
}

/// Days since 1970 off the front of text, and what follows.
fn split_date(text: &str) -> Option<(i64, &str)> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let digits = if negative { digits } else { text.strip_prefix('+').unwrap_or(text) };
    let (year, rest) = split_number(digits, 1, MAX_YEAR_DIGITS)?;
    let (month, rest) = split_number(rest.strip_prefix('-')?, 1, 2)?;
    let (day, rest) = split_number(rest.strip_prefix('-')?, 1, 2)?;
    let year = if negative { -year } else { year };
    let valid = (1..=12).contains(&month) && (1..=days_in_month(year, month)).contains(&day);
    valid.then(|| (days_from_civil(year, month, day), rest))
}

/// Nanoseconds since midnight off the front of text (a whole day for `24:00`), whether it has seconds, and what follows.
fn split_time(text: &str) -> Option<(i64, bool, &str)> {
    let (hours, rest) = split_number(text, 1, 2)?;
    let (minutes, rest) = split_number(rest.strip_prefix(':')?, 1, 2)?;
    let (seconds, has_seconds, rest) = match rest.strip_prefix(':') {
        Some(rest) => split_number(rest, 1, 2).map(|(seconds, rest)| (seconds, true, rest))?,
        None => (0, false, rest),
    };
    let (fraction, rest) = match rest.strip_prefix('.').filter(|_| has_seconds) {
        Some(rest) => split_fraction(rest)?,
        None => (0, rest),
    };
    if minutes > 59 || seconds > 59 {
        return None;
    }
    let nanoseconds = hours * NS_PER_HOUR + minutes * NS_PER_MINUTE + seconds * NS_PER_S + fraction;
    (nanoseconds <= NS_PER_DAY).then_some((nanoseconds, has_seconds, rest))
}

/// Up to nine digits after the point, as nanoseconds.
fn split_fraction(text: &str) -> Option<(i64, &str)> {
    let (number, rest) = split_number(text, 1, 9)?;
    let digits = text.len() - rest.len();
    Some((number * 10i64.pow(9u32.checked_sub(u32::try_from(digits).ok()?)?), rest))
}

fn starts_with_digit(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

/// A number of `least` to `most` digits off the front of text, and what follows its last digit.
fn split_number(text: &str, least: usize, most: usize) -> Option<(i64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at_checked(end)?;
    if !(least..=most).contains(&digits.len()) {
        return None;
    }
    Some((digits.parse().ok()?, rest))
}

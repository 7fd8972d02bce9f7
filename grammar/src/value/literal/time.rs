//! Dates, times and timestamps as text.
//!
//! | Type | Printed | Read |
//! |---|---|---|
//! | `date` | `2011-02-03` | the same, with a sign or more digits for far years |
//! | `time` | `04:05:06.123456789` | seconds with 0 to 9 digits after the point |
//! | `timestamp` | `2011-02-03 04:05:06.123+0000` | date; date and time, with `T` or a space between, with or without seconds and up to 9 digits after the point (below a millisecond they are cut off); then `Z`, `+00`, `+0000`, `+00:00` or nothing for UTC |
//!
//! All print what they read, or nothing (`None`) where the text has no place for the year.

use chrono::{DateTime, Datelike, NaiveDate};

/// What is expected of a date, for messages.
pub const DATE_FORM: &str =
    "expected a date such as 2011-02-03, or days as an integer with 2147483648 for 1970-01-01";
/// What is expected of a time.
pub const TIME_FORM: &str =
    "expected a time such as 04:05:06.123456789, or nanoseconds since midnight as an integer";
/// What is expected of a timestamp.
pub const TIMESTAMP_FORM: &str = "expected a timestamp such as 2011-02-03, 2011-02-03 04:05+0000 or \
     2011-02-03T04:05:06.123Z, or milliseconds since 1970 as an integer";

/// `date` 2^31 is this day.
const EPOCH: NaiveDate = NaiveDate::from_ymd_opt(1970, 1, 1).expect("1970-01-01 is a day");
/// The `date` of [`EPOCH`].
const EPOCH_DATE: i64 = 1 << 31;

const MS_PER_DAY: i64 = 86_400_000;
const NS_PER_MS: i64 = 1_000_000;
const NS_PER_S: i64 = 1_000_000_000;
const NS_PER_MINUTE: i64 = 60 * NS_PER_S;
const NS_PER_HOUR: i64 = 60 * NS_PER_MINUTE;
const MS_PER_MINUTE: i64 = 60_000;

/// The most that a zone may be off UTC: 18 hours, as in Java's time library.
const MAX_ZONE_MINUTES: i64 = 18 * 60;
const MAX_YEAR_DIGITS: usize = 7;

/// A `date` as text; `None` outside the years 0 to 9999.
pub fn format_date(days: u32) -> Option<String> {
    let date = date_of(i64::from(days) - EPOCH_DATE)?;
    Some(date.format("%Y-%m-%d").to_string())
}

/// A `time` (nanoseconds since midnight) as text.
pub fn format_time(nanoseconds: i64) -> String {
    let (hours, rest) = (nanoseconds.div_euclid(NS_PER_HOUR), nanoseconds.rem_euclid(NS_PER_HOUR));
    let (minutes, rest) = (rest / NS_PER_MINUTE, rest % NS_PER_MINUTE);
    format!("{hours:02}:{minutes:02}:{:02}.{:09}", rest / NS_PER_S, rest % NS_PER_S)
}

/// A `timestamp` (milliseconds since 1970) as text; `None` outside the years 0 to 9999.
pub fn format_timestamp(ms: i64) -> Option<String> {
    let time =
        DateTime::from_timestamp_millis(ms).filter(|time| (0..=9999).contains(&time.year()))?;
    Some(time.format("%Y-%m-%d %H:%M:%S%.3f+0000").to_string())
}

fn date_of(days_since_epoch: i64) -> Option<NaiveDate> {
    let date = EPOCH.checked_add_signed(chrono::TimeDelta::try_days(days_since_epoch)?)?;
    (0..=9999).contains(&date.year()).then_some(date)
}

/// The `date` that text says.
pub fn parse_date(text: &str) -> Option<u32> {
    let (days, rest) = split_date(text)?;
    if rest.is_empty() { u32::try_from(days.checked_add(EPOCH_DATE)?).ok() } else { None }
}

/// The `time`, in nanoseconds since midnight, that text says.
pub fn parse_time(text: &str) -> Option<i64> {
    match split_time(text)? {
        (nanoseconds, true, "") => Some(nanoseconds),
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
    let local = days.checked_mul(MS_PER_DAY)?.checked_add(nanoseconds / NS_PER_MS)?;
    local.checked_sub(parse_zone_minutes(zone)? * MS_PER_MINUTE)
}

/// Days since 1970 off the front of text, and what follows.
fn split_date(text: &str) -> Option<(i64, &str)> {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
    let digits = if negative { digits } else { text.strip_prefix('+').unwrap_or(text) };
    let (year, rest) = split_number(digits, 1, MAX_YEAR_DIGITS)?;
    let (month, rest) = split_number(rest.strip_prefix('-')?, 1, 2)?;
    let (day, rest) = split_number(rest.strip_prefix('-')?, 1, 2)?;
    let year = i32::try_from(if negative { -year } else { year }).ok()?;
    let date = NaiveDate::from_ymd_opt(year, u32::try_from(month).ok()?, u32::try_from(day).ok()?)?;
    Some((date.signed_duration_since(EPOCH).num_days(), rest))
}

/// Nanoseconds since midnight off the front of text, whether it has seconds, and what follows.
fn split_time(text: &str) -> Option<(i64, bool, &str)> {
    let (hours, rest) = split_number(text, 1, 2)?;
    let (minutes, rest) = split_number(rest.strip_prefix(':')?, 2, 2)?;
    let (seconds, has_seconds, rest) = match rest.strip_prefix(':') {
        Some(rest) => split_number(rest, 2, 2).map(|(seconds, rest)| (seconds, true, rest))?,
        None => (0, false, rest),
    };
    let (fraction, rest) = match rest.strip_prefix('.').filter(|_| has_seconds) {
        Some(rest) => split_fraction(rest)?,
        None => (0, rest),
    };
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let nanoseconds = hours * NS_PER_HOUR + minutes * NS_PER_MINUTE + seconds * NS_PER_S + fraction;
    Some((nanoseconds, has_seconds, rest))
}

/// Up to nine digits after the point, as nanoseconds.
fn split_fraction(text: &str) -> Option<(i64, &str)> {
    let (number, rest) = split_number(text, 1, 9)?;
    let digits = text.len() - rest.len();
    Some((number * 10i64.pow(9u32.checked_sub(u32::try_from(digits).ok()?)?), rest))
}

/// Minutes east of UTC.
fn parse_zone_minutes(text: &str) -> Option<i64> {
    let text = text.strip_prefix(' ').filter(|zone| !zone.is_empty()).unwrap_or(text);
    if text.is_empty() || matches!(text, "Z" | "z" | "UTC" | "GMT") {
        return Some(0);
    }
    let (sign, digits) = match text.strip_prefix('+') {
        Some(digits) => (1, digits),
        None => (-1, text.strip_prefix('-')?),
    };
    let (hours, rest) = digits.split_at_checked(2)?;
    let minutes = match rest.strip_prefix(':').unwrap_or(rest) {
        "" if rest.is_empty() => 0,
        minutes => whole_number(minutes, 2).filter(|minutes| *minutes < 60)?,
    };
    let hours = whole_number(hours, 2)?;
    let offset = hours * 60 + minutes;
    (offset <= MAX_ZONE_MINUTES).then_some(sign * offset)
}

fn starts_with_digit(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
}

fn whole_number(text: &str, digits: usize) -> Option<i64> {
    let (number, rest) = split_number(text, digits, digits)?;
    rest.is_empty().then_some(number)
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

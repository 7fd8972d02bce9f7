//! Time zones of timestamp literals: offsets from UTC, and names.
//!
//! A name is one of the time zone database (`Europe/Paris`, `CET`), or one of the [`ABBREVIATIONS`]. Abbreviations stand
//! for the place, not for an offset: `EST` in July is New York's summer time, as in Cassandra. Those that mean several
//! places far apart (`IST`, `BST`) are not taken.

use chrono::{DateTime, NaiveDateTime, TimeDelta, TimeZone};
use chrono_tz::Tz;

const MS_PER_MINUTE: i64 = 60_000;

/// The most that a zone may be off UTC: 18 hours, as in Java's time library.
const MAX_OFFSET_MINUTES: i64 = 18 * 60;

/// What everybody writes and the database does not name, or names otherwise than people mean.
const ABBREVIATIONS: [(&str, Tz); 19] = [
    ("AEDT", Tz::Australia__Sydney),
    ("AEST", Tz::Australia__Sydney),
    ("CDT", Tz::America__Chicago),
    ("CEST", Tz::Europe__Paris),
    ("CET", Tz::Europe__Paris),
    ("CST", Tz::America__Chicago),
    ("EDT", Tz::America__New_York),
    ("EEST", Tz::Europe__Helsinki),
    ("EET", Tz::Europe__Helsinki),
    ("EST", Tz::America__New_York),
    ("GMT", Tz::UTC),
    ("JST", Tz::Asia__Tokyo),
    ("MDT", Tz::America__Denver),
    ("MSK", Tz::Europe__Moscow),
    ("MST", Tz::America__Denver),
    ("PDT", Tz::America__Los_Angeles),
    ("PST", Tz::America__Los_Angeles),
    ("UT", Tz::UTC),
    ("WEST", Tz::Europe__Lisbon),
];

/// The UTC time, in milliseconds since 1970, of a local one. `zone` is what follows the time in a literal: nothing, `Z`,
/// `+01`, `+0100`, `+01:00` (each with or without a space before it), ` GMT+01:00`, or a space and a name.
pub(super) fn to_utc(local_ms: i64, zone: &str) -> Option<i64> {
    let name = zone.strip_prefix(' ');
    if let Some(minutes) = offset_minutes(name.unwrap_or(zone)) {
        return local_ms.checked_sub(minutes * MS_PER_MINUTE).filter(|_| name != Some(""));
    }
    let name = name?;
    let suffix = name.strip_prefix("GMT").or_else(|| name.strip_prefix("UTC"));
    if let Some(minutes) = suffix.and_then(offset_minutes) {
        return local_ms.checked_sub(minutes * MS_PER_MINUTE);
    }
    let abbreviated = ABBREVIATIONS.iter().find(|(short, _)| *short == name).map(|(_, zone)| *zone);
    let zone = abbreviated.or_else(|| name.parse().ok())?;
    in_zone(DateTime::from_timestamp_millis(local_ms)?.naive_utc(), zone)
}

/// A local time that the clocks show twice is the first one; one that they leap over counts as if they had not.
fn in_zone(local: NaiveDateTime, zone: Tz) -> Option<i64> {
    let found = zone.from_local_datetime(&local).earliest();
    if let Some(time) = found {
        return Some(time.timestamp_millis());
    }
    let day = TimeDelta::days(1);
    let before = zone.from_local_datetime(&local.checked_sub_signed(day)?).earliest()?;
    Some(before.checked_add_signed(day)?.timestamp_millis())
}

/// Minutes east of UTC.
fn offset_minutes(text: &str) -> Option<i64> {
    if matches!(text, "" | "Z" | "z") {
        return Some(0);
    }
    let (sign, digits) = match text.strip_prefix('+') {
        Some(digits) => (1, digits),
        None => (-1, text.strip_prefix('-')?),
    };
    let (hours, rest) = digits.split_at_checked(2)?;
    let minutes = match rest.strip_prefix(':').unwrap_or(rest) {
        "" if rest.is_empty() => 0,
        minutes => two_digits(minutes).filter(|minutes| *minutes < 60)?,
    };
    let offset = two_digits(hours)? * 60 + minutes;
    (offset <= MAX_OFFSET_MINUTES).then_some(sign * offset)
}

fn two_digits(text: &str) -> Option<i64> {
    let all_digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits { text.parse().ok() } else { None }
}

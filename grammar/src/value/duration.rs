//! CQL durations as text: `1y2mo3w4d5h6m7s8ms9us10ns`, ISO 8601 `P1Y2M3DT4H5M6S` and `P4W`, and ISO's alternative
//! `P0001-02-03T04:05:06`; each with an optional minus in front.
//!
//! Units come in falling order and once each. Display writes the first notation, with the fewest units.

use std::fmt;
use std::str::FromStr;

use super::Duration;

const MONTHS_PER_YEAR: u32 = 12;
const DAYS_PER_WEEK: u64 = 7;
const NS_PER_US: u64 = 1_000;
const NS_PER_MS: u64 = 1_000_000;
const NS_PER_S: u64 = 1_000_000_000;
const NS_PER_MINUTE: u64 = 60 * NS_PER_S;
const NS_PER_HOUR: u64 = 60 * NS_PER_MINUTE;

/// Text that is no duration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseDurationError {
    /// In none of the notations.
    #[error(
        "expected a duration such as 1y2mo3d4h5m6s, P1Y2M3DT4H5M6S, P4W or P0001-02-03T04:05:06"
    )]
    Syntax,
    /// A unit twice, or after a smaller one.
    #[error(
        "units of a duration come once each and the larger ones first: y mo w d h m s ms us ns"
    )]
    Order,
    /// Too long.
    #[error("months and days of a duration must fit 32 bits, and its time 64 bits of nanoseconds")]
    Overflow,
}

/// What a unit counts: which part of a [`Duration`], and how many of it.
#[derive(Clone, Copy)]
enum Unit {
    Months(u64),
    Days(u64),
    Nanoseconds(u64),
}

/// Units of the first notation, in the order that they come in.
const UNITS: [(&str, Unit); 11] = [
    ("y", Unit::Months(MONTHS_PER_YEAR as u64)),
    ("mo", Unit::Months(1)),
    ("w", Unit::Days(DAYS_PER_WEEK)),
    ("d", Unit::Days(1)),
    ("h", Unit::Nanoseconds(NS_PER_HOUR)),
    ("m", Unit::Nanoseconds(NS_PER_MINUTE)),
    ("s", Unit::Nanoseconds(NS_PER_S)),
    ("ms", Unit::Nanoseconds(NS_PER_MS)),
    ("us", Unit::Nanoseconds(NS_PER_US)),
    ("µs", Unit::Nanoseconds(NS_PER_US)),
    ("ns", Unit::Nanoseconds(1)),
];

const ISO_DATE_UNITS: [(&str, Unit); 3] =
    [("Y", Unit::Months(MONTHS_PER_YEAR as u64)), ("M", Unit::Months(1)), ("D", Unit::Days(1))];
const ISO_TIME_UNITS: [(&str, Unit); 3] = [
    ("H", Unit::Nanoseconds(NS_PER_HOUR)),
    ("M", Unit::Nanoseconds(NS_PER_MINUTE)),
    ("S", Unit::Nanoseconds(NS_PER_S)),
];
const ISO_WEEK: [(&str, Unit); 1] = [("W", Unit::Days(DAYS_PER_WEEK))];

/// The three parts without their sign.
#[derive(Default)]
struct Magnitude {
    months: u64,
    days: u64,
    nanoseconds: u64,
}

impl Magnitude {
    fn add(&mut self, count: u64, unit: Unit) -> Result<(), ParseDurationError> {
        let (part, size) = match unit {
            Unit::Months(size) => (&mut self.months, size),
            Unit::Days(size) => (&mut self.days, size),
            Unit::Nanoseconds(size) => (&mut self.nanoseconds, size),
        };
        let sum = count.checked_mul(size).and_then(|count| part.checked_add(count));
        *part = sum.ok_or(ParseDurationError::Overflow)?;
        Ok(())
    }

    fn signed(&self, negative: bool) -> Result<Duration, ParseDurationError> {
        let sign = |part: u64| if negative { -i128::from(part) } else { i128::from(part) };
        let overflow = |_| ParseDurationError::Overflow;
        Ok(Duration {
            months: i32::try_from(sign(self.months)).map_err(overflow)?,
            days: i32::try_from(sign(self.days)).map_err(overflow)?,
            nanoseconds: i64::try_from(sign(self.nanoseconds)).map_err(overflow)?,
        })
    }

    /// Reads `count unit` pairs, units being looked for from where the last was found.
    fn read_units(&mut self, text: &str, units: &[(&str, Unit)]) -> Result<(), ParseDurationError> {
        let (mut rest, mut left) = (text, units);
        while !rest.is_empty() {
            let (count, after) = split_number(rest)?;
            let end = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
            let (name, after) = after.split_at_checked(end).ok_or(ParseDurationError::Syntax)?;
            let is_named = |(unit, _): &(&str, Unit)| unit.eq_ignore_ascii_case(name);
            let Some(place) = left.iter().position(is_named) else {
                let known = units.iter().any(is_named);
                return Err(if known {
                    ParseDurationError::Order
                } else {
                    ParseDurationError::Syntax
                });
            };
            if let Some((_, unit)) = left.get(place) {
                self.add(count, *unit)?;
            }
            left = left.get(place + 1..).unwrap_or_default();
            rest = after;
        }
        Ok(())
    }

    fn read_iso(&mut self, text: &str) -> Result<(), ParseDurationError> {
        if text.contains('-') {
            return self.read_iso_alternative(text);
        }
        if text.ends_with(['W', 'w']) {
            return self.read_units(text, &ISO_WEEK);
        }
        let (date, time) = match text.split_once(['T', 't']) {
            Some((_, "")) => return Err(ParseDurationError::Syntax),
            Some(parts) => parts,
            None if text.is_empty() => return Err(ParseDurationError::Syntax),
            None => (text, ""),
        };
        self.read_units(date, &ISO_DATE_UNITS)?;
        self.read_units(time, &ISO_TIME_UNITS)
    }

    /// `0001-02-03T04:05:06`, without the P.
    fn read_iso_alternative(&mut self, text: &str) -> Result<(), ParseDurationError> {
        let units = ISO_DATE_UNITS.iter().chain(&ISO_TIME_UNITS);
        let mut rest = text;
        for ((_, unit), (width, end)) in
            units.zip([(4, "-"), (2, "-"), (2, "T"), (2, ":"), (2, ":"), (2, "")])
        {
            let (digits, after) = rest.split_at_checked(width).ok_or(ParseDurationError::Syntax)?;
            let (count, "") = split_number(digits)? else { return Err(ParseDurationError::Syntax) };
            self.add(count, *unit)?;
            rest = after.strip_prefix(end).ok_or(ParseDurationError::Syntax)?;
        }
        if rest.is_empty() { Ok(()) } else { Err(ParseDurationError::Syntax) }
    }
}

fn split_number(text: &str) -> Result<(u64, &str), ParseDurationError> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    match text.split_at_checked(end) {
        Some((digits, rest)) if !digits.is_empty() => {
            Ok((digits.parse().map_err(|_| ParseDurationError::Overflow)?, rest))
        }
        _ => Err(ParseDurationError::Syntax),
    }
}

impl FromStr for Duration {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, ParseDurationError> {
        let (negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let mut magnitude = Magnitude::default();
        match text.strip_prefix(['P', 'p']) {
            Some(iso) => magnitude.read_iso(iso)?,
            None if text.is_empty() => return Err(ParseDurationError::Syntax),
            None => magnitude.read_units(text, &UNITS)?,
        }
        magnitude.signed(negative)
    }
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.months < 0 || self.days < 0 || self.nanoseconds < 0 {
            f.write_str("-")?;
        }
        let (months, days) = (self.months.unsigned_abs(), self.days.unsigned_abs());
        let nanoseconds = self.nanoseconds.unsigned_abs();
        if months == 0 && days == 0 && nanoseconds == 0 {
            return f.write_str("0ns");
        }
        let parts = [
            (u64::from(months / MONTHS_PER_YEAR), "y"),
            (u64::from(months % MONTHS_PER_YEAR), "mo"),
            (u64::from(days), "d"),
            (nanoseconds / NS_PER_HOUR, "h"),
            (nanoseconds % NS_PER_HOUR / NS_PER_MINUTE, "m"),
            (nanoseconds % NS_PER_MINUTE / NS_PER_S, "s"),
            (nanoseconds % NS_PER_S / NS_PER_MS, "ms"),
            (nanoseconds % NS_PER_MS / NS_PER_US, "us"),
            (nanoseconds % NS_PER_US, "ns"),
        ];
        parts
            .into_iter()
            .filter(|(count, _)| *count > 0)
            .try_for_each(|(count, unit)| write!(f, "{count}{unit}"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> (i32, i32, i64) {
        let duration: Duration = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        (duration.months, duration.days, duration.nanoseconds)
    }

    #[test]
    fn every_notation() {
        let hms = (4 * NS_PER_HOUR + 5 * NS_PER_MINUTE + 6 * NS_PER_S) as i64;
        assert_eq!(
            parsed("1y2mo3w4d5h6m7s8ms9us10ns"),
            (14, 25, (5 * NS_PER_HOUR + 6 * NS_PER_MINUTE + 7 * NS_PER_S) as i64 + 8_009_010)
        );
        assert_eq!(parsed("-1Y2MO"), (-14, 0, 0));
        assert_eq!(parsed("5µs"), (0, 0, 5_000));
        assert_eq!(parsed("P1Y2M3DT4H5M6S"), (14, 3, hms));
        assert_eq!(parsed("-PT4H5M6S"), (0, 0, -hms));
        assert_eq!(parsed("P4W"), (0, 28, 0));
        assert_eq!(parsed("P0001-02-03T04:05:06"), (14, 3, hms));
        assert_eq!(parsed("-P0001-02-03T04:05:06"), (-14, -3, -hms));
        assert_eq!(parsed("0d"), (0, 0, 0));
        assert_eq!(parsed("-178956970y8mo"), (i32::MIN, 0, 0));
    }

    #[test]
    fn refusals() {
        use ParseDurationError::*;
        let syntax = [
            "",
            "-",
            "P",
            "PT",
            "P1",
            "1",
            "y",
            "1x",
            "1y ",
            "--1y",
            "P1H",
            "PT1Y",
            "P1Y2W",
            "P0001-2-03T04:05:06",
            "P0001-02-03T04:05:06Z",
            "P0001-02-03",
            "1é",
            "P0001-02-0é",
        ];
        for text in syntax {
            assert_eq!(text.parse::<Duration>(), Err(Syntax), "{text}");
        }
        for text in ["1d1y", "1d2d", "1ns1us", "P1M1Y"] {
            assert_eq!(text.parse::<Duration>(), Err(Order), "{text}");
        }
        for text in [
            "178956970y8mo",
            "2147483648d",
            "9223372036854775808ns",
            "99999999999999999999d",
            "9999999999999h",
        ] {
            assert_eq!(text.parse::<Duration>(), Err(Overflow), "{text}");
        }
    }

    proptest! {
        #[test]
        fn text_round_trips(months in 0..=i32::MAX, days in 0..=i32::MAX, nanoseconds in 0..=i64::MAX, negative: bool) {
            let sign = if negative { -1 } else { 1 };
            let duration =
                Duration { months: months * sign, days: days * sign, nanoseconds: nanoseconds * i64::from(sign) };
            prop_assert_eq!(duration.to_string().parse(), Ok(duration));
        }

        #[test]
        fn any_text_is_no_panic(text in "-?P?[0-9a-zµ:-]{0,12}") {
            let _ = text.parse::<Duration>();
        }
    }
}

//! The proleptic Gregorian calendar, for all days that a `date` or `timestamp` can say: years in the millions, further
//! than calendars of libraries reach.
//!
//! Days are counted from 1970-01-01; the year 0 is the one before the year 1.

/// Days from 0000-03-01 to 1970-01-01.
const EPOCH: i64 = 719_468;
const DAYS_PER_400_YEARS: i64 = 146_097;

/// How many days a month (1 to 12) has.
pub const fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a day. Years begin in March here, so leap days end them. The year is within ±10^15.
pub const fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * DAYS_PER_400_YEARS + of_era * 365 + of_era / 4 - of_era / 100 + of_year - EPOCH
}

/// Year, month (1 to 12) and day (1 to 31) of a day; `None` for days within [`EPOCH`] of the end of 64 bits.
pub const fn civil_from_days(days: i64) -> Option<(i64, i64, i64)> {
    let Some(days) = days.checked_add(EPOCH) else { return None };
    let (era, of_era) = (days.div_euclid(DAYS_PER_400_YEARS), days.rem_euclid(DAYS_PER_400_YEARS));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    Some((year + era * 400 + (month <= 2) as i64, month, day))
}

/// The same day of the month some months later (or earlier), or the last day of a shorter month.
pub fn add_months(days: i64, months: i64) -> Option<i64> {
    if months == 0 {
        return Some(days);
    }
    let (year, month, day) = civil_from_days(days)?;
    let index = year.checked_mul(12)?.checked_add(month - 1)?.checked_add(months)?;
    let (year, month) = (index.div_euclid(12), index.rem_euclid(12) + 1);
    Some(days_from_civil(year, month, day.min(days_in_month(year, month))))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_days() {
        assert_eq!(civil_from_days(0), Some((1970, 1, 1)));
        assert_eq!(days_from_civil(2000, 2, 29), 11_016);
        assert_eq!(civil_from_days(-719_528), Some((0, 1, 1)));
        assert_eq!(civil_from_days(i64::from(i32::MIN)), Some((-5_877_641, 6, 23)));
        assert_eq!(civil_from_days(i64::from(i32::MAX)), Some((5_881_580, 7, 11)));
        assert_eq!(civil_from_days(i64::MAX), None);
        let leap_day = days_from_civil(2020, 2, 29);
        assert_eq!(add_months(leap_day, 12).and_then(civil_from_days), Some((2021, 2, 28)));
        assert_eq!(add_months(leap_day, -2).and_then(civil_from_days), Some((2019, 12, 29)));
    }

    proptest! {
        #[test]
        fn days_round_trip(days in -100_000_000_000i64..100_000_000_000) {
            let (year, month, day) = civil_from_days(days).unwrap();
            prop_assert_eq!(days_from_civil(year, month, day), days);
            prop_assert!((1..=days_in_month(year, month)).contains(&day));
            let (next_year, next_month, next_day) = civil_from_days(days + 1).unwrap();
            prop_assert!((year, month, day) < (next_year, next_month, next_day));
        }
    }
}

//! Arithmetic of decimals, and their functions.
//!
//! A quotient has 32 significant digits, and 32 places behind the point if that is more (but 1000 at most); zeros at its
//! end are taken away, also before the point:
//!
//! ```text
//! 1 / 3        0.33333333333333333333333333333333       32 digits
//! 8.5 / 2E+35  4.25E-35                                 as many places as that takes
//! 1E+40 / 3    3333…333.33333333333333333333333333333333 32 places
//! 100 / 1      1E+2
//! ```
//!
//! `exp`, `log` and `log10` are rounded to 32 digits. They are computed in fixed point with some digits more.

use num_bigint::{BigInt, Sign};

/// Digits of a result that is not exact.
const DIGITS: i64 = 32;
/// The most places that a quotient gets.
const MAX_SCALE: i64 = 1000;
/// Digits that fixed point has beyond those that are asked for.
const GUARD: i64 = 12;
/// The largest power of ten that `exp` makes.
const MAX_EXPONENT: i64 = 100_000;

/// The largest power of ten that numbers may be scaled by.
const MAX_POWER: u32 = 100_000;

/// A number: unscaled and scale.
pub(super) type Parts = (BigInt, i32);

/// How many digits a number has.
fn precision(number: &BigInt) -> i64 {
    number.magnitude().to_string().len() as i64
}

fn power(digits: i64) -> Option<BigInt> {
    power_of_ten(u32::try_from(digits).ok()?)
}

/// a / b; `None` if that takes too many digits. `b` is not zero.
pub(super) fn divide((a, scale_a): Parts, (b, scale_b): Parts) -> Option<Parts> {
    let (scale_a, scale_b) = (i64::from(scale_a), i64::from(scale_b));
    let whole_digits = (precision(&a) - scale_a) - (precision(&b) - scale_b);
    let scale = (DIGITS - whole_digits).max(DIGITS).max(scale_a).max(scale_b).min(MAX_SCALE);
    // a·10^-sa / (b·10^-sb) = q·10^-s, so q = a·10^(s - sa + sb) / b.
    let shift = scale - scale_a + scale_b;
    let quotient = if shift >= 0 {
        divide_half_up(&(a * power(shift)?), &b)
    } else {
        divide_half_up(&a, &(b * power(-shift)?))
    };
    stripped(quotient, scale)
}

/// The average of `count` numbers, of which this is the sum: no fewer places than the sum has.
pub(super) fn average(sum: BigInt, scale: i32, count: i64) -> Option<Parts> {
    let (unscaled, places) = divide((sum, scale), (BigInt::from(count), 0))?;
    let missing = i64::from(scale) - i64::from(places);
    if missing <= 0 { Some((unscaled, places)) } else { Some((unscaled * power(missing)?, scale)) }
}

/// Without zeros at the end; zero as 0.
fn stripped(mut unscaled: BigInt, mut scale: i64) -> Option<Parts> {
    if unscaled == BigInt::ZERO {
        return Some((unscaled, 0));
    }
    let digits = unscaled.magnitude().to_string();
    let zeros = digits.len() - digits.trim_end_matches('0').len();
    unscaled /= power(zeros as i64)?;
    scale -= zeros as i64;
    Some((unscaled, i32::try_from(scale).ok()?))
}

/// Rounded to [`DIGITS`] digits; zero as 0.
fn rounded(unscaled: BigInt, scale: i64) -> Option<Parts> {
    if unscaled == BigInt::ZERO {
        return Some((unscaled, 0));
    }
    let surplus = precision(&unscaled) - DIGITS;
    if surplus <= 0 {
        return Some((unscaled, i32::try_from(scale).ok()?));
    }
    let number = divide_half_up(&unscaled, &power(surplus)?);
    let grown = precision(&number) - DIGITS;
    let (number, more) = if grown > 0 { (number / 10, 1) } else { (number, 0) };
    Some((number, i32::try_from(scale - surplus - more).ok()?))
}

/// e to a power; `None` if that takes too many digits.
///
/// e^x = 10^k · e^r, with k = round(x / ln 10) and so |r| < 1.2.
pub(super) fn exp((unscaled, scale): Parts) -> Option<Parts> {
    if unscaled == BigInt::ZERO {
        return Some((BigInt::from(1), 0));
    }
    let size = precision(&unscaled) - i64::from(scale);
    if size > 7 {
        return None;
    }
    let places = DIGITS + GUARD + size.max(0);
    let x = fixed(&unscaled, scale, places)?;
    let ln10 = ln_of_ten(places)?;
    let k = divide_half_up(&x, &ln10);
    let exponent = i64::try_from(&k).ok().filter(|k| k.abs() <= MAX_EXPONENT)?;
    rounded(exp_fixed(&(x - k * ln10), places)?, places - exponent)
}

/// The natural logarithm of a number above zero.
pub(super) fn ln(number: Parts) -> Option<Parts> {
    let (logarithm, places) = ln_fixed(number)?;
    rounded(logarithm, places)
}

/// The decimal logarithm of a number above zero; of a power of ten the exact one.
pub(super) fn log10((unscaled, scale): Parts) -> Option<Parts> {
    let (digits, places) = stripped(unscaled.clone(), i64::from(scale))?;
    if digits == BigInt::from(1) {
        return Some((BigInt::from(-i64::from(places)), 0));
    }
    let (logarithm, places) = ln_fixed((unscaled, scale))?;
    let quotient = divide_half_up(&(logarithm * power(places)?), &ln_of_ten(places)?);
    rounded(quotient, places)
}

/// A number in fixed point of `places` digits.
fn fixed(unscaled: &BigInt, scale: i32, places: i64) -> Option<BigInt> {
    let shift = places - i64::from(scale);
    if shift >= 0 {
        return Some(unscaled * power(shift)?);
    }
    // A shift beyond all digits leaves nothing.
    if -shift > precision(unscaled) {
        return Some(BigInt::ZERO);
    }
    Some(unscaled / power(-shift)?)
}

/// e^r by its series; halved until it converges fast, then squared as often.
fn exp_fixed(r: &BigInt, places: i64) -> Option<BigInt> {
    const HALVINGS: u32 = 8;
    let one = power(places)?;
    let r = r >> HALVINGS;
    let (mut sum, mut term, mut n) = (one.clone(), one.clone(), 1u32);
    while term != BigInt::ZERO {
        // Division rounds towards zero, so that the terms end at zero.
        term = term * &r / &one / n;
        sum += &term;
        n += 1;
    }
    for _ in 0..HALVINGS {
        sum = &sum * &sum / &one;
    }
    Some(sum)
}

/// ln x in fixed point, and the places of it: more of them the closer x is to one, where the logarithm is small.
///
/// x = m · 10^e with 0.5 <= m < 5 or so, and ln m = 2 artanh((m - 1) / (m + 1)).
fn ln_fixed((unscaled, scale): Parts) -> Option<(BigInt, i64)> {
    if unscaled.sign() != Sign::Plus {
        return None;
    }
    let exponent = precision(&unscaled) - i64::from(scale) - 1;
    let leading = unscaled.magnitude().to_string().starts_with(['1', '2', '3', '4']);
    // 5.3 is 0.53 · 10: near one from below as well.
    let exponent = if leading { exponent } else { exponent + 1 };
    let near = if exponent == 0 { nearness(&unscaled, scale)? } else { 0 };
    let places = DIGITS + GUARD + near;
    let one = power(places)?;
    let shift = i32::try_from(i64::from(scale) + exponent).ok()?;
    let m = fixed(&unscaled, shift, places)?;
    let ratio = (&m - &one) * &one / (&m + &one);
    let square = &ratio * &ratio / &one;
    let (mut sum, mut term, mut n) = (BigInt::ZERO, ratio, 1u32);
    while term != BigInt::ZERO {
        sum += &term / n;
        term = term * &square / &one;
        n += 2;
    }
    let tens = if exponent == 0 { BigInt::ZERO } else { ln_of_ten(places)? * exponent };
    Some((sum * 2 + tens, places))
}

/// How many zeros stand behind the point of |x - 1|.
fn nearness(unscaled: &BigInt, scale: i32) -> Option<i64> {
    let Some(one) = power(i64::from(scale)) else { return Some(0) };
    let distance = unscaled - one;
    Some(if distance == BigInt::ZERO {
        0
    } else {
        (i64::from(scale) - precision(&distance)).max(0)
    })
}

/// ln 10 = 3 ln 2 + ln 1.25, both by artanh: 2 artanh(1/3) and 2 artanh(1/9).
fn ln_of_ten(places: i64) -> Option<BigInt> {
    let one = power(places)?;
    let artanh = |of: u32| {
        let (mut sum, mut term, mut n) = (BigInt::ZERO, &one / of, 1u32);
        while term != BigInt::ZERO {
            sum += &term / n;
            term /= of * of;
            n += 2;
        }
        sum
    };
    Some(artanh(3) * 6 + artanh(9) * 2)
}

/// a / b, rounded to the nearest whole number, halves away from zero.
pub(super) fn divide_half_up(number: &BigInt, by: &BigInt) -> BigInt {
    let quotient = number / by;
    let rest: BigInt = number - &quotient * by;
    if rest.magnitude() * 2u32 < *by.magnitude() {
        return quotient;
    }
    let negative =
        (number.sign() == num_bigint::Sign::Minus) != (by.sign() == num_bigint::Sign::Minus);
    if negative { quotient - 1 } else { quotient + 1 }
}

/// 10 to a power that still fits in memory.
pub(super) fn power_of_ten(power: u32) -> Option<BigInt> {
    (power <= MAX_POWER).then(|| BigInt::from(10).pow(power))
}

#[cfg(test)]
mod tests {
    use tholos_grammar::value::decimal::Decimal;

    use super::*;

    fn parts(text: &str) -> Parts {
        let Decimal { unscaled, scale } = text.parse().unwrap();
        (unscaled, scale)
    }

    fn text((unscaled, scale): Parts) -> String {
        Decimal { unscaled, scale }.to_string()
    }

    /// What Cassandra 5.0.9 answers.
    #[test]
    fn quotients() {
        for (a, b, expected) in [
            ("1", "3", "0.33333333333333333333333333333333"),
            ("-2", "3", "-0.66666666666666666666666666666667"),
            ("8.5", "200000000000000000000000000000000000", "4.25E-35"),
            ("1.000", "8.00", "0.125"),
            ("100", "1", "1E+2"),
            ("1", "1E+3", "0.001"),
            ("5", "1E-20", "5E+20"),
            ("0.00", "3", "0"),
            ("1E-40", "3", "3.3333333333333333333333333333333E-41"),
            ("1", "7E+47", "1.4285714285714285714285714285714E-48"),
            ("1E-1500", "3", "0"),
            ("123.456", "7.0", "17.63657142857142857142857142857143"),
            ("2.5", "1E+20", "2.5E-20"),
            ("1E+3", "3", "333.33333333333333333333333333333333"),
            (
                "1.23456789012345678901234567890123456789012345678901234567890",
                "7",
                "0.1763668414462081127160493827001763668414462081127160493827",
            ),
        ] {
            assert_eq!(divide(parts(a), parts(b)).map(text), Some(expected.to_owned()), "{a}/{b}");
        }
    }

    /// What Cassandra 5.0.9 answers.
    #[test]
    fn exponentials_and_logarithms() {
        for (x, expected) in [
            ("-2.50", "0.082084998623898795169528674467160"),
            ("123.456", "4.1329443527780934495768544122734E+53"),
            ("1E+3", "1.9700711140170469938888793522433E+434"),
            ("0.00", "1"),
            ("2.5", "12.182493960703473438070175951168"),
            ("-0.5", "0.60653065971263342360379953499118"),
            ("100", "2.6881171418161354484126255515800E+43"),
        ] {
            assert_eq!(exp(parts(x)).map(text), Some(expected.to_owned()), "exp({x})");
        }
        for (x, expected) in [
            ("2.5", "0.91629073187415506518352721176801"),
            ("100", "4.6051701859880913680359829093687"),
            ("123.456", "4.8158848172832638831092321051665"),
            ("1.00", "0"),
        ] {
            assert_eq!(ln(parts(x)).map(text), Some(expected.to_owned()), "log({x})");
        }
        for (x, expected) in [
            ("2.5", "0.39794000867203760957252221055101"),
            ("100", "2"),
            ("0.001", "-3"),
            ("123.456", "2.0915122016277716810693997770679"),
        ] {
            assert_eq!(log10(parts(x)).map(text), Some(expected.to_owned()), "log10({x})");
        }
        let near_one = ln(parts("1.00000000000000000000000000000000000000000000000001")).map(text);
        assert_eq!(near_one.as_deref(), Some("1.0000000000000000000000000000000E-50"));
        assert_eq!(ln(parts("0")), None);
        assert_eq!(ln(parts("-1")), None);
        assert_eq!(exp(parts("1E+9")), None);
    }
}

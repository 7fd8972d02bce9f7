//! Decimals and varints: text both ways, and the parts that order them.
//!
//! - [`Decimal`]: parse and Display, plain and scientific.
//! - [`Digits`]: a decimal's sign, exponent and digits without the zeros at its end: equal for equal numbers.
//! - [`minimal`]: a varint's bytes without needless sign bytes.

use std::fmt;
use std::str::FromStr;

use num_bigint::{BigInt, Sign};
use smallvec::SmallVec;

use super::codec::MAX_NUMBER_BYTES;

/// The most digits of a number: as many as one of [`MAX_NUMBER_BYTES`] may have (2.4083 digits to a byte).
pub const MAX_NUMBER_DIGITS: usize = MAX_NUMBER_BYTES * 2_409 / 1_000;

/// unscaled × 10^−scale.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    /// The digits.
    pub unscaled: BigInt,
    /// How many of them stand after the point; negative for trailing zeros left out.
    pub scale: i32,
}

/// Text that is no decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseDecimalError {
    /// Not a number.
    #[error("expected digits with an optional sign, point and exponent")]
    Syntax,
    /// The scale does not fit 32 bits.
    #[error("its exponent does not fit 32 bits")]
    Exponent,
    /// Too many digits.
    #[error("it has more than {MAX_NUMBER_DIGITS} digits")]
    TooLong,
}

impl FromStr for Decimal {
    type Err = ParseDecimalError;

    /// `[+-] digits [. digits] [e [+-] digits]`; the digits on one side of the point may be missing.
    /// The scale is kept as written: `1.00` has scale 2 and `1e3` scale -3.
    fn from_str(text: &str) -> Result<Self, ParseDecimalError> {
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let digits = whole.strip_prefix(['+', '-']).unwrap_or(whole);
        let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        if !all_digits(digits) || !all_digits(fraction) || digits.len() + fraction.len() == 0 {
            return Err(ParseDecimalError::Syntax);
        }
        if digits.len() + fraction.len() > MAX_NUMBER_DIGITS {
            return Err(ParseDecimalError::TooLong);
        }
        let unscaled = BigInt::from_str(&format!("{whole}{fraction}"))
            .map_err(|_| ParseDecimalError::Syntax)?;
        let scale = fraction.len() as i64 - exponent;
        Ok(Decimal {
            unscaled,
            scale: i32::try_from(scale).map_err(|_| ParseDecimalError::Exponent)?,
        })
    }
}

fn parse_exponent(text: &str) -> Result<i64, ParseDecimalError> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(ParseDecimalError::Syntax);
    }
    let exponent: i64 = text.parse().map_err(|_| ParseDecimalError::Exponent)?;
    if exponent.unsigned_abs() > u64::from(u32::MAX) {
        Err(ParseDecimalError::Exponent)
    } else {
        Ok(exponent)
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_decimal(&self.unscaled, self.scale, f)
    }
}

/// The most zeros that plain notation puts before the first digit; smaller numbers are written with an exponent.
const MAX_LEADING_ZEROS: i64 = 6;

/// Writes unscaled × 10^−scale: plain where that takes few zeros, else with an exponent (`1.2E+30`). Both keep the
/// scale, so that what is read back is the same value.
pub fn write_decimal(unscaled: &BigInt, scale: i32, f: &mut impl fmt::Write) -> fmt::Result {
    let digits = unscaled.magnitude().to_string();
    let (length, scale) = (digits.len() as i64, i64::from(scale));
    if unscaled.sign() == Sign::Minus {
        f.write_char('-')?;
    }
    let adjusted = length - 1 - scale;
    if scale == 0 {
        return f.write_str(&digits);
    }
    if scale > 0 && adjusted >= -MAX_LEADING_ZEROS {
        let whole = usize::try_from(length - scale).unwrap_or(0);
        let zeros = usize::try_from(scale - length).unwrap_or(0);
        let (whole, fraction) = digits.split_at(whole);
        let whole = if whole.is_empty() { "0" } else { whole };
        return write!(f, "{whole}.{:0>zeros$}{fraction}", "");
    }
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    write!(f, "{first}{point}{rest}E{adjusted:+}")
}

/// A decimal taken apart so that equal numbers have equal parts: ± 0.d₁d₂… × 10^exponent, d₁ and the last digit not 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digits {
    /// The number's sign.
    pub sign: Sign,
    /// The power of ten; 0 for zero.
    pub exponent: i64,
    /// Digits as numbers 0 to 9, first to last; none for zero.
    pub digits: SmallVec<[u8; 40]>,
    /// Zeros at the end of the unscaled number, left out of `digits`; 0 for zero.
    pub trailing_zeros: u32,
}

impl Digits {
    /// Of the number with these bytes as its unscaled part (signed, big endian, as in the protocol).
    pub fn new(unscaled: &[u8], scale: i32) -> Digits {
        let (sign, mut digits) = match small(unscaled) {
            Some(number) => (sign_of(number), small_digits(number.unsigned_abs())),
            None => {
                let (sign, magnitude) = BigInt::from_signed_bytes_be(unscaled).into_parts();
                (sign, SmallVec::from_vec(magnitude.to_radix_be(10)))
            }
        };
        if sign == Sign::NoSign {
            return Digits { sign, exponent: 0, digits: SmallVec::new(), trailing_zeros: 0 };
        }
        let length = digits.len();
        while digits.last() == Some(&0) {
            digits.pop();
        }
        let trailing_zeros = (length - digits.len()) as u32;
        Digits { sign, exponent: length as i64 - i64::from(scale), digits, trailing_zeros }
    }

    /// The order of the numbers: equal for equal numbers, whatever their scales.
    pub fn compare(&self, other: &Digits) -> std::cmp::Ordering {
        let magnitude = || (self.exponent, &self.digits).cmp(&(other.exponent, &other.digits));
        self.sign.cmp(&other.sign).then_with(|| match self.sign {
            Sign::Minus => magnitude().reverse(),
            _ => magnitude(),
        })
    }
}

/// A signed big-endian number without the sign bytes that it does not need; at least one byte stays of any.
pub fn minimal(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let [first, tail @ ..] = rest
        && let [second, ..] = tail
        && matches!((first, second >> 7), (0, 0) | (0xff, 1))
    {
        rest = tail;
    }
    rest
}

fn small(bytes: &[u8]) -> Option<i128> {
    let bytes = minimal(bytes);
    let fill = if bytes.first()? >> 7 == 1 { 0xff } else { 0 };
    let mut wide = [fill; 16];
    let start = wide.len().checked_sub(bytes.len())?;
    wide.get_mut(start..)?.copy_from_slice(bytes);
    Some(i128::from_be_bytes(wide))
}

fn sign_of(number: i128) -> Sign {
    match number.signum() {
        -1 => Sign::Minus,
        0 => Sign::NoSign,
        _ => Sign::Plus,
    }
}

fn small_digits(mut number: u128) -> SmallVec<[u8; 40]> {
    let mut digits = SmallVec::new();
    while number > 0 {
        digits.push((number % 10) as u8);
        number /= 10;
    }
    digits.reverse();
    digits
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parsed(text: &str) -> (BigInt, i32) {
        let decimal: Decimal = text.parse().unwrap();
        (decimal.unscaled, decimal.scale)
    }

    #[test]
    fn parses_plain_and_scientific() {
        assert_eq!(parsed("1.00"), (100.into(), 2));
        assert_eq!(parsed("-.5"), ((-5).into(), 1));
        assert_eq!(parsed("+7."), (7.into(), 0));
        assert_eq!(parsed("1e3"), (1.into(), -3));
        assert_eq!(parsed("1.5E-3"), (15.into(), 4));
        assert_eq!(parsed("1e2147483648"), (1.into(), -2_147_483_648));
        for bad in ["", ".", "-", "1e", "e1", "1.2.3", "1-", "0x1", "1e+-3", "NaN", " 1", "١"] {
            assert_eq!(bad.parse::<Decimal>(), Err(ParseDecimalError::Syntax), "{bad}");
        }
        for bad in ["1e2147483649", "1e-2147483648", "1e99999999999999999999"] {
            assert_eq!(bad.parse::<Decimal>(), Err(ParseDecimalError::Exponent), "{bad}");
        }
        assert_eq!(
            "1".repeat(MAX_NUMBER_DIGITS + 1).parse::<Decimal>(),
            Err(ParseDecimalError::TooLong)
        );
    }

    #[test]
    fn prints_plain_where_it_is_short() {
        let text = |unscaled: i64, scale| Decimal { unscaled: unscaled.into(), scale }.to_string();
        assert_eq!(text(123, 0), "123");
        assert_eq!(text(-123, 2), "-1.23");
        assert_eq!(text(-5, 1), "-0.5");
        assert_eq!(text(5, 3), "0.005");
        assert_eq!(text(0, 2), "0.00");
        assert_eq!(text(5, 7), "5E-7");
        assert_eq!(text(12, -3), "1.2E+4");
        assert_eq!(text(1, i32::MAX), "1E-2147483647");
        assert_eq!(text(1, i32::MIN), "1E+2147483648");
    }

    #[test]
    fn minimal_keeps_the_sign() {
        assert_eq!(minimal(&[0, 0, 0x80]), [0, 0x80]);
        assert_eq!(minimal(&[0xff, 0xff, 0x7f]), [0xff, 0x7f]);
        assert_eq!(minimal(&[0, 0]), [0]);
        assert_eq!(minimal(&[]), [] as [u8; 0]);
    }

    proptest! {
        #[test]
        fn text_round_trips(unscaled in any::<i128>(), shift in 0u32..127, scale in -50i32..50) {
            let decimal = Decimal { unscaled: (unscaled >> shift).into(), scale };
            prop_assert_eq!(decimal.to_string().parse::<Decimal>(), Ok(decimal));
        }

        #[test]
        fn digits_of_wide_numbers_agree_with_narrow_ones(unscaled in any::<i64>(), padding in 1usize..20) {
            let narrow = unscaled.to_be_bytes();
            let mut wide = vec![if unscaled < 0 { 0xff } else { 0 }; padding];
            wide.extend_from_slice(&narrow);
            prop_assert_eq!(Digits::new(&narrow, 3), Digits::new(&wide, 3));
            let tens = BigInt::from(unscaled) * BigInt::from(10).pow(40);
            let shifted = Digits::new(&tens.to_signed_bytes_be(), 43);
            prop_assert!(shifted.compare(&Digits::new(&narrow, 3)).is_eq());
        }
    }
}

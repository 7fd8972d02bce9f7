//! `varint` and `decimal`.
//!
//! A varint is `sign class | length | minimal big-endian bytes | surplus`: the class is `01` below zero, `02` from zero
//! up; below zero the length is inverted. The surplus counts needless sign bytes, which the value is given back with.
//!
//! A decimal is `sign class`, and unless it is zero `exponent | digits in pairs | 00`, all inverted below zero; then the
//! tie-breaker that gives the scale back: the unscaled number's trailing zeros, or for zero the scale itself; then the
//! surplus. Digits stand without zeros at the end and the exponent is that of 0.d₁d₂…, so equal numbers are equal up to
//! the tie-breaker. A pair of digits is stored plus one: `00` is below every pair.
//!
//! Either's empty value is the class `00` alone.

use num_bigint::{BigInt, Sign};
use tholos_grammar::value::codec::{DecodeError, MAX_NUMBER_BYTES};
use tholos_grammar::value::decimal::{Digits, MAX_NUMBER_DIGITS, minimal};

use super::reader::Reader;
use super::{KeyError, Tie};

const EMPTY: u8 = 0;
const NEGATIVE: u8 = 1;
const ZERO: u8 = 2;
const POSITIVE: u8 = 3;

const END_OF_DIGITS: u8 = 0;

pub(super) fn encode_varint(value: &[u8], tie: Tie, out: &mut Vec<u8>) -> Result<(), KeyError> {
    let number = minimal(value);
    let Some(first) = number.first() else {
        out.push(EMPTY);
        return Ok(());
    };
    if value.len() > MAX_NUMBER_BYTES {
        return Err(refused("varint", "at most 65535 bytes", value));
    }
    let negative = first >> 7 == 1;
    out.push(if negative { NEGATIVE } else { POSITIVE });
    let start = out.len();
    push_count(number.len() - 1, out);
    if negative {
        invert(out, start);
    }
    // Two's complement of one length and sign orders as it is.
    out.extend_from_slice(number);
    push_tie(value.len() - number.len(), tie, out);
    Ok(())
}

pub(super) fn decode_varint(reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Option<()> {
    let negative = match reader.byte()? {
        EMPTY => return Some(()),
        NEGATIVE => true,
        POSITIVE => false,
        _ => return None,
    };
    if negative {
        reader.invert();
    }
    let length = take_count(reader);
    if negative {
        reader.invert();
    }
    let start = out.len();
    reader.copy(length?.checked_add(1)?, out)?;
    insert_surplus(reader, start, negative, out)
}

pub(super) fn encode_decimal(value: &[u8], tie: Tie, out: &mut Vec<u8>) -> Result<(), KeyError> {
    if value.is_empty() {
        out.push(EMPTY);
        return Ok(());
    }
    let (scale, unscaled) = match value.split_first_chunk::<4>() {
        Some((scale, unscaled)) if !unscaled.is_empty() => (i32::from_be_bytes(*scale), unscaled),
        _ => return Err(refused("decimal", "5 bytes or more (or none)", value)),
    };
    if unscaled.len() > MAX_NUMBER_BYTES {
        return Err(refused("decimal", "at most 65539 bytes", value));
    }
    let number = Digits::new(unscaled, scale);
    match number.sign {
        Sign::NoSign => {
            out.push(ZERO);
            let scale = if tie == Tie::Shared { 0 } else { scale };
            out.extend_from_slice(&((scale as u32) ^ (1 << 31)).to_be_bytes());
        }
        Sign::Plus | Sign::Minus => {
            let negative = number.sign == Sign::Minus;
            out.push(if negative { NEGATIVE } else { POSITIVE });
            let start = out.len();
            push_exponent(number.exponent, out);
            push_digits(&number.digits, out);
            if negative {
                invert(out, start);
            }
            let zeros = match tie {
                Tie::Exact => number.trailing_zeros as usize,
                Tie::Shared => shared_zeros(number.exponent, number.digits.len()),
            };
            push_count(zeros, out);
        }
    }
    push_tie(unscaled.len() - minimal(unscaled).len(), tie, out);
    Ok(())
}

/// How many zeros stand behind the digits of the decimal that stands for all equal ones: those of a whole number that is
/// not too long, otherwise no more than the least scale asks for.
fn shared_zeros(exponent: i64, digits: usize) -> usize {
    let digits = digits as i64;
    let whole = if exponent <= SHORT_EXPONENT { exponent - digits } else { 0 };
    let least = exponent + i64::from(i32::MIN) - digits;
    usize::try_from(whole.max(least)).unwrap_or(0)
}

fn refused(ty: &'static str, expected: &'static str, value: &[u8]) -> KeyError {
    DecodeError::Length { ty, expected, got: value.len() }.into()
}

pub(super) fn decode_decimal(reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Option<()> {
    let class = reader.byte()?;
    let (scale, unscaled) = match class {
        EMPTY => return Some(()),
        ZERO => ((u32::from_be_bytes(reader.array()?) ^ (1 << 31)) as i32, BigInt::ZERO),
        NEGATIVE => {
            reader.invert();
            let parts = take_number(reader);
            reader.invert();
            finish_number(reader, Sign::Minus, parts?)?
        }
        POSITIVE => {
            let parts = take_number(reader)?;
            finish_number(reader, Sign::Plus, parts)?
        }
        _ => return None,
    };
    out.extend_from_slice(&scale.to_be_bytes());
    let start = out.len();
    out.extend_from_slice(&unscaled.to_signed_bytes_be());
    insert_surplus(reader, start, class == NEGATIVE, out)
}

fn take_number(reader: &mut Reader<'_>) -> Option<(i64, Vec<u8>)> {
    Some((take_exponent(reader)?, take_digits(reader)?))
}

/// Reads the tie-breaker, and puts scale and unscaled number together.
fn finish_number(
    reader: &mut Reader<'_>,
    sign: Sign,
    (exponent, mut digits): (i64, Vec<u8>),
) -> Option<(i32, BigInt)> {
    let length = digits
        .len()
        .checked_add(take_count(reader)?)
        .filter(|length| *length <= MAX_NUMBER_DIGITS)?;
    digits.resize(length, 0);
    let scale = i32::try_from((length as i64).checked_sub(exponent)?).ok()?;
    Some((scale, BigInt::from_radix_be(sign, &digits, 10)?))
}

/// Two digits to a byte; an odd last digit is followed by a zero, which is told by its being one.
fn push_digits(digits: &[u8], out: &mut Vec<u8>) {
    let (pairs, last) = digits.as_chunks::<2>();
    out.extend(pairs.iter().map(|[tens, ones]| tens * 10 + ones + 1));
    out.extend(last.iter().map(|tens| tens * 10 + 1));
    out.push(END_OF_DIGITS);
}

fn take_digits(reader: &mut Reader<'_>) -> Option<Vec<u8>> {
    let mut digits = Vec::new();
    loop {
        match reader.byte()? {
            END_OF_DIGITS => break,
            pair @ 1..=100 if digits.len() <= MAX_NUMBER_DIGITS => {
                digits.extend([(pair - 1) / 10, (pair - 1) % 10])
            }
            _ => return None,
        }
    }
    // Digits never end in a zero: one at the end is an odd count's filling.
    if digits.last() == Some(&0) {
        digits.pop();
    }
    if digits.is_empty() { None } else { Some(digits) }
}

/// Exponents of this magnitude are one byte.
const SHORT_EXPONENT: i64 = 100;
const EXPONENT_BIAS: i64 = 0x80;
const FAR_BELOW: u8 = 0;
const FAR_ABOVE: u8 = 0xff;

fn push_exponent(exponent: i64, out: &mut Vec<u8>) {
    if (-SHORT_EXPONENT..=SHORT_EXPONENT).contains(&exponent) {
        out.push((exponent + EXPONENT_BIAS) as u8);
        return;
    }
    out.push(if exponent < 0 { FAR_BELOW } else { FAR_ABOVE });
    out.extend_from_slice(&(exponent ^ i64::MIN).to_be_bytes());
}

fn take_exponent(reader: &mut Reader<'_>) -> Option<i64> {
    match reader.byte()? {
        FAR_BELOW | FAR_ABOVE => Some(i64::from_be_bytes(reader.array()?) ^ i64::MIN),
        short => Some(i64::from(short) - EXPONENT_BIAS),
    }
}

/// Counts below this are one byte; others are it and four bytes.
const LONG_COUNT: u8 = 0xff;

/// A count that orders as it is. It is at most a value's length, which the protocol keeps below 2^31.
pub(super) fn push_count(count: usize, out: &mut Vec<u8>) {
    match u8::try_from(count) {
        Ok(short) if short < LONG_COUNT => out.push(short),
        _ => {
            out.push(LONG_COUNT);
            out.extend_from_slice(&u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
        }
    }
}

/// A count that only breaks ties.
fn push_tie(count: usize, tie: Tie, out: &mut Vec<u8>) {
    match tie {
        Tie::Exact => push_count(count, out),
        Tie::Shared => push_count(0, out),
    }
}

pub(super) fn take_count(reader: &mut Reader<'_>) -> Option<usize> {
    match reader.byte()? {
        LONG_COUNT => usize::try_from(u32::from_be_bytes(reader.array()?)).ok(),
        short => Some(short.into()),
    }
}

/// Reads the surplus and puts as many sign bytes before the number at `start`.
fn insert_surplus(
    reader: &mut Reader<'_>,
    start: usize,
    negative: bool,
    out: &mut Vec<u8>,
) -> Option<()> {
    let surplus = take_count(reader)?;
    if surplus == 0 {
        return Some(());
    }
    let length = out.len().checked_sub(start)?;
    if surplus.checked_add(length)? > MAX_NUMBER_BYTES {
        return None;
    }
    out.splice(start..start, std::iter::repeat_n(if negative { 0xff } else { 0 }, surplus));
    Some(())
}

fn invert(out: &mut [u8], start: usize) {
    out.iter_mut().skip(start).for_each(|byte| *byte = !*byte);
}

//! Types of a fixed size, as bytes that order unsigned: signs flipped, floats and UUIDs permuted (see
//! [`tholos_grammar::value::order`]).
//!
//! A value takes as many bytes as in the protocol. Only the smallest, all zero bytes, takes one more, which tells it
//! from the empty value: zeros and `00` are the empty value, zeros and `01` the smallest.

use tholos_grammar::types::Native;
use tholos_grammar::value::codec::{DecodeError, allows_empty};
use tholos_grammar::value::order;

use super::reader::Reader;
use super::{KeyError, Tie};

const EMPTY: u8 = 0;
const SMALLEST: u8 = 1;

pub(super) fn encode(
    native: Native,
    value: &[u8],
    tie: Tie,
    out: &mut Vec<u8>,
) -> Result<(), KeyError> {
    match native {
        Native::Tinyint => push(native, value, out, |n: [u8; 1]| [n[0] ^ SIGN]),
        Native::Boolean => push(native, value, out, |n: [u8; 1]| match (n, tie) {
            ([0], _) | (_, Tie::Exact) => n,
            (_, Tie::Shared) => [1],
        }),
        Native::Smallint => push(native, value, out, |n: [u8; 2]| flip_sign(n)),
        Native::Int => push(native, value, out, |n: [u8; 4]| flip_sign(n)),
        Native::Date => push(native, value, out, |n: [u8; 4]| n),
        Native::Float => push(native, value, out, |n| {
            let is_nan = tie == Tie::Shared && f32::from_be_bytes(n).is_nan();
            let bits = if is_nan { QUIET_NAN_32 } else { u32::from_be_bytes(n) };
            order::f32_to_ordered(bits).to_be_bytes()
        }),
        Native::Bigint | Native::Timestamp => push(native, value, out, |n: [u8; 8]| flip_sign(n)),
        Native::Time => push(native, value, out, |n: [u8; 8]| n),
        Native::Double => push(native, value, out, |n| {
            let is_nan = tie == Tie::Shared && f64::from_be_bytes(n).is_nan();
            let bits = if is_nan { QUIET_NAN_64 } else { u64::from_be_bytes(n) };
            order::f64_to_ordered(bits).to_be_bytes()
        }),
        Native::Uuid => push(native, value, out, |n| {
            order::uuid_to_ordered(u128::from_be_bytes(n)).to_be_bytes()
        }),
        Native::Timeuuid => push(native, value, out, |n| {
            order::timeuuid_to_ordered(u128::from_be_bytes(n)).to_be_bytes()
        }),
        _ => Err(KeyError::Unordered { ty: native.name() }),
    }
}

pub(super) fn decode(native: Native, reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Option<()> {
    match native {
        Native::Tinyint => take(reader, out, |n: [u8; 1]| [n[0] ^ SIGN]),
        Native::Boolean => take(reader, out, |n: [u8; 1]| n),
        Native::Smallint => take(reader, out, |n: [u8; 2]| flip_sign(n)),
        Native::Int => take(reader, out, |n: [u8; 4]| flip_sign(n)),
        Native::Date => take(reader, out, |n: [u8; 4]| n),
        Native::Float => {
            take(reader, out, |n| order::f32_from_ordered(u32::from_be_bytes(n)).to_be_bytes())
        }
        Native::Bigint | Native::Timestamp => take(reader, out, |n: [u8; 8]| flip_sign(n)),
        Native::Time => take(reader, out, |n: [u8; 8]| n),
        Native::Double => {
            take(reader, out, |n| order::f64_from_ordered(u64::from_be_bytes(n)).to_be_bytes())
        }
        Native::Uuid => {
            take(reader, out, |n| order::uuid_from_ordered(u128::from_be_bytes(n)).to_be_bytes())
        }
        Native::Timeuuid => take(reader, out, |n| {
            order::timeuuid_from_ordered(u128::from_be_bytes(n)).to_be_bytes()
        }),
        _ => None,
    }
}

/// The NaN that stands for all, which are one value in CQL.
const QUIET_NAN_32: u32 = 0x7fc0_0000;
const QUIET_NAN_64: u64 = 0x7ff8_0000_0000_0000;

const SIGN: u8 = 0x80;

fn flip_sign<const N: usize>(mut number: [u8; N]) -> [u8; N] {
    if let Some(first) = number.first_mut() {
        *first ^= SIGN;
    }
    number
}

fn push<const N: usize>(
    native: Native,
    value: &[u8],
    out: &mut Vec<u8>,
    to_ordered: impl Fn([u8; N]) -> [u8; N],
) -> Result<(), KeyError> {
    let Ok(bytes) = <[u8; N]>::try_from(value) else {
        if !value.is_empty() {
            return Err(wrong_length(native, value));
        }
        out.extend_from_slice(&[0; N]);
        out.push(EMPTY);
        return Ok(());
    };
    let ordered = to_ordered(bytes);
    out.extend_from_slice(&ordered);
    if ordered == [0; N] {
        out.push(SMALLEST);
    }
    Ok(())
}

fn take<const N: usize>(
    reader: &mut Reader<'_>,
    out: &mut Vec<u8>,
    from_ordered: impl Fn([u8; N]) -> [u8; N],
) -> Option<()> {
    let ordered = reader.array::<N>()?;
    if ordered == [0; N] {
        match reader.byte()? {
            EMPTY => return Some(()),
            SMALLEST => {}
            _ => return None,
        }
    }
    out.extend_from_slice(&from_ordered(ordered));
    Some(())
}

fn wrong_length(native: Native, value: &[u8]) -> KeyError {
    let expected = if allows_empty(native) { "its fixed size (or none)" } else { "its fixed size" };
    DecodeError::Length { ty: native.name(), expected, got: value.len() }.into()
}

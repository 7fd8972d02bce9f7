//! CQL's order of encoded values: what `<`, `ORDER BY`, `min`, sets and map keys mean.
//!
//! | Type | Order |
//! |---|---|
//! | integers, `timestamp`, `varint`, `decimal` | by number |
//! | `float`, `double` | by number, -0.0 before 0.0, NaN last |
//! | `ascii`, `text`, `blob`, `inet`, `date`, `time` | unsigned bytes |
//! | `boolean` | false, true |
//! | `uuid` | version, then time (version 1), then unsigned bytes |
//! | `timeuuid` | time, then signed bytes |
//! | lists, sets, maps, vectors | element by element (key, then value), then the shorter one |
//! | tuples, user types | field by field, null first; fields left out at the end are null |
//!
//! Zero bytes come before everything else. `duration` has no order in CQL (how long is a month?) and `counter` can't be
//! compared with another; asked all the same, durations compare as bytes and counters as numbers.
//!
//! [`compare`] is that order: different bytes may be equal in it (1.0 and 1.00). [`compare_total`] breaks such ties, and
//! is the order of storage keys.

use std::cmp::Ordering;

use super::codec::MAX_NESTING;
use super::codec::elements::{Elements, Entries, Fields, VectorElements};
use super::decimal::{Digits, minimal};
use super::order;
use crate::types::{CqlType, Native};

/// The order of two encoded values of type `ty`. Bytes that are no values of it are ordered somehow, without panicking.
/// Does not allocate, but for `decimal`s of different scales with more than 38 digits.
pub fn compare(ty: &CqlType, a: &[u8], b: &[u8]) -> Ordering {
    compare_at(ty, a, b, Ties::Equal, 0)
}

/// As [`compare`], with ties broken so that only values of the same meaning and form are equal: decimals by scale,
/// varints by needless sign bytes, NaNs by their bits, booleans by their byte, tuples by the nulls written at their end.
pub fn compare_total(ty: &CqlType, a: &[u8], b: &[u8]) -> Ordering {
    compare_at(ty, a, b, Ties::Broken, 0)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ties {
    Equal,
    Broken,
}

impl Ties {
    fn then(self, order: impl FnOnce() -> Ordering) -> Ordering {
        if self == Ties::Broken { order() } else { Ordering::Equal }
    }
}

fn compare_at(ty: &CqlType, a: &[u8], b: &[u8], ties: Ties, depth: usize) -> Ordering {
    if let CqlType::Native(native) = ty {
        return if a.is_empty() || b.is_empty() {
            a.len().cmp(&b.len())
        } else {
            natives(*native, a, b, ties)
        };
    }
    if depth >= MAX_NESTING {
        return a.cmp(b);
    }
    let depth = depth + 1;
    match ty {
        CqlType::Tuple(types) => {
            let of = |bytes| Fields::new(bytes, types.len(), "tuple");
            fields(types.iter(), of(a), of(b), ties, depth)
        }
        CqlType::Udt { definition, .. } => {
            let of = |bytes| Fields::new(bytes, definition.fields.len(), "user type");
            fields(definition.fields.iter().map(|(_, ty)| ty), of(a), of(b), ties, depth)
        }
        _ if a.is_empty() || b.is_empty() => a.len().cmp(&b.len()),
        CqlType::List { element, .. } | CqlType::Set { element, .. } => {
            let of = |bytes| Elements::new(bytes, "list").into_iter().flatten().flatten();
            sequences(of(a), of(b), |a, b| compare_at(element, a, b, ties, depth))
        }
        CqlType::Map { key, value, .. } => {
            let of = |bytes| Entries::new(bytes).into_iter().flatten().flatten();
            sequences(of(a), of(b), |(key_a, value_a), (key_b, value_b)| {
                let keys = compare_at(key, key_a, key_b, ties, depth);
                keys.then_with(|| compare_at(value, value_a, value_b, ties, depth))
            })
        }
        CqlType::Vector { element, dimensions } => {
            let of = |bytes| {
                VectorElements::new(bytes, element, *dimensions).into_iter().flatten().flatten()
            };
            sequences(of(a), of(b), |a, b| compare_at(element, a, b, ties, depth))
        }
        CqlType::Native(_) => a.cmp(b),
    }
}

fn sequences<T>(
    mut a: impl Iterator<Item = T>,
    mut b: impl Iterator<Item = T>,
    compare: impl Fn(T, T) -> Ordering,
) -> Ordering {
    loop {
        let order = match (a.next(), b.next()) {
            (Some(a), Some(b)) => compare(a, b),
            (None, None) => return Ordering::Equal,
            (a, b) => return a.is_some().cmp(&b.is_some()),
        };
        if order.is_ne() {
            return order;
        }
    }
}

fn fields<'a>(
    types: impl Iterator<Item = &'a CqlType>,
    mut a: Fields<'_>,
    mut b: Fields<'_>,
    ties: Ties,
    depth: usize,
) -> Ordering {
    let (mut written_a, mut written_b) = (0, 0);
    for ty in types {
        let (field_a, field_b) = (a.next().and_then(Result::ok), b.next().and_then(Result::ok));
        written_a += usize::from(field_a.is_some());
        written_b += usize::from(field_b.is_some());
        let order = match (field_a.flatten(), field_b.flatten()) {
            (Some(a), Some(b)) => compare_at(ty, a, b, ties, depth),
            (a, b) => a.is_some().cmp(&b.is_some()),
        };
        if order.is_ne() {
            return order;
        }
    }
    ties.then(|| written_a.cmp(&written_b))
}

fn natives(native: Native, a: &[u8], b: &[u8], ties: Ties) -> Ordering {
    match native {
        Native::Ascii
        | Native::Text
        | Native::Blob
        | Native::Inet
        | Native::Date
        | Native::Time
        | Native::Duration => a.cmp(b),
        Native::Boolean => (a != [0]).cmp(&(b != [0])).then_with(|| ties.then(|| a.cmp(b))),
        Native::Tinyint => fixed(a, b, i8::from_be_bytes),
        Native::Smallint => fixed(a, b, i16::from_be_bytes),
        Native::Int => fixed(a, b, i32::from_be_bytes),
        Native::Bigint | Native::Counter | Native::Timestamp => fixed(a, b, i64::from_be_bytes),
        Native::Float => fixed(a, b, |bytes| {
            let number = f32::from_be_bytes(bytes);
            let bits = if number.is_nan() && ties == Ties::Equal {
                f32::NAN.to_bits()
            } else {
                number.to_bits()
            };
            order::f32_to_ordered(bits)
        }),
        Native::Double => fixed(a, b, |bytes| {
            let number = f64::from_be_bytes(bytes);
            let bits = if number.is_nan() && ties == Ties::Equal {
                f64::NAN.to_bits()
            } else {
                number.to_bits()
            };
            order::f64_to_ordered(bits)
        }),
        Native::Uuid => fixed(a, b, |bytes| order::uuid_to_ordered(u128::from_be_bytes(bytes))),
        Native::Timeuuid => {
            fixed(a, b, |bytes| order::timeuuid_to_ordered(u128::from_be_bytes(bytes)))
        }
        Native::Varint => varints(a, b).then_with(|| ties.then(|| a.len().cmp(&b.len()))),
        Native::Decimal => decimals(a, b, ties),
    }
}

/// Compares what `key` makes of values of N bytes; bytes of another length as bytes.
fn fixed<const N: usize, K: Ord>(a: &[u8], b: &[u8], key: impl Fn([u8; N]) -> K) -> Ordering {
    match (a.try_into(), b.try_into()) {
        (Ok(a), Ok(b)) => key(a).cmp(&key(b)),
        _ => a.cmp(b),
    }
}

/// Signed big-endian numbers of any length.
fn varints(a: &[u8], b: &[u8]) -> Ordering {
    let (a, b) = (minimal(a), minimal(b));
    let negative = |bytes: &[u8]| bytes.first().is_some_and(|first| first >> 7 == 1);
    match (negative(a), negative(b)) {
        (false, false) => a.len().cmp(&b.len()).then_with(|| a.cmp(b)),
        (true, true) => b.len().cmp(&a.len()).then_with(|| a.cmp(b)),
        (a_negative, b_negative) => b_negative.cmp(&a_negative),
    }
}

fn decimals(a: &[u8], b: &[u8], ties: Ties) -> Ordering {
    let (Some((scale_a, a)), Some((scale_b, b))) =
        (a.split_first_chunk::<4>(), b.split_first_chunk::<4>())
    else {
        return a.cmp(b);
    };
    let (scale_a, scale_b) = (i32::from_be_bytes(*scale_a), i32::from_be_bytes(*scale_b));
    let numbers = if scale_a == scale_b {
        varints(a, b)
    } else {
        Digits::new(a, scale_a).compare(&Digits::new(b, scale_b))
    };
    numbers.then_with(|| ties.then(|| scale_a.cmp(&scale_b).then_with(|| a.len().cmp(&b.len()))))
}

#[cfg(test)]
mod tests {
    use num_bigint::BigInt;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::value::codec::writer::{CollectionWriter, push_value};
    use crate::value::timeuuid;

    fn of(native: Native, a: &[u8], b: &[u8]) -> Ordering {
        compare(&native.into(), a, b)
    }

    fn decimal(unscaled: i64, scale: i32) -> Vec<u8> {
        let unscaled = BigInt::from(unscaled).to_signed_bytes_be();
        scale.to_be_bytes().into_iter().chain(unscaled).collect()
    }

    fn collection(elements: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = CollectionWriter::new(&mut out);
        elements.iter().for_each(|element| writer.element(element).unwrap());
        writer.finish().unwrap();
        out
    }

    fn tuple(fields: &[Option<&[u8]>]) -> Vec<u8> {
        let mut out = Vec::new();
        fields.iter().for_each(|field| push_value(*field, &mut out).unwrap());
        out
    }

    #[test]
    fn empty_comes_first() {
        for native in Native::ALL {
            assert_eq!(of(native, &[], &[]), Ordering::Equal);
            assert_eq!(of(native, &[], &[0]), Ordering::Less, "{native}");
            assert_eq!(of(native, &[0xff; 16], &[]), Ordering::Greater, "{native}");
        }
    }

    #[test]
    fn equal_numbers_are_equal_but_for_ties() {
        let ty = Native::Decimal.into();
        let (short, long) = (decimal(1, 0), decimal(100, 2));
        assert_eq!(compare(&ty, &short, &long), Ordering::Equal);
        assert_eq!(compare_total(&ty, &short, &long), Ordering::Less);
        assert_eq!(of(Native::Varint, &[0, 0, 1], &[1]), Ordering::Equal);
        assert_eq!(compare_total(&Native::Varint.into(), &[0, 0, 1], &[1]), Ordering::Greater);
        let (quiet, signalling) = (f32::NAN.to_be_bytes(), 0xff80_0001u32.to_be_bytes());
        assert_eq!(of(Native::Float, &quiet, &signalling), Ordering::Equal);
        assert_eq!(of(Native::Boolean, &[1], &[2]), Ordering::Equal);
        assert_eq!(
            decimal(0, 5).cmp(&decimal(0, 6)),
            compare_total(&ty, &decimal(0, 5), &decimal(0, 6))
        );
        assert_eq!(compare(&ty, &decimal(1, i32::MIN), &decimal(9, i32::MAX)), Ordering::Greater);
        assert_eq!(compare(&ty, &decimal(-1, i32::MIN), &decimal(0, i32::MAX)), Ordering::Less);
    }

    #[test]
    fn collections_element_by_element_then_shorter_first() {
        let ty = CqlType::List { element: Box::new(Native::Text.into()), frozen: true };
        let ascending =
            [collection(&[]), collection(&[b"a"]), collection(&[b"a", b"a"]), collection(&[b"aa"])];
        assert!(ascending.windows(2).all(|pair| compare(&ty, &pair[0], &pair[1]).is_lt()));
    }

    #[test]
    fn tuples_field_by_field_null_first() {
        let ty = CqlType::Tuple(vec![Native::Int.into(), Native::Text.into()]);
        let (minus, one) = ((-1i32).to_be_bytes(), 1i32.to_be_bytes());
        let ascending = [
            tuple(&[None, None]),
            tuple(&[None, Some(b"")]),
            tuple(&[Some(&[]), None]),
            tuple(&[Some(&minus), Some(b"z")]),
            tuple(&[Some(&one)]),
            tuple(&[Some(&one), Some(b"")]),
        ];
        assert!(ascending.windows(2).all(|pair| compare(&ty, &pair[0], &pair[1]).is_lt()));
        let (written, left_out) = (tuple(&[Some(&one), None]), tuple(&[Some(&one)]));
        assert_eq!(compare(&ty, &written, &left_out), Ordering::Equal);
        assert_eq!(compare_total(&ty, &written, &left_out), Ordering::Greater);
    }

    proptest! {
        #[test]
        fn numbers_compare_as_numbers(a: i64, b: i64, shift in 0u32..64) {
            let (a, b) = (a >> shift, b >> shift);
            prop_assert_eq!(of(Native::Bigint, &a.to_be_bytes(), &b.to_be_bytes()), a.cmp(&b));
            prop_assert_eq!(of(Native::Varint, &a.to_be_bytes(), &b.to_be_bytes()), a.cmp(&b));
            let minimal = |n: i64| BigInt::from(n).to_signed_bytes_be();
            prop_assert_eq!(of(Native::Varint, &minimal(a), &minimal(b)), a.cmp(&b));
            prop_assert_eq!(of(Native::Int, &(a as i32).to_be_bytes(), &(b as i32).to_be_bytes()), (a as i32).cmp(&(b as i32)));
            prop_assert_eq!(of(Native::Smallint, &(a as i16).to_be_bytes(), &(b as i16).to_be_bytes()), (a as i16).cmp(&(b as i16)));
            prop_assert_eq!(of(Native::Tinyint, &[a as u8], &[b as u8]), (a as i8).cmp(&(b as i8)));
            prop_assert_eq!(of(Native::Timestamp, &a.to_be_bytes(), &b.to_be_bytes()), a.cmp(&b));
        }

        #[test]
        fn decimals_compare_as_numbers(a in -2_000i64..2_000, b in -2_000i64..2_000, scale_a in -4i32..5, scale_b in -4i32..5) {
            // Scaled so that both are whole: enough for these ranges.
            let whole = |n: i64, scale: i32| i128::from(n) * 10i128.pow((5 - scale) as u32);
            let order = whole(a, scale_a).cmp(&whole(b, scale_b));
            prop_assert_eq!(of(Native::Decimal, &decimal(a, scale_a), &decimal(b, scale_b)), order);
        }

        /// The rules of uuid and timeuuid said another way.
        #[test]
        fn uuids_by_version_time_and_bytes(a: u128, b: u128, same_head: bool, versions in (0u8..8, 0u8..8)) {
            let versioned = |bits: u128, version: u8| bits & !(0xf << 76) | u128::from(version) << 76;
            let b = if same_head { a & !0xffff_ffff | b & 0xffff_ffff } else { b };
            let (x, y) = (Uuid::from_u128(versioned(a, versions.0)), Uuid::from_u128(versioned(b, versions.1)));
            let order = x.get_version_num().cmp(&y.get_version_num());
            let order = order.then(timeuuid::unix_ticks(&x).cmp(&timeuuid::unix_ticks(&y)));
            let order = order.then_with(|| x.as_bytes().cmp(y.as_bytes()));
            prop_assert_eq!(of(Native::Uuid, x.as_bytes(), y.as_bytes()), order);
            let (x, y) = (Uuid::from_u128(versioned(a, 1)), Uuid::from_u128(versioned(b, 1)));
            let signed = |uuid: &Uuid| uuid.as_bytes()[8..].iter().map(|byte| *byte as i8).collect::<Vec<_>>();
            let order = timeuuid::unix_ticks(&x).cmp(&timeuuid::unix_ticks(&y)).then(signed(&x).cmp(&signed(&y)));
            prop_assert_eq!(of(Native::Timeuuid, x.as_bytes(), y.as_bytes()), order);
        }
    }
}

use std::cmp::Ordering;
use std::sync::Arc;

use num_bigint::BigInt;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tholos_grammar::types::UserType;
use tholos_grammar::value::codec::MAX_NUMBER_BYTES;
use tholos_grammar::value::codec::writer::{CollectionWriter, push_value, push_vector_element};
use tholos_grammar::value::compare::{compare, compare_total};

use super::*;

type Bytes = Vec<u8>;

/// Values are drawn from few bytes, so that ties, prefixes and edges are met all the time.
fn few_bytes(sizes: impl Into<proptest::collection::SizeRange>) -> impl Strategy<Value = Bytes> {
    vec(select(vec![0u8, 1, 2, 3, 0x7f, 0x80, 0xfe, 0xff]), sizes)
}

fn number_bytes() -> BoxedStrategy<Bytes> {
    let tens =
        (-12i64..12, 0u32..30).prop_map(|(n, power)| BigInt::from(n) * BigInt::from(10).pow(power));
    let long = (any::<bool>(), 250usize..300).prop_map(|(negative, length)| {
        let mut bytes = vec![0x5a; length];
        bytes[0] = if negative { 0x81 } else { 0x7f };
        bytes
    });
    let padded = (tens.clone(), select(vec![1usize, 2, 300])).prop_map(|(n, padding)| {
        let bytes = n.to_signed_bytes_be();
        let mut padded = vec![if bytes[0] >> 7 == 1 { 0xff } else { 0 }; padding];
        padded.extend(bytes);
        padded
    });
    prop_oneof![4 => tens.prop_map(|n| n.to_signed_bytes_be()), 4 => few_bytes(1..6), 1 => long, 1 => padded].boxed()
}

fn fixed_bytes(size: usize) -> BoxedStrategy<Bytes> {
    prop_oneof![
        few_bytes(size),
        vec(any::<u8>(), size),
        select(vec![vec![0; size], vec![0xff; size]])
    ]
    .boxed()
}

fn float_bytes() -> BoxedStrategy<Bytes> {
    let special = [
        0.0f32,
        -0.0,
        1.0,
        -1.0,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::NAN,
        -f32::NAN,
        f32::MIN,
        f32::MAX,
    ];
    prop_oneof![select(special.to_vec()).prop_map(|n| n.to_be_bytes().to_vec()), fixed_bytes(4)]
        .boxed()
}

fn double_bytes() -> BoxedStrategy<Bytes> {
    let special = [
        0.0f64,
        -0.0,
        1.5,
        -1.5,
        f64::INFINITY,
        f64::NEG_INFINITY,
        f64::NAN,
        -f64::NAN,
        f64::MIN,
        f64::MAX,
    ];
    prop_oneof![select(special.to_vec()).prop_map(|n| n.to_be_bytes().to_vec()), fixed_bytes(8)]
        .boxed()
}

fn uuid_bytes(versions: Vec<u8>) -> BoxedStrategy<Bytes> {
    let with_version = (fixed_bytes(16), select(versions)).prop_map(|(mut bytes, version)| {
        bytes[6] = (bytes[6] & 0xf) | version << 4;
        bytes
    });
    with_version.boxed()
}

fn native_bytes(native: Native) -> BoxedStrategy<Bytes> {
    match native {
        Native::Ascii | Native::Text => {
            "[\0\u{1}\u{2}ab]{0,5}".prop_map(String::into_bytes).boxed()
        }
        Native::Blob => few_bytes(0..6).boxed(),
        Native::Inet => prop_oneof![few_bytes(4), few_bytes(16)].boxed(),
        Native::Boolean | Native::Tinyint => fixed_bytes(1),
        Native::Smallint => fixed_bytes(2),
        Native::Int | Native::Date => fixed_bytes(4),
        Native::Bigint | Native::Timestamp | Native::Time => fixed_bytes(8),
        Native::Float => float_bytes(),
        Native::Double => double_bytes(),
        Native::Uuid => uuid_bytes(vec![0, 1, 4, 7]),
        Native::Timeuuid => uuid_bytes(vec![1]),
        Native::Varint => number_bytes(),
        Native::Decimal => {
            let scale =
                prop_oneof![4 => -30..30i32, 1 => select(vec![i32::MIN, i32::MAX, 101, -101])];
            (scale, number_bytes())
                .prop_map(|(scale, unscaled)| {
                    scale.to_be_bytes().into_iter().chain(unscaled).collect()
                })
                .boxed()
        }
        Native::Counter | Native::Duration => unreachable!("not generated as keys"),
    }
}

fn any_type() -> impl Strategy<Value = CqlType> {
    let ordered =
        Native::ALL.into_iter().filter(|n| !matches!(n, Native::Counter | Native::Duration));
    let native = select(ordered.map(CqlType::Native).collect::<Vec<_>>());
    native.prop_recursive(3, 8, 3, |inner| {
        let boxed = inner.clone().prop_map(Box::new);
        prop_oneof![
            boxed.clone().prop_map(|element| CqlType::List { element, frozen: true }),
            boxed.clone().prop_map(|element| CqlType::Set { element, frozen: true }),
            (boxed.clone(), boxed.clone()).prop_map(|(key, value)| CqlType::Map {
                key,
                value,
                frozen: true
            }),
            vec(inner.clone(), 1..4).prop_map(CqlType::Tuple),
            vec(inner, 1..4).prop_map(user_type),
            (boxed, 1u32..3)
                .prop_map(|(element, dimensions)| CqlType::Vector { element, dimensions }),
        ]
    })
}

fn user_type(types: Vec<CqlType>) -> CqlType {
    let fields = types
        .into_iter()
        .enumerate()
        .map(|(i, ty)| (format!("f{i}").as_str().into(), ty))
        .collect();
    let definition = Arc::new(UserType { keyspace: "ks".into(), name: "ut".into(), fields });
    CqlType::Udt { definition, frozen: true }
}

fn value_bytes(ty: &CqlType) -> BoxedStrategy<Bytes> {
    let value = match ty {
        CqlType::Native(native) => native_bytes(*native),
        CqlType::List { element, .. } | CqlType::Set { element, .. } => {
            vec(value_bytes(element), 0..3).prop_map(|elements| collection(&elements)).boxed()
        }
        CqlType::Map { key, value, .. } => vec((value_bytes(key), value_bytes(value)), 0..3)
            .prop_map(|entries| {
                let mut out = Vec::new();
                let mut writer = CollectionWriter::new(&mut out);
                entries.iter().for_each(|(key, value)| writer.entry(key, Some(value)).unwrap());
                writer.finish().unwrap();
                out
            })
            .boxed(),
        CqlType::Tuple(types) => field_bytes(types.iter()),
        CqlType::Udt { definition, .. } => field_bytes(definition.fields.iter().map(|(_, ty)| ty)),
        CqlType::Vector { element, dimensions } => {
            let ty = (**element).clone();
            let full = value_bytes(element).prop_filter("a fixed-size element has its size", {
                let ty = ty.clone();
                move |bytes| ty.fixed_size().is_none_or(|size| bytes.len() == size)
            });
            vec(full, *dimensions as usize)
                .prop_map(move |elements| {
                    let mut out = Vec::new();
                    elements.iter().for_each(|element| push_vector_element(&ty, element, &mut out));
                    out
                })
                .boxed()
        }
    };
    prop_oneof![15 => value, 1 => Just(Vec::new())].boxed()
}

fn collection(elements: &[Bytes]) -> Bytes {
    let mut out = Vec::new();
    let mut writer = CollectionWriter::new(&mut out);
    elements.iter().for_each(|element| writer.element(element).unwrap());
    writer.finish().unwrap();
    out
}

fn field_bytes<'a>(types: impl Iterator<Item = &'a CqlType>) -> BoxedStrategy<Bytes> {
    let fields: Vec<_> = types.map(|ty| proptest::option::of(value_bytes(ty))).collect();
    let declared = fields.len();
    (fields, 0..=declared)
        .prop_map(|(fields, kept)| {
            let mut out = Vec::new();
            fields
                .iter()
                .take(kept)
                .for_each(|field| push_value(field.as_deref(), &mut out).unwrap());
            out
        })
        .boxed()
}

fn typed_pair() -> impl Strategy<Value = (CqlType, Bytes, Bytes)> {
    any_type().prop_flat_map(|ty| {
        let (a, b) = (value_bytes(&ty), value_bytes(&ty));
        (Just(ty), a, b)
    })
}

fn encoded(ty: &CqlType, value: &[u8], descending: bool) -> Bytes {
    let mut out = Vec::new();
    encode_component(ty, value, descending, &mut out).unwrap();
    out
}

fn shared(ty: &CqlType, value: &[u8], descending: bool) -> Bytes {
    let mut out = Vec::new();
    encode_shared(ty, value, descending, &mut out).unwrap();
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn memcmp_is_typed_order((ty, a, b) in typed_pair()) {
        let order = compare_total(&ty, &a, &b);
        prop_assert_eq!(encoded(&ty, &a, false).cmp(&encoded(&ty, &b, false)), order);
        prop_assert_eq!(encoded(&ty, &a, true).cmp(&encoded(&ty, &b, true)), order.reverse());
        prop_assert_eq!(order == Ordering::Equal, a == b);
    }

    /// No encoding is a prefix of another: what follows can't change the order.
    #[test]
    fn what_follows_does_not_matter(
        (ty, a, b) in typed_pair(),
        after_a in few_bytes(0..6),
        after_b in few_bytes(0..6),
        descending: bool,
    ) {
        let order = compare_total(&ty, &a, &b);
        if a == b {
            return Ok(());
        }
        let (mut a, mut b) = (encoded(&ty, &a, descending), encoded(&ty, &b, descending));
        prop_assert!(!a.starts_with(&b) && !b.starts_with(&a));
        a.extend(after_a);
        b.extend(after_b);
        prop_assert_eq!(a.cmp(&b), if descending { order.reverse() } else { order });
    }

    #[test]
    fn two_components_order_by_the_first_difference(
        (first, a1, b1) in typed_pair(),
        (second, a2, b2) in typed_pair(),
        descending: (bool, bool),
    ) {
        let both = |x: &[u8], y: &[u8]| {
            let mut out = encoded(&first, x, descending.0);
            encode_component(&second, y, descending.1, &mut out).unwrap();
            out
        };
        let turned = |order: Ordering, descending| if descending { order.reverse() } else { order };
        let order = turned(compare_total(&first, &a1, &b1), descending.0)
            .then(turned(compare_total(&second, &a2, &b2), descending.1));
        prop_assert_eq!(both(&a1, &a2).cmp(&both(&b1, &b2)), order);
    }

    #[test]
    fn decodes_to_the_same_bytes((ty, value, _) in typed_pair(), after in few_bytes(0..6), descending: bool) {
        let mut input = encoded(&ty, &value, descending);
        let length = input.len();
        input.extend(&after);
        let (mut rest, mut out) = (&input[..], vec![42]);
        decode_component(&ty, descending, &mut rest, &mut out).unwrap();
        prop_assert_eq!(&out[1..], &value[..]);
        prop_assert_eq!(rest, &after[..]);
        for cut in 0..length {
            let mut rest = &input[..cut];
            prop_assert!(decode_component(&ty, descending, &mut rest, &mut out).is_err());
            prop_assert_eq!(rest.len(), cut);
            prop_assert_eq!(out.len(), value.len() + 1);
        }
    }

    /// Shared encodings are equal for what CQL calls equal, order as CQL does, and decode to one of the equal values.
    #[test]
    fn shared_encodings_are_one_for_what_cql_calls_equal((ty, a, b) in typed_pair(), descending: bool) {
        let order = compare(&ty, &a, &b);
        let key = shared(&ty, &a, descending);
        let expected = if descending { order.reverse() } else { order };
        prop_assert_eq!(key.cmp(&shared(&ty, &b, descending)), expected);
        let (mut rest, mut value) = (&key[..], Vec::new());
        decode_component(&ty, descending, &mut rest, &mut value).unwrap();
        prop_assert!(rest.is_empty());
        prop_assert_eq!(compare(&ty, &a, &value), Ordering::Equal);
        prop_assert_eq!(shared(&ty, &value, descending), key);
    }

    #[test]
    fn any_bytes_are_no_panic(ty in any_type(), bytes in few_bytes(0..24), descending: bool) {
        let (mut rest, mut out) = (&bytes[..], Vec::new());
        if decode_component(&ty, descending, &mut rest, &mut out).is_ok() {
            let _ = encode_component(&ty, &out, descending, &mut Vec::new());
        }
        let _ = encode_component(&ty, &bytes, descending, &mut Vec::new());
    }
}

#[test]
fn known_bytes() {
    let of = |native: Native, value: &[u8]| encoded(&native.into(), value, false);
    assert_eq!(of(Native::Int, &1i32.to_be_bytes()), [0x80, 0, 0, 1]);
    assert_eq!(of(Native::Int, &i32::MIN.to_be_bytes()), [0, 0, 0, 0, 1]);
    assert_eq!(of(Native::Int, &[]), [0, 0, 0, 0, 0]);
    assert_eq!(of(Native::Text, b"ab"), [b'a', b'b', 0]);
    assert_eq!(of(Native::Blob, &[0, 1, 2]), [1, 1, 1, 2, 2, 0]);
    assert_eq!(of(Native::Varint, &[0xff]), [1, 0xff, 0xff, 0]);
    assert_eq!(of(Native::Decimal, &[0, 0, 0, 2, 100]), [3, 0x81, 11, 0, 2, 0], "1.00");
    assert_eq!(encoded(&Native::Text.into(), b"ab", true), [!b'a', !b'b', 0xff]);
    let tuple = CqlType::Tuple(vec![Native::Text.into(), Native::Text.into()]);
    let null = [255, 255, 255, 255];
    assert_eq!(encoded(&tuple, &null, false), [0, 1], "one null written");
    assert_eq!(encoded(&tuple, &[&null[..], &[0, 0, 0, 0]].concat(), false), [1, 2, 0, 0, 0]);
}

/// What is given back of a decimal that several representations share.
#[test]
fn shared_decimals_are_given_back_plain() {
    let decimal = |scale: i32, unscaled: i64| {
        let unscaled = BigInt::from(unscaled).to_signed_bytes_be();
        [&scale.to_be_bytes()[..], &unscaled].concat()
    };
    let given_back = |value: Bytes| {
        let key = shared(&Native::Decimal.into(), &value, false);
        let mut out = Vec::new();
        decode_component(&Native::Decimal.into(), false, &mut &key[..], &mut out).unwrap();
        out
    };
    assert_eq!(given_back(decimal(2, 100)), decimal(0, 1), "1.00");
    assert_eq!(given_back(decimal(2, -150)), decimal(1, -15), "-1.50");
    assert_eq!(given_back(decimal(-2, 1)), decimal(0, 100), "1E+2");
    assert_eq!(given_back(decimal(-200, 10)), decimal(-201, 1), "1E+201");
    assert_eq!(given_back(decimal(3, 0)), decimal(0, 0), "0.000");
    assert_eq!(given_back(decimal(i32::MIN, 10)), decimal(i32::MIN, 10), "the least scale");
}

/// Fields can be added to a user type that is part of a key: keys written before must read back as they were.
#[test]
fn keys_of_a_user_type_outlive_added_fields() {
    let (old, new) = (
        user_type(vec![Native::Int.into()]),
        user_type(vec![Native::Int.into(), Native::Text.into()]),
    );
    let mut value = Vec::new();
    push_value(Some(&7i32.to_be_bytes()), &mut value).unwrap();
    let key = encoded(&old, &value, true);
    assert_eq!(key, encoded(&new, &value, true));
    let mut out = Vec::new();
    decode_component(&new, true, &mut &key[..], &mut out).unwrap();
    assert_eq!(out, value);
}

#[test]
fn types_without_order_are_refused() {
    for native in [Native::Duration, Native::Counter] {
        let mut out = vec![1];
        let error = encode_component(&native.into(), &[0; 8], false, &mut out).unwrap_err();
        assert_eq!(error, KeyError::Unordered { ty: native.name() });
        let list = CqlType::List { element: Box::new(native.into()), frozen: true };
        assert!(encode_component(&list, &collection(&[vec![0; 8]]), false, &mut out).is_err());
        assert_eq!(out, [1], "nothing is left of a failed component");
    }
}

#[test]
fn deep_types_are_refused() {
    let wrap = |ty| CqlType::List { element: Box::new(ty), frozen: true };
    let ty = (0..=MAX_NESTING).fold(CqlType::from(Native::Int), |ty, _| wrap(ty));
    let value = (0..=MAX_NESTING).fold(vec![0; 4], |value, _| collection(&[value]));
    assert_eq!(encode_component(&ty, &value, false, &mut Vec::new()), Err(KeyError::Nesting));
    let mut input = &[2u8; 200][..];
    assert_eq!(decode_component(&ty, false, &mut input, &mut Vec::new()), Err(KeyError::Nesting));
}

#[test]
fn the_longest_numbers_round_trip() {
    for first in [0x7f, 0x80, 0xff, 0x00] {
        let mut value = vec![0xff; 4 + MAX_NUMBER_BYTES];
        value[4] = first;
        for (native, value) in [(Native::Decimal, &value[..]), (Native::Varint, &value[4..])] {
            let key = encoded(&native.into(), value, false);
            let mut out = Vec::new();
            decode_component(&native.into(), false, &mut &key[..], &mut out).unwrap();
            assert!(out == value, "{native} {first:#x}");
        }
    }
}

#[test]
fn wrong_sizes_are_refused() {
    for (native, bytes) in
        [(Native::Int, 3), (Native::Uuid, 15), (Native::Decimal, 4), (Native::Varint, 65_536)]
    {
        assert!(
            encode_component(&native.into(), &vec![1; bytes], false, &mut Vec::new()).is_err(),
            "{native}"
        );
    }
}

use std::sync::Arc;

use num_bigint::BigInt;
use proptest::collection::vec;
use proptest::prelude::*;
use uuid::Uuid;

use super::elements::{Elements, Entries, Fields, VectorElements};
use super::*;
use crate::name::Name;
use crate::types::{Native, UserType};
use crate::value::Duration;

fn list(element: CqlType) -> CqlType {
    CqlType::List { element: Box::new(element), frozen: true }
}

fn set(element: CqlType) -> CqlType {
    CqlType::Set { element: Box::new(element), frozen: true }
}

fn map(key: CqlType, value: CqlType) -> CqlType {
    CqlType::Map { key: Box::new(key), value: Box::new(value), frozen: true }
}

fn udt(fields: Vec<CqlType>) -> CqlType {
    let fields = fields
        .into_iter()
        .enumerate()
        .map(|(i, ty)| (Name::folded(&format!("f{i}")), ty))
        .collect();
    let definition = Arc::new(UserType { keyspace: "ks".into(), name: "address".into(), fields });
    CqlType::Udt { definition, frozen: true }
}

fn any_type() -> impl Strategy<Value = CqlType> {
    let native = (0..Native::ALL.len()).prop_map(|i| CqlType::Native(Native::ALL[i]));
    native.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(list),
            inner.clone().prop_map(set),
            (inner.clone(), inner.clone()).prop_map(|(k, v)| map(k, v)),
            vec(inner.clone(), 1..4).prop_map(CqlType::Tuple),
            vec(inner.clone(), 1..4).prop_map(udt),
            (inner, 1u32..4).prop_map(|(element, dimensions)| CqlType::Vector {
                element: Box::new(element),
                dimensions
            }),
        ]
    })
}

fn native_value(native: Native) -> BoxedStrategy<Value> {
    let number = vec(any::<u8>(), 0..20).prop_map(|bytes| BigInt::from_signed_bytes_be(&bytes));
    match native {
        Native::Ascii => "[ -~]{0,8}".prop_map(Value::Text).boxed(),
        Native::Text => "\\PC{0,8}".prop_map(Value::Text).boxed(),
        Native::Blob => vec(any::<u8>(), 0..9).prop_map(Value::Blob).boxed(),
        Native::Boolean => any::<bool>().prop_map(Value::Boolean).boxed(),
        Native::Tinyint => any::<i8>().prop_map(Value::Tinyint).boxed(),
        Native::Smallint => any::<i16>().prop_map(Value::Smallint).boxed(),
        Native::Int => any::<i32>().prop_map(Value::Int).boxed(),
        Native::Bigint | Native::Counter => any::<i64>().prop_map(Value::Bigint).boxed(),
        Native::Varint => number.prop_map(Value::Varint).boxed(),
        Native::Decimal => (number, any::<i32>())
            .prop_map(|(unscaled, scale)| Value::Decimal { unscaled, scale })
            .boxed(),
        Native::Float => any::<f32>().prop_map(Value::Float).boxed(),
        Native::Double => any::<f64>().prop_map(Value::Double).boxed(),
        Native::Date => any::<u32>().prop_map(Value::Date).boxed(),
        Native::Time => (0..TIME_LIMIT_NS).prop_map(Value::Time).boxed(),
        Native::Timestamp => any::<i64>().prop_map(Value::Timestamp).boxed(),
        Native::Duration => (any::<(i32, i32, i64)>(), any::<bool>())
            .prop_map(|((months, days, nanoseconds), negative)| {
                let sign = |n: i64| if negative { n.min(!n) } else { n.max(!n) };
                let small = |n: i32| sign(n.into()) as i32;
                Value::Duration(Duration {
                    months: small(months),
                    days: small(days),
                    nanoseconds: sign(nanoseconds),
                })
            })
            .boxed(),
        Native::Uuid => any::<u128>().prop_map(|bits| Value::Uuid(Uuid::from_u128(bits))).boxed(),
        Native::Timeuuid => any::<u128>()
            .prop_map(|bits| Value::Uuid(Uuid::from_u128(bits & !(0xf << 76) | 1 << 76)))
            .boxed(),
        Native::Inet => any::<std::net::IpAddr>().prop_map(Value::Inet).boxed(),
    }
}

fn value_of(ty: &CqlType, in_vector: bool) -> BoxedStrategy<Value> {
    match ty {
        CqlType::Native(native) => {
            let value = native_value(*native);
            let text = matches!(native, Native::Ascii | Native::Text | Native::Blob);
            if !allows_empty(*native) || text || in_vector {
                return value;
            }
            prop_oneof![9 => value, 1 => Just(Value::Empty)].boxed()
        }
        CqlType::List { element, .. } => {
            vec(value_of(element, false), 0..4).prop_map(Value::List).boxed()
        }
        CqlType::Set { element, .. } => {
            vec(value_of(element, false), 0..4).prop_map(Value::Set).boxed()
        }
        CqlType::Map { key, value, .. } => {
            vec((value_of(key, false), value_of(value, false)), 0..4).prop_map(Value::Map).boxed()
        }
        CqlType::Tuple(types) => fields_of(types.iter()).prop_map(Value::Tuple).boxed(),
        CqlType::Udt { definition, .. } => {
            let names: Vec<Name> = definition.fields.iter().map(|(name, _)| name.clone()).collect();
            let fields = fields_of(definition.fields.iter().map(|(_, ty)| ty));
            fields
                .prop_map(move |fields| Value::Udt(names.iter().cloned().zip(fields).collect()))
                .boxed()
        }
        CqlType::Vector { element, dimensions } => {
            vec(value_of(element, true), *dimensions as usize).prop_map(Value::Vector).boxed()
        }
    }
}

fn fields_of<'a>(types: impl Iterator<Item = &'a CqlType>) -> BoxedStrategy<Vec<Option<Value>>> {
    let fields: Vec<_> = types.map(|ty| proptest::option::of(value_of(ty, false))).collect();
    let declared = fields.len();
    let truncated = (fields, 0..=declared).prop_map(|(mut fields, kept)| {
        fields.truncate(kept);
        fields
    });
    truncated.boxed()
}

fn typed_value() -> impl Strategy<Value = (CqlType, Value)> {
    any_type().prop_flat_map(|ty| {
        let value = value_of(&ty, false);
        (Just(ty), value)
    })
}

fn encoded(value: &Value, ty: &CqlType) -> Vec<u8> {
    let mut out = Vec::new();
    value.encode(ty, &mut out).unwrap();
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn round_trips((ty, value) in typed_value()) {
        let bytes = encoded(&value, &ty);
        prop_assert_eq!(validate(&ty, &bytes), Ok(()));
        let decoded = Value::decode(&ty, &bytes).unwrap();
        prop_assert_eq!(encoded(&decoded, &ty), bytes);
        // NaN is not equal to itself; the bytes have told already.
        let has_nan = format!("{value:?}").contains("NaN");
        prop_assert!(has_nan || decoded == value);
    }

    #[test]
    fn validate_and_decode_agree_on_any_bytes(ty in any_type(), bytes in vec(any::<u8>(), 0..40)) {
        prop_assert_eq!(validate(&ty, &bytes).err(), Value::decode(&ty, &bytes).err());
    }

    /// Bytes close to a real value reach deeper than random ones.
    #[test]
    fn validate_and_decode_agree_on_damaged_values(
        (ty, value) in typed_value(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<prop::sample::Index>(),
        tail in prop_oneof![Just(vec![]), Just(vec![0; 4]), Just(vec![255; 4]), vec(any::<u8>(), 1..4)],
    ) {
        let mut bytes = encoded(&value, &ty);
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            bytes.truncate(cut.index(bytes.len() * 2) + 1);
        }
        bytes.extend_from_slice(&tail);
        prop_assert_eq!(validate(&ty, &bytes).err(), Value::decode(&ty, &bytes).err());
        let _ = canonical(&ty, &bytes);
        let _ = crate::value::compare::compare(&ty, &bytes, &encoded(&value, &ty));
    }

    #[test]
    fn canonical_is_a_fixed_point((ty, value) in typed_value()) {
        let bytes = encoded(&value, &ty);
        let once = canonical(&ty, &bytes).unwrap().into_owned();
        prop_assert_eq!(validate(&ty, &once), Ok(()));
        prop_assert_eq!(canonical(&ty, &once).unwrap().into_owned(), once);
    }
}

#[test]
fn known_bytes() {
    let int = || CqlType::Native(Native::Int);
    let bytes = encoded(&Value::List(vec![Value::Int(1), Value::Int(-1)]), &list(int()));
    assert_eq!(bytes, [0, 0, 0, 2, 0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 4, 255, 255, 255, 255]);
    let tuple = CqlType::Tuple(vec![int(), int()]);
    assert_eq!(
        encoded(&Value::Tuple(vec![None, Some(Value::Int(2))]), &tuple),
        [255, 255, 255, 255, 0, 0, 0, 4, 0, 0, 0, 2]
    );
    let ints = CqlType::Vector { element: Box::new(int()), dimensions: 2 };
    assert_eq!(
        encoded(&Value::Vector(vec![Value::Int(1), Value::Int(2)]), &ints),
        [0, 0, 0, 1, 0, 0, 0, 2]
    );
    let texts = CqlType::Vector { element: Box::new(Native::Text.into()), dimensions: 2 };
    let text = |text: &str| Value::Text(text.to_owned());
    assert_eq!(encoded(&Value::Vector(vec![text("a"), text("")]), &texts), [1, b'a', 0]);
    let duration = Value::Duration(Duration { months: 1, days: 2, nanoseconds: 3 });
    assert_eq!(encoded(&duration, &Native::Duration.into()), [2, 4, 6]);
    let decimal = Value::Decimal { unscaled: (-128).into(), scale: 2 };
    assert_eq!(encoded(&decimal, &Native::Decimal.into()), [0, 0, 0, 2, 0x80]);
}

#[test]
fn refuses_what_is_out_of_range() {
    let refused = |native: Native, bytes: &[u8]| validate(&native.into(), bytes).unwrap_err();
    assert!(matches!(
        refused(Native::Time, &TIME_LIMIT_NS.to_be_bytes()),
        DecodeError::Range { .. }
    ));
    assert!(matches!(refused(Native::Time, &(-1i64).to_be_bytes()), DecodeError::Range { .. }));
    for version in [0x00, 0x20, 0x40, 0x70] {
        assert!(matches!(refused(Native::Timeuuid, &[version; 16]), DecodeError::Range { .. }));
    }
    assert!(matches!(refused(Native::Duration, &[1, 2, 0]), DecodeError::Range { .. }));
    assert!(matches!(refused(Native::Duration, &[0, 0, 0, 0]), DecodeError::TrailingBytes { .. }));
    assert!(matches!(refused(Native::Inet, &[0; 5]), DecodeError::Length { .. }));
    assert!(matches!(refused(Native::Tinyint, &[]), DecodeError::Length { .. }));
    assert_eq!(refused(Native::Ascii, b"ab\x80"), DecodeError::Ascii { offset: 2, byte: 0x80 });
    assert_eq!(refused(Native::Text, b"ab\xff"), DecodeError::Utf8 { offset: 2 });
    assert!(matches!(
        refused(Native::Varint, &vec![1; MAX_NUMBER_BYTES + 1]),
        DecodeError::Range { .. }
    ));
}

#[test]
fn counts_are_checked_before_allocation() {
    let ty = list(Native::Int.into());
    for bytes in
        [&[0x7f, 0xff, 0xff, 0xff][..], &[0xff, 0xff, 0xff, 0xff], &[0, 0, 0, 2, 0, 0, 0, 0]]
    {
        assert!(matches!(Value::decode(&ty, bytes), Err(DecodeError::Count { .. })), "{bytes:?}");
    }
    let vast = CqlType::Vector { element: Box::new(Native::Text.into()), dimensions: u32::MAX };
    assert!(matches!(Value::decode(&vast, &[0; 9]), Err(DecodeError::Truncated { .. })));
}

#[test]
fn nesting_is_limited() {
    let nested = |levels| (0..levels).fold(CqlType::from(Native::Int), |ty, _| list(ty));
    let bytes = |levels: usize| {
        (0..levels).fold(Vec::new(), |inner: Vec<u8>, _| {
            let mut out = vec![0, 0, 0, 1];
            writer::push_value(Some(&inner), &mut out).unwrap();
            out
        })
    };
    assert_eq!(validate(&nested(MAX_NESTING), &bytes(MAX_NESTING)), Ok(()));
    assert!(canonical(&nested(MAX_NESTING), &bytes(MAX_NESTING)).is_ok());
    assert_eq!(
        validate(&nested(MAX_NESTING + 1), &bytes(MAX_NESTING + 1)),
        Err(DecodeError::Nesting)
    );
}

#[test]
fn nulls_inside_collections_are_refused() {
    let bytes = [0, 0, 0, 1, 255, 255, 255, 255];
    assert_eq!(
        validate(&set(Native::Int.into()), &bytes),
        Err(DecodeError::NullElement { ty: "set" })
    );
}

#[test]
fn canonical_sorts_and_drops_duplicates() {
    let ty = map(set(Native::Int.into()), Native::Text.into());
    let ints = |numbers: &[i32]| Value::Set(numbers.iter().map(|n| Value::Int(*n)).collect());
    let text = |text: &str| Value::Text(text.to_owned());
    let given = Value::Map(vec![
        (ints(&[3, 1, 3]), text("first")),
        (ints(&[-1]), text("negative")),
        (ints(&[1, 3]), text("last")),
    ]);
    let bytes = canonical(&ty, &encoded(&given, &ty)).unwrap().into_owned();
    let expected = Value::Map(vec![(ints(&[-1]), text("negative")), (ints(&[1, 3]), text("last"))]);
    assert_eq!(Value::decode(&ty, &bytes).unwrap(), expected);
}

#[test]
fn wrong_values_are_refused() {
    let refused =
        |value: Value, ty: CqlType| value.encode(&ty, &mut Vec::new()).unwrap_err().to_string();
    assert_eq!(
        refused(Value::Int(1), Native::Text.into()),
        "expected a value of type text, got one of type int"
    );
    let ty = udt(vec![Native::Int.into()]);
    assert_eq!(refused(Value::Udt(vec![("g".into(), None)]), ty), "type address has no field g");
    let ty = CqlType::Vector { element: Box::new(Native::Int.into()), dimensions: 2 };
    assert_eq!(refused(Value::Vector(vec![]), ty), "type vector<int, 2> takes 2 elements, got 0");
}

#[test]
fn udt_fields_are_put_in_their_order() {
    let ty = udt(vec![Native::Int.into(), Native::Int.into(), Native::Int.into()]);
    let bytes = encoded(&Value::Udt(vec![("f1".into(), Some(Value::Int(7)))]), &ty);
    let back = Value::decode(&ty, &bytes).unwrap();
    assert_eq!(back, Value::Udt(vec![("f0".into(), None), ("f1".into(), Some(Value::Int(7)))]));
}

#[test]
fn iterators_stop_after_an_error() {
    assert_eq!(Elements::new(&[0, 0, 0, 1, 0, 0, 0, 9], "list").unwrap().count(), 1);
    assert_eq!(Elements::new(&[0, 0, 0, 0, 7], "list").unwrap().count(), 1);
    assert_eq!(Entries::new(&[0, 0, 0, 1, 0, 0, 0, 0, 255, 255, 255, 255]).unwrap().count(), 1);
    assert_eq!(Fields::new(&[255; 12], 2, "tuple").filter(Result::is_err).count(), 1);
    let int = CqlType::Native(Native::Int);
    assert!(VectorElements::new(&[0; 9], &int, 2).unwrap().last().unwrap().is_err());
}

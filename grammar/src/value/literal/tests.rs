use std::sync::Arc;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::ast::term::Literal;
use crate::name::Name;
use crate::types::{Native, UserType};
use crate::value::codec::TIME_LIMIT_NS;
use crate::value::{Duration, codec};

fn text_of(value: Value) -> String {
    value.text(&Native::Int.into())
}

fn from_text(native: Native, text: &str) -> Result<Value, LiteralError> {
    from_literal(&Literal::Text(text.to_owned()), &native.into())
}

fn timestamp(text: &str) -> i64 {
    match from_text(Native::Timestamp, text) {
        Ok(Value::Timestamp(ms)) => ms,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn timestamps_in_every_form() {
    let day = 1_296_691_200_000;
    for text in [
        "2011-02-03",
        "2011-02-03+0000",
        "2011-02-03 00:00",
        "2011-2-3T00:00:00.000Z",
        "2011-02-03 02:00+02",
        "2011-02-02 24:00",
        "2011-02-03 0:0:0",
    ] {
        assert_eq!(timestamp(text), day, "{text}");
    }
    let time = day + 4 * 3_600_000 + 5 * 60_000;
    for text in [
        "2011-02-03 04:05+0000",
        "2011-02-03 04:05 +00:00",
        "2011-02-03T04:05Z",
        "2011-02-03T09:35:00+05:30",
    ] {
        assert_eq!(timestamp(text), time, "{text}");
    }
    assert_eq!(timestamp("2011-02-03 04:05:06.1"), time + 6_100);
    assert_eq!(timestamp("2011-02-03 04:05:06.123999-0000"), time + 6_123);
    assert_eq!(timestamp("2011-02-02 20:35:00-0730"), time, "west of UTC is behind it");
    assert_eq!(timestamp("1969-12-31 23:59:59.999"), -1);
    assert_eq!(timestamp("1299038700000"), 1_299_038_700_000);
    assert_eq!(timestamp("-0001-01-01"), -62_198_755_200_000);
    let bad = [
        "",
        "2011-02",
        "2011-13-01",
        "2011-02-29",
        "2011-02-03 24:01",
        "2011-02-03 25:00",
        "2011-02-03 04:60",
        "2011-02-03 4",
        "2011-02-03 04:05:06.",
        "2011-02-03 04:05:06.1234567890",
        "2011-02-03 04:05+1900",
        "2011-02-03 04:05+00:",
        "2011-02-03 04:05 X",
        "2011-02-03T",
        "2011-02-03 ",
        "999999999-01-01",
        "é",
        "2011-02-03é",
        "+-2011-02-03",
        "--2011-02-03",
    ];
    for text in bad {
        assert!(from_text(Native::Timestamp, text).is_err(), "{text}");
    }
}

/// What Cassandra 5.0.9 makes of them.
#[test]
fn timestamps_with_named_zones() {
    for (text, expected) in [
        ("2020-01-01 00:00 CET", "2019-12-31 23:00:00.000+0000"),
        ("2020-07-01 00:00 CET", "2020-06-30 22:00:00.000+0000"),
        ("2020-07-01 00:00 CEST", "2020-06-30 22:00:00.000+0000"),
        ("2020-07-01 00:00 Europe/Paris", "2020-06-30 22:00:00.000+0000"),
        ("2020-07-01 Europe/Paris", "2020-06-30 22:00:00.000+0000"),
        ("2020-07-01T00:00:01.123 America/New_York", "2020-07-01 04:00:01.123+0000"),
        ("2020-07-01 00:00:01.123 EST", "2020-07-01 04:00:01.123+0000"),
        ("2020-07-01 00:00:01 PST", "2020-07-01 07:00:01.000+0000"),
        ("2020-07-01 00:00 JST", "2020-06-30 15:00:00.000+0000"),
        ("2020-07-01 00:00 AEST", "2020-06-30 14:00:00.000+0000"),
        ("2020-07-01 00:00 UTC", "2020-07-01 00:00:00.000+0000"),
        ("2020-07-01 00:00 Z", "2020-07-01 00:00:00.000+0000"),
        ("2020-07-01 00:00 GMT+02:00", "2020-06-30 22:00:00.000+0000"),
        ("2020-03-29 02:30 Europe/Paris", "2020-03-29 01:30:00.000+0000"),
        ("2020-10-25 02:30 Europe/Paris", "2020-10-25 00:30:00.000+0000"),
        ("1900-07-01 00:00 Europe/Paris", "1900-06-30 23:50:39.000+0000"),
    ] {
        assert_eq!(text_of(Value::Timestamp(timestamp(text))), expected, "{text}");
    }
    for text in ["2020-07-01 00:00EST", "2020-07-01 00:00 europe/paris", "2020-07-01 00:00 IST"] {
        assert!(from_text(Native::Timestamp, text).is_err(), "{text}");
    }
}

#[test]
fn dates_and_times() {
    assert_eq!(from_text(Native::Date, "1970-01-01"), Ok(Value::Date(1 << 31)));
    assert_eq!(from_text(Native::Date, "1969-12-31"), Ok(Value::Date((1 << 31) - 1)));
    assert_eq!(from_text(Native::Date, "0"), Ok(Value::Date(0)));
    assert_eq!(text_of(Value::Date(0)), "-5877641-06-23");
    assert_eq!(text_of(Value::Date(u32::MAX)), "+5881580-07-11");
    assert_eq!(from_text(Native::Date, "-5877641-06-23"), Ok(Value::Date(0)));
    assert_eq!(from_text(Native::Date, "+5881580-07-11"), Ok(Value::Date(u32::MAX)));
    assert_eq!(from_text(Native::Date, "2011-2-3"), from_text(Native::Date, "2011-02-03"));
    for text in ["-5877641-06-22", "+5881580-07-12", "2011-02-29", "2011-00-01", "2011-01-00"] {
        assert!(from_text(Native::Date, text).is_err(), "{text}");
    }
    assert_eq!(from_text(Native::Time, "1:2:3"), Ok(Value::Time(3_723_000_000_000)));
    assert_eq!(text_of(Value::Date(1 << 31)), "1970-01-01");
    assert_eq!(from_text(Native::Time, "04:05:06.5"), Ok(Value::Time(14_706_500_000_000)));
    assert_eq!(from_text(Native::Time, "23:59:59.999999999"), Ok(Value::Time(TIME_LIMIT_NS - 1)));
    assert_eq!(text_of(Value::Time(14_706_500_000_000)), "04:05:06.500000000");
    for text in ["04:05", "24:00:00", "04:05:06Z", "86400000000000", "-1"] {
        assert!(from_text(Native::Time, text).is_err(), "{text}");
    }
    assert!(from_text(Native::Date, "1970-01-01 00:00").is_err());
    assert_eq!(text_of(Value::Timestamp(1_296_705_906_123)), "2011-02-03 04:05:06.123+0000");
    assert_eq!(text_of(Value::Timestamp(i64::MIN)), i64::MIN.to_string());
}

#[test]
fn integers_by_type() {
    let of = |native: Native, text: &str| {
        from_literal(&Literal::Integer(text.to_owned()), &native.into())
    };
    assert_eq!(of(Native::Tinyint, "-128"), Ok(Value::Tinyint(-128)));
    assert_eq!(of(Native::Bigint, "-9223372036854775808"), Ok(Value::Bigint(i64::MIN)));
    assert_eq!(of(Native::Counter, "7"), Ok(Value::Bigint(7)));
    assert_eq!(of(Native::Varint, "18446744073709551616"), Ok(Value::Varint((1i128 << 64).into())));
    assert_eq!(of(Native::Decimal, "5"), Ok(Value::Decimal { unscaled: 5.into(), scale: 0 }));
    assert_eq!(of(Native::Float, "5"), Ok(Value::Float(5.0)));
    assert_eq!(of(Native::Timestamp, "-5"), Ok(Value::Timestamp(-5)));
    assert_eq!(of(Native::Date, "2147483648"), Ok(Value::Date(1 << 31)));
    assert_eq!(of(Native::Time, "5"), Ok(Value::Time(5)));
    assert_eq!(
        of(Native::Tinyint, "128").unwrap_err().to_string(),
        "128 is out of range for type tinyint: it takes -128 to 127; use smallint for more"
    );
    assert!(matches!(of(Native::Int, "99999999999999999999999"), Err(LiteralError::Range { .. })));
    assert!(matches!(of(Native::Date, "-1"), Err(LiteralError::Range { .. })));
    assert_eq!(
        of(Native::Text, "5").unwrap_err().to_string(),
        "the integer 5 is no value of type text: it takes a string, such as 'abc'"
    );
}

#[test]
fn floats_by_type() {
    let of =
        |native: Native, text: &str| from_literal(&Literal::Float(text.to_owned()), &native.into());
    assert_eq!(of(Native::Double, "-2e10"), Ok(Value::Double(-2e10)));
    assert_eq!(of(Native::Float, "-Infinity"), Ok(Value::Float(f32::NEG_INFINITY)));
    for nan in ["NaN", "-NaN"] {
        assert!(
            matches!(of(Native::Double, nan), Ok(Value::Double(n)) if n.to_bits() == f64::NAN.to_bits())
        );
    }
    assert_eq!(of(Native::Decimal, "1.50"), Ok(Value::Decimal { unscaled: 150.into(), scale: 2 }));
    assert!(matches!(of(Native::Float, "1e39"), Err(LiteralError::Range { .. })));
    assert!(matches!(of(Native::Decimal, "NaN"), Err(LiteralError::Form { .. })));
    assert!(matches!(of(Native::Int, "1.5"), Err(LiteralError::Kind { .. })));
}

/// Every pair of constant and type: taken exactly where the table of the module `accept` says so.
#[test]
fn kinds_by_type() {
    let uuid = Uuid::from_u128(1 << 76);
    let literals = [
        Literal::Text("1".to_owned()),
        Literal::Integer("1".to_owned()),
        Literal::Float("1.5".to_owned()),
        Literal::Boolean(true),
        Literal::Blob(vec![1]),
        Literal::Uuid(uuid),
        Literal::Duration(Duration { months: 1, days: 0, nanoseconds: 0 }),
        Literal::Null,
    ];
    let taken = |native: Native| {
        let kind_fits = |literal: &&Literal| {
            !matches!(
                from_literal(literal, &native.into()),
                Err(LiteralError::Kind { .. } | LiteralError::Null { .. })
            )
        };
        literals
            .iter()
            .map(|literal| if kind_fits(&literal) { 'x' } else { '.' })
            .collect::<String>()
    };
    let table: Vec<_> =
        Native::ALL.into_iter().map(|native| format!("{} {native}", taken(native))).collect();
    assert_eq!(
        table,
        [
            "x....... ascii",
            ".x...... bigint",
            "....x... blob",
            "...x.... boolean",
            ".x...... counter",
            "xx...... date",
            ".xx..... decimal",
            ".xx..... double",
            "......x. duration",
            ".xx..... float",
            "x....... inet",
            ".x...... int",
            ".x...... smallint",
            "x....... text",
            "xx...... time",
            "xx...... timestamp",
            ".....x.. timeuuid",
            ".x...... tinyint",
            ".....x.. uuid",
            ".x...... varint",
        ]
    );
}

#[test]
fn texts_that_are_refused() {
    let refused = [
        (Native::Blob, "cafe"),
        (Native::Blob, "0xabc"),
        (Native::Blob, "0xzz"),
        (Native::Boolean, "yes"),
        (Native::Int, "1.0"),
        (Native::Int, ""),
        (Native::Varint, "1_000"),
        (Native::Float, "inf"),
        (Native::Float, "e5"),
        (Native::Uuid, "123e4567e89b12d3a456426655440000"),
        (Native::Uuid, "{123e4567-e89b-12d3-a456-426655440000}"),
        (Native::Timeuuid, "123e4567-e89b-42d3-a456-426655440000"),
        (Native::Inet, "localhost"),
        (Native::Ascii, "é"),
        (Native::Duration, "5"),
    ];
    for (native, text) in refused {
        assert!(parse_text(&native.into(), text).is_err(), "{native} {text}");
    }
    let long = parse_text(&Native::Int.into(), &"é".repeat(5_000)).unwrap_err();
    assert!(long.to_string().len() < 300, "errors do not repeat whole documents");
}

#[test]
fn composite_literals() {
    let int = || Box::new(CqlType::from(Native::Int));
    let text = |text: &str| Value::Text(text.to_owned());
    let list = CqlType::List { element: int(), frozen: true };
    assert_eq!(
        Value::List(vec![Value::Int(1), Value::Empty]).literal(&list),
        "[1, blob_as_int(0x)]"
    );
    let map =
        CqlType::Map { key: Box::new(Native::Text.into()), value: Box::new(list), frozen: true };
    let value = Value::Map(vec![
        (text("it's"), Value::List(vec![])),
        (text("b"), Value::List(vec![Value::Int(2)])),
    ]);
    assert_eq!(value.literal(&map), "{'it''s': [], 'b': [2]}");
    assert_eq!(value.text(&map), value.literal(&map));
    let set = CqlType::Set { element: Box::new(Native::Inet.into()), frozen: true };
    assert_eq!(Value::Set(vec![Value::Inet([127, 0, 0, 1].into())]).literal(&set), "{'127.0.0.1'}");
    let tuple = CqlType::Tuple(vec![Native::Int.into(), Native::Text.into()]);
    assert_eq!(Value::Tuple(vec![None, Some(text("x"))]).literal(&tuple), "(null, 'x')");
    let vector = CqlType::Vector { element: Box::new(Native::Float.into()), dimensions: 2 };
    assert_eq!(
        Value::Vector(vec![Value::Float(1.0), Value::Float(f32::INFINITY)]).literal(&vector),
        "[1.0, Infinity]"
    );
    let fields = vec![(Name::exact("Street"), Native::Text.into())];
    let definition = Arc::new(UserType { keyspace: "ks".into(), name: "address".into(), fields });
    let udt = CqlType::Udt { definition, frozen: true };
    assert_eq!(
        Value::Udt(vec![("Street".into(), Some(text("Main")))]).literal(&udt),
        "{\"Street\": 'Main'}"
    );
}

#[test]
fn scalar_literals() {
    let literal = |value: Value, native: Native| value.literal(&native.into());
    assert_eq!(literal(Value::Text("a'b".to_owned()), Native::Text), "'a''b'");
    assert_eq!(literal(Value::Blob(vec![0xca, 0x0e]), Native::Blob), "0xca0e");
    assert_eq!(literal(Value::Blob(vec![]), Native::Blob), "0x");
    assert_eq!(literal(Value::Double(1e300), Native::Double), "1e300");
    assert_eq!(literal(Value::Double(f64::NEG_INFINITY), Native::Double), "-Infinity");
    assert_eq!(literal(Value::Float(0.1), Native::Float), "0.1");
    assert_eq!(literal(Value::Timestamp(0), Native::Timestamp), "'1970-01-01 00:00:00.000+0000'");
    assert_eq!(
        literal(Value::Duration(Duration { months: 0, days: 0, nanoseconds: 0 }), Native::Duration),
        "0ns"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    /// What is printed reads back as the same bytes, for every scalar type.
    #[test]
    fn text_round_trips(index in 0..Native::ALL.len(), bytes in prop::collection::vec(any::<u8>(), 1..20), bits: u128) {
        let native = Native::ALL[index];
        let ty = CqlType::from(native);
        let wide = bits.to_be_bytes();
        let candidates = [&bytes[..], &wide[..1], &wide[..2], &wide[..4], &wide[..8], &wide[..]];
        for candidate in candidates.into_iter().filter(|bytes| codec::validate(&ty, bytes).is_ok()) {
            let value = Value::decode(&ty, candidate).unwrap();
            let back = parse_text(&ty, &value.text(&ty)).unwrap();
            prop_assert!(back == value || value.text(&ty) == "NaN", "{:?} {:?}", value, back);
        }
    }

    #[test]
    fn times_round_trip(nanoseconds in 0..TIME_LIMIT_NS, ms in -70_000_000_000_000i64..300_000_000_000_000, days: u32) {
        prop_assert_eq!(time::parse_time(&time::format_time(nanoseconds)), Some(nanoseconds));
        let text = Value::Timestamp(ms).text(&Native::Timestamp.into());
        prop_assert_eq!(parse_text(&Native::Timestamp.into(), &text), Ok(Value::Timestamp(ms)));
        let text = Value::Date(days).text(&Native::Date.into());
        prop_assert_eq!(parse_text(&Native::Date.into(), &text), Ok(Value::Date(days)));
    }

    #[test]
    fn any_text_is_no_panic(index in 0..Native::ALL.len(), text in "[-+]?[0-9]{0,9}[-:.TZé ]?[0-9]{0,3}\\PC{0,12}") {
        let _ = parse_text(&Native::ALL[index].into(), &text);
    }
}

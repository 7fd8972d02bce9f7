//! Types on the wire: \[option\] (native protocol v5, section 4.2.5.2).
//!
//! Vectors have no code of their own: they travel as a custom type under a class name (see [`super::marshal`]).
//! Whether a type is frozen does not travel; what is read is not.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::error::NotationError;
use super::header::Version;
use super::marshal::{self, MAX_NOTATION_DEPTH};
use super::primitive::{read_short, read_string, write_count, write_short, write_string};
use crate::name::Name;
use crate::types::{CqlType, Native, UserType};

const CUSTOM: u16 = 0x0000;
/// `text` before v3, still met.
const TEXT: u16 = 0x000A;
const LIST: u16 = 0x0020;
const MAP: u16 = 0x0021;
const SET: u16 = 0x0022;
const UDT: u16 = 0x0030;
const TUPLE: u16 = 0x0031;

const fn native_code(native: Native) -> u16 {
    match native {
        Native::Ascii => 0x0001,
        Native::Bigint => 0x0002,
        Native::Blob => 0x0003,
        Native::Boolean => 0x0004,
        Native::Counter => 0x0005,
        Native::Decimal => 0x0006,
        Native::Double => 0x0007,
        Native::Float => 0x0008,
        Native::Int => 0x0009,
        Native::Timestamp => 0x000B,
        Native::Uuid => 0x000C,
        Native::Text => 0x000D,
        Native::Varint => 0x000E,
        Native::Timeuuid => 0x000F,
        Native::Inet => 0x0010,
        Native::Date => 0x0011,
        Native::Time => 0x0012,
        Native::Smallint => 0x0013,
        Native::Tinyint => 0x0014,
        Native::Duration => 0x0015,
    }
}

/// Reads a type. A custom type that is none of CQL's own is read as `blob`, which is how its values can be shown.
pub fn decode_type(input: &mut &[u8]) -> Result<CqlType, NotationError> {
    decode_nested(input, 0)
}

fn decode_nested(input: &mut &[u8], depth: usize) -> Result<CqlType, NotationError> {
    if depth >= MAX_NOTATION_DEPTH {
        return Err(NotationError::TooDeep { limit: MAX_NOTATION_DEPTH });
    }
    let start = *input;
    let boxed = |input: &mut &[u8]| decode_nested(input, depth + 1).map(Box::new);
    Ok(match read_short(input)? {
        CUSTOM => marshal::parse_class(read_string(input)?)?,
        TEXT => CqlType::Native(Native::Text),
        LIST => CqlType::List { element: boxed(input)?, frozen: false },
        SET => CqlType::Set { element: boxed(input)?, frozen: false },
        MAP => CqlType::Map { key: boxed(input)?, value: boxed(input)?, frozen: false },
        TUPLE => {
            let count = read_short(input)?;
            let elements = (0..count)
                .map(|_| decode_nested(input, depth + 1))
                .collect::<Result<Vec<_>, _>>()?;
            CqlType::Tuple(elements)
        }
        UDT => {
            CqlType::Udt { definition: Arc::new(decode_user_type(input, depth)?), frozen: false }
        }
        code => match Native::ALL.into_iter().find(|&native| native_code(native) == code) {
            Some(native) => CqlType::Native(native),
            None => {
                *input = start;
                return Err(NotationError::UnknownCode { what: "type", code: code.into() });
            }
        },
    })
}

fn decode_user_type(input: &mut &[u8], depth: usize) -> Result<UserType, NotationError> {
    let keyspace = Name::exact(read_string(input)?);
    let name = Name::exact(read_string(input)?);
    let count = read_short(input)?;
    let mut fields = Vec::new();
    let mut names = BTreeSet::new();
    for _ in 0..count {
        let field = Name::exact(read_string(input)?);
        // Values of user types are told by field name, so two fields of one name could not be told apart.
        if !names.insert(field.clone()) {
            return Err(NotationError::Forbidden("a user type has two fields of the same name"));
        }
        fields.push((field, decode_nested(input, depth + 1)?));
    }
    Ok(UserType { keyspace, name, fields })
}

/// Appends a type. `duration` has had a code only since v5: before it travels under its class name, inside other types too.
pub fn encode_type(out: &mut Vec<u8>, cql_type: &CqlType, version: Version) {
    match cql_type {
        CqlType::Native(Native::Duration) if version < Version::V5 => write_class(out, cql_type),
        CqlType::Native(native) => write_short(out, native_code(*native)),
        CqlType::List { element, .. } => {
            write_short(out, LIST);
            encode_type(out, element, version);
        }
        CqlType::Set { element, .. } => {
            write_short(out, SET);
            encode_type(out, element, version);
        }
        CqlType::Map { key, value, .. } => {
            write_short(out, MAP);
            encode_type(out, key, version);
            encode_type(out, value, version);
        }
        CqlType::Tuple(elements) => {
            write_short(out, TUPLE);
            write_count(out, elements.len());
            for element in elements {
                encode_type(out, element, version);
            }
        }
        CqlType::Udt { definition, .. } => {
            write_short(out, UDT);
            write_string(out, definition.keyspace.as_str());
            write_string(out, definition.name.as_str());
            write_count(out, definition.fields.len());
            for (name, field) in &definition.fields {
                write_string(out, name.as_str());
                encode_type(out, field, version);
            }
        }
        CqlType::Vector { .. } => write_class(out, cql_type),
    }
}

fn write_class(out: &mut Vec<u8>, cql_type: &CqlType) {
    write_short(out, CUSTOM);
    write_string(out, &marshal::class_name(cql_type));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::tests::{bytes, hex};

    #[test]
    fn a_user_type_has_no_two_fields_of_one_name() {
        let named = |second: &str| {
            let field = |name: &str| (Name::exact(name), Native::Int.into());
            let fields = vec![field("a"), field(second)];
            let definition =
                UserType { keyspace: Name::exact("k"), name: Name::exact("u"), fields };
            let mut out = Vec::new();
            encode_type(
                &mut out,
                &CqlType::Udt { definition: Arc::new(definition), frozen: false },
                Version::V5,
            );
            decode_type(&mut out.as_slice())
        };
        assert!(named("b").is_ok());
        assert!(matches!(named("a"), Err(NotationError::Forbidden(_))));
    }

    #[test]
    fn bytes_of_the_spec() {
        let encoded = |cql_type: &CqlType| {
            let mut out = Vec::new();
            encode_type(&mut out, cql_type, Version::V5);
            assert_eq!(decode_type(&mut out.as_slice()).as_ref(), Ok(cql_type));
            hex(&out)
        };
        assert_eq!(encoded(&Native::Text.into()), "000d");
        assert_eq!(encoded(&Native::Duration.into()), "0015");
        let map = CqlType::Map {
            key: Box::new(Native::Int.into()),
            value: Box::new(CqlType::Set { element: Box::new(Native::Uuid.into()), frozen: false }),
            frozen: false,
        };
        assert_eq!(encoded(&map), "002100090022000c");
        assert_eq!(
            encoded(&CqlType::Tuple(vec![Native::Int.into(), Native::Inet.into()])),
            "0031000200090010"
        );
        let definition = UserType {
            keyspace: Name::exact("k"),
            name: Name::exact("u"),
            fields: vec![(Name::exact("f"), Native::Date.into())],
        };
        let user_type = CqlType::Udt { definition: Arc::new(definition), frozen: false };
        assert_eq!(encoded(&user_type), "0030 00016b 000175 0001 000166 0011".replace(' ', ""));
    }

    #[test]
    fn a_duration_is_a_custom_type_before_v5() {
        let encoded = |cql_type: &CqlType, version| {
            let mut out = Vec::new();
            encode_type(&mut out, cql_type, version);
            assert_eq!(decode_type(&mut out.as_slice()).as_ref(), Ok(cql_type));
            out
        };
        let mut custom = vec![0, 0, 0, 44];
        custom.extend_from_slice(b"org.apache.cassandra.db.marshal.DurationType");
        let duration = CqlType::from(Native::Duration);
        assert_eq!(encoded(&duration, Version::V4), custom);
        assert_eq!(encoded(&duration, Version::V5), [0, 0x15]);
        let list = CqlType::List { element: Box::new(duration.clone()), frozen: false };
        assert_eq!(encoded(&list, Version::V4), [&[0, 0x20], custom.as_slice()].concat());
        let nested = CqlType::Tuple(vec![Native::Int.into(), list]);
        let start = [0, 0x31, 0, 2, 0, 9, 0, 0x20];
        assert_eq!(encoded(&nested, Version::V4), [&start, custom.as_slice()].concat());
        let definition = UserType {
            keyspace: Name::exact("k"),
            name: Name::exact("u"),
            fields: vec![(Name::exact("f"), duration)],
        };
        let user_type = CqlType::Udt { definition: Arc::new(definition), frozen: false };
        assert!(encoded(&user_type, Version::V4).ends_with(&custom));
    }

    #[test]
    fn nesting_is_bounded() {
        let nested = |depth| {
            let bytes = bytes(&format!("{}0009", "0020".repeat(depth)));
            decode_type(&mut bytes.as_slice()).map(|_| ())
        };
        assert_eq!(nested(MAX_NOTATION_DEPTH - 1), Ok(()));
        assert_eq!(
            nested(MAX_NOTATION_DEPTH),
            Err(NotationError::TooDeep { limit: MAX_NOTATION_DEPTH })
        );
        assert_eq!(nested(100_000), Err(NotationError::TooDeep { limit: MAX_NOTATION_DEPTH }));
    }

    #[test]
    fn old_text_and_unknown_codes() {
        assert_eq!(decode_type(&mut [0, 0x0A].as_slice()), Ok(Native::Text.into()));
        assert_eq!(
            decode_type(&mut [0, 0x99].as_slice()),
            Err(NotationError::UnknownCode { what: "type", code: 0x99 })
        );
    }
}

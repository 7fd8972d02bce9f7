//! Which kinds of constants each type takes (CQL 3.4.7, "Data types").
//!
//! | Constant | Types |
//! |---|---|
//! | string | `ascii`, `text`, `inet`, `date`, `time`, `timestamp` |
//! | integer | all numbers, `counter`, `date`, `time`, `timestamp` |
//! | float | `decimal`, `float`, `double` |
//! | string | tuples, in the form of [`super::tuple`] |
//! | boolean, blob, uuid, duration | the type of that name; uuid: `timeuuid` too |

use super::text::{checked_uuid, parse_native};
use super::{LiteralError, shortened};
use crate::ast::term::Literal;
use crate::types::{CqlType, Native};
use crate::value::Value;

/// The value of type `ty`, a scalar or tuple, that a constant stands for.
///
/// `NULL` is refused, since it is no value: callers that take nulls look for it first.
pub fn from_literal(literal: &Literal, ty: &CqlType) -> Result<Value, LiteralError> {
    if *literal == Literal::Null {
        return Err(LiteralError::Null { ty: ty.to_string() });
    }
    if let (Literal::Text(text), CqlType::Tuple(types)) = (literal, ty) {
        return super::tuple::parse(text, types, ty, 0);
    }
    let CqlType::Native(native) = ty else {
        return Err(LiteralError::Composite { ty: ty.to_string() });
    };
    match (literal, native) {
        (Literal::Text(text), Native::Date | Native::Time | Native::Timestamp)
            if is_bare_number(text) =>
        {
            // '123' as text for these is the number, as Cassandra reads it.
            parse_native(*native, text)
        }
        (
            Literal::Text(text),
            Native::Ascii
            | Native::Text
            | Native::Inet
            | Native::Date
            | Native::Time
            | Native::Timestamp,
        ) => parse_native(*native, text),
        (
            Literal::Integer(text),
            Native::Tinyint
            | Native::Smallint
            | Native::Int
            | Native::Bigint
            | Native::Counter
            | Native::Varint
            | Native::Decimal
            | Native::Float
            | Native::Double
            | Native::Date
            | Native::Time
            | Native::Timestamp,
        )
        | (Literal::Float(text), Native::Decimal | Native::Float | Native::Double) => {
            parse_native(*native, text)
        }
        (Literal::Boolean(bit), Native::Boolean) => Ok(Value::Boolean(*bit)),
        (Literal::Blob(bytes), Native::Blob) => Ok(Value::Blob(bytes.clone())),
        (Literal::Uuid(uuid), Native::Uuid | Native::Timeuuid) => {
            checked_uuid(*native, *uuid).map(Value::Uuid)
        }
        (Literal::Duration(duration), Native::Duration) => Ok(Value::Duration(*duration)),
        _ => Err(wrong_kind(literal, *native)),
    }
}

fn is_bare_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn wrong_kind(literal: &Literal, native: Native) -> LiteralError {
    let (kind, text) = match literal {
        Literal::Null => ("the constant", "null".to_owned()),
        Literal::Text(text) => ("the string", format!("'{}'", shortened(text))),
        Literal::Integer(text) => ("the integer", shortened(text)),
        Literal::Float(text) => ("the number", shortened(text)),
        Literal::Boolean(bit) => ("the boolean", bit.to_string()),
        Literal::Blob(bytes) => ("the blob", format!("of {} bytes", bytes.len())),
        Literal::Uuid(uuid) => ("the UUID", uuid.to_string()),
        Literal::Duration(duration) => ("the duration", duration.to_string()),
    };
    LiteralError::Kind { kind, text, ty: native.to_string(), takes: takes(native) }
}

fn takes(native: Native) -> &'static str {
    match native {
        Native::Ascii | Native::Text => "a string, such as 'abc'",
        Native::Blob => "a blob, such as 0xcafe",
        Native::Boolean => "true or false",
        Native::Tinyint
        | Native::Smallint
        | Native::Int
        | Native::Bigint
        | Native::Counter
        | Native::Varint => "an integer, such as 42",
        Native::Decimal | Native::Float | Native::Double => "a number, such as 1.5",
        Native::Date => "a date, such as '2011-02-03'",
        Native::Time => "a time, such as '04:05:06.789'",
        Native::Timestamp => {
            "a timestamp, such as '2011-02-03 04:05:06+0000', or milliseconds since 1970"
        }
        Native::Duration => "a duration, such as 1y2mo3d",
        Native::Uuid | Native::Timeuuid => {
            "a UUID without quotes, such as 123e4567-e89b-12d3-a456-426655440000"
        }
        Native::Inet => "an address in quotes, such as '127.0.0.1'",
    }
}

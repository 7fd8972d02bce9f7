//! Typed values, and what can be said of their bytes.
//!
//! - [`Value`]: a value, decoded.
//! - [`codec`]: to and from the protocol's bytes; checks without building; borrowing iterators and writers.
//! - [`literal`]: to and from CQL text, and the plain text of scalars.
//! - [`json`]: to JSON text.
//! - [`compare`]: CQL's order of encoded values.
//! - [`order`]: the bijections behind that order, for keys.
//! - [`decimal`], [`duration`], [`timeuuid`]: arithmetic and text of those types.
//! - [`calendar`]: days, months and years.
//! - [`vint`]: the protocol's variable-length integers.

pub mod calendar;
pub mod codec;
pub mod compare;
pub mod decimal;
pub mod duration;
pub mod json;
pub mod literal;
pub mod order;
pub mod timeuuid;
pub mod vint;

use std::net::IpAddr;

use num_bigint::BigInt;
use uuid::Uuid;

use crate::name::Name;

/// A value of some CQL type, decoded. `null` is `Option::None` around it, but for [`Value::Null`].
///
/// `PartialEq` is on the representation (so `NaN != NaN` and 1.0 is not 1.00); CQL's order is [`compare::compare`], on
/// encoded values.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// An element of a list, or a value of a map, that is null. Only results have it
    /// ([`decode_result`](codec::decode_result)): there is no stored one, and it is encoded nowhere.
    Null,
    /// Zero bytes for a type whose values normally have some: legal on the wire for most natives.
    Empty,
    /// `ascii` and `text`.
    Text(String),
    /// `blob`
    Blob(Vec<u8>),
    /// `boolean`
    Boolean(bool),
    /// `tinyint`
    Tinyint(i8),
    /// `smallint`
    Smallint(i16),
    /// `int`
    Int(i32),
    /// `bigint` and `counter`.
    Bigint(i64),
    /// `varint`
    Varint(BigInt),
    /// `decimal`: unscaled × 10^−scale.
    Decimal {
        /// The digits.
        unscaled: BigInt,
        /// How many of them stand after the point; negative for trailing zeros left out.
        scale: i32,
    },
    /// `float`
    Float(f32),
    /// `double`
    Double(f64),
    /// `date`: days, 2^31 is 1970-01-01.
    Date(u32),
    /// `time`: nanoseconds since midnight, below 86,400 × 10^9.
    Time(i64),
    /// `timestamp`: milliseconds since 1970-01-01T00:00Z.
    Timestamp(i64),
    /// `duration`: the three parts have one sign.
    Duration(Duration),
    /// `uuid` and `timeuuid`.
    Uuid(Uuid),
    /// `inet`
    Inet(IpAddr),
    /// `list`
    List(Vec<Value>),
    /// `set`, in the order it came.
    Set(Vec<Value>),
    /// `map`, in the order it came.
    Map(Vec<(Value, Value)>),
    /// `tuple`; fields may be null.
    Tuple(Vec<Option<Value>>),
    /// A user type's value: field name and value, which may be null. Trailing fields may be absent.
    Udt(Vec<(Name, Option<Value>)>),
    /// `vector`
    Vector(Vec<Value>),
}

/// A CQL duration: months, days and nanoseconds are kept apart, since none is a fixed number of the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Duration {
    /// Of 28 to 31 days. All three have one sign, if they are not 0.
    pub months: i32,
    /// Of 23 to 25 hours, where clocks are changed.
    pub days: i32,
    /// Less than a day or more: nothing is carried over.
    pub nanoseconds: i64,
}

impl Value {
    /// What kind of value this is, for messages: the name of the type it is most often of.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Empty => "empty value",
            Value::Text(_) => "text",
            Value::Blob(_) => "blob",
            Value::Boolean(_) => "boolean",
            Value::Tinyint(_) => "tinyint",
            Value::Smallint(_) => "smallint",
            Value::Int(_) => "int",
            Value::Bigint(_) => "bigint",
            Value::Varint(_) => "varint",
            Value::Decimal { .. } => "decimal",
            Value::Float(_) => "float",
            Value::Double(_) => "double",
            Value::Date(_) => "date",
            Value::Time(_) => "time",
            Value::Timestamp(_) => "timestamp",
            Value::Duration(_) => "duration",
            Value::Uuid(_) => "uuid",
            Value::Inet(_) => "inet",
            Value::List(_) => "list",
            Value::Set(_) => "set",
            Value::Map(_) => "map",
            Value::Tuple(_) => "tuple",
            Value::Udt(_) => "user type value",
            Value::Vector(_) => "vector",
        }
    }
}

impl Duration {
    /// Whether months, days and nanoseconds are all at least zero or all at most zero, as the protocol demands.
    pub fn has_one_sign(&self) -> bool {
        let none_negative = self.months >= 0 && self.days >= 0 && self.nanoseconds >= 0;
        none_negative || (self.months <= 0 && self.days <= 0 && self.nanoseconds <= 0)
    }
}

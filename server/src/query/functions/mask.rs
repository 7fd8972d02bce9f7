//! Functions that hide a value: all of it, its inside, its ends, or behind a hash.
//!
//! | Function | Result |
//! |---|---|
//! | `mask_null(x)` | null |
//! | `mask_default(x)` | a constant of the type: `****`, 0, false, 1970, no elements, ... (also for null) |
//! | `mask_replace(x, y)` | y |
//! | `mask_inner(text, begin, end [, padding])` | the first `begin` and the last `end` characters, `*` for those between |
//! | `mask_outer(text, begin, end [, padding])` | `*` for those, the others as they are |
//! | `mask_hash(x [, algorithm])` | a blob: the hash of the value's bytes, SHA-256 unless said |
//!
//! A null or negative count is 0, a null padding is `*`, a null algorithm the default.

use std::net::{IpAddr, Ipv4Addr};

use num_bigint::BigInt;
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};
use tholos_grammar::types::{CqlType, Native};
use tholos_grammar::value::{Duration, Value, timeuuid};
use uuid::Uuid;

use super::arguments::{fits, wrong_arguments};
use super::{ArgumentType, Code, Function};
use crate::error::QueryError;
use crate::query::types::assign::assignable;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mask {
    Null,
    Default,
    Replace,
    Inner,
    Outer,
    Hash,
}

/// Names of the functions, for near names too.
pub(super) const NAMES: [(&str, Mask); 6] = [
    ("mask_null", Mask::Null),
    ("mask_default", Mask::Default),
    ("mask_replace", Mask::Replace),
    ("mask_inner", Mask::Inner),
    ("mask_outer", Mask::Outer),
    ("mask_hash", Mask::Hash),
];

/// The function of that name (without `_`), if it is one of these.
pub(super) fn resolve(
    plain: &str,
    arguments: &[ArgumentType],
) -> Option<Result<Function, QueryError>> {
    let (name, mask) = NAMES.into_iter().find(|(name, _)| name.replace('_', "") == plain)?;
    Some(match takes(mask, arguments) {
        Some(types) => {
            let returns = match (mask, types.first()) {
                (Mask::Hash, _) | (_, None) => Native::Blob.into(),
                (_, Some(first)) => first.clone(),
            };
            let code = Code::Mask(mask);
            Ok(Function { name, arguments: types, returns, pure: true, code })
        }
        None => Err(wrong_arguments(name, mask.takes(), arguments)),
    })
}

impl Mask {
    fn takes(self) -> &'static str {
        match self {
            Mask::Null | Mask::Default => "one value of a known type",
            Mask::Replace => "a value of a known type and one of the same type",
            Mask::Inner | Mask::Outer => "a text, two ints, and optionally one character",
            Mask::Hash => "a value of a known type, and optionally the name of a hash algorithm",
        }
    }
}

/// The types of the arguments, if there are as many as it takes and they fit.
fn takes(mask: Mask, arguments: &[ArgumentType]) -> Option<Vec<CqlType>> {
    let (first, rest) = arguments.split_first()?;
    let ty = value_type(first)?;
    let others: Vec<CqlType> = match (mask, rest.len()) {
        (Mask::Null | Mask::Default | Mask::Hash, 0) => vec![],
        (Mask::Replace, 1) => vec![ty.clone()],
        (Mask::Hash, 1) => vec![Native::Text.into()],
        (Mask::Inner | Mask::Outer, 2 | 3) if is_text(&ty) => {
            let all = [Native::Int, Native::Int, Native::Text].map(CqlType::from);
            all.into_iter().take(rest.len()).collect()
        }
        _ => return None,
    };
    let fits = |(given, ty): (&ArgumentType, &CqlType)| match (given, ty) {
        (ArgumentType::Known(known), _) => assignable(known, ty),
        (ArgumentType::Any, _) => true,
        (given, CqlType::Native(native)) => fits(given, *native),
        (given, _) => matches!(given, ArgumentType::Structured(_)),
    };
    rest.iter().zip(&others).all(fits).then(|| [vec![ty], others].concat())
}

fn is_text(ty: &CqlType) -> bool {
    matches!(ty, CqlType::Native(Native::Text | Native::Ascii))
}

fn value_type(argument: &ArgumentType) -> Option<CqlType> {
    match argument {
        ArgumentType::Known(ty) => Some(ty.clone()),
        ArgumentType::Literal(kind) => Some(kind.natural().into()),
        ArgumentType::Structured(ty) => ty.clone(),
        ArgumentType::Any => None,
    }
}

pub(super) fn call(
    mask: Mask,
    function: &Function,
    arguments: &[Option<&[u8]>],
) -> Result<Option<Vec<u8>>, QueryError> {
    let argument = |place: usize| arguments.get(place).copied().flatten();
    match mask {
        Mask::Null => Ok(None),
        Mask::Default => function.encode(&default(function.argument(0)?)),
        Mask::Replace => Ok(argument(1).map(<[u8]>::to_vec)),
        Mask::Inner | Mask::Outer => {
            let Some(text) = argument(0) else { return Ok(None) };
            let text = std::str::from_utf8(text).map_err(|e| function.refuse(&e.to_string()))?;
            let ends = (count(argument(1)), count(argument(2)));
            Ok(Some(padded(text, ends, mask, padding(function, argument(3))?).into_bytes()))
        }
        Mask::Hash => match argument(0) {
            Some(bytes) => hash(function, bytes, argument(1)).map(Some),
            None => Ok(None),
        },
    }
}

/// What stands for all values of a type.
fn default(ty: &CqlType) -> Value {
    match ty {
        CqlType::Native(native) => default_native(*native),
        CqlType::List { .. } => Value::List(vec![]),
        CqlType::Set { .. } => Value::Set(vec![]),
        CqlType::Map { .. } => Value::Map(vec![]),
        CqlType::Tuple(types) => Value::Tuple(types.iter().map(|ty| Some(default(ty))).collect()),
        CqlType::Udt { definition, .. } => {
            let fields = definition.fields.iter();
            Value::Udt(fields.map(|(name, ty)| (name.clone(), Some(default(ty)))).collect())
        }
        CqlType::Vector { element, dimensions } => {
            Value::Vector(vec![default(element); *dimensions as usize])
        }
    }
}

fn default_native(native: Native) -> Value {
    match native {
        Native::Ascii | Native::Text => Value::Text("****".to_owned()),
        Native::Bigint | Native::Counter => Value::Bigint(0),
        Native::Blob => Value::Blob(vec![]),
        Native::Boolean => Value::Boolean(false),
        Native::Date => Value::Date(1 << 31),
        Native::Decimal => Value::Decimal { unscaled: BigInt::ZERO, scale: 0 },
        Native::Double => Value::Double(0.0),
        Native::Duration => Value::Duration(Duration { months: 0, days: 0, nanoseconds: 0 }),
        Native::Float => Value::Float(0.0),
        Native::Inet => Value::Inet(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        Native::Int => Value::Int(0),
        Native::Smallint => Value::Smallint(0),
        Native::Time => Value::Time(0),
        Native::Timestamp => Value::Timestamp(0),
        Native::Timeuuid => Value::Uuid(timeuuid::min_for(0).unwrap_or_default()),
        Native::Tinyint => Value::Tinyint(0),
        Native::Uuid => Value::Uuid(Uuid::nil()),
        Native::Varint => Value::Varint(BigInt::ZERO),
    }
}

fn count(bytes: Option<&[u8]>) -> usize {
    let number = bytes.and_then(|bytes| bytes.try_into().ok()).map_or(0, i32::from_be_bytes);
    usize::try_from(number).unwrap_or(0)
}

fn padding(function: &Function, bytes: Option<&[u8]>) -> Result<char, QueryError> {
    let Some(bytes) = bytes else { return Ok('*') };
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let mut characters = text.chars();
    match (characters.next(), characters.next()) {
        (Some(padding), None) => Ok(padding),
        _ => Err(function.refuse(&format!(
            "the padding is one character, not the {} of '{text}'",
            text.chars().count()
        ))),
    }
}

fn padded(text: &str, (begin, end): (usize, usize), mask: Mask, padding: char) -> String {
    let length = text.chars().count();
    let last = length.saturating_sub(end);
    let is_end = |at: usize| at < begin || at >= last;
    let masks_ends = mask == Mask::Outer;
    let characters = text.chars().enumerate();
    characters.map(|(at, c)| if is_end(at) == masks_ends { padding } else { c }).collect()
}

fn hash(
    function: &Function,
    bytes: &[u8],
    algorithm: Option<&[u8]>,
) -> Result<Vec<u8>, QueryError> {
    let algorithm = match algorithm {
        Some(name) => String::from_utf8_lossy(name).to_uppercase(),
        None => "SHA-256".to_owned(),
    };
    Ok(match algorithm.as_str() {
        "SHA-224" => Sha224::digest(bytes).to_vec(),
        "SHA-256" => Sha256::digest(bytes).to_vec(),
        "SHA-384" => Sha384::digest(bytes).to_vec(),
        "SHA-512" => Sha512::digest(bytes).to_vec(),
        other => {
            return Err(function
                .refuse(&format!("it knows SHA-224, SHA-256, SHA-384 and SHA-512, not {other}")));
        }
    })
}

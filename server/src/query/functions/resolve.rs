//! Which function a call means: by name, then by the types of its arguments.

use tholos_grammar::types::{CqlType, Native};

use super::arguments::{describe, fits, wrong_arguments};
use super::blob::{AS_BLOB, FROM_BLOB};
use super::clock::Clock;
use super::collection::Collection;
use super::math::Math;
use super::number::Operator;
use super::{ArgumentType, Code, Function, LiteralKind, cast, mask, math, number, vector};
use crate::error::QueryError;
use crate::query::suggest::nearest;
use crate::query::types::assign::assignable;

/// A function of fixed argument types.
struct Signature {
    name: &'static str,
    arguments: &'static [Native],
    returns: Native,
    pure: bool,
    code: Code,
}

const fn clock(
    name: &'static str,
    arguments: &'static [Native],
    returns: Native,
    clock: Clock,
) -> Signature {
    Signature { name, arguments, returns, pure: !arguments.is_empty(), code: Code::Clock(clock) }
}

const fn floor(arguments: &'static [Native], returns: Native) -> Signature {
    Signature { name: "floor", arguments, returns, pure: true, code: Code::Floor }
}

/// Functions of fixed types; the older names are those without `_`.
const SIGNATURES: &[Signature] = &[
    clock("now", &[], Native::Timeuuid, Clock::Timeuuid),
    clock("uuid", &[], Native::Uuid, Clock::RandomUuid),
    clock("current_timestamp", &[], Native::Timestamp, Clock::Timestamp),
    clock("current_date", &[], Native::Date, Clock::Date),
    clock("current_time", &[], Native::Time, Clock::Time),
    clock("current_timeuuid", &[], Native::Timeuuid, Clock::Timeuuid),
    clock("min_timeuuid", &[Native::Timestamp], Native::Timeuuid, Clock::MinTimeuuid),
    clock("max_timeuuid", &[Native::Timestamp], Native::Timeuuid, Clock::MaxTimeuuid),
    clock("to_date", &[Native::Timeuuid], Native::Date, Clock::ToDate),
    clock("to_date", &[Native::Timestamp], Native::Date, Clock::ToDate),
    clock("to_timestamp", &[Native::Timeuuid], Native::Timestamp, Clock::ToTimestamp),
    clock("to_timestamp", &[Native::Date], Native::Timestamp, Clock::ToTimestamp),
    clock("to_unix_timestamp", &[Native::Timeuuid], Native::Bigint, Clock::ToUnixTimestamp),
    clock("to_unix_timestamp", &[Native::Timestamp], Native::Bigint, Clock::ToUnixTimestamp),
    clock("to_unix_timestamp", &[Native::Date], Native::Bigint, Clock::ToUnixTimestamp),
    clock("dateof", &[Native::Timeuuid], Native::Timestamp, Clock::ToTimestamp),
    clock("unixtimestampof", &[Native::Timeuuid], Native::Bigint, Clock::ToUnixTimestamp),
    floor(&[Native::Timestamp, Native::Duration], Native::Timestamp),
    floor(&[Native::Timestamp, Native::Duration, Native::Timestamp], Native::Timestamp),
    floor(&[Native::Timeuuid, Native::Duration], Native::Timestamp),
    floor(&[Native::Timeuuid, Native::Duration, Native::Timestamp], Native::Timestamp),
    floor(&[Native::Date, Native::Duration], Native::Date),
    floor(&[Native::Date, Native::Duration, Native::Date], Native::Date),
    floor(&[Native::Time, Native::Duration], Native::Time),
];

/// Functions whose types follow from their argument, for near names.
const GENERIC: &[&str] = &[
    "to_json",
    "from_json",
    "collection_count",
    "collection_min",
    "collection_max",
    "collection_sum",
    "collection_avg",
    "map_keys",
    "map_values",
    "abs",
    "exp",
    "log",
    "log10",
    "round",
    "count",
    "min",
    "max",
    "sum",
    "avg",
    "token",
    "writetime",
    "maxwritetime",
    "ttl",
];

/// The function that a call means. `name` is as written, folded; `receiver` is the type that the result goes to, if known.
///
/// # Errors
/// [`QueryError::Invalid`]: no function of that name (with near names), or none that takes these arguments.
pub fn resolve(
    name: &str,
    arguments: &[ArgumentType],
    receiver: Option<&CqlType>,
) -> Result<Function, QueryError> {
    if let Some(target) = name.strip_prefix("cast_as_") {
        return cast::resolve(target, arguments);
    }
    if let Some(operator) = Operator::parse(name) {
        return number::resolve_operator(operator, arguments, receiver);
    }
    let plain = name.replace('_', "");
    let of_name: Vec<&Signature> =
        SIGNATURES.iter().filter(|signature| signature.name.replace('_', "") == plain).collect();
    if !of_name.is_empty() {
        return choose(name, &of_name, arguments, receiver);
    }
    if let Some(function) = blob_function(&plain, arguments)? {
        return Ok(function);
    }
    if plain == "fromjson" {
        return from_json(arguments, receiver);
    }
    match generic(&plain, arguments)? {
        Some(function) => Ok(function),
        None => Err(unknown(name)),
    }
}

fn choose(
    name: &str,
    signatures: &[&Signature],
    arguments: &[ArgumentType],
    receiver: Option<&CqlType>,
) -> Result<Function, QueryError> {
    let fits = |signature: &&&Signature| {
        signature.arguments.len() == arguments.len()
            && signature.arguments.iter().zip(arguments).all(|(ty, given)| fits(given, *ty))
    };
    let fitting: Vec<&&Signature> = signatures.iter().filter(fits).collect();
    let returned = |signature: &Signature| {
        receiver.is_none_or(|receiver| assignable(&signature.returns.into(), receiver))
    };
    let found = match fitting.as_slice() {
        [one] => one,
        [] => {
            return Err(QueryError::invalid(format!(
                "{name}() does not take {}: it takes {}",
                describe(arguments),
                signatures.iter().map(|s| types(s.arguments)).collect::<Vec<_>>().join(" or ")
            )));
        }
        several => {
            let exact = several.iter().find(|signature| {
                signature.arguments.iter().zip(arguments).all(
                    |(ty, given)| matches!(given, ArgumentType::Known(known) if *known == (*ty).into()),
                ) && returned(signature)
            });
            exact.ok_or_else(|| {
                QueryError::invalid(format!(
                    "{name}() is ambiguous here: it takes {}; say which by a type hint, such as (timestamp) ?",
                    several.iter().map(|s| types(s.arguments)).collect::<Vec<_>>().join(" or ")
                ))
            })?
        }
    };
    Ok(Function {
        name: found.name,
        arguments: found.arguments.iter().map(|ty| (*ty).into()).collect(),
        returns: found.returns.into(),
        pure: found.pure,
        code: found.code.clone(),
    })
}

/// `intasblob`, `blobasint`, ...
fn blob_function(plain: &str, arguments: &[ArgumentType]) -> Result<Option<Function>, QueryError> {
    let blob = Native::Blob;
    let (native, to_blob) = match (plain.strip_suffix("asblob"), plain.strip_prefix("blobas")) {
        (Some(native), _) => (Native::from_name(native), true),
        (_, Some(native)) => (Native::from_name(native), false),
        (None, None) => (None, false),
    };
    let Some(native) = native.filter(|native| *native != blob) else { return Ok(None) };
    let (takes, returns, code) =
        if to_blob { (native, blob, Code::AsBlob) } else { (blob, native, Code::FromBlob) };
    let names = if to_blob { AS_BLOB } else { FROM_BLOB };
    let name = names.get(native as usize).copied().unwrap_or("blob");
    match arguments {
        [given] if fits(given, takes) => Ok(Some(Function {
            name,
            arguments: vec![takes.into()],
            returns: returns.into(),
            pure: true,
            code,
        })),
        _ => Err(wrong_arguments(name, takes.name(), arguments)),
    }
}

fn generic(plain: &str, arguments: &[ArgumentType]) -> Result<Option<Function>, QueryError> {
    if let Some((name, math)) = Math::parse(plain) {
        return math::resolve(name, math, arguments).map(Some);
    }
    if let Some(found) =
        vector::resolve(plain, arguments).or_else(|| mask::resolve(plain, arguments))
    {
        return found.map(Some);
    }
    if let Some((name, which)) = Collection::parse(plain) {
        let [ArgumentType::Known(given) | ArgumentType::Structured(Some(given))] = arguments else {
            return Err(wrong_arguments(name, which.takes(), arguments));
        };
        let Some(returns) = which.returns(given) else {
            return Err(wrong_arguments(name, which.takes(), arguments));
        };
        let code = Code::Collection(which);
        let arguments = vec![given.clone()];
        return Ok(Some(Function { name, arguments, returns, pure: true, code }));
    }
    if plain == "tojson" {
        let given = match arguments {
            [ArgumentType::Known(given) | ArgumentType::Structured(Some(given))] => given.clone(),
            [ArgumentType::Literal(LiteralKind::Text)] => Native::Text.into(),
            [ArgumentType::Literal(LiteralKind::Integer(_))] => Native::Varint.into(),
            [ArgumentType::Literal(LiteralKind::Float)] => Native::Double.into(),
            [ArgumentType::Literal(LiteralKind::Boolean)] => Native::Boolean.into(),
            _ => return Err(wrong_arguments("to_json", "one value of a known type", arguments)),
        };
        return Ok(Some(Function {
            name: "to_json",
            arguments: vec![given],
            returns: Native::Text.into(),
            pure: true,
            code: Code::ToJson,
        }));
    }
    Ok(None)
}

/// `from_json` makes whatever receives it.
fn from_json(
    arguments: &[ArgumentType],
    receiver: Option<&CqlType>,
) -> Result<Function, QueryError> {
    let Some(receiver) = receiver else {
        return Err(QueryError::invalid(
            "from_json() takes its type from the column that it is for, and has none here: use it in INSERT, UPDATE and WHERE",
        ));
    };
    match arguments {
        [given] if fits(given, Native::Text) => Ok(Function {
            name: "from_json",
            arguments: vec![Native::Text.into()],
            returns: receiver.clone(),
            pure: true,
            code: Code::FromJson,
        }),
        _ => Err(wrong_arguments("from_json", "a text", arguments)),
    }
}

fn unknown(name: &str) -> QueryError {
    let all = SIGNATURES.iter().map(|signature| signature.name).chain(GENERIC.iter().copied());
    let all =
        all.chain(vector::NAMES.map(|(name, _)| name)).chain(mask::NAMES.map(|(name, _)| name));
    let hint = nearest(name, all);
    QueryError::invalid(format!("unknown function {name}(){hint}"))
}

fn types(natives: &[Native]) -> String {
    let names: Vec<&str> = natives.iter().map(|native| native.name()).collect();
    format!("({})", names.join(", "))
}

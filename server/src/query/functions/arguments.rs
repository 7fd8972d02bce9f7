//! Arguments of functions and operators: which types they can be of, and what is said of those that fit nothing.

use tholos_grammar::types::{CqlType, Native};

use super::{ArgumentType, Code, Function, LiteralKind};
use crate::error::QueryError;
use crate::query::types::assign::assignable;

/// Whether a type's values are numbers.
pub(super) fn is_number(native: Native) -> bool {
    rank(native).is_some()
}

/// Position among the integers; those behind `varint` are not integers.
fn rank(native: Native) -> Option<u8> {
    Some(match native {
        Native::Tinyint => 0,
        Native::Smallint => 1,
        Native::Int => 2,
        Native::Bigint | Native::Counter => 3,
        Native::Varint => 4,
        Native::Float => 5,
        Native::Double => 6,
        Native::Decimal => 7,
        _ => return None,
    })
}

/// The type in which two numbers meet.
pub(super) fn meet(a: Native, b: Native) -> Option<Native> {
    let plain = |native| if native == Native::Counter { Native::Bigint } else { native };
    let (low, high) =
        if rank(a)? <= rank(b)? { (plain(a), plain(b)) } else { (plain(b), plain(a)) };
    Some(match (low, high) {
        (Native::Varint, Native::Float | Native::Double) => Native::Decimal,
        (Native::Bigint, Native::Float) => Native::Double,
        (_, high) => high,
    })
}

pub(super) fn function(
    name: &'static str,
    takes: Vec<Native>,
    returns: Native,
    code: Code,
) -> Function {
    let arguments = takes.into_iter().map(CqlType::Native).collect();
    Function { name, arguments, returns: returns.into(), pure: true, code }
}

/// The type of an operand: its own. A literal's is the least that holds it, or what receives the result if only so the
/// result fits that; a marker's is that of the other operand or of the receiver.
pub(super) fn operand(
    of: &ArgumentType,
    other: Option<&ArgumentType>,
    receiver: Option<&CqlType>,
) -> Option<Native> {
    let known = |argument: &ArgumentType| match argument {
        ArgumentType::Known(CqlType::Native(native)) => Some(*native),
        _ => None,
    };
    if let ArgumentType::Known(_) = of {
        return known(of);
    }
    let other = other.map(|other| (other, known(other)));
    let receiver = match receiver {
        Some(CqlType::Native(Native::Counter)) => Some(Native::Bigint),
        Some(CqlType::Native(native)) => Some(*native),
        _ => None,
    };
    let wanted = receiver.filter(|native| is_operand(*native) && fits(of, *native));
    match (of, other) {
        (ArgumentType::Literal(LiteralKind::Duration), _) => Some(Native::Duration),
        (ArgumentType::Literal(kind), Some((_, Some(other)))) => {
            let natural = beside(*kind, other)?;
            let narrower = wanted.filter(|wanted| {
                meet(other, natural) != Some(*wanted) && meet(other, *wanted) == Some(*wanted)
            });
            Some(narrower.unwrap_or(natural))
        }
        (ArgumentType::Literal(kind), other) => wanted.or(match other {
            Some((ArgumentType::Literal(LiteralKind::Integer(Native::Varint)), _)) => {
                beside(*kind, Native::Varint)
            }
            _ => Some(kind.natural()).filter(|native| is_operand(*native)),
        }),
        (_, Some((_, Some(other)))) => match other {
            Native::Counter => Some(Native::Bigint),
            other => Some(other),
        },
        _ => wanted,
    }
}

/// The type of a literal beside an operand of some type: as exact as that.
fn beside(kind: LiteralKind, other: Native) -> Option<Native> {
    match (kind, other) {
        (LiteralKind::Float, Native::Decimal | Native::Varint) => Some(Native::Decimal),
        (LiteralKind::Text, Native::Ascii | Native::Text) => Some(other),
        _ => Some(kind.natural()),
    }
}

/// Whether values of a type are added and the like; those of time have the left side to themselves.
fn is_operand(native: Native) -> bool {
    let others = matches!(native, Native::Text | Native::Ascii | Native::Timestamp | Native::Date);
    is_number(native) || others
}

/// Whether an argument can be of a type.
pub(super) fn fits(given: &ArgumentType, native: Native) -> bool {
    use Native as N;
    match given {
        ArgumentType::Any => true,
        ArgumentType::Known(known) => assignable(known, &native.into()),
        ArgumentType::Literal(kind) => match kind {
            LiteralKind::Text => {
                matches!(native, N::Ascii | N::Text | N::Inet | N::Date | N::Time | N::Timestamp)
            }
            LiteralKind::Integer(_) => {
                is_number(native) || matches!(native, N::Date | N::Time | N::Timestamp)
            }
            LiteralKind::Float => matches!(native, N::Decimal | N::Float | N::Double),
            LiteralKind::Boolean => native == N::Boolean,
            LiteralKind::Blob => native == N::Blob,
            LiteralKind::Uuid => matches!(native, N::Uuid | N::Timeuuid),
            LiteralKind::Duration => native == N::Duration,
        },
        ArgumentType::Structured(_) => false,
    }
}

pub(super) fn wrong_arguments(name: &str, takes: &str, given: &[ArgumentType]) -> QueryError {
    QueryError::invalid(format!("{name}() takes {takes}, not {}", describe(given)))
}

pub(super) fn describe(arguments: &[ArgumentType]) -> String {
    let names: Vec<String> = arguments
        .iter()
        .map(|argument| match argument {
            ArgumentType::Known(ty) => ty.to_string(),
            ArgumentType::Literal(kind) => format!("{} literal", kind.name()),
            ArgumentType::Structured(Some(ty)) => format!("{ty} literal"),
            ArgumentType::Structured(None) => "structured literal".to_string(),
            ArgumentType::Any => "?".to_string(),
        })
        .collect();
    format!("({})", names.join(", "))
}

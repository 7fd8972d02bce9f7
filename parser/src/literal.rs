//! Constants.

use tholos_grammar::ast::term::Literal;
use tholos_grammar::value::Duration;
use tholos_grammar::value::duration::ParseDurationError;
use uuid::Uuid;

use crate::error::Expected;
use crate::input::{Input, Parsed};
use crate::lexer::Kind;
use crate::token::unquoted;

/// Whether a constant begins here: one token, or `-` and a number.
pub(crate) fn is_literal(input: &Input<'_>) -> bool {
    match input.kind() {
        Kind::Text
        | Kind::DollarText
        | Kind::Uuid
        | Kind::Blob
        | Kind::Integer
        | Kind::Float
        | Kind::Duration
        | Kind::DatedDuration => true,
        Kind::Word => word(input.text()).is_some() || is_iso_duration(input.text()),
        Kind::Symbol("-") => is_signed(&input.next()),
        _ => false,
    }
}

/// Whether what stands here takes a sign.
fn is_signed(input: &Input<'_>) -> bool {
    match input.kind() {
        Kind::Integer | Kind::Float | Kind::Duration | Kind::DatedDuration => true,
        Kind::Word => {
            matches!(word(input.text()), Some(Literal::Float(_))) || is_iso_duration(input.text())
        }
        _ => false,
    }
}

/// The constants that look like names.
fn word(text: &str) -> Option<Literal> {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    match text.as_bytes().first()?.to_ascii_lowercase() {
        b'n' if is("null") => Some(Literal::Null),
        b't' if is("true") => Some(Literal::Boolean(true)),
        b'f' if is("false") => Some(Literal::Boolean(false)),
        b'n' if is("nan") => Some(Literal::Float("NaN".to_string())),
        b'i' if is("infinity") => Some(Literal::Float("Infinity".to_string())),
        _ => None,
    }
}

/// Whether a word is a duration in ISO 8601's form with designators: `P1Y2M`, `PT5M`. It is in capitals, so that `p1y`
/// is a name.
fn is_iso_duration(word: &str) -> bool {
    let looks_so = word.starts_with('P') && !word.bytes().any(|byte| byte.is_ascii_lowercase());
    looks_so && !matches!(word.parse::<Duration>(), Err(ParseDurationError::Syntax))
}

/// A constant.
pub(crate) fn literal(input: Input<'_>) -> Parsed<'_, Literal> {
    if input.is_symbol("-") && is_signed(&input.next()) {
        let number = input.next();
        return signed(number, "-");
    }
    let text = input.text();
    let literal = match input.kind() {
        Kind::Text => Literal::Text(unquoted(text, "'")),
        Kind::DollarText => {
            Literal::Text(text.get(2..text.len() - 2).unwrap_or_default().to_string())
        }
        Kind::Uuid => match Uuid::try_parse(text) {
            Ok(uuid) => Literal::Uuid(uuid),
            Err(_) => return input.refuse(format!("{text} is not a UUID")),
        },
        Kind::Blob => return blob(input),
        Kind::Word if word(text).is_some() => return signed(input, ""),
        Kind::Integer | Kind::Float | Kind::Duration | Kind::DatedDuration => {
            return signed(input, "");
        }
        Kind::Word if is_iso_duration(text) => return signed(input, ""),
        _ => return input.fail(Expected::Thing("a constant")),
    };
    Ok((input.next(), literal))
}

/// A number, duration or word, with the sign before it.
fn signed<'a>(input: Input<'a>, sign: &str) -> Parsed<'a, Literal> {
    let text = input.text();
    let literal = match (input.kind(), word(text)) {
        (_, Some(Literal::Float(canonical))) => Literal::Float(format!("{sign}{canonical}")),
        (_, Some(literal)) => literal,
        (Kind::Integer, _) => Literal::Integer(format!("{sign}{text}")),
        (Kind::Float, _) => Literal::Float(format!("{sign}{text}")),
        _ => match format!("{sign}{text}").parse() {
            Ok(duration) => Literal::Duration(duration),
            Err(error) => {
                let hint = ParseDurationError::to_string(&error);
                return input.refuse_with(format!("{text} is not a duration"), Some(&hint));
            }
        },
    };
    Ok((input.next(), literal))
}

fn blob(input: Input<'_>) -> Parsed<'_, Literal> {
    let digits = input.text().get(2..).unwrap_or_default().as_bytes();
    if digits.len() % 2 != 0 {
        return input.refuse_with(
            "a blob needs an even number of hexadecimal digits",
            Some("two digits make one byte"),
        );
    }
    let nibble = |digit: u8| char::from(digit).to_digit(16).unwrap_or_default() as u8;
    let bytes = digits
        .chunks_exact(2)
        .map(|pair| pair.iter().fold(0, |byte, &digit| byte << 4 | nibble(digit)));
    Ok((input.next(), Literal::Blob(bytes.collect())))
}

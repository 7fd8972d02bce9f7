//! Types as written.

use nom::Parser;
use tholos_grammar::ast::type_name::TypeName;
use tholos_grammar::types::Native;

use crate::error::Expected;
use crate::input::{Input, Parsed};
use crate::lexer::Kind;
use crate::limits::MAX_ELEMENTS;
use crate::literal::is_literal;
use crate::token::{Limit, comma_separated, is_name, qualified_name, symbol, text};

pub(crate) fn type_name(input: Input<'_>) -> Parsed<'_, TypeName> {
    match input.kind() {
        Kind::Text => {
            text("a type").parse(input).map(|(input, class)| (input, TypeName::Custom(class)))
        }
        Kind::Word => input.nested(word),
        _ => user_type(input),
    }
}

/// A type that begins with a bare word. A keyspace may have a type's name, so `map.t` is a user type.
fn word(input: Input<'_>) -> Parsed<'_, TypeName> {
    let behind = input.next();
    if behind.is_symbol(".") {
        return user_type(input);
    }
    match input.text().to_ascii_lowercase().as_str() {
        "list" => parameter(behind).map(|(input, element)| (input, TypeName::List(element))),
        "set" => parameter(behind).map(|(input, element)| (input, TypeName::Set(element))),
        "frozen" => parameter(behind).map(|(input, inner)| (input, TypeName::Frozen(inner))),
        "map" => map(behind),
        "tuple" => tuple(behind),
        "vector" => vector(behind),
        other => match Native::from_name(other) {
            Some(native) => Ok((behind, TypeName::Native(native))),
            None => user_type(input),
        },
    }
}

fn user_type(input: Input<'_>) -> Parsed<'_, TypeName> {
    qualified_name("a type").parse(input).map(|(input, name)| (input, TypeName::User(name)))
}

/// `<type>`
fn parameter(input: Input<'_>) -> Parsed<'_, Box<TypeName>> {
    let (input, ()) = symbol("<").parse(input)?;
    let (input, inner) = type_name(input)?;
    let (input, ()) = symbol(">").parse(input)?;
    Ok((input, Box::new(inner)))
}

/// `<key, value>`
fn map(input: Input<'_>) -> Parsed<'_, TypeName> {
    let (input, (_, key, _, value, _)) =
        (symbol("<"), type_name, symbol(","), type_name, symbol(">")).parse(input)?;
    Ok((input, TypeName::Map(Box::new(key), Box::new(value))))
}

/// `<type, ...>`
fn tuple(input: Input<'_>) -> Parsed<'_, TypeName> {
    let (input, ()) = symbol("<").parse(input)?;
    let (input, elements) =
        comma_separated(input, Limit(MAX_ELEMENTS, "elements in a tuple"), type_name)?;
    let (input, ()) = symbol(">").parse(input)?;
    Ok((input, TypeName::Tuple(elements)))
}

/// `<type, dimensions>`
fn vector(input: Input<'_>) -> Parsed<'_, TypeName> {
    let (input, (_, element, _, dimensions, _)) =
        (symbol("<"), type_name, symbol(","), dimensions, symbol(">")).parse(input)?;
    Ok((input, TypeName::Vector(Box::new(element), dimensions)))
}

fn dimensions(input: Input<'_>) -> Parsed<'_, u32> {
    if input.kind() != Kind::Integer {
        return input.fail(Expected::Thing("a number of dimensions"));
    }
    match input.text().parse::<u32>() {
        Ok(dimensions) if dimensions > 0 => Ok((input.next(), dimensions)),
        _ => input.refuse_meaning(format!("a vector can't have {} dimensions", input.text()), None),
    }
}

/// Whether `(type)` stands here, with nothing else in the parentheses. Looks at a few tokens only: what begins like a
/// parametrised type is one, whatever follows.
pub(crate) fn is_type_in_parentheses(input: Input<'_>) -> bool {
    let name = input.next();
    let behind = name.next();
    if !input.is_symbol("(") || is_literal(&name) {
        return false;
    }
    let closes = |input: Input<'_>| input.is_symbol(")");
    name.kind() == Kind::Word && behind.is_symbol("<") && is_parametrised(name.text())
        || is_name(&name) && closes(behind)
        || is_name(&name) && behind.is_symbol(".") && closes(behind.next().next())
}

fn is_parametrised(word: &str) -> bool {
    ["list", "set", "map", "tuple", "vector", "frozen"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(word))
}

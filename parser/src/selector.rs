//! Expressions of the select list.

use nom::Parser;
use nom::combinator::opt;
use tholos_grammar::ast::select::Selector;
use tholos_grammar::ast::term::{Term, TermKind};
use tholos_grammar::ast::type_name::TypeName;

use crate::error::Expected;
use crate::input::{Input, Parsed};
use crate::lexer::Kind;
use crate::limits::MAX_ELEMENTS;
use crate::literal;
use crate::term::{ARGUMENTS, additive, cast, function_name, is_call, multiplicative, term};
use crate::token::{Limit, enclosed, is_name, name, separated_from, symbol};
use crate::type_name::{is_type_in_parentheses, type_name};

/// An expression over columns.
pub(crate) fn selector(input: Input<'_>) -> Parsed<'_, Selector> {
    input.nested(sum)
}

fn sum(input: Input<'_>) -> Parsed<'_, Selector> {
    let (mut input, mut left) = product(input)?;
    while let Some(operator) = additive(&input) {
        let (behind, right) = product(input.count_operator()?.0.next())?;
        left = Selector::Arithmetic { left: Box::new(left), operator, right: Box::new(right) };
        input = behind;
    }
    Ok((input, left))
}

fn product(input: Input<'_>) -> Parsed<'_, Selector> {
    let (mut input, mut left) = unary(input)?;
    while let Some(operator) = multiplicative(&input) {
        let (behind, right) = unary(input.count_operator()?.0.next())?;
        left = Selector::Arithmetic { left: Box::new(left), operator, right: Box::new(right) };
        input = behind;
    }
    Ok((input, left))
}

fn unary(input: Input<'_>) -> Parsed<'_, Selector> {
    if input.is_symbol("-") && !literal::is_literal(&input) {
        return input.nested(|input| {
            let (input, operand) = unary(input.next())?;
            Ok((input, Selector::Negate(Box::new(operand))))
        });
    }
    let (input, operand) = primary(input)?;
    parts(input, operand)
}

fn primary(input: Input<'_>) -> Parsed<'_, Selector> {
    let as_selector = |(input, term)| (input, Selector::Term(term));
    if literal::is_literal(&input) {
        return crate::term::unary(input).map(as_selector);
    }
    match input.kind() {
        Kind::Symbol("?" | ":" | "[" | "{") => crate::term::unary(input).map(as_selector),
        Kind::Symbol("(") if is_hint(input) => crate::term::unary(input).map(as_selector),
        Kind::Symbol("(") => parentheses(input),
        _ if is_call(input) => call(input),
        _ => {
            input.expect(Expected::Thing("a column"));
            name("a column").parse(input).map(|(input, column)| (input, Selector::Column(column)))
        }
    }
}

/// Whether `(type) term` stands here. `(a) - 1` is a subtraction unless `a` is a type's name, and `(a)` a column.
fn is_hint(input: Input<'_>) -> bool {
    if !is_type_in_parentheses(input) {
        return false;
    }
    let Ok((behind, hinted)) = type_name(input.next()) else { return true };
    let behind = behind.next();
    let user = matches!(hinted, TypeName::User(_));
    match behind.kind() {
        Kind::Symbol("-") => !user && literal::is_literal(&behind),
        Kind::Symbol("?" | ":" | "[" | "{" | "(") => true,
        _ => {
            let named = is_name(&behind) || behind.is_word("token");
            literal::is_literal(&behind) || named && is_call(behind)
        }
    }
}

/// `f(a, 1)`, `CAST(a AS type)`, `count(*)`
fn call(input: Input<'_>) -> Parsed<'_, Selector> {
    if input.is_word("cast") && input.next().is_symbol("(") {
        let (input, (inner, type_name)) = cast(input, selector)?;
        return Ok((input, Selector::Cast(Box::new(inner), type_name)));
    }
    if let Some(input) = count_all(input) {
        return Ok((input, Selector::CountAll));
    }
    let (input, function) = function_name(input)?;
    let (input, arguments) = enclosed(input, ("(", ")"), ARGUMENTS, selector)?;
    Ok((input, Selector::Call { function, arguments }))
}

/// The place behind `count(*)` or `count(1)`.
fn count_all(input: Input<'_>) -> Option<Input<'_>> {
    let argument = input.next().next();
    let all = argument.is_symbol("*") || argument.kind() == Kind::Integer && argument.text() == "1";
    let close = argument.next();
    (input.is_word("count") && input.next().is_symbol("(") && all && close.is_symbol(")"))
        .then(|| close.next())
}

/// `(a + b)`, which only groups, or a tuple of terms.
fn parentheses(input: Input<'_>) -> Parsed<'_, Selector> {
    let start = input;
    let (input, ()) = symbol("(").parse(input)?;
    let first_at = input;
    let (input, first) = selector(input)?;
    if let (input, Some(())) = opt(symbol(")")).parse(input)? {
        return Ok((input, first));
    }
    if !input.is_symbol(",") {
        return input.fail(Expected::Symbol(","));
    }
    let Some(first) = into_term(first) else {
        return first_at.refuse("a tuple of the select list holds constants only");
    };
    let limit = Limit(MAX_ELEMENTS, "elements in a tuple");
    let (input, items) = separated_from(input, first, symbol(","), limit, term)?;
    let (input, ()) = symbol(")").parse(input)?;
    Ok((input, Selector::Term(Term::new(TermKind::Tuple(items), start.span_to(&input)))))
}

/// The term that reads like this selector, if no column is in it.
fn into_term(selector: Selector) -> Option<Term> {
    Some(match selector {
        Selector::Term(term) => term,
        Selector::Call { function, arguments } => TermKind::Call {
            function,
            arguments: arguments.into_iter().map(into_term).collect::<Option<_>>()?,
        }
        .into(),
        Selector::Cast(inner, type_name) => {
            TermKind::Cast(Box::new(into_term(*inner)?), type_name).into()
        }
        Selector::Negate(inner) => TermKind::Negate(Box::new(into_term(*inner)?)).into(),
        Selector::Arithmetic { left, operator, right } => TermKind::Arithmetic {
            left: Box::new(into_term(*left)?),
            operator,
            right: Box::new(into_term(*right)?),
        }
        .into(),
        Selector::Column(_)
        | Selector::CountAll
        | Selector::Field(..)
        | Selector::Element(..)
        | Selector::Slice(..) => return None,
    })
}

/// Fields, elements and slices behind an operand.
fn parts<'a>(mut input: Input<'a>, mut operand: Selector) -> Parsed<'a, Selector> {
    loop {
        (input, operand) = match input.kind() {
            Kind::Symbol(".") => {
                let (input, field) =
                    name("a field name").parse(input.count_operator()?.0.next())?;
                (input, Selector::Field(Box::new(operand), field))
            }
            Kind::Symbol("[") => subscript(input.count_operator()?.0.next(), operand)?,
            _ => return Ok((input, operand)),
        };
    }
}

/// `key]`, `from..to]`, `from..]`, `..to]`
fn subscript<'a>(input: Input<'a>, operand: Selector) -> Parsed<'a, Selector> {
    let operand = Box::new(operand);
    let (input, from) = if input.is_symbol("..") {
        (input, None)
    } else {
        term(input).map(|(i, t)| (i, Some(t)))?
    };
    if let (input, Some(())) = opt(symbol("..")).parse(input)? {
        let (input, to) = if input.is_symbol("]") {
            (input, None)
        } else {
            term(input).map(|(i, t)| (i, Some(t)))?
        };
        let (input, ()) = symbol("]").parse(input)?;
        return Ok((input, Selector::Slice(operand, from, to)));
    }
    let (input, ()) = symbol("]").parse(input)?;
    match from {
        Some(key) => Ok((input, Selector::Element(operand, key))),
        None => input.fail(Expected::Symbol("..")),
    }
}

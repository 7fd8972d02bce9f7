//! Terms: literals, bind markers, collections, calls, hints and arithmetic.

use nom::Parser;
use nom::combinator::opt;
use tholos_grammar::ast::QualifiedName;
use tholos_grammar::ast::ident::Ident;
use tholos_grammar::ast::term::{Literal, Marker, Operator, Term, TermKind};
use tholos_grammar::ast::type_name::TypeName;
use tholos_grammar::name::Name;

use crate::error::Expected;
use crate::input::{Input, Parsed};
use crate::lexer::Kind;
use crate::limits::MAX_ELEMENTS;
use crate::literal::{self, literal};
use crate::token::{
    Limit, comma_separated, enclosed, is_name, keyword, name, qualified_name, separated_from,
    symbol,
};
use crate::type_name::{is_type_in_parentheses, type_name};

pub(crate) const ELEMENTS: Limit = Limit(MAX_ELEMENTS, "elements in a collection");
pub(crate) const ARGUMENTS: Limit = Limit(MAX_ELEMENTS, "arguments of a function");

/// A term.
pub(crate) fn term(input: Input<'_>) -> Parsed<'_, Term> {
    input.nested(|input| sum(input, |_| false))
}

/// A term that ends before `+ column`, as in `a = [1] + a`.
pub(crate) fn term_before_column(input: Input<'_>) -> Parsed<'_, Term> {
    input.nested(|input| sum(input, |plus| plus.is_symbol("+") && is_column(plus.next())))
}

/// A term without `+` and `-` on its top level.
pub(crate) fn factor(input: Input<'_>) -> Parsed<'_, Term> {
    input.nested(product)
}

/// Whether a name stands here that is neither a function nor a constant.
pub(crate) fn is_column(input: Input<'_>) -> bool {
    is_name(&input) && !literal::is_literal(&input) && !is_call(input)
}

/// Whether `f(` or `ks.f(` stands here.
pub(crate) fn is_call(input: Input<'_>) -> bool {
    let behind = input.next();
    behind.is_symbol("(")
        || behind.is_symbol(".") && is_name(&behind.next()) && behind.next().next().is_symbol("(")
}

/// The additive operator here.
pub(crate) fn additive(input: &Input<'_>) -> Option<Operator> {
    match input.kind() {
        Kind::Symbol("+") => Some(Operator::Add),
        Kind::Symbol("-") => Some(Operator::Subtract),
        _ => None,
    }
}

/// The multiplicative operator here.
pub(crate) fn multiplicative(input: &Input<'_>) -> Option<Operator> {
    match input.kind() {
        Kind::Symbol("*") => Some(Operator::Multiply),
        Kind::Symbol("/") => Some(Operator::Divide),
        Kind::Symbol("%") => Some(Operator::Modulo),
        _ => None,
    }
}

fn sum<'a>(input: Input<'a>, ends: impl Fn(Input<'a>) -> bool) -> Parsed<'a, Term> {
    let (mut input, mut left) = product(input)?;
    while let Some(operator) = additive(&input).filter(|_| !ends(input)) {
        let (behind, right) = product(input.count_operator()?.0.next())?;
        left = arithmetic(left, operator, right);
        input = behind;
    }
    Ok((input, left))
}

fn product(input: Input<'_>) -> Parsed<'_, Term> {
    let (mut input, mut left) = unary(input)?;
    while let Some(operator) = multiplicative(&input) {
        let (behind, right) = unary(input.count_operator()?.0.next())?;
        left = arithmetic(left, operator, right);
        input = behind;
    }
    Ok((input, left))
}

fn arithmetic(left: Term, operator: Operator, right: Term) -> Term {
    let span = left.span.to(right.span);
    Term::new(TermKind::Arithmetic { left: Box::new(left), operator, right: Box::new(right) }, span)
}

/// A term that is what a parser finds here.
pub(crate) fn spanned<'a>(
    input: Input<'a>,
    parser: impl FnOnce(Input<'a>) -> Parsed<'a, TermKind>,
) -> Parsed<'a, Term> {
    let (behind, kind) = parser(input)?;
    Ok((behind, Term::new(kind, input.span_to(&behind))))
}

/// A term without binary operators outside of brackets.
pub(crate) fn unary(input: Input<'_>) -> Parsed<'_, Term> {
    spanned(input, |input| match input.kind() {
        _ if literal::is_literal(&input) => {
            literal(input).map(|(input, literal)| (input, TermKind::Literal(literal)))
        }
        Kind::Symbol("-") => input.nested(|input| {
            let (input, operand) = unary(input.next())?;
            Ok((input, TermKind::Negate(Box::new(operand))))
        }),
        Kind::Symbol("?" | ":") => {
            marker(input).map(|(input, marker)| (input, TermKind::Marker(marker)))
        }
        Kind::Symbol("[") => enclosed(input, ("[", "]"), ELEMENTS, term)
            .map(|(input, items)| (input, TermKind::List(items))),
        Kind::Symbol("{") => braces(input),
        Kind::Symbol("(") if is_type_in_parentheses(input) => input.nested(hint),
        Kind::Symbol("(") => parentheses(input),
        _ => call(input),
    })
}

/// `(type) term`
fn hint(input: Input<'_>) -> Parsed<'_, TermKind> {
    let (input, (_, hinted, _)) = (symbol("("), type_name, symbol(")")).parse(input)?;
    let (input, inner) = unary(input)?;
    Ok((input, TermKind::Hint(hinted, Box::new(inner))))
}

/// `(a, b)`, or one term in parentheses.
pub(crate) fn tuple(input: Input<'_>) -> Parsed<'_, Term> {
    spanned(input, parentheses)
}

fn parentheses(input: Input<'_>) -> Parsed<'_, TermKind> {
    let (input, ()) = symbol("(").parse(input)?;
    let (input, items) = comma_separated(input, Limit(MAX_ELEMENTS, "elements in a tuple"), term)?;
    let (input, ()) = symbol(")").parse(input)?;
    Ok((input, TermKind::Tuple(items)))
}

/// `?` or `:name`
pub(crate) fn marker(input: Input<'_>) -> Parsed<'_, Marker> {
    match input.kind() {
        Kind::Symbol("?") => Ok((input.next(), Marker::Positional)),
        Kind::Symbol(":") => name("the name of a bind marker")
            .parse(input.next())
            .map(|(input, name)| (input, Marker::Named(name))),
        _ => input.fail(Expected::Thing("a bind marker")),
    }
}

/// A bind marker as a term.
pub(crate) fn marker_term(input: Input<'_>) -> Parsed<'_, Term> {
    spanned(input, |input| marker(input).map(|(input, marker)| (input, TermKind::Marker(marker))))
}

/// A set, a map or a user type's value: the first element tells.
fn braces(input: Input<'_>) -> Parsed<'_, TermKind> {
    let inside = input.next();
    if is_name(&inside) && inside.next().is_symbol(":") {
        return enclosed(input, ("{", "}"), ELEMENTS, field)
            .map(|(input, fields)| (input, TermKind::Udt(fields)));
    }
    if let (input, Some(())) = opt(symbol("}")).parse(inside)? {
        return Ok((input, TermKind::Set(Vec::new())));
    }
    let (input, first) = term(inside)?;
    if let (input, Some(())) = opt(symbol(":")).parse(input)? {
        return map(input, first);
    }
    let (input, items) = separated_from(input, first, symbol(","), ELEMENTS, term)?;
    let (input, ()) = symbol("}").parse(input)?;
    Ok((input, TermKind::Set(items)))
}

/// The rest of a map, behind its first key and `:`.
fn map(input: Input<'_>, key: Term) -> Parsed<'_, TermKind> {
    let (input, value) = term(input)?;
    let (input, entries) = separated_from(input, (key, value), symbol(","), ELEMENTS, entry)?;
    let (input, ()) = symbol("}").parse(input)?;
    Ok((input, TermKind::Map(entries)))
}

fn entry(input: Input<'_>) -> Parsed<'_, (Term, Term)> {
    let (input, (key, _, value)) = (term, symbol(":"), term).parse(input)?;
    Ok((input, (key, value)))
}

fn field(input: Input<'_>) -> Parsed<'_, (Ident, Term)> {
    let (input, (field, _, value)) = (name("a field name"), symbol(":"), term).parse(input)?;
    Ok((input, (field, value)))
}

/// `f(a, b)` or `CAST(a AS type)`: the only terms that begin with a name.
fn call(input: Input<'_>) -> Parsed<'_, TermKind> {
    if input.is_word("cast") && input.next().is_symbol("(") {
        let (input, (inner, type_name)) = cast(input, term)?;
        return Ok((input, TermKind::Cast(Box::new(inner), type_name)));
    }
    if !is_call(input) {
        return input.fail(Expected::Thing("a value"));
    }
    let (input, function) = function_name(input)?;
    let (input, arguments) = enclosed(input, ("(", ")"), ARGUMENTS, term)?;
    Ok((input, TermKind::Call { function, arguments }))
}

/// `CAST(operand AS type)`
pub(crate) fn cast<'a, O>(
    input: Input<'a>,
    operand: impl Fn(Input<'a>) -> Parsed<'a, O>,
) -> Parsed<'a, (O, TypeName)> {
    let (input, (_, _, inner, _, type_name, _)) =
        (keyword("CAST"), symbol("("), operand, keyword("AS"), type_name, symbol(")"))
            .parse(input)?;
    Ok((input, (inner, type_name)))
}

/// The name of a function: `token` is one, though the word is reserved.
pub(crate) fn function_name(input: Input<'_>) -> Parsed<'_, QualifiedName> {
    if input.is_word("token") && !input.next().is_symbol(".") {
        let name = Ident::new(Name::exact("token"), input.span());
        return Ok((input.next(), QualifiedName { keyspace: None, name }));
    }
    qualified_name("a function name").parse(input)
}

/// A whole number or a bind marker, as in `LIMIT 10` and `USING TTL ?`.
pub(crate) fn integer_or_marker<'a>(input: Input<'a>, what: &'static str) -> Parsed<'a, Term> {
    bounded_term(input, what, |literal| matches!(literal, Literal::Integer(_)))
}

/// A whole number, null or a bind marker: `USING TTL null` writes what does not expire.
pub(crate) fn integer_or_null_or_marker<'a>(
    input: Input<'a>,
    what: &'static str,
) -> Parsed<'a, Term> {
    bounded_term(input, what, |literal| matches!(literal, Literal::Integer(_) | Literal::Null))
}

/// A duration or a bind marker, as in `USING TIMEOUT 500ms`.
pub(crate) fn duration_or_marker(input: Input<'_>) -> Parsed<'_, Term> {
    bounded_term(input, "a duration such as 500ms", |literal| {
        matches!(literal, Literal::Duration(_))
    })
}

/// A text literal or a bind marker.
pub(crate) fn text_or_marker<'a>(input: Input<'a>, what: &'static str) -> Parsed<'a, Term> {
    bounded_term(input, what, |literal| matches!(literal, Literal::Text(_)))
}

fn bounded_term<'a>(
    input: Input<'a>,
    what: &'static str,
    fits: impl Fn(&Literal) -> bool,
) -> Parsed<'a, Term> {
    if literal::is_literal(&input) {
        let (behind, literal) = literal(input)?;
        return if fits(&literal) {
            Ok((behind, Term::new(TermKind::Literal(literal), input.span_to(&behind))))
        } else {
            input.fail(Expected::Thing(what))
        };
    }
    input.expect(Expected::Thing(what));
    marker_term(input)
}

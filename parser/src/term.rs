//! Terms: one grammar for values and for the expressions of a select list, which may also name columns and take parts of
//! values.

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

const ELEMENTS: Limit = Limit(MAX_ELEMENTS, "elements in a collection");
pub(crate) const ARGUMENTS: Limit = Limit(MAX_ELEMENTS, "arguments of a function");

/// A term that may name columns.
pub(crate) fn expression(input: Input<'_>) -> Parsed<'_, Term> {
    input.with_columns(true, term)
}

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
fn is_call(input: Input<'_>) -> bool {
    let behind = input.next();
    behind.is_symbol("(")
        || behind.is_symbol(".") && is_name(&behind.next()) && behind.next().next().is_symbol("(")
}

/// The additive operator here.
fn additive(input: &Input<'_>) -> Option<Operator> {
    match input.kind() {
        Kind::Symbol("+") => Some(Operator::Add),
        Kind::Symbol("-") => Some(Operator::Subtract),
        _ => None,
    }
}

/// The multiplicative operator here.
fn multiplicative(input: &Input<'_>) -> Option<Operator> {
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
fn spanned<'a>(
    input: Input<'a>,
    parser: impl FnOnce(Input<'a>) -> Parsed<'a, TermKind>,
) -> Parsed<'a, Term> {
    let (behind, kind) = parser(input)?;
    Ok((behind, Term::new(kind, input.span_to(&behind))))
}

/// A term without binary operators outside of brackets.
fn unary(input: Input<'_>) -> Parsed<'_, Term> {
    if is_negation(&input) {
        return spanned(input, negation);
    }
    let start = input;
    let (mut input, mut operand) = primary(input)?;
    // Fields, elements and slices, one behind the other.
    while input.has_columns() {
        let (behind, kind) = match input.kind() {
            Kind::Symbol(".") => {
                let (input, field) =
                    name("a field name").parse(input.count_operator()?.0.next())?;
                (input, TermKind::Field(Box::new(operand), field))
            }
            Kind::Symbol("[") => subscript(input.count_operator()?.0.next(), operand)?,
            _ => break,
        };
        operand = Term::new(kind, start.span_to(&behind));
        input = behind;
    }
    Ok((input, operand))
}

/// Whether a `-` stands here that is no number's sign.
fn is_negation(input: &Input<'_>) -> bool {
    input.is_symbol("-") && !literal::is_literal(input)
}

fn negation(input: Input<'_>) -> Parsed<'_, TermKind> {
    input.nested(|input| {
        let (input, operand) = unary(input.next())?;
        Ok((input, TermKind::Negate(Box::new(operand))))
    })
}

/// A term without operators and parts.
fn primary(input: Input<'_>) -> Parsed<'_, Term> {
    spanned(input, |input| match input.kind() {
        _ if literal::is_literal(&input) => {
            literal(input).map(|(input, literal)| (input, TermKind::Literal(literal)))
        }
        Kind::Symbol("?" | ":") => {
            marker(input).map(|(input, marker)| (input, TermKind::Marker(marker)))
        }
        Kind::Symbol("[") => enclosed(input, ("[", "]"), ELEMENTS, term)
            .map(|(input, items)| (input, TermKind::List(items))),
        Kind::Symbol("{") => braces(input),
        Kind::Symbol("(") if is_hint(input) => input.nested(hint),
        Kind::Symbol("(") => parentheses(input),
        _ if is_call(input) => call(input),
        _ if input.has_columns() => {
            input.expect(Expected::Thing("a column"));
            name("a column").parse(input).map(|(input, column)| (input, TermKind::Column(column)))
        }
        _ => input.fail(Expected::Thing("a value")),
    })
}

/// Whether `(type) term` stands here. Among columns, `(a) - 1` is a subtraction unless `a` is a type's name, and `(a)` a
/// column.
fn is_hint(input: Input<'_>) -> bool {
    if !is_type_in_parentheses(input) {
        return false;
    }
    if !input.has_columns() {
        return true;
    }
    let Ok((behind, hinted)) = type_name(input.next()) else { return true };
    let behind = behind.next();
    let user = matches!(hinted, TypeName::User(_));
    match behind.kind() {
        Kind::Symbol("-") => !user && literal::is_literal(&behind),
        Kind::Symbol("?" | ":" | "[" | "{" | "(") => true,
        _ => {
            let named = is_name(&behind) || behind.is_word("token");
            // Behind a column, only its alias and another clause of the statement begin with a name.
            let column = is_name(&behind)
                && !behind.is_word("AS")
                && !(behind.is_word("PER") && behind.next().is_word("PARTITION"));
            literal::is_literal(&behind) || named && is_call(behind) || column
        }
    }
}

/// `(type) term`
fn hint(input: Input<'_>) -> Parsed<'_, TermKind> {
    let (input, (_, hinted, _)) = (symbol("("), type_name, symbol(")")).parse(input)?;
    let (input, inner) =
        if is_negation(&input) { spanned(input, negation)? } else { primary(input)? };
    Ok((input, TermKind::Hint(hinted, Box::new(inner))))
}

/// `key]`, `from..to]`, `from..]`, `..to]`: no columns are in the keys.
fn subscript<'a>(input: Input<'a>, operand: Term) -> Parsed<'a, TermKind> {
    let operand = Box::new(operand);
    let key = |input: Input<'a>| input.with_columns(false, term);
    let (input, from) = if input.is_symbol("..") {
        (input, None)
    } else {
        key(input).map(|(input, key)| (input, Some(Box::new(key))))?
    };
    if let (input, Some(())) = opt(symbol("..")).parse(input)? {
        let (input, to) = if input.is_symbol("]") {
            (input, None)
        } else {
            key(input).map(|(input, key)| (input, Some(Box::new(key))))?
        };
        let (input, ()) = symbol("]").parse(input)?;
        return Ok((input, TermKind::Slice(operand, from, to)));
    }
    let (input, ()) = symbol("]").parse(input)?;
    match from {
        Some(key) => Ok((input, TermKind::Element(operand, key))),
        None => input.fail(Expected::Symbol("..")),
    }
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
    // Among columns it may be a map with columns for keys: which one is known when all keys are.
    if is_name(&inside) && inside.next().is_symbol(":") && !input.has_columns() {
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
    Ok((input, fields_or_entries(entries)))
}

/// A user type's value if all keys are names, which a map's may be too: what receives it tells.
fn fields_or_entries(entries: Vec<(Term, Term)>) -> TermKind {
    if !entries.iter().all(|(key, _)| matches!(key.kind, TermKind::Column(_))) {
        return TermKind::Map(entries);
    }
    let field = |(key, value): (Term, Term)| match key.kind {
        TermKind::Column(name) => Some((name, value)),
        _ => None,
    };
    TermKind::Udt(entries.into_iter().filter_map(field).collect())
}

fn entry(input: Input<'_>) -> Parsed<'_, (Term, Term)> {
    let (input, (key, _, value)) = (term, symbol(":"), term).parse(input)?;
    Ok((input, (key, value)))
}

fn field(input: Input<'_>) -> Parsed<'_, (Ident, Term)> {
    let (input, (field, _, value)) = (name("a field name"), symbol(":"), term).parse(input)?;
    Ok((input, (field, value)))
}

/// `f(a, b)`, `CAST(a AS type)`, and among columns `count(*)`.
fn call(input: Input<'_>) -> Parsed<'_, TermKind> {
    if input.is_word("cast") && input.next().is_symbol("(") {
        let (input, (_, _, inner, _, type_name, _)) =
            (keyword("CAST"), symbol("("), term, keyword("AS"), type_name, symbol(")"))
                .parse(input)?;
        return Ok((input, TermKind::Cast(Box::new(inner), type_name)));
    }
    if input.has_columns()
        && let Some(input) = count_all(input)
    {
        return Ok((input, TermKind::CountAll));
    }
    let (input, function) = function_name(input)?;
    let (input, arguments) = enclosed(input, ("(", ")"), ARGUMENTS, term)?;
    Ok((input, TermKind::Call { function, arguments }))
}

/// The place behind `count(*)` or `count(1)`.
fn count_all(input: Input<'_>) -> Option<Input<'_>> {
    let argument = input.next().next();
    let all = argument.is_symbol("*") || argument.kind() == Kind::Integer && argument.text() == "1";
    let close = argument.next();
    (input.is_word("count") && input.next().is_symbol("(") && all && close.is_symbol(")"))
        .then(|| close.next())
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

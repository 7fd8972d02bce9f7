//! Relations of WHERE and conditions of IF.

use nom::Parser;
use nom::combinator::opt;
use tholos_grammar::ast::ident::Ident;
use tholos_grammar::ast::relation::{ColumnPath, Comparison, Conditions, InValues, Relation};
use tholos_grammar::ast::term::Term;

use crate::error::Expected;
use crate::input::{Input, Parsed};
use crate::lexer::Kind;
use crate::limits::{MAX_COLUMNS, MAX_ELEMENTS, MAX_RELATIONS};
use crate::term::{marker, marker_term, term, tuple};
use crate::token::{
    Limit, comma_separated, enclosed, flag, is_name, keyword, name, separated, symbol,
};

const RELATIONS: Limit = Limit(MAX_RELATIONS, "relations");
const CONDITIONS: Limit = Limit(MAX_RELATIONS, "conditions");
const VALUES: Limit = Limit(MAX_ELEMENTS, "values of IN");
const COLUMNS: Limit = Limit(MAX_COLUMNS, "columns");

/// `WHERE a AND b`, or nothing.
pub(crate) fn optional_where(input: Input<'_>) -> Parsed<'_, Vec<Relation>> {
    match opt(keyword("WHERE")).parse(input)? {
        (input, Some(())) => separated(input, keyword("AND"), RELATIONS, relation),
        (input, None) => Ok((input, Vec::new())),
    }
}

/// `IF ...`, or nothing.
pub(crate) fn optional_conditions(input: Input<'_>) -> Parsed<'_, Option<Conditions>> {
    let (input, Some(())) = opt(keyword("IF")).parse(input)? else { return Ok((input, None)) };
    if input.is_word("EXISTS") && !begins_operator(&input.next()) {
        return Ok((input.next(), Some(Conditions::Exists)));
    }
    input.expect(Expected::Keyword("EXISTS"));
    if let (input, true) = flag(input, &["NOT", "EXISTS"])? {
        return Ok((input, Some(Conditions::NotExists)));
    }
    let (input, relations) = separated(input, keyword("AND"), CONDITIONS, condition)?;
    Ok((input, Some(Conditions::All(relations))))
}

/// Whether what stands here makes the word before it a column.
fn begins_operator(input: &Input<'_>) -> bool {
    matches!(input.kind(), Kind::Symbol("=" | "!=" | "<" | "<=" | ">" | ">=" | "[" | "."))
        || ["IN", "NOT", "CONTAINS", "LIKE"].iter().any(|word| input.is_word(word))
}

/// A condition: a relation of one column or part of one, by a comparison or IN.
fn condition(input: Input<'_>) -> Parsed<'_, Relation> {
    let (behind, relation) = single_column(input)?;
    match relation {
        Relation::Single { .. } | Relation::In { .. } => Ok((behind, relation)),
        _ => input
            .refuse("a condition of IF compares with =, !=, <, <=, >, >=, IN, CONTAINS or LIKE"),
    }
}

pub(crate) fn relation(input: Input<'_>) -> Parsed<'_, Relation> {
    if input.is_word("token") && input.next().is_symbol("(") {
        return token(input);
    }
    if !input.is_symbol("(") {
        return single_column(input);
    }
    let second = input.next().next();
    if is_name(&input.next()) && !second.is_symbol(",") && !second.is_symbol(")")
        || input.next().is_symbol("(")
    {
        return input.nested(|input| {
            let (input, (_, inner, _)) = (symbol("("), relation, symbol(")")).parse(input)?;
            Ok((input, inner))
        });
    }
    several_columns(input)
}

fn column_name(input: Input<'_>) -> Parsed<'_, Ident> {
    name("a column name").parse(input)
}

/// `token(a, b) > term`
fn token(input: Input<'_>) -> Parsed<'_, Relation> {
    let (input, columns) = enclosed(input.next(), ("(", ")"), COLUMNS, column_name)?;
    let (input, operator) = inequality(input)?;
    let (input, term) = term(input)?;
    Ok((input, Relation::Token { columns, operator, term }))
}

/// `(a, b) > (1, 2)`, `(a, b) IN (...)`
fn several_columns(input: Input<'_>) -> Parsed<'_, Relation> {
    let (input, ()) = symbol("(").parse(input)?;
    let (input, columns) = comma_separated(input, COLUMNS, column_name)?;
    let (input, ()) = symbol(")").parse(input)?;
    if let (input, Some(())) = opt(keyword("IN")).parse(input)? {
        let (input, values) = in_values(input, tuple_or_marker)?;
        return Ok((input, Relation::TupleIn { columns, values }));
    }
    let (input, operator) = inequality(input)?;
    let (input, term) = tuple_or_marker(input)?;
    Ok((input, Relation::Tuple { columns, operator, term }))
}

fn tuple_or_marker(input: Input<'_>) -> Parsed<'_, Term> {
    if input.is_symbol("(") {
        return tuple(input);
    }
    input.expect(Expected::Thing("a tuple such as (1, 2)"));
    marker_term(input)
}

/// A relation of one column, or of a part of one.
fn single_column(input: Input<'_>) -> Parsed<'_, Relation> {
    let (input, column) = column_path(input)?;
    if let (input, Some(())) = opt(keyword("IN")).parse(input)? {
        let (input, values) = in_values(input, term)?;
        return Ok((input, Relation::In { column, negated: false, values }));
    }
    if let (input, Some(())) = opt(keyword("BETWEEN")).parse(input)? {
        let (input, (low, _, high)) = (term, keyword("AND"), term).parse(input)?;
        return Ok((input, Relation::Between { column, low, high }));
    }
    if let (input, Some(())) = opt(keyword("NOT")).parse(input)? {
        return negated(input, column);
    }
    if let (behind, true) = flag(input, &["IS", "NOT", "NULL"])? {
        let ColumnPath::Column(column) = column else {
            return input.refuse("IS NOT NULL is for whole columns only");
        };
        return Ok((behind, Relation::IsNotNull(column)));
    }
    let (input, operator) = comparison(input)?;
    let (input, term) = term(input)?;
    Ok((input, Relation::Single { column, operator, term }))
}

/// What follows `column NOT`.
fn negated(input: Input<'_>, column: ColumnPath) -> Parsed<'_, Relation> {
    if let (input, Some(())) = opt(keyword("IN")).parse(input)? {
        let (input, values) = in_values(input, term)?;
        return Ok((input, Relation::In { column, negated: true, values }));
    }
    let (input, ()) = keyword("CONTAINS").parse(input)?;
    let (input, key) = key(input)?;
    let operator = if key { Comparison::NotContainsKey } else { Comparison::NotContains };
    let (input, term) = term(input)?;
    Ok((input, Relation::Single { column, operator, term }))
}

/// KEY behind CONTAINS, unless it is the keyspace of a function.
fn key(input: Input<'_>) -> Parsed<'_, bool> {
    if input.next().is_symbol(".") { Ok((input, false)) } else { flag(input, &["KEY"]) }
}

/// `(a, b)`, `?` or `:name`
fn in_values<'a>(
    input: Input<'a>,
    value: impl FnMut(Input<'a>) -> Parsed<'a, Term>,
) -> Parsed<'a, InValues> {
    if matches!(input.kind(), Kind::Symbol("?" | ":")) {
        return marker(input).map(|(input, marker)| (input, InValues::Marker(marker)));
    }
    enclosed(input, ("(", ")"), VALUES, value)
        .map(|(input, values)| (input, InValues::List(values)))
}

/// `a`, `a[key]` or `a.field`
pub(crate) fn column_path(input: Input<'_>) -> Parsed<'_, ColumnPath> {
    let (input, column) = column_name(input)?;
    match input.kind() {
        Kind::Symbol("[") => {
            let (input, (key, ())) = (term, symbol("]")).parse(input.next())?;
            Ok((input, ColumnPath::Element(column, key)))
        }
        Kind::Symbol(".") => {
            let (input, field) = name("a field name").parse(input.next())?;
            Ok((input, ColumnPath::Field(column, field)))
        }
        _ => Ok((input, ColumnPath::Column(column))),
    }
}

/// `=`, `!=`, `<`, `<=`, `>`, `>=`
fn inequality(input: Input<'_>) -> Parsed<'_, Comparison> {
    let operator = match input.kind() {
        Kind::Symbol("=") => Comparison::Equal,
        Kind::Symbol("!=") => Comparison::NotEqual,
        Kind::Symbol("<") => Comparison::Less,
        Kind::Symbol("<=") => Comparison::LessOrEqual,
        Kind::Symbol(">") => Comparison::Greater,
        Kind::Symbol(">=") => Comparison::GreaterOrEqual,
        _ => return input.fail(Expected::Thing("a comparison such as =")),
    };
    Ok((input.next(), operator))
}

/// An inequality, or CONTAINS, CONTAINS KEY, LIKE.
fn comparison(input: Input<'_>) -> Parsed<'_, Comparison> {
    if let (input, Some(())) = opt(keyword("CONTAINS")).parse(input)? {
        let (input, key) = key(input)?;
        return Ok((input, if key { Comparison::ContainsKey } else { Comparison::Contains }));
    }
    match opt(keyword("LIKE")).parse(input)? {
        (input, Some(())) => Ok((input, Comparison::Like)),
        (input, None) => inequality(input),
    }
}

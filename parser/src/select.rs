//! SELECT.

use nom::Parser;
use nom::combinator::opt;
use tholos_grammar::ast::select::{Ordering, Select, SelectItem, SelectUsing, Selection};
use tholos_grammar::ast::term::Term;

use crate::input::{Input, Parsed};
use crate::lexer::Kind;
use crate::limits::MAX_COLUMNS;
use crate::relation::optional_where;
use crate::term::{expression, integer_or_marker, term};
use crate::token::{Limit, comma_separated, flag, is_name, keyword, name, symbol, table_name};
use crate::using::{Attribute, attributes};

const COLUMNS: Limit = Limit(MAX_COLUMNS, "columns");

/// `SELECT ...`
pub(crate) fn select(input: Input<'_>) -> Parsed<'_, Select> {
    let (input, ()) = keyword("SELECT").parse(input)?;
    let (input, json) = modifier(input, "JSON");
    let (input, distinct) = modifier(input, "DISTINCT");
    let (input, selection) = selection(input)?;
    let (input, ()) = keyword("FROM").parse(input)?;
    let (input, table) = table_name(input)?;
    let (input, relations) = optional_where(input)?;
    let (input, group_by) = group_by(input)?;
    let (input, order_by) = order_by(input)?;
    let (input, per_partition_limit) = limit(input, &["PER", "PARTITION", "LIMIT"])?;
    let (input, limit) = limit(input, &["LIMIT"])?;
    let (input, allow_filtering) = flag(input, &["ALLOW", "FILTERING"])?;
    let (input, bypass_cache) = flag(input, &["BYPASS", "CACHE"])?;
    let (input, using) = using(input)?;
    let select = Select {
        json,
        distinct,
        selection,
        table,
        relations,
        group_by,
        order_by,
        per_partition_limit,
        limit,
        allow_filtering,
        bypass_cache,
        using,
    };
    Ok((input, select))
}

/// JSON or DISTINCT, unless the word is a column of that name: what follows tells.
fn modifier<'a>(input: Input<'a>, word: &'static str) -> (Input<'a>, bool) {
    if !input.is_word(word) {
        return (input, false);
    }
    let behind = input.next();
    let selects = match behind.kind() {
        Kind::Word => !(behind.is_word("FROM") || behind.is_word("AS") && is_name(&behind.next())),
        Kind::Symbol("*") => behind.next().is_word("FROM"),
        Kind::Symbol("(" | "?" | ":" | "{") => true,
        Kind::Symbol(_) | Kind::End | Kind::Bad(_) => false,
        _ => true,
    };
    if selects { (behind, true) } else { (input, false) }
}

/// The select list.
pub(crate) fn selection(input: Input<'_>) -> Parsed<'_, Selection> {
    if let (input, Some(())) = opt(symbol("*")).parse(input)? {
        return Ok((input, Selection::All));
    }
    let (input, items) = comma_separated(input, COLUMNS, item)?;
    Ok((input, Selection::Items(items)))
}

fn item(input: Input<'_>) -> Parsed<'_, SelectItem> {
    let (input, term) = expression(input)?;
    match opt(keyword("AS")).parse(input)? {
        (input, Some(())) => {
            let (input, alias) = name("an alias").parse(input)?;
            Ok((input, SelectItem { term, alias: Some(alias) }))
        }
        (input, None) => Ok((input, SelectItem { term, alias: None })),
    }
}

fn group_by(input: Input<'_>) -> Parsed<'_, Vec<Term>> {
    match flag(input, &["GROUP", "BY"])? {
        (input, true) => comma_separated(input, COLUMNS, expression),
        (input, false) => Ok((input, Vec::new())),
    }
}

fn order_by(input: Input<'_>) -> Parsed<'_, Vec<Ordering>> {
    match flag(input, &["ORDER", "BY"])? {
        (input, true) => comma_separated(input, COLUMNS, ordering),
        (input, false) => Ok((input, Vec::new())),
    }
}

fn ordering(input: Input<'_>) -> Parsed<'_, Ordering> {
    let (input, column) = name("a column name").parse(input)?;
    if let (input, true) = flag(input, &["ANN", "OF"])? {
        let (input, term) = term(input)?;
        return Ok((input, Ordering::Ann { column, term }));
    }
    let (input, descending) = direction(input)?;
    Ok((input, Ordering::Column { column, descending }))
}

/// `ASC`, `DESC` or nothing: whether it is DESC.
pub(crate) fn direction(input: Input<'_>) -> Parsed<'_, bool> {
    let (input, ascending) = opt(keyword("ASC")).parse(input)?;
    if ascending.is_some() { Ok((input, false)) } else { flag(input, &["DESC"]) }
}

fn limit<'a>(input: Input<'a>, words: &[&'static str]) -> Parsed<'a, Option<Term>> {
    match flag(input, words)? {
        (input, true) => {
            integer_or_marker(input, "a number of rows").map(|(input, term)| (input, Some(term)))
        }
        (input, false) => Ok((input, None)),
    }
}

fn using(input: Input<'_>) -> Parsed<'_, SelectUsing> {
    let (input, using) =
        attributes(input, "SELECT", &[Attribute::Timeout, Attribute::Consistency])?;
    Ok((input, SelectUsing { timeout: using.timeout, consistency: using.consistency }))
}

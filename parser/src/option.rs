//! `WITH a = 1 AND b = {...}`: options of keyspaces, tables, views and indexes.

use nom::Parser;
use nom::combinator::opt;
use tholos_grammar::ast::ident::Ident;
use tholos_grammar::ast::schema::{OptionValue, Options};
use tholos_grammar::ast::term::Literal;

use crate::error::Expected;
use crate::input::{Input, Parsed};
use crate::lexer::Kind;
use crate::limits::{MAX_COLUMNS, MAX_ELEMENTS};
use crate::literal::{is_literal, literal};
use crate::select::direction;
use crate::token::{
    Limit, comma_separated, enclosed, is_name, keyword, keywords, name, separated, symbol,
};

/// What WITH may say of a table or view.
#[derive(Default)]
pub(crate) struct TableOptions {
    pub(crate) clustering_order: Vec<(Ident, bool)>,
    pub(crate) compact_storage: bool,
    pub(crate) options: Options,
}

const OPTIONS: Limit = Limit(1_000, "options");
const ENTRIES: Limit = Limit(MAX_ELEMENTS, "entries in an option");

/// `WITH a = 1 AND ...`
pub(crate) fn with(input: Input<'_>) -> Parsed<'_, Options> {
    let (input, ()) = keyword("WITH").parse(input)?;
    separated(input, keyword("AND"), OPTIONS, option)
}

/// `WITH ...` of a table or view, or nothing.
pub(crate) fn optional_table_options(input: Input<'_>) -> Parsed<'_, TableOptions> {
    let mut found = TableOptions::default();
    let (mut input, Some(())) = opt(keyword("WITH")).parse(input)? else {
        return Ok((input, found));
    };
    loop {
        (input, ()) = table_option(input, &mut found)?;
        match opt(keyword("AND")).parse(input)? {
            (behind, Some(())) => input = behind,
            (behind, None) => return Ok((behind, found)),
        }
    }
}

fn table_option<'a>(input: Input<'a>, found: &mut TableOptions) -> Parsed<'a, ()> {
    if input.are_words(&["COMPACT", "STORAGE"]) {
        found.compact_storage = true;
        return keywords(input, &["COMPACT", "STORAGE"]);
    }
    if input.is_word("CLUSTERING") && !input.next().is_symbol("=") {
        let (input, ()) = keywords(input, &["CLUSTERING", "ORDER", "BY"])?;
        let (input, ()) = symbol("(").parse(input)?;
        let (input, order) =
            comma_separated(input, Limit(MAX_COLUMNS, "columns"), clustering_column)?;
        found.clustering_order.extend(order);
        return symbol(")").parse(input);
    }
    if found.options.len() >= OPTIONS.0 {
        return input.refuse(format!("more than {} {}", OPTIONS.0, OPTIONS.1));
    }
    let (input, option) = option(input)?;
    found.options.push(option);
    Ok((input, ()))
}

fn clustering_column(input: Input<'_>) -> Parsed<'_, (Ident, bool)> {
    (name("a clustering column"), direction).parse(input)
}

fn option(input: Input<'_>) -> Parsed<'_, (Ident, OptionValue)> {
    let (input, (name, _, value)) = (name("an option"), symbol("="), option_value).parse(input)?;
    Ok((input, (name, value)))
}

/// A constant or a map of constants.
pub(crate) fn option_value(input: Input<'_>) -> Parsed<'_, OptionValue> {
    if input.is_symbol("{") {
        return option_map(input).map(|(input, entries)| (input, OptionValue::Map(entries)));
    }
    if input.kind() == Kind::Word && !is_literal(&input) && is_name(&input) {
        let hint = "text goes in single quotes";
        return input
            .refuse_with(format!("{} is no value for an option", input.text()), Some(hint));
    }
    if !is_literal(&input) {
        input.expect(Expected::Symbol("{"));
    }
    literal(input).map(|(input, literal)| (input, OptionValue::Literal(literal)))
}

/// `{'k': 'v'}`
pub(crate) fn option_map(input: Input<'_>) -> Parsed<'_, Vec<(Literal, Literal)>> {
    enclosed(input, ("{", "}"), ENTRIES, |input| {
        let (input, (key, _, value)) = (literal, symbol(":"), literal).parse(input)?;
        Ok((input, (key, value)))
    })
}

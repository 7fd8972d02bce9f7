//! The smallest parsers: keywords, symbols, names and lists of things.

use nom::Parser;
use nom::combinator::opt;
use tholos_grammar::ast::QualifiedName;
use tholos_grammar::ast::ident::Ident;
use tholos_grammar::name::{Name, is_reserved};

use crate::error::Expected;
use crate::input::{Failed, Input, Parsed};
use crate::lexer::Kind;

/// A keyword, in any case.
pub(crate) fn keyword<'a>(
    word: &'static str,
) -> impl Parser<Input<'a>, Output = (), Error = Failed> + Copy {
    move |input: Input<'a>| {
        if input.is_word(word) {
            Ok((input.next(), ()))
        } else {
            input.fail(Expected::Keyword(word))
        }
    }
}

/// Keywords in a row.
pub(crate) fn keywords<'a>(mut input: Input<'a>, words: &[&'static str]) -> Parsed<'a, ()> {
    for word in words {
        (input, ()) = keyword(word).parse(input)?;
    }
    Ok((input, ()))
}

/// Optional keywords in a row: once the first is there, the others must be.
pub(crate) fn flag<'a>(input: Input<'a>, words: &[&'static str]) -> Parsed<'a, bool> {
    let Some((first, others)) = words.split_first() else { return Ok((input, false)) };
    match opt(keyword(first)).parse(input)? {
        (input, Some(())) => keywords(input, others).map(|(input, ())| (input, true)),
        (input, None) => Ok((input, false)),
    }
}

pub(crate) fn if_exists(input: Input<'_>) -> Parsed<'_, bool> {
    flag(input, &["IF", "EXISTS"])
}

pub(crate) fn if_not_exists(input: Input<'_>) -> Parsed<'_, bool> {
    flag(input, &["IF", "NOT", "EXISTS"])
}

/// Fails, with keywords that could have stood here.
pub(crate) fn expected_one_of<'a, O>(input: Input<'a>, words: &[&'static str]) -> Parsed<'a, O> {
    words.iter().for_each(|word| input.expect(Expected::Keyword(word)));
    Err(nom::Err::Error(Failed))
}

/// A punctuation mark.
pub(crate) fn symbol<'a>(
    symbol: &'static str,
) -> impl Parser<Input<'a>, Output = (), Error = Failed> + Copy {
    move |input: Input<'a>| {
        if input.is_symbol(symbol) {
            Ok((input.next(), ()))
        } else {
            input.fail(Expected::Symbol(symbol))
        }
    }
}

/// Whether an identifier stands here: a quoted one, or a word that is not reserved.
pub(crate) fn is_name(input: &Input<'_>) -> bool {
    match input.kind() {
        Kind::QuotedName => true,
        Kind::Word => !is_reserved(input.text()),
        _ => false,
    }
}

/// An identifier; `what` says in errors whose.
pub(crate) fn name<'a>(
    what: &'static str,
) -> impl Parser<Input<'a>, Output = Ident, Error = Failed> + Copy {
    move |input: Input<'a>| {
        if !is_name(&input) {
            return input.fail(Expected::Thing(what));
        }
        let text = input.text();
        let name = match input.kind() {
            Kind::QuotedName => Name::exact(&unquoted(text, "\"")),
            _ => Name::folded(text),
        };
        if name.as_str().is_empty() {
            return input.refuse("a name can't be empty");
        }
        Ok((input.next(), Ident::new(name, input.span())))
    }
}

/// `name` or `keyspace.name`
pub(crate) fn qualified_name<'a>(
    what: &'static str,
) -> impl Parser<Input<'a>, Output = QualifiedName, Error = Failed> + Copy {
    move |input: Input<'a>| {
        let (input, first) = name(what).parse(input)?;
        if !input.is_symbol(".") {
            return Ok((input, QualifiedName { keyspace: None, name: first }));
        }
        let (input, second) = name(what).parse(input.next())?;
        Ok((input, QualifiedName { keyspace: Some(first), name: second }))
    }
}

/// A keyspace's name.
pub(crate) fn keyspace_name(input: Input<'_>) -> Parsed<'_, Ident> {
    name("a keyspace name").parse(input)
}

pub(crate) fn table_name(input: Input<'_>) -> Parsed<'_, QualifiedName> {
    qualified_name("a table name").parse(input)
}

/// Text without its quotes; those doubled inside become one.
pub(crate) fn unquoted(text: &str, mark: &str) -> String {
    let inside = text.strip_prefix(mark).and_then(|text| text.strip_suffix(mark)).unwrap_or(text);
    inside.replace(&mark.repeat(2), mark)
}

/// A text literal: `'text'` or `$$text$$`.
pub(crate) fn text<'a>(
    what: &'static str,
) -> impl Parser<Input<'a>, Output = String, Error = Failed> + Copy {
    move |input: Input<'a>| match input.kind() {
        Kind::Text => Ok((input.next(), unquoted(input.text(), "'"))),
        Kind::DollarText => Ok((input.next(), unquoted_dollars(input.text()))),
        _ => input.fail(Expected::Thing(what)),
    }
}

fn unquoted_dollars(text: &str) -> String {
    text.strip_prefix("$$").and_then(|text| text.strip_suffix("$$")).unwrap_or(text).to_string()
}

/// What may be counted: the most there may be of it, and what it is called in the plural.
#[derive(Clone, Copy)]
pub(crate) struct Limit(pub(crate) usize, pub(crate) &'static str);

/// One item or more, with a separator between them.
pub(crate) fn separated<'a, O>(
    input: Input<'a>,
    separator: impl Parser<Input<'a>, Output = (), Error = Failed> + Copy,
    limit: Limit,
    mut item: impl FnMut(Input<'a>) -> Parsed<'a, O>,
) -> Parsed<'a, Vec<O>> {
    let (input, first) = item(input)?;
    separated_from(input, first, separator, limit, item)
}

/// As [`separated`], with the first item parsed already.
pub(crate) fn separated_from<'a, O>(
    mut input: Input<'a>,
    first: O,
    separator: impl Parser<Input<'a>, Output = (), Error = Failed> + Copy,
    limit: Limit,
    mut item: impl FnMut(Input<'a>) -> Parsed<'a, O>,
) -> Parsed<'a, Vec<O>> {
    let mut items = vec![first];
    let (operators, mut most) = (input.operators(), input.operators());
    while let (behind, Some(())) = opt(separator).parse(input)? {
        if items.len() >= limit.0 {
            return behind.refuse(format!("more than {} {}", limit.0, limit.1));
        }
        input.set_operators(operators);
        let (behind, next) = item(behind)?;
        most = most.max(input.operators());
        items.push(next);
        input = behind;
    }
    input.set_operators(most);
    Ok((input, items))
}

/// One item or more, with commas.
pub(crate) fn comma_separated<'a, O>(
    input: Input<'a>,
    limit: Limit,
    item: impl FnMut(Input<'a>) -> Parsed<'a, O>,
) -> Parsed<'a, Vec<O>> {
    separated(input, symbol(","), limit, item)
}

/// Definitions between parentheses, one or more, with commas. Behind the first a comma need not have one behind it
/// (`(a int,, b int,)`): Cassandra takes that in CREATE TABLE and CREATE TYPE, and schemas in use have it.
pub(crate) fn definitions<'a, O>(
    input: Input<'a>,
    limit: Limit,
    mut item: impl FnMut(Input<'a>) -> Parsed<'a, O>,
) -> Parsed<'a, Vec<O>> {
    let (input, ()) = symbol("(").parse(input)?;
    let (input, first) = item(input)?;
    let (input, items) = separated_from(input, Some(first), symbol(","), limit, |input| {
        if input.is_symbol(",") || input.is_symbol(")") {
            return Ok((input, None));
        }
        item(input).map(|(input, item)| (input, Some(item)))
    })?;
    let (input, ()) = symbol(")").parse(input)?;
    Ok((input, items.into_iter().flatten().collect()))
}

/// `[IF EXISTS] a TO b AND c TO d`; `what` says in errors whose names they are.
pub(crate) fn renames<'a>(
    input: Input<'a>,
    what: &'static str,
    limit: Limit,
) -> Parsed<'a, (bool, Vec<(Ident, Ident)>)> {
    let (input, if_exists) = if_exists(input)?;
    let (input, names) = separated(input, keyword("AND"), limit, |input| {
        let (input, (from, _, to)) = (name(what), keyword("TO"), name(what)).parse(input)?;
        Ok((input, (from, to)))
    })?;
    Ok((input, (if_exists, names)))
}

/// Items with commas between an opening and a closing mark; there may be none.
pub(crate) fn enclosed<'a, O>(
    input: Input<'a>,
    (open, close): (&'static str, &'static str),
    limit: Limit,
    item: impl FnMut(Input<'a>) -> Parsed<'a, O>,
) -> Parsed<'a, Vec<O>> {
    let (input, ()) = symbol(open).parse(input)?;
    if let (input, Some(())) = opt(symbol(close)).parse(input)? {
        return Ok((input, Vec::new()));
    }
    let (input, items) = comma_separated(input, limit, item)?;
    let (input, ()) = symbol(close).parse(input)?;
    Ok((input, items))
}

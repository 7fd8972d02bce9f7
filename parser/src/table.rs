//! CREATE TABLE and ALTER TABLE.

use nom::Parser;
use nom::combinator::opt;
use tholos_grammar::ast::ident::Ident;
use tholos_grammar::ast::schema::{
    AlterTable, ColumnDefinition, CreateTable, PrimaryKey, TableChange,
};

use crate::error::Expected;
use crate::input::{Input, Parsed};
use crate::lexer::Kind;
use crate::limits::MAX_COLUMNS;
use crate::option::{optional_table_options, with};
use crate::token::{
    Limit, comma_separated, definitions, expected_one_of, flag, if_exists, if_not_exists, keyword,
    keywords, name, renames, symbol, table_name,
};
use crate::type_name::type_name;

const COLUMNS: Limit = Limit(MAX_COLUMNS, "columns");

fn column_name(input: Input<'_>) -> Parsed<'_, Ident> {
    name("a column name").parse(input)
}

/// Behind `CREATE TABLE`.
pub(crate) fn create_table(input: Input<'_>) -> Parsed<'_, CreateTable> {
    let (input, (if_not_exists, name)) = (if_not_exists, table_name).parse(input)?;
    let (mut columns, mut key) = (Vec::new(), None);
    let (behind, _) =
        definitions(input, COLUMNS, |input| table_item(input, &mut columns, &mut key))?;
    let Some(primary_key) = key else {
        let hint =
            "write PRIMARY KEY behind a column's type, or PRIMARY KEY (column, ...) at the end";
        return input.refuse_meaning(format!("table {name} has no PRIMARY KEY"), Some(hint));
    };
    let input = behind;
    let (input, with) = optional_table_options(input)?;
    let (clustering_order, compact_storage, options) =
        (with.clustering_order, with.compact_storage, with.options);
    let table = CreateTable {
        if_not_exists,
        name,
        columns,
        primary_key,
        clustering_order,
        compact_storage,
        options,
    };
    Ok((input, table))
}

/// A column, or PRIMARY KEY.
fn table_item<'a>(
    input: Input<'a>,
    columns: &mut Vec<ColumnDefinition>,
    key: &mut Option<PrimaryKey>,
) -> Parsed<'a, ()> {
    let at = input;
    let (input, found) = if let (input, true) = flag(input, &["PRIMARY", "KEY"])? {
        primary_key(input).map(|(input, key)| (input, Some(key)))?
    } else {
        let (input, column) = column(input)?;
        let (input, is_key) = flag(input, &["PRIMARY", "KEY"])?;
        let single = is_key
            .then(|| PrimaryKey { partition: vec![column.name.clone()], clustering: Vec::new() });
        columns.push(column);
        (input, single)
    };
    if found.is_some() && key.is_some() {
        let hint = "PRIMARY KEY (a, b) makes a key of several columns";
        return at.refuse_meaning("PRIMARY KEY is given twice", Some(hint));
    }
    *key = key.take().or(found);
    Ok((input, ()))
}

/// `name type [STATIC]`
fn column(input: Input<'_>) -> Parsed<'_, ColumnDefinition> {
    let (input, (name, type_name, is_static)) =
        (column_name, type_name, opt(keyword("STATIC"))).parse(input)?;
    Ok((input, ColumnDefinition { name, type_name, is_static: is_static.is_some() }))
}

/// `(a, b)` or `((a, b), c)`, behind PRIMARY KEY.
pub(crate) fn primary_key(input: Input<'_>) -> Parsed<'_, PrimaryKey> {
    let (input, ()) = symbol("(").parse(input)?;
    let (input, partition) = match opt(symbol("(")).parse(input)? {
        (input, Some(())) => {
            let (input, columns) = comma_separated(input, COLUMNS, column_name)?;
            symbol(")").parse(input).map(|(input, ())| (input, columns))?
        }
        (input, None) => column_name(input).map(|(input, column)| (input, vec![column]))?,
    };
    let (input, clustering) = match opt(symbol(",")).parse(input)? {
        (input, Some(())) => comma_separated(input, COLUMNS, column_name)?,
        (input, None) => (input, Vec::new()),
    };
    let (input, ()) = symbol(")").parse(input)?;
    Ok((input, PrimaryKey { partition, clustering }))
}

/// Behind `ALTER TABLE`.
pub(crate) fn alter_table(input: Input<'_>) -> Parsed<'_, AlterTable> {
    let (input, (if_exists, name)) = (if_exists, table_name).parse(input)?;
    let (input, change) = table_change(input)?;
    Ok((input, AlterTable { if_exists, name, change }))
}

fn table_change(input: Input<'_>) -> Parsed<'_, TableChange> {
    if input.is_word("ADD") {
        let (input, if_not_exists) = if_not_exists(input.next())?;
        let (input, columns) = several(input, column)?;
        return Ok((input, TableChange::Add { if_not_exists, columns }));
    }
    if input.is_word("DROP") {
        return drop(input.next());
    }
    if input.is_word("RENAME") {
        let (input, (if_exists, columns)) = renames(input.next(), "a column name", COLUMNS)?;
        return Ok((input, TableChange::Rename { if_exists, columns }));
    }
    if input.is_word("ALTER") {
        let (input, (column, _, type_name)) =
            (column_name, keyword("TYPE"), type_name).parse(input.next())?;
        return Ok((input, TableChange::Type { column, type_name }));
    }
    if input.is_word("WITH") {
        return with(input).map(|(input, options)| (input, TableChange::With(options)));
    }
    expected_one_of(input, &["ADD", "DROP", "RENAME", "WITH", "ALTER"])
}

/// Behind DROP.
fn drop(input: Input<'_>) -> Parsed<'_, TableChange> {
    if input.are_words(&["COMPACT", "STORAGE"]) {
        return keywords(input, &["COMPACT", "STORAGE"])
            .map(|(input, ())| (input, TableChange::DropCompactStorage));
    }
    let (input, if_exists) = if_exists(input)?;
    let (input, columns) = several(input, column_name)?;
    let (input, timestamp) = match flag(input, &["USING", "TIMESTAMP"])? {
        (input, true) => timestamp(input).map(|(input, timestamp)| (input, Some(timestamp)))?,
        (input, false) => (input, None),
    };
    Ok((input, TableChange::Drop { if_exists, columns, timestamp }))
}

/// Microseconds, as a number: there is no bind marker in a change of the schema.
fn timestamp(input: Input<'_>) -> Parsed<'_, i64> {
    let (sign, digits) = if input.is_symbol("-") { ("-", input.next()) } else { ("", input) };
    if digits.kind() != Kind::Integer {
        return digits.fail(Expected::Thing("a timestamp in microseconds"));
    }
    match format!("{sign}{}", digits.text()).parse() {
        Ok(timestamp) => Ok((digits.next(), timestamp)),
        Err(_) => digits.refuse("a timestamp is a 64-bit number of microseconds"),
    }
}

/// `a, b` or `(a, b)`
fn several<'a, O>(
    input: Input<'a>,
    item: impl FnMut(Input<'a>) -> Parsed<'a, O>,
) -> Parsed<'a, Vec<O>> {
    let (input, Some(())) = opt(symbol("(")).parse(input)? else {
        return comma_separated(input, COLUMNS, item);
    };
    let (input, items) = comma_separated(input, COLUMNS, item)?;
    symbol(")").parse(input).map(|(input, ())| (input, items))
}

//! INSERT, UPDATE, DELETE, BATCH and TRUNCATE.

use nom::Parser;
use nom::combinator::opt;
use tholos_grammar::ast::TableName;
use tholos_grammar::ast::ident::Ident;
use tholos_grammar::ast::modify::{
    Assignment, Batch, BatchKind, Delete, Insert, InsertSource, Modification, Update,
};
use tholos_grammar::ast::relation::ColumnPath;

use crate::error::Expected;
use crate::input::{Failed, Input, Parsed};
use crate::lexer::Kind;
use crate::limits::{MAX_BATCH_STATEMENTS, MAX_COLUMNS};
use crate::relation::{column_path, optional_conditions, optional_where};
use crate::term::{factor, is_column, term, term_before_column, text_or_marker};
use crate::token::{
    Limit, comma_separated, enclosed, flag, if_not_exists, keyword, keywords, name, symbol,
    table_name,
};
use crate::using::{Attribute, attributes};

const COLUMNS: Limit = Limit(MAX_COLUMNS, "columns");
const VALUES: Limit = Limit(MAX_COLUMNS, "values");
const ASSIGNMENTS: Limit = Limit(MAX_COLUMNS, "assignments");

const OF_WRITE: [Attribute; 4] =
    [Attribute::Timestamp, Attribute::Ttl, Attribute::Timeout, Attribute::Consistency];
const OF_DELETE: [Attribute; 3] =
    [Attribute::Timestamp, Attribute::Timeout, Attribute::Consistency];

/// `TRUNCATE [TABLE] t`
pub(crate) fn truncate(input: Input<'_>) -> Parsed<'_, TableName> {
    let (input, ()) = keyword("TRUNCATE").parse(input)?;
    let (input, table) = opt(keyword("TABLE")).parse(input)?;
    let (input, _) =
        if table.is_none() { opt(keyword("COLUMNFAMILY")).parse(input)? } else { (input, None) };
    table_name(input)
}

/// `INSERT INTO ...`
pub(crate) fn insert(input: Input<'_>) -> Parsed<'_, Insert> {
    let (input, ()) = keywords(input, &["INSERT", "INTO"])?;
    let (input, table) = table_name(input)?;
    let (input, source) = match opt(keyword("JSON")).parse(input)? {
        (input, Some(())) => json(input)?,
        (input, None) => values(input)?,
    };
    let (input, if_not_exists) = if_not_exists(input)?;
    let (input, using) = attributes(input, "INSERT", &OF_WRITE)?;
    Ok((input, Insert { table, source, if_not_exists, using }))
}

/// `'...' [DEFAULT NULL | DEFAULT UNSET]`
fn json(input: Input<'_>) -> Parsed<'_, InsertSource> {
    let (input, json) = text_or_marker(input, "a JSON document in quotes")?;
    let (input, default) = opt(keyword("DEFAULT")).parse(input)?;
    if default.is_none() {
        return Ok((input, InsertSource::Json { json, default_unset: false }));
    }
    match opt(keyword("UNSET")).parse(input)? {
        (input, Some(())) => Ok((input, InsertSource::Json { json, default_unset: true })),
        (input, None) => {
            let (input, ()) = keyword("NULL").parse(input)?;
            Ok((input, InsertSource::Json { json, default_unset: false }))
        }
    }
}

/// `(a, b) VALUES (1, 2)`
fn values(input: Input<'_>) -> Parsed<'_, InsertSource> {
    let (input, ()) = symbol("(").parse(input)?;
    let (input, columns) =
        comma_separated(input, COLUMNS, |input| name("a column name").parse(input))?;
    let (input, ()) = symbol(")").parse(input)?;
    let (input, ()) = keyword("VALUES").parse(input)?;
    let at = input;
    let (input, terms) = enclosed(input, ("(", ")"), VALUES, term)?;
    if columns.len() != terms.len() {
        let (values, columns) = (counted(terms.len(), "value"), counted(columns.len(), "column"));
        return at.refuse_meaning(format!("{values} for {columns}"), None);
    }
    Ok((input, InsertSource::Values(columns.into_iter().zip(terms).collect())))
}

fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// `UPDATE ...`
pub(crate) fn update(input: Input<'_>) -> Parsed<'_, Update> {
    let (input, ()) = keyword("UPDATE").parse(input)?;
    let (input, table) = table_name(input)?;
    let (input, using) = attributes(input, "UPDATE", &OF_WRITE)?;
    let (input, ()) = keyword("SET").parse(input)?;
    let (input, assignments) = comma_separated(input, ASSIGNMENTS, assignment)?;
    let (input, relations) = optional_where(input)?;
    let (input, conditions) = optional_conditions(input)?;
    Ok((input, Update { table, using, assignments, relations, conditions }))
}

/// One assignment of SET.
fn assignment(input: Input<'_>) -> Parsed<'_, Assignment> {
    let (input, path) = column_path(input)?;
    if let ColumnPath::Column(column) = &path {
        match input.kind() {
            Kind::Symbol("+=") => {
                return term(input.next())
                    .map(|(input, term)| (input, Assignment::Add(column.clone(), term)));
            }
            Kind::Symbol("-=") => {
                return term(input.next())
                    .map(|(input, term)| (input, Assignment::Subtract(column.clone(), term)));
            }
            _ => {
                input.expect(Expected::Symbol("+="));
                input.expect(Expected::Symbol("-="));
            }
        }
    }
    let (input, ()) = symbol("=").parse(input)?;
    if is_column(input) {
        return of_column(input, path);
    }
    let (input, value) = term_before_column(input)?;
    if !(input.is_symbol("+") && is_column(input.next())) {
        return Ok((input, Assignment::Set(path, value)));
    }
    let (behind, column) = same_column(input.next(), &path)?;
    Ok((behind, Assignment::Prepend(column, value)))
}

/// `a + term` or `a - term`, behind `a =`. What follows a minus is one operand: `a - 1 - 2` would read as
/// `a - (1 - 2)`.
fn of_column<'a>(input: Input<'a>, path: ColumnPath) -> Parsed<'a, Assignment> {
    let (input, column) = same_column(input, &path)?;
    match input.kind() {
        Kind::Symbol("+") => {
            term(input.next()).map(|(input, term)| (input, Assignment::Add(column, term)))
        }
        Kind::Symbol("-") => {
            factor(input.next()).map(|(input, term)| (input, Assignment::Subtract(column, term)))
        }
        _ => {
            input.expect(Expected::Symbol("+"));
            input.fail(Expected::Symbol("-"))
        }
    }
}

/// The column on the left, once more on the right.
fn same_column<'a>(input: Input<'a>, path: &ColumnPath) -> Parsed<'a, Ident> {
    let (behind, column) = name("a column name").parse(input)?;
    if *path == ColumnPath::Column(column.clone()) {
        return Ok((behind, column));
    }
    let hint = "only a = a + value, a = a - value and a = value + a may name a column on the right";
    input.refuse_with(format!("{column} is not the column that is set, {path}"), Some(hint))
}

/// `DELETE ...`
pub(crate) fn delete(input: Input<'_>) -> Parsed<'_, Delete> {
    let (input, ()) = keyword("DELETE").parse(input)?;
    let (input, targets) = match opt(keyword("FROM")).parse(input)? {
        (input, Some(())) => (input, Vec::new()),
        (input, None) => {
            let (input, targets) = comma_separated(input, COLUMNS, column_path)?;
            keyword("FROM").parse(input).map(|(input, ())| (input, targets))?
        }
    };
    let (input, table) = table_name(input)?;
    let (input, using) = attributes(input, "DELETE", &OF_DELETE)?;
    let (input, relations) = optional_where(input)?;
    let (input, conditions) = optional_conditions(input)?;
    Ok((input, Delete { targets, table, using, relations, conditions }))
}

/// `BEGIN BATCH ... APPLY BATCH`
pub(crate) fn batch(input: Input<'_>) -> Parsed<'_, Batch> {
    let (input, ()) = keyword("BEGIN").parse(input)?;
    let (input, kind) = batch_kind(input)?;
    let (input, ()) = keyword("BATCH").parse(input)?;
    let (mut input, using) = attributes(input, "BATCH", &OF_DELETE)?;
    let mut statements = Vec::new();
    while !input.is_word("APPLY") {
        if statements.len() >= MAX_BATCH_STATEMENTS {
            return input.refuse(format!("more than {MAX_BATCH_STATEMENTS} statements in a batch"));
        }
        let (behind, statement) = modification(input)?;
        statements.push(statement);
        (input, _) = opt(symbol(";")).parse(behind)?;
    }
    let (input, ()) = keywords(input, &["APPLY", "BATCH"])?;
    Ok((input, Batch { kind, using, statements }))
}

fn batch_kind(input: Input<'_>) -> Parsed<'_, BatchKind> {
    let kinds = [
        ("UNLOGGED", BatchKind::Unlogged),
        ("COUNTER", BatchKind::Counter),
        ("LOGGED", BatchKind::Logged),
    ];
    for (word, kind) in kinds {
        if let (input, true) = flag(input, &[word])? {
            return Ok((input, kind));
        }
    }
    Ok((input, BatchKind::Logged))
}

fn modification(input: Input<'_>) -> Parsed<'_, Modification> {
    if input.is_word("INSERT") {
        return insert(input).map(|(input, insert)| (input, Modification::Insert(insert)));
    }
    if input.is_word("UPDATE") {
        return update(input).map(|(input, update)| (input, Modification::Update(update)));
    }
    if input.is_word("DELETE") {
        return delete(input).map(|(input, delete)| (input, Modification::Delete(delete)));
    }
    ["INSERT", "UPDATE", "DELETE", "APPLY"]
        .into_iter()
        .for_each(|word| input.expect(Expected::Keyword(word)));
    Err(nom::Err::Error(Failed))
}

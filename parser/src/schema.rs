//! CREATE, ALTER and DROP of keyspaces, types, indexes, views and triggers. Tables are in [`crate::table`], functions
//! and aggregates in [`crate::function`].

use nom::Parser;
use nom::combinator::opt;
use tholos_grammar::ast::ident::Ident;
use tholos_grammar::ast::schema::{
    AlterKeyspace, AlterType, AlterView, CreateIndex, CreateKeyspace, CreateTrigger, CreateType,
    CreateView, DropKeyspace, DropObject, DropTrigger, IndexTarget, TypeChange,
};
use tholos_grammar::ast::type_name::TypeName;

use crate::error::Expected;
use crate::input::{Input, Parsed};
use crate::limits::MAX_COLUMNS;
use crate::option::{option_map, optional_table_options, with};
use crate::relation::optional_where;
use crate::select::selection;
use crate::table::primary_key;
use crate::token::{
    Limit, comma_separated, definitions, if_exists, if_not_exists, keyspace_name, keyword,
    keywords, name, qualified_name, renames, symbol, table_name, text,
};
use crate::type_name::type_name;

const FIELDS: Limit = Limit(MAX_COLUMNS, "fields");

/// Behind `CREATE KEYSPACE`.
pub(crate) fn create_keyspace(input: Input<'_>) -> Parsed<'_, CreateKeyspace> {
    let (input, (if_not_exists, name, options)) =
        (if_not_exists, keyspace_name, with).parse(input)?;
    Ok((input, CreateKeyspace { if_not_exists, name, options }))
}

/// Behind `ALTER KEYSPACE`.
pub(crate) fn alter_keyspace(input: Input<'_>) -> Parsed<'_, AlterKeyspace> {
    let (input, (if_exists, name, options)) = (if_exists, keyspace_name, with).parse(input)?;
    Ok((input, AlterKeyspace { if_exists, name, options }))
}

/// Behind `DROP KEYSPACE`.
pub(crate) fn drop_keyspace(input: Input<'_>) -> Parsed<'_, DropKeyspace> {
    let (input, (if_exists, name)) = (if_exists, keyspace_name).parse(input)?;
    Ok((input, DropKeyspace { if_exists, name }))
}

/// Behind `DROP TABLE` and the like; `what` is the object's name in errors.
pub(crate) fn drop_object<'a>(input: Input<'a>, what: &'static str) -> Parsed<'a, DropObject> {
    let (input, (if_exists, name)) = (if_exists, qualified_name(what)).parse(input)?;
    Ok((input, DropObject { if_exists, name }))
}

/// Behind `CREATE TYPE`.
pub(crate) fn create_type(input: Input<'_>) -> Parsed<'_, CreateType> {
    let (input, if_not_exists) = if_not_exists(input)?;
    let (input, name) = qualified_name("a type name").parse(input)?;
    let (input, fields) = definitions(input, FIELDS, field)?;
    Ok((input, CreateType { if_not_exists, name, fields }))
}

fn field_name(input: Input<'_>) -> Parsed<'_, Ident> {
    name("a field name").parse(input)
}

fn field(input: Input<'_>) -> Parsed<'_, (Ident, TypeName)> {
    (field_name, type_name).parse(input)
}

/// Behind `ALTER TYPE`.
pub(crate) fn alter_type(input: Input<'_>) -> Parsed<'_, AlterType> {
    let (input, if_exists) = if_exists(input)?;
    let (input, name) = qualified_name("a type name").parse(input)?;
    let (input, change) = type_change(input)?;
    Ok((input, AlterType { if_exists, name, change }))
}

fn type_change(input: Input<'_>) -> Parsed<'_, TypeChange> {
    if let (input, Some(())) = opt(keyword("ADD")).parse(input)? {
        let (input, (if_not_exists, (field, type_name))) = (if_not_exists, field).parse(input)?;
        return Ok((input, TypeChange::Add { if_not_exists, field, type_name }));
    }
    if let (input, Some(())) = opt(keyword("RENAME")).parse(input)? {
        let (input, (if_exists, fields)) = renames(input, "a field name", FIELDS)?;
        return Ok((input, TypeChange::Rename { if_exists, fields }));
    }
    let (input, (_, field, _, type_name)) =
        (keyword("ALTER"), field_name, keyword("TYPE"), type_name).parse(input)?;
    Ok((input, TypeChange::Type { field, type_name }))
}

/// Behind `CREATE INDEX` or `CREATE CUSTOM INDEX`.
pub(crate) fn create_index(input: Input<'_>, custom: bool) -> Parsed<'_, CreateIndex> {
    let (input, if_not_exists) = if_not_exists(input)?;
    let (input, index) = opt(name("an index name")).parse(input)?;
    let (input, (_, table, _)) = (keyword("ON"), table_name, symbol("(")).parse(input)?;
    let (input, targets) =
        comma_separated(input, Limit(MAX_COLUMNS, "columns in an index"), index_target)?;
    let (input, ()) = symbol(")").parse(input)?;
    let (input, using) = match opt(keyword("USING")).parse(input)? {
        (input, Some(())) => {
            text("an index class in quotes").parse(input).map(|(i, class)| (i, Some(class)))?
        }
        (input, None) => (input, None),
    };
    let (input, options) = match opt(keyword("WITH")).parse(input)? {
        (input, Some(())) => {
            let (input, (_, _, options)) =
                (keyword("OPTIONS"), symbol("="), option_map).parse(input)?;
            (input, options)
        }
        (input, None) => (input, Vec::new()),
    };
    Ok((input, CreateIndex { custom, if_not_exists, name: index, table, targets, using, options }))
}

/// Which part of a column is indexed.
type Part = fn(Ident) -> IndexTarget;

fn index_target(input: Input<'_>) -> Parsed<'_, IndexTarget> {
    const PARTS: [(&str, Part); 4] = [
        ("VALUES", IndexTarget::Values),
        ("KEYS", IndexTarget::Keys),
        ("ENTRIES", IndexTarget::Entries),
        ("FULL", IndexTarget::Full),
    ];
    for (word, target) in PARTS {
        if input.is_word(word) && input.next().is_symbol("(") {
            let (input, (_, column, _)) =
                (symbol("("), name("a column name"), symbol(")")).parse(input.next())?;
            return Ok((input, target(column)));
        }
        input.expect(Expected::Keyword(word));
    }
    name("a column name").parse(input).map(|(input, column)| (input, IndexTarget::Column(column)))
}

/// Behind `CREATE MATERIALIZED VIEW`.
pub(crate) fn create_view(input: Input<'_>) -> Parsed<'_, CreateView> {
    let (input, if_not_exists) = if_not_exists(input)?;
    let (input, name) = qualified_name("a view name").parse(input)?;
    let (input, ()) = keywords(input, &["AS", "SELECT"])?;
    let (input, (selection, _, base)) = (selection, keyword("FROM"), table_name).parse(input)?;
    let (input, relations) = optional_where(input)?;
    let (input, ()) = keywords(input, &["PRIMARY", "KEY"])?;
    let (input, primary_key) = primary_key(input)?;
    let at = input;
    let (input, with) = optional_table_options(input)?;
    if with.compact_storage {
        return at.refuse("a view can't have COMPACT STORAGE");
    }
    let (clustering_order, options) = (with.clustering_order, with.options);
    let view = CreateView {
        if_not_exists,
        name,
        selection,
        base,
        relations,
        primary_key,
        clustering_order,
        options,
    };
    Ok((input, view))
}

/// Behind `ALTER MATERIALIZED VIEW`.
pub(crate) fn alter_view(input: Input<'_>) -> Parsed<'_, AlterView> {
    let (input, if_exists) = if_exists(input)?;
    let (input, name) = qualified_name("a view name").parse(input)?;
    let (input, options) = with(input)?;
    Ok((input, AlterView { if_exists, name, options }))
}

/// Behind `CREATE TRIGGER`.
pub(crate) fn create_trigger(input: Input<'_>) -> Parsed<'_, CreateTrigger> {
    let (input, (if_not_exists, name, _, table)) =
        (if_not_exists, name("a trigger name"), keyword("ON"), table_name).parse(input)?;
    let (input, (_, class)) = (keyword("USING"), text("a class in quotes")).parse(input)?;
    Ok((input, CreateTrigger { if_not_exists, name, table, class }))
}

/// Behind `DROP TRIGGER`.
pub(crate) fn drop_trigger(input: Input<'_>) -> Parsed<'_, DropTrigger> {
    let (input, (if_exists, name, _, table)) =
        (if_exists, name("a trigger name"), keyword("ON"), table_name).parse(input)?;
    Ok((input, DropTrigger { if_exists, name, table }))
}

//! CREATE, ALTER and DROP of schema objects.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use tholos_grammar::ast::Statement;
use tholos_grammar::ast::ident::Ident;
use tholos_grammar::ast::schema::{
    AlterKeyspace, AlterTable, AlterType, AlterView, ColumnDefinition, CreateAggregate,
    CreateFunction, CreateIndex, CreateKeyspace, CreateTable, CreateTrigger, CreateType,
    CreateView, DropFunction, DropKeyspace, DropObject, DropTrigger, IndexTarget, OptionValue,
    Options, PrimaryKey, TableChange, TypeChange,
};

use crate::relation::relation;
use crate::select::selection;
use crate::term::{literal, name, qualified_name, term, text, type_name};

pub(crate) fn option_value() -> BoxedStrategy<OptionValue> {
    prop_oneof![
        literal().prop_map(OptionValue::Literal),
        vec((literal(), literal()), 0..3).prop_map(OptionValue::Map),
    ]
    .boxed()
}

/// Options, at least `from` of them.
fn options(from: usize) -> BoxedStrategy<Options> {
    vec((name(), option_value()), from..4).boxed()
}

fn flag() -> proptest::bool::Any {
    any::<bool>()
}

fn column() -> BoxedStrategy<ColumnDefinition> {
    (name(), type_name(), flag())
        .prop_map(|(name, type_name, is_static)| ColumnDefinition { name, type_name, is_static })
        .boxed()
}

fn primary_key() -> BoxedStrategy<PrimaryKey> {
    (vec(name(), 1..3), vec(name(), 0..3))
        .prop_map(|(partition, clustering)| PrimaryKey { partition, clustering })
        .boxed()
}

fn clustering_order() -> BoxedStrategy<Vec<(Ident, bool)>> {
    vec((name(), flag()), 0..3).boxed()
}

fn create_table() -> BoxedStrategy<Statement> {
    let with = (clustering_order(), flag(), options(0));
    (flag(), qualified_name(), vec(column(), 0..4), primary_key(), with)
        .prop_map(|(if_not_exists, name, columns, primary_key, with)| {
            let (clustering_order, compact_storage, options) = with;
            Statement::CreateTable(CreateTable {
                if_not_exists,
                name,
                columns,
                primary_key,
                clustering_order,
                compact_storage,
                options,
            })
        })
        .boxed()
}

fn renames() -> BoxedStrategy<Vec<(Ident, Ident)>> {
    vec((name(), name()), 1..3).boxed()
}

fn table_change() -> BoxedStrategy<TableChange> {
    prop_oneof![
        (flag(), vec(column(), 1..3))
            .prop_map(|(if_not_exists, columns)| TableChange::Add { if_not_exists, columns }),
        (flag(), vec(name(), 1..3), option::of(any::<i64>())).prop_map(
            |(if_exists, columns, timestamp)| TableChange::Drop { if_exists, columns, timestamp }
        ),
        (flag(), renames())
            .prop_map(|(if_exists, columns)| TableChange::Rename { if_exists, columns }),
        (name(), type_name())
            .prop_map(|(column, type_name)| TableChange::Type { column, type_name }),
        Just(TableChange::DropCompactStorage),
        options(1).prop_map(TableChange::With),
    ]
    .boxed()
}

fn type_change() -> BoxedStrategy<TypeChange> {
    prop_oneof![
        (flag(), name(), type_name()).prop_map(|(if_not_exists, field, type_name)| {
            TypeChange::Add { if_not_exists, field, type_name }
        }),
        (flag(), renames())
            .prop_map(|(if_exists, fields)| TypeChange::Rename { if_exists, fields }),
        (name(), type_name()).prop_map(|(field, type_name)| TypeChange::Type { field, type_name }),
    ]
    .boxed()
}

fn create_index() -> BoxedStrategy<Statement> {
    let target = prop_oneof![
        name().prop_map(IndexTarget::Column),
        name().prop_map(IndexTarget::Values),
        name().prop_map(IndexTarget::Keys),
        name().prop_map(IndexTarget::Entries),
        name().prop_map(IndexTarget::Full),
    ];
    let options = vec((literal(), literal()), 0..3);
    (
        flag(),
        flag(),
        option::of(name()),
        qualified_name(),
        vec(target, 1..3),
        option::of(text()),
        options,
    )
        .prop_map(|(custom, if_not_exists, name, table, targets, using, options)| {
            Statement::CreateIndex(CreateIndex {
                custom,
                if_not_exists,
                name,
                table,
                targets,
                using,
                options,
            })
        })
        .boxed()
}

fn view() -> BoxedStrategy<Statement> {
    let source = (selection(), qualified_name(), vec(relation(), 0..3));
    let create = (flag(), qualified_name(), source, primary_key(), clustering_order(), options(0))
        .prop_map(
            |(
                if_not_exists,
                name,
                (selection, base, relations),
                primary_key,
                clustering_order,
                options,
            )| {
                Statement::CreateView(CreateView {
                    if_not_exists,
                    name,
                    selection,
                    base,
                    relations,
                    primary_key,
                    clustering_order,
                    options,
                })
            },
        );
    let alter = (flag(), qualified_name(), options(1)).prop_map(|(if_exists, name, options)| {
        Statement::AlterView(AlterView { if_exists, name, options })
    });
    prop_oneof![create, alter].boxed()
}

fn create_function() -> BoxedStrategy<Statement> {
    let arguments = vec((name(), type_name()), 0..3);
    (flag(), flag(), qualified_name(), arguments, flag(), type_name(), (name(), text()))
        .prop_map(
            |(
                or_replace,
                if_not_exists,
                name,
                arguments,
                called_on_null,
                returns,
                (language, body),
            )| {
                Statement::CreateFunction(CreateFunction {
                    or_replace,
                    if_not_exists,
                    name,
                    arguments,
                    called_on_null,
                    returns,
                    language,
                    body,
                })
            },
        )
        .boxed()
}

fn create_aggregate() -> BoxedStrategy<Statement> {
    let state = (name(), type_name());
    let end = (option::of(name()), option::of(term()));
    (flag(), flag(), qualified_name(), vec(type_name(), 0..3), state, end)
        .prop_map(
            |(or_replace, if_not_exists, name, arguments, (state_function, state_type), end)| {
                let (final_function, initial) = end;
                Statement::CreateAggregate(CreateAggregate {
                    or_replace,
                    if_not_exists,
                    name,
                    arguments,
                    state_function,
                    state_type,
                    final_function,
                    initial,
                })
            },
        )
        .boxed()
}

fn drop() -> BoxedStrategy<Statement> {
    let object =
        || (flag(), qualified_name()).prop_map(|(if_exists, name)| DropObject { if_exists, name });
    let function = || {
        (flag(), qualified_name(), option::of(vec(type_name(), 0..3)))
            .prop_map(|(if_exists, name, arguments)| DropFunction { if_exists, name, arguments })
    };
    prop_oneof![
        (flag(), name()).prop_map(|(if_exists, name)| Statement::DropKeyspace(DropKeyspace {
            if_exists,
            name
        })),
        object().prop_map(Statement::DropTable),
        object().prop_map(Statement::DropType),
        object().prop_map(Statement::DropIndex),
        object().prop_map(Statement::DropView),
        function().prop_map(Statement::DropFunction),
        function().prop_map(Statement::DropAggregate),
        (flag(), name(), qualified_name()).prop_map(|(if_exists, name, table)| {
            Statement::DropTrigger(DropTrigger { if_exists, name, table })
        }),
    ]
    .boxed()
}

pub(crate) fn statement() -> BoxedStrategy<Statement> {
    let fields = vec((name(), type_name()), 1..3);
    prop_oneof![
        (flag(), name(), options(1)).prop_map(|(if_not_exists, name, options)| {
            Statement::CreateKeyspace(CreateKeyspace { if_not_exists, name, options })
        }),
        (flag(), name(), options(1)).prop_map(|(if_exists, name, options)| {
            Statement::AlterKeyspace(AlterKeyspace { if_exists, name, options })
        }),
        create_table(),
        (flag(), qualified_name(), table_change()).prop_map(|(if_exists, name, change)| {
            Statement::AlterTable(AlterTable { if_exists, name, change })
        }),
        (flag(), qualified_name(), fields).prop_map(|(if_not_exists, name, fields)| {
            Statement::CreateType(CreateType { if_not_exists, name, fields })
        }),
        (flag(), qualified_name(), type_change()).prop_map(|(if_exists, name, change)| {
            Statement::AlterType(AlterType { if_exists, name, change })
        }),
        create_index(),
        view(),
        create_function(),
        create_aggregate(),
        (flag(), name(), qualified_name(), text()).prop_map(
            |(if_not_exists, name, table, class)| {
                Statement::CreateTrigger(CreateTrigger { if_not_exists, name, table, class })
            }
        ),
        drop(),
    ]
    .boxed()
}

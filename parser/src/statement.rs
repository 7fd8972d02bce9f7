//! One statement: dispatch on its first words.

use nom::Parser;
use tholos_grammar::ast::Statement;

use crate::access::{
    alter_role, alter_user, create_role, create_user, drop_role, grant, list, revoke,
};
use crate::describe::describe;
use crate::error::Expected;
use crate::function::{create_aggregate, create_function, drop_function};
use crate::input::{Input, Parsed};
use crate::modify::{batch, delete, insert, truncate, update};
use crate::schema::{
    alter_keyspace, alter_type, alter_view, create_index, create_keyspace, create_trigger,
    create_type, create_view, drop_keyspace, drop_object, drop_trigger,
};
use crate::select::select;
use crate::table::{alter_table, create_table};
use crate::token::{expected_one_of, flag, keyspace_name, keyword};

/// Words that begin a statement.
pub(crate) const FIRST_WORDS: [&str; 16] = [
    "SELECT", "INSERT", "UPDATE", "DELETE", "BEGIN", "CREATE", "ALTER", "DROP", "TRUNCATE", "USE",
    "GRANT", "REVOKE", "LIST", "DESCRIBE", "DESC", "APPLY",
];

/// Whether a statement may begin with the word, in any case.
pub fn is_first_word(word: &str) -> bool {
    FIRST_WORDS.iter().any(|first| first.eq_ignore_ascii_case(word))
}

/// A parser of one kind of statement.
type Rule<'a> = fn(Input<'a>) -> Parsed<'a, Statement>;

/// One statement, without `;`.
pub(crate) fn statement<'a>(input: Input<'a>) -> Parsed<'a, Statement> {
    let rules: [(&str, Rule<'a>); 15] = [
        ("SELECT", |input| select(input).map(|(i, s)| (i, Statement::Select(s)))),
        ("INSERT", |input| insert(input).map(|(i, s)| (i, Statement::Insert(s)))),
        ("UPDATE", |input| update(input).map(|(i, s)| (i, Statement::Update(s)))),
        ("DELETE", |input| delete(input).map(|(i, s)| (i, Statement::Delete(s)))),
        ("BEGIN", |input| batch(input).map(|(i, s)| (i, Statement::Batch(s)))),
        ("CREATE", create),
        ("ALTER", alter),
        ("DROP", drop),
        ("TRUNCATE", |input| truncate(input).map(|(i, table)| (i, Statement::Truncate(table)))),
        ("USE", |input| {
            keyspace_name(input.next()).map(|(i, keyspace)| (i, Statement::Use(keyspace)))
        }),
        ("GRANT", grant),
        ("REVOKE", revoke),
        ("LIST", list),
        ("DESCRIBE", |input| describe(input).map(|(i, s)| (i, Statement::Describe(s)))),
        ("DESC", |input| describe(input).map(|(i, s)| (i, Statement::Describe(s)))),
    ];
    match rules.into_iter().find(|(word, _)| input.is_word(word)) {
        Some((_, rule)) => rule(input),
        None => input.fail(Expected::Statement),
    }
}

fn create(input: Input<'_>) -> Parsed<'_, Statement> {
    let input = input.next();
    let behind = input.next();
    if input.is_word("TABLE") || input.is_word("COLUMNFAMILY") {
        return create_table(behind).map(|(i, s)| (i, Statement::CreateTable(s)));
    }
    if input.is_word("KEYSPACE") || input.is_word("SCHEMA") {
        return create_keyspace(behind).map(|(i, s)| (i, Statement::CreateKeyspace(s)));
    }
    if input.is_word("TYPE") {
        return create_type(behind).map(|(i, s)| (i, Statement::CreateType(s)));
    }
    if input.is_word("INDEX") || input.is_word("CUSTOM") {
        let (input, custom) = flag(input, &["CUSTOM"])?;
        let (input, ()) = keyword("INDEX").parse(input)?;
        return create_index(input, custom).map(|(i, s)| (i, Statement::CreateIndex(s)));
    }
    if input.is_word("MATERIALIZED") {
        let (input, ()) = keyword("VIEW").parse(behind)?;
        return create_view(input).map(|(i, s)| (i, Statement::CreateView(s)));
    }
    if input.is_word("TRIGGER") {
        return create_trigger(behind).map(|(i, s)| (i, Statement::CreateTrigger(s)));
    }
    if input.is_word("ROLE") {
        return create_role(behind).map(|(i, s)| (i, Statement::CreateRole(s)));
    }
    if input.is_word("USER") {
        return create_user(behind).map(|(i, s)| (i, Statement::CreateRole(s)));
    }
    create_code(input)
}

/// `[OR REPLACE] FUNCTION | AGGREGATE`
fn create_code(input: Input<'_>) -> Parsed<'_, Statement> {
    let at = input;
    let (input, or_replace) = flag(input, &["OR", "REPLACE"])?;
    if input.is_word("FUNCTION") {
        return create_function(input.next(), or_replace)
            .map(|(i, s)| (i, Statement::CreateFunction(s)));
    }
    if input.is_word("AGGREGATE") {
        return create_aggregate(input.next(), or_replace)
            .map(|(i, s)| (i, Statement::CreateAggregate(s)));
    }
    if !or_replace {
        const OBJECTS: [&str; 10] = [
            "TABLE",
            "KEYSPACE",
            "TYPE",
            "INDEX",
            "CUSTOM",
            "MATERIALIZED",
            "TRIGGER",
            "ROLE",
            "USER",
            "OR",
        ];
        OBJECTS.iter().for_each(|word| at.expect(Expected::Keyword(word)));
    }
    expected_one_of(input, &["FUNCTION", "AGGREGATE"])
}

fn alter(input: Input<'_>) -> Parsed<'_, Statement> {
    let input = input.next();
    let behind = input.next();
    if input.is_word("TABLE") || input.is_word("COLUMNFAMILY") {
        return alter_table(behind).map(|(i, s)| (i, Statement::AlterTable(s)));
    }
    if input.is_word("KEYSPACE") || input.is_word("SCHEMA") {
        return alter_keyspace(behind).map(|(i, s)| (i, Statement::AlterKeyspace(s)));
    }
    if input.is_word("TYPE") {
        return alter_type(behind).map(|(i, s)| (i, Statement::AlterType(s)));
    }
    if input.is_word("MATERIALIZED") {
        let (input, ()) = keyword("VIEW").parse(behind)?;
        return alter_view(input).map(|(i, s)| (i, Statement::AlterView(s)));
    }
    if input.is_word("ROLE") {
        return alter_role(behind).map(|(i, s)| (i, Statement::AlterRole(s)));
    }
    if input.is_word("USER") {
        return alter_user(behind).map(|(i, s)| (i, Statement::AlterRole(s)));
    }
    expected_one_of(input, &["TABLE", "KEYSPACE", "TYPE", "MATERIALIZED", "ROLE", "USER"])
}

fn drop(input: Input<'_>) -> Parsed<'_, Statement> {
    let input = input.next();
    let behind = input.next();
    if input.is_word("TABLE") || input.is_word("COLUMNFAMILY") {
        return drop_object(behind, "a table name").map(|(i, s)| (i, Statement::DropTable(s)));
    }
    if input.is_word("KEYSPACE") || input.is_word("SCHEMA") {
        return drop_keyspace(behind).map(|(i, s)| (i, Statement::DropKeyspace(s)));
    }
    if input.is_word("TYPE") {
        return drop_object(behind, "a type name").map(|(i, s)| (i, Statement::DropType(s)));
    }
    if input.is_word("INDEX") {
        return drop_object(behind, "an index name").map(|(i, s)| (i, Statement::DropIndex(s)));
    }
    if input.is_word("MATERIALIZED") {
        let (input, ()) = keyword("VIEW").parse(behind)?;
        return drop_object(input, "a view name").map(|(i, s)| (i, Statement::DropView(s)));
    }
    if input.is_word("FUNCTION") {
        return drop_function(behind).map(|(i, s)| (i, Statement::DropFunction(s)));
    }
    if input.is_word("AGGREGATE") {
        return drop_function(behind).map(|(i, s)| (i, Statement::DropAggregate(s)));
    }
    if input.is_word("TRIGGER") {
        return drop_trigger(behind).map(|(i, s)| (i, Statement::DropTrigger(s)));
    }
    if input.is_word("ROLE") || input.is_word("USER") {
        return drop_role(behind).map(|(i, s)| (i, Statement::DropRole(s)));
    }
    const OBJECTS: [&str; 10] = [
        "TABLE",
        "KEYSPACE",
        "TYPE",
        "INDEX",
        "MATERIALIZED",
        "FUNCTION",
        "AGGREGATE",
        "TRIGGER",
        "ROLE",
        "USER",
    ];
    expected_one_of(input, &OBJECTS)
}

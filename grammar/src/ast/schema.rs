//! CREATE, ALTER and DROP of keyspaces, tables, types, indexes, views, functions, aggregates and triggers.

use crate::ast::ident::Ident;
use crate::ast::relation::Relation;
use crate::ast::select::Selection;
use crate::ast::term::{Literal, Term};
use crate::ast::type_name::TypeName;
use crate::ast::{QualifiedName, TableName};

/// `WITH a = 1 AND b = {'k': 'v'}`: in the order written.
pub type Options = Vec<(Ident, OptionValue)>;

#[derive(Clone, Debug, PartialEq)]
pub enum OptionValue {
    /// A constant.
    Literal(Literal),
    /// `{'k': 'v', 'n': 3}`: keys and values are constants.
    Map(Vec<(Literal, Literal)>),
}

/// `CREATE KEYSPACE`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateKeyspace {
    pub if_not_exists: bool,
    /// The keyspace.
    pub name: Ident,
    /// WITH: at least `replication`.
    pub options: Options,
}

/// `ALTER KEYSPACE`
#[derive(Clone, Debug, PartialEq)]
pub struct AlterKeyspace {
    pub if_exists: bool,
    /// The keyspace.
    pub name: Ident,
    /// WITH
    pub options: Options,
}

/// `DROP KEYSPACE`
#[derive(Clone, Debug, PartialEq)]
pub struct DropKeyspace {
    pub if_exists: bool,
    /// The keyspace.
    pub name: Ident,
}

/// `DROP TABLE | TYPE | INDEX | MATERIALIZED VIEW`
#[derive(Clone, Debug, PartialEq)]
pub struct DropObject {
    pub if_exists: bool,
    /// What is dropped.
    pub name: QualifiedName,
}

/// `CREATE TABLE`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateTable {
    pub if_not_exists: bool,
    pub name: TableName,
    /// Columns, in the order written.
    pub columns: Vec<ColumnDefinition>,
    /// PRIMARY KEY: `a INT PRIMARY KEY` reads as `PRIMARY KEY (a)`.
    pub primary_key: PrimaryKey,
    /// WITH CLUSTERING ORDER BY: column, and whether DESC.
    pub clustering_order: Vec<(Ident, bool)>,
    /// WITH COMPACT STORAGE: parsed so that it can be refused well.
    pub compact_storage: bool,
    /// WITH
    pub options: Options,
}

/// A column of CREATE TABLE or ALTER TABLE ADD.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnDefinition {
    /// The column.
    pub name: Ident,
    pub type_name: TypeName,
    pub is_static: bool,
}

/// `PRIMARY KEY ((a, b), c, d)`
#[derive(Clone, Debug, PartialEq)]
pub struct PrimaryKey {
    /// `a, b`: at least one.
    pub partition: Vec<Ident>,
    /// `c, d`
    pub clustering: Vec<Ident>,
}

/// `ALTER TABLE`
#[derive(Clone, Debug, PartialEq)]
pub struct AlterTable {
    pub if_exists: bool,
    pub name: TableName,
    /// What to do.
    pub change: TableChange,
}

/// What an ALTER TABLE does.
#[derive(Clone, Debug, PartialEq)]
pub enum TableChange {
    /// `ADD [IF NOT EXISTS] a int, b text STATIC`
    Add { if_not_exists: bool, columns: Vec<ColumnDefinition> },
    /// `DROP [IF EXISTS] a, b [USING TIMESTAMP t]`
    Drop {
        if_exists: bool,
        columns: Vec<Ident>,
        /// USING TIMESTAMP: microseconds.
        timestamp: Option<i64>,
    },
    /// `RENAME [IF EXISTS] a TO b AND c TO d`
    Rename {
        if_exists: bool,
        /// Old and new names.
        columns: Vec<(Ident, Ident)>,
    },
    /// `ALTER a TYPE t`: parsed so that it can be refused well.
    Type {
        column: Ident,
        /// The new type.
        type_name: TypeName,
    },
    /// `DROP COMPACT STORAGE`: parsed so that it can be refused well.
    DropCompactStorage,
    /// `WITH ...`
    With(Options),
}

/// `CREATE TYPE`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateType {
    pub if_not_exists: bool,
    /// The type.
    pub name: QualifiedName,
    pub fields: Vec<(Ident, TypeName)>,
}

/// `ALTER TYPE`
#[derive(Clone, Debug, PartialEq)]
pub struct AlterType {
    pub if_exists: bool,
    /// The type.
    pub name: QualifiedName,
    /// What to do.
    pub change: TypeChange,
}

/// What an ALTER TYPE does.
#[derive(Clone, Debug, PartialEq)]
pub enum TypeChange {
    /// `ADD [IF NOT EXISTS] field type`
    Add { if_not_exists: bool, field: Ident, type_name: TypeName },
    /// `RENAME [IF EXISTS] a TO b AND c TO d`
    Rename {
        if_exists: bool,
        /// Old and new names.
        fields: Vec<(Ident, Ident)>,
    },
    /// `ALTER field TYPE t`: parsed so that it can be refused well.
    Type {
        field: Ident,
        /// The new type.
        type_name: TypeName,
    },
}

/// `CREATE [CUSTOM] INDEX`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateIndex {
    pub custom: bool,
    pub if_not_exists: bool,
    /// The index's name; made from table and column when absent.
    pub name: Option<Ident>,
    pub table: TableName,
    /// What is indexed; more than one only for custom indexes and local ones.
    pub targets: Vec<IndexTarget>,
    /// `USING 'class'`
    pub using: Option<String>,
    /// `WITH OPTIONS = {...}`
    pub options: Vec<(Literal, Literal)>,
}

/// What an index indexes.
#[derive(Clone, Debug, PartialEq)]
pub enum IndexTarget {
    Column(Ident),
    /// `VALUES(a)`
    Values(Ident),
    /// `KEYS(a)`
    Keys(Ident),
    /// `ENTRIES(a)`
    Entries(Ident),
    /// `FULL(a)`
    Full(Ident),
}

/// `CREATE MATERIALIZED VIEW`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateView {
    pub if_not_exists: bool,
    /// The view.
    pub name: TableName,
    /// What it selects.
    pub selection: Selection,
    /// From which table.
    pub base: TableName,
    /// WHERE
    pub relations: Vec<Relation>,
    pub primary_key: PrimaryKey,
    /// WITH CLUSTERING ORDER BY
    pub clustering_order: Vec<(Ident, bool)>,
    /// WITH
    pub options: Options,
}

/// `ALTER MATERIALIZED VIEW ... WITH`
#[derive(Clone, Debug, PartialEq)]
pub struct AlterView {
    pub if_exists: bool,
    /// The view.
    pub name: TableName,
    /// WITH
    pub options: Options,
}

/// `CREATE FUNCTION`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateFunction {
    pub or_replace: bool,
    pub if_not_exists: bool,
    /// The function.
    pub name: QualifiedName,
    pub arguments: Vec<(Ident, TypeName)>,
    /// CALLED ON NULL INPUT; otherwise RETURNS NULL ON NULL INPUT.
    pub called_on_null: bool,
    pub returns: TypeName,
    pub language: Ident,
    /// AS
    pub body: String,
}

/// `DROP FUNCTION | AGGREGATE`
#[derive(Clone, Debug, PartialEq)]
pub struct DropFunction {
    pub if_exists: bool,
    /// The function.
    pub name: QualifiedName,
    /// Its argument types, where written.
    pub arguments: Option<Vec<TypeName>>,
}

/// `CREATE AGGREGATE`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateAggregate {
    pub or_replace: bool,
    pub if_not_exists: bool,
    /// The aggregate.
    pub name: QualifiedName,
    /// Its argument types.
    pub arguments: Vec<TypeName>,
    /// SFUNC
    pub state_function: Ident,
    /// STYPE
    pub state_type: TypeName,
    pub final_function: Option<Ident>,
    /// INITCOND
    pub initial: Option<Term>,
}

/// `CREATE TRIGGER`
#[derive(Clone, Debug, PartialEq)]
pub struct CreateTrigger {
    pub if_not_exists: bool,
    /// The trigger.
    pub name: Ident,
    pub table: TableName,
    /// USING
    pub class: String,
}

/// `DROP TRIGGER`
#[derive(Clone, Debug, PartialEq)]
pub struct DropTrigger {
    pub if_exists: bool,
    /// The trigger.
    pub name: Ident,
    pub table: TableName,
}

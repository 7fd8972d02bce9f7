//! CREATE, ALTER and DROP of schema objects.

use std::fmt::{self, Display};

use crate::ast::ident::Ident;
use crate::ast::print::term::function_name;
use crate::ast::print::{Joined, Quoted, joined, words};
use crate::ast::schema::{
    AlterKeyspace, AlterTable, AlterType, AlterView, ColumnDefinition, CreateAggregate,
    CreateFunction, CreateIndex, CreateKeyspace, CreateTable, CreateTrigger, CreateType,
    CreateView, DropFunction, DropKeyspace, DropObject, DropTrigger, IndexTarget, OptionValue,
    PrimaryKey, TableChange, TypeChange,
};
use crate::ast::term::Literal;
use crate::ast::type_name::TypeName;

const IF_NOT_EXISTS: &str = "IF NOT EXISTS ";
const IF_EXISTS: &str = "IF EXISTS ";

impl fmt::Display for OptionValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OptionValue::Literal(literal) => literal.fmt(f),
            OptionValue::Map(entries) => option_map(f, entries),
        }
    }
}

fn option_map(f: &mut fmt::Formatter<'_>, entries: &[(Literal, Literal)]) -> fmt::Result {
    f.write_str("{")?;
    joined(f, entries, ", ", |f, (key, value)| write!(f, "{key}: {value}"))?;
    f.write_str("}")
}

/// `WITH ...` with a space before it, or nothing. `clauses` are those that are no options.
fn with(
    f: &mut fmt::Formatter<'_>,
    clauses: &[String],
    options: &[(Ident, OptionValue)],
) -> fmt::Result {
    let mut lead = " WITH ";
    for clause in clauses {
        write!(f, "{lead}{clause}")?;
        lead = " AND ";
    }
    for (name, value) in options {
        write!(f, "{lead}{name} = {value}")?;
        lead = " AND ";
    }
    Ok(())
}

impl fmt::Display for CreateKeyspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CREATE KEYSPACE {}{}", words(self.if_not_exists, IF_NOT_EXISTS), self.name)?;
        with(f, &[], &self.options)
    }
}

impl fmt::Display for AlterKeyspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ALTER KEYSPACE {}{}", words(self.if_exists, IF_EXISTS), self.name)?;
        with(f, &[], &self.options)
    }
}

impl fmt::Display for DropKeyspace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DROP KEYSPACE {}{}", words(self.if_exists, IF_EXISTS), self.name)
    }
}

/// Without `DROP TABLE`, `DROP TYPE`, ...: which it is, the statement around it knows.
impl fmt::Display for DropObject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", words(self.if_exists, IF_EXISTS), self.name)
    }
}

impl fmt::Display for CreateTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CREATE TABLE {}{} (", words(self.if_not_exists, IF_NOT_EXISTS), self.name)?;
        self.columns.iter().try_for_each(|column| write!(f, "{column}, "))?;
        write!(f, "{})", self.primary_key)?;
        let mut clauses: Vec<String> =
            clustering_order(&self.clustering_order).into_iter().collect();
        clauses.extend(self.compact_storage.then(|| "COMPACT STORAGE".to_string()));
        with(f, &clauses, &self.options)
    }
}

fn clustering_order(columns: &[(Ident, bool)]) -> Option<String> {
    let item = |(column, descending): &(Ident, bool)| {
        format!("{column} {}", if *descending { "DESC" } else { "ASC" })
    };
    let items: Vec<String> = columns.iter().map(item).collect();
    (!items.is_empty()).then(|| format!("CLUSTERING ORDER BY ({})", items.join(", ")))
}

impl fmt::Display for ColumnDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}{}", self.name, self.type_name, words(self.is_static, " STATIC"))
    }
}

impl fmt::Display for PrimaryKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.partition.as_slice() {
            [single] => write!(f, "PRIMARY KEY ({single}")?,
            several => write!(f, "PRIMARY KEY (({})", Joined(several, ", "))?,
        }
        self.clustering.iter().try_for_each(|column| write!(f, ", {column}"))?;
        f.write_str(")")
    }
}

impl fmt::Display for AlterTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ALTER TABLE {}{}{}", words(self.if_exists, IF_EXISTS), self.name, self.change)
    }
}

/// With a space before it.
impl fmt::Display for TableChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TableChange::Add { if_not_exists, columns } => {
                write!(f, " ADD {}{}", words(*if_not_exists, IF_NOT_EXISTS), Joined(columns, ", "))
            }
            TableChange::Drop { if_exists, columns, timestamp } => {
                write!(f, " DROP {}{}", words(*if_exists, IF_EXISTS), Joined(columns, ", "))?;
                timestamp.iter().try_for_each(|timestamp| write!(f, " USING TIMESTAMP {timestamp}"))
            }
            TableChange::Rename { if_exists, columns } => renames(f, *if_exists, columns),
            TableChange::Type { column, type_name } => {
                write!(f, " ALTER {column} TYPE {type_name}")
            }
            TableChange::DropCompactStorage => f.write_str(" DROP COMPACT STORAGE"),
            TableChange::With(options) => with(f, &[], options),
        }
    }
}

fn renames(f: &mut fmt::Formatter<'_>, if_exists: bool, names: &[(Ident, Ident)]) -> fmt::Result {
    write!(f, " RENAME {}", words(if_exists, IF_EXISTS))?;
    joined(f, names, " AND ", |f, (from, to)| write!(f, "{from} TO {to}"))
}

impl fmt::Display for CreateType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CREATE TYPE {}{} (", words(self.if_not_exists, IF_NOT_EXISTS), self.name)?;
        arguments(f, &self.fields)?;
        f.write_str(")")
    }
}

fn arguments(f: &mut fmt::Formatter<'_>, items: &[(Ident, TypeName)]) -> fmt::Result {
    joined(f, items, ", ", |f, (name, type_name)| write!(f, "{name} {type_name}"))
}

impl fmt::Display for AlterType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ALTER TYPE {}{}{}", words(self.if_exists, IF_EXISTS), self.name, self.change)
    }
}

/// With a space before it.
impl fmt::Display for TypeChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TypeChange::Add { if_not_exists, field, type_name } => {
                write!(f, " ADD {}{field} {type_name}", words(*if_not_exists, IF_NOT_EXISTS))
            }
            TypeChange::Rename { if_exists, fields } => renames(f, *if_exists, fields),
            TypeChange::Type { field, type_name } => write!(f, " ALTER {field} TYPE {type_name}"),
        }
    }
}

impl fmt::Display for CreateIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let custom = words(self.custom, "CUSTOM ");
        write!(f, "CREATE {custom}INDEX {}", words(self.if_not_exists, IF_NOT_EXISTS))?;
        self.name.iter().try_for_each(|name| write!(f, "{name} "))?;
        write!(f, "ON {} ({})", self.table, Joined(&self.targets, ", "))?;
        self.using.iter().try_for_each(|class| write!(f, " USING {}", Quoted(class)))?;
        if !self.options.is_empty() {
            f.write_str(" WITH OPTIONS = ")?;
            option_map(f, &self.options)?;
        }
        Ok(())
    }
}

impl fmt::Display for IndexTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IndexTarget::Column(column) => column.fmt(f),
            IndexTarget::Values(column) => write!(f, "VALUES({column})"),
            IndexTarget::Keys(column) => write!(f, "KEYS({column})"),
            IndexTarget::Entries(column) => write!(f, "ENTRIES({column})"),
            IndexTarget::Full(column) => write!(f, "FULL({column})"),
        }
    }
}

impl fmt::Display for CreateView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "CREATE MATERIALIZED VIEW {}{}",
            words(self.if_not_exists, IF_NOT_EXISTS),
            self.name
        )?;
        write!(f, " AS SELECT {} FROM {}", self.selection, self.base)?;
        if !self.relations.is_empty() {
            write!(f, " WHERE {}", Joined(&self.relations, " AND "))?;
        }
        write!(f, " {}", self.primary_key)?;
        let clauses: Vec<String> = clustering_order(&self.clustering_order).into_iter().collect();
        with(f, &clauses, &self.options)
    }
}

impl fmt::Display for AlterView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ALTER MATERIALIZED VIEW {}{}", words(self.if_exists, IF_EXISTS), self.name)?;
        with(f, &[], &self.options)
    }
}

impl fmt::Display for CreateFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (replace, guard) =
            (words(self.or_replace, "OR REPLACE "), words(self.if_not_exists, IF_NOT_EXISTS));
        write!(f, "CREATE {replace}FUNCTION {guard}")?;
        function_name(f, &self.name)?;
        f.write_str("(")?;
        arguments(f, &self.arguments)?;
        let on_null = if self.called_on_null { "CALLED" } else { "RETURNS NULL" };
        write!(
            f,
            ") {on_null} ON NULL INPUT RETURNS {} LANGUAGE {} AS ",
            self.returns, self.language
        )?;
        body(f, &self.body)
    }
}

/// A function's source stays readable between `$$`, unless it holds one.
fn body(f: &mut fmt::Formatter<'_>, source: &str) -> fmt::Result {
    if source.contains("$$") || source.ends_with('$') {
        Quoted(source).fmt(f)
    } else {
        write!(f, "$${source}$$")
    }
}

impl fmt::Display for DropFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(words(self.if_exists, IF_EXISTS))?;
        function_name(f, &self.name)?;
        self.arguments.iter().try_for_each(|types| write!(f, "({})", Joined(types, ", ")))
    }
}

impl fmt::Display for CreateAggregate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (replace, guard) =
            (words(self.or_replace, "OR REPLACE "), words(self.if_not_exists, IF_NOT_EXISTS));
        write!(f, "CREATE {replace}AGGREGATE {guard}")?;
        function_name(f, &self.name)?;
        write!(
            f,
            "({}) SFUNC {} STYPE {}",
            Joined(&self.arguments, ", "),
            self.state_function,
            self.state_type
        )?;
        self.final_function.iter().try_for_each(|function| write!(f, " FINALFUNC {function}"))?;
        self.initial.iter().try_for_each(|initial| write!(f, " INITCOND {initial}"))
    }
}

impl fmt::Display for CreateTrigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let guard = words(self.if_not_exists, IF_NOT_EXISTS);
        write!(
            f,
            "CREATE TRIGGER {guard}{} ON {} USING {}",
            self.name,
            self.table,
            Quoted(&self.class)
        )
    }
}

impl fmt::Display for DropTrigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "DROP TRIGGER {}{} ON {}",
            words(self.if_exists, IF_EXISTS),
            self.name,
            self.table
        )
    }
}

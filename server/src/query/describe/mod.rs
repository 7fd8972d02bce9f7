//! DESCRIBE: the catalogue as rows and as CQL that makes it again.
//!
//! - [`plan`]: which columns it gives; they are those that Cassandra returns since 4.0, which cqlsh prints.
//! - [`rows`]: its rows, against the catalogue of the moment.
//! - [`create`]: objects as statements.

pub mod create;
pub mod rows;

use tholos_grammar::ast::describe::{Describe, Described};
use tholos_grammar::name::Name;
use tholos_grammar::types::{CqlType, Native};

use crate::query::column::ColumnSpec;
use crate::query::context::PlanContext;

/// A planned DESCRIBE.
#[derive(Clone, Debug, PartialEq)]
pub struct DescribePlan {
    /// What to describe.
    pub statement: Describe,
    /// The keyspace in use.
    pub keyspace: Option<Name>,
    /// The result's columns.
    pub columns: Vec<ColumnSpec>,
}

/// Plans a DESCRIBE: whether its objects are there is asked when it is executed.
pub fn plan(statement: Describe, context: PlanContext<'_>) -> DescribePlan {
    let keyspace = context.keyspace.cloned();
    let in_use = keyspace.as_ref().filter(|keyspace| !context.catalogue.is_system(keyspace));
    let columns = columns(&statement.what, in_use.is_some());
    DescribePlan { statement, keyspace, columns }
}

/// The columns of a DESCRIBE. CLUSTER also gives the ring's ranges when a user's keyspace is in use.
fn columns(what: &Described, in_keyspace: bool) -> Vec<ColumnSpec> {
    let text = || CqlType::Native(Native::Text);
    let column = |name: &str, cql_type| ColumnSpec {
        keyspace: "system".into(),
        table: "describe".into(),
        name: name.to_owned(),
        cql_type,
    };
    let texts = |names: &[&str]| names.iter().map(|name| column(name, text())).collect();
    match what {
        Described::Cluster => {
            let mut columns: Vec<ColumnSpec> = texts(&["cluster", "partitioner", "snitch"]);
            if in_keyspace {
                let owners = CqlType::List { element: Box::new(text()), frozen: true };
                let ranges =
                    CqlType::Map { key: Box::new(text()), value: Box::new(owners), frozen: true };
                columns.push(column("range_ownership", ranges));
            }
            columns
        }
        Described::Keyspaces
        | Described::Tables
        | Described::Types
        | Described::Functions
        | Described::Aggregates => texts(&["keyspace_name", "type", "name"]),
        _ => texts(&["keyspace_name", "type", "name", "create_statement"]),
    }
}

/// Text as a CQL string.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

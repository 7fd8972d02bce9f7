//! The rows of a DESCRIBE.

use tholos_grammar::ast::QualifiedName;
use tholos_grammar::ast::describe::Described;
use tholos_grammar::name::Name;
use tholos_grammar::types::UserType;
use tholos_grammar::value::Value;
use tholos_storage::schema::{Keyspace, Table};

use super::{DescribePlan, create};
use crate::error::QueryError;
use crate::query::catalogue::Catalogue;

/// What DESCRIBE CLUSTER tells.
#[derive(Clone, Debug, Default)]
pub struct ClusterInfo {
    /// The cluster's name.
    pub name: String,
    /// Tokens that end a range, with the addresses of the nodes that have the range, for the keyspace in use.
    pub ranges: Vec<(i64, Vec<String>)>,
}

/// The values of one row, as many as the plan has columns.
pub type DescribeRow = Vec<Value>;

/// The rows of a DESCRIBE against the catalogue of the moment.
///
/// # Errors
/// [`QueryError::Invalid`] when what is to be described does not exist, or no keyspace is in use.
pub fn rows(
    plan: &DescribePlan,
    catalogue: &Catalogue,
    cluster: &ClusterInfo,
) -> Result<Vec<DescribeRow>, QueryError> {
    let describer = Describer {
        catalogue,
        session: plan.keyspace.as_ref(),
        internals: plan.statement.with_internals,
    };
    match &plan.statement.what {
        Described::Cluster => Ok(vec![cluster_row(plan, cluster)]),
        Described::Schema { full } => Ok(describer.schema(*full)),
        Described::Keyspaces => {
            let keyspaces = describer.keyspaces();
            Ok(keyspaces
                .map(|keyspace| listed(&keyspace.name, "keyspace", &keyspace.name))
                .collect())
        }
        Described::Keyspace { only, name } => describer.keyspace(name.as_deref(), *only),
        Described::Tables => {
            Ok(describer.list("table", |keyspace| keyspace.tables.keys().collect()))
        }
        Described::Types => Ok(describer.list("type", |keyspace| keyspace.types.keys().collect())),
        // There are none of either: nobody can make one.
        Described::Functions | Described::Aggregates => Ok(Vec::new()),
        Described::Table(name) => describer.table(name),
        Described::Type(name) => describer.user_type(name),
        Described::Function(name) => Err(describer.missing("user defined function", name)),
        Described::Aggregate(name) => Err(describer.missing("user defined aggregate", name)),
        Described::Index(name) => Err(describer.missing("index", name)),
        Described::View(name) => Err(describer.missing("materialized view", name)),
        Described::Any(name) => describer.any(name),
    }
}

struct Describer<'a> {
    catalogue: &'a Catalogue,
    session: Option<&'a Name>,
    internals: bool,
}

impl<'a> Describer<'a> {
    /// All keyspaces, by name.
    fn keyspaces(&self) -> impl Iterator<Item = &'a Keyspace> {
        let Catalogue { schema, system, .. } = self.catalogue;
        let mut all: Vec<&Keyspace> = schema
            .keyspaces
            .values()
            .chain(system.keyspaces.values())
            .map(|keyspace| &**keyspace)
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all.into_iter()
    }

    fn find(&self, name: &Name) -> Result<&'a Keyspace, QueryError> {
        match self.catalogue.keyspace(name.as_str()) {
            Some(keyspace) => Ok(keyspace),
            None => Err(QueryError::invalid(format!(
                "'{}' not found in keyspaces: DESCRIBE KEYSPACES lists them",
                name.as_str()
            ))),
        }
    }

    /// The keyspace that a name means.
    fn keyspace_of(&self, name: &QualifiedName) -> Result<&'a Keyspace, QueryError> {
        match name.keyspace.as_deref().or(self.session) {
            Some(keyspace) => self.find(keyspace),
            None => Err(QueryError::invalid(format!(
                "no keyspace specified and no current keyspace: USE one, or write keyspace.{}",
                name.name
            ))),
        }
    }

    /// Names of the objects of the keyspace in use, or of all keyspaces.
    fn list(&self, kind: &str, names: impl Fn(&'a Keyspace) -> Vec<&'a Name>) -> Vec<DescribeRow> {
        let wanted =
            |keyspace: &&Keyspace| self.session.is_none_or(|session| keyspace.name == *session);
        let objects = self.keyspaces().filter(wanted).flat_map(|keyspace| {
            names(keyspace).into_iter().map(move |name| listed(&keyspace.name, kind, name))
        });
        objects.collect()
    }

    fn schema(&self, full: bool) -> Vec<DescribeRow> {
        let users = |keyspace: &&Keyspace| full || !self.catalogue.is_system(&keyspace.name);
        self.keyspaces().filter(users).flat_map(|keyspace| self.whole(keyspace, false)).collect()
    }

    fn keyspace(&self, name: Option<&Name>, only: bool) -> Result<Vec<DescribeRow>, QueryError> {
        match name.or(self.session) {
            Some(name) => Ok(self.whole(self.find(name)?, only)),
            None => Err(QueryError::invalid(
                "no keyspace specified and no current keyspace: write DESCRIBE KEYSPACE and its name",
            )),
        }
    }

    /// A keyspace with what is in it, in an order in which it can be made again.
    fn whole(&self, keyspace: &Keyspace, only: bool) -> Vec<DescribeRow> {
        let name = &keyspace.name;
        let statement = match self.catalogue.is_system(name) {
            true => create::virtual_keyspace(keyspace),
            false => create::keyspace(keyspace),
        };
        let mut rows = vec![described(name, "keyspace", name, statement)];
        if only {
            return rows;
        }
        rows.extend(create::types_in_order(keyspace).into_iter().map(type_row));
        rows.extend(keyspace.tables.values().map(|table| self.table_row(table)));
        rows
    }

    fn table_row(&self, table: &Table) -> DescribeRow {
        let statement = match self.catalogue.is_virtual(table) {
            true => create::virtual_table(table),
            false => create::table(table, self.internals),
        };
        described(&table.keyspace, "table", &table.name, statement)
    }

    fn table(&self, name: &QualifiedName) -> Result<Vec<DescribeRow>, QueryError> {
        let keyspace = self.keyspace_of(name)?;
        match keyspace.tables.get(name.name.as_str()) {
            Some(table) => Ok(vec![self.table_row(table)]),
            None => Err(self.missing("table", name)),
        }
    }

    fn user_type(&self, name: &QualifiedName) -> Result<Vec<DescribeRow>, QueryError> {
        let keyspace = self.keyspace_of(name)?;
        match keyspace.types.get(name.name.as_str()) {
            Some(definition) => Ok(vec![type_row(definition)]),
            None => Err(self.missing("user defined type", name)),
        }
    }

    /// A bare name: a keyspace before all else, then a table of the keyspace in use.
    fn any(&self, name: &QualifiedName) -> Result<Vec<DescribeRow>, QueryError> {
        if name.keyspace.is_none() {
            if let Some(keyspace) = self.catalogue.keyspace(name.name.as_str()) {
                return Ok(self.whole(keyspace, false));
            }
            if self.session.is_none() {
                return Err(QueryError::invalid(format!(
                    "'{}' not found in keyspaces: DESCRIBE KEYSPACES lists them",
                    name.name.as_str()
                )));
            }
        }
        let keyspace = self.keyspace_of(name)?;
        if let Some(table) = keyspace.tables.get(name.name.as_str()) {
            return Ok(vec![self.table_row(table)]);
        }
        if let Some(definition) = keyspace.types.get(name.name.as_str()) {
            return Ok(vec![type_row(definition)]);
        }
        Err(QueryError::invalid(format!(
            "'{}' not found in keyspace '{}': DESCRIBE TABLES lists its tables",
            name.name.as_str(),
            keyspace.name.as_str()
        )))
    }

    fn missing(&self, what: &str, name: &QualifiedName) -> QueryError {
        match self.keyspace_of(name) {
            Ok(keyspace) => QueryError::invalid(format!(
                "{what} '{}' not found in keyspace '{}'",
                name.name.as_str(),
                keyspace.name.as_str()
            )),
            Err(error) => error,
        }
    }
}

fn cluster_row(plan: &DescribePlan, cluster: &ClusterInfo) -> DescribeRow {
    let text = |text: &str| Value::Text(text.to_owned());
    let mut row = vec![text(&cluster.name), text("Murmur3Partitioner"), text("SimpleSnitch")];
    if plan.columns.len() > row.len() {
        let ranges = cluster.ranges.iter().map(|(token, nodes)| {
            let nodes = nodes.iter().map(|node| text(node)).collect();
            (Value::Text(token.to_string()), Value::List(nodes))
        });
        row.push(Value::Map(ranges.collect()));
    }
    row
}

fn type_row(definition: &UserType) -> DescribeRow {
    let statement = create::user_type(definition);
    described(&definition.keyspace, "type", &definition.name, statement)
}

fn listed(keyspace: &Name, kind: &str, name: &Name) -> DescribeRow {
    vec![
        Value::Text(keyspace.to_string()),
        Value::Text(kind.to_owned()),
        Value::Text(name.to_string()),
    ]
}

fn described(keyspace: &Name, kind: &str, name: &Name, statement: String) -> DescribeRow {
    let mut row = listed(keyspace, kind, name);
    row.push(Value::Text(statement));
    row
}

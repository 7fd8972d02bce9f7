//! System keyspaces: tables that users can read and not write, most of them made up at each read.
//!
//! Each is an ordinary [`Table`] in [`schema`], so planning knows no difference. At a read of a virtual one its rows come
//! from a [`SystemTables`] and are laid into a throw-away memtable, which the ordinary SELECT execution walks: every
//! WHERE, paging and projection works on them unchanged. A stored one is a table of this node's storage engine, made at
//! the first start that knows of it and written by the node itself.

mod catalogue;
mod cluster;
pub mod definitions;
mod estimates;
pub mod info;
mod rows;
pub mod schema;
mod tables;
#[cfg(test)]
mod tests;
pub mod version;
mod views;

use std::sync::Arc;

use tholos_storage::fs::nowait::may_wait;
use tholos_storage::memtable::Memtable;
use tholos_storage::schema::Table;

use self::info::SystemTables;
use crate::error::QueryError;
use crate::execute::ExecuteContext;
use crate::halt::{Halt, PutOff};
use crate::query::catalogue::Catalogue;
use crate::query::keys;

/// What the rows of system tables are made of.
struct RequestInfo<'a> {
    catalogue: &'a Catalogue,
    system: &'a dyn SystemTables,
    wanted: &'a Wanted,
}

/// The rows of a virtual table that a read asks for; it is given all of them, and hardly more.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Those of these partitions; of all, if none are said.
    pub partitions: Option<Vec<keys::Partition>>,
    /// Values that the first column of the partition key may have, as values travel; any, if none are said.
    pub first_key: Option<Vec<Vec<u8>>>,
    /// The value of the first clustering column; any, if none is said.
    pub first_clustering: Option<Vec<u8>>,
}

impl Wanted {
    /// Whether rows with this text in the first column of the partition key are asked for.
    fn has_key(&self, text: &str) -> bool {
        let known = self.first_key.as_ref();
        known.is_none_or(|values| values.iter().any(|value| value == text.as_bytes()))
    }

    /// The text that the first clustering column has, if only one is asked for.
    fn clustering(&self) -> Option<&str> {
        std::str::from_utf8(self.first_clustering.as_deref()?).ok()
    }
}

/// Tables above which their rows are not made by a thread that serves other clients too.
const MANY_TABLES: usize = 64;

/// The rows of a system table at this moment. Those that follow from the schema alone are made once, unless a read asks
/// for some of their partitions only.
///
/// # Errors
/// [`QueryError::Internal`] when a row does not fit its table, which is a defect; [`PutOff::Long`] when this thread
/// has to serve others and there are many.
pub fn rows(
    table: &Table,
    cx: &ExecuteContext<'_>,
    wanted: &Wanted,
) -> Result<Arc<Memtable>, Halt> {
    let keyspace = table.keyspace.as_str();
    if keyspace != definitions::SYSTEM_SCHEMA && keyspace != definitions::SYSTEM_VIRTUAL_SCHEMA {
        return Ok(Arc::new(make(table, cx, wanted)?));
    }
    if let Some(made) = cx.catalogue.rows_made(table.id) {
        return Ok(made);
    }
    if wanted.partitions.is_some() {
        return Ok(Arc::new(make(table, cx, wanted)?));
    }
    let tables = cx.catalogue.schema.keyspaces.values().map(|keyspace| keyspace.tables.size());
    if tables.sum::<usize>() > MANY_TABLES && !may_wait() {
        return Err(PutOff::Long.into());
    }
    Ok(cx.catalogue.rows(table.id, || make(table, cx, wanted))?)
}

fn make(table: &Table, cx: &ExecuteContext<'_>, wanted: &Wanted) -> Result<Memtable, QueryError> {
    let mut rows = rows::TableRows::new(table, cx.time.micros, wanted.partitions.as_deref());
    let request = RequestInfo { catalogue: cx.catalogue, system: cx.system, wanted };
    let mut sink = |row: &rows::Row<'_>| rows.push(row);
    fill(table, &request, &mut sink)?;
    Ok(rows.into_memtable())
}

/// Tables that are not named here are empty: they are there so that who asks for them gets an answer.
fn fill(
    table: &Table,
    request: &RequestInfo<'_>,
    sink: &mut catalogue::Sink<'_>,
) -> Result<(), QueryError> {
    let system = request.system;
    match (table.keyspace.as_str(), table.name.as_str()) {
        (definitions::SYSTEM, "local") => sink(&cluster::local(&system.local(), request)),
        (definitions::SYSTEM, "peers") => {
            system.peers().iter().try_for_each(|p| sink(&cluster::peer(p)))
        }
        (definitions::SYSTEM, "peers_v2") => {
            system.peers().iter().try_for_each(|peer| sink(&cluster::peer_v2(peer)))
        }
        (definitions::SYSTEM, "prepared_statements") => {
            let statements = system.prepared_statements();
            statements.iter().try_for_each(|prepared| sink(&cluster::prepared(prepared)))
        }
        (definitions::SYSTEM, "size_estimates") => estimates::rows(false, request, sink),
        (definitions::SYSTEM, "table_estimates") => estimates::rows(true, request, sink),
        (definitions::SYSTEM_SCHEMA, name) => catalogue::schema_rows(name, request, sink),
        (definitions::SYSTEM_VIRTUAL_SCHEMA, name) => catalogue::virtual_rows(name, request, sink),
        (definitions::SYSTEM_VIEWS, "clients") => {
            system.clients().iter().try_for_each(|client| sink(&views::client(client)))
        }
        (definitions::SYSTEM_VIEWS, "damaged_ranges") => {
            system.damage().iter().try_for_each(|range| sink(&views::damaged_range(range)))
        }
        (definitions::SYSTEM_VIEWS, "settings") => {
            let settings = system.settings();
            settings.iter().try_for_each(|(name, value)| sink(&views::setting(name, value)))
        }
        (definitions::SYSTEM_VIEWS, "sstable_tasks") => {
            system.compactions().iter().try_for_each(|job| sink(&views::sstable_task(job)))
        }
        (definitions::SYSTEM_VIEWS, name) => tables::fill(name, request, sink).map(drop),
        (definitions::SYSTEM_TRACES, "sessions") => {
            system.traces().iter().try_for_each(|trace| sink(&views::session(trace)))
        }
        (definitions::SYSTEM_TRACES, "events") => {
            system.traces().iter().flat_map(views::events).try_for_each(|event| sink(&event))
        }
        (definitions::SYSTEM_AUTH, "roles") => {
            system.roles().iter().try_for_each(|role| sink(&views::role(role)))
        }
        (definitions::SYSTEM_AUTH, "role_members") => {
            system.roles().iter().flat_map(views::members).try_for_each(|member| sink(&member))
        }
        _ => Ok(()),
    }
}

//! Snapshots of a node's tables, and tables brought back from them.
//!
//! A restore first makes sure of all of the snapshot and that the schema fits, then creates what is missing of the
//! schema, then makes the files part of the tables, each table in one step. Done twice it changes nothing more: the same
//! rows merge into themselves.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tholos_grammar::name::Name;
use tholos_grammar::protocol::response::event::{ChangeType, SchemaChange as Event, SchemaTarget};
use tholos_grammar::types::CqlType;
use tholos_storage::manifest::TableFile;
use tholos_storage::schema::{Column, Keyspace, Schema, SchemaChange, Table, TableId, Tables};
use tholos_storage::snapshot::{self, Snapshot, SnapshotLimits, SnapshotTable};
use uuid::Uuid;

use super::Node;
use crate::error::QueryError;
use crate::query::catalogue::Catalogue;
use crate::system::definitions::SYSTEM_TRACES;

/// Automatic snapshots are looked through for what is too old or too much after so many new ones, too.
const EXPIRE_EVERY: u64 = 64;

/// An automatic snapshot of a table that lost its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The snapshot.
    pub snapshot: String,
    /// `keyspace.table`
    pub table: String,
    /// What it keeps on disk.
    pub bytes: u64,
}

/// A table that was brought back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restored {
    /// `keyspace.table`
    pub table: String,
    /// How many files came.
    pub files: usize,
    /// Whether the table was created for it.
    pub created: bool,
}

/// Tables that a command is about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Which<'a> {
    /// Of this keyspace only.
    pub keyspace: Option<&'a str>,
    /// Of this name only.
    pub table: Option<&'a str>,
}

impl Which<'_> {
    fn has(self, keyspace: &str, table: &str) -> bool {
        self.keyspace.is_none_or(|wanted| wanted == keyspace)
            && self.table.is_none_or(|wanted| wanted == table)
    }

    fn describe(self) -> String {
        let keyspace = self.keyspace.unwrap_or("any keyspace");
        match self.table {
            Some(table) => format!("table {table} of {keyspace}"),
            None => format!("table of {keyspace}"),
        }
    }
}

impl Node {
    /// Takes a snapshot of tables of users; its name is the time in milliseconds if none is given. Blocks on the disk.
    ///
    /// # Errors
    /// There is no such table, or it is a system table; the name is taken or no name; what writing meets.
    pub fn create_snapshot(
        &self,
        name: Option<&str>,
        which: Which<'_>,
    ) -> Result<Snapshot, QueryError> {
        let now = (self.clock.wall_micros() / 1000).to_string();
        let metadata = self.metadata();
        if let Some(own) = which.keyspace.filter(|name| is_system(&metadata.catalogue, name)) {
            return Err(QueryError::invalid(format!(
                "no snapshots are taken of keyspace {own}: it tells of this node at this moment; name a keyspace of \
                 users, or none for all of theirs"
            )));
        }
        let schema = part(&metadata.catalogue.schema, |table| {
            which.has(table.keyspace.as_str(), table.name.as_str())
        });
        if schema.keyspaces.is_empty() {
            return Err(QueryError::invalid(format!("there is no {} here", which.describe())));
        }
        self.engine().snapshot(name.unwrap_or(&now), schema).map_err(QueryError::Storage)
    }

    /// Empties a table, after a snapshot of it if those are taken.
    ///
    /// # Errors
    /// The snapshot could not be taken, or the table not be emptied: its data is still there.
    pub fn truncate(&self, table: &Table) -> Result<Option<Kept>, QueryError> {
        if table.keyspace == *SYSTEM_TRACES {
            self.traces.truncate(table.name.as_str());
            return Ok(None);
        }
        let metadata = self.metadata.load_full();
        let kept = self.keep(&metadata.catalogue.schema, "truncated", table);
        let kept = kept.map_err(QueryError::Truncate)?;
        self.engine().truncate(table.id).map_err(QueryError::Storage)?;
        Ok(kept)
    }

    /// Deletes automatic snapshots that are too old or too many. Blocks on the disk.
    pub fn expire_snapshots(&self) {
        let days = i64::from(self.config.auto_snapshot_max_age_days);
        let max_bytes = self.config.auto_snapshot_max_mib.saturating_mul(1 << 20);
        let limits = SnapshotLimits {
            max_age: (days > 0).then_some(days * 86_400 * 1_000_000),
            max_bytes: (max_bytes > 0).then_some(max_bytes),
        };
        match self.engine().expire_snapshots(limits) {
            Ok(gone) if gone.is_empty() => {}
            Ok(gone) => tracing::info!(snapshots = gone.join(", "), "deleted automatic snapshots"),
            Err(error) => tracing::warn!(%error, "automatic snapshots can't be deleted"),
        }
    }

    /// What to tell of automatic snapshots that were taken: how to undo it, and how to get the room back.
    pub fn kept_warning(&self, kept: &[Kept]) -> Option<String> {
        let first = kept.first()?;
        let tables: Vec<&str> = kept.iter().take(3).map(|kept| kept.table.as_str()).collect();
        let more = match kept.len().saturating_sub(tables.len()) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let days = self.config.auto_snapshot_max_age_days;
        let until = match days {
            0 => "until they are deleted".to_string(),
            days => format!("for {days} days, while there is room"),
        };
        let bytes: u64 = kept.iter().map(|kept| kept.bytes).sum();
        let dir = self.engine().snapshots_dir();
        Some(format!(
            "the rows of {}{more} are kept {until}: `tholos restore {}` brings them back, `tholos snapshot delete {}` \
             frees {bytes} bytes (`tholos snapshot list` names all)",
            tables.join(", "),
            dir.join(&first.snapshot).display(),
            first.snapshot,
        ))
    }

    /// Takes the automatic snapshot of a table that is about to lose its data.
    pub(super) fn keep(
        &self,
        schema: &Schema,
        why: &str,
        table: &Table,
    ) -> Result<Option<Kept>, String> {
        let wanted = self.config.auto_snapshot && table.options.allow_auto_snapshot;
        let store = self.engine().table(table.id).map_err(|error| error.to_string())?;
        if !wanted || store.is_empty() {
            return Ok(None);
        }
        if self.auto_snapshots.fetch_add(1, Ordering::Relaxed) % EXPIRE_EVERY == EXPIRE_EVERY - 1 {
            self.expire_snapshots();
        }
        let schema = only(schema, table);
        let millis = self.clock.wall_micros() / 1000;
        let name = free_name(
            &self.engine().snapshots_dir(),
            |path| self.fs.exists(path),
            &format!("{why}-{millis}-{}", table.name.as_str()),
        );
        match self.engine().automatic_snapshot(&name, schema) {
            Ok(taken) => {
                tracing::info!(table = %table.name, snapshot = name, "took a snapshot of a table that is {why}");
                let (table, bytes) = (format!("{}.{}", table.keyspace, table.name), taken.bytes());
                Ok(Some(Kept { snapshot: name, table, bytes }))
            }
            Err(error) => Err(format!(
                "{}.{} was not {why}, because no snapshot of it could be taken: {error}. To go on without one, say \
                 ALTER TABLE {}.{} WITH allow_auto_snapshot = false",
                table.keyspace, table.name, table.keyspace, table.name
            )),
        }
    }

    /// Brings back tables of the snapshot in a directory of this machine. Blocks on the disk.
    ///
    /// # Errors
    /// The directory is no whole snapshot, or a table of another shape is in the way: nothing was changed. After errors
    /// of the disk some tables may be back already; the restore can be repeated.
    pub fn restore(&self, dir: &Path, which: Which<'_>) -> Result<Vec<Restored>, QueryError> {
        let snapshot = snapshot::read(&*self.fs, dir).map_err(QueryError::Storage)?;
        let mut chosen = Vec::new();
        for table in snapshot.tables.iter().filter(|table| which.has(&table.keyspace, &table.name))
        {
            let files = snapshot::table_files(&*self.fs, dir, table);
            chosen.push((table, files.map_err(QueryError::Storage)?));
        }
        if chosen.is_empty() {
            let what = which.describe();
            return Err(QueryError::invalid(format!(
                "there is no {what} in snapshot {}",
                snapshot.name
            )));
        }
        let tables: Vec<&SnapshotTable> = chosen.iter().map(|(table, _)| *table).collect();
        let plan = |catalogue: &Catalogue| {
            let plan = self.plan_restore(catalogue, &snapshot, &tables)?;
            Ok((plan.changes, plan.created))
        };
        let created = self.alter_schema(plan)?.told;
        for table in &created {
            self.publish(Event {
                change: ChangeType::Created,
                keyspace: table.keyspace.as_str().to_string(),
                target: SchemaTarget::Table(table.name.as_str().to_string()),
            });
        }
        chosen.iter().map(|(table, files)| self.restore_table(table, files, &created)).collect()
    }

    fn restore_table(
        &self,
        table: &SnapshotTable,
        files: &[(PathBuf, TableFile)],
        created: &[Arc<Table>],
    ) -> Result<Restored, QueryError> {
        let name = format!("{}.{}", table.keyspace, table.name);
        let here =
            self.metadata().catalogue.table(&table.keyspace, &table.name).map(|table| table.id);
        let gone = || QueryError::invalid(format!("{name} was dropped while it was restored"));
        let id = here.ok_or_else(gone)?;
        let files = self.engine().ingest(id, files).map_err(QueryError::Storage)?;
        let created = created.iter().any(|created| created.id == id);
        Ok(Restored { table: name, files, created })
    }

    fn plan_restore(
        &self,
        catalogue: &Catalogue,
        snapshot: &Snapshot,
        tables: &[&SnapshotTable],
    ) -> Result<Plan, QueryError> {
        let (mut plan, schema) = (Plan::default(), &catalogue.schema);
        for table in tables {
            if is_system(catalogue, &table.keyspace) {
                return Err(QueryError::invalid(format!(
                    "snapshot {} has {}.{}, which tells of the node that it was taken of, and is not brought back: name \
                     the keyspace of the tables to restore",
                    snapshot.name, table.keyspace, table.name
                )));
            }
            let missing = || {
                QueryError::invalid(format!(
                    "snapshot {} has files of {}.{} but not its definition",
                    snapshot.name, table.keyspace, table.name
                ))
            };
            let keyspace = snapshot.schema.keyspaces.get(table.keyspace.as_str());
            let then = snapshot.table(table).ok_or_else(missing)?;
            let here = schema.keyspaces.get(table.keyspace.as_str());
            plan.keyspace(keyspace.ok_or_else(missing)?, here)?;
            match here.and_then(|keyspace| keyspace.tables.get(table.name.as_str())) {
                Some(now) => fits(then, now)?,
                // A new id: the log may still have records of the table that had the old one.
                None => plan.create(then, self.new_table_id()),
            }
        }
        Ok(plan)
    }

    fn new_table_id(&self) -> TableId {
        TableId(Uuid::from_u64_pair(self.random.bits(), self.random.bits()))
    }
}

fn is_system(catalogue: &Catalogue, keyspace: &str) -> bool {
    catalogue.is_system(&Name::exact(keyspace))
}

/// The schema changes that a restore needs.
#[derive(Default)]
struct Plan {
    changes: Vec<SchemaChange>,
    keyspaces: Vec<Name>,
    created: Vec<Arc<Table>>,
}

impl Plan {
    /// The keyspace of the snapshot with its types, where they are missing here.
    fn keyspace(
        &mut self,
        then: &Keyspace,
        here: Option<&Arc<Keyspace>>,
    ) -> Result<(), QueryError> {
        if self.keyspaces.contains(&then.name) {
            return Ok(());
        }
        self.keyspaces.push(then.name.clone());
        if here.is_none() {
            self.changes.push(SchemaChange::PutKeyspace {
                name: then.name.clone(),
                replication: then.replication.clone(),
                durable_writes: then.durable_writes,
            });
        }
        for (name, definition) in &then.types {
            let now = here.and_then(|keyspace| keyspace.types.get(name));
            let udt = |definition: &Arc<_>| CqlType::Udt {
                definition: Arc::clone(definition),
                frozen: true,
            };
            match now {
                None => self.changes.push(SchemaChange::PutType(Arc::clone(definition))),
                // Tables that use it get the definition that is here.
                Some(now) if reads(&udt(now), &udt(definition)) => {}
                Some(_) => {
                    return Err(QueryError::invalid(format!(
                        "type {}.{name} has other fields than in the snapshot: rename or drop it, or restore into another \
                         data directory",
                        then.name
                    )));
                }
            }
        }
        Ok(())
    }

    fn create(&mut self, then: &Table, id: TableId) {
        let table = Arc::new(Table { id, ..then.clone() });
        self.changes.push(SchemaChange::PutTable(Arc::clone(&table)));
        self.created.push(table);
    }
}

/// Whether rows written for `then` are rows of `now`: every column has its id, kind and type, or was dropped since.
fn fits(then: &Table, now: &Table) -> Result<(), QueryError> {
    let refused = |what: String| {
        Err(QueryError::invalid(format!(
            "table {}.{} is not the one of the snapshot: {what}. Drop it and restore again (the table is then created as \
             it was), or restore into another data directory",
            now.keyspace, now.name
        )))
    };
    let keys = |table: &Table| table.partition_key.len() + table.clustering.len();
    if then.partition_key.len() != now.partition_key.len() || keys(then) != keys(now) {
        return refused("its primary key is another".to_string());
    }
    for (then_key, now_key) in then.columns().zip(now.columns()).take(keys(then)) {
        if (then_key.kind, then_key.descending) != (now_key.kind, now_key.descending)
            || !reads(&now_key.cql_type, &then_key.cql_type)
        {
            return refused(format!("key column {} is {}", now_key.name, described(now_key)));
        }
    }
    for column in then.statics.iter().chain(&then.regulars) {
        let same_id = now.columns().find(|other| other.id == column.id);
        let dropped = now.dropped.values().any(|dropped| dropped.column.id == column.id);
        match same_id {
            Some(other)
                if other.kind == column.kind
                    && (other.name == column.name || now.id == then.id)
                    && reads(&other.cql_type, &column.cql_type) => {}
            None if dropped && now.id == then.id => {}
            Some(other) => {
                let (had, has) = (described(column), described(other));
                return refused(format!("where the snapshot has column {had}, it has {has}"));
            }
            None => return refused(format!("it has no column {}", described(column))),
        }
    }
    Ok(())
}

fn described(column: &Column) -> String {
    format!("{} {} (number {})", column.name, column.cql_type, column.id)
}

/// Whether values written as `then` are values of `now`: the same type, or user types that have got more fields.
fn reads(now: &CqlType, then: &CqlType) -> bool {
    match (now, then) {
        (
            CqlType::Udt { definition: now, frozen: f },
            CqlType::Udt { definition: then, frozen: g },
        ) => {
            f == g
                && now.fields.len() >= then.fields.len()
                && now.fields.iter().zip(&then.fields).all(|((_, now), (_, then))| reads(now, then))
        }
        (CqlType::List { element: a, frozen: f }, CqlType::List { element: b, frozen: g })
        | (CqlType::Set { element: a, frozen: f }, CqlType::Set { element: b, frozen: g }) => {
            f == g && reads(a, b)
        }
        (
            CqlType::Map { key: a, value: c, frozen: f },
            CqlType::Map { key: b, value: d, frozen: g },
        ) => f == g && reads(a, b) && reads(c, d),
        (CqlType::Tuple(now), CqlType::Tuple(then)) => {
            now.len() == then.len() && now.iter().zip(then).all(|(now, then)| reads(now, then))
        }
        (
            CqlType::Vector { element: a, dimensions: f },
            CqlType::Vector { element: b, dimensions: g },
        ) => f == g && reads(a, b),
        _ => now == then,
    }
}

/// The schema with nothing but one of its tables, and the types of its keyspace: at the same cost however many there are.
fn only(schema: &Schema, table: &Table) -> Schema {
    let keyspaces = schema.keyspaces.get(&table.keyspace).map(|keyspace| {
        let known = keyspace.tables.get(&table.name);
        let tables = known.map(|known| (table.name.clone(), Arc::clone(known)));
        let tables = tables.into_iter().collect();
        (table.keyspace.clone(), Arc::new(Keyspace { tables, ..Keyspace::clone(keyspace) }))
    });
    Schema { epoch: schema.epoch, keyspaces: keyspaces.into_iter().collect() }
}

/// The schema with nothing but some of its tables, and the types of their keyspaces.
fn part(schema: &Schema, keep: impl Fn(&Table) -> bool) -> Schema {
    let keyspaces = schema.keyspaces.iter().filter_map(|(name, keyspace)| {
        let tables = keyspace.tables.iter().filter(|(_, table)| keep(table));
        let tables: Tables =
            tables.map(|(name, table)| (name.clone(), Arc::clone(table))).collect();
        let part = || Arc::new(Keyspace { tables: tables.clone(), ..Keyspace::clone(keyspace) });
        (!tables.is_empty()).then(|| (name.clone(), part()))
    });
    Schema { epoch: schema.epoch, keyspaces: keyspaces.collect() }
}

/// That name, or with a number after it if it is taken.
fn free_name(dir: &Path, exists: impl Fn(&Path) -> std::io::Result<bool>, name: &str) -> String {
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    let mut names = std::iter::once(name.to_string()).chain(numbered);
    // What can't be looked up is taken for free: the snapshot itself will say what is wrong.
    names.find(|name| !exists(&dir.join(name)).unwrap_or(false)).unwrap_or_default()
}

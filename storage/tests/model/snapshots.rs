//! Snapshots in histories: what is in one, and what a table is given back from it.
//!
//! A restore into a table that has data adds to it what the snapshot has. That is only asked for while nothing that was
//! deleted since the snapshot can have been purged: later, the table is emptied before, as people do who restore.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tholos_grammar::name::Name;
use tholos_grammar::types::Native;
use tholos_storage::schema::options::TableOptions;
use tholos_storage::schema::{Column, ColumnKind, Keyspace, Schema, Table, TableId};
use tholos_storage::snapshot;

use crate::database::Model;
use crate::engine::{Bench, GC_GRACE, Known, Outcome, Violation, name, slot};
use crate::history::Op;

/// The snapshots of a history.
#[derive(Default)]
pub(crate) struct Snapshots {
    /// How many were taken.
    taken: usize,
    /// Those that there are: one at most, between operations.
    pub(crate) saved: Vec<Saved>,
}

/// A snapshot as it should be.
#[derive(Clone)]
pub(crate) struct Saved {
    name: String,
    at: i64,
    tables: [Known; 2],
}

/// What a table may read as when an operation on it was interrupted.
pub(crate) enum Outcomes {
    /// As just that.
    Only(Model),
    /// As that together with what is durable, and the first of the other writes.
    With(Model),
}

impl Bench {
    pub(crate) fn take_snapshot(&mut self) -> Outcome {
        self.snapshots.taken += 1;
        let name = format!("s{}", self.snapshots.taken);
        let (at, tables) = (self.now(), self.tables.clone());
        let schema = schema(tables.each_ref().map(|known| known.id));
        self.snapshots.saved.push(Saved { name: name.clone(), at, tables });
        self.engine().snapshot(&name, schema)?;
        self.tables.iter_mut().for_each(Known::settle);
        while self.snapshots.saved.len() > 1 {
            let old = self.snapshots.saved.remove(0);
            self.engine().delete_snapshot(&old.name)?;
        }
        Ok(())
    }

    pub(crate) fn restore(&mut self, table: TableId, emptied: bool) -> Outcome {
        let Some(saved) = self.snapshots.saved.last().cloned() else { return Ok(()) };
        let (known, id) = (&saved.tables[slot(table)], self.id(table));
        let dir = dir(&saved.name);
        let found = snapshot::read(&self.fs, &dir)?;
        let entry = found.tables.iter().find(|entry| entry.id == known.id);
        let entry = entry.ok_or_else(|| Violation("a snapshot lacks a table".into()))?;
        let files = snapshot::table_files(&self.fs, &dir, entry)?;
        if self.empties(&saved, emptied) {
            self.engine().truncate(id)?;
            self.known(table).truncate();
        }
        self.engine().ingest(id, &files)?;
        self.known(table).bring(known.writes.clone());
        Ok(())
    }

    fn empties(&self, saved: &Saved, asked_for: bool) -> bool {
        asked_for || self.now() - GC_GRACE > saved.at
    }

    /// What an interrupted operation may have made of a table, beside leaving it as it was.
    pub(crate) fn outcomes(&self, op: &Op, known: &Known) -> Vec<Outcomes> {
        let (Op::Truncate(table) | Op::Restore(table, _)) = op else { return Vec::new() };
        if slot(*table) != slot(known.id) {
            return Vec::new();
        }
        let empty = Outcomes::Only(Model::default());
        match (op, self.snapshots.saved.last()) {
            (Op::Restore(_, emptied), Some(saved)) => {
                let model = saved.tables[slot(*table)].model.clone();
                match self.empties(saved, *emptied) {
                    true => vec![empty, Outcomes::Only(model)],
                    false => vec![Outcomes::With(model)],
                }
            }
            (Op::Restore(..), None) => Vec::new(),
            _ => vec![empty],
        }
    }

    /// Checks that a crash left the snapshot that there was. One that was being taken counts if it was so far that the
    /// old one was being deleted: else it may be there, but not durably.
    pub(crate) fn recover_snapshots(&mut self, before: Vec<Saved>, op: &Op) -> Outcome {
        let listed = self.engine().snapshots()?;
        let is_whole =
            |saved: &Saved| listed.iter().any(|(name, found)| *name == saved.name && found.is_ok());
        let taken = std::mem::replace(&mut self.snapshots.saved, before);
        if self.snapshots.saved.iter().all(is_whole) {
            let left = taken.iter().filter(|_| matches!(op, Op::Snapshot));
            for saved in left.filter(|saved| listed.iter().any(|(name, _)| *name == saved.name)) {
                self.engine().delete_snapshot(&saved.name)?;
            }
            return Ok(());
        }
        if !matches!(op, Op::Snapshot) || !taken.iter().all(is_whole) {
            return Err(Violation(format!("a snapshot is gone after a crash: {listed:?}")));
        }
        self.snapshots.saved = taken;
        Ok(())
    }
}

fn dir(name: &str) -> PathBuf {
    Path::new("/data/snapshots").join(name)
}

/// Both tables as a schema: nobody looks at the columns.
fn schema(ids: [TableId; 2]) -> Schema {
    let column = |id, name: &str, kind| Column {
        id,
        name: name.into(),
        cql_type: Native::Blob.into(),
        kind,
        descending: false,
    };
    let table = |id| Table {
        id,
        keyspace: "ks".into(),
        name: name(id).into(),
        partition_key: vec![column(0, "p", ColumnKind::PartitionKey)],
        clustering: vec![column(3, "c", ColumnKind::Clustering)],
        statics: vec![],
        regulars: vec![column(1, "v", ColumnKind::Regular)],
        dropped: BTreeMap::new(),
        next_column_id: 5,
        options: TableOptions::default(),
    };
    let tables = ids.map(|id| (Name::from(name(id)), Arc::new(table(id))));
    let keyspace = Keyspace {
        name: "ks".into(),
        replication: BTreeMap::new(),
        durable_writes: true,
        tables: tables.into_iter().collect(),
        types: BTreeMap::new(),
    };
    Schema { epoch: 1, keyspaces: [(Name::from("ks"), Arc::new(keyspace))].into() }
}

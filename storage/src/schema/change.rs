//! Applying changes: pure functions from one schema to the next.
//!
//! A change names whole objects, so applying it needs no statement and no clock: the same changes in the same order
//! give the same schema everywhere. What users may not do (drop a type in use, shrink a key) the planner refuses with
//! better words; here only what would leave the schema inconsistent is an error.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::error::SchemaError;
use super::user_types::mentions;
use crate::schema::{Keyspace, Schema, SchemaChange, Tables};
use tholos_grammar::name::Name;

impl Schema {
    /// The schema after a change, with the next epoch. Objects that the change does not touch are shared with this one:
    /// their `Arc`s are the same.
    ///
    /// # Errors
    /// The change does not fit; nothing is changed.
    pub fn apply(&self, change: &SchemaChange) -> Result<Schema, SchemaError> {
        let mut next = self.clone();
        next.epoch += 1;
        match change {
            SchemaChange::PutKeyspace { name, replication, durable_writes } => {
                let mut keyspace = match self.keyspaces.get(name) {
                    Some(keyspace) => Keyspace::clone(keyspace),
                    None => Keyspace::empty(name.clone()),
                };
                keyspace.replication = replication.clone();
                keyspace.durable_writes = *durable_writes;
                next.keyspaces.insert(name.clone(), Arc::new(keyspace));
            }
            SchemaChange::DropKeyspace(name) => {
                let gone = next.keyspaces.remove(name);
                gone.ok_or_else(|| SchemaError::NoKeyspace(name.clone()))?;
            }
            SchemaChange::PutTable(table) => {
                let keyspace = next.keyspace_mut(&table.keyspace)?;
                let table = keyspace.resolved_table(table)?;
                keyspace.tables.insert_mut(table.name.clone(), table);
            }
            SchemaChange::DropTable(keyspace, name) => {
                if !next.keyspace_mut(keyspace)?.tables.remove_mut(name) {
                    return Err(SchemaError::NoTable(keyspace.clone(), name.clone()));
                }
            }
            SchemaChange::PutType(definition) => {
                let keyspace = next.keyspace_mut(&definition.keyspace)?;
                let resolved = keyspace.resolved_type(definition)?;
                let known = keyspace.types.insert(definition.name.clone(), resolved);
                // Nothing uses a type that was not there.
                if known.is_some() {
                    keyspace.resolve_types()?;
                }
            }
            SchemaChange::DropType(keyspace, name) => {
                let objects = next.keyspace_mut(keyspace)?;
                let gone = objects.types.remove(name);
                gone.ok_or_else(|| SchemaError::NoType(keyspace.clone(), name.clone()))?;
                if let Some(user) = objects.user_of(name) {
                    return Err(SchemaError::TypeInUse(keyspace.clone(), name.clone(), user));
                }
            }
        }
        Ok(next)
    }

    fn keyspace_mut(&mut self, name: &Name) -> Result<&mut Keyspace, SchemaError> {
        let keyspace = self.keyspaces.get_mut(name);
        keyspace.map(Arc::make_mut).ok_or_else(|| SchemaError::NoKeyspace(name.clone()))
    }
}

/// What changes touch: tables and types one by one, or all that is in a keyspace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched<'c> {
    /// Keyspaces with all that is in them.
    pub keyspaces: BTreeSet<&'c Name>,
    /// Tables of other keyspaces: keyspace and name.
    pub tables: BTreeSet<(&'c Name, &'c Name)>,
    /// Types of other keyspaces: keyspace and name.
    pub types: BTreeSet<(&'c Name, &'c Name)>,
}

impl<'c> Touched<'c> {
    /// What changes of the schema `before` touch. Types that were there reach into tables and other types.
    pub fn by(changes: &'c [SchemaChange], before: &Schema) -> Self {
        let is_new = |keyspace: &Name, name: &Name| {
            before.keyspaces.get(keyspace).is_some_and(|known| !known.types.contains_key(name))
        };
        let mut touched = Touched::default();
        for change in changes {
            match change {
                SchemaChange::PutTable(table) => {
                    touched.tables.insert((&table.keyspace, &table.name));
                }
                SchemaChange::DropTable(keyspace, table) => {
                    touched.tables.insert((keyspace, table));
                }
                SchemaChange::PutType(new) if is_new(&new.keyspace, &new.name) => {
                    touched.types.insert((&new.keyspace, &new.name));
                }
                SchemaChange::PutType(known) => {
                    touched.keyspaces.insert(&known.keyspace);
                }
                SchemaChange::PutKeyspace { name: keyspace, .. }
                | SchemaChange::DropKeyspace(keyspace)
                | SchemaChange::DropType(keyspace, _) => {
                    touched.keyspaces.insert(keyspace);
                }
            }
        }
        let Touched { keyspaces, tables, types } = &mut touched;
        tables.retain(|(keyspace, _)| !keyspaces.contains(keyspace));
        types.retain(|(keyspace, _)| !keyspaces.contains(keyspace));
        touched
    }
}

impl Keyspace {
    fn empty(name: Name) -> Keyspace {
        Keyspace {
            name,
            replication: BTreeMap::new(),
            durable_writes: true,
            tables: Tables::default(),
            types: BTreeMap::new(),
        }
    }

    /// A table or type that uses the type of that name.
    fn user_of(&self, name: &Name) -> Option<String> {
        let by_type = self
            .types
            .values()
            .find(|other| other.fields.iter().any(|(_, cql_type)| mentions(cql_type, name)));
        let by_table = self
            .tables
            .values()
            .find(|table| table.all_columns().any(|column| mentions(&column.cql_type, name)));
        by_type
            .map(|other| format!("type {}.{}", self.name, other.name))
            .or_else(|| by_table.map(|table| format!("table {}.{}", self.name, table.name)))
    }
}

#[cfg(test)]
mod tests {
    use tholos_grammar::types::{CqlType, Native, UserType};
    use uuid::Uuid;

    use super::*;
    use crate::schema::options::TableOptions;
    use crate::schema::{Column, ColumnKind, Table, TableId};

    fn keyspace(name: &str) -> SchemaChange {
        let replication = [("class".to_string(), "SimpleStrategy".to_string())].into();
        SchemaChange::PutKeyspace { name: name.into(), replication, durable_writes: true }
    }

    fn user_type(name: &str, fields: &[(&str, CqlType)]) -> Arc<UserType> {
        let fields = fields.iter().map(|(name, t)| (Name::from(*name), t.clone())).collect();
        Arc::new(UserType { keyspace: "k".into(), name: name.into(), fields })
    }

    fn udt(definition: &Arc<UserType>) -> CqlType {
        CqlType::Udt { definition: Arc::clone(definition), frozen: true }
    }

    fn table(name: &str, value: CqlType) -> Arc<Table> {
        let column = |id, name: &str, cql_type, kind| Column {
            id,
            name: name.into(),
            cql_type,
            kind,
            descending: false,
        };
        Arc::new(Table {
            id: TableId(Uuid::from_u128(1)),
            keyspace: "k".into(),
            name: name.into(),
            partition_key: vec![column(0, "p", Native::Int.into(), ColumnKind::PartitionKey)],
            clustering: vec![],
            statics: vec![],
            regulars: vec![column(1, "v", value, ColumnKind::Regular)],
            dropped: BTreeMap::new(),
            next_column_id: 2,
            options: TableOptions::default(),
        })
    }

    fn applied(changes: impl IntoIterator<Item = SchemaChange>) -> Schema {
        changes.into_iter().fold(Schema::default(), |schema, change| schema.apply(&change).unwrap())
    }

    #[test]
    fn every_change_is_one_epoch_and_shares_the_rest() {
        let before =
            applied([keyspace("k"), SchemaChange::PutTable(table("a", Native::Int.into()))]);
        assert_eq!(before.epoch, 2);
        let after = before.apply(&SchemaChange::PutTable(table("b", Native::Int.into()))).unwrap();
        let of = |schema: &Schema, name: &str| Arc::clone(&schema.keyspaces["k"].tables[name]);
        assert!(Arc::ptr_eq(&of(&before, "a"), &of(&after, "a")));
        assert_eq!(after.keyspaces["k"].tables.size(), 2);
        let altered = after.apply(&keyspace("k")).unwrap();
        assert_eq!(altered.keyspaces["k"].tables.size(), 2, "altering a keyspace keeps its tables");
    }

    #[test]
    fn a_change_of_one_table_leaves_the_others_alone_however_many_they_are() {
        let name = |i: usize| format!("t{i}");
        let put = |name: &str| SchemaChange::PutTable(table(name, Native::Int.into()));
        let puts = (0..1000).map(|i| put(&name(i)));
        let before = applied(std::iter::once(keyspace("k")).chain(puts));
        let holders =
            || -> usize { before.keyspaces["k"].tables.values().map(Arc::strong_count).sum() };
        assert_eq!(holders(), 1000);
        let changes = [
            put("new"),
            put("t500"),
            SchemaChange::DropTable("k".into(), "t1".into()),
            keyspace("k"),
            SchemaChange::PutType(user_type("u", &[])),
        ];
        let after = changes.iter().map(|change| before.apply(change).unwrap());
        let after: Vec<Schema> = after.collect();
        assert_eq!(after[0].keyspaces["k"].tables.size(), 1001);
        // A copied map would hold each table once more.
        assert!(holders() < 1000 + 10 * changes.len(), "{} holders of 1000 tables", holders());
    }

    #[test]
    fn changes_touch_what_they_say_and_what_types_reach() {
        let (k, t, u) = (Name::from("k"), Name::from("t"), Name::from("u"));
        let before = applied([keyspace("k"), SchemaChange::PutType(user_type("u", &[]))]);
        let put = SchemaChange::PutTable(table("t", Native::Int.into()));
        let drop = SchemaChange::DropTable(k.clone(), t.clone());
        let new_type = SchemaChange::PutType(user_type("new", &[]));
        let changes = [put.clone(), drop, new_type];
        let touched = Touched::by(&changes, &before);
        assert_eq!(touched.tables, [(&k, &t)].into());
        assert_eq!(touched.types, [(&k, &Name::from("new"))].into());
        assert!(touched.keyspaces.is_empty());
        for wide in [
            keyspace("k"),
            SchemaChange::PutType(user_type("u", &[("a", Native::Int.into())])),
            SchemaChange::DropType(k.clone(), u.clone()),
            SchemaChange::DropKeyspace(k.clone()),
        ] {
            let changes = [put.clone(), wide];
            let expected = Touched { keyspaces: [&k].into(), ..Touched::default() };
            assert_eq!(Touched::by(&changes, &before), expected);
        }
    }

    #[test]
    fn altering_a_type_reaches_what_uses_it_through_other_types() {
        let inner = user_type("inner", &[("a", Native::Int.into())]);
        let outer = user_type("outer", &[("i", udt(&inner))]);
        let list = CqlType::List { element: Box::new(udt(&outer)), frozen: false };
        let before = applied([
            keyspace("k"),
            SchemaChange::PutType(inner),
            SchemaChange::PutType(outer),
            SchemaChange::PutTable(table("t", list)),
            SchemaChange::PutTable(table("plain", Native::Int.into())),
        ]);
        let fields = [("a", Native::Int.into()), ("b", Native::Text.into())];
        let altered = user_type("inner", &fields);
        let after = before.apply(&SchemaChange::PutType(Arc::clone(&altered))).unwrap();
        let keyspace = &after.keyspaces["k"];
        let outer = user_type("outer", &[("i", udt(&altered))]);
        assert_eq!(keyspace.types["outer"], outer);
        let expected = CqlType::List { element: Box::new(udt(&outer)), frozen: false };
        assert_eq!(keyspace.tables["t"].column("v").unwrap().cql_type, expected);
        let plain = |schema: &Schema| Arc::clone(&schema.keyspaces["k"].tables["plain"]);
        assert!(Arc::ptr_eq(&plain(&before), &plain(&after)));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let inner = user_type("inner", &[("a", Native::Int.into())]);
        let schema = applied([
            keyspace("k"),
            SchemaChange::PutType(Arc::clone(&inner)),
            SchemaChange::PutTable(table("t", udt(&inner))),
        ]);
        let (k, x) = (Name::from("k"), Name::from("x"));
        let refused = |change| schema.apply(&change).unwrap_err();
        assert_eq!(
            refused(SchemaChange::DropKeyspace(x.clone())),
            SchemaError::NoKeyspace(x.clone())
        );
        assert_eq!(
            refused(SchemaChange::DropTable(k.clone(), x.clone())),
            SchemaError::NoTable(k.clone(), x.clone())
        );
        assert_eq!(
            refused(SchemaChange::DropType(k.clone(), x.clone())),
            SchemaError::NoType(k.clone(), x)
        );
        assert!(matches!(
            refused(SchemaChange::DropType(k.clone(), "inner".into())),
            SchemaError::TypeInUse(_, _, user) if user == "table k.t"
        ));
        let freed = schema.apply(&SchemaChange::DropTable(k.clone(), "t".into())).unwrap();
        assert!(freed.apply(&SchemaChange::DropType(k, "inner".into())).is_ok());
    }
}

//! What INSERT and UPDATE write, against the table of section 5 of the reconciliation spec, for any values.
//!
//! The expected row is put together here from the table alone: cell by cell, in a map. The statement goes the whole way:
//! text, parser, planner, encoded row, decoded again.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;
use tholos_grammar::types::{CqlType, Native};
use tholos_grammar::value::Value;
use tholos_server::error::QueryError;
use tholos_server::halt::Halt;
use tholos_server::query::catalogue::Catalogue;
use tholos_server::query::context::PlanContext;
use tholos_server::query::ddl::{self, DdlContext};
use tholos_server::query::functions::{CallContext, Random};
use tholos_server::query::modify::elements::ListPaths;
use tholos_server::query::modify::mutation::{Existing, WriteRequest, mutations};
use tholos_server::query::plan::Plan;
use tholos_server::query::planner::plan;
use tholos_server::query::values::{Bound, RequestTime, TimestampWatch};
use tholos_storage::key::encode_component;
use tholos_storage::model::entry::RowBuf;
use tholos_storage::model::mutation::Update;
use tholos_storage::model::{Cell, CellState, ColumnCells, Deletion, Liveness, Row};
use tholos_storage::schema::{Schema, Table};
use uuid::Uuid;

const TIME: RequestTime = RequestTime { micros: 7_000_000, seconds: 7 };

struct NoBits;

impl Random for NoBits {
    fn bits(&self) -> u64 {
        0
    }
}

struct Nothing;

impl Existing for Nothing {
    fn row(&self, _: &Table, _: &[u8], _: &[u8]) -> Result<Option<RowBuf>, QueryError> {
        Ok(None)
    }
}

/// What is bound for one column.
#[derive(Clone, Debug)]
enum Given {
    Left,
    Unset,
    Null,
    Int(i32),
    /// In the order in which a driver sends it, with doubles.
    Set(Vec<i32>),
    Map(Vec<(i32, String)>),
    Fields(Option<i32>, Option<String>),
}

#[derive(Clone, Debug)]
struct Write {
    insert: bool,
    ttl: Option<i32>,
    timestamp: Option<i64>,
    columns: BTreeMap<&'static str, Given>,
}

fn given(value: BoxedStrategy<Given>) -> BoxedStrategy<Given> {
    prop_oneof![Just(Given::Left), Just(Given::Unset), Just(Given::Null), value.clone(), value]
        .boxed()
}

fn write() -> impl Strategy<Value = Write> {
    let int = any::<i32>().prop_map(Given::Int).boxed();
    let set = prop::collection::vec(-3..3i32, 0..5).prop_map(Given::Set).boxed();
    let map = prop::collection::vec((-3..3i32, "[a-c]{0,2}"), 0..5).prop_map(Given::Map).boxed();
    let fields = (any::<Option<i32>>(), prop::option::of("[a-c]{0,2}"));
    let fields = fields.prop_map(|(number, text)| Given::Fields(number, text)).boxed();
    let columns =
        (given(int.clone()), given(int), given(set.clone()), given(set), given(map), given(fields));
    let ttl = prop::option::of(0..100i32);
    (any::<bool>(), ttl, prop::option::of(-9..9i64), columns).prop_map(
        |(insert, ttl, timestamp, (a, b, frozen, set, map, fields))| Write {
            insert,
            ttl,
            timestamp,
            columns: BTreeMap::from([
                ("a", a),
                ("b", b),
                ("f", frozen),
                ("s", set),
                ("m", map),
                ("u", fields),
            ]),
        },
    )
}

fn catalogue() -> Result<Catalogue, Box<dyn Error>> {
    let empty = Arc::new(Schema::default());
    let mut catalogue = Catalogue::new(Arc::clone(&empty), empty);
    for statement in [
        "CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "CREATE TYPE k.pair (n int, t text)",
        "CREATE TABLE k.t (p int, c int, a int, b int, f frozen<set<int>>, s set<int>, m map<int, text>, u pair, PRIMARY KEY (p, c))",
    ] {
        let statement = tholos_parser::parse_statement(statement)?;
        let effect = ddl::effect(
            &statement,
            &DdlContext {
                plan: PlanContext { catalogue: &catalogue, keyspace: None, effort: None },
                data_centers: &[],
                table_id: Uuid::from_u128(1),
                now: 0,
            },
        )?;
        let mut schema = Schema::clone(&catalogue.schema);
        for change in &effect.changes {
            schema = schema.apply(change)?;
        }
        catalogue = catalogue.after(Arc::new(schema), &effect.changes);
    }
    Ok(catalogue)
}

/// The statement with a marker for each value, and the values in the order of the text.
fn statement(write: &Write) -> (String, Vec<Option<Option<Vec<u8>>>>) {
    let written = write.columns.iter().filter(|(_, given)| !matches!(given, Given::Left));
    let names: Vec<&str> = written.clone().map(|(name, _)| *name).collect();
    let values = written.map(|(_, given)| bound(given));
    let using = [("TTL", write.ttl.map(i64::from)), ("TIMESTAMP", write.timestamp)];
    let using = using.into_iter().filter_map(|(name, value)| Some(format!("{name} {}", value?)));
    let using: Vec<String> = using.collect();
    let using =
        if using.is_empty() { String::new() } else { format!(" USING {}", using.join(" AND ")) };
    if write.insert {
        let columns: String = names.iter().map(|name| format!(", {name}")).collect();
        let markers = ", ?".repeat(names.len());
        let text = format!("INSERT INTO k.t (p, c{columns}) VALUES (1, 2{markers}){using}");
        return (text, values.collect());
    }
    let set: Vec<String> = names.iter().map(|name| format!("{name} = ?")).collect();
    let text = format!("UPDATE k.t{using} SET {} WHERE p = 1 AND c = 2", set.join(", "));
    (text, values.collect())
}

/// The protocol's bytes; null, or not set.
fn bound(given: &Given) -> Option<Option<Vec<u8>>> {
    let value = match given {
        Given::Left | Given::Unset => return None,
        Given::Null => return Some(None),
        Given::Int(number) => number.to_be_bytes().to_vec(),
        Given::Set(items) => {
            let items = items.iter().map(|item| Some(item.to_be_bytes().to_vec()));
            [count(items.len()), frame(items)].concat()
        }
        Given::Map(entries) => {
            let parts = entries.iter().flat_map(|(key, value)| {
                [Some(key.to_be_bytes().to_vec()), Some(value.as_bytes().to_vec())]
            });
            [count(entries.len()), frame(parts)].concat()
        }
        Given::Fields(number, text) => {
            let number = number.map(|number| number.to_be_bytes().to_vec());
            frame([number, text.as_ref().map(|text| text.as_bytes().to_vec())].into_iter())
        }
    };
    Some(Some(value))
}

fn count(items: usize) -> Vec<u8> {
    (items as i32).to_be_bytes().to_vec()
}

fn frame(parts: impl Iterator<Item = Option<Vec<u8>>>) -> Vec<u8> {
    let part = |part: Option<Vec<u8>>| match part {
        None => (-1i32).to_be_bytes().to_vec(),
        Some(bytes) => [count(bytes.len()), bytes].concat(),
    };
    parts.flat_map(part).collect()
}

/// The row by the table of section 5.
fn expected(write: &Write, table: &Table) -> Row {
    let timestamp = write.timestamp.unwrap_or(TIME.micros);
    let ttl = u32::try_from(write.ttl.unwrap_or(0)).expect("TTLs are not negative");
    let expires_at = TIME.seconds + i64::from(ttl);
    let state = if ttl == 0 { CellState::Live } else { CellState::Expiring { expires_at, ttl } };
    let live = |value: Vec<u8>| Cell { timestamp, state, value: Bytes::from(value) };
    let deleted_at = TIME.seconds;
    let gone = Cell { timestamp, state: CellState::Tombstone { deleted_at }, value: Bytes::new() };
    let deletion = |timestamp| Deletion { timestamp, deleted_at };
    let mut row = Row::default();
    if write.insert {
        row.liveness =
            Some(Liveness { timestamp, ttl, expires_at: if ttl == 0 { 0 } else { expires_at } });
    }
    let int_path = |key: i32| {
        let mut path = Vec::new();
        let int = CqlType::Native(Native::Int);
        encode_component(&int, &key.to_be_bytes(), false, &mut path).expect("an int is a key");
        Bytes::from(path)
    };
    for (name, given) in &write.columns {
        let column = table.column(name).expect("the column is there");
        let overwritten = |cells: BTreeMap<Bytes, Cell>| ColumnCells::Complex {
            deletion: deletion(timestamp - 1),
            cells: cells.into_iter().collect(),
        };
        let cells = match given {
            Given::Left | Given::Unset => continue,
            Given::Null if column.cql_type.is_multi_cell() => overwritten(BTreeMap::new()),
            Given::Null => ColumnCells::Simple(gone.clone()),
            Given::Int(number) => ColumnCells::Simple(live(number.to_be_bytes().to_vec())),
            Given::Set(items) if *name == "f" => {
                let mut sorted = items.clone();
                sorted.sort_unstable();
                sorted.dedup();
                let sorted = Value::Set(sorted.into_iter().map(Value::Int).collect());
                let mut bytes = Vec::new();
                sorted.encode(&column.cql_type, &mut bytes).expect("a set of ints");
                ColumnCells::Simple(live(bytes))
            }
            Given::Set(items) => {
                overwritten(items.iter().map(|item| (int_path(*item), live(Vec::new()))).collect())
            }
            Given::Map(entries) => overwritten(
                entries
                    .iter()
                    .map(|(key, value)| (int_path(*key), live(value.clone().into_bytes())))
                    .collect(),
            ),
            Given::Fields(number, text) => {
                let number = number.map(|number| (0u16, number.to_be_bytes().to_vec()));
                let text = text.as_ref().map(|text| (1u16, text.as_bytes().to_vec()));
                let fields = number.into_iter().chain(text);
                overwritten(
                    fields
                        .map(|(at, value)| (Bytes::copy_from_slice(&at.to_be_bytes()), live(value)))
                        .collect(),
                )
            }
        };
        row.columns.push((column.id, cells));
    }
    row.columns.sort_by_key(|(id, _)| *id);
    row
}

fn written(write: &Write, catalogue: &Catalogue) -> Result<Option<Row>, Box<dyn Error>> {
    let (text, values) = statement(write);
    let context = PlanContext { catalogue, keyspace: None, effort: None };
    let planned = plan(tholos_parser::parse_statement(&text)?, context)?;
    let Plan::Modify(plan) = planned.plan else { return Err("no modification".into()) };
    let values: Vec<Bound<'_>> = values
        .iter()
        .map(|value| match value {
            None => Bound::Unset,
            Some(None) => Bound::Null,
            Some(Some(bytes)) => Bound::Bytes(bytes),
        })
        .collect();
    let call = CallContext { time: TIME, random: &NoBits, timestamps: &TimestampWatch::default() };
    let request = WriteRequest { values: &values, call, timestamp: TIME.micros };
    let made = mutations(&plan, request, &mut ListPaths::default(), &Nothing);
    let made = made.map_err(Halt::refused)?;
    match made.as_slice() {
        [] => Ok(None),
        [one] => match one.updates.as_slice() {
            [Update::Row { row, .. }] => {
                row.as_row().validate()?;
                Ok(Some(row.as_row().decode()?))
            }
            other => Err(format!("not one row: {other:?}").into()),
        },
        _ => Err("more than one partition".into()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn rows_are_those_of_the_spec(write in write()) {
        let catalogue = catalogue().expect("the schema is valid");
        let sets = write.columns.values().any(|given| !matches!(given, Given::Left));
        prop_assume!(write.insert || sets);
        let table = catalogue.table("k", "t").expect("the table is there");
        let expected = Some(expected(&write, table)).filter(|row| *row != Row::default());
        let written = written(&write, &catalogue).map_err(|error| TestCaseError::fail(error.to_string()))?;
        prop_assert_eq!(written, expected);
    }
}

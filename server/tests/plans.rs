//! Golden scripts of planning: what schema statements come to, what modifications are planned as, and what they write.
//!
//! Each line is a CQL statement. Schema statements are applied to a catalogue and print their event; SELECT prints
//! its plan and the columns of its result, modifications their plan, or, with the tag `[write]`, the mutations that they
//! make at timestamp 1000000 (second 1) with no values bound. `UPDATE_GOLDENFILES=1` writes the output anew.

use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;

use goldenscript::{Command, Context};
use tholos_grammar::ast::Statement;
use tholos_grammar::name::Name;
use tholos_grammar::types::CqlType;
use tholos_grammar::value::Value;
use tholos_server::error::QueryError;
use tholos_server::halt::Halt;
use tholos_server::query::batch;
use tholos_server::query::catalogue::Catalogue;
use tholos_server::query::context::PlanContext;
use tholos_server::query::ddl::{self, DataCenter, DdlContext};
use tholos_server::query::describe::rows::{ClusterInfo, rows};
use tholos_server::query::describe::{DescribePlan, create};
use tholos_server::query::functions::{CallContext, Random};
use tholos_server::query::keys::{decode_clustering, decode_partition};
use tholos_server::query::modify::elements::ListPaths;
use tholos_server::query::modify::mutation::{Existing, WriteRequest, mutations};
use tholos_server::query::plan::{Plan, Planned};
use tholos_server::query::planner::plan;
use tholos_server::query::values::{RequestTime, TimestampWatch};
use tholos_storage::model::entry::RowBuf;
use tholos_storage::model::mutation::{Mutation, Update};
use tholos_storage::model::position::{AFTER, BEFORE, STATIC};
use tholos_storage::model::{Cell, CellState, ColumnCells, Deletion};
use tholos_storage::schema::{Column, Schema, Table};
use uuid::Uuid;

struct Fixture {
    catalogue: Catalogue,
    keyspace: Option<Name>,
    tables: u128,
}

/// Bits that are the same in every run.
struct NoBits;

impl Random for NoBits {
    fn bits(&self) -> u64 {
        0
    }
}

/// No row exists.
struct Nothing;

impl Existing for Nothing {
    fn row(&self, _: &Table, _: &[u8], _: &[u8]) -> Result<Option<RowBuf>, QueryError> {
        Ok(None)
    }
}

const TIME: RequestTime = RequestTime { micros: 1_000_000, seconds: 1 };

impl Fixture {
    fn new() -> Self {
        let schema = Arc::new(Schema::default());
        let system = Arc::clone(&schema);
        Fixture { catalogue: Catalogue::new(schema, system), keyspace: None, tables: 0 }
    }

    fn context(&self) -> PlanContext<'_> {
        PlanContext { catalogue: &self.catalogue, keyspace: self.keyspace.as_ref(), effort: None }
    }

    fn schema(&mut self, statement: &Statement) -> Result<String, Box<dyn Error>> {
        self.tables += 1;
        let effect = ddl::effect(
            statement,
            &DdlContext {
                plan: self.context(),
                data_centers: &["dc1", "dc2"]
                    .map(|name| DataCenter { name: name.to_owned(), nodes: 3 }),
                table_id: Uuid::from_u128(self.tables),
                now: TIME.micros,
            },
        )?;
        let mut schema = Schema::clone(&self.catalogue.schema);
        for change in &effect.changes {
            schema = schema.apply(change)?;
        }
        self.catalogue = self.catalogue.after(Arc::new(schema), &effect.changes);
        let mut out = String::new();
        match effect.event {
            None => out.push_str("no change\n"),
            Some(event) => {
                write!(out, "{} {} {}", event.change, event.target, event.keyspace)?;
                match event.object {
                    Some(object) => writeln!(out, ".{object}")?,
                    None => writeln!(out)?,
                }
            }
        }
        for warning in effect.warnings {
            writeln!(out, "warning: {warning}")?;
        }
        Ok(out)
    }

    fn apply(&mut self, text: &str) -> Result<String, Box<dyn Error>> {
        let statement = tholos_parser::parse_statement(text)?;
        self.schema(&statement)
    }

    /// The rows of a DESCRIBE: cells side by side, statements below.
    fn describe(&self, plan: &DescribePlan) -> Result<String, Box<dyn Error>> {
        let ranges = vec![(-5, vec!["127.0.0.1:7000".to_owned()])];
        let cluster = ClusterInfo { name: "Test Cluster".to_owned(), ranges };
        let mut out = String::new();
        for row in rows(plan, &self.catalogue, &cluster)? {
            let cells = row.iter().zip(&plan.columns).take(3);
            let cells: Vec<String> =
                cells.map(|(value, column)| value.text(&column.cql_type)).collect();
            writeln!(out, "{}", cells.join(" | "))?;
            if let (Some(value), Some(column)) = (row.get(3), plan.columns.get(3)) {
                writeln!(out, "{}", value.text(&column.cql_type))?;
            }
        }
        Ok(out)
    }

    fn write(&self, plan: &Plan) -> Result<String, Box<dyn Error>> {
        let call =
            CallContext { time: TIME, random: &NoBits, timestamps: &TimestampWatch::default() };
        let made: Vec<Mutation> = match plan {
            Plan::Modify(plan) => {
                let request = WriteRequest { values: &[], call, timestamp: TIME.micros };
                let made = mutations(plan, request, &mut ListPaths::default(), &Nothing);
                made.map_err(Halt::refused)?.into_vec()
            }
            Plan::Batch(plan) => {
                let timestamp = plan.timestamp(&[], call).map_err(Halt::refused)?;
                let timestamp = timestamp.unwrap_or(TIME.micros);
                batch::merged(&batch::items(plan, &[]), call, timestamp, &Nothing)
                    .map_err(Halt::refused)?
            }
            _ => return Err("this writes nothing".into()),
        };
        let mut out = String::new();
        for mutation in made {
            let mut keyspaces = self.catalogue.schema.keyspaces.values();
            let table = keyspaces
                .find_map(|keyspace| {
                    keyspace.tables.values().find(|table| table.id == mutation.table)
                })
                .ok_or("a mutation of no table")?;
            show_mutation(&mut out, table, &mutation)?;
        }
        if out.is_empty() {
            out.push_str("nothing\n");
        }
        Ok(out)
    }
}

impl goldenscript::Runner for Fixture {
    type Command = Command;

    fn run(&mut self, command: &Command, context: &Context) -> Result<String, Box<dyn Error>> {
        let statement = tholos_parser::parse_statement(&command.name)?;
        let Planned { plan, markers, pk_indexes, .. } = plan(statement, self.context())?;
        match &plan {
            Plan::Use(name) => {
                self.keyspace = Some(name.clone());
                return Ok(String::new());
            }
            Plan::Schema(statement) => return self.schema(statement),
            Plan::Describe(plan) => return self.describe(plan),
            _ => {}
        }
        if context.tags.contains("write") {
            return self.write(&plan);
        }
        let mut out = String::new();
        match &plan {
            Plan::Modify(plan) => writeln!(out, "{plan}")?,
            Plan::Batch(plan) => writeln!(out, "{plan}")?,
            Plan::Truncate(table) => writeln!(out, "Truncate: {}.{}", table.keyspace, table.name)?,
            Plan::Select(plan) => {
                writeln!(out, "{plan}")?;
                for column in plan.columns.iter() {
                    writeln!(out, "result: {} {}", column.name, column.cql_type)?;
                }
            }
            _ => return Err("no plan of a SELECT or a modification".into()),
        }
        for (position, marker) in markers.iter().enumerate() {
            writeln!(out, "marker {position}: {} {}", marker.name, marker.cql_type)?;
        }
        if !pk_indexes.is_empty() {
            writeln!(out, "partition key markers: {pk_indexes:?}")?;
        }
        Ok(out)
    }
}

fn show_value(cql_type: &CqlType, bytes: &[u8]) -> String {
    Value::decode(cql_type, bytes)
        .map_or_else(|error| error.to_string(), |value| value.literal(cql_type))
}

fn show_mutation(
    out: &mut String,
    table: &Table,
    mutation: &Mutation,
) -> Result<(), Box<dyn Error>> {
    let key = decode_partition(table, &mutation.partition)?;
    let key: Vec<String> = table
        .partition_key
        .iter()
        .zip(&key)
        .map(|(column, bytes)| show_value(&column.cql_type, bytes))
        .collect();
    writeln!(out, "{} ({})", table.name, key.join(", "))?;
    for update in &mutation.updates {
        match update {
            Update::Partition(deletion) => {
                writeln!(out, "  partition {}", show_deletion(*deletion))?
            }
            Update::Range { start, end, deletion } => writeln!(
                out,
                "  {} .. {} {}",
                show_position(table, start)?,
                show_position(table, end)?,
                show_deletion(*deletion)
            )?,
            Update::Row { position, row } => {
                writeln!(out, "  {}", show_position(table, position)?)?;
                row.as_row().validate()?;
                show_row(out, table, row)?;
            }
        }
    }
    Ok(())
}

fn show_position(table: &Table, position: &[u8]) -> Result<String, Box<dyn Error>> {
    if position == [STATIC] {
        return Ok("static".to_owned());
    }
    let components = decode_clustering(table, position)?;
    let components: Vec<String> = table
        .clustering
        .iter()
        .zip(&components)
        .map(|(column, bytes)| show_value(&column.cql_type, bytes))
        .collect();
    let weight = match position.last() {
        Some(&BEFORE) => "before ",
        Some(&AFTER) => "after ",
        _ => "row ",
    };
    Ok(format!("{weight}({})", components.join(", ")))
}

fn show_deletion(deletion: Deletion) -> String {
    format!("deleted @{} (second {})", deletion.timestamp, deletion.deleted_at)
}

fn show_row(out: &mut String, table: &Table, row: &RowBuf) -> Result<(), Box<dyn Error>> {
    let row = row.as_row().decode()?;
    if let Some(liveness) = row.liveness {
        writeln!(
            out,
            "    live @{}{}",
            liveness.timestamp,
            ttl(liveness.ttl, liveness.expires_at)
        )?;
    }
    if let Some(deletion) = row.deletion {
        writeln!(out, "    {}", show_deletion(deletion))?;
    }
    for (id, cells) in &row.columns {
        let column =
            table.columns().find(|column| column.id == *id).ok_or("a cell of no column")?;
        match cells {
            ColumnCells::Simple(cell) => {
                writeln!(out, "    {} {}", column.name, show_cell(&column.cql_type, cell))?
            }
            ColumnCells::Complex { deletion, cells } => {
                if !deletion.is_none() {
                    writeln!(out, "    {} {}", column.name, show_deletion(*deletion))?;
                }
                for (path, cell) in cells {
                    let path: String = path.iter().map(|byte| format!("{byte:02x}")).collect();
                    let value = show_cell(element_type(&column.cql_type, &path), cell);
                    writeln!(out, "    {}[{path}] {value}", column.name)?;
                }
            }
        }
    }
    Ok(())
}

fn element_type<'t>(cql_type: &'t CqlType, path: &str) -> &'t CqlType {
    match cql_type {
        CqlType::List { element, .. } | CqlType::Set { element, .. } => element,
        CqlType::Map { value, .. } => value,
        CqlType::Udt { definition, .. } => {
            let position = usize::from_str_radix(path, 16).expect("a field's number");
            &definition.fields[position].1
        }
        other => other,
    }
}

fn show_cell(cql_type: &CqlType, cell: &Cell) -> String {
    let value =
        if cell.value.is_empty() { "-".to_owned() } else { show_value(cql_type, &cell.value) };
    match cell.state {
        CellState::Live => format!("= {value} @{}", cell.timestamp),
        CellState::Expiring { expires_at, ttl: seconds } => {
            format!("= {value} @{}{}", cell.timestamp, ttl(seconds, expires_at))
        }
        CellState::Tombstone { deleted_at } => {
            format!("deleted @{} (second {deleted_at})", cell.timestamp)
        }
    }
}

fn ttl(ttl: u32, expires_at: i64) -> String {
    if ttl == 0 { String::new() } else { format!(" ttl {ttl} until second {expires_at}") }
}

#[test]
fn scripts() -> Result<(), Box<dyn Error>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/plans");
    let mut count = 0;
    for entry in std::fs::read_dir(dir)? {
        goldenscript::run(&mut Fixture::new(), entry?.path())?;
        count += 1;
    }
    assert!(count >= 5, "the scripts were found");
    Ok(())
}

/// A table without its columns' numbers, which ALTER leaves gaps in.
fn unnumbered(table: &Table) -> Table {
    let mut table = table.clone();
    table.next_column_id = 0;
    let Table { partition_key, clustering, statics, regulars, dropped, .. } = &mut table;
    let all = [partition_key, clustering, statics, regulars];
    all.into_iter().flatten().for_each(|column: &mut Column| column.id = 0);
    for dropped in dropped.values_mut() {
        dropped.column.id = 0;
        // A description always says when a column was dropped.
        dropped.keeps_newer = true;
    }
    table
}

const SCHEMA: &[&str] = &[
    "CREATE KEYSPACE ks WITH replication = {'class': 'NetworkTopologyStrategy', 'dc1': 2} AND durable_writes = false",
    "CREATE TYPE ks.zz (a int, l list<text>)",
    "CREATE TYPE ks.\"Mixed Type\" (z frozen<zz>, \"Field\" map<text, frozen<zz>>)",
    "CREATE TYPE ks.aa (m frozen<\"Mixed Type\">, t tuple<int, text>)",
    "CREATE TABLE ks.plain (k uuid PRIMARY KEY, v int)",
    "CREATE TABLE ks.\"OddName\" (\"K\" text, c1 int, c2 timestamp, s int STATIC, u aa, f frozen<aa>, v vector<float, 3>, l list<frozen<map<int, text>>>, d duration, PRIMARY KEY ((\"K\"), c1, c2)) WITH CLUSTERING ORDER BY (c1 DESC) AND comment = 'it''s odd'",
    "CREATE TABLE ks.composite (a int, b int, c int, n counter, PRIMARY KEY ((a, b), c)) WITH compression = {'enabled': false} AND compaction = {'class': 'UnifiedCompactionStrategy', 'scaling_parameters': 'T4'} AND bloom_filter_fp_chance = 0.0001 AND extensions = {'x': 0xcafe} AND speculative_retry = 'MAX(99.5p, 10ms)'",
    "CREATE TABLE ks.altered (k int, c int, v int, w text, PRIMARY KEY (k, c))",
    "ALTER TABLE ks.altered DROP v",
    "ALTER TABLE ks.altered DROP w USING TIMESTAMP 77",
    "ALTER TABLE ks.altered ADD w text",
    "ALTER TABLE ks.altered WITH caching = {'rows_per_partition': 10} AND cdc = false",
];

#[test]
fn described_schema_makes_itself_again() -> Result<(), Box<dyn Error>> {
    let mut first = Fixture::new();
    for statement in SCHEMA {
        first.apply(statement)?;
    }
    let keyspace = first.catalogue.keyspace("ks").ok_or("the keyspace is there")?;
    let mut again = Fixture::new();
    again.apply(&create::keyspace(keyspace))?;
    for definition in create::types_in_order(keyspace) {
        again.apply(&create::user_type(definition))?;
    }
    for table in keyspace.tables.values() {
        for statement in create::table(table, true).split_inclusive(";\n") {
            again.apply(statement)?;
        }
    }
    let same = again.catalogue.keyspace("ks").ok_or("the keyspace is there again")?;
    assert_eq!(keyspace.replication, same.replication);
    assert_eq!(keyspace.durable_writes, same.durable_writes);
    assert_eq!(keyspace.types, same.types);
    assert_eq!(keyspace.tables.size(), 4);
    for (name, table) in &keyspace.tables {
        assert_eq!(unnumbered(table), unnumbered(&same.tables[name]), "{name}");
    }
    Ok(())
}

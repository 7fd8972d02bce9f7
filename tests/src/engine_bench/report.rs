//! The table: every store measured in a process of its own, one after another, and put side by side.

use std::process::{Command, Stdio};

use serde_json::{Map, Value as Json, json};

use super::kinds::KINDS;
use super::suite::{Plan, Row};
use super::{BenchError, Outcome};

/// All stores that a table has a column for, built or not.
const COLUMNS: [&str; 3] = ["tholos", "fjall", "rocksdb"];

/// Measures the stores of those names (all, if none is named) and puts their figures side by side: a list of objects
/// with `name`, `unit` and a figure for each store, null where there is none.
///
/// # Errors
/// When a store could not be measured.
pub fn compare(plan: &Plan, stores: &[String]) -> Outcome<Vec<Json>> {
    let mut table: Vec<(String, Map<String, Json>)> = Vec::new();
    for kind in KINDS {
        if !stores.is_empty() && !stores.iter().any(|name| name == kind.name) {
            continue;
        }
        for row in measured_apart(kind.name, plan)? {
            let text = |name: &str| row[name].as_str().unwrap_or_default().to_string();
            let (name, unit) = (text("name"), text("unit"));
            let index = table.iter().position(|(other, _)| *other == name);
            let index = index.unwrap_or_else(|| {
                let mut object = Map::from_iter(COLUMNS.map(|name| (name.into(), Json::Null)));
                object.insert("name".into(), json!(name));
                object.insert("unit".into(), json!(unit));
                table.push((name, object));
                table.len() - 1
            });
            table[index].1.insert(kind.name.into(), row["figure"].clone());
        }
    }
    Ok(table.into_iter().map(|(_, object)| Json::Object(object)).collect())
}

/// Runs the suite in another process of this program, so that memory and bytes written are that store's alone.
fn measured_apart(store: &'static str, plan: &Plan) -> Outcome<Vec<Json>> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["--rows", &plan.rows.to_string()]);
    command.args(["--seconds", &plan.seconds.to_string()]);
    command.args(["--repetitions", &plan.repetitions.to_string()]);
    if let Some(only) = &plan.only {
        command.args(["--only", only]);
    }
    if let Some(dir) = &plan.dir {
        command.arg("--dir").arg(dir);
    }
    command.args(["--in-this-process", store]).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output()?;
    let rows = serde_json::from_slice(&output.stdout);
    match rows {
        Ok(Json::Array(rows)) if output.status.success() => Ok(rows),
        _ => Err(BenchError::Process(store)),
    }
}

/// What [`measured_apart`] reads.
pub fn print_rows(rows: &[Row]) {
    println!("{}", Json::Array(rows.iter().map(Row::to_json).collect()));
}

/// Prints the table for people.
pub fn print_table(rows: &[Json]) {
    print!("{:<50} {:<9}", "name", "unit");
    COLUMNS.iter().for_each(|store| print!(" {store:>12}"));
    println!(" {:>8}", "to best");
    for row in rows {
        let text = |name: &str| row[name].as_str().unwrap_or_default();
        print!("{:<50} {:<9}", text("name"), text("unit"));
        for store in COLUMNS {
            print!(" {:>12}", row[store].as_f64().map_or("-".to_string(), figure));
        }
        let peers = COLUMNS[1..].iter().filter_map(|store| row[*store].as_f64());
        let is_rate = text("unit").ends_with("/s") || text("name").contains("while compacting");
        // Of bytes and memory, the less the better.
        let best = match is_rate {
            true => peers.reduce(f64::max),
            false => peers.reduce(f64::min),
        };
        match (row[COLUMNS[0]].as_f64(), best) {
            (Some(ours), Some(best)) => println!(" {:>8.2}", ours / best),
            _ => println!(" {:>8}", "-"),
        }
    }
}

fn figure(figure: f64) -> String {
    if figure >= 1_000.0 { format!("{figure:.0}") } else { format!("{figure:.2}") }
}

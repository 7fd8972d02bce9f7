//! `tholos snapshot` and `tholos restore`.

use std::path::Path;
use std::process::ExitCode;

use serde_json::Value as Json;
use tholos_grammar::value::literal::time::format_timestamp;

use super::target::{Target, TargetError};
use super::{FAILED, counted, failed};
use crate::admin::operations::{restored_json, snapshot_json, snapshots};
use crate::admin::{RestoreRequest, SnapshotRequest};
use crate::cli::{DataArgs, RestoreArgs, SnapshotCommand};
use crate::node::Which;

/// Carries out `tholos snapshot`.
pub(super) fn main(command: &SnapshotCommand) -> ExitCode {
    let result = match command {
        SnapshotCommand::Create { name, keyspace, table, data } => {
            let request = SnapshotRequest {
                name: name.clone(),
                keyspace: keyspace.clone(),
                table: table.clone(),
            };
            create(data, &request)
        }
        SnapshotCommand::List { data } => list(data),
        SnapshotCommand::Delete { name, data } => delete(data, name),
    };
    done(result)
}

/// Carries out `tholos restore`.
pub(super) fn restore(args: &RestoreArgs) -> ExitCode {
    done(restored(args))
}

fn done(result: Result<(), TargetError>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error, FAILED),
    }
}

fn create(data: &DataArgs, request: &SnapshotRequest) -> Result<(), TargetError> {
    let dir = data.dir();
    let target = Target::open(&dir, false)?;
    let created = match &target {
        Target::Running(client) => client.send("POST", "/snapshots", request)?,
        Target::Here(node) => {
            let which =
                Which { keyspace: request.keyspace.as_deref(), table: request.table.as_deref() };
            snapshot_json(&node.create_snapshot(request.name.as_deref(), which)?)
        }
    };
    target.close()?;
    let name = created["name"].as_str().unwrap_or_default();
    println!(
        "snapshot {name}: {}, {}, {} bytes, in {}",
        tables_text(&created),
        files_text(&created),
        created["bytes"],
        snapshots_dir(&dir).join(name).display()
    );
    Ok(())
}

fn list(data: &DataArgs) -> Result<(), TargetError> {
    let target = Target::open(&data.dir(), false)?;
    let found = match &target {
        Target::Running(client) => client.send("GET", "/snapshots", &Json::Null)?,
        Target::Here(node) => snapshots(node)?,
    };
    target.close()?;
    let found = found.as_array().cloned().unwrap_or_default();
    if found.is_empty() {
        println!("there are no snapshots");
    }
    for snapshot in found {
        let name = snapshot["name"].as_str().unwrap_or_default();
        if let Some(error) = snapshot["error"].as_str() {
            println!("{name}: not whole, delete it ({error})");
            continue;
        }
        let created = snapshot["created_at"].as_i64().unwrap_or_default();
        let created = format_timestamp(created.div_euclid(1000)).unwrap_or_default();
        let tables = tables_text(&snapshot);
        println!(
            "{name}: {created}, {tables}, {}, {} bytes",
            files_text(&snapshot),
            snapshot["bytes"]
        );
    }
    Ok(())
}

fn delete(data: &DataArgs, name: &str) -> Result<(), TargetError> {
    let target = Target::open(&data.dir(), false)?;
    match &target {
        Target::Running(client) => {
            tholos_storage::snapshot::check_name(name)?;
            client.send("DELETE", &format!("/snapshots/{name}"), &Json::Null)?;
        }
        Target::Here(node) => node.engine().delete_snapshot(name).map_err(TargetError::from)?,
    }
    target.close()?;
    println!("deleted snapshot {name}");
    Ok(())
}

fn restored(args: &RestoreArgs) -> Result<(), TargetError> {
    // The node may have been started elsewhere.
    let dir = std::path::absolute(&args.snapshot).unwrap_or_else(|_| args.snapshot.clone());
    // A directory that is none must not leave a new, empty database behind.
    tholos_storage::snapshot::read(&tholos_storage::fs::real::RealFs, &dir)?;
    let target = Target::open(&args.data.dir(), true)?;
    let request =
        RestoreRequest { dir, keyspace: args.keyspace.clone(), table: args.table.clone() };
    let restored = match &target {
        Target::Running(client) => client.send("POST", "/restore", &request)?,
        Target::Here(node) => {
            let which =
                Which { keyspace: request.keyspace.as_deref(), table: request.table.as_deref() };
            restored_json(&node.restore(&request.dir, which)?)
        }
    };
    target.close()?;
    for table in restored.as_array().into_iter().flatten() {
        let name = table["table"].as_str().unwrap_or_default();
        let created = if table["created"] == true { ", created" } else { "" };
        println!("restored {name}: {}{created}", files_text(table));
    }
    Ok(())
}

fn files_text(snapshot: &Json) -> String {
    counted(snapshot["files"].as_u64().unwrap_or_default(), "file")
}

fn tables_text(snapshot: &Json) -> String {
    let tables = snapshot["tables"].as_array().map(Vec::as_slice).unwrap_or_default();
    match tables {
        [only] => format!("table {}", only.as_str().unwrap_or_default()),
        _ => format!("{} tables", tables.len()),
    }
}

fn snapshots_dir(data: &Path) -> std::path::PathBuf {
    data.join(crate::presence::STORAGE).join("snapshots")
}

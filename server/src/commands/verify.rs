//! `tholos verify`: every file of a data directory, checked from end to end.
//!
//! Files are read by this process, beside a running node too. What is damaged is told to that node, so that it knows
//! before a read finds out (`system_views.damaged_ranges`).

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tholos_storage::fs::real::RealFs;
use tholos_storage::schema::TableId;
use tholos_storage::verify::{Problem, Subject, Verified, Watch, verify_storage};
use tholos_storage::{StorageError, presence};

use super::target::{AdminClient, TargetError, is_in_use};
use super::text::hex;
use super::{FAILED, counted, failed};
use crate::admin::{VerifyFile, VerifyRequest};
use crate::cli::DataArgs;
use crate::identity;
use crate::node::table_settings;
use crate::presence::STORAGE;
use crate::presence::{check_identity, check_schema};
use crate::schema_store::{self, Stored};
use crate::system::schema::stored_schema;

/// How often progress is told.
const PROGRESS_EVERY: Duration = Duration::from_millis(500);

/// Carries out `tholos verify`: 0 if all is well, 1 if not.
pub(super) fn main(args: &DataArgs) -> ExitCode {
    match verify(&args.dir()) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(FAILED),
        Err(error) => failed(&error, FAILED),
    }
}

/// How many problems there are.
pub(crate) fn verify(data: &Path) -> Result<usize, TargetError> {
    if !data.is_dir() {
        return Err(TargetError::Missing(data.to_path_buf()));
    }
    let running = is_in_use(data)?;
    let mut report = Report::new();
    let known = journals(data, running, &mut report)?;
    // What came while the directory was read is in the journal by now.
    let own = table_settings(&stored_schema());
    let is_known = |id: TableId| {
        let again = || schema_store::read(&RealFs, data).ok();
        own.iter().any(|table| table.id == id)
            || known.as_ref().is_none_or(|known| known.has(id))
            || again().is_some_and(|now| now.has(id))
    };
    let verified = verify_storage(&RealFs, &data.join(STORAGE), &is_known, &mut report)?;
    report.clear_line();
    if running && !report.damaged.is_empty() {
        let files = report.damaged.iter().copied().collect();
        let told = AdminClient::find(data)
            .and_then(|client| client.send("POST", "/verify", &VerifyRequest { files }));
        match told {
            Ok(_) => {
                println!("the node knows of the damaged files: see system_views.damaged_ranges")
            }
            Err(error) => eprintln!("tholos: the node was not told of the damaged files: {error}"),
        }
    }
    let Verified { tables, sstables, bytes } = verified;
    let problems = report.problems;
    println!(
        "verified {}, {} of {bytes} bytes, and the commit log: {}",
        counted(tables, "table"),
        counted(sstables, "SSTable"),
        counted(problems, "problem")
    );
    Ok(problems)
}

/// The journals of the node itself, and whether all is there that a start wants to find. What the schema says; nothing if
/// it can't be read.
fn journals(
    data: &Path,
    running: bool,
    report: &mut Report,
) -> Result<Option<Stored>, StorageError> {
    let (mut problems, mut stored) = look(data)?;
    if running && !problems.is_empty() {
        // A table may have come or gone meanwhile.
        let (again, now) = look(data)?;
        problems.retain(|problem| again.contains(problem));
        stored = now;
    }
    problems.into_iter().for_each(|problem| report.problem(problem));
    Ok(stored)
}

fn look(data: &Path) -> Result<(Vec<Problem>, Option<Stored>), StorageError> {
    let mut problems = Vec::new();
    match look_as_a_start(data, &mut problems) {
        Ok(stored) => Ok((problems, stored)),
        Err(error @ (StorageError::Missing { .. } | StorageError::Corrupt { .. })) => {
            problems.push(error.into());
            Ok((problems, None))
        }
        Err(error) => Err(error),
    }
}

fn look_as_a_start(
    data: &Path,
    problems: &mut Vec<Problem>,
) -> Result<Option<Stored>, StorageError> {
    check_identity(&RealFs, data)?;
    let record = identity::read(&RealFs, data)?.filter(|record| record.established);
    let Some(record) = record else {
        // No start was ever finished here.
        return Ok(None);
    };
    check_schema(&RealFs, data, record.established)?;
    let stored = schema_store::read(&RealFs, data)?;
    let own = table_settings(&stored_schema()).into_iter();
    let own = own.filter(|table| record.system_tables.contains(&table.id));
    let tables: Vec<_> = table_settings(&stored.schema).into_iter().chain(own).collect();
    let missing = presence::missing(&RealFs, &data.join(STORAGE), &tables)?;
    problems.extend(missing.into_iter().map(Problem::from));
    Ok(Some(stored))
}

/// Prints problems as they come, and how far it is.
struct Report {
    problems: usize,
    damaged: BTreeSet<VerifyFile>,
    file: PathBuf,
    files: u64,
    bytes: u64,
    shows_progress: bool,
    told_at: Instant,
}

impl Report {
    fn new() -> Report {
        Report {
            problems: 0,
            damaged: BTreeSet::new(),
            file: PathBuf::new(),
            files: 0,
            bytes: 0,
            shows_progress: std::io::stderr().is_terminal(),
            told_at: Instant::now(),
        }
    }

    fn clear_line(&self) {
        if self.shows_progress {
            eprint!("\r\x1b[K");
        }
    }
}

impl Watch for Report {
    fn begin(&mut self, file: &Path) {
        self.file = file.to_path_buf();
        self.files += 1;
    }

    fn read(&mut self, bytes: u64) {
        self.bytes += bytes;
        if self.shows_progress && self.told_at.elapsed() >= PROGRESS_EVERY {
            self.told_at = Instant::now();
            let (files, mib, file) = (self.files, self.bytes >> 20, self.file.display());
            eprint!("\r\x1b[Kverifying: {files} files, {mib} MiB: {file}");
            // Progress that can't be shown is none.
            let _ = std::io::stderr().flush();
        }
    }

    fn problem(&mut self, problem: Problem) {
        self.clear_line();
        self.problems += 1;
        if let Subject::SsTable { id, number, .. } = problem.subject {
            self.damaged.insert(VerifyFile { table: id, number });
        }
        println!("{}", problem_text(&problem));
    }
}

/// One line on a problem.
fn problem_text(problem: &Problem) -> String {
    let offset = problem.offset.map(|offset| format!(" at offset {offset}")).unwrap_or_default();
    let subject = match &problem.subject {
        Subject::SsTable { keyspace, table, keys: Some(keys), .. } => {
            let (first, last) = keys.tokens();
            let upper = keys.upper.as_ref().map_or("the end".to_string(), |upper| hex(upper));
            format!(
                "; {keyspace}.{table}, tokens {first} to {last}, keys {} to {upper}",
                hex(&keys.lower)
            )
        }
        Subject::SsTable { keyspace, table, keys: None, .. }
        | Subject::Manifest { keyspace, table } => format!("; {keyspace}.{table}"),
        Subject::CommitLog | Subject::LostTable | Subject::Journal | Subject::Missing(_) => {
            String::new()
        }
    };
    format!("{}{offset}: {}{subject}; {}", problem.file.display(), problem.what, problem.advice())
}

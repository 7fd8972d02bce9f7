//! COPY TO: a table's rows, page by page, to CSV.

use std::borrow::Cow;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use tholos_grammar::protocol::response::metadata::ColumnSpec;
use tholos_grammar::value::Value;

use super::context::CopyContext;
use super::options::CopyCommand;
use super::progress::{Progress, rate};
use super::{Copied, CopyError, escapes};
use crate::client::{Outcome, RequestOptions, ResultRows};
use crate::csv::write_record;
use crate::error::ShellError;
use crate::session::Session;

/// Copies, and says what was copied. A file that is there already is replaced at the end, by the whole of the new one.
pub(crate) fn copy_to(context: CopyContext<'_>, copy: &CopyCommand) -> Result<String, ShellError> {
    let CopyContext { session, consistency, .. } = context;
    let begin = Instant::now();
    let request = RequestOptions {
        consistency,
        page_size: Some(copy.options.page_size),
        ..RequestOptions::default()
    };
    // What the server refuses must not cost a file.
    let first = page(session, &select(copy), &request)?;
    let copied = match &copy.file {
        Some(path) => {
            let failed = |source| write_error(copy, source);
            let mut replacement = Replacement::of(path).map_err(failed)?;
            let file = replacement
                .file
                .take()
                .map(BufWriter::new)
                .ok_or_else(|| failed(io::ErrorKind::NotFound.into()))?;
            let copied = write_rows(session, copy, first, request, file)?;
            replacement.finish().map_err(failed)?;
            copied
        }
        None => write_rows(session, copy, first, request, io::stdout().lock())?,
    };
    let elapsed = begin.elapsed();
    let target = copy.file.as_ref().map_or("STDOUT".to_string(), |path| path.display().to_string());
    Ok(format!(
        "{} rows of {} to {target} in {:.2} s ({} rows/s)\n",
        copied.rows,
        copy.table_name(),
        elapsed.as_secs_f64(),
        rate(copied.rows, elapsed)
    ))
}

/// A file that takes the place of another once it is whole; it goes if that does not come about.
struct Replacement {
    file: Option<File>,
    /// The file beside, and the one that it is to replace; `None` where the target is written itself, as it is no plain
    /// file.
    names: Option<(PathBuf, PathBuf)>,
}

impl Replacement {
    fn of(path: &Path) -> io::Result<Replacement> {
        let before = fs::metadata(path).ok();
        if before.as_ref().is_some_and(|before| !before.is_file()) {
            // A pipe, or /dev/null. Of a directory this is the error.
            let file = OpenOptions::new().write(true).open(path)?;
            return Ok(Replacement { file: Some(file), names: None });
        }
        // A link keeps leading where it leads.
        let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf());
        let mut beside = target.clone().into_os_string();
        beside.push(format!(".{}.part", std::process::id()));
        let file = OpenOptions::new().write(true).create_new(true).open(&beside)?;
        let mut replacement = Replacement { file: None, names: Some((beside.into(), target)) };
        if let Some(before) = before {
            file.set_permissions(before.permissions())?;
        }
        replacement.file = Some(file);
        Ok(replacement)
    }

    fn finish(mut self) -> io::Result<()> {
        match self.names.take() {
            Some((beside, target)) => fs::rename(&beside, target).inspect_err(|_| {
                let _ = fs::remove_file(&beside);
            }),
            None => Ok(()),
        }
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if let Some((beside, _)) = &self.names {
            // What is left of a failed copy is told by the copy's error.
            let _ = fs::remove_file(beside);
        }
    }
}

/// A page of the table.
fn page(
    session: &mut Session,
    text: &str,
    request: &RequestOptions,
) -> Result<ResultRows, ShellError> {
    match session.execute(text, request)?.reply.outcome {
        Outcome::Rows(rows) => Ok(rows),
        _ => Err(CopyError::Columns(format!("{text} has no rows")).into()),
    }
}

fn write_rows(
    session: &mut Session,
    copy: &CopyCommand,
    first: ResultRows,
    mut request: RequestOptions,
    mut target: impl Write,
) -> Result<Copied, ShellError> {
    let (text, options) = (select(copy), &copy.options);
    let progress = copy.file.as_ref().map(|_| Progress::new(None));
    let begin = Instant::now();
    let mut copied = Copied::default();
    let mut rows = first;
    let columns = std::mem::take(&mut rows.metadata.columns);
    let mut out = Vec::new();
    if options.header {
        let names = columns.iter().map(|column| Some(Cow::Borrowed(column.name.as_str())));
        write_record(names, options.csv, &options.null, &mut out);
    }
    loop {
        for row in &rows.rows {
            if options.max_rows == Some(copied.rows) {
                break;
            }
            let fields = columns.iter().zip(row);
            let fields = fields
                .map(|(column, cell)| field(column, cell.as_deref(), options.is_cqlsh))
                .collect::<Result<Vec<_>, _>>()?;
            write_record(fields, options.csv, &options.null, &mut out);
            copied.rows += 1;
        }
        target.write_all(&out).map_err(|source| write_error(copy, source))?;
        out.clear();
        if let Some(progress) = &progress {
            progress.update(copied.rows, 0, begin.elapsed());
        }
        let is_enough = options.max_rows == Some(copied.rows);
        match rows.metadata.paging_state.take().filter(|_| !is_enough) {
            Some(state) => request.paging_state = Some(state),
            None => break,
        }
        if session.interrupts().is_raised() {
            return Err(CopyError::Interrupted.into());
        }
        rows = page(session, &text, &request)?;
    }
    target.flush().map_err(|source| write_error(copy, source))?;
    Ok(copied)
}

fn select(copy: &CopyCommand) -> String {
    let columns = match &copy.columns {
        Some(columns) => columns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        None => "*".to_string(),
    };
    format!("SELECT {columns} FROM {}", copy.table_name())
}

fn field(
    column: &ColumnSpec,
    cell: Option<&[u8]>,
    is_cqlsh: bool,
) -> Result<Option<String>, CopyError> {
    let Some(bytes) = cell else { return Ok(None) };
    match Value::decode(&column.column_type, bytes) {
        Ok(value) => {
            let value = if is_cqlsh { escapes::escaped(value) } else { value };
            Ok(Some(value.text(&column.column_type)))
        }
        Err(error) => Err(CopyError::Columns(format!("column {}: {error}", column.name))),
    }
}

/// An error of the file; of standard output, where it may mean that nobody reads on.
fn write_error(copy: &CopyCommand, source: io::Error) -> ShellError {
    match &copy.file {
        Some(path) => {
            CopyError::File { action: "write", file: path.display().to_string(), source }.into()
        }
        None => ShellError::Output(source),
    }
}

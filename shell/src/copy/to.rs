//! COPY TO: a table's rows, page by page, to CSV.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::time::Instant;

use csv::{Terminator, Writer, WriterBuilder};
use tholos_grammar::protocol::response::metadata::ColumnSpec;
use tholos_grammar::value::Value;

use super::options::CopyCommand;
use super::progress::{Progress, rate};
use super::{Copied, CopyError};
use crate::client::{Outcome, RequestOptions};
use crate::error::ShellError;
use crate::shell::Shell;

/// Copies, and says what was copied.
pub(crate) fn copy_to(shell: &mut Shell, copy: &CopyCommand) -> Result<String, ShellError> {
    let begin = Instant::now();
    let copied = match &copy.file {
        Some(path) => {
            let failed = |source| CopyError::File {
                action: "write",
                file: path.display().to_string(),
                source,
            };
            let file = File::create(path).map_err(failed)?;
            write_rows(shell, copy, BufWriter::new(file))?
        }
        None => write_rows(shell, copy, io::stdout().lock())?,
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

fn write_rows(
    shell: &mut Shell,
    copy: &CopyCommand,
    target: impl Write,
) -> Result<Copied, ShellError> {
    let text = select(copy);
    let options = &copy.options;
    let mut writer = WriterBuilder::new()
        .delimiter(options.delimiter)
        .quote(options.quote)
        .terminator(Terminator::Any(b'\n'))
        .from_writer(target);
    let progress = copy.file.as_ref().map(|_| Progress::new(None));
    let begin = Instant::now();
    let mut copied = Copied::default();
    let mut request = RequestOptions {
        consistency: shell.settings.consistency,
        page_size: Some(options.page_size),
        ..RequestOptions::default()
    };
    let mut columns: Vec<ColumnSpec> = Vec::new();
    loop {
        let answer = shell.session.execute(&text, &request)?;
        let Outcome::Rows(page) = answer.reply.outcome else { break };
        if columns.is_empty() {
            columns = page.metadata.columns;
            if options.header {
                write_record(&mut writer, columns.iter().map(|column| column.name.clone()), copy)?;
            }
        }
        for row in &page.rows {
            if options.max_rows == Some(copied.rows) {
                break;
            }
            let fields = columns.iter().zip(row);
            let fields = fields
                .map(|(column, cell)| field(column, cell.as_deref(), &options.null))
                .collect::<Result<Vec<_>, _>>()?;
            write_record(&mut writer, fields.into_iter(), copy)?;
            copied.rows += 1;
        }
        if let Some(progress) = &progress {
            progress.update(copied.rows, 0, begin.elapsed());
        }
        let is_enough = options.max_rows == Some(copied.rows);
        match page.metadata.paging_state.filter(|_| !is_enough) {
            Some(state) => request.paging_state = Some(state),
            None => break,
        }
        if shell.session.interrupts().is_raised() {
            return Err(CopyError::Interrupted.into());
        }
    }
    writer.flush().map_err(|source| write_error(copy, source))?;
    Ok(copied)
}

fn select(copy: &CopyCommand) -> String {
    let columns = match &copy.columns {
        Some(columns) => columns.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        None => "*".to_string(),
    };
    format!("SELECT {columns} FROM {}", copy.table_name())
}

fn field(column: &ColumnSpec, cell: Option<&[u8]>, null: &str) -> Result<String, CopyError> {
    let Some(bytes) = cell else { return Ok(null.to_string()) };
    match Value::decode(&column.column_type, bytes) {
        Ok(value) => Ok(value.text(&column.column_type)),
        Err(error) => Err(CopyError::Columns(format!("column {}: {error}", column.name))),
    }
}

fn write_record(
    writer: &mut Writer<impl Write>,
    fields: impl Iterator<Item = String>,
    copy: &CopyCommand,
) -> Result<(), ShellError> {
    writer.write_record(fields).map_err(|error| match error.into_kind() {
        csv::ErrorKind::Io(source) => write_error(copy, source),
        other => CopyError::Columns(format!("{other:?}")).into(),
    })
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

//! COPY FROM: CSV to a table's rows.
//!
//! One prepared statement, executed with many requests in flight: [`Import`] reads a chunk of records, sends it, and
//! goes through the answers. The file's order is kept on the connection, so of two rows with one key the later wins.
//! Batches are not used: the rows of a batch have one timestamp, and then the greater value would win.

use std::fs::File;
use std::io::{self, Read};
use std::thread;
use std::time::{Duration, Instant};

use tholos_grammar::consistency::Consistency;
use tholos_grammar::name::Name;
use tholos_grammar::protocol::primitive::RawValue;
use tholos_grammar::protocol::response::error::{ErrorKind, ErrorMessage};
use tholos_grammar::protocol::values::ValueList;
use tholos_grammar::types::{CqlType, Native};

use super::context::{CopyContext, StandardInput};
use super::field::parse_field;
use super::options::{CopyCommand, CopyOptions};
use super::progress::{Progress, rate};
use super::rejects::Rejects;
use super::target::{Column, Target};
use super::{Copied, CopyError, escapes};
use crate::client::RequestOptions;
use crate::client::pipeline::MAX_PIPELINED;
use crate::csv::{Field, Reader, Record};
use crate::error::ShellError;
use crate::session::Session;
use crate::sink::note;

/// Pause before rows are sent again that the server had no time for.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// What ends rows that are typed.
const END_OF_DATA: &str = "\\.";

/// Copies, and says what was copied. Rows that were not written make it an error in the end.
pub(crate) fn copy_from(
    context: CopyContext<'_>,
    copy: &CopyCommand,
) -> Result<String, ShellError> {
    let CopyContext { session, consistency, input } = context;
    if !copy.options.ignored.is_empty() {
        note(&format!("note: {} have no effect here", copy.options.ignored.join(", ")));
    }
    let (input, size): (Box<dyn Read>, Option<u64>) = match &copy.file {
        Some(path) => {
            let failed = |source| CopyError::File {
                action: "read",
                file: path.display().to_string(),
                source,
            };
            let file = File::open(path).map_err(failed)?;
            let size = file.metadata().ok().map(|metadata| metadata.len());
            (Box::new(file), size)
        }
        None => (standard_input(input)?, None),
    };
    let begin = Instant::now();
    let mut import = Import::new(session, consistency, copy, input, size)?;
    let copied = match import.run(begin) {
        Ok(copied) => copied,
        Err(error) => {
            let rows = import.copied.rows;
            drop(import);
            if rows > 0 {
                note(&format!("{rows} rows were written before COPY ended"));
            }
            return Err(error);
        }
    };
    let elapsed = begin.elapsed();
    let name = import.name.clone();
    let escaped = import.looks_escaped;
    let rejects = import.rejects.finish()?;
    // The progress bar goes before the summary comes.
    drop(import);
    if escaped > 0 && !copy.options.says_escape {
        note(&format!(
            "note: {escaped} rows hold \\\\ or \\\", as files of cqlsh do; they were taken as they are. If cqlsh wrote {name}, \
             import it WITH DIALECT = 'cqlsh'; if not, WITH DIALECT = 'rfc4180' keeps this note away"
        ));
    }
    let summary = format!(
        "{} rows of {name} to {} in {:.2} s ({} rows/s)\n",
        copied.rows,
        copy.table_name(),
        elapsed.as_secs_f64(),
        rate(copied.rows, elapsed)
    );
    let Some(file) = rejects else { return Ok(summary) };
    note(summary.trim_end());
    let total = copied.rows + copied.rejected;
    Err(CopyError::Rejected { rejected: copied.rejected, total, file }.into())
}

/// Standard input: typed rows end with `\.`.
fn standard_input(input: StandardInput<'_>) -> Result<Box<dyn Read>, ShellError> {
    let reader = match input {
        StandardInput::Rows => return Ok(Box::new(io::stdin())),
        StandardInput::Typed(reader) => reader,
        StandardInput::Script => {
            let what = "FROM STDIN can't be used in a script that itself comes from standard input";
            return Err(CopyError::Columns(what.to_string()).into());
        }
    };
    eprintln!("Type the rows, and {END_OF_DATA} on a line of its own behind the last.");
    let mut text = String::new();
    while let Some(line) = reader.ask("copy> ")? {
        if line.trim() == END_OF_DATA {
            return Ok(Box::new(io::Cursor::new(text)));
        }
        text.push_str(&line);
        text.push('\n');
    }
    Err(ShellError::Interrupted)
}

/// A row, read and on its way.
struct Row {
    record: Record,
    values: ValueList,
}

/// An import under way.
struct Import<'a> {
    session: &'a mut Session,
    consistency: Consistency,
    options: &'a CopyOptions,
    /// The file's name, for messages.
    name: String,
    reader: Reader,
    target: Target,
    rejects: Rejects,
    progress: Progress,
    copied: Copied,
    parse_errors: u64,
    insert_errors: u64,
    is_at_end: bool,
    /// Records read, without those skipped.
    read: u64,
    /// Records that look as if cqlsh wrote them.
    looks_escaped: u64,
}

impl<'a> Import<'a> {
    fn new(
        session: &'a mut Session,
        consistency: Consistency,
        copy: &'a CopyCommand,
        input: Box<dyn Read>,
        size: Option<u64>,
    ) -> Result<Import<'a>, ShellError> {
        let options = &copy.options;
        let name =
            copy.file.as_ref().map_or("STDIN".to_string(), |path| path.display().to_string());
        let mut reader = Reader::new(input, options.csv);
        let header = if options.header { read_record(&mut reader, &name)? } else { None };
        let columns = header.map(|header| names(&header, &name)).transpose()?;
        let target = Target::prepare(session, copy, columns)?;
        for _ in 0..options.skip_rows {
            if read_record(&mut reader, &name)?.is_none() {
                break;
            }
        }
        Ok(Import {
            rejects: Rejects::new(copy, session.keyspace()),
            session,
            consistency,
            options,
            name,
            reader,
            target,
            progress: Progress::new(size),
            copied: Copied::default(),
            parse_errors: 0,
            insert_errors: 0,
            is_at_end: false,
            read: 0,
            looks_escaped: 0,
        })
    }

    /// Chunk after chunk to the end.
    fn run(&mut self, begin: Instant) -> Result<Copied, ShellError> {
        loop {
            let rows = self.read_chunk()?;
            if rows.is_empty() && (self.is_at_end || self.is_enough()) {
                break;
            }
            self.send(rows)?;
            self.progress.update(self.copied.rows, self.reader.position(), begin.elapsed());
            if self.session.interrupts().is_raised() {
                return Err(CopyError::Interrupted.into());
            }
            self.pace(begin);
        }
        Ok(self.copied)
    }

    fn is_enough(&self) -> bool {
        self.options.max_rows.is_some_and(|most| self.read >= most)
    }

    /// The next rows that can be read; those that can't are rejected.
    fn read_chunk(&mut self) -> Result<Vec<Row>, ShellError> {
        let size = self.options.chunk_size.min(MAX_PIPELINED);
        let mut rows = Vec::with_capacity(size);
        while rows.len() < size && !self.is_enough() {
            let Some(record) = read_record(&mut self.reader, &self.name)? else {
                self.is_at_end = true;
                break;
            };
            self.read += 1;
            self.looks_escaped += u64::from(record.looks_escaped);
            match values(&record, &self.target.columns, self.options) {
                Ok(values) => rows.push(Row { record, values }),
                Err(reason) => {
                    self.parse_errors += 1;
                    self.reject(&record, &reason)?;
                    if self.options.max_parse_errors.is_some_and(|most| self.parse_errors > most) {
                        self.rejects.finish()?;
                        return Err(CopyError::ParseErrors(self.parse_errors).into());
                    }
                }
            }
        }
        Ok(rows)
    }

    /// Sends rows, and those again that the server had no time for.
    fn send(&mut self, mut rows: Vec<Row>) -> Result<(), ShellError> {
        let request = RequestOptions { consistency: self.consistency, ..RequestOptions::default() };
        for attempt in 1.. {
            if rows.is_empty() {
                break;
            }
            let lists: Vec<ValueList> = rows.iter().map(|row| row.values.clone()).collect();
            let statement = &self.target.statement;
            let answers = self.session.with_connection(|connection| {
                connection.execute_many(statement, &lists, &request)
            })?;
            let is_last = attempt >= self.options.max_attempts;
            rows = self.take_answers(rows, answers, is_last)?;
            if !rows.is_empty() {
                self.target.prepare_again(self.session)?;
                thread::sleep(RETRY_PAUSE);
            }
        }
        Ok(())
    }

    /// Counts and rejects; the rows that are to be sent again.
    fn take_answers(
        &mut self,
        rows: Vec<Row>,
        answers: Vec<Result<(), ErrorMessage>>,
        is_last: bool,
    ) -> Result<Vec<Row>, ShellError> {
        let mut again = Vec::new();
        for (row, answer) in rows.into_iter().zip(answers) {
            match answer {
                Ok(()) => self.copied.rows += 1,
                Err(error) if !is_last && self.target.may_retry(&error.kind) => again.push(row),
                Err(error) if is_fatal(&error.kind) => {
                    return Err(crate::client::ClientError::Server(error).into());
                }
                Err(error) => {
                    self.insert_errors += 1;
                    self.reject(&row.record, &error.message)?;
                    if self.options.max_insert_errors.is_some_and(|most| self.insert_errors > most)
                    {
                        self.rejects.finish()?;
                        return Err(CopyError::InsertErrors(self.insert_errors).into());
                    }
                }
            }
        }
        Ok(again)
    }

    fn reject(&mut self, record: &Record, reason: &str) -> Result<(), ShellError> {
        self.copied.rejected += 1;
        let place = format!("{}:{}", self.name, record.line);
        if let Some(message) = self.rejects.add(record, &place, reason)? {
            self.progress.hidden(|| note(&message));
        }
        Ok(())
    }

    /// Waits while more rows were copied than the rate allows.
    fn pace(&self, begin: Instant) {
        let Some(rate) = self.options.ingest_rate else { return };
        let due = Duration::from_secs_f64(self.copied.rows as f64 / rate as f64);
        thread::sleep(due.saturating_sub(begin.elapsed()));
    }
}

/// Reads a record; `None` at the end.
fn read_record(reader: &mut Reader, name: &str) -> Result<Option<Record>, CopyError> {
    reader.read().map_err(|source| CopyError::File {
        action: "read",
        file: name.to_string(),
        source,
    })
}

/// The names of a header's columns.
fn names(header: &Record, file: &str) -> Result<Vec<Name>, CopyError> {
    if let Some(flaw) = header.flaw {
        return Err(CopyError::Columns(format!("the header of {file}: {flaw}")));
    }
    let name = |field: &Field| match std::str::from_utf8(&field.text) {
        Ok(text) => Ok(Name::exact(text.trim())),
        Err(source) => Err(CopyError::Header { file: file.to_string(), source }),
    };
    header.fields.iter().map(name).collect()
}

/// The values of a record in the order of the statement's markers, or why it has none.
fn values(record: &Record, columns: &[Column], options: &CopyOptions) -> Result<ValueList, String> {
    if let Some(flaw) = record.flaw {
        return Err(flaw.to_string());
    }
    let (found, expected) = (record.fields.len(), columns.len());
    if found != expected {
        let fields = if found == 1 { "field" } else { "fields" };
        return Err(format!("{found} {fields} where {expected} are expected"));
    }
    let mut order: Vec<_> = columns
        .iter()
        .zip(&record.fields)
        .filter_map(|(column, field)| column.marker.map(|marker| (marker, column, field)))
        .collect();
    order.sort_by_key(|(marker, _, _)| *marker);
    let mut list = ValueList::positional();
    let mut bytes = Vec::new();
    for (_, column, field) in order {
        let wrong = |reason: String| format!("column {}: {reason}", column.name);
        let text = std::str::from_utf8(&field.text).map_err(|error| wrong(error.to_string()))?;
        let value = if is_null(text, field.is_quoted, &column.ty, &options.null) {
            RawValue::Null
        } else {
            bytes.clear();
            let value = parse_field(&column.ty, text).map_err(|error| wrong(error.to_string()))?;
            let value = if options.is_cqlsh { escapes::unescaped(value) } else { value };
            value.encode(&column.ty, &mut bytes).map_err(|error| wrong(error.to_string()))?;
            RawValue::Bytes(&bytes)
        };
        list.push(value).map_err(|error| error.to_string())?;
    }
    Ok(list)
}

/// Whether a field stands for null. One in quotes never does, except where `""` can be nothing else: many programs put
/// quotes around all fields.
fn is_null(text: &str, is_quoted: bool, ty: &CqlType, null: &str) -> bool {
    let is_text = matches!(ty, CqlType::Native(Native::Ascii | Native::Text));
    text == null && (!is_quoted || text.is_empty() && !is_text)
}

/// Errors that every row would meet.
fn is_fatal(kind: &ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::Unauthorized
            | ErrorKind::Protocol
            | ErrorKind::Bootstrapping
            | ErrorKind::Syntax
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(fields: &[&str]) -> Record {
        let field = |text: &&str| match text.strip_prefix('"') {
            Some(text) => Field { text: text.trim_end_matches('"').into(), is_quoted: true },
            None => Field { text: text.as_bytes().to_vec(), is_quoted: false },
        };
        Record { fields: fields.iter().map(field).collect(), ..Record::default() }
    }

    fn with_null(null: &str) -> CopyOptions {
        CopyOptions { null: null.to_string(), ..CopyOptions::default() }
    }

    fn column(name: &str, ty: Native, marker: Option<usize>) -> Column {
        Column { name: Name::exact(name), ty: ty.into(), marker }
    }

    #[test]
    fn fields_go_to_their_markers() {
        let columns = [
            column("key", Native::Int, Some(1)),
            column("left out", Native::Text, None),
            column("hits", Native::Counter, Some(0)),
        ];
        let list = values(&record(&["7", "x", "-1"]), &columns, &with_null("")).expect("values");
        let sent: Vec<_> = list.as_values().iter().map(|bound| bound.value.bytes()).collect();
        assert_eq!(sent, [Some(&(-1i64).to_be_bytes()[..]), Some(&7i32.to_be_bytes()[..])]);
    }

    #[test]
    fn what_can_not_be_read_says_where() {
        let columns = [column("a", Native::Int, Some(0)), column("b", Native::Int, Some(1))];
        let reason = |fields: Vec<&str>| {
            values(&record(&fields), &columns, &with_null("NULL")).expect_err("a bad record")
        };
        assert_eq!(reason(vec!["1"]), "1 field where 2 are expected");
        assert!(reason(vec!["1", "x"]).starts_with("column b: x is no value of type int"));
        assert!(reason(vec!["", "1"]).starts_with("column a: the empty text is no value"));
        let null = values(&record(&["1", "NULL"]), &columns, &with_null("NULL")).expect("values");
        let last = null.as_values().iter().last().map(|bound| bound.value);
        assert_eq!(last, Some(RawValue::Null));
    }

    #[test]
    fn what_stands_in_quotes_is_text() {
        let text = [column("a", Native::Text, Some(0))];
        let int = [column("a", Native::Int, Some(0))];
        let sent = |field: &str, columns: &[Column], null: &str| {
            let list = values(&record(&[field]), columns, &with_null(null)).expect("values");
            list.as_values().iter().next().and_then(|it| it.value.bytes().map(<[u8]>::to_vec))
        };
        assert_eq!(sent("\"\"", &text, ""), Some(Vec::new()));
        assert_eq!(sent("", &text, ""), None);
        assert_eq!(sent("", &text, "NULL"), Some(Vec::new()));
        assert_eq!(sent("\"NULL\"", &text, "NULL"), Some(b"NULL".to_vec()));
        assert_eq!(sent("NULL", &text, "NULL"), None);
        assert_eq!(sent("\"\"", &int, ""), None);
        assert_eq!(sent("\"7\"", &int, "7"), Some(vec![0, 0, 0, 7]));
    }
}

//! Records, read one by one.

use std::io::{self, BufRead, BufReader, Read};

use super::Dialect;

/// A record that is longer is no record, but a file that lacks a quote somewhere. No request is longer either.
const MAX_RECORD_BYTES: usize = 256 << 20;

/// What some programs put at the start of a file to say that it is UTF-8.
const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Field {
    /// Its text, without quotes and escapes.
    pub(crate) text: Vec<u8>,
    pub(crate) is_quoted: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Record {
    pub(crate) fields: Vec<Field>,
    /// As it stands in the file, without what ends it.
    pub(crate) raw: Vec<u8>,
    /// The line that it begins at, from 1.
    pub(crate) line: u64,
    /// Why it can't be taken for what it seems to be.
    pub(crate) flaw: Option<Flaw>,
    /// Whether it holds `\\` or `\"`, which mean something else where `\` is an escape.
    pub(crate) looks_escaped: bool,
}

/// A mistake in the quotes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Flaw {
    #[error("the quote opened at line {line} is never closed: the rows behind it were not read")]
    Unclosed { line: u64 },
    #[error("text behind a closing quote at line {line}: a quote inside of a field is doubled")]
    Behind { line: u64 },
}

/// Reads records.
pub(crate) struct Reader {
    input: BufReader<Box<dyn Read>>,
    dialect: Dialect,
    /// Bytes taken.
    position: u64,
    /// The line of the next byte, from 1.
    line: u64,
}

impl Reader {
    pub(crate) fn new(input: Box<dyn Read>, dialect: Dialect) -> Reader {
        Reader { input: BufReader::with_capacity(64 << 10, input), dialect, position: 0, line: 1 }
    }

    /// How many bytes of the file have been taken.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The next record; `None` at the end. Empty lines are none.
    pub(crate) fn read(&mut self) -> io::Result<Option<Record>> {
        let mut parser = Parser::new(self.dialect, self.line);
        loop {
            let mut chunk = self.input.fill_buf()?;
            if chunk.is_empty() {
                return Ok(parser.end());
            }
            let mut used = 0;
            if self.position == 0 && chunk.starts_with(BYTE_ORDER_MARK) {
                used = BYTE_ORDER_MARK.len();
                chunk = chunk.get(used..).unwrap_or_default();
            }
            let end = chunk.iter().position(|&byte| parser.take(byte));
            used += end.map_or(chunk.len(), |end| end + 1);
            self.input.consume(used);
            self.position += used as u64;
            self.line = parser.line;
            if end.is_some() {
                return Ok(Some(parser.record));
            }
            if parser.record.raw.len() > MAX_RECORD_BYTES {
                let line = parser.record.line;
                return Err(io::Error::other(format!(
                    "the record at line {line} is longer than {} MiB: is a quote not closed?",
                    MAX_RECORD_BYTES >> 20
                )));
            }
        }
    }
}

/// Where in a record the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Where a field begins.
    Start,
    /// In a field without quotes.
    Bare,
    Quoted,
    /// Behind a quote that closes, unless it is one of two.
    Closed,
}

/// A record in the making.
struct Parser {
    dialect: Dialect,
    record: Record,
    field: Field,
    place: Place,
    is_escaped: bool,
    /// The line of the next byte.
    line: u64,
    /// Where the last quote was opened.
    quote_line: u64,
}

impl Parser {
    fn new(dialect: Dialect, line: u64) -> Parser {
        let (record, field) = (Record::default(), Field::default());
        let place = Place::Start;
        Parser { dialect, record, field, place, is_escaped: false, line, quote_line: line }
    }

    /// Takes a byte; whether the record ends with it.
    fn take(&mut self, byte: u8) -> bool {
        let line = self.line;
        self.line += u64::from(byte == b'\n');
        let is_end = matches!(byte, b'\r' | b'\n');
        if self.record.raw.is_empty() {
            if is_end {
                return false;
            }
            self.record.line = line;
        }
        let before = self.record.raw.last().copied();
        let Dialect { delimiter, quote, escape } = self.dialect;
        let is_literal = std::mem::take(&mut self.is_escaped);
        if is_end && !is_literal && self.place != Place::Quoted {
            self.end_field();
            return true;
        }
        self.record.raw.push(byte);
        self.record.looks_escaped |=
            escape.is_none() && before == Some(b'\\') && (byte == b'\\' || byte == quote);
        match self.place {
            _ if is_literal => self.field.text.push(byte),
            _ if escape == Some(byte) => self.is_escaped = true,
            Place::Start if byte == quote => {
                self.field.is_quoted = true;
                self.quote_line = line;
                self.place = Place::Quoted;
                return false;
            }
            Place::Quoted if byte == quote => self.place = Place::Closed,
            Place::Quoted => self.field.text.push(byte),
            Place::Closed if byte == quote => {
                self.field.text.push(byte);
                self.place = Place::Quoted;
            }
            _ if byte == delimiter => {
                self.end_field();
                return false;
            }
            Place::Closed => {
                self.record.flaw.get_or_insert(Flaw::Behind { line });
                self.field.text.push(byte);
                self.place = Place::Bare;
            }
            Place::Start | Place::Bare => self.field.text.push(byte),
        }
        if self.place == Place::Start {
            self.place = Place::Bare;
        }
        false
    }

    fn end_field(&mut self) {
        self.record.fields.push(std::mem::take(&mut self.field));
        self.place = Place::Start;
    }

    /// The record that the file's end ends.
    fn end(mut self) -> Option<Record> {
        if self.record.raw.is_empty() {
            return None;
        }
        if self.place == Place::Quoted {
            self.record.flaw = Some(Flaw::Unclosed { line: self.quote_line });
        }
        self.end_field();
        Some(self.record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(text: &'static str, dialect: Dialect) -> Vec<Record> {
        // Small pieces, so that every place is at the end of one.
        struct Pieces(&'static [u8]);
        impl Read for Pieces {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let length = buffer.len().min(3);
                self.0.read(&mut buffer[..length])
            }
        }
        let mut reader = Reader::new(Box::new(Pieces(text.as_bytes())), dialect);
        let mut found = Vec::new();
        while let Some(record) = reader.read().expect("no I/O error") {
            found.push(record);
        }
        assert_eq!(reader.position(), text.len() as u64);
        found
    }

    /// The fields of each record; those in quotes have quotes around them.
    fn fields(text: &'static str, dialect: Dialect) -> Vec<Vec<String>> {
        let shown = |field: &Field| {
            let text = String::from_utf8_lossy(&field.text);
            if field.is_quoted { format!("\"{text}\"") } else { text.into_owned() }
        };
        let records = records(text, dialect);
        records.iter().map(|record| record.fields.iter().map(shown).collect()).collect()
    }

    #[test]
    fn fields_are_what_stands_between_delimiters() {
        let rfc = Dialect::default();
        assert_eq!(
            fields("\u{feff}a,\"b\"\"c\",\r\n\n\"\",\"x\ny\"\nlast", rfc),
            [vec!["a", "\"b\"c\"", ""], vec!["\"\"", "\"x\ny\""], vec!["last"]]
        );
        assert_eq!(fields("a\\b,c\"d\n,\n", rfc), [vec!["a\\b", "c\"d"], vec!["", ""]]);
        let escaping = Dialect { escape: Some(b'\\'), ..rfc };
        assert_eq!(
            fields("say \\\"hi\\\",\"a\\\"b\",c\\\\n\n", escaping),
            [["say \"hi\"", "\"a\"b\"", "c\\n"]]
        );
        let tabs = Dialect { delimiter: b'\t', quote: b'\'', ..rfc };
        assert_eq!(fields("'a\tb'\tc,d", tabs), [["\"a\tb\"", "c,d"]]);
    }

    #[test]
    fn records_know_their_line_whatever_ends_it() {
        let lines = |text| {
            let records = records(text, Dialect::default());
            records.iter().map(|record| record.line).collect::<Vec<_>>()
        };
        assert_eq!(lines("a,b\nc\nd\n"), [1, 2, 3]);
        assert_eq!(lines("a,b\r\nc\r\nd"), [1, 2, 3]);
        assert_eq!(lines("a\r\n\"b\r\nc\"\r\nd\r\n"), [1, 2, 4]);
        assert_eq!(lines("\n\na\n\n\r\nb"), [3, 6]);
    }

    #[test]
    fn mistakes_in_quotes_are_told_with_their_line() {
        let flaw = |text| {
            let records = records(text, Dialect::default());
            records.iter().find_map(|record| record.flaw)
        };
        assert_eq!(flaw("id,name\n9,\"unclosed\n10,x\n"), Some(Flaw::Unclosed { line: 2 }));
        assert_eq!(flaw("1,\"a\"\"\n"), Some(Flaw::Unclosed { line: 1 }));
        assert_eq!(flaw("1,\"O\"Brien\",x\n"), Some(Flaw::Behind { line: 1 }));
        assert_eq!(flaw("1,\"a\n\"\"b\"\n2,c\"d\n"), None);
        let escaped = records("1,\"say \\\"hi\\\"\"\n2,a\\\\b\n3,c\\d\n", Dialect::default());
        let looks: Vec<_> = escaped.iter().map(|record| record.looks_escaped).collect();
        assert_eq!(looks, [true, true, false]);
    }
}

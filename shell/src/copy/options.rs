//! COPY's command line: `COPY [ks.]table [(columns)] TO | FROM target [WITH option = value AND ...]`.

use std::path::PathBuf;
use std::time::Duration;

use tholos_grammar::name::Name;

use crate::command::error::CommandError;
use crate::command::words::path;
use crate::csv::Dialect;
use crate::lex::{self, Kind};
use crate::suggest::nearest;

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CopyCommand {
    /// The table's keyspace; the one in use when absent.
    pub(crate) keyspace: Option<Name>,
    pub(crate) table: Name,
    /// The columns; all when absent.
    pub(crate) columns: Option<Vec<Name>>,
    pub(crate) direction: Direction,
    /// `None`: STDIN or STDOUT.
    pub(crate) file: Option<PathBuf>,
    pub(crate) options: CopyOptions,
}

/// Which way rows go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    To,
    From,
}

/// Options, with cqlsh's names and defaults where it has them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct CopyOptions {
    /// The first record holds the columns' names.
    pub(crate) header: bool,
    pub(crate) csv: Dialect,
    /// Whether text is escaped as cqlsh does it, on top of CSV.
    pub(crate) is_cqlsh: bool,
    /// Whether the command itself says which character escapes others.
    pub(crate) says_escape: bool,
    /// The field that stands for null.
    pub(crate) null: String,
    /// TO: rows per page.
    pub(crate) page_size: i32,
    /// Most rows copied.
    pub(crate) max_rows: Option<u64>,
    /// FROM: rows skipped at the beginning.
    pub(crate) skip_rows: u64,
    /// FROM: columns of the file that are not imported.
    pub(crate) skip_columns: Vec<Name>,
    /// FROM: requests sent before their answers are read.
    pub(crate) chunk_size: usize,
    /// FROM: most rows a second.
    pub(crate) ingest_rate: Option<u64>,
    /// FROM: the rows live so long.
    pub(crate) ttl: Option<Duration>,
    /// FROM: most rows that can't be read before all stops.
    pub(crate) max_parse_errors: Option<u64>,
    /// FROM: most rows that the server refuses before all stops.
    pub(crate) max_insert_errors: Option<u64>,
    /// FROM: how often a row is sent when it is not answered in time.
    pub(crate) max_attempts: u32,
    /// FROM: the file for rows that were not written.
    pub(crate) error_file: Option<PathBuf>,
    /// Options of cqlsh that have no meaning here.
    pub(crate) ignored: Vec<&'static str>,
}

impl Default for CopyOptions {
    fn default() -> Self {
        CopyOptions {
            header: false,
            csv: Dialect::default(),
            is_cqlsh: false,
            says_escape: false,
            null: String::new(),
            page_size: 1000,
            max_rows: None,
            skip_rows: 0,
            skip_columns: Vec::new(),
            chunk_size: 128,
            ingest_rate: None,
            ttl: None,
            max_parse_errors: None,
            max_insert_errors: Some(1000),
            max_attempts: 5,
            error_file: None,
            ignored: Vec::new(),
        }
    }
}

/// Options that are carried out: name, value and meaning, as HELP COPY lists them.
pub(crate) const OPTIONS: [(&str, &str, &str); 18] = [
    ("HEADER", "false", "the first line holds the columns' names"),
    ("DELIMITER", "','", "between fields"),
    ("QUOTE", "'\"'", "around fields; doubled inside them, or escaped if there is an ESCAPE"),
    ("ESCAPE", "none", "takes the meaning off the next character"),
    ("DIALECT", "'rfc4180'", "'cqlsh' for files that cqlsh wrote or is to read"),
    ("NULL", "''", "the field that stands for null, if it is not in quotes"),
    ("ENCODING", "'utf-8'", "no other is supported"),
    ("PAGESIZE", "1000", "TO: rows fetched at a time"),
    ("MAXROWS", "-1", "most rows to copy; -1 for all"),
    ("SKIPROWS", "0", "FROM: rows to skip at the beginning"),
    ("SKIPCOLS", "''", "FROM: columns of the file to leave out, with commas between"),
    ("CHUNKSIZE", "128", "FROM: requests in flight"),
    ("INGESTRATE", "-1", "FROM: most rows a second; -1 for no limit"),
    ("TTL", "0", "FROM: seconds that the rows live; 0 for ever"),
    ("MAXPARSEERRORS", "-1", "FROM: unreadable rows before all stops; -1 for any number"),
    ("MAXINSERTERRORS", "1000", "FROM: refused rows before all stops; -1 for any number"),
    ("MAXATTEMPTS", "5", "FROM: how often a row is sent that the server has no time for"),
    ("ERRFILE", "import_ks_table.err", "FROM: gets the rows that were not written"),
];

/// Options of cqlsh about its own processes, which a single pipelined connection has no use for: taken and ignored.
const IGNORED: [&str; 9] = [
    "CONFIGFILE",
    "MAXBATCHSIZE",
    "MAXOUTPUTSIZE",
    "MAXREQUESTS",
    "MINBATCHSIZE",
    "NUMPROCESSES",
    "PAGETIMEOUT",
    "PREPAREDSTATEMENTS",
    "REPORTFREQUENCY",
];

/// Options of cqlsh that change what is written, and so are refused rather than ignored.
const REFUSED: [&str; 8] = [
    "BEGINTOKEN",
    "BOOLSTYLE",
    "DATETIMEFORMAT",
    "DECIMALSEP",
    "DOUBLEPRECISION",
    "ENDTOKEN",
    "FLOATPRECISION",
    "THOUSANDSSEP",
];

impl CopyOptions {
    /// Checks what options mean together.
    fn check(&self) -> Result<(), CommandError> {
        let Dialect { delimiter, quote, escape } = self.csv;
        let wrong = |what: &str| Err(CommandError::Copy(what.to_string()));
        if delimiter == quote || escape == Some(delimiter) {
            return wrong("DELIMITER, QUOTE and ESCAPE must differ");
        }
        let marks = [delimiter, quote, escape.unwrap_or(quote), b'\n', b'\r'];
        if self.null.bytes().any(|byte| marks.contains(&byte)) {
            return wrong("NULL can't hold the delimiter, quotes, escapes or line ends");
        }
        Ok(())
    }
}

impl CopyCommand {
    /// Parses the command, from the word COPY on.
    pub(crate) fn parse(text: &str) -> Result<CopyCommand, CommandError> {
        let mut cursor = Cursor::new(text);
        cursor.word("COPY")?;
        let first = cursor.name("a table")?;
        let (keyspace, table) =
            if cursor.symbol(".") { (Some(first), cursor.name("a table")?) } else { (None, first) };
        let columns = if cursor.symbol("(") { Some(cursor.columns()?) } else { None };
        let direction = if cursor.is_word("TO") {
            Direction::To
        } else if cursor.is_word("FROM") {
            Direction::From
        } else {
            return Err(cursor.expected("TO or FROM"));
        };
        let file = cursor.target(direction)?;
        let mut options = CopyOptions::default();
        if cursor.is_word("WITH") {
            loop {
                cursor.option(&mut options)?;
                if !cursor.is_word("AND") {
                    break;
                }
            }
        }
        if !cursor.is_at_end() {
            return Err(cursor.expected("WITH, AND or the end"));
        }
        options.check()?;
        Ok(CopyCommand { keyspace, table, columns, direction, file, options })
    }

    /// The table's name as CQL writes it.
    pub(crate) fn table_name(&self) -> String {
        match &self.keyspace {
            Some(keyspace) => format!("{keyspace}.{}", self.table),
            None => self.table.to_string(),
        }
    }
}

/// A place in the command.
struct Cursor<'a> {
    text: &'a str,
    tokens: Vec<lex::Token>,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn new(text: &'a str) -> Cursor<'a> {
        let tokens = lex::tokens(text)
            .into_iter()
            .filter(|token| !matches!(token.kind, Kind::Blank | Kind::Comment))
            .collect();
        Cursor { text, tokens, at: 0 }
    }

    fn current(&self) -> Option<(Kind, &'a str)> {
        let token = self.tokens.get(self.at)?;
        Some((token.kind, self.text.get(token.span.clone())?))
    }

    fn is_at_end(&self) -> bool {
        self.at == self.tokens.len()
    }

    fn expected(&self, what: &str) -> CommandError {
        let found = match self.current() {
            Some((_, text)) => format!("'{text}'"),
            None => "the end".to_string(),
        };
        CommandError::Copy(format!("expected {what}, found {found}; HELP COPY shows the form"))
    }

    /// Takes the keyword, if it is here.
    fn is_word(&mut self, word: &str) -> bool {
        let found =
            matches!(self.current(), Some((Kind::Word, text)) if text.eq_ignore_ascii_case(word));
        self.at += usize::from(found);
        found
    }

    fn word(&mut self, word: &str) -> Result<(), CommandError> {
        if self.is_word(word) { Ok(()) } else { Err(self.expected(word)) }
    }

    /// Takes the symbol, if it is here.
    fn symbol(&mut self, symbol: &str) -> bool {
        let found = matches!(self.current(), Some((Kind::Symbol, text)) if text == symbol);
        self.at += usize::from(found);
        found
    }

    fn name(&mut self, what: &str) -> Result<Name, CommandError> {
        let name = match self.current() {
            Some((Kind::Word, text)) => Name::folded(text),
            Some((Kind::Name, text)) => Name::exact(&unquoted(text)),
            _ => return Err(self.expected(what)),
        };
        self.at += 1;
        Ok(name)
    }

    fn columns(&mut self) -> Result<Vec<Name>, CommandError> {
        let mut columns = Vec::new();
        loop {
            columns.push(self.name("a column")?);
            if self.symbol(")") {
                return Ok(columns);
            }
            if !self.symbol(",") {
                return Err(self.expected("',' or ')'"));
            }
        }
    }

    /// A file, or the standard stream that goes with the direction.
    fn target(&mut self, direction: Direction) -> Result<Option<PathBuf>, CommandError> {
        let stream = match direction {
            Direction::To => "STDOUT",
            Direction::From => "STDIN",
        };
        if self.is_word(stream) {
            return Ok(None);
        }
        match self.current() {
            Some((Kind::Text, text)) => {
                self.at += 1;
                Ok(Some(path(&unquoted(text))))
            }
            _ => Err(self.expected(&format!("a file in single quotes, or {stream}"))),
        }
    }

    /// The text of an option's value.
    fn value(&mut self, name: &str) -> Result<String, CommandError> {
        let sign = if self.symbol("-") { "-" } else { "" };
        let value = match self.current() {
            Some((Kind::Text | Kind::Name, text)) => unquoted(text),
            Some((Kind::Word | Kind::Number, text)) => format!("{sign}{text}"),
            _ => return Err(self.expected(&format!("a value for {name}"))),
        };
        self.at += 1;
        Ok(value)
    }

    fn option(&mut self, options: &mut CopyOptions) -> Result<(), CommandError> {
        let Some((Kind::Word, name)) = self.current() else {
            return Err(self.expected("an option"));
        };
        let name = name.to_ascii_uppercase();
        self.at += 1;
        if !self.symbol("=") {
            return Err(self.expected("'='"));
        }
        let value = self.value(&name)?;
        set(options, &name, &value)
    }
}

fn set(options: &mut CopyOptions, name: &str, value: &str) -> Result<(), CommandError> {
    let wrong = |takes: &str| CommandError::Copy(format!("{name} takes {takes}, not '{value}'"));
    let count = || value.parse::<u64>().map_err(|_| wrong("a number"));
    let positive =
        || count().ok().filter(|&count| count > 0).ok_or_else(|| wrong("a number above 0"));
    // -1 stands for no limit.
    let limit = || if value == "-1" { Ok(None) } else { count().map(Some) };
    match name {
        "HEADER" => options.header = boolean(value).ok_or_else(|| wrong("true or false"))?,
        "DELIMITER" => {
            options.csv.delimiter = character(value).ok_or_else(|| wrong("one ASCII character"))?
        }
        "QUOTE" => {
            options.csv.quote = character(value).ok_or_else(|| wrong("one ASCII character"))?
        }
        "ESCAPE" => {
            let escape = character(value).ok_or_else(|| wrong("one ASCII character"))?;
            options.csv.escape = Some(escape).filter(|&escape| escape != options.csv.quote);
            options.says_escape = true;
        }
        "DIALECT" => {
            options.is_cqlsh = match value.to_ascii_lowercase().as_str() {
                "cqlsh" => true,
                "rfc4180" => false,
                _ => return Err(wrong("'rfc4180' or 'cqlsh'")),
            };
            options.csv.escape = options.is_cqlsh.then_some(b'\\');
            options.says_escape = true;
        }
        "NULL" | "NULLVAL" => options.null = value.to_string(),
        "ENCODING" if ["utf8", "utf-8"].contains(&value.to_ascii_lowercase().as_str()) => {}
        "ENCODING" => return Err(wrong("'utf-8' only")),
        "PAGESIZE" => {
            let size = positive()?;
            options.page_size = i32::try_from(size).map_err(|_| wrong("a number below 2^31"))?;
        }
        "MAXROWS" => options.max_rows = limit()?,
        "SKIPROWS" => options.skip_rows = count()?,
        "SKIPCOLS" => {
            let names = value.split(',').map(str::trim).filter(|name| !name.is_empty());
            options.skip_columns = names.map(Name::exact).collect();
        }
        "CHUNKSIZE" => options.chunk_size = usize::try_from(positive()?.min(1000)).unwrap_or(1),
        "INGESTRATE" => options.ingest_rate = limit()?.filter(|&rate| rate > 0),
        "TTL" => options.ttl = Some(count()?).filter(|&ttl| ttl > 0).map(Duration::from_secs),
        "MAXPARSEERRORS" => options.max_parse_errors = limit()?,
        "MAXINSERTERRORS" => options.max_insert_errors = limit()?,
        "MAXATTEMPTS" => options.max_attempts = u32::try_from(positive()?).unwrap_or(u32::MAX),
        "ERRFILE" => options.error_file = Some(path(value)),
        _ => return other(options, name),
    }
    Ok(())
}

/// An option that is not carried out: one that changes nothing that can be seen is noted, others are refused.
fn other(options: &mut CopyOptions, name: &str) -> Result<(), CommandError> {
    if REFUSED.contains(&name) {
        return Err(CommandError::Copy(format!("{name} is not supported")));
    }
    if let Some(known) = IGNORED.iter().find(|known| **known == name) {
        options.ignored.push(known);
        return Ok(());
    }
    let hint = nearest(name, OPTIONS.iter().map(|(name, _, _)| *name));
    let hint = hint.map(|hint| format!("; did you mean {hint}?")).unwrap_or_default();
    Err(CommandError::Copy(format!("no option {name} (HELP COPY lists them){hint}")))
}

fn boolean(value: &str) -> Option<bool> {
    match value.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// One ASCII character; `\t` is a tab, as people write it.
fn character(value: &str) -> Option<u8> {
    match value.as_bytes() {
        [byte] if byte.is_ascii() => Some(*byte),
        b"\\t" => Some(b'\t'),
        _ => None,
    }
}

/// The content of a quoted text or name.
fn unquoted(text: &str) -> String {
    if let Some(inside) = text.strip_prefix("$$") {
        return inside.strip_suffix("$$").unwrap_or(inside).to_string();
    }
    let mark = text.chars().next().unwrap_or('\'');
    let inside = text.strip_prefix(mark).unwrap_or(text);
    let inside = inside.strip_suffix(mark).unwrap_or(inside);
    inside.replace(&format!("{mark}{mark}"), &mark.to_string())
}

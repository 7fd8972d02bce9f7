//! Completion: what can stand at the cursor, by the grammar and the schema.
//!
//! The parser itself says what it expects behind the words typed so far: a token that fits nowhere is put at the
//! cursor, and the error's list of expectations is the list of candidates, with names of the catalogue in place of
//! `a table name` and its like. So completion knows exactly the grammar that the parser knows.

mod columns;
mod commands;
mod options;

use std::collections::BTreeSet;
use std::ops::Range;

use tholos_grammar::types::Native;
use tholos_parser::{Expected, parse_statement};

use crate::catalogue::{Catalogue, Keyspace, quoted};
use crate::lex::{self, Kind};

/// A token that no statement has a place for, with a blank before it.
const NOWHERE: &str = " ..";

/// What is known at the cursor.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context<'a> {
    pub(crate) catalogue: &'a Catalogue,
    /// The keyspace in use.
    pub(crate) keyspace: Option<&'a str>,
}

/// Where the word at the cursor begins, and what can stand there, sorted.
pub(crate) fn complete(before: &str, line: &str, context: Context<'_>) -> (usize, Vec<String>) {
    if before.is_empty()
        && let Some(found) = commands::complete(line)
    {
        return found;
    }
    if before.is_empty()
        && let Some((statement, start)) = commands::statement(line)
    {
        // A short form is completed as the statement that it stands for.
        let (begin, found) = complete("", &statement, context);
        return ((begin + line.len()).saturating_sub(statement.len()).max(start), found);
    }
    let text = format!("{before}{line}");
    let begin = statement_start(&text);
    if let Some((start, found)) = options::complete(text.get(begin..).unwrap_or_default()) {
        return ((begin + start).saturating_sub(before.len()), found);
    }
    let Some(word) = word_at_end(&text) else { return (line.len(), Vec::new()) };
    let typed = text.get(word.clone()).unwrap_or_default();
    let statement = text.get(begin..).unwrap_or_default();
    let head = text.get(begin..word.start).unwrap_or_default();
    let mut found = BTreeSet::new();
    if head.trim().is_empty() {
        found.extend(commands::first_words());
    } else {
        found = expected(head, statement, context);
    }
    let mut candidates: Vec<String> = found
        .into_iter()
        .filter(|candidate| starts_with(candidate, typed))
        .map(|candidate| in_case_of(typed, candidate))
        .collect();
    candidates.dedup();
    (word.start.saturating_sub(before.len()), candidates)
}

/// The type of the value that stands next in an INSERT, such as `<int>`.
pub(crate) fn hint(before: &str, line: &str, context: Context<'_>) -> Option<String> {
    let text = format!("{before}{line}");
    let statement = text.get(statement_start(&text)..)?;
    let (keyspace, table) = table_of(statement)?;
    let columns = context.catalogue.columns(keyspace.as_deref().or(context.keyspace)?, &table);
    columns::next_type(statement, columns).map(|ty| format!("<{ty}>"))
}

/// The pieces of a text that are no blanks and comments.
fn words_of(text: &str) -> Vec<lex::Token> {
    let is_word = |token: &lex::Token| !matches!(token.kind, Kind::Blank | Kind::Comment);
    lex::tokens(text).into_iter().filter(is_word).collect()
}

/// The text of a token; none is empty.
fn text_at<'t>(text: &'t str, tokens: &[lex::Token], index: usize) -> &'t str {
    tokens.get(index).and_then(|token| text.get(token.span.clone())).unwrap_or_default()
}

/// The name that a token is, as the schema has it.
fn name_at(text: &str, tokens: &[lex::Token], index: usize) -> Option<String> {
    let written = text_at(text, tokens, index);
    match tokens.get(index)?.kind {
        Kind::Word => Some(written.to_ascii_lowercase()),
        Kind::Name => Some(written.trim_matches('"').replace("\"\"", "\"")),
        _ => None,
    }
}

/// Where the statement that the text ends in begins.
fn statement_start(text: &str) -> usize {
    let split = tholos_parser::split_statements(text);
    match split.rest {
        Some(rest) => rest.span.start,
        None => text.len(),
    }
}

/// The word, possibly empty, that the text ends with; `None` inside of a text or comment.
fn word_at_end(text: &str) -> Option<Range<usize>> {
    let end = text.len()..text.len();
    match lex::tokens(text).pop() {
        None => Some(end),
        Some(token) => match token.kind {
            Kind::Word => Some(token.span),
            Kind::Name if !token.is_closed => Some(token.span),
            Kind::Text | Kind::Comment if !token.is_closed => None,
            Kind::Comment if !text.ends_with('\n') => None,
            _ => Some(end),
        },
    }
}

/// Whether a candidate begins as typed. A name that needs quotes is found without them too.
fn starts_with(candidate: &str, typed: &str) -> bool {
    let candidate = match candidate.strip_prefix('"') {
        Some(bare) if !typed.starts_with('"') && !typed.is_empty() => bare,
        _ => candidate,
    };
    let typed = typed.as_bytes();
    candidate.as_bytes().get(..typed.len()).is_some_and(|head| head.eq_ignore_ascii_case(typed))
}

/// Keywords come in the case that was begun: `sel` becomes `select`, `SEL` and nothing become `SELECT`.
fn in_case_of(typed: &str, candidate: String) -> String {
    let is_lower = typed.chars().next().is_some_and(|c| c.is_ascii_lowercase());
    let is_keyword = candidate.chars().all(|c| c.is_ascii_uppercase() || c == '_' || c == ' ');
    if is_lower && is_keyword { candidate.to_ascii_lowercase() } else { candidate }
}

/// What the parser would take behind `head`.
fn expected(head: &str, statement: &str, context: Context<'_>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    // Behind `ks.` the name of a table, type, ... of that keyspace stands.
    let qualifier = qualifier(head);
    let base = match &qualifier {
        Some((_, start)) => head.get(..*start).unwrap_or_default(),
        None => head,
    };
    let probe = format!("{base}{NOWHERE}");
    let Err(error) = parse_statement(&probe) else { return found };
    if error.offset != probe.len() - NOWHERE.trim_start().len() {
        // There is a mistake before the cursor: what comes behind it can't be told.
        return found;
    }
    let keyspace = match &qualifier {
        Some((name, _)) => Some(name.as_str()),
        None => context.keyspace,
    };
    let names = Names { context, keyspace, is_qualified: qualifier.is_some(), head, statement };
    for expectation in &error.expected {
        names.add(expectation, &mut found);
    }
    found
}

/// The keyspace of a `ks.` that the text ends with, and where it begins.
fn qualifier(head: &str) -> Option<(String, usize)> {
    let mut tokens = lex::tokens(head);
    let dot = tokens.pop()?;
    let name = tokens.pop()?;
    let is_dot = dot.kind == Kind::Symbol && head.get(dot.span) == Some(".");
    let text = head.get(name.span.clone())?;
    match name.kind {
        Kind::Word if is_dot => Some((text.to_ascii_lowercase(), name.span.start)),
        Kind::Name if is_dot => {
            Some((text.trim_matches('"').replace("\"\"", "\""), name.span.start))
        }
        _ => None,
    }
}

/// Where names for expectations come from.
struct Names<'a> {
    context: Context<'a>,
    keyspace: Option<&'a str>,
    is_qualified: bool,
    /// The statement up to the word at the cursor.
    head: &'a str,
    statement: &'a str,
}

impl Names<'_> {
    fn add(&self, expectation: &Expected, found: &mut BTreeSet<String>) {
        match expectation {
            Expected::Keyword(word) if !self.is_qualified => {
                found.insert((*word).to_string());
            }
            Expected::Thing(thing) => self.add_things(thing, found),
            _ => {}
        }
    }

    fn add_things(&self, thing: &str, found: &mut BTreeSet<String>) {
        match thing {
            "a keyspace name" => self.add_keyspaces("", found),
            "a table name" | "a view name" => {
                self.add_qualifiers(found);
                self.add_of_keyspace(found, |keyspace| keyspace.tables.keys().collect());
            }
            "a type name" => {
                self.add_qualifiers(found);
                self.add_of_keyspace(found, |keyspace| keyspace.types.iter().collect());
            }
            "an index name" => {
                self.add_qualifiers(found);
                self.add_of_keyspace(found, |keyspace| keyspace.indexes.iter().collect());
            }
            "a function name" => {
                self.add_qualifiers(found);
                self.add_of_keyspace(found, |keyspace| keyspace.functions.iter().collect());
            }
            "a type" => {
                found.extend(Native::ALL.iter().map(|native| native.name().to_string()));
                found.extend(COMPOSITE_TYPES.map(str::to_string));
                self.add_of_keyspace(found, |keyspace| keyspace.types.iter().collect());
            }
            "a name" => {
                self.add_qualifiers(found);
                self.add_of_keyspace(found, |keyspace| keyspace.tables.keys().collect());
            }
            "a column" | "a selector" => {
                self.add_columns(found);
                self.add_functions(found);
            }
            "a column name" | "a clustering column" => self.add_columns(found),
            "a value" => self.add_functions(found),
            "an option" => found.extend(self.options().iter().map(|name| (*name).to_string())),
            _ => {}
        }
    }

    fn add_keyspaces(&self, behind: &str, found: &mut BTreeSet<String>) {
        let names = self.context.catalogue.keyspaces.keys();
        found.extend(names.map(|name| format!("{}{behind}", quoted(name))));
    }

    /// Keyspaces as the beginning of a qualified name.
    fn add_qualifiers(&self, found: &mut BTreeSet<String>) {
        if !self.is_qualified {
            self.add_keyspaces(".", found);
        }
    }

    fn add_of_keyspace<'c>(
        &'c self,
        found: &mut BTreeSet<String>,
        names: impl Fn(&'c Keyspace) -> Vec<&'c String>,
    ) {
        let keyspace = self.keyspace.and_then(|name| self.context.catalogue.keyspaces.get(name));
        if let Some(keyspace) = keyspace {
            found.extend(names(keyspace).into_iter().map(|name| quoted(name)));
        }
    }

    fn add_functions(&self, found: &mut BTreeSet<String>) {
        if !self.is_qualified {
            found.extend(FUNCTIONS.map(str::to_string));
        }
        self.add_of_keyspace(found, |keyspace| keyspace.functions.iter().collect());
    }

    fn add_columns(&self, found: &mut BTreeSet<String>) {
        let Some((keyspace, table)) = table_of(self.statement) else {
            // FROM comes later: any column of the keyspace may be meant.
            return self.add_of_keyspace(found, |keyspace| {
                keyspace.tables.values().flatten().map(|column| &column.name).collect()
            });
        };
        let Some(keyspace) = keyspace.as_deref().or(self.context.keyspace) else { return };
        let columns = self.context.catalogue.columns(keyspace, &table);
        found.extend(columns::legal(self.head, columns).iter().map(|column| quoted(&column.name)));
    }

    /// Options of what the statement makes.
    fn options(&self) -> &'static [&'static str] {
        let words: Vec<_> = self.statement.split_whitespace().take(3).collect();
        let has = |word: &str| words.iter().any(|found| found.eq_ignore_ascii_case(word));
        if has("KEYSPACE") {
            &["replication", "durable_writes"]
        } else if has("ROLE") || has("USER") {
            &["password", "login", "superuser", "options"]
        } else {
            &TABLE_OPTIONS
        }
    }
}

/// Functions that people type, in the form they are called.
const FUNCTIONS: [&str; 35] = [
    "abs(",
    "avg(",
    "cast(",
    "collection_count(",
    "count(",
    "count(*)",
    "current_date()",
    "current_time()",
    "current_timestamp()",
    "current_timeuuid()",
    "exp(",
    "from_json(",
    "log(",
    "log10(",
    "map_keys(",
    "map_values(",
    "max(",
    "max_timeuuid(",
    "maxwritetime(",
    "min(",
    "min_timeuuid(",
    "now()",
    "round(",
    "similarity_cosine(",
    "sum(",
    "text_as_blob(",
    "blob_as_text(",
    "to_date(",
    "to_json(",
    "to_timestamp(",
    "to_unix_timestamp(",
    "token(",
    "ttl(",
    "uuid()",
    "writetime(",
];

const COMPOSITE_TYPES: [&str; 6] = ["frozen<", "list<", "map<", "set<", "tuple<", "vector<"];

const TABLE_OPTIONS: [&str; 16] = [
    "additional_write_policy",
    "bloom_filter_fp_chance",
    "caching",
    "cdc",
    "comment",
    "compaction",
    "compression",
    "crc_check_chance",
    "default_time_to_live",
    "gc_grace_seconds",
    "max_index_interval",
    "memtable",
    "memtable_flush_period_in_ms",
    "min_index_interval",
    "read_repair",
    "speculative_retry",
];

/// The table that a statement is about: the name behind FROM, INTO, UPDATE, TABLE or ON, with its keyspace.
fn table_of(statement: &str) -> Option<(Option<String>, String)> {
    let tokens = words_of(statement);
    let text = |index: usize| text_at(statement, &tokens, index);
    let name = |index: usize| name_at(statement, &tokens, index);
    let introduces = |index: &usize| {
        let words = ["FROM", "INTO", "UPDATE", "TABLE", "ON"];
        words.iter().any(|word| text(*index).eq_ignore_ascii_case(word))
    };
    let first = (0..tokens.len()).find(introduces)? + 1;
    if text(first + 1) == "." {
        Some((name(first), name(first + 2)?))
    } else {
        Some((None, name(first)?))
    }
}

#[cfg(test)]
mod tests;

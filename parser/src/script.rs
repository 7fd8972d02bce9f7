//! Scripts: finding where statements end, and parsing one after the other.
//!
//! The boundaries are lexical: a `;` outside of quotes, comments and batches. So a statement that does not parse does
//! not hide those behind it, and a shell can tell an unfinished statement from a wrong one.

use std::borrow::Cow;
use std::ops::Range;

use tholos_grammar::ast::Statement;

use crate::error::ParseError;
use crate::input::{Input, Trace};
use crate::lexer::{Flaw, Kind};
use crate::parse_range;

/// A range of bytes of the source.
pub type Span = Range<usize>;

/// The statements of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Split {
    /// Those that end with `;`: from the first token to the `;`, without it. Empty ones are left out.
    pub statements: Vec<Span>,
    /// What stands behind the last `;`, if anything but blanks and comments does.
    pub rest: Option<Unfinished>,
}

/// A statement without its `;`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unfinished {
    /// From its first token to the end of the source.
    pub span: Span,
    /// What the source ends inside of.
    pub inside: Inside,
}

/// What a text ends inside of: what a shell's continuation prompt may show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inside {
    /// A statement that only lacks `;`, as far as quotes and batches tell.
    Statement,
    /// `BEGIN BATCH`, and no `APPLY BATCH` yet.
    Batch,
    /// `'text`
    Text,
    /// `$$text`
    DollarText,
    /// `"name`
    Name,
    /// `/* comment`
    Comment,
}

/// The next statement of a text, found without parsing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextStatement {
    /// From its first token to its last, without the `;`. Empty where a `;` follows on nothing.
    pub span: Span,
    /// The offset behind the `;`, or the end of the source.
    pub next: usize,
    /// What the source ends inside of; `None` when the `;` is there.
    pub unfinished: Option<Inside>,
}

/// Finds the statement at or behind `offset`, which must be on a character boundary; `None` if nothing but blanks and
/// comments is there.
pub fn next_statement(source: &str, offset: usize) -> Option<NextStatement> {
    match next_boundary(source, offset) {
        Boundary::End => None,
        Boundary::Semicolon { span, next } => Some(NextStatement { span, next, unfinished: None }),
        Boundary::Unfinished(Unfinished { span, inside }) => {
            Some(NextStatement { next: span.end, span, unfinished: Some(inside) })
        }
    }
}

/// Parses the statement at a span of the source. Offsets, lines and columns of errors are those of the whole source.
pub fn parse_statement_at(source: &str, span: Span) -> Result<Statement, ParseError> {
    parse_range(source, span)
}

/// Finds the statements of a text, without parsing them.
pub fn split_statements(source: &str) -> Split {
    let mut split = Split { statements: Vec::new(), rest: None };
    let mut offset = 0;
    loop {
        match next_boundary(source, offset) {
            Boundary::End => return split,
            Boundary::Semicolon { span, next } => {
                if !span.is_empty() {
                    split.statements.push(span);
                }
                offset = next;
            }
            Boundary::Unfinished(rest) => {
                split.rest = Some(rest);
                return split;
            }
        }
    }
}

enum Boundary {
    /// Nothing stands behind the offset.
    End,
    /// A statement and its `;`.
    Semicolon { span: Span, next: usize },
    /// A statement without one.
    Unfinished(Unfinished),
}

/// Where the statement at or behind `offset` ends.
fn next_boundary(source: &str, offset: usize) -> Boundary {
    let trace = Trace::default();
    let Ok(offset) = u32::try_from(offset) else { return Boundary::End };
    let mut input = Input::new(source, offset, &trace);
    let start = input.token.start as usize;
    let mut last = start;
    let mut batch = begins_batch(input);
    let unfinished =
        |inside| Boundary::Unfinished(Unfinished { span: start..source.len(), inside });
    loop {
        match input.kind() {
            Kind::End if last == start => return Boundary::End,
            Kind::End => return unfinished(if batch { Inside::Batch } else { Inside::Statement }),
            Kind::Bad(Flaw::OpenText) => return unfinished(Inside::Text),
            Kind::Bad(Flaw::OpenDollarText) => return unfinished(Inside::DollarText),
            Kind::Bad(Flaw::OpenName) => return unfinished(Inside::Name),
            Kind::Bad(Flaw::OpenComment) => return unfinished(Inside::Comment),
            Kind::Symbol(";") if !batch => {
                return Boundary::Semicolon { span: start..last, next: input.token.end as usize };
            }
            _ => batch = batch && !input.are_words(&["APPLY", "BATCH"]),
        }
        last = input.token.end as usize;
        input = input.next();
    }
}

/// Whether `BEGIN [kind] BATCH` stands here.
fn begins_batch(input: Input<'_>) -> bool {
    let kinds = ["UNLOGGED", "COUNTER", "LOGGED"];
    input.are_words(&["BEGIN", "BATCH"])
        || kinds.iter().any(|kind| input.are_words(&["BEGIN", kind, "BATCH"]))
}

/// Parses a script: statements separated by `;`. After an error it goes on with the next statement.
///
/// A span runs from the first token of the statement to its last, without the `;`. Offsets, lines and columns of errors
/// are those of the whole source.
pub fn parse_script(source: &str) -> Script<'_> {
    Script { source, offset: 0 }
}

/// The statements of a script, in order.
#[derive(Clone, Debug)]
pub struct Script<'a> {
    source: &'a str,
    offset: usize,
}

impl Iterator for Script<'_> {
    type Item = Result<(Span, Statement), ParseError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (span, next) = match next_boundary(self.source, self.offset) {
                Boundary::End => return None,
                Boundary::Semicolon { span, next } => (span, next),
                Boundary::Unfinished(Unfinished { span, .. }) => {
                    let end = span.end;
                    (span, end)
                }
            };
            self.offset = next;
            if !span.is_empty() {
                return Some(
                    parse_range(self.source, span.start..next).map(|statement| (span, statement)),
                );
            }
        }
    }
}

/// The text with every password hidden, for histories and logs: what stands in quotes behind the word `PASSWORD`. It
/// need not be a statement that parses; one that does not is what people mistype.
pub fn redact_passwords(source: &str) -> Cow<'_, str> {
    let trace = Trace::default();
    let mut redacted = String::new();
    let mut copied = 0;
    let mut input = Input::new(source, 0, &trace);
    while input.kind() != Kind::End {
        let is_password = input.is_word("PASSWORD");
        input = input.next();
        let value = if input.is_symbol("=") { input.next() } else { input };
        let is_text =
            matches!(value.kind(), Kind::Text | Kind::DollarText | Kind::QuotedName | Kind::Bad(_));
        if is_password && is_text {
            redacted.push_str(source.get(copied..value.token.start as usize).unwrap_or_default());
            redacted.push_str("'*****'");
            copied = value.token.end as usize;
            input = value.next();
        }
    }
    if copied == 0 {
        return Cow::Borrowed(source);
    }
    redacted.push_str(source.get(copied..).unwrap_or_default());
    Cow::Owned(redacted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn statements(source: &str) -> Vec<&str> {
        split_statements(source).statements.into_iter().map(|span| &source[span]).collect()
    }

    fn inside(source: &str) -> Option<Inside> {
        split_statements(source).rest.map(|rest| rest.inside)
    }

    #[test]
    fn semicolons_in_quotes_comments_and_batches_end_nothing() {
        let source = "USE a; -- b;\nSELECT ';' /* ; */ FROM \";\"; $$;$$;\n\
                      begin unlogged batch DELETE FROM t; INSERT; apply batch; ;; USE b;";
        let batch = "begin unlogged batch DELETE FROM t; INSERT; apply batch";
        assert_eq!(
            statements(source),
            ["USE a", "SELECT ';' /* ; */ FROM \";\"", "$$;$$", batch, "USE b"]
        );
        assert_eq!(inside(source), None);
    }

    #[test]
    fn unfinished_text_says_inside_of_what() {
        assert_eq!(inside("USE a; -- b"), None);
        assert_eq!(inside("USE a"), Some(Inside::Statement));
        assert_eq!(inside("SELECT 'a;"), Some(Inside::Text));
        assert_eq!(inside("SELECT $$a;"), Some(Inside::DollarText));
        assert_eq!(inside("SELECT \"a;"), Some(Inside::Name));
        assert_eq!(inside("USE a; /* b;"), Some(Inside::Comment));
        assert_eq!(inside("BEGIN COUNTER BATCH UPDATE t;"), Some(Inside::Batch));
        assert_eq!(inside("BEGIN BATCH APPLY BATCH"), Some(Inside::Statement));
    }

    #[test]
    fn a_script_goes_on_behind_an_error() {
        let source = "USE a;\nUSE;\nSELECT * FROM t";
        let parsed: Vec<_> = parse_script(source).collect();
        let spans: Vec<_> =
            parsed.iter().flatten().map(|(span, _)| &source[span.clone()]).collect();
        assert_eq!(spans, ["USE a", "SELECT * FROM t"]);
        let error = parsed[1].as_ref().expect_err("a keyspace is missing");
        assert_eq!(error.to_string(), "line 2:4 expected a keyspace name, found ';'");
        assert_eq!(error.offset, 10);
    }

    #[test]
    fn passwords_are_hidden_wherever_they_stand() {
        for (source, redacted) in [
            (
                "CREATE ROLE a WITH PASSWORD = 'x''y' AND LOGIN = true",
                "CREATE ROLE a WITH PASSWORD = '*****' AND LOGIN = true",
            ),
            (
                "create user a with hashed password 'x'",
                "create user a with hashed password '*****'",
            ),
            ("CREATE ROLE a WITH PASSWORD = 'open", "CREATE ROLE a WITH PASSWORD = '*****'"),
            ("ALTER ROL a WITH password=$$x$$; USE a", "ALTER ROL a WITH password='*****'; USE a"),
            ("SELECT password FROM t WHERE a = 'x'", "SELECT password FROM t WHERE a = 'x'"),
        ] {
            assert_eq!(redact_passwords(source), redacted);
        }
    }

    #[test]
    fn statements_are_found_one_by_one() {
        let source = "USE a; ; -- c\nSELECT 'b";
        let first = next_statement(source, 0).expect("there is one");
        assert_eq!((&source[first.span], first.next, first.unfinished), ("USE a", 6, None));
        let empty = next_statement(source, 6).expect("there is an empty one");
        assert_eq!((empty.span.is_empty(), empty.next), (true, 8));
        let open = next_statement(source, 8).expect("there is one");
        assert_eq!((&source[open.span], open.unfinished), ("SELECT 'b", Some(Inside::Text)));
        assert_eq!(next_statement(source, open.next), None);
        assert_eq!(parse_statement_at("USE;\nUSE;", 5..9).map_err(|error| error.line), Err(2));
    }

    #[test]
    fn terms_are_parsed_by_themselves() {
        let round_trip = |text: &str| crate::parse_term(text).map(|term| term.to_string());
        assert_eq!(round_trip("{'a' : [1,2]}"), Ok("{'a': [1, 2]}".to_string()));
        let error = crate::parse_term("[1, 2] x").expect_err("there is more");
        assert_eq!(error.offset, 7);
    }
}

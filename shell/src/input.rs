//! Text to items: CQL statements and commands of the shell, in the order they stand.
//!
//! A CQL statement and COPY end with `;`. The other commands end at their line too, as in cqlsh; one that begins with
//! a backslash takes the whole line. USE and DESCRIBE are the server's, yet need no `;` either. Where a statement ends is
//! the parser's knowledge; here is only what CQL lacks.

use tholos_parser::{Inside, Span, is_first_word, next_statement, parse_statement};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) kind: ItemKind,
    /// From its first character to its last, without the `;`.
    pub(crate) span: Span,
    /// The offset behind it.
    pub(crate) next: usize,
    /// What the text ends inside of, if the item is not finished.
    pub(crate) unfinished: Option<Inside>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ItemKind {
    /// A statement for the server.
    Cql,
    /// A command of the shell.
    Command,
}

/// First words of commands that end with their line.
pub(crate) const LINE_COMMANDS: [&str; 16] = [
    "CAPTURE",
    "CLEAR",
    "CLS",
    "CONSISTENCY",
    "EXIT",
    "EXPAND",
    "FORMAT",
    "HELP",
    "LOGIN",
    "PAGING",
    "QUIT",
    "SERIAL",
    "SHOW",
    "SOURCE",
    "TIMING",
    "TRACING",
];

/// The item at or behind `offset`; `None` if only blanks and comments are there.
pub(crate) fn next_item(source: &str, offset: usize) -> Option<Item> {
    let start = skip_blanks(source, offset);
    let rest = source.get(start..).unwrap_or_default();
    let word = first_word(rest);
    let is = |name: &str| word.eq_ignore_ascii_case(name);
    if rest.starts_with('\\') {
        let line = rest.lines().next().unwrap_or_default();
        let end = start + line.trim_end().trim_end_matches(';').len();
        return Some(command(start..end, start + line.len()));
    }
    if rest.starts_with('?') || LINE_COMMANDS.into_iter().any(is) {
        let (length, taken) = line_length(rest);
        return Some(command(start..start + length, start + taken));
    }
    let statement = next_statement(source, start)?;
    let kind = if is("COPY") { ItemKind::Command } else { ItemKind::Cql };
    if is("DESCRIBE") || is("DESC") {
        let (length, taken) = line_length(rest);
        // DESCRIBE is the server's, yet nobody types a `;` behind it.
        return Some(Item { kind: ItemKind::Cql, ..command(start..start + length, start + taken) });
    }
    if is("USE") {
        let (length, taken) = line_length(rest);
        let line = start..start + length;
        if parse_statement(rest.get(..length).unwrap_or_default()).is_ok() {
            return Some(Item { kind: ItemKind::Cql, ..command(line, start + taken) });
        }
    }
    Some(Item {
        kind,
        span: statement.span,
        next: statement.next,
        unfinished: statement.unfinished,
    })
}

/// Whether anything begins with the first word of an item: else there is no end of it to wait for.
pub(crate) fn begins_item(source: &str, item: &Item) -> bool {
    let text = source.get(item.span.clone()).unwrap_or_default();
    let word = first_word(text);
    let is_comment = item.unfinished == Some(Inside::Comment) && text.starts_with("/*");
    is_comment || is_first_word(word) || word.eq_ignore_ascii_case("COPY")
}

/// The number of the line, from 1, that seems to lack its `;`: the first behind which the text so far is a whole
/// statement, and another one begins. Only lines that begin at `from` or behind are taken for that other one.
pub(crate) fn missing_semicolon(text: &str, from: usize) -> Option<usize> {
    /// Most beginnings that are looked at: a statement of many lines is parsed again for each.
    const MOST: usize = 8;
    let begins = |line: &str| {
        let word = first_word(line);
        is_first_word(word)
            || LINE_COMMANDS.into_iter().any(|command| command.eq_ignore_ascii_case(word))
    };
    let starts = text.match_indices('\n').map(|(newline, _)| {
        let line = text.get(newline + 1..).unwrap_or_default();
        newline + 1 + line.len() - line.trim_start_matches([' ', '\t']).len()
    });
    let candidates = starts.filter(|&start| start >= from && text.get(start..).is_some_and(begins));
    let start = candidates.take(MOST).find(|&start| {
        let before = text.get(..start).unwrap_or_default();
        !before.trim().is_empty() && parse_statement(before).is_ok()
    })?;
    Some(text.get(..start)?.trim_end().lines().count())
}

/// The word that a text begins with, possibly empty.
fn first_word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

fn command(span: Span, next: usize) -> Item {
    Item { kind: ItemKind::Command, span, next, unfinished: None }
}

/// The length of a command that ends at its `;` or its line, without and with what ends it.
fn line_length(text: &str) -> (usize, usize) {
    let mut quote = None;
    let mut end = text.len();
    let mut taken = text.len();
    for (index, c) in text.char_indices() {
        match (c, quote) {
            ('\n', _) => (end, taken) = (index, index + 1),
            (';', None) => (end, taken) = (index, index + 1),
            ('\'' | '"', None) => {
                quote = Some(c);
                continue;
            }
            (c, Some(open)) if c == open => {
                quote = None;
                continue;
            }
            _ => continue,
        }
        break;
    }
    (text.get(..end).unwrap_or_default().trim_end().len(), taken)
}

/// The offset of the first character at or behind `offset` that is no blank and in no comment.
fn skip_blanks(source: &str, offset: usize) -> usize {
    let mut rest = source.get(offset..).unwrap_or_default();
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        let skipped = if rest.starts_with("--") || rest.starts_with("//") {
            rest.find('\n').map_or(Some(""), |end| rest.get(end..))
        } else if let Some(comment) = rest.strip_prefix("/*") {
            comment.split_once("*/").map(|(_, behind)| behind)
        } else {
            None
        };
        match skipped {
            Some(behind) => rest = behind,
            None => return source.len() - rest.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(source: &str) -> Vec<(ItemKind, &str, bool)> {
        let mut found = Vec::new();
        let mut offset = 0;
        while let Some(item) = next_item(source, offset) {
            found.push((item.kind, &source[item.span.clone()], item.unfinished.is_some()));
            assert!(item.next > offset, "{source:?} at {offset}");
            offset = item.next;
        }
        found
    }

    #[test]
    fn commands_end_with_their_line_and_statements_with_a_semicolon() {
        use ItemKind::{Command, Cql};
        let source = "-- a comment\nconsistency quorum; SELECT *\n FROM t; tracing on\n\\x on;\n\
                      desc tables\nCOPY t TO 'a;b'\n WITH header = true; \\i it's.cql\nSELECT 'x";
        assert_eq!(
            items(source),
            [
                (Command, "consistency quorum", false),
                (Cql, "SELECT *\n FROM t", false),
                (Command, "tracing on", false),
                (Command, "\\x on", false),
                (Cql, "desc tables", false),
                (Command, "COPY t TO 'a;b'\n WITH header = true", false),
                (Command, "\\i it's.cql", false),
                (Cql, "SELECT 'x", true),
            ]
        );
    }

    #[test]
    fn quotes_hide_a_semicolon_but_not_the_end_of_the_line() {
        use ItemKind::{Command, Cql};
        assert_eq!(
            items("SOURCE 'a;b'; USE x;\ncapture 'open\nUSE y;"),
            [
                (Command, "SOURCE 'a;b'", false),
                (Cql, "USE x", false),
                (Command, "capture 'open", false),
                (Cql, "USE y", false)
            ]
        );
    }

    #[test]
    fn use_needs_no_semicolon_but_may_have_one_later() {
        use ItemKind::Cql;
        assert_eq!(
            items("use zoo\nUSE \"a;b\" -- c\nUSE\n zoo;USE zoo; use a b\n"),
            [
                (Cql, "use zoo", false),
                (Cql, "USE \"a;b\" -- c", false),
                (Cql, "USE\n zoo", false),
                (Cql, "USE zoo", false),
                (Cql, "use a b\n", true),
            ]
        );
    }

    #[test]
    fn only_what_begins_something_waits_for_its_end() {
        let waits = |text: &str| {
            let item = next_item(text, 0).expect("an item");
            assert!(item.unfinished.is_some(), "{text}");
            begins_item(text, &item)
        };
        for text in ["SELECT *", "begin batch", "copy t", "/* a", "apply", "insert into t 'a"] {
            assert!(waits(text), "{text}");
        }
        for text in ["HLEP", ".tables", "SELCT * FROM t", "'a", "42", "/* a */ hlep me", "shwo"] {
            assert!(!waits(text), "{text}");
        }
    }

    #[test]
    fn a_missing_semicolon_is_noticed_where_the_next_statement_begins() {
        let text = "SELECT *\nFROM t\n\nSELECT * FROM u\n";
        assert_eq!(missing_semicolon(text, 0), Some(2));
        assert_eq!(missing_semicolon(text, 17), Some(2));
        assert_eq!(missing_semicolon(text, 20), None);
        assert_eq!(missing_semicolon("USE a\nhelp\n", 0), Some(1));
        for whole in [
            "CREATE MATERIALIZED VIEW v AS\nSELECT a FROM t",
            "GRANT\nSELECT ON t TO r",
            "INSERT INTO t (a)\nVALUES (1)\nUSING TTL 1",
        ] {
            assert_eq!(missing_semicolon(whole, 0), None, "{whole}");
        }
    }

    #[test]
    fn nothing_is_no_item() {
        assert_eq!(items("  -- nothing\n // here\n/* or here */ \n"), []);
        assert_eq!(items(";;"), [(ItemKind::Cql, "", false), (ItemKind::Cql, "", false)]);
        // A comment without an end waits for it.
        assert_eq!(items("/* open"), [(ItemKind::Cql, "/* open", true)]);
    }
}

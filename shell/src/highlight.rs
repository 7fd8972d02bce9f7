//! Colours for CQL as it is typed.

use tholos_grammar::name::RESERVED;
use tholos_grammar::types::Native;

use crate::lex::{self, Kind};

const KEYWORD: &str = "1;34";
const TYPE: &str = "36";
const TEXT: &str = "33";
const NAME: &str = "35";
const NUMBER: &str = "32";
const COMMENT: &str = "90";
/// Text or names without an end.
const OPEN: &str = "31";

/// Words that are coloured though CQL lets them be names.
const SOFT_KEYWORDS: [&str; 60] = [
    "aggregate",
    "aggregates",
    "all",
    "as",
    "ascending",
    "auto",
    "called",
    "capture",
    "clustering",
    "cluster",
    "compact",
    "consistency",
    "contains",
    "copy",
    "counter",
    "custom",
    "distinct",
    "exists",
    "exit",
    "expand",
    "filtering",
    "finalfunc",
    "frozen",
    "function",
    "functions",
    "group",
    "help",
    "initcond",
    "input",
    "internals",
    "json",
    "key",
    "keys",
    "keyspaces",
    "language",
    "like",
    "list",
    "login",
    "map",
    "null",
    "off",
    "options",
    "paging",
    "partition",
    "password",
    "per",
    "permissions",
    "role",
    "roles",
    "serial",
    "show",
    "source",
    "static",
    "storage",
    "superuser",
    "tables",
    "tracing",
    "ttl",
    "type",
    "values",
];

/// Whether a word is a keyword, in any case.
pub(crate) fn is_keyword(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    RESERVED.binary_search(&word.as_str()).is_ok() || SOFT_KEYWORDS.contains(&word.as_str())
}

/// `line` with colours. `before` are the statement's earlier lines: the line may begin inside of a text or comment.
pub(crate) fn highlight(before: &str, line: &str) -> String {
    let text = format!("{before}{line}");
    let mut out = String::with_capacity(line.len() + 32);
    for token in lex::tokens(&text) {
        let start = token.span.start.max(before.len());
        let Some(piece) = text.get(start..token.span.end).filter(|piece| !piece.is_empty()) else {
            continue;
        };
        let whole = text.get(token.span.clone()).unwrap_or_default();
        match colour(token.kind, whole, token.is_closed) {
            Some(code) => {
                out.push_str("\u{1b}[");
                out.push_str(code);
                out.push('m');
                out.push_str(piece);
                out.push_str("\u{1b}[0m");
            }
            None => out.push_str(piece),
        }
    }
    out
}

fn colour(kind: Kind, text: &str, is_closed: bool) -> Option<&'static str> {
    Some(match kind {
        Kind::Comment => COMMENT,
        Kind::Text | Kind::Name if !is_closed => OPEN,
        Kind::Text => TEXT,
        Kind::Name => NAME,
        Kind::Number => NUMBER,
        Kind::Word if is_keyword(text) => KEYWORD,
        Kind::Word if Native::from_name(text).is_some() => TYPE,
        Kind::Word | Kind::Symbol | Kind::Blank => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keywords_texts_and_comments_are_coloured() {
        assert_eq!(
            highlight("", "Select a, 'b' -- c"),
            "\u{1b}[1;34mSelect\u{1b}[0m a, \u{1b}[33m'b'\u{1b}[0m \u{1b}[90m-- c\u{1b}[0m"
        );
        assert_eq!(highlight("", "x int"), "x \u{1b}[36mint\u{1b}[0m");
    }

    #[test]
    fn a_line_may_begin_inside_a_text() {
        assert_eq!(
            highlight("SELECT 'a\n", "b' from"),
            "\u{1b}[33mb'\u{1b}[0m \u{1b}[1;34mfrom\u{1b}[0m"
        );
        assert_eq!(highlight("", "'open"), "\u{1b}[31m'open\u{1b}[0m");
    }
}

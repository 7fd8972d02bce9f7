//! CQL cut into coloured pieces: what highlighting and COPY need. Never fails; text without an end is a piece that is
//! not closed.

use std::ops::Range;

/// A piece of text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    /// Bytes of the text.
    pub(crate) span: Range<usize>,
    /// False for text, names and comments without an end.
    pub(crate) is_closed: bool,
}

/// What a piece is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Blank,
    Comment,
    /// A keyword or bare name.
    Word,
    /// `"name"`
    Name,
    /// `'text'` or `$$text$$`
    Text,
    /// What begins with a digit: numbers, durations, blobs, some UUIDs.
    Number,
    /// One character of punctuation.
    Symbol,
}

/// The pieces of `text`, first to last, without gaps.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut start = 0;
    while let Some(rest) = text.get(start..).filter(|rest| !rest.is_empty()) {
        let (kind, length, is_closed) = scan(rest);
        tokens.push(Token { kind, span: start..start + length, is_closed });
        start += length;
    }
    tokens
}

/// Kind and length of the first piece, which is never empty, and whether it is closed.
fn scan(text: &str) -> (Kind, usize, bool) {
    let run = |belongs: fn(char) -> bool| text.find(|c| !belongs(c)).unwrap_or(text.len());
    if text.starts_with("--") || text.starts_with("//") {
        return (Kind::Comment, text.find('\n').unwrap_or(text.len()), true);
    }
    if text.starts_with("/*") {
        return closed(text, Kind::Comment, 2, "*/");
    }
    if text.starts_with("$$") {
        return closed(text, Kind::Text, 2, "$$");
    }
    match text.chars().next() {
        Some('\'') => quoted(text, Kind::Text, '\''),
        Some('"') => quoted(text, Kind::Name, '"'),
        Some(c) if c.is_whitespace() => (Kind::Blank, run(char::is_whitespace), true),
        Some(c) if c.is_ascii_digit() => (Kind::Number, number_length(text), true),
        Some(c) if is_word_character(c) => (Kind::Word, run(is_word_character), true),
        Some(c) => (Kind::Symbol, c.len_utf8(), true),
        None => (Kind::Blank, 0, true),
    }
}

fn is_word_character(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Digits and what sticks to them; a point belongs to a number if a digit follows.
fn number_length(text: &str) -> usize {
    let mut chars = text.char_indices().peekable();
    while let Some((index, c)) = chars.next() {
        let next_is_digit = chars.peek().is_some_and(|(_, next)| next.is_ascii_digit());
        if !(is_word_character(c) || c == '.' && next_is_digit) {
            return index;
        }
    }
    text.len()
}

fn closed(text: &str, kind: Kind, opening: usize, end: &str) -> (Kind, usize, bool) {
    let inside = text.get(opening..).unwrap_or_default();
    match inside.find(end) {
        Some(length) => (kind, opening + length + end.len(), true),
        None => (kind, text.len(), false),
    }
}

/// Text between two marks, in which the mark stands doubled.
fn quoted(text: &str, kind: Kind, mark: char) -> (Kind, usize, bool) {
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((index, c)) = chars.next() {
        if c == mark && chars.next_if(|(_, next)| *next == mark).is_none() {
            return (kind, index + 1, true);
        }
    }
    (kind, text.len(), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<(Kind, &str)> {
        tokens(text)
            .into_iter()
            .filter(|token| token.kind != Kind::Blank)
            .map(|token| (token.kind, &text[token.span]))
            .collect()
    }

    #[test]
    fn pieces_are_what_they_look_like() {
        assert_eq!(
            kinds("SELECT \"A\" FROM t -- c\nWHERE a='it''s' AND b >= 1.5 /* d"),
            [
                (Kind::Word, "SELECT"),
                (Kind::Name, "\"A\""),
                (Kind::Word, "FROM"),
                (Kind::Word, "t"),
                (Kind::Comment, "-- c"),
                (Kind::Word, "WHERE"),
                (Kind::Word, "a"),
                (Kind::Symbol, "="),
                (Kind::Text, "'it''s'"),
                (Kind::Word, "AND"),
                (Kind::Word, "b"),
                (Kind::Symbol, ">"),
                (Kind::Symbol, "="),
                (Kind::Number, "1.5"),
                (Kind::Comment, "/* d"),
            ]
        );
        assert_eq!(
            kinds("1..2"),
            [(Kind::Number, "1"), (Kind::Symbol, "."), (Kind::Symbol, "."), (Kind::Number, "2")]
        );
    }

    proptest::proptest! {
        #[test]
        fn pieces_cover_the_text(text in "[a'\"$/*\\-0é. \n]{0,20}") {
            let mut end = 0;
            for token in tokens(&text) {
                assert_eq!(token.span.start, end);
                assert!(token.span.end > token.span.start);
                end = token.span.end;
            }
            assert_eq!(end, text.len());
        }
    }
}

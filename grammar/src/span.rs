//! Where in a statement's text something stands.

use std::hash::{Hash, Hasher};

/// A range of bytes of the text that a tree was parsed from. Empty at 0 for what no text says.
///
/// Spans are for messages: trees are compared by what they mean, so all spans are equal.
///
/// ```
/// use tholos_grammar::span::Span;
/// let text = "SELECT nmae FROM t";
/// assert_eq!(Span::new(7, 11).of(text), "nmae");
/// assert_eq!(Span::new(7, 11).place_in(text), (1, 8));
/// ```
#[derive(Clone, Copy, Default)]
pub struct Span {
    /// Its first byte.
    pub start: u32,
    /// The byte behind its last.
    pub end: u32,
}

impl Span {
    /// The bytes from `start` up to `end`.
    pub fn new(start: u32, end: u32) -> Self {
        Span { start, end }
    }

    /// Whether it stands for no text.
    pub fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// From the beginning of this one to the end of the other.
    #[must_use]
    pub fn to(self, end: Span) -> Span {
        Span { start: self.start, end: end.end.max(self.start) }
    }

    /// The text of it.
    pub fn of(self, text: &str) -> &str {
        text.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// Line and column of its beginning in the text, both from 1; columns count characters.
    pub fn place_in(self, text: &str) -> (u32, u32) {
        let before = text.get(..self.start as usize).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let line = before.bytes().filter(|byte| *byte == b'\n').count() as u32 + 1;
        (line, before[line_start..].chars().count() as u32 + 1)
    }
}

impl PartialEq for Span {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Span {}

impl Hash for Span {
    fn hash<H: Hasher>(&self, _: &mut H) {}
}

impl std::fmt::Debug for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

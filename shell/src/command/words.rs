//! A line cut into words at blanks; quotes hold one together. What a word is when it is a path.

use std::env;
use std::path::PathBuf;

use super::error::CommandError;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    /// Without its quotes, if it had some.
    pub(crate) text: String,
    pub(crate) is_quoted: bool,
}

impl Word {
    /// Whether this is the keyword, in any case.
    pub(crate) fn is(&self, keyword: &str) -> bool {
        !self.is_quoted && self.text.eq_ignore_ascii_case(keyword)
    }
}

/// The words of a line. `'it''s one'` is one word, and so is `"this one"`.
pub(crate) fn words(line: &str) -> Result<Vec<Word>, CommandError> {
    let mut words = Vec::new();
    let mut chars = line.chars().peekable();
    while let Some(&c) = chars.peek() {
        if c.is_whitespace() {
            chars.next();
            continue;
        }
        let mut text = String::new();
        if c == '\'' || c == '"' {
            chars.next();
            loop {
                match chars.next() {
                    None => return Err(CommandError::OpenQuote(c)),
                    Some(next) if next != c => text.push(next),
                    Some(_) if chars.next_if_eq(&c).is_some() => text.push(c),
                    Some(_) => break,
                }
            }
            words.push(Word { text, is_quoted: true });
        } else {
            while let Some(next) = chars.next_if(|next| !next.is_whitespace()) {
                text.push(next);
            }
            words.push(Word { text, is_quoted: false });
        }
    }
    Ok(words)
}

/// A path as people write it: `~/` is the home directory.
pub(crate) fn path(text: &str) -> PathBuf {
    match (text.strip_prefix("~/"), env::var_os("HOME")) {
        (Some(rest), Some(home)) => PathBuf::from(home).join(rest),
        _ => PathBuf::from(text),
    }
}

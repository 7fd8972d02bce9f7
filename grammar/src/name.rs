//! Identifiers: unquoted ones fold to lower case, quoted ones keep their case (CQL 3.4.7, "Identifiers and keywords").

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The name of a keyspace, table, column, type, function or field, already folded: what the schema stores.
///
/// `Display` prints it as CQL would read it back: bare where that is unambiguous, in double quotes elsewhere.
/// Cheap to clone. Ordered by bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Name(Arc<str>);

impl Name {
    /// The name of an identifier written without quotes: folded to lower case.
    pub fn folded(text: &str) -> Self {
        Name(text.to_ascii_lowercase().into())
    }

    /// The name exactly as given: a quoted identifier with its quotes taken off, or a name read from the schema.
    pub fn exact(text: &str) -> Self {
        Name(text.into())
    }

    /// The folded text, without quotes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this name must be written in double quotes to be read back as itself.
    pub fn needs_quotes(&self) -> bool {
        let mut chars = self.0.chars();
        let starts_well = chars.next().is_some_and(|c| c.is_ascii_lowercase());
        let goes_on_well = chars.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        !(starts_well && goes_on_well) || is_reserved(&self.0)
    }
}

/// Whether a word, in any case, is reserved in CQL and so can't be a bare identifier (CQL 3.4.7, appendix A, as Cassandra
/// 5.0 applies it), or is `true` or `false`.
pub fn is_reserved(word: &str) -> bool {
    let lower = || word.bytes().map(|byte| byte.to_ascii_lowercase());
    RESERVED.binary_search_by(|reserved| reserved.bytes().cmp(lower())).is_ok()
        || CONSTANTS.iter().any(|constant| constant.eq_ignore_ascii_case(word))
}

/// The reserved words of CQL, sorted: those that no unreserved-keyword rule lets stand as identifiers. `DEFAULT`, `MBEAN`,
/// `MBEANS`, `REPLACE` and `UNSET` have been free since Cassandra 4.0, and `BETWEEN` always was.
pub const RESERVED: &[&str] = &[
    "add",
    "allow",
    "alter",
    "and",
    "apply",
    "asc",
    "authorize",
    "batch",
    "begin",
    "by",
    "columnfamily",
    "create",
    "delete",
    "desc",
    "describe",
    "drop",
    "entries",
    "execute",
    "from",
    "full",
    "grant",
    "if",
    "in",
    "index",
    "infinity",
    "insert",
    "into",
    "is",
    "keyspace",
    "limit",
    "materialized",
    "modify",
    "nan",
    "norecursive",
    "not",
    "null",
    "of",
    "on",
    "or",
    "order",
    "primary",
    "rename",
    "revoke",
    "schema",
    "select",
    "set",
    "table",
    "to",
    "token",
    "truncate",
    "unlogged",
    "update",
    "use",
    "using",
    "view",
    "where",
    "with",
];

/// Words that are no keywords but constants, so they can't be bare identifiers either.
const CONSTANTS: [&str; 2] = ["false", "true"];

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.needs_quotes() {
            write!(f, "\"{}\"", self.0.replace('"', "\"\""))
        } else {
            f.write_str(&self.0)
        }
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, f)
    }
}

impl Borrow<str> for Name {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl AsRef<str> for Name {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Name {
    /// As [`Name::exact`].
    fn from(text: &str) -> Self {
        Name::exact(text)
    }
}

impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        &*self.0 == other
    }
}

impl PartialEq<&str> for Name {
    fn eq(&self, other: &&str) -> bool {
        &*self.0 == *other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_only_where_needed() {
        assert_eq!(Name::folded("Users").to_string(), "users");
        assert_eq!(Name::exact("Users").to_string(), "\"Users\"");
        assert_eq!(Name::exact("a\"b").to_string(), "\"a\"\"b\"");
        assert_eq!(Name::exact("select").to_string(), "\"select\"");
        assert_eq!(Name::exact("1a").to_string(), "\"1a\"");
        assert_eq!(Name::exact("").to_string(), "\"\"");
    }

    #[test]
    fn reserved_words_are_sorted() {
        assert!(RESERVED.is_sorted());
    }
}

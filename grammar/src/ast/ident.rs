//! Names as a statement writes them.

use std::fmt;
use std::ops::Deref;

use crate::name::Name;
use crate::span::Span;

/// A name, and where it stands.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Ident {
    /// The name.
    pub name: Name,
    /// Where it stands.
    pub span: Span,
}

impl Ident {
    /// A name that stands somewhere.
    pub fn new(name: Name, span: Span) -> Self {
        Ident { name, span }
    }
}

impl Deref for Ident {
    type Target = Name;

    fn deref(&self) -> &Name {
        &self.name
    }
}

impl From<Name> for Ident {
    /// A name that stands nowhere.
    fn from(name: Name) -> Self {
        Ident { name, span: Span::default() }
    }
}

impl From<Ident> for Name {
    fn from(ident: Ident) -> Self {
        ident.name
    }
}

impl fmt::Display for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

impl fmt::Debug for Ident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.name, f)
    }
}

impl PartialEq<str> for Ident {
    fn eq(&self, other: &str) -> bool {
        self.name == *other
    }
}

impl PartialEq<&str> for Ident {
    fn eq(&self, other: &&str) -> bool {
        self.name == **other
    }
}

impl PartialEq<Name> for Ident {
    fn eq(&self, other: &Name) -> bool {
        self.name == *other
    }
}

impl PartialEq<Ident> for Name {
    fn eq(&self, other: &Ident) -> bool {
        *self == other.name
    }
}

//! What a result's column is called: as Cassandra calls it, since programs read columns by name.
//!
//! ```text
//! SELECT toJson(v), (a-b) / c, (list<int>)[k,1], CAST(v AS text)
//! system.tojson(v)   (a - b) / c   (list<int>)[k, 1]   cast(v as text)
//! ```

use std::fmt::{self, Write};

use tholos_grammar::ast::QualifiedName;
use tholos_grammar::ast::ident::Ident;
use tholos_grammar::ast::term::Literal;
use tholos_grammar::ast::type_name::TypeName;

use super::planner::Planner;

impl Planner<'_, '_, '_> {
    /// Goes on with the name, where one is wanted.
    pub(super) fn push(&mut self, text: &str) {
        if self.row.is_some() {
            self.name.push_str(text);
        }
    }

    /// As [`push`](Self::push), formatted.
    pub(super) fn write(&mut self, text: fmt::Arguments<'_>) {
        if self.row.is_some() {
            // Writing to a string does not fail.
            let _ = self.name.write_fmt(text);
        }
    }

    /// Puts something in front of what was written since.
    pub(super) fn insert(&mut self, at: usize, text: &str) {
        if self.row.is_some() {
            self.name.insert_str(at, text);
        }
    }

    /// The name of what was drafted since.
    pub(super) fn named_since(&self, start: usize) -> &str {
        self.name.get(start..).unwrap_or_default()
    }

    /// Text stands in quotes that are not doubled inside.
    pub(super) fn write_literal(&mut self, literal: &Literal) {
        match literal {
            Literal::Text(text) => self.write(format_args!("'{text}'")),
            other => self.write(format_args!("{other}")),
        }
    }

    /// `(type)`, user types with their keyspace.
    pub(super) fn write_hint(&mut self, written: &TypeName) {
        if self.row.is_some() {
            let ty = qualified(written, &self.base.keyspace.clone().into());
            self.write(format_args!("({ty})"));
        }
    }
}

fn qualified(written: &TypeName, keyspace: &Ident) -> TypeName {
    let boxed = |inner: &TypeName| Box::new(qualified(inner, keyspace));
    match written {
        TypeName::User(QualifiedName { keyspace: None, name }) => {
            TypeName::User(QualifiedName { keyspace: Some(keyspace.clone()), name: name.clone() })
        }
        TypeName::List(element) => TypeName::List(boxed(element)),
        TypeName::Set(element) => TypeName::Set(boxed(element)),
        TypeName::Frozen(inner) => TypeName::Frozen(boxed(inner)),
        TypeName::Map(key, value) => TypeName::Map(boxed(key), boxed(value)),
        TypeName::Vector(element, dimensions) => TypeName::Vector(boxed(element), *dimensions),
        TypeName::Tuple(elements) => {
            TypeName::Tuple(elements.iter().map(|element| qualified(element, keyspace)).collect())
        }
        TypeName::Native(_) | TypeName::User(_) | TypeName::Custom(_) => written.clone(),
    }
}

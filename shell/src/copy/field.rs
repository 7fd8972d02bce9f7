//! Fields of a CSV file as values.

use tholos_grammar::ast::term::{Term, TermKind};
use tholos_grammar::name::Name;
use tholos_grammar::types::CqlType;
use tholos_grammar::value::Value;
use tholos_grammar::value::literal::{LiteralError, from_literal, parse_text};
use tholos_parser::{ParseError, parse_term};

/// A field that is no value of its column's type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FieldError {
    #[error("{0}")]
    Scalar(#[from] LiteralError),
    #[error("no CQL literal: {0}")]
    Syntax(#[from] Box<ParseError>),
    #[error("{found} is no value of type {ty}")]
    Kind { found: String, ty: String },
    #[error("{found} element{} where type {ty} has {takes}", if *.found == 1 { "" } else { "s" })]
    Count { found: usize, takes: usize, ty: String },
    #[error("type {ty} has no field {field}")]
    Field { field: String, ty: String },
    #[error("null can't be inside a collection")]
    Null,
}

/// The value of type `ty` that a field holds: plain text for scalars, a CQL literal for the rest.
pub(super) fn parse_field(ty: &CqlType, text: &str) -> Result<Value, FieldError> {
    match ty {
        CqlType::Native(_) => Ok(parse_text(ty, scalar_text(ty, text))?),
        _ => value(ty, &parse_term(text).map_err(Box::new)?),
    }
}

/// Blanks around numbers and the like mean nothing, and files have them; those of text are kept.
fn scalar_text<'t>(ty: &CqlType, text: &'t str) -> &'t str {
    use tholos_grammar::types::Native::{Ascii, Text};
    if matches!(ty, CqlType::Native(Ascii | Text)) { text } else { text.trim() }
}

fn value(ty: &CqlType, term: &Term) -> Result<Value, FieldError> {
    let elements = |ty: &CqlType, terms: &[Term]| {
        terms.iter().map(|term| value(ty, not_null(term)?)).collect::<Result<Vec<_>, _>>()
    };
    Ok(match (ty, &term.kind) {
        (CqlType::Native(_), TermKind::Literal(literal)) => from_literal(literal, ty)?,
        (CqlType::List { element, .. }, TermKind::List(terms)) => {
            Value::List(elements(element, terms)?)
        }
        (CqlType::Set { element, .. }, TermKind::Set(terms)) => {
            Value::Set(elements(element, terms)?)
        }
        (CqlType::Vector { element, dimensions }, TermKind::List(terms)) => {
            check_count(ty, terms.len(), *dimensions as usize)?;
            Value::Vector(elements(element, terms)?)
        }
        (CqlType::Map { .. }, TermKind::Set(terms)) if terms.is_empty() => Value::Map(Vec::new()),
        (CqlType::Map { key, value: of, .. }, TermKind::Map(entries)) => {
            let entry =
                |(k, v): &(Term, Term)| Ok((value(key, not_null(k)?)?, value(of, not_null(v)?)?));
            Value::Map(entries.iter().map(entry).collect::<Result<_, FieldError>>()?)
        }
        (CqlType::Tuple(types), TermKind::Tuple(terms)) => {
            check_count(ty, terms.len(), types.len())?;
            let fields = types.iter().zip(terms).map(|(ty, term)| optional(ty, term));
            Value::Tuple(fields.collect::<Result<_, _>>()?)
        }
        (CqlType::Udt { definition, .. }, TermKind::Udt(written)) => {
            let declared = |name: &Name| definition.fields.iter().any(|(field, _)| field == name);
            if let Some((name, _)) = written.iter().find(|(name, _)| !declared(name)) {
                let (field, ty) = (name.to_string(), definition.name.to_string());
                return Err(FieldError::Field { field, ty });
            }
            let field = |(name, ty): &(Name, CqlType)| {
                let term = written.iter().find(|(written, _)| *written == *name);
                let value = term.map_or(Ok(None), |(_, term)| optional(ty, term))?;
                Ok((name.clone(), value))
            };
            Value::Udt(definition.fields.iter().map(field).collect::<Result<_, FieldError>>()?)
        }
        (ty, _) => {
            return Err(FieldError::Kind { found: term.to_string(), ty: ty.to_string() });
        }
    })
}

fn optional(ty: &CqlType, term: &Term) -> Result<Option<Value>, FieldError> {
    if term.is_null() { Ok(None) } else { value(ty, term).map(Some) }
}

fn not_null(term: &Term) -> Result<&Term, FieldError> {
    if term.is_null() { Err(FieldError::Null) } else { Ok(term) }
}

fn check_count(ty: &CqlType, found: usize, takes: usize) -> Result<(), FieldError> {
    if found == takes {
        Ok(())
    } else {
        Err(FieldError::Count { found, takes, ty: ty.to_string() })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tholos_grammar::types::{Native, UserType};

    use super::*;

    fn list(element: Native) -> CqlType {
        CqlType::List { element: Box::new(element.into()), frozen: false }
    }

    #[test]
    fn what_copy_to_writes_is_read_back() {
        let address = CqlType::Udt {
            definition: Arc::new(UserType {
                keyspace: "k".into(),
                name: "address".into(),
                fields: vec![
                    ("street".into(), Native::Text.into()),
                    ("zip".into(), Native::Int.into()),
                ],
            }),
            frozen: true,
        };
        let map = CqlType::Map {
            key: Box::new(Native::Text.into()),
            value: Box::new(Native::Timestamp.into()),
            frozen: false,
        };
        let vector = CqlType::Vector { element: Box::new(Native::Float.into()), dimensions: 2 };
        let text = |text: &str| Value::Text(text.to_string());
        for (ty, value) in [
            (Native::Text.into(), text(" it's \"one\", two\n")),
            (Native::Timestamp.into(), Value::Timestamp(1_700_000_000_123)),
            (Native::Blob.into(), Value::Blob(vec![0, 255])),
            (list(Native::Text), Value::List(vec![text("it's"), text("")])),
            (map, Value::Map(vec![(text("a"), Value::Timestamp(0))])),
            (
                CqlType::Tuple(vec![Native::Int.into(), Native::Text.into()]),
                Value::Tuple(vec![None, Some(text("x"))]),
            ),
            (vector, Value::Vector(vec![Value::Float(1.5), Value::Float(-2.0)])),
            (address, Value::Udt(vec![("street".into(), Some(text("a"))), ("zip".into(), None)])),
        ] {
            assert_eq!(parse_field(&ty, &value.text(&ty)), Ok(value), "{ty}");
        }
    }

    #[test]
    fn what_is_no_value_says_why() {
        let error =
            |ty: &CqlType, text: &str| parse_field(ty, text).expect_err("an error").to_string();
        assert!(error(&Native::Int.into(), "x").starts_with("x is no value of type int"));
        assert_eq!(error(&list(Native::Int), "{1}"), "{1} is no value of type list<int>");
        assert_eq!(error(&list(Native::Int), "[null]"), "null can't be inside a collection");
        assert!(error(&list(Native::Int), "[1").starts_with("no CQL literal: line 1:3"));
        let pair = CqlType::Tuple(vec![Native::Int.into(), Native::Int.into()]);
        assert!(error(&pair, "(1, 2, 3)").starts_with("3 elements where type"));
        assert_eq!(parse_field(&Native::Int.into(), " 7 "), Ok(Value::Int(7)));
    }
}

//! The document of an INSERT JSON, which gives a value to every column.

use std::fmt;

use tholos_grammar::name::Name;
use tholos_grammar::types::CqlType;
use tholos_storage::schema::Table;

use crate::error::QueryError;
use crate::halt::Halt;
use crate::query::expression::{Evaluated, Expr};
use crate::query::functions::CallContext;
use crate::query::json::parse::{Json, parse};
use crate::query::json::value::{encode, fold};
use crate::query::suggest::nearest;
use crate::query::values::Bound;

/// The document of an INSERT JSON. Its values are the bound values of the statement's keys and writes: marker *n* of
/// these is the table's column *n*.
#[derive(Clone, Debug, PartialEq)]
pub struct InsertDocument {
    /// The text.
    text: Expr,
    /// Columns that the document leaves out are left as they are, instead of being set to null.
    default_unset: bool,
    /// The table's columns, in its order.
    columns: Box<[(Name, CqlType)]>,
}

/// The values of a document's columns.
#[derive(Debug)]
pub struct DocumentValues(Vec<DocumentValue>);

#[derive(Clone, Debug)]
enum DocumentValue {
    Null,
    Unset,
    Bytes(Vec<u8>),
}

impl InsertDocument {
    /// The document for a table.
    pub fn new(table: &Table, text: Expr, default_unset: bool) -> Self {
        let columns = table.columns().map(|column| (column.name.clone(), column.cql_type.clone()));
        InsertDocument { text, default_unset, columns: columns.collect() }
    }

    /// The values that it gives to the table's columns.
    ///
    /// # Errors
    /// [`QueryError::Invalid`], naming the column, for a document that does not fit the table.
    pub fn values(
        &self,
        values: &[Bound<'_>],
        context: CallContext<'_>,
    ) -> Result<DocumentValues, Halt> {
        let text = match self.text.evaluate(values, context)? {
            Evaluated::Bytes(text) => text,
            Evaluated::Null | Evaluated::Unset => {
                return Err(QueryError::invalid(
                    "the document of INSERT JSON is null or not set: give it a JSON object",
                )
                .into());
            }
        };
        let text = std::str::from_utf8(&text)
            .map_err(|error| QueryError::invalid(format!("the JSON document: {error}")))?;
        let members = match parse(text) {
            Ok(Json::Object(members)) => members,
            Ok(other) => {
                return Err(QueryError::invalid(format!(
                    "INSERT JSON takes an object with a member for each column, not {}",
                    other.kind()
                ))
                .into());
            }
            Err(error) => {
                return Err(QueryError::invalid(format!("the document is no JSON: {error}")).into());
            }
        };
        let default = if self.default_unset { DocumentValue::Unset } else { DocumentValue::Null };
        let mut all = vec![default; self.columns.len()];
        for (name, json) in &members {
            let name = fold(name);
            let place = self.columns.iter().position(|(column, _)| column.as_str() == name);
            let (Some(place), Some((column, ty))) =
                (place, place.and_then(|place| self.columns.get(place)))
            else {
                let known = self.columns.iter().map(|(column, _)| column.as_str());
                return Err(QueryError::invalid(format!(
                    "JSON values map contains unrecognized column: {name}{}",
                    nearest(&name, known)
                ))
                .into());
            };
            let bytes = encode(json, ty)
                .map_err(|error| QueryError::invalid(format!("column {column}: {error}")))?;
            if let Some(slot) = all.get_mut(place) {
                *slot = bytes.map_or(DocumentValue::Null, DocumentValue::Bytes);
            }
        }
        Ok(DocumentValues(all))
    }
}

impl DocumentValues {
    /// The values as those of markers.
    pub fn bound(&self) -> Vec<Bound<'_>> {
        let bound = self.0.iter().map(|value| match value {
            DocumentValue::Null => Bound::Null,
            DocumentValue::Unset => Bound::Unset,
            DocumentValue::Bytes(bytes) => Bound::Bytes(bytes),
        });
        bound.collect()
    }
}

impl fmt::Display for InsertDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let default = if self.default_unset { "unset" } else { "null" };
        write!(f, "json {}, the rest is {default}", self.text)
    }
}

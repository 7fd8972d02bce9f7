//! A request's values in the order of its statement's markers.

use std::collections::BTreeMap;

use tholos_grammar::protocol::primitive::RawValue;
use tholos_grammar::protocol::values::Values;

use crate::error::QueryError;
use crate::query::column::ColumnSpec;
use crate::query::values::{Bound, BoundValues};

/// Puts values in order: as they come, or by the names of the markers. A name that stands at several markers binds all
/// of them.
///
/// # Errors
/// Too few or too many values; no value for a marker's name; a name that no marker has.
pub(super) fn bind_values<'a>(
    values: Values<'a>,
    markers: &[ColumnSpec],
) -> Result<BoundValues<'a>, QueryError> {
    if values.are_named() {
        return bind_names(values, markers);
    }
    if values.len() != markers.len() {
        return Err(wrong_count(markers, values.len()));
    }
    Ok(values.iter().map(|bound| raw(bound.value)).collect())
}

fn bind_names<'a>(
    values: Values<'a>,
    markers: &[ColumnSpec],
) -> Result<BoundValues<'a>, QueryError> {
    let mut by_name = BTreeMap::new();
    for bound in values.iter() {
        let name = bound.name.unwrap_or_default();
        if by_name.insert(name.to_ascii_lowercase(), (name, bound.value, false)).is_some() {
            return Err(QueryError::invalid(format!("two values are bound to the name {name:?}")));
        }
    }
    let mut bound = BoundValues::with_capacity(markers.len());
    for marker in markers {
        let Some((_, value, used)) = by_name.get_mut(&marker.name.to_ascii_lowercase()) else {
            return Err(QueryError::invalid(format!(
                "no value is bound to the marker {:?}: bind one of that name, or bind by position",
                marker.name
            )));
        };
        *used = true;
        bound.push(raw(*value));
    }
    match by_name.values().find(|(_, _, used)| !used) {
        None => Ok(bound),
        Some((name, _, _)) => Err(QueryError::invalid(format!(
            "a value is bound to the name {name:?}, which no marker of the statement has"
        ))),
    }
}

fn raw(value: RawValue<'_>) -> Bound<'_> {
    match value {
        RawValue::Bytes(bytes) => Bound::Bytes(bytes),
        RawValue::Null => Bound::Null,
        RawValue::NotSet => Bound::Unset,
    }
}

fn wrong_count(markers: &[ColumnSpec], values: usize) -> QueryError {
    let names: Vec<&str> = markers.iter().take(20).map(|marker| marker.name.as_str()).collect();
    QueryError::invalid(format!(
        "Invalid amount of bind variables: the statement has {} markers ({}), {values} values were bound",
        markers.len(),
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use tholos_grammar::name::Name;
    use tholos_grammar::protocol::values::ValueList;
    use tholos_grammar::types::Native;

    use super::*;

    fn markers(names: &[&str]) -> Vec<ColumnSpec> {
        let marker = |name: &&str| ColumnSpec {
            keyspace: Name::from("k"),
            table: Name::from("t"),
            name: name.to_string(),
            cql_type: Native::Int.into(),
        };
        names.iter().map(marker).collect()
    }

    #[test]
    fn by_position_the_count_must_fit() {
        let mut values = ValueList::positional();
        values.push(RawValue::Bytes(b"x")).unwrap();
        values.push(RawValue::NotSet).unwrap();
        let bound = bind_values(values.as_values(), &markers(&["a", "b"])).unwrap();
        assert_eq!(bound.as_slice(), [Bound::Bytes(b"x"), Bound::Unset]);
        let error = bind_values(values.as_values(), &markers(&["a"])).unwrap_err().to_string();
        assert!(error.contains("1 markers (a), 2 values"), "{error}");
    }

    #[test]
    fn by_name_order_does_not_matter_and_a_name_binds_all_its_markers() {
        let mut values = ValueList::named();
        values.push_named("B", RawValue::Null).unwrap();
        values.push_named("a", RawValue::Bytes(b"x")).unwrap();
        let bound = bind_values(values.as_values(), &markers(&["a", "b", "a"])).unwrap();
        assert_eq!(bound.as_slice(), [Bound::Bytes(b"x"), Bound::Null, Bound::Bytes(b"x")]);
        let refused = |names: &[&str]| {
            bind_values(values.as_values(), &markers(names)).unwrap_err().to_string()
        };
        assert!(refused(&["a", "b", "c"]).contains("marker \"c\""));
        assert!(refused(&["a"]).contains("name \"B\""));
    }
}

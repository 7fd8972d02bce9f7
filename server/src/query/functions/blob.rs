//! `type_as_blob` and `blob_as_type`: the same bytes under another type.

use tholos_grammar::value::codec::{canonical, validate};

use super::Function;
use crate::error::QueryError;

/// Names by native type, in its alphabetical order.
pub(super) const AS_BLOB: [&str; 20] = [
    "ascii_as_blob",
    "bigint_as_blob",
    "blob_as_blob",
    "boolean_as_blob",
    "counter_as_blob",
    "date_as_blob",
    "decimal_as_blob",
    "double_as_blob",
    "duration_as_blob",
    "float_as_blob",
    "inet_as_blob",
    "int_as_blob",
    "smallint_as_blob",
    "text_as_blob",
    "time_as_blob",
    "timestamp_as_blob",
    "timeuuid_as_blob",
    "tinyint_as_blob",
    "uuid_as_blob",
    "varint_as_blob",
];

/// Names by native type, in its alphabetical order.
pub(super) const FROM_BLOB: [&str; 20] = [
    "blob_as_ascii",
    "blob_as_bigint",
    "blob_as_blob",
    "blob_as_boolean",
    "blob_as_counter",
    "blob_as_date",
    "blob_as_decimal",
    "blob_as_double",
    "blob_as_duration",
    "blob_as_float",
    "blob_as_inet",
    "blob_as_int",
    "blob_as_smallint",
    "blob_as_text",
    "blob_as_time",
    "blob_as_timestamp",
    "blob_as_timeuuid",
    "blob_as_tinyint",
    "blob_as_uuid",
    "blob_as_varint",
];

pub(super) fn from_blob(function: &Function, bytes: &[u8]) -> Result<Vec<u8>, QueryError> {
    let ty = &function.returns;
    match validate(ty, bytes).and_then(|()| canonical(ty, bytes)) {
        Ok(value) => Ok(value.into_owned()),
        // As in Cassandra, the statement is to blame: this is no failure of the function.
        Err(error) => Err(QueryError::invalid(format!(
            "{}(): the blob of {} bytes is no value of type {ty}: {error}",
            function.name,
            bytes.len()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use tholos_grammar::types::Native;

    use super::*;

    #[test]
    fn names_follow_the_types() {
        for native in Native::ALL {
            assert_eq!(AS_BLOB[native as usize], format!("{native}_as_blob"));
            assert_eq!(FROM_BLOB[native as usize], format!("blob_as_{native}"));
        }
    }
}

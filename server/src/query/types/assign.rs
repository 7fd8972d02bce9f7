//! Which types can stand in for which: a function's result or a hinted term for a column.

use tholos_grammar::types::{CqlType, Native};

/// Whether bytes of type `from` are values of type `to` as they are.
///
/// `frozen` makes no difference to a value's bytes. Beyond equal types, as in Cassandra: `ascii` is `text`, `timeuuid` is
/// `uuid`, `int`, `bigint` and `timestamp` are `varint`, `bigint` and `timestamp` each other, `bigint` is `time`, `int` is
/// `date`, and everything is a `blob`.
pub fn assignable(from: &CqlType, to: &CqlType) -> bool {
    use CqlType as T;
    match (from, to) {
        (_, T::Native(Native::Blob)) => true,
        (T::Native(from), T::Native(to)) => native_assignable(*from, *to),
        (T::List { element: from, .. }, T::List { element: to, .. })
        | (T::Set { element: from, .. }, T::Set { element: to, .. }) => assignable(from, to),
        (
            T::Map { key: from_key, value: from_value, .. },
            T::Map { key: to_key, value: to_value, .. },
        ) => assignable(from_key, to_key) && assignable(from_value, to_value),
        (T::Tuple(from), T::Tuple(to)) => {
            from.len() <= to.len() && from.iter().zip(to).all(|(from, to)| assignable(from, to))
        }
        (T::Udt { definition: from, .. }, T::Udt { definition: to, .. }) => {
            from.keyspace == to.keyspace && from.name == to.name
        }
        (
            T::Vector { element: from, dimensions: from_dimensions },
            T::Vector { element: to, dimensions: to_dimensions },
        ) => from_dimensions == to_dimensions && assignable(from, to),
        _ => false,
    }
}

fn native_assignable(from: Native, to: Native) -> bool {
    from == to
        || matches!(
            (from, to),
            (Native::Ascii, Native::Text)
                | (Native::Timeuuid, Native::Uuid)
                | (Native::Int | Native::Bigint | Native::Timestamp, Native::Varint)
                | (Native::Bigint, Native::Timestamp | Native::Time)
                | (Native::Timestamp, Native::Bigint)
                | (Native::Int, Native::Date)
                | (Native::Counter, Native::Bigint)
                | (Native::Bigint, Native::Counter)
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widens_and_never_narrows() {
        let native = CqlType::Native;
        assert!(assignable(&native(Native::Ascii), &native(Native::Text)));
        assert!(!assignable(&native(Native::Text), &native(Native::Ascii)));
        assert!(assignable(&native(Native::Timeuuid), &native(Native::Uuid)));
        assert!(!assignable(&native(Native::Uuid), &native(Native::Timeuuid)));
        assert!(assignable(&native(Native::Uuid), &native(Native::Blob)));
        assert!(!assignable(&native(Native::Int), &native(Native::Bigint)));
        assert!(assignable(&native(Native::Bigint), &native(Native::Timestamp)));
        assert!(assignable(&native(Native::Timestamp), &native(Native::Bigint)));
        assert!(assignable(&native(Native::Bigint), &native(Native::Time)));
        assert!(!assignable(&native(Native::Time), &native(Native::Bigint)));
        assert!(assignable(&native(Native::Int), &native(Native::Date)));
        let list = |frozen| CqlType::List { element: Box::new(native(Native::Int)), frozen };
        assert!(assignable(&list(true), &list(false)));
        let set = CqlType::Set { element: Box::new(native(Native::Int)), frozen: true };
        assert!(!assignable(&list(true), &set));
    }
}

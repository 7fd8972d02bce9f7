//! Tuples as one string: fields with `:` between, as tools write them into CSV files and old clients into statements.
//!
//! ```text
//! '1:x'       (1, 'x')
//! '1:@'       (1, null)
//! '1:a\\:b'   (1, 'a:b')       a backslash keeps `:` and `@` from meaning something
//! '1'         (1)             fields left out at the end are null
//! ```
//!
//! A tuple inside a tuple is written with its own `:` escaped. Fields are scalars and tuples.

use super::text::parse_native;
use super::{LiteralError, shortened};
use crate::types::CqlType;
use crate::value::Value;
use crate::value::codec::MAX_NESTING;

const NULL: &str = "@";

/// The value that a string is of a tuple type `ty` with fields of `types`.
pub(super) fn parse(
    text: &str,
    types: &[CqlType],
    ty: &CqlType,
    depth: usize,
) -> Result<Value, LiteralError> {
    let fields = split(text);
    if fields.len() > types.len() || depth >= MAX_NESTING {
        return Err(LiteralError::Form {
            text: shortened(text),
            ty: ty.to_string(),
            reason: format!("{} fields with ':' between, and it has {}", fields.len(), types.len()),
        });
    }
    let fields = fields.iter().zip(types).map(|(field, ty)| match ty {
        _ if *field == NULL => Ok(None),
        CqlType::Native(native) => parse_native(*native, &unescaped(field)).map(Some),
        CqlType::Tuple(types) => parse(&unescaped(field), types, ty, depth + 1).map(Some),
        _ => Err(LiteralError::Composite { ty: ty.to_string() }),
    });
    fields.collect::<Result<_, _>>().map(Value::Tuple)
}

/// Cut at every `:` without a backslash before it.
fn split(text: &str) -> Vec<&str> {
    let mut fields = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (at, c) in text.char_indices() {
        if c == ':' && !escaped {
            fields.extend(text.get(start..at));
            start = at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    fields.extend(text.get(start..));
    fields
}

fn unescaped(field: &str) -> String {
    field.replace("\\:", ":").replace("\\@", NULL)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ast::term::Literal;
    use crate::types::Native;
    use crate::value::literal::from_literal;

    fn of(text: &str, types: &[CqlType]) -> Result<Value, LiteralError> {
        from_literal(&Literal::Text(text.to_owned()), &CqlType::Tuple(types.to_vec()))
    }

    /// What Cassandra 5.0.9 makes of them.
    #[test]
    fn strings_as_tuples() {
        let (int, text) = (CqlType::from(Native::Int), CqlType::from(Native::Text));
        let string = |text: &str| Some(Value::Text(text.to_owned()));
        let ints = [int.clone(), int.clone()];
        assert_eq!(
            of("0:7", &ints),
            Ok(Value::Tuple(vec![Some(Value::Int(0)), Some(Value::Int(7))]))
        );
        assert_eq!(of("1", &ints), Ok(Value::Tuple(vec![Some(Value::Int(1))])));
        assert_eq!(of("@:7", &ints), Ok(Value::Tuple(vec![None, Some(Value::Int(7))])));
        let texts = [text.clone(), text.clone()];
        assert_eq!(of("a\\:b:\\@", &texts), Ok(Value::Tuple(vec![string("a:b"), string("@")])));
        let nested = [text, CqlType::Tuple(ints.to_vec())];
        let inner = Value::Tuple(vec![Some(Value::Int(1)), Some(Value::Int(2))]);
        assert_eq!(of("a:1\\:2", &nested), Ok(Value::Tuple(vec![string("a"), Some(inner)])));
        for bad in ["1:2:3", "x:1", "(1, 2)", ""] {
            assert!(of(bad, &ints).is_err(), "{bad}");
        }
    }
}

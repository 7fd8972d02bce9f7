//! Literals as values of the type that receives them.

use tholos_grammar::ast::term::Literal;
use tholos_grammar::types::CqlType;
use tholos_grammar::value::literal::from_literal;

/// The protocol's bytes of a literal other than null, as a value of a type; in words what is wrong with it otherwise.
pub(super) fn encode(literal: &Literal, cql_type: &CqlType) -> Result<Vec<u8>, String> {
    let value = from_literal(literal, cql_type).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    value.encode(cql_type, &mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

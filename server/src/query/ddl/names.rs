//! Which names keyspaces and tables may have.

use tholos_grammar::name::Name;

use crate::error::QueryError;

/// The most characters that a name may have: directories are named after it.
const MAX_NAME_CHARS: usize = 48;

/// Letters, digits and underscores, as in Cassandra.
///
/// # Errors
/// [`QueryError::Invalid`] that says what the name may hold.
pub(super) fn check_name(what: &str, name: &Name) -> Result<(), QueryError> {
    let text = name.as_str();
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return Err(QueryError::invalid(format!(
            "{what} name must not be empty or contain non-alphanumeric-underscore characters (got {name})"
        )));
    }
    if text.len() > MAX_NAME_CHARS {
        return Err(QueryError::invalid(format!(
            "{what} name must not be more than {MAX_NAME_CHARS} characters long (got {} characters for {name})",
            text.len()
        )));
    }
    Ok(())
}

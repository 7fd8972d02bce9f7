//! "Did you mean": the known name that a wrong one is nearest to.

use tholos_grammar::ast::ident::Ident;
use tholos_storage::schema::{Column, Table};

use crate::error::QueryError;

/// The column that a statement names.
///
/// # Errors
/// [`QueryError::Invalid`] when the table has none of that name.
pub fn defined<'t>(table: &'t Table, name: &Ident) -> Result<&'t Column, QueryError> {
    table.column(name.as_str()).ok_or_else(|| unknown_column(name, table))
}

/// That a table has no such column, but one of nearly that name, or these.
pub fn unknown_column(name: &Ident, table: &Table) -> QueryError {
    let mut hint = nearest(name.as_str(), table.columns().map(|column| column.name.as_str()));
    if hint.is_empty() {
        let names: Vec<String> = table.columns().map(|column| column.name.to_string()).collect();
        hint = format!(": it has {}", names.join(", "));
    }
    let error = QueryError::invalid(format!(
        "table {}.{} has no column {name}{hint}",
        table.keyspace, table.name
    ));
    error.at(name.span)
}

/// `, did you mean x`, if one of the names is near enough to be what was meant; else nothing.
pub fn nearest<'n>(written: &str, known: impl IntoIterator<Item = &'n str>) -> String {
    let lower = written.to_lowercase();
    let scored =
        known.into_iter().map(|name| (strsim::jaro_winkler(&lower, &name.to_lowercase()), name));
    let best = scored.filter(|(score, _)| *score >= 0.8).max_by(|(a, _), (b, _)| a.total_cmp(b));
    match best {
        Some((_, name)) => format!(", did you mean {name}"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suggests_what_is_near_and_nothing_else() {
        let known = ["compaction", "compression", "comment"];
        assert_eq!(nearest("compresion", known), ", did you mean compression");
        assert_eq!(nearest("zzz", known), "");
    }
}

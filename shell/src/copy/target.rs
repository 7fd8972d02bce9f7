//! Where an import goes: the table's columns, and the statement that writes a row.

use std::time::Duration;

use tholos_grammar::name::Name;
use tholos_grammar::protocol::response::error::ErrorKind;
use tholos_grammar::protocol::response::metadata::ColumnSpec;
use tholos_grammar::types::CqlType;

use super::CopyError;
use super::options::CopyCommand;
use crate::client::PreparedStatement;
use crate::error::ShellError;
use crate::session::Session;
use crate::suggest::nearest;

/// A column of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub(super) name: Name,
    pub(super) ty: CqlType,
    /// The statement's marker that it goes to; `None`: it is left out.
    pub(super) marker: Option<usize>,
}

/// Where an import goes.
#[derive(Debug)]
pub(super) struct Target {
    /// The file's columns, in its order.
    pub(super) columns: Vec<Column>,
    pub(super) statement: PreparedStatement,
    is_counter: bool,
}

impl Target {
    /// Looks the table up and prepares the statement. The file's columns are those of the command, else those of its
    /// header, else the table's.
    pub(super) fn prepare(
        session: &mut Session,
        copy: &CopyCommand,
        header: Option<Vec<Name>>,
    ) -> Result<Target, ShellError> {
        let table = copy.table_name();
        let probe = format!("SELECT * FROM {table}");
        let known = session.with_connection(|connection| connection.prepare(&probe))?;
        let known = known.result.columns;
        let wanted = copy.columns.clone().or(header);
        let mut columns = choose(&known, wanted, &table)?;
        let skipped = |name: &Name| copy.options.skip_columns.contains(name);
        let text = number(&mut columns, skipped, &table, copy.options.ttl)?;
        let statement = session.with_connection(|connection| connection.prepare(&text))?;
        let is_counter = columns.iter().any(|column| column.ty.is_counter());
        Ok(Target { columns, statement, is_counter })
    }

    /// Prepares the statement once more: a server that is started again has forgotten it.
    pub(super) fn prepare_again(&mut self, session: &mut Session) -> Result<(), ShellError> {
        let text = self.statement.text.clone();
        self.statement = session.with_connection(|connection| connection.prepare(&text))?;
        Ok(())
    }

    /// Whether a row that met this error may be sent again. A counter that was perhaps written must not be.
    pub(super) fn may_retry(&self, kind: &ErrorKind) -> bool {
        match kind {
            ErrorKind::Unprepared { .. }
            | ErrorKind::Overloaded
            | ErrorKind::Unavailable { .. } => true,
            ErrorKind::WriteTimeout { .. } | ErrorKind::WriteFailure { .. } => !self.is_counter,
            _ => false,
        }
    }
}

/// The file's columns with their types.
fn choose(
    known: &[ColumnSpec],
    wanted: Option<Vec<Name>>,
    table: &str,
) -> Result<Vec<Column>, CopyError> {
    let column = |name: Name, ty: &CqlType| Column { name, ty: ty.clone(), marker: None };
    let Some(wanted) = wanted else {
        return Ok(known
            .iter()
            .map(|spec| column(Name::exact(&spec.name), &spec.column_type))
            .collect());
    };
    wanted
        .into_iter()
        .map(|name| {
            let spec = known.iter().find(|spec| name == *spec.name.as_str()).or_else(|| {
                // A header is often written as people write CQL: in any case.
                known.iter().find(|spec| Name::folded(name.as_str()) == *spec.name.as_str())
            });
            match spec {
                Some(spec) => Ok(column(Name::exact(&spec.name), &spec.column_type)),
                None => {
                    let hint = nearest(name.as_str(), known.iter().map(|spec| spec.name.as_str()));
                    let hint = hint.map(|hint| format!("; did you mean {hint}?"));
                    Err(CopyError::Columns(format!(
                        "table {table} has no column {name}{}",
                        hint.unwrap_or_default()
                    )))
                }
            }
        })
        .collect()
}

/// Gives the columns their markers, and says the statement that has them: INSERT, or UPDATE for counters.
fn number(
    columns: &mut [Column],
    is_skipped: impl Fn(&Name) -> bool,
    table: &str,
    ttl: Option<Duration>,
) -> Result<String, CopyError> {
    let used: Vec<usize> =
        (0..columns.len()).filter(|&index| !is_skipped(&columns[index].name)).collect();
    for (position, &index) in used.iter().enumerate() {
        if used[..position].iter().any(|&other| columns[other].name == columns[index].name) {
            let name = &columns[index].name;
            return Err(CopyError::Columns(format!("column {name} is named twice")));
        }
    }
    let (counters, others): (Vec<usize>, Vec<usize>) =
        used.iter().partition(|&&index| columns[index].ty.is_counter());
    // All that is no counter in a table of counters is its key.
    let order = if counters.is_empty() { used } else { [&counters[..], &others[..]].concat() };
    for (marker, &index) in order.iter().enumerate() {
        columns[index].marker = Some(marker);
    }
    let named = |indexes: &[usize], text: fn(&Name) -> String, separator: &str| {
        let names: Vec<_> = indexes.iter().map(|&index| text(&columns[index].name)).collect();
        names.join(separator)
    };
    if !counters.is_empty() {
        let sets = named(&counters, |name| format!("{name} = {name} + ?"), ", ");
        let relations = named(&others, |name| format!("{name} = ?"), " AND ");
        return Ok(format!("UPDATE {table} SET {sets} WHERE {relations}"));
    }
    let markers = vec!["?"; order.len()].join(", ");
    let using = ttl.map(|ttl| format!(" USING TTL {}", ttl.as_secs())).unwrap_or_default();
    let names = named(&order, Name::to_string, ", ");
    Ok(format!("INSERT INTO {table} ({names}) VALUES ({markers}){using}"))
}

#[cfg(test)]
mod tests {
    use tholos_grammar::types::Native;

    use super::*;

    fn known() -> Vec<ColumnSpec> {
        [("id", Native::Int), ("Name", Native::Text), ("note", Native::Text)]
            .into_iter()
            .map(|(name, ty)| ColumnSpec {
                keyspace: "k".into(),
                table: "t".into(),
                name: name.to_string(),
                column_type: ty.into(),
            })
            .collect()
    }

    #[test]
    fn a_header_may_be_in_another_case_and_order() {
        let header = ["note", "ID"].map(Name::exact).to_vec();
        let mut columns = choose(&known(), Some(header), "t").expect("columns");
        let text = number(&mut columns, |_| false, "t", Some(Duration::from_secs(60)));
        assert_eq!(
            text.expect("a statement"),
            "INSERT INTO t (note, id) VALUES (?, ?) USING TTL 60"
        );
        let error = choose(&known(), Some(vec![Name::exact("noted")]), "t").expect_err("no column");
        assert_eq!(error.to_string(), "COPY: table t has no column noted; did you mean note?");
    }

    #[test]
    fn skipped_columns_have_no_marker() {
        let mut columns = choose(&known(), None, "t").expect("columns");
        let text = number(&mut columns, |name| *name == "note", "t", None).expect("a statement");
        assert_eq!(text, "INSERT INTO t (id, \"Name\") VALUES (?, ?)");
        let markers: Vec<_> = columns.iter().map(|column| column.marker).collect();
        assert_eq!(markers, [Some(0), Some(1), None]);
    }

    #[test]
    fn counters_are_added_to() {
        let mut columns = choose(&known(), None, "t").expect("columns");
        columns[1].ty = Native::Counter.into();
        let text = number(&mut columns, |_| false, "t", None).expect("a statement");
        assert_eq!(text, "UPDATE t SET \"Name\" = \"Name\" + ? WHERE id = ? AND note = ?");
        let markers: Vec<_> = columns.iter().map(|column| column.marker).collect();
        assert_eq!(markers, [Some(1), Some(0), Some(2)]);
    }
}

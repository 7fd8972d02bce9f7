//! The question before what can't be undone.

use tholos_grammar::ast::Statement;
use tholos_grammar::ast::schema::TableChange;

use crate::error::ShellError;
use crate::line::LineReader;

/// Asks, if the statement takes data or schema away; an error unless the answer is yes. A line that is no answer at all
/// came with others, in a paste: it is put back, to be run in its turn.
pub(super) fn confirm(statement: &Statement, reader: &mut LineReader) -> Result<(), ShellError> {
    let Some(question) = question(statement) else { return Ok(()) };
    let Some(answer) = reader.ask(&format!("{question} Go on? [y/N] "))? else {
        return Err(ShellError::Declined);
    };
    match answer.trim().to_ascii_lowercase().as_str() {
        "y" | "yes" => return Ok(()),
        "n" | "no" | "" => {}
        _ => reader.put_back(answer),
    }
    Err(ShellError::Declined)
}

/// What is lost.
fn question(statement: &Statement) -> Option<String> {
    Some(match statement {
        Statement::Truncate(table) => format!("TRUNCATE deletes all rows of {table}."),
        Statement::DropKeyspace(drop) => {
            format!("This drops keyspace {} with all its tables and their rows.", drop.name)
        }
        Statement::DropTable(drop) => {
            format!("This drops table {} with all its rows.", drop.name)
        }
        Statement::DropView(drop) => format!("This drops materialized view {}.", drop.name),
        Statement::DropType(drop) => format!("This drops type {}.", drop.name),
        Statement::DropIndex(drop) => format!("This drops index {}.", drop.name),
        Statement::DropFunction(drop) => format!("This drops function {}.", drop.name),
        Statement::DropAggregate(drop) => format!("This drops aggregate {}.", drop.name),
        Statement::DropTrigger(drop) => format!("This drops trigger {}.", drop.name),
        Statement::DropRole(drop) => format!("This drops role {}.", drop.name),
        Statement::AlterTable(alter) => match &alter.change {
            TableChange::Drop { columns, .. } => {
                let columns: Vec<_> = columns.iter().map(ToString::to_string).collect();
                format!("This drops {} of {} with all values.", columns.join(", "), alter.name)
            }
            _ => return None,
        },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use tholos_parser::parse_statement;

    use super::*;

    #[test]
    fn only_what_takes_away_asks() {
        let asked = |text: &str| question(&parse_statement(text).expect("a statement"));
        assert_eq!(
            asked("DROP TABLE IF EXISTS \"K\".t").as_deref(),
            Some("This drops table \"K\".t with all its rows.")
        );
        assert_eq!(asked("TRUNCATE t").as_deref(), Some("TRUNCATE deletes all rows of t."));
        assert!(asked("ALTER TABLE t DROP a").is_some());
        for text in ["SELECT * FROM t", "DELETE FROM t WHERE a = 1", "ALTER TABLE t ADD b int"] {
            assert_eq!(asked(text), None);
        }
    }
}

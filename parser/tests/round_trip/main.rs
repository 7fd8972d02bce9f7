//! Whatever the tree says, printing it and parsing the text gives the same tree.
//!
//! The generators make trees that a parse can give: a negated number is a negative number, and operands that would
//! regroup stand in parentheses. Everything else is free: names that need quotes, text with quotes and any character,
//! all literals, every optional clause.

mod access;
mod modify;
mod relation;
mod schema;
mod select;
mod term;

use proptest::prelude::*;
use tholos_grammar::ast::Statement;
use tholos_parser::{parse_script, parse_statement, split_statements};

use crate::term::{name, qualified_name};

/// A statement of any kind.
fn statement() -> BoxedStrategy<Statement> {
    prop_oneof![
        6 => select::select().prop_map(Statement::Select),
        6 => modify::modification_statement(),
        2 => modify::batch().prop_map(Statement::Batch),
        1 => qualified_name().prop_map(Statement::Truncate),
        1 => name().prop_map(Statement::Use),
        8 => schema::statement(),
        6 => access::statement(),
        3 => access::describe().prop_map(Statement::Describe),
    ]
    .boxed()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, ..ProptestConfig::default() })]

    #[test]
    fn printing_and_parsing_gives_the_same_tree(statement in statement()) {
        let text = statement.to_string();
        match parse_statement(&text) {
            Ok(parsed) => prop_assert_eq!(parsed, statement, "{}", text),
            Err(error) => prop_assert!(false, "{}", error.render(&text, "printed")),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn scripts_give_their_statements(statements in proptest::collection::vec(statement(), 0..4)) {
        let text: String = statements.iter().map(|statement| format!("{statement};\n")).collect();
        prop_assert_eq!(split_statements(&text).statements.len(), statements.len());
        prop_assert_eq!(split_statements(&text).rest, None);
        let parsed: Result<Vec<_>, _> = parse_script(&text).map(|item| item.map(|(_, statement)| statement)).collect();
        prop_assert_eq!(parsed, Ok(statements));
    }

    #[test]
    fn cut_and_spliced_statements_give_an_error_or_a_tree(
        one in statement(),
        other in statement(),
        cut in any::<prop::sample::Index>(),
        join in any::<prop::sample::Index>(),
    ) {
        let (one, other) = (one.to_string(), other.to_string());
        let head = &one[..one.floor_char_boundary(cut.index(one.len()))];
        let tail = &other[other.floor_char_boundary(join.index(other.len()))..];
        for text in [head.to_string(), format!("{head}{tail}")] {
            match parse_statement(&text) {
                Ok(parsed) => prop_assert_eq!(parse_statement(&parsed.to_string()), Ok(parsed)),
                Err(error) => {
                    prop_assert!(error.offset + error.length as usize <= text.len());
                    prop_assert!(text.is_char_boundary(error.offset));
                    let place = format!("line {}:{} ", error.line, error.column);
                    prop_assert!(error.to_string().starts_with(&place));
                    prop_assert!(!error.render(&text, "spliced").is_empty());
                }
            }
            let _ = split_statements(&text);
        }
    }

    #[test]
    fn any_text_gives_an_error_or_a_tree(text in any::<String>()) {
        if let Err(error) = parse_statement(&text) {
            prop_assert!(!error.render(&text, "any").is_empty());
        }
    }
}

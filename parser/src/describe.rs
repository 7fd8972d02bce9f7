//! DESCRIBE.

use nom::Parser;
use nom::combinator::opt;
use tholos_grammar::ast::QualifiedName;
use tholos_grammar::ast::describe::{Describe, Described};

use crate::error::Expected;
use crate::input::{Input, Parsed};
use crate::lexer::Kind;
use crate::token::{flag, is_name, keyspace_name, keyword, keywords, qualified_name};

/// `DESCRIBE ...`, `DESC ...`
pub(crate) fn describe(input: Input<'_>) -> Parsed<'_, Describe> {
    let (input, what) = what(input.next())?;
    let (input, with_internals) = flag(input, &["WITH", "INTERNALS"])?;
    Ok((input, Describe { what, with_internals }))
}

/// Forms of one word.
const PLURALS: [(&str, Described); 7] = [
    ("CLUSTER", Described::Cluster),
    ("KEYSPACES", Described::Keyspaces),
    ("TABLES", Described::Tables),
    ("COLUMNFAMILIES", Described::Tables),
    ("TYPES", Described::Types),
    ("FUNCTIONS", Described::Functions),
    ("AGGREGATES", Described::Aggregates),
];

/// What a name becomes.
type Named = fn(QualifiedName) -> Described;

/// Forms of a word and a name.
const NAMED: [(&str, Named); 6] = [
    ("TABLE", Described::Table),
    ("COLUMNFAMILY", Described::Table),
    ("TYPE", Described::Type),
    ("FUNCTION", Described::Function),
    ("AGGREGATE", Described::Aggregate),
    ("INDEX", Described::Index),
];

fn what(input: Input<'_>) -> Parsed<'_, Described> {
    let is_dotted = input.next().is_symbol(".");
    for (word, form) in PLURALS {
        if input.is_word(word) && !is_dotted {
            return Ok((input.next(), form));
        }
        input.expect(Expected::Keyword(word));
    }
    for (word, form) in NAMED {
        if input.is_word(word) && !is_dotted {
            let (input, name) = qualified_name("a name").parse(input.next())?;
            return Ok((input, form(name)));
        }
        input.expect(Expected::Keyword(word));
    }
    if input.is_word("MATERIALIZED") {
        let (input, ()) = keywords(input, &["MATERIALIZED", "VIEW"])?;
        return qualified_name("a view name")
            .parse(input)
            .map(|(input, name)| (input, Described::View(name)));
    }
    if input.is_word("FULL") || input.is_word("SCHEMA") {
        let (input, full) = flag(input, &["FULL"])?;
        let (input, ()) = keyword("SCHEMA").parse(input)?;
        return Ok((input, Described::Schema { full }));
    }
    if input.is_word("KEYSPACE") || input.is_word("ONLY") && !is_dotted {
        return keyspace(input);
    }
    ["KEYSPACE", "SCHEMA", "MATERIALIZED"]
        .iter()
        .for_each(|word| input.expect(Expected::Keyword(word)));
    qualified_name("a name").parse(input).map(|(input, name)| (input, Described::Any(name)))
}

/// `[ONLY] KEYSPACE [name]`
fn keyspace(input: Input<'_>) -> Parsed<'_, Described> {
    let (input, only) = flag(input, &["ONLY"])?;
    let (input, ()) = keyword("KEYSPACE").parse(input)?;
    let named = is_name(&input) || matches!(input.kind(), Kind::Bad(_));
    let (input, name) = if named { opt(keyspace_name).parse(input)? } else { (input, None) };
    Ok((input, Described::Keyspace { only, name }))
}

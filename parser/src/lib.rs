//! CQL text to the syntax tree of `tholos_grammar::ast`.
//!
//! [`parse_statement`] parses one statement, [`parse_script`] several; [`split_statements`] only finds where they end.
//! The files mirror those of the tree: one per group of statements, over `term`, `relation` and `type_name`, over
//! `token`, `input` and `lexer`. The grammar is written down in `grammar/cql.ebnf`.
//!
//! Invariants: no name is looked up and no schema known. Parsing is linear in the text: each statement is chosen by its
//! first words, and looking ahead is bounded. Nesting is bounded too ([`limits`]), so neither parsing a tree, printing
//! it nor dropping it can exhaust the stack.

mod access;
#[cfg(test)]
mod bounds;
mod describe;
mod diagnosis;
mod error;
mod foreign;
mod function;
mod hint;
mod input;
mod lexer;
pub mod limits;
mod literal;
mod modify;
mod option;
mod relation;
mod render;
mod schema;
mod script;
mod select;
mod statement;
mod table;
mod term;
mod token;
mod type_name;
mod using;

use std::ops::Range;

use tholos_grammar::ast::Statement;
use tholos_grammar::ast::term::Term;

pub use crate::error::{Class, Expected, ParseError};
pub use crate::script::{
    Inside, NextStatement, Script, Span, Split, Unfinished, next_statement, parse_script,
    parse_statement_at, redact_passwords, split_statements,
};
pub use crate::statement::is_first_word;

use crate::input::{Input, Trace};
use crate::lexer::Kind;
use crate::limits::MAX_STATEMENT_BYTES;

/// Parses one statement, with or without `;` behind it.
pub fn parse_statement(source: &str) -> Result<Statement, ParseError> {
    parse_range(source, 0..source.len())
}

/// Parses one term, such as a collection literal: what COPY finds in a field of a file.
pub fn parse_term(source: &str) -> Result<Term, ParseError> {
    let trace = Trace::default();
    if source.len() > MAX_STATEMENT_BYTES {
        return Err(ParseError::too_long(source, MAX_STATEMENT_BYTES));
    }
    match term::term(Input::new(source, 0, &trace)) {
        Ok((input, term)) if input.kind() == Kind::End => Ok(term),
        Ok((input, _)) => {
            input.expect(Expected::End);
            Err(ParseError::of(source, &trace))
        }
        Err(_) => Err(ParseError::of(source, &trace)),
    }
}

/// Parses the one statement of a range of the source. Errors have the source's offsets and lines.
pub(crate) fn parse_range(source: &str, range: Range<usize>) -> Result<Statement, ParseError> {
    let trace = Trace::default();
    parse_traced(source, range, &trace)
}

/// As [`parse_range`]; `trace` counts the steps.
pub(crate) fn parse_traced(
    source: &str,
    range: Range<usize>,
    trace: &Trace,
) -> Result<Statement, ParseError> {
    if range.len() > MAX_STATEMENT_BYTES {
        return Err(ParseError::too_long(source, MAX_STATEMENT_BYTES));
    }
    let start = u32::try_from(range.start)
        .map_err(|_| ParseError::too_long(source, MAX_STATEMENT_BYTES))?;
    let source = source.get(..range.end).unwrap_or(source);
    let parsed = statement::statement(Input::new(source, start, trace));
    let Ok((input, statement)) = parsed else { return Err(ParseError::of(source, trace)) };
    let mut input = input;
    while input.is_symbol(";") {
        input = input.next();
    }
    if input.kind() == Kind::End {
        return Ok(statement);
    }
    input.expect(Expected::End);
    Err(ParseError::of(source, trace))
}

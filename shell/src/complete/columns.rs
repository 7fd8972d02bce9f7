//! Which columns can stand where: in WHERE those that the key allows next, in SET those that are no key, and the type of
//! the next value.

use super::{name_at, text_at, words_of};
use crate::catalogue::{Column, ColumnKind};
use crate::lex::Token;

/// The part of a statement that its end is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clause {
    Where,
    OrderBy,
    Set,
    Other,
}

/// The columns that can stand at the end of `head`.
pub(super) fn legal<'c>(head: &str, columns: &'c [Column]) -> Vec<&'c Column> {
    let tokens = words_of(head);
    let (clause, start) = clause(head, &tokens);
    let of_kind = |kind| columns.iter().filter(move |column| column.kind == kind);
    match clause {
        Clause::Other => columns.iter().collect(),
        Clause::OrderBy => of_kind(ColumnKind::Clustering).collect(),
        Clause::Set => of_kind(ColumnKind::Regular).chain(of_kind(ColumnKind::Static)).collect(),
        Clause::Where => {
            let is_used = |column: &&Column| {
                let names = (start..tokens.len()).filter_map(|index| name_at(head, &tokens, index));
                names.into_iter().any(|name| name == column.name)
            };
            let missing: Vec<_> =
                of_kind(ColumnKind::PartitionKey).filter(|column| !is_used(column)).collect();
            if !missing.is_empty() {
                return missing;
            }
            let mut next: Vec<_> =
                of_kind(ColumnKind::Clustering).filter(|column| !is_used(column)).collect();
            next.sort_by_key(|column| column.position);
            next.truncate(1);
            // A range has two ends.
            let last = of_kind(ColumnKind::Clustering).filter(is_used).max_by_key(|it| it.position);
            next.extend(last);
            next
        }
    }
}

/// The clause that the text ends in, and the index of its first token.
fn clause(head: &str, tokens: &[Token]) -> (Clause, usize) {
    let is = |index: usize, word: &str| text_at(head, tokens, index).eq_ignore_ascii_case(word);
    for index in (0..tokens.len()).rev() {
        let clause = match () {
            () if is(index, "WHERE") => Clause::Where,
            () if is(index, "BY") && index > 0 && is(index - 1, "ORDER") => Clause::OrderBy,
            () if is(index, "SET") => Clause::Set,
            () if is(index, "IF") || is(index, "BY") => Clause::Other,
            () => continue,
        };
        return (clause, index + 1);
    }
    (Clause::Other, 0)
}

/// The type of the value that stands next behind `INSERT INTO table (a, b) VALUES (1, `.
pub(super) fn next_type<'c>(head: &str, columns: &'c [Column]) -> Option<&'c str> {
    let tokens = words_of(head);
    let text = |index: usize| text_at(head, &tokens, index);
    let is = |index: usize, word: &str| text(index).eq_ignore_ascii_case(word);
    let values = (0..tokens.len()).rev().find(|&index| is(index, "VALUES"))?;
    let open = (0..values).find(|&index| text(index) == "(")?;
    let names: Vec<String> = (open..values).filter_map(|it| name_at(head, &tokens, it)).collect();
    if text(values + 1) != "(" || !matches!(text(tokens.len() - 1), "(" | ",") {
        return None;
    }
    let (mut depth, mut place) = (0, 0);
    for index in values + 1..tokens.len() {
        match text(index) {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth -= 1,
            "," if depth == 1 => place += 1,
            _ => {}
        }
    }
    let name = names.get(place).filter(|_| depth == 1)?;
    columns.iter().find(|column| column.name == *name).map(|column| column.ty.as_str())
}

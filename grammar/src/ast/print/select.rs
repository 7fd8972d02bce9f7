//! SELECT.

use std::fmt::{self, Display};

use crate::ast::ident::Ident;
use crate::ast::print::term::{Precedence, function_name};
use crate::ast::print::{Joined, words};
use crate::ast::select::{Ordering, Select, SelectItem, SelectUsing, Selection, Selector};
use crate::ast::term::{Literal, TermKind};

impl fmt::Display for Select {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (json, distinct) = (words(self.json, "JSON "), words(self.distinct, "DISTINCT "));
        write!(f, "SELECT {json}{distinct}")?;
        selection(f, &self.selection, self.json || self.distinct)?;
        write!(f, " FROM {}", self.table)?;
        if !self.relations.is_empty() {
            write!(f, " WHERE {}", Joined(&self.relations, " AND "))?;
        }
        if !self.group_by.is_empty() {
            write!(f, " GROUP BY {}", Joined(&self.group_by, ", "))?;
        }
        if !self.order_by.is_empty() {
            write!(f, " ORDER BY {}", Joined(&self.order_by, ", "))?;
        }
        if let Some(limit) = &self.per_partition_limit {
            write!(f, " PER PARTITION LIMIT {limit}")?;
        }
        if let Some(limit) = &self.limit {
            write!(f, " LIMIT {limit}")?;
        }
        f.write_str(words(self.allow_filtering, " ALLOW FILTERING"))?;
        f.write_str(words(self.bypass_cache, " BYPASS CACHE"))?;
        self.using.fmt(f)
    }
}

/// Behind JSON or DISTINCT, a sign or bracket would make that word a column: `json - a`, `json[1]`.
fn selection(f: &mut fmt::Formatter<'_>, selection: &Selection, modified: bool) -> fmt::Result {
    match selection {
        Selection::Items(items) if modified => {
            let (first, others) = items.split_at(items.len().min(1));
            for item in first {
                let text = item.to_string();
                if text.starts_with(['-', '[']) { bracketed(f, item)? } else { f.write_str(&text)? }
            }
            others.iter().try_for_each(|item| write!(f, ", {item}"))
        }
        _ => selection.fmt(f),
    }
}

fn bracketed(f: &mut fmt::Formatter<'_>, item: &SelectItem) -> fmt::Result {
    write!(f, "({})", item.selector)?;
    item.alias.iter().try_for_each(|alias| write!(f, " AS {alias}"))
}

/// With the USING and a space before it, or nothing.
impl fmt::Display for SelectUsing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lead = " USING";
        if let Some(timeout) = &self.timeout {
            write!(f, "{lead} TIMEOUT {timeout}")?;
            lead = " AND";
        }
        if let Some(consistency) = &self.consistency {
            write!(f, "{lead} CONSISTENCY {consistency}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Selection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selection::All => f.write_str("*"),
            Selection::Items(items) => Joined(items, ", ").fmt(f),
        }
    }
}

impl fmt::Display for SelectItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.selector.fmt(f)?;
        match &self.alias {
            Some(alias) => write!(f, " AS {alias}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Selector::Column(name) => column(f, name),
            Selector::CountAll => f.write_str("count(*)"),
            Selector::Call { function, arguments } => {
                function_name(f, function)?;
                write!(f, "({})", Joined(arguments, ", "))
            }
            Selector::Cast(selector, type_name) => write!(f, "CAST({selector} AS {type_name})"),
            // A point right behind a number would be read as part of it.
            Selector::Field(selector, field) if is_number(selector) => {
                write!(f, "({selector}).{field}")
            }
            Selector::Field(selector, field) => {
                operand(f, selector, Precedence::Unary)?;
                write!(f, ".{field}")
            }
            Selector::Element(selector, key) => {
                operand(f, selector, Precedence::Unary)?;
                write!(f, "[{key}]")
            }
            Selector::Slice(selector, from, to) => {
                operand(f, selector, Precedence::Unary)?;
                f.write_str("[")?;
                from.iter().try_for_each(|from| write!(f, "{from}"))?;
                f.write_str("..")?;
                to.iter().try_for_each(|to| write!(f, "{to}"))?;
                f.write_str("]")
            }
            Selector::Term(term) => term.fmt(f),
            Selector::Negate(selector) => {
                f.write_str(if starts_with_sign(selector) { "- " } else { "-" })?;
                match **selector {
                    Selector::Arithmetic { .. } => write!(f, "({selector})"),
                    _ => selector.fmt(f),
                }
            }
            Selector::Arithmetic { left, operator, right } => {
                operand(f, left, Precedence::of(*operator))?;
                write!(f, " {operator} ")?;
                operand(f, right, Precedence::of(*operator).tighter())
            }
        }
    }
}

/// `json`, `distinct` and `as` would begin `SELECT JSON`, `SELECT DISTINCT` and an alias.
fn column(f: &mut fmt::Formatter<'_>, name: &Ident) -> fmt::Result {
    match name.as_str() {
        word @ ("as" | "distinct" | "json") => write!(f, "\"{word}\""),
        _ => name.fmt(f),
    }
}

/// A selector as an operand of something that binds as `outer` does.
fn operand(f: &mut fmt::Formatter<'_>, selector: &Selector, outer: Precedence) -> fmt::Result {
    let looser = match selector {
        Selector::Arithmetic { operator, .. } => Precedence::of(*operator) < outer,
        Selector::Negate(_) => outer == Precedence::Unary,
        _ => false,
    };
    if looser { write!(f, "({selector})") } else { selector.fmt(f) }
}

fn is_number(selector: &Selector) -> bool {
    let Selector::Term(term) = selector else { return false };
    matches!(term.kind, TermKind::Literal(Literal::Integer(_) | Literal::Float(_)))
}

/// Whether a selector's text begins with `-`, so that another one before it would begin a comment.
fn starts_with_sign(selector: &Selector) -> bool {
    match selector {
        Selector::Negate(_) => true,
        Selector::Term(term) => match &term.kind {
            TermKind::Negate(_) => true,
            TermKind::Literal(literal) => literal.to_string().starts_with('-'),
            _ => false,
        },
        Selector::Field(inner, _) | Selector::Element(inner, _) | Selector::Slice(inner, ..) => {
            starts_with_sign(inner)
        }
        _ => false,
    }
}

impl fmt::Display for Ordering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ordering::Column { column, descending } => {
                write!(f, "{column}{}", words(*descending, " DESC"))
            }
            Ordering::Ann { column, term } => write!(f, "{column} ANN OF {term}"),
        }
    }
}

//! SELECT.

use std::fmt::{self, Display};

use crate::ast::print::{Joined, words};
use crate::ast::select::{Ordering, Select, SelectItem, SelectUsing, Selection};

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
    write!(f, "({})", item.term)?;
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
        self.term.fmt(f)?;
        match &self.alias {
            Some(alias) => write!(f, " AS {alias}"),
            None => Ok(()),
        }
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

//! Plans as text, for golden tests.

use std::fmt;

use super::operations::{ColumnWrite, Count, ElementWrite, Write};
use super::{ModifyKind, ModifyPlan};

impl fmt::Display for ModifyPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ModifyPlan { table, kind, partitions, clustering, statics, regulars, attributes, json } =
            self;
        let kind = match kind {
            ModifyKind::Insert => "Insert",
            ModifyKind::Update => "Update",
            ModifyKind::DeleteColumns => "Delete columns",
            ModifyKind::DeleteRows => "Delete rows",
        };
        write!(f, "{kind}: {}.{}", table.keyspace, table.name)?;
        if let Some(json) = json {
            write!(f, "\n  {json}")?;
        }
        partitions.show(table, f)?;
        clustering.show(table, f)?;
        for (label, writes) in [("static", statics), ("column", regulars)] {
            for write in writes {
                write!(f, "\n  {label} {write}")?;
            }
        }
        let attribute = |f: &mut fmt::Formatter<'_>, name: &str, expr: &Option<_>| match expr {
            Some(expr) => write!(f, "\n  {name} {expr}"),
            None => Ok(()),
        };
        attribute(f, "timestamp", &attributes.timestamp)?;
        attribute(f, "ttl", &attributes.ttl)?;
        attribute(f, "timeout", &attributes.timeout)?;
        match attributes.consistency {
            Some(consistency) => write!(f, "\n  consistency {consistency}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for ColumnWrite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.write {
            Write::Value(expr) => write!(f, "{name} = {expr}"),
            Write::Delete => write!(f, "{name} deleted"),
            Write::Count(counts) => {
                for (position, Count { by, negative }) in counts.iter().enumerate() {
                    f.write_str(if position == 0 { "" } else { "; " })?;
                    write!(f, "{name} {}= {by}", if *negative { "-" } else { "+" })?;
                }
                f.write_str(" (reads)")
            }
            Write::Elements(elements) => {
                for (position, element) in elements.iter().enumerate() {
                    f.write_str(if position == 0 { "" } else { "; " })?;
                    write_element(f, self, element)?;
                }
                f.write_str(if self.reads() { " (reads)" } else { "" })
            }
        }
    }
}

fn write_element(
    f: &mut fmt::Formatter<'_>,
    column: &ColumnWrite,
    element: &ElementWrite,
) -> fmt::Result {
    let name = &column.name;
    match element {
        ElementWrite::Add(expr) => write!(f, "{name} + {expr}"),
        ElementWrite::Prepend(expr) => write!(f, "{expr} + {name}"),
        ElementWrite::Remove(expr) => write!(f, "{name} - {expr}"),
        ElementWrite::Put { key, value } | ElementWrite::PutAt { index: key, value } => {
            write!(f, "{name}[{key}] = {value}")
        }
        ElementWrite::RemoveKey(key) | ElementWrite::RemoveAt(key) => {
            write!(f, "{name}[{key}] deleted")
        }
        ElementWrite::Field { position, value } => write!(f, "{name}.{position} = {value}"),
    }
}

//! Plans as text, for golden tests.

use std::fmt;

use super::operations::{ColumnWrite, Count, ElementWrite, Write};
use super::restrictions::{Alternatives, KeyTuple, Points, SliceBound};
use super::{ModifyKind, ModifyPlan};
use tholos_storage::schema::Column;

impl fmt::Display for ModifyPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ModifyPlan { table, kind, keys, statics, regulars, attributes, json } = self;
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
        for points in &keys.partition {
            write_points(f, "partition", points, &table.partition_key)?;
        }
        for points in &keys.clustering {
            write_points(f, "clustering", points, &table.clustering)?;
        }
        let bound = |f: &mut fmt::Formatter<'_>, bound: &Option<SliceBound>, operator: &str| {
            let Some(SliceBound { columns, value, inclusive }) = bound else { return Ok(()) };
            let equal = if *inclusive { "=" } else { "" };
            write!(
                f,
                "\n  slice {} {operator}{equal} {value}",
                names(&table.clustering[columns.clone()])
            )
        };
        bound(f, &keys.slice.lower, ">")?;
        bound(f, &keys.slice.upper, "<")?;
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

fn write_points(
    f: &mut fmt::Formatter<'_>,
    label: &str,
    points: &Points,
    columns: &[Column],
) -> fmt::Result {
    write!(f, "\n  {label} {}", names(&columns[points.columns.clone()]))?;
    match &points.values {
        Alternatives::ListMarker(expr) => write!(f, " in {expr}"),
        Alternatives::These(tuples) => match tuples.as_slice() {
            [single] => write!(f, " = {single}"),
            several => {
                f.write_str(" in [")?;
                for (position, tuple) in several.iter().enumerate() {
                    write!(f, "{}{tuple}", if position == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
        },
    }
}

fn names(columns: &[Column]) -> String {
    let names: Vec<String> = columns.iter().map(|column| column.name.to_string()).collect();
    names.join(", ")
}

impl fmt::Display for KeyTuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyTuple::Columns(exprs) => match exprs.as_slice() {
                [single] => single.fmt(f),
                several => {
                    f.write_str("(")?;
                    for (position, expr) in several.iter().enumerate() {
                        write!(f, "{}{expr}", if position == 0 { "" } else { ", " })?;
                    }
                    f.write_str(")")
                }
            },
            KeyTuple::Whole(expr) => expr.fmt(f),
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

//! Expressions as text, for golden tests and EXPLAIN.

use std::fmt;

use tholos_grammar::value::Value;

use super::{CellFact, Expr, ExprKind, OfCells, Part};
use crate::query::slots::Slot;

/// An expression as text.
pub struct Shown<'e> {
    /// The expression.
    pub expr: &'e Expr,
    /// The columns of its row, by name.
    pub slots: &'e [Slot],
    /// Constants print as CQL writes them; otherwise as bytes, so that what is stored can be seen.
    pub as_cql: bool,
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Shown { expr: self, slots: &[], as_cql: false }.fmt(f)
    }
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.expr.kind {
            ExprKind::Constant(None) => f.write_str("null"),
            ExprKind::Constant(Some(bytes)) => self.constant(f, bytes),
            ExprKind::Marker { index, .. } => write!(f, "?{index}"),
            ExprKind::List(items) | ExprKind::Vector(items) => self.items(f, "[", items, "]"),
            ExprKind::Set(items) => self.items(f, "{", items, "}"),
            ExprKind::Tuple(items) | ExprKind::Udt(items) => self.items(f, "(", items, ")"),
            ExprKind::Map(entries) => {
                f.write_str("{")?;
                for (place, (key, value)) in entries.iter().enumerate() {
                    let comma = if place == 0 { "" } else { ", " };
                    write!(f, "{comma}{}: {}", self.of(key), self.of(value))?;
                }
                f.write_str("}")
            }
            ExprKind::Call { function, arguments } => {
                f.write_str(function.name)?;
                self.items(f, "(", arguments, ")")
            }
            ExprKind::Column(slot) => f.write_str(&self.slot(*slot)),
            ExprKind::OfCells(of) => self.of_cells(f, of),
            ExprKind::Token => f.write_str("token"),
            ExprKind::TokenOf(values) => {
                f.write_str("token")?;
                self.items(f, "(", values, ")")
            }
            ExprKind::Field { of, index } => write!(f, "{}.{index}", self.of(of)),
            ExprKind::Element { of, key } => write!(f, "{}[{}]", self.of(of), self.of(key)),
            ExprKind::Slice { of, from, to } => {
                let (from, to) = (self.end(from.as_deref()), self.end(to.as_deref()));
                write!(f, "{}[{from}..{to}]", self.of(of))
            }
            ExprKind::Aggregate(aggregate) => {
                let argument = aggregate.argument.as_ref();
                let argument =
                    argument.map_or("*".to_string(), |argument| self.of(argument).to_string());
                write!(f, "{}({argument})", aggregate.function.name())
            }
            ExprKind::Gathered(number) => write!(f, "#{number}"),
        }
    }
}

impl<'e> Shown<'e> {
    fn of(&self, expr: &'e Expr) -> Shown<'e> {
        Shown { expr, ..*self }
    }

    fn slot(&self, slot: usize) -> String {
        self.slots.get(slot).map_or_else(|| format!("column {slot}"), |slot| slot.name.to_string())
    }

    fn end(&self, end: Option<&'e Expr>) -> String {
        end.map(|end| self.of(end).to_string()).unwrap_or_default()
    }

    fn constant(&self, f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
        if !self.as_cql {
            f.write_str("0x")?;
            return bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"));
        }
        match Value::decode(&self.expr.cql_type, bytes) {
            Ok(value) => write!(f, "{}", value.literal(&self.expr.cql_type)),
            Err(_) => f.write_str("(invalid)"),
        }
    }

    fn items(
        &self,
        f: &mut fmt::Formatter<'_>,
        open: &str,
        items: &'e [Expr],
        close: &str,
    ) -> fmt::Result {
        f.write_str(open)?;
        for (place, item) in items.iter().enumerate() {
            write!(f, "{}{}", if place == 0 { "" } else { ", " }, self.of(item))?;
        }
        f.write_str(close)
    }

    fn of_cells(&self, f: &mut fmt::Formatter<'_>, of: &'e OfCells) -> fmt::Result {
        let fact = match of.fact {
            CellFact::Writetime => "writetime",
            CellFact::MaxWritetime => "maxwritetime",
            CellFact::Ttl => "ttl",
        };
        let column = self.slot(of.slot);
        match &of.part {
            Part::Whole => write!(f, "{fact}({column})"),
            Part::Field(index) => write!(f, "{fact}({column}.{index})"),
            Part::Element(key) => write!(f, "{fact}({column}[{}])", self.of(key)),
            Part::Slice(from, to) => {
                let (from, to) = (self.end(from.as_ref()), self.end(to.as_ref()));
                write!(f, "{fact}({column}[{from}..{to}])")
            }
        }
    }
}

//! Expressions as text, for golden tests: constants as bytes, so that what is stored can be seen.

use std::fmt;

use super::{Expr, ExprKind};

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Constant(None) => f.write_str("null"),
            ExprKind::Constant(Some(bytes)) => {
                f.write_str("0x")?;
                bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
            ExprKind::Marker { index, .. } => write!(f, "?{index}"),
            ExprKind::List(items) | ExprKind::Vector(items) => write_items(f, "[", items, "]"),
            ExprKind::Set(items) => write_items(f, "{", items, "}"),
            ExprKind::Tuple(items) | ExprKind::Udt(items) => write_items(f, "(", items, ")"),
            ExprKind::Map(entries) => {
                f.write_str("{")?;
                for (position, (key, value)) in entries.iter().enumerate() {
                    write!(f, "{}{key}: {value}", if position == 0 { "" } else { ", " })?;
                }
                f.write_str("}")
            }
            ExprKind::Call { function, arguments } => {
                f.write_str(function.name)?;
                write_items(f, "(", arguments, ")")
            }
        }
    }
}

fn write_items(f: &mut fmt::Formatter<'_>, open: &str, items: &[Expr], close: &str) -> fmt::Result {
    f.write_str(open)?;
    for (position, item) in items.iter().enumerate() {
        write!(f, "{}{item}", if position == 0 { "" } else { ", " })?;
    }
    f.write_str(close)
}

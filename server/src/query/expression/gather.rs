//! Expressions over groups of rows: what is gathered row by row, and what is made of it in the end.
//!
//! ```text
//! SELECT k, max(a) + 1, to_json(b)
//! gathered: #0 first(k), #1 max(a), #2 first(b)      items: #0, #1 + 1, to_json(#2)
//! ```
//! So a function of a group without rows is a function of nulls, and what depends on no row is there all the same.

use std::collections::BTreeMap;

use super::{Aggregate, AggregateFunction, Expr, ExprKind};

/// What is gathered for some expressions.
#[derive(Debug, Default)]
pub struct Gather {
    aggregates: Vec<Aggregate>,
    /// Columns that are gathered already, by slot.
    columns: BTreeMap<usize, usize>,
}

impl Gather {
    /// All that is gathered, by number.
    pub fn into_vec(self) -> Vec<Aggregate> {
        self.aggregates
    }

    /// The expression over what is gathered that gives what another gives over the rows.
    pub fn gathered(&mut self, expr: Expr) -> Expr {
        let Expr { cql_type, kind } = expr;
        let all = |gather: &mut Self, exprs: Vec<Expr>| -> Vec<Expr> {
            exprs.into_iter().map(|expr| gather.gathered(expr)).collect()
        };
        let kind = match kind {
            ExprKind::Column(slot) => {
                if let Some(number) = self.columns.get(&slot) {
                    return Expr { cql_type, kind: ExprKind::Gathered(*number) };
                }
                let first = self.first(Expr { cql_type: cql_type.clone(), kind });
                self.columns.insert(slot, first);
                ExprKind::Gathered(first)
            }
            ExprKind::OfCells(_) | ExprKind::Token => {
                let first = self.first(Expr { cql_type: cql_type.clone(), kind });
                ExprKind::Gathered(first)
            }
            ExprKind::Aggregate(aggregate) => ExprKind::Gathered(self.add(*aggregate)),
            ExprKind::Call { function, arguments } => {
                ExprKind::Call { function, arguments: all(self, arguments) }
            }
            ExprKind::TokenOf(values) => ExprKind::TokenOf(all(self, values)),
            ExprKind::List(items) => ExprKind::List(all(self, items)),
            ExprKind::Set(items) => ExprKind::Set(all(self, items)),
            ExprKind::Tuple(items) => ExprKind::Tuple(all(self, items)),
            ExprKind::Udt(items) => ExprKind::Udt(all(self, items)),
            ExprKind::Vector(items) => ExprKind::Vector(all(self, items)),
            ExprKind::Map(entries) => {
                let entries = entries.into_iter();
                ExprKind::Map(entries.map(|(k, v)| (self.gathered(k), self.gathered(v))).collect())
            }
            ExprKind::Field { of, index } => {
                ExprKind::Field { of: Box::new(self.gathered(*of)), index }
            }
            ExprKind::Element { of, key } => {
                let (of, key) = (self.gathered(*of), self.gathered(*key));
                ExprKind::Element { of: Box::new(of), key: Box::new(key) }
            }
            ExprKind::Slice { of, from, to } => {
                let of = Box::new(self.gathered(*of));
                let mut end = |end: Option<Box<Expr>>| end.map(|end| Box::new(self.gathered(*end)));
                let (from, to) = (end(from), end(to));
                ExprKind::Slice { of, from, to }
            }
            kind @ (ExprKind::Constant(_) | ExprKind::Marker { .. } | ExprKind::Gathered(_)) => {
                kind
            }
        };
        Expr { cql_type, kind }
    }

    fn first(&mut self, expr: Expr) -> usize {
        self.add(Aggregate { function: AggregateFunction::First, argument: Some(expr) })
    }

    fn add(&mut self, aggregate: Aggregate) -> usize {
        self.aggregates.push(aggregate);
        self.aggregates.len() - 1
    }
}

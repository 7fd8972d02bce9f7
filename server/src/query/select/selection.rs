//! The select list: an expression for each column of the result, and what the column is called.

use tholos_grammar::ast::select::{Select, Selection as Written};
use tholos_grammar::types::Native;
use tholos_storage::schema::{Column, Table};

use super::plan::Projection;
use super::pseudo_column;
use crate::error::QueryError;
use crate::query::column::ColumnSpec;
use crate::query::expression::gather::Gather;
use crate::query::expression::planner::Planner;
use crate::query::expression::{Binder, Expr, ExprKind};
use crate::query::functions::Function;
use crate::query::slots::Slots;

/// What of the select list comes out.
pub(super) struct Selection {
    items: Vec<Expr>,
    pub(super) columns: Vec<ColumnSpec>,
    /// Whether aggregates are among the items.
    pub(super) aggregates: bool,
}

impl Selection {
    /// SELECT JSON: the whole row as one column, a JSON object.
    pub(super) fn into_json(self, table: &Table) -> Selection {
        let names = self.columns.iter().map(|column| column.name.as_str().into()).collect();
        let types = self.columns.into_iter().map(|column| column.cql_type).collect();
        let function = Box::new(Function::to_json_object(names, types));
        let kind = ExprKind::Call { function, arguments: self.items };
        Selection {
            items: vec![Expr { cql_type: Native::Text.into(), kind }],
            columns: vec![pseudo_column(table, "[json]", Native::Text)],
            aggregates: self.aggregates,
        }
    }

    /// The cheapest projection of the items, with the result's columns.
    pub(super) fn project(self, grouped: bool) -> (Projection, Vec<ColumnSpec>) {
        if grouped || self.aggregates {
            let mut gather = Gather::default();
            let items = self.items.into_iter().map(|item| gather.gathered(item)).collect();
            let aggregates = gather.into_vec();
            return (Projection::Aggregates { aggregates, items }, self.columns);
        }
        let slot = |item: &Expr| match item.kind {
            ExprKind::Column(slot) => Some(slot),
            _ => None,
        };
        let projection = match self.items.iter().map(slot).collect() {
            Some(slots) => Projection::Columns(slots),
            None => Projection::Expressions(self.items),
        };
        (projection, self.columns)
    }
}

/// Plans the select list.
pub(super) fn plan(
    select: &Select,
    table: &Table,
    binder: &mut Binder<'_>,
    slots: &mut Slots<'_>,
) -> Result<Selection, QueryError> {
    let items = match &select.selection {
        Written::All => return Ok(all(table, slots)),
        Written::Items(items) => items,
    };
    let base = pseudo_column(table, "[selection]", Native::Blob);
    let mut planner = Planner::of_rows(binder, slots, &base);
    let mut selection = Selection { items: Vec::new(), columns: Vec::new(), aggregates: false };
    for written in items {
        let (expr, name) = planner.expression(&written.term)?;
        let name = match &written.alias {
            Some(alias) => alias.as_str(),
            None => &name,
        };
        selection.columns.push(pseudo_column(table, name, expr.cql_type.clone()));
        selection.items.push(expr);
    }
    selection.aggregates = planner.has_aggregates();
    Ok(selection)
}

fn all(table: &Table, slots: &mut Slots<'_>) -> Selection {
    let columns: Vec<&Column> = table.columns().collect();
    let items = columns.iter().map(|column| Expr {
        cql_type: column.cql_type.clone(),
        kind: ExprKind::Column(slots.of(column)),
    });
    Selection {
        items: items.collect(),
        columns: columns.iter().map(|column| ColumnSpec::of(table, column)).collect(),
        aggregates: false,
    }
}

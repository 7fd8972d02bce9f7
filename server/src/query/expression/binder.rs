//! The terms of one statement: planned one after the other, their markers numbered through.

use tholos_grammar::ast::term::Marker;
use tholos_grammar::types::Native;

use super::{Expr, ExprKind};
use crate::error::QueryError;
use crate::query::column::ColumnSpec;
use crate::query::context::{Effort, PlanContext};

/// The most markers that a statement may have: the protocol counts them in 16 bits.
const MAX_MARKERS: usize = 65_535;

/// Binds the terms of one statement and collects its markers.
///
/// Markers are numbered in the order in which they are bound, so terms must be bound in the order of the text. Each
/// occurrence of `:name` is a marker of its own, with that name.
#[derive(Debug)]
pub struct Binder<'a> {
    /// What is known at planning.
    pub context: PlanContext<'a>,
    markers: Vec<ColumnSpec>,
}

impl<'a> Binder<'a> {
    /// A binder that has seen no marker yet.
    pub fn new(context: PlanContext<'a>) -> Self {
        Binder { context, markers: Vec::new() }
    }

    /// The markers bound so far, by position.
    pub fn markers(&self) -> &[ColumnSpec] {
        &self.markers
    }

    /// The markers, by position.
    pub fn into_markers(self) -> Vec<ColumnSpec> {
        self.markers
    }

    /// Numbers a marker and describes it by its receiver.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] when the statement has too many.
    pub fn bind_marker(
        &mut self,
        marker: &Marker,
        receiver: &ColumnSpec,
    ) -> Result<Expr, QueryError> {
        let index = self.reserve(receiver)?;
        Ok(self.describe(index, marker, receiver))
    }

    /// One step of planning.
    pub(super) fn step(&mut self) -> Result<(), QueryError> {
        self.context.effort.map_or(Ok(()), Effort::step)
    }

    /// A number for a marker whose receiver is not known yet; `base` is of its table.
    pub(super) fn reserve(&mut self, base: &ColumnSpec) -> Result<u16, QueryError> {
        if self.markers.len() >= MAX_MARKERS {
            return Err(QueryError::invalid(format!(
                "a statement may have {MAX_MARKERS} markers at most"
            )));
        }
        self.markers.push(base.part(String::new(), Native::Blob.into()));
        Ok((self.markers.len() - 1) as u16)
    }

    /// Describes a numbered marker by its receiver.
    pub(super) fn describe(&mut self, index: u16, marker: &Marker, receiver: &ColumnSpec) -> Expr {
        let mut spec = receiver.clone();
        if let Marker::Named(name) = marker {
            spec.name = name.as_str().to_owned();
        }
        if let Some(reserved) = self.markers.get_mut(usize::from(index)) {
            *reserved = spec;
        }
        let name = receiver.name.as_str().into();
        Expr { cql_type: receiver.cql_type.clone(), kind: ExprKind::Marker { index, name } }
    }
}

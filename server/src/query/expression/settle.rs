//! Settling: a draft becomes an expression of the type that receives it.

use tholos_grammar::ast::ident::Ident;
use tholos_grammar::ast::term::Literal;
use tholos_grammar::types::{CqlType, UserType};

use super::draft::{Draft, DraftKind, OpenCall};
use super::planner::{Planner, argument_name};
use super::{Evaluated, Expr, ExprKind, literal};
use crate::error::{At, QueryError};
use crate::halt::Halt;
use crate::query::column::ColumnSpec;
use crate::query::functions::{self, ArgumentType, CallContext, Function, Random};
use crate::query::types::assign::assignable;
use crate::query::values::{RequestTime, TimestampWatch};

impl Planner<'_, '_, '_> {
    /// The expression of a draft, for a receiver.
    ///
    /// # Errors
    /// [`QueryError::Invalid`]: it is no value of the receiver's type.
    pub(super) fn settle(
        &mut self,
        draft: Draft<'_>,
        receiver: &ColumnSpec,
    ) -> Result<Expr, QueryError> {
        self.binder.step()?;
        let span = draft.span;
        self.settle_kind(draft.kind, receiver).at(span)
    }

    fn settle_kind(
        &mut self,
        draft: DraftKind<'_>,
        receiver: &ColumnSpec,
    ) -> Result<Expr, QueryError> {
        match draft {
            DraftKind::Typed(expr) => {
                check_assignable(&expr, receiver)?;
                Ok(Expr { cql_type: receiver.cql_type.clone(), ..expr })
            }
            DraftKind::Literal(literal) => settle_literal(literal, receiver),
            DraftKind::Marker { marker, index } => {
                Ok(self.binder.describe(index, marker, receiver))
            }
            DraftKind::List(items) => self.settle_list(items, receiver),
            DraftKind::Set(items) => self.settle_set(items, receiver),
            DraftKind::Map(entries) => self.settle_map(entries, receiver),
            DraftKind::Udt(fields) => self.settle_udt(fields, receiver),
            DraftKind::Tuple(items) => self.settle_tuple(items, receiver),
            DraftKind::Call(call) => {
                let OpenCall { name, arguments, .. } = *call;
                let types: Vec<ArgumentType> = arguments.iter().map(Draft::argument_type).collect();
                let function = functions::resolve(&name, &types, Some(&receiver.cql_type))?;
                let call = self.build(function, &name, arguments)?;
                check_assignable(&call, receiver)?;
                Ok(Expr { cql_type: receiver.cql_type.clone(), ..call })
            }
        }
    }

    /// A call of a function that is known. `called` is what the statement calls it.
    pub(super) fn build(
        &mut self,
        function: Function,
        called: &str,
        arguments: Vec<Draft<'_>>,
    ) -> Result<Expr, QueryError> {
        if arguments.len() != function.arguments.len() {
            return Err(QueryError::Internal(format!(
                "{}() took {} arguments",
                function.name,
                arguments.len()
            )));
        }
        let mut settled = Vec::with_capacity(arguments.len());
        for (position, (argument, ty)) in arguments.into_iter().zip(&function.arguments).enumerate()
        {
            let name = match self.row {
                Some(_) => self.receiver_name().to_string(),
                None if called == function.name => argument_name(position, function.native_name()),
                None => argument_name(position, called),
            };
            let receiver = self.base.part(name, ty.clone());
            settled.push(self.settle(argument, &receiver)?);
        }
        let fold = function.pure && settled.iter().all(Expr::is_constant);
        let cql_type = function.returns.clone();
        let kind = ExprKind::Call { function: Box::new(function), arguments: settled };
        let call = Expr { cql_type, kind };
        if fold { fold_constant(call) } else { Ok(call) }
    }

    fn settle_list(
        &mut self,
        items: Vec<Draft<'_>>,
        receiver: &ColumnSpec,
    ) -> Result<Expr, QueryError> {
        match &receiver.cql_type {
            CqlType::List { element, .. } => {
                let items = self.settle_items(items, receiver, element, Null::InResults)?;
                composed(receiver, ExprKind::List(items))
            }
            CqlType::Vector { element, dimensions } => {
                if items.len() != *dimensions as usize {
                    return Err(QueryError::invalid(format!(
                        "{} is a {} and takes {dimensions} elements, not {}",
                        receiver.name,
                        receiver.cql_type,
                        items.len()
                    )));
                }
                let items = self.settle_items(items, receiver, element, Null::Refused)?;
                composed(receiver, ExprKind::Vector(items))
            }
            _ => Err(mismatch("a list literal", receiver)),
        }
    }

    fn settle_set(
        &mut self,
        items: Vec<Draft<'_>>,
        receiver: &ColumnSpec,
    ) -> Result<Expr, QueryError> {
        match &receiver.cql_type {
            CqlType::Set { element, .. } => {
                let items = self.settle_items(items, receiver, element, Null::Refused)?;
                composed(receiver, ExprKind::Set(items))
            }
            CqlType::Map { .. } if items.is_empty() => {
                composed(receiver, ExprKind::Map(Vec::new()))
            }
            CqlType::Udt { definition, .. } if items.is_empty() => {
                let nulls = definition.fields.iter().map(|(_, ty)| Expr::null(ty.clone()));
                composed(receiver, ExprKind::Udt(nulls.collect()))
            }
            _ => Err(mismatch("a set literal", receiver)),
        }
    }

    fn settle_items(
        &mut self,
        items: Vec<Draft<'_>>,
        receiver: &ColumnSpec,
        element: &CqlType,
        null: Null,
    ) -> Result<Vec<Expr>, QueryError> {
        let element = self.part(receiver, || format!("value({})", receiver.name), element);
        let settled =
            items.into_iter().map(|item| self.settle_element(item, &element, receiver, null));
        settled.collect()
    }

    /// An element of a collection.
    fn settle_element(
        &mut self,
        item: Draft<'_>,
        element: &ColumnSpec,
        receiver: &ColumnSpec,
        null: Null,
    ) -> Result<Expr, QueryError> {
        let span = item.span;
        let item = self.settle(item, element)?;
        if item.is_null() && (null == Null::Refused || self.row.is_none()) {
            let error = QueryError::invalid(format!(
                "null is not supported inside {}, a {}: leave the element out",
                receiver.name, receiver.cql_type
            ));
            return Err(error.at(span));
        }
        Ok(item)
    }

    fn settle_map(
        &mut self,
        entries: Vec<(Draft<'_>, Draft<'_>)>,
        receiver: &ColumnSpec,
    ) -> Result<Expr, QueryError> {
        let CqlType::Map { key, value, .. } = &receiver.cql_type else {
            return Err(mismatch("a map literal", receiver));
        };
        let key_spec = self.part(receiver, || format!("key({})", receiver.name), key);
        let value_spec = self.part(receiver, || format!("value({})", receiver.name), value);
        let mut settled = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let key = self.settle_element(key, &key_spec, receiver, Null::Refused)?;
            let value = self.settle_element(value, &value_spec, receiver, Null::InResults)?;
            settled.push((key, value));
        }
        composed(receiver, ExprKind::Map(settled))
    }

    fn settle_udt(
        &mut self,
        fields: Vec<(&Ident, Draft<'_>)>,
        receiver: &ColumnSpec,
    ) -> Result<Expr, QueryError> {
        if let CqlType::Map { .. } = &receiver.cql_type
            && self.row.is_some()
        {
            return self.settle_map_of_columns(fields, receiver);
        }
        let CqlType::Udt { definition, .. } = &receiver.cql_type else {
            return Err(mismatch("a user type literal", receiver));
        };
        let mut settled: Vec<Option<Expr>> = vec![None; definition.fields.len()];
        for (name, field) in fields {
            let position = field_position(definition, name).at(name.span)?;
            let (_, ty) = &definition.fields[position];
            let spec = self.part(receiver, || format!("{}.{}", receiver.name, name.as_str()), ty);
            if settled[position].replace(self.settle(field, &spec)?).is_some() {
                let error = QueryError::invalid(format!(
                    "field {name} of {} is given twice",
                    receiver.name
                ));
                return Err(error.at(name.span));
            }
        }
        let types = definition.fields.iter().map(|(_, ty)| ty);
        let all = settled.into_iter().zip(types);
        let all = all.map(|(field, ty)| field.unwrap_or_else(|| Expr::null(ty.clone())));
        composed(receiver, ExprKind::Udt(all.collect()))
    }

    /// `(map<int, int>) {a: b}` in a select list: what reads as fields are columns.
    fn settle_map_of_columns(
        &mut self,
        fields: Vec<(&Ident, Draft<'_>)>,
        receiver: &ColumnSpec,
    ) -> Result<Expr, QueryError> {
        let mut entries = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            let (slot, cql_type) = match &mut self.row {
                Some(row) => row.named(name)?,
                None => return Err(mismatch("a user type literal", receiver)),
            };
            let kind = DraftKind::Typed(Expr { cql_type, kind: ExprKind::Column(slot) });
            entries.push((Draft { kind, span: name.span }, value));
        }
        self.settle_map(entries, receiver)
    }

    fn settle_tuple(
        &mut self,
        mut items: Vec<Draft<'_>>,
        receiver: &ColumnSpec,
    ) -> Result<Expr, QueryError> {
        let CqlType::Tuple(types) = &receiver.cql_type else {
            // One term in parentheses is that term.
            return match items.len() {
                1 => self.settle(items.remove(0), receiver),
                _ => Err(mismatch("a tuple literal", receiver)),
            };
        };
        if items.len() > types.len() {
            return Err(QueryError::invalid(format!(
                "{} is a {} of {} elements, and the literal has {}",
                receiver.name,
                receiver.cql_type,
                types.len(),
                items.len()
            )));
        }
        // What is left out at the end is no part of the value: it is null without being written.
        let mut settled = Vec::with_capacity(items.len());
        for (position, (item, ty)) in items.into_iter().zip(types).enumerate() {
            let spec = self.part(receiver, || format!("{}[{position}]", receiver.name), ty);
            settled.push(self.settle(item, &spec)?);
        }
        composed(receiver, ExprKind::Tuple(settled))
    }

    /// What receives a part of a receiver's value. In a select list all of them have one name.
    fn part(
        &self,
        receiver: &ColumnSpec,
        name: impl FnOnce() -> String,
        ty: &CqlType,
    ) -> ColumnSpec {
        match self.row {
            Some(_) => receiver.part(receiver.name.clone(), ty.clone()),
            None => receiver.part(name(), ty.clone()),
        }
    }
}

fn settle_literal(literal: &Literal, receiver: &ColumnSpec) -> Result<Expr, QueryError> {
    let ty = &receiver.cql_type;
    if *literal == Literal::Null {
        return Ok(Expr::null(ty.clone()));
    }
    match literal::encode(literal, ty) {
        Ok(bytes) => Ok(Expr::constant(ty.clone(), bytes)),
        Err(error) => Err(QueryError::invalid(format!("{} takes {ty}: {error}", receiver.name))),
    }
}

/// Whether an element may be null: of what is stored none may, but a select list shows lists and maps with nulls.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Null {
    Refused,
    InResults,
}

/// Encodes a composite of constants once and for all; not one with nulls, which is for results alone.
fn composed(receiver: &ColumnSpec, kind: ExprKind) -> Result<Expr, QueryError> {
    let is_known = |expr: &Expr| expr.is_constant() && !expr.is_null();
    let parts_constant = match &kind {
        ExprKind::List(items) | ExprKind::Set(items) | ExprKind::Vector(items) => {
            items.iter().all(is_known)
        }
        ExprKind::Tuple(items) | ExprKind::Udt(items) => items.iter().all(Expr::is_constant),
        ExprKind::Map(entries) => {
            entries.iter().all(|(key, value)| is_known(key) && is_known(value))
        }
        _ => false,
    };
    let expr = Expr { cql_type: receiver.cql_type.clone(), kind };
    if parts_constant { fold_constant(expr) } else { Ok(expr) }
}

/// Evaluates an expression that depends on neither values nor time.
fn fold_constant(expr: Expr) -> Result<Expr, QueryError> {
    let time = RequestTime { micros: 0, seconds: 0 };
    let timestamps = &TimestampWatch::default();
    let context = CallContext { time, random: &NoRandom, timestamps };
    // Nobody plans where there is no time for it.
    let bytes: Option<Box<[u8]>> = match expr.evaluate(&[], context).map_err(Halt::refused)? {
        Evaluated::Bytes(bytes) => Some(bytes.into_owned().into()),
        Evaluated::Null | Evaluated::Unset => None,
    };
    Ok(Expr { cql_type: expr.cql_type, kind: ExprKind::Constant(bytes) })
}

/// Constants are folded without random bits: functions that need them are not pure.
struct NoRandom;

impl Random for NoRandom {
    fn bits(&self) -> u64 {
        0
    }
}

fn field_position(definition: &UserType, name: &Ident) -> Result<usize, QueryError> {
    definition.fields.iter().position(|(field, _)| *field == *name).ok_or_else(|| {
        let names: Vec<String> =
            definition.fields.iter().map(|(field, _)| field.to_string()).collect();
        QueryError::invalid(format!(
            "type {}.{} has no field {name}: it has {}",
            definition.keyspace,
            definition.name,
            names.join(", ")
        ))
    })
}

fn check_assignable(expr: &Expr, receiver: &ColumnSpec) -> Result<(), QueryError> {
    if assignable(&expr.cql_type, &receiver.cql_type) {
        return Ok(());
    }
    let what = match &expr.kind {
        ExprKind::Call { function, .. } => format!("the result of {}()", function.name),
        _ => "the value".to_string(),
    };
    Err(QueryError::invalid(format!(
        "{} takes {}, and {what} is {}",
        receiver.name, receiver.cql_type, expr.cql_type
    )))
}

fn mismatch(what: &str, receiver: &ColumnSpec) -> QueryError {
    QueryError::invalid(format!("{} takes {}, not {what}", receiver.name, receiver.cql_type))
}

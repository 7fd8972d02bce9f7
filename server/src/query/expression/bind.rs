//! Binding terms: each becomes an expression of the type that receives it.

use tholos_grammar::ast::QualifiedName;
use tholos_grammar::ast::ident::Ident;
use tholos_grammar::ast::term::{Literal, Marker, Operator, Term, TermKind};
use tholos_grammar::ast::type_name::TypeName;
use tholos_grammar::name::Name;
use tholos_grammar::types::{CqlType, UserType};

use super::literal;
use super::{Expr, ExprKind, assignable, resolve_type};
use crate::error::QueryError;
use crate::query::expression::Evaluated;
use crate::query::functions::{self, ArgumentType, CallContext, LiteralKind, Random};
use crate::query::plan::ColumnSpec;
use crate::query::planner::PlanContext;
use crate::query::values::RequestTime;

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

    /// The expression that a term is, for a receiver of some type.
    ///
    /// # Errors
    /// [`QueryError::Invalid`]: the term is no value of the receiver's type; an unknown function, type or field.
    pub fn bind(&mut self, term: &Term, receiver: &ColumnSpec) -> Result<Expr, QueryError> {
        let ty = &receiver.cql_type;
        match &term.kind {
            TermKind::Literal(literal) => bind_literal(literal, receiver),
            TermKind::Marker(marker) => self.bind_marker(marker, receiver),
            TermKind::List(items) => self.bind_list(items, receiver),
            TermKind::Set(items) => self.bind_set(items, receiver),
            TermKind::Map(entries) => self.bind_map(entries, receiver),
            TermKind::Udt(fields) => self.bind_udt(fields, receiver),
            TermKind::Tuple(items) => self.bind_tuple(items, receiver),
            TermKind::Call { function, arguments } => {
                let arguments: Vec<&Term> = arguments.iter().collect();
                self.bind_call(&function_name(function)?, &arguments, receiver)
            }
            TermKind::Cast(inner, target) => {
                let target = self.written_type(target, receiver)?;
                self.bind_call(&format!("cast_as_{target}"), &[inner], receiver)
            }
            TermKind::Hint(hint, inner) => {
                let hinted = self.written_type(hint, receiver)?;
                check_assignable(&hinted, receiver, "the type hint")?;
                let hinted = self.bind(inner, &receiver.part(receiver.name.clone(), hinted))?;
                Ok(Expr { cql_type: ty.clone(), kind: hinted.kind })
            }
            TermKind::Negate(inner) => self.bind_call("-", &[inner], receiver),
            TermKind::Arithmetic { left, operator, right } => {
                self.bind_call(operator_name(*operator), &[left, right], receiver)
            }
        }
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
        if self.markers.len() >= MAX_MARKERS {
            return Err(QueryError::invalid(format!(
                "a statement may have {MAX_MARKERS} markers at most"
            )));
        }
        let index = self.markers.len() as u16;
        let mut spec = receiver.clone();
        if let Marker::Named(name) = marker {
            spec.name = name.as_str().to_owned();
        }
        let name = receiver.name.as_str().into();
        self.markers.push(spec);
        Ok(Expr { cql_type: receiver.cql_type.clone(), kind: ExprKind::Marker { index, name } })
    }

    fn bind_list(&mut self, items: &[Term], receiver: &ColumnSpec) -> Result<Expr, QueryError> {
        match &receiver.cql_type {
            CqlType::List { element, .. } => {
                let items = self.bind_items(items, receiver, element)?;
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
                let items = self.bind_items(items, receiver, element)?;
                composed(receiver, ExprKind::Vector(items))
            }
            _ => Err(mismatch("a list literal", receiver)),
        }
    }

    fn bind_set(&mut self, items: &[Term], receiver: &ColumnSpec) -> Result<Expr, QueryError> {
        match &receiver.cql_type {
            CqlType::Set { element, .. } => {
                let items = self.bind_items(items, receiver, element)?;
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

    fn bind_items(
        &mut self,
        items: &[Term],
        receiver: &ColumnSpec,
        element: &CqlType,
    ) -> Result<Vec<Expr>, QueryError> {
        let element = receiver.part(format!("value({})", receiver.name), element.clone());
        items
            .iter()
            .map(|item| {
                let item = self.bind(item, &element)?;
                refuse_null_element(&item, receiver)?;
                Ok(item)
            })
            .collect()
    }

    fn bind_map(
        &mut self,
        entries: &[(Term, Term)],
        receiver: &ColumnSpec,
    ) -> Result<Expr, QueryError> {
        let CqlType::Map { key, value, .. } = &receiver.cql_type else {
            return Err(mismatch("a map literal", receiver));
        };
        let key_spec = receiver.part(format!("key({})", receiver.name), (**key).clone());
        let value_spec = receiver.part(format!("value({})", receiver.name), (**value).clone());
        let mut bound = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let entry = (self.bind(key, &key_spec)?, self.bind(value, &value_spec)?);
            refuse_null_element(&entry.0, receiver)?;
            refuse_null_element(&entry.1, receiver)?;
            bound.push(entry);
        }
        composed(receiver, ExprKind::Map(bound))
    }

    fn bind_udt(
        &mut self,
        fields: &[(Ident, Term)],
        receiver: &ColumnSpec,
    ) -> Result<Expr, QueryError> {
        let CqlType::Udt { definition, .. } = &receiver.cql_type else {
            return Err(mismatch("a user type literal", receiver));
        };
        let mut bound: Vec<Option<Expr>> = vec![None; definition.fields.len()];
        for (name, term) in fields {
            let position = field_position(definition, name)?;
            let (_, ty) = &definition.fields[position];
            let spec = receiver.part(format!("{}.{name}", receiver.name), ty.clone());
            if bound[position].replace(self.bind(term, &spec)?).is_some() {
                return Err(QueryError::invalid(format!(
                    "field {name} of {} is given twice",
                    receiver.name
                )));
            }
        }
        let types = definition.fields.iter().map(|(_, ty)| ty);
        let all = bound.into_iter().zip(types);
        let all = all.map(|(field, ty)| field.unwrap_or_else(|| Expr::null(ty.clone())));
        composed(receiver, ExprKind::Udt(all.collect()))
    }

    fn bind_tuple(&mut self, items: &[Term], receiver: &ColumnSpec) -> Result<Expr, QueryError> {
        let CqlType::Tuple(types) = &receiver.cql_type else {
            // One term in parentheses is that term.
            return match items {
                [single] => self.bind(single, receiver),
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
        let mut bound = Vec::with_capacity(types.len());
        for (position, (item, ty)) in items.iter().zip(types).enumerate() {
            let spec = receiver.part(format!("{}[{position}]", receiver.name), ty.clone());
            bound.push(self.bind(item, &spec)?);
        }
        bound.extend(types.iter().skip(items.len()).map(|ty| Expr::null(ty.clone())));
        composed(receiver, ExprKind::Tuple(bound))
    }

    fn bind_call(
        &mut self,
        name: &str,
        arguments: &[&Term],
        receiver: &ColumnSpec,
    ) -> Result<Expr, QueryError> {
        let types = arguments.iter().map(|argument| self.argument_type(argument, receiver));
        let types = types.collect::<Result<Vec<_>, _>>()?;
        let function = functions::resolve(name, &types, Some(&receiver.cql_type))?;
        check_assignable(
            &function.returns,
            receiver,
            &format!("the result of {}()", function.name),
        )?;
        let mut bound = Vec::with_capacity(arguments.len());
        for (position, argument) in arguments.iter().enumerate() {
            let Some(ty) = function.arguments.get(position) else {
                return Err(QueryError::Internal(format!(
                    "{}() took {} arguments",
                    function.name,
                    types.len()
                )));
            };
            let spec = receiver.part(format!("arg{position}({})", function.name), ty.clone());
            bound.push(self.bind(argument, &spec)?);
        }
        let fold = function.pure && bound.iter().all(Expr::is_constant);
        let kind = ExprKind::Call { function: Box::new(function), arguments: bound };
        let call = Expr { cql_type: receiver.cql_type.clone(), kind };
        if fold { fold_constant(call) } else { Ok(call) }
    }

    /// What is known of a term's type before a receiver is.
    fn argument_type(
        &self,
        term: &Term,
        receiver: &ColumnSpec,
    ) -> Result<ArgumentType, QueryError> {
        Ok(match &term.kind {
            TermKind::Literal(literal) => {
                literal_kind(literal).map_or(ArgumentType::Any, ArgumentType::Literal)
            }
            TermKind::Marker(_) => ArgumentType::Any,
            TermKind::List(_) | TermKind::Set(_) | TermKind::Map(_) | TermKind::Udt(_) => {
                ArgumentType::Literal(LiteralKind::Structured)
            }
            TermKind::Tuple(items) => match items.as_slice() {
                [single] => self.argument_type(single, receiver)?,
                _ => ArgumentType::Literal(LiteralKind::Structured),
            },
            TermKind::Cast(_, written) | TermKind::Hint(written, _) => {
                ArgumentType::Known(self.written_type(written, receiver)?)
            }
            TermKind::Call { function, arguments } => self.result_type(
                &function_name(function)?,
                &arguments.iter().collect::<Vec<_>>(),
                receiver,
            )?,
            TermKind::Negate(inner) => self.argument_type(inner, receiver)?,
            TermKind::Arithmetic { left, operator, right } => {
                let (of_left, of_right) =
                    (self.argument_type(left, receiver)?, self.argument_type(right, receiver)?);
                // Numbers written out have no type of their own yet: what they come to has none either.
                match literal_number(&of_left, &of_right) {
                    Some(kind) => ArgumentType::Literal(kind),
                    None => self.result_type(operator_name(*operator), &[left, right], receiver)?,
                }
            }
        })
    }

    fn result_type(
        &self,
        name: &str,
        arguments: &[&Term],
        receiver: &ColumnSpec,
    ) -> Result<ArgumentType, QueryError> {
        let types = arguments.iter().map(|argument| self.argument_type(argument, receiver));
        let types = types.collect::<Result<Vec<_>, _>>()?;
        Ok(ArgumentType::Known(functions::resolve(name, &types, None)?.returns))
    }

    fn written_type(
        &self,
        written: &TypeName,
        receiver: &ColumnSpec,
    ) -> Result<CqlType, QueryError> {
        resolve_type(written, &receiver.keyspace, self.context.catalogue)
    }
}

fn bind_literal(literal: &Literal, receiver: &ColumnSpec) -> Result<Expr, QueryError> {
    let ty = &receiver.cql_type;
    if *literal == Literal::Null {
        return Ok(Expr::null(ty.clone()));
    }
    match literal::encode(literal, ty) {
        Ok(bytes) => Ok(Expr::constant(ty.clone(), bytes)),
        Err(error) => Err(QueryError::invalid(format!("{} takes {ty}: {error}", receiver.name))),
    }
}

/// Encodes a composite of constants once and for all.
fn composed(receiver: &ColumnSpec, kind: ExprKind) -> Result<Expr, QueryError> {
    let parts_constant = match &kind {
        ExprKind::List(items)
        | ExprKind::Set(items)
        | ExprKind::Vector(items)
        | ExprKind::Tuple(items)
        | ExprKind::Udt(items) => items.iter().all(Expr::is_constant),
        ExprKind::Map(entries) => {
            entries.iter().all(|(key, value)| key.is_constant() && value.is_constant())
        }
        ExprKind::Constant(_) | ExprKind::Marker { .. } | ExprKind::Call { .. } => false,
    };
    let expr = Expr { cql_type: receiver.cql_type.clone(), kind };
    if parts_constant { fold_constant(expr) } else { Ok(expr) }
}

/// Evaluates an expression that depends on neither values nor time.
fn fold_constant(expr: Expr) -> Result<Expr, QueryError> {
    let time = RequestTime { micros: 0, seconds: 0 };
    let context = CallContext { time, random: &NoRandom };
    let bytes: Option<Box<[u8]>> = match expr.evaluate(&[], context)? {
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

fn field_position(definition: &UserType, name: &Name) -> Result<usize, QueryError> {
    definition.fields.iter().position(|(field, _)| field == name).ok_or_else(|| {
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

/// The name to look a function up by: only native functions exist, which live in keyspace `system`.
fn function_name(function: &QualifiedName) -> Result<String, QueryError> {
    match &function.keyspace {
        Some(keyspace) if keyspace.as_str() != "system" => Err(QueryError::NotSupportedYet(
            format!("user-defined functions, such as {keyspace}.{}", function.name),
        )),
        _ => Ok(function.name.as_str().to_owned()),
    }
}

fn operator_name(operator: Operator) -> &'static str {
    match operator {
        Operator::Add => "+",
        Operator::Subtract => "-",
        Operator::Multiply => "*",
        Operator::Divide => "/",
        Operator::Modulo => "%",
    }
}

/// What arithmetic on two numbers that are written out comes to.
fn literal_number(left: &ArgumentType, right: &ArgumentType) -> Option<LiteralKind> {
    match (left, right) {
        (
            ArgumentType::Literal(LiteralKind::Integer),
            ArgumentType::Literal(LiteralKind::Integer),
        ) => Some(LiteralKind::Integer),
        (
            ArgumentType::Literal(LiteralKind::Integer | LiteralKind::Float),
            ArgumentType::Literal(LiteralKind::Integer | LiteralKind::Float),
        ) => Some(LiteralKind::Float),
        _ => None,
    }
}

fn literal_kind(literal: &Literal) -> Option<LiteralKind> {
    Some(match literal {
        Literal::Null => return None,
        Literal::Text(_) => LiteralKind::Text,
        Literal::Integer(_) => LiteralKind::Integer,
        Literal::Float(_) => LiteralKind::Float,
        Literal::Boolean(_) => LiteralKind::Boolean,
        Literal::Blob(_) => LiteralKind::Blob,
        Literal::Uuid(_) => LiteralKind::Uuid,
        Literal::Duration(_) => LiteralKind::Duration,
    })
}

fn check_assignable(from: &CqlType, receiver: &ColumnSpec, what: &str) -> Result<(), QueryError> {
    if assignable(from, &receiver.cql_type) {
        return Ok(());
    }
    Err(QueryError::invalid(format!(
        "{what} is {from}, and {} takes {}",
        receiver.name, receiver.cql_type
    )))
}

fn refuse_null_element(item: &Expr, receiver: &ColumnSpec) -> Result<(), QueryError> {
    if item.is_null() {
        return Err(QueryError::invalid(format!(
            "null is not supported inside {}, a {}: leave the element out",
            receiver.name, receiver.cql_type
        )));
    }
    Ok(())
}

fn mismatch(what: &str, receiver: &ColumnSpec) -> QueryError {
    QueryError::invalid(format!("{} takes {}, not {what}", receiver.name, receiver.cql_type))
}

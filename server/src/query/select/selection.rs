//! The select list: names looked up, types found, functions chosen, and the result's columns named as Cassandra names
//! them (`count`, `system.max(v)`, `writetime(v)`, `cast(v as text)`).

mod metadata;

use tholos_grammar::ast::QualifiedName;
use tholos_grammar::ast::select::{Select, Selection as Written, Selector};
use tholos_grammar::ast::term::{Literal, Operator, Term, TermKind};
use tholos_grammar::name::Name;
use tholos_grammar::types::{CqlType, Native};
use tholos_storage::schema::{Column, Table};

use super::plan::{Aggregate, AggregateFunction, Projection, Selected};
use super::slots::Slots;
use super::{Selection, pseudo_column, unknown_column};
use crate::error::QueryError;
use crate::query::expression::{Binder, resolve_type};
use crate::query::functions::{self, ArgumentType, Function, LiteralKind};
use crate::query::plan::ColumnSpec;
use crate::query::suggest::nearest;

/// One item of the select list: an expression over a row, or over all rows of a group.
pub(super) enum Item {
    Row(Selected),
    Group(Aggregate),
}

/// An item with what is known of it.
struct Typed {
    item: Item,
    cql_type: CqlType,
    name: String,
}

impl Selection {
    /// Whether a slot is shown as it is.
    pub(super) fn shows(&self, slot: usize) -> bool {
        self.items.iter().any(|item| matches!(item, Item::Row(Selected::Column(s)) if *s == slot))
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
        Written::All => {
            let columns: Vec<&Column> = table.columns().collect();
            let items = columns.iter().map(|column| Item::Row(Selected::Column(slots.of(column))));
            return Ok(Selection {
                items: items.collect(),
                columns: columns.iter().map(|column| ColumnSpec::of(table, column)).collect(),
            });
        }
        Written::Items(items) => items,
    };
    let mut planner = Planner { table, binder, slots };
    let mut selection = Selection { items: Vec::new(), columns: Vec::new() };
    for written in items {
        let typed = planner.selector(&written.selector)?;
        let name = match &written.alias {
            Some(alias) => alias.as_str().to_string(),
            None => typed.name,
        };
        selection.columns.push(pseudo_column(table, &name, typed.cql_type));
        selection.items.push(typed.item);
    }
    Ok(selection)
}

/// SELECT JSON: the whole row as one column, a JSON object.
pub(super) fn into_json(selection: Selection, table: &Table) -> Selection {
    let Selection { items, columns } = selection;
    let names = columns.iter().map(|column| column.name.as_str().into()).collect();
    let types = columns.into_iter().map(|column| column.cql_type).collect();
    let function = Function::to_json_object(names, types);
    Selection {
        items: vec![call(function, items)],
        columns: vec![pseudo_column(table, "[json]", Native::Text)],
    }
}

/// A function of a row's values, or of a group's if one of them is one.
fn call(function: Function, items: Vec<Item>) -> Item {
    if items.iter().any(|item| matches!(item, Item::Group(_))) {
        let arguments = items.into_iter().map(into_aggregate).collect();
        return Item::Group(Aggregate::Call(function, arguments));
    }
    let arguments = items.into_iter().filter_map(|item| match item {
        Item::Row(selected) => Some(selected),
        Item::Group(_) => None,
    });
    Item::Row(Selected::Call(function, arguments.collect()))
}

/// The cheapest projection of these items.
pub(super) fn project(items: Vec<Item>, grouped: bool) -> Projection {
    if grouped || items.iter().any(|item| matches!(item, Item::Group(_))) {
        return Projection::Aggregates(items.into_iter().map(into_aggregate).collect());
    }
    let columns: Option<Vec<usize>> = items
        .iter()
        .map(|item| match item {
            Item::Row(Selected::Column(slot)) => Some(*slot),
            _ => None,
        })
        .collect();
    if let Some(columns) = columns {
        return Projection::Columns(columns);
    }
    let expressions = items.into_iter().filter_map(|item| match item {
        Item::Row(selected) => Some(selected),
        Item::Group(_) => None,
    });
    Projection::Expressions(expressions.collect())
}

fn into_aggregate(item: Item) -> Aggregate {
    match item {
        Item::Row(selected) => Aggregate::First(selected),
        Item::Group(aggregate) => aggregate,
    }
}

struct Planner<'p, 'c, 't> {
    table: &'p Table,
    binder: &'p mut Binder<'c>,
    slots: &'p mut Slots<'t>,
}

impl<'p> Planner<'p, '_, '_> {
    fn selector(&mut self, selector: &Selector) -> Result<Typed, QueryError> {
        match selector {
            Selector::Column(name) => {
                let column = self.column(name)?;
                let (cql_type, name) = (column.cql_type.clone(), name.as_str().to_string());
                let slot = self.slots.of(column);
                Ok(Typed { item: Item::Row(Selected::Column(slot)), cql_type, name })
            }
            Selector::CountAll => Ok(Typed {
                item: Item::Group(Aggregate::CountAll),
                cql_type: Native::Bigint.into(),
                name: "count".to_string(),
            }),
            Selector::Call { function, arguments } => self.call(function, arguments),
            Selector::Cast(of, target) => {
                let target =
                    resolve_type(target, &self.table.keyspace, self.binder.context.catalogue)?;
                let typed = self.function(&format!("cast_as_{target}"), &[of])?;
                let name = format!("cast({} as {target})", self.name(of));
                Ok(Typed { name, ..typed })
            }
            Selector::Field(of, field) => self.field(of, field),
            Selector::Element(of, key) => self.element(of, key),
            Selector::Slice(of, from, to) => self.slice(of, from.as_ref(), to.as_ref()),
            Selector::Term(term) => {
                let Some(cql_type) = self.term_type(term)? else {
                    return Err(QueryError::invalid(format!(
                        "the type of {} is not known here: say it by a hint, such as (int) {}",
                        show_term(term),
                        show_term(term)
                    )));
                };
                let name = show_term(term);
                let receiver = pseudo_column(self.table, &name, cql_type.clone());
                let expr = self.binder.bind(term, &receiver)?;
                Ok(Typed { item: Item::Row(Selected::Term(expr)), cql_type, name })
            }
            Selector::Negate(of) => {
                let typed = self.function("-", &[of])?;
                let name = format!("-{}", self.name(of));
                Ok(Typed { name, ..typed })
            }
            Selector::Arithmetic { left, operator, right } => {
                let typed = self.function(operator_name(*operator), &[left, right])?;
                let operator = operator_name(*operator);
                let name = format!("{} {operator} {}", self.name(left), self.name(right));
                Ok(Typed { name, ..typed })
            }
        }
    }

    fn column(&self, name: &Name) -> Result<&'p Column, QueryError> {
        let table = self.table;
        table.column(name.as_str()).ok_or_else(|| unknown_column(name, table))
    }

    fn call(
        &mut self,
        function: &QualifiedName,
        arguments: &[Selector],
    ) -> Result<Typed, QueryError> {
        let name = self.function_name(function)?;
        match (name.as_str(), arguments) {
            ("count", [of]) => self.aggregate(AggregateFunction::Count, "count", of),
            ("min", [of]) => self.aggregate(AggregateFunction::Min, "min", of),
            ("max", [of]) => self.aggregate(AggregateFunction::Max, "max", of),
            ("sum", [of]) => self.aggregate(AggregateFunction::Sum, "sum", of),
            ("avg", [of]) => self.aggregate(AggregateFunction::Avg, "avg", of),
            ("count" | "min" | "max" | "sum" | "avg", _) => Err(QueryError::invalid(format!(
                "{name}() takes one argument, not {}",
                arguments.len()
            ))),
            ("writetime" | "maxwritetime" | "ttl", _) => self.metadata(&name, arguments),
            ("token", _) => self.token(arguments),
            _ => self.function(&name, &arguments.iter().collect::<Vec<_>>()),
        }
    }

    fn function_name(&self, function: &QualifiedName) -> Result<String, QueryError> {
        match &function.keyspace {
            Some(keyspace) if keyspace != "system" => Err(QueryError::NotSupportedYet(format!(
                "user-defined functions, such as {keyspace}.{}",
                function.name
            ))),
            _ => Ok(function.name.as_str().to_string()),
        }
    }

    fn aggregate(
        &mut self,
        function: AggregateFunction,
        name: &str,
        of: &Selector,
    ) -> Result<Typed, QueryError> {
        let typed = self.selector(of)?;
        let Item::Row(selected) = typed.item else {
            return Err(QueryError::invalid(format!(
                "{name}() can't be taken of {}: aggregates don't nest",
                typed.name
            )));
        };
        let argument = typed.cql_type;
        let cql_type = match function {
            AggregateFunction::Count => Native::Bigint.into(),
            AggregateFunction::Min | AggregateFunction::Max => argument.clone(),
            AggregateFunction::Sum | AggregateFunction::Avg => numeric(&argument, name)?,
        };
        let item = Item::Group(Aggregate::Of(function, selected, argument));
        Ok(Typed { item, cql_type, name: format!("system.{name}({})", typed.name) })
    }

    fn function(&mut self, name: &str, arguments: &[&Selector]) -> Result<Typed, QueryError> {
        let types = arguments.iter().map(|argument| self.argument_type(argument));
        let types = types.collect::<Result<Vec<_>, _>>()?;
        let function = functions::resolve(name, &types, None)?;
        let mut items = Vec::with_capacity(arguments.len());
        let mut names = Vec::with_capacity(arguments.len());
        for (place, argument) in arguments.iter().enumerate() {
            let item = match (argument, function.arguments.get(place)) {
                (Selector::Term(term), Some(ty)) => {
                    let name = format!("arg{place}({})", function.name);
                    let receiver = pseudo_column(self.table, &name, ty.clone());
                    Item::Row(Selected::Term(self.binder.bind(term, &receiver)?))
                }
                (argument, _) => self.selector(argument)?.item,
            };
            items.push(item);
            names.push(self.name(argument));
        }
        let cql_type = function.returns.clone();
        let name = format!("system.{}({})", function.name, names.join(", "));
        Ok(Typed { item: call(function, items), cql_type, name })
    }

    /// What is known of an argument before it is planned. Nothing is bound, so markers keep their order.
    fn argument_type(&mut self, selector: &Selector) -> Result<ArgumentType, QueryError> {
        Ok(match selector {
            Selector::Term(term) => match &term.kind {
                TermKind::Literal(literal) => literal_kind(literal),
                TermKind::Marker(_) => ArgumentType::Any,
                TermKind::List(_)
                | TermKind::Set(_)
                | TermKind::Map(_)
                | TermKind::Udt(_)
                | TermKind::Tuple(_) => ArgumentType::Literal(LiteralKind::Structured),
                _ => match self.term_type(term)? {
                    Some(ty) => ArgumentType::Known(ty),
                    None => ArgumentType::Any,
                },
            },
            other => {
                let mut binder = Binder::new(self.binder.context);
                let mut slots = Slots::new(self.table);
                let mut dry = Planner { table: self.table, binder: &mut binder, slots: &mut slots };
                ArgumentType::Known(dry.selector(other)?.cql_type)
            }
        })
    }

    fn field(&mut self, of: &Selector, field: &Name) -> Result<Typed, QueryError> {
        let typed = self.selector(of)?;
        let Item::Row(selected) = typed.item else {
            return Err(aggregate_part(&typed.name));
        };
        let CqlType::Udt { definition, .. } = &typed.cql_type else {
            return Err(QueryError::invalid(format!(
                "{} has type {}, which has no fields: .{field} takes a user type",
                typed.name, typed.cql_type
            )));
        };
        let found = definition.fields.iter().enumerate().find(|(_, (name, _))| name == field);
        let Some((index, (_, cql_type))) = found else {
            let hint =
                nearest(field.as_str(), definition.fields.iter().map(|(name, _)| name.as_str()));
            return Err(QueryError::invalid(format!(
                "type {}.{} has no field {field}{hint}",
                definition.keyspace, definition.name
            )));
        };
        let name = format!("{}.{}", typed.name, field.as_str());
        let item = Item::Row(Selected::Field { of: Box::new(selected), index });
        Ok(Typed { item, cql_type: cql_type.clone(), name })
    }

    /// The collection that an element or slice is taken of, with the type of its keys and of an element.
    fn collection(
        &mut self,
        of: &Selector,
    ) -> Result<(Selected, CqlType, String, CqlType, CqlType), QueryError> {
        let typed = self.selector(of)?;
        let Item::Row(selected) = typed.item else {
            return Err(aggregate_part(&typed.name));
        };
        let (key, element) = match &typed.cql_type {
            CqlType::Map { key, value, .. } => ((**key).clone(), (**value).clone()),
            CqlType::Set { element, .. } => ((**element).clone(), (**element).clone()),
            other => {
                return Err(QueryError::invalid(format!(
                    "{} has type {other}: [...] takes elements of sets and maps only",
                    typed.name
                )));
            }
        };
        Ok((selected, typed.cql_type, typed.name, key, element))
    }

    fn element(&mut self, of: &Selector, key: &Term) -> Result<Typed, QueryError> {
        let (selected, collection, name, key_type, cql_type) = self.collection(of)?;
        let receiver = pseudo_column(self.table, &format!("key({name})"), key_type);
        let name = format!("{name}[{}]", show_term(key));
        let key = self.binder.bind(key, &receiver)?;
        let selected = Selected::Element { of: Box::new(selected), collection, key };
        Ok(Typed { item: Item::Row(selected), cql_type, name })
    }

    fn slice(
        &mut self,
        of: &Selector,
        from: Option<&Term>,
        to: Option<&Term>,
    ) -> Result<Typed, QueryError> {
        let (selected, collection, name, key_type, _) = self.collection(of)?;
        let receiver = pseudo_column(self.table, &format!("key({name})"), key_type);
        let show = |term: Option<&Term>| term.map(show_term).unwrap_or_default();
        let name = format!("{name}[{}..{}]", show(from), show(to));
        let mut bind =
            |term: Option<&Term>| term.map(|term| self.binder.bind(term, &receiver)).transpose();
        let (from, to) = (bind(from)?, bind(to)?);
        let cql_type = collection.clone();
        let selected = Selected::Slice { of: Box::new(selected), collection, from, to };
        Ok(Typed { item: Item::Row(selected), cql_type, name })
    }

    /// The type that a term has by itself, if it has one.
    fn term_type(&self, term: &Term) -> Result<Option<CqlType>, QueryError> {
        let keyspace = &self.table.keyspace;
        let native = match &term.kind {
            TermKind::Hint(ty, _) | TermKind::Cast(_, ty) => {
                return resolve_type(ty, keyspace, self.binder.context.catalogue).map(Some);
            }
            TermKind::Call { function, arguments } => {
                let name = self.function_name(function)?;
                let types = arguments.iter().map(|argument| {
                    Ok(match self.term_type(argument)? {
                        Some(ty) => ArgumentType::Known(ty),
                        None => ArgumentType::Any,
                    })
                });
                let types = types.collect::<Result<Vec<_>, QueryError>>()?;
                return Ok(Some(functions::resolve(&name, &types, None)?.returns));
            }
            TermKind::Literal(literal) => match literal {
                Literal::Null => return Ok(None),
                Literal::Text(_) => Native::Text,
                Literal::Integer(digits) if digits.parse::<i32>().is_ok() => Native::Int,
                Literal::Integer(digits) if digits.parse::<i64>().is_ok() => Native::Bigint,
                Literal::Integer(_) => Native::Varint,
                Literal::Float(_) => Native::Double,
                Literal::Boolean(_) => Native::Boolean,
                Literal::Blob(_) => Native::Blob,
                Literal::Uuid(_) => Native::Uuid,
                Literal::Duration(_) => Native::Duration,
            },
            TermKind::Negate(inner) => return self.term_type(inner),
            TermKind::Arithmetic { left, operator, right } => {
                let (Some(left), Some(right)) = (self.term_type(left)?, self.term_type(right)?)
                else {
                    return Ok(None);
                };
                let types = [ArgumentType::Known(left), ArgumentType::Known(right)];
                let function = functions::resolve(operator_name(*operator), &types, None)?;
                return Ok(Some(function.returns));
            }
            _ => return Ok(None),
        };
        Ok(Some(native.into()))
    }

    /// The name that a column of the result gets.
    fn name(&mut self, selector: &Selector) -> String {
        if let Selector::Term(term) = selector {
            return show_term(term);
        }
        let mut binder = Binder::new(self.binder.context);
        let mut slots = Slots::new(self.table);
        let mut dry = Planner { table: self.table, binder: &mut binder, slots: &mut slots };
        dry.selector(selector).map(|typed| typed.name).unwrap_or_default()
    }
}

fn aggregate_part(name: &str) -> QueryError {
    QueryError::NotSupportedYet(format!("taking a part of {name}; aggregate the part instead"))
}

fn numeric(argument: &CqlType, name: &str) -> Result<CqlType, QueryError> {
    match argument {
        CqlType::Native(
            native @ (Native::Tinyint
            | Native::Smallint
            | Native::Int
            | Native::Bigint
            | Native::Counter
            | Native::Varint
            | Native::Decimal
            | Native::Float
            | Native::Double),
        ) => Ok(match native {
            Native::Counter => Native::Bigint.into(),
            native => (*native).into(),
        }),
        other => Err(QueryError::invalid(format!(
            "{name}() takes numbers, and its argument has type {other}: use CAST to make it one"
        ))),
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

fn literal_kind(literal: &Literal) -> ArgumentType {
    ArgumentType::Literal(match literal {
        Literal::Null => return ArgumentType::Any,
        Literal::Text(_) => LiteralKind::Text,
        Literal::Integer(_) => LiteralKind::Integer,
        Literal::Float(_) => LiteralKind::Float,
        Literal::Boolean(_) => LiteralKind::Boolean,
        Literal::Blob(_) => LiteralKind::Blob,
        Literal::Uuid(_) => LiteralKind::Uuid,
        Literal::Duration(_) => LiteralKind::Duration,
    })
}

/// A term for a column's name: as CQL writes it.
fn show_term(term: &Term) -> String {
    term.to_string()
}

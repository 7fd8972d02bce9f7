//! Drafting: one pass over a term that finds its type, its expression, and the name that a result's column of it gets.

use std::borrow::Cow;

use tholos_grammar::ast::QualifiedName;
use tholos_grammar::ast::ident::Ident;
use tholos_grammar::ast::term::{Operator, Term, TermKind};
use tholos_grammar::ast::type_name::TypeName;
use tholos_grammar::types::{CqlType, Native};

use super::binder::Binder;
use super::draft::{Draft, DraftKind, OpenCall};
use super::{Expr, ExprKind};
use crate::error::{At, QueryError};
use crate::query::column::ColumnSpec;
use crate::query::functions::{self, ArgumentType, LiteralKind, native_name};
use crate::query::slots::Slots;
use crate::query::suggest::nearest;
use crate::query::types::resolve_type;

/// Plans terms: those of values, or with columns those of a select list.
pub(in crate::query) struct Planner<'p, 'c, 't> {
    pub(super) binder: &'p mut Binder<'c>,
    /// The row's columns, where there is a row.
    pub(super) row: Option<&'p mut Slots<'t>>,
    /// What receives values: of its keyspace are types, and of its table markers.
    pub(super) base: &'p ColumnSpec,
    /// What the terms drafted so far are called in a result: only with a row.
    pub(super) name: String,
    /// Aggregates drafted so far.
    pub(super) aggregates: usize,
    /// The argument that is being drafted: what markers in it are called that only have a type.
    argument: Option<String>,
}

impl<'p, 'c, 't> Planner<'p, 'c, 't> {
    /// For values that `receiver` takes.
    pub(super) fn of_values(binder: &'p mut Binder<'c>, receiver: &'p ColumnSpec) -> Self {
        Planner {
            binder,
            row: None,
            base: receiver,
            name: String::new(),
            aggregates: 0,
            argument: None,
        }
    }

    /// For expressions over rows; `base` is of their table.
    pub(in crate::query) fn of_rows(
        binder: &'p mut Binder<'c>,
        row: &'p mut Slots<'t>,
        base: &'p ColumnSpec,
    ) -> Self {
        Planner { binder, row: Some(row), base, name: String::new(), aggregates: 0, argument: None }
    }

    /// An expression that no receiver gives a type, with the name that a result's column of it gets.
    ///
    /// # Errors
    /// [`QueryError::Invalid`]: unknown names, wrong types, or a type that can't be known.
    pub(in crate::query) fn expression(
        &mut self,
        term: &Term,
    ) -> Result<(Expr, String), QueryError> {
        self.name.clear();
        let draft = self.draft(term)?;
        let expr = self.typed(draft, term)?;
        Ok((expr, std::mem::take(&mut self.name)))
    }

    /// How many of the expressions so far hold aggregates.
    pub(in crate::query) fn has_aggregates(&self) -> bool {
        self.aggregates > 0
    }

    /// Drafts a term.
    pub(super) fn draft<'a>(&mut self, term: &'a Term) -> Result<Draft<'a>, QueryError> {
        self.binder.step()?;
        let kind = self.draft_kind(term).at(term.span)?;
        Ok(Draft { kind, span: term.span })
    }

    fn draft_kind<'a>(&mut self, term: &'a Term) -> Result<DraftKind<'a>, QueryError> {
        Ok(match &term.kind {
            TermKind::Literal(literal) => {
                self.write_literal(literal);
                DraftKind::Literal(literal)
            }
            TermKind::Marker(marker) => {
                self.write(format_args!("{marker}"));
                DraftKind::Marker { marker, index: self.binder.reserve(self.base)? }
            }
            TermKind::List(items) => DraftKind::List(self.items("[", items, "]")?),
            TermKind::Set(items) => DraftKind::Set(self.items("{", items, "}")?),
            TermKind::Tuple(items) => {
                let mut items = self.items("(", items, ")")?;
                match items.as_slice() {
                    [Draft { kind: DraftKind::Typed(_), .. }] => return Ok(items.remove(0).kind),
                    _ => DraftKind::Tuple(items),
                }
            }
            TermKind::Map(entries) => DraftKind::Map(self.entries(entries)?),
            TermKind::Udt(fields) => DraftKind::Udt(self.fields(fields)?),
            TermKind::Hint(written, inner) => {
                let ty = self.written_type(written)?;
                self.write_hint(written);
                let draft = self.draft(inner)?;
                let receiver = self.base.part(self.receiver_name(), ty);
                DraftKind::Typed(self.settle(draft, &receiver)?)
            }
            TermKind::Cast(inner, written) => self.cast(inner, written)?,
            TermKind::Call { function, arguments } => self.call(function, arguments)?,
            TermKind::Negate(inner) => {
                self.push("-");
                let inner = self.argument_of(native_name("-", 1), 0, inner)?;
                self.combine(Cow::Borrowed("-"), vec![inner])?
            }
            TermKind::Arithmetic { left, operator, right } => {
                let name = operator_name(*operator);
                let left = self.argument_of(native_name(name, 2), 0, left)?;
                self.write(format_args!(" {operator} "));
                let right = self.argument_of(native_name(name, 2), 1, right)?;
                self.combine(Cow::Borrowed(name), vec![left, right])?
            }
            TermKind::CountAll => self.count_all()?,
            TermKind::Column(name) => self.column(name)?,
            TermKind::Field(of, field) => self.field(of, field)?,
            TermKind::Element(of, key) => self.element(of, key)?,
            TermKind::Slice(of, from, to) => self.slice(of, from.as_deref(), to.as_deref())?,
        })
    }

    fn items<'a>(
        &mut self,
        open: &str,
        items: &'a [Term],
        close: &str,
    ) -> Result<Vec<Draft<'a>>, QueryError> {
        self.push(open);
        let drafts = self.list(items)?;
        self.push(close);
        Ok(drafts)
    }

    /// Drafts of terms with commas between them.
    pub(super) fn list<'a>(&mut self, items: &'a [Term]) -> Result<Vec<Draft<'a>>, QueryError> {
        let mut drafts = Vec::with_capacity(items.len());
        for (place, item) in items.iter().enumerate() {
            self.push(if place == 0 { "" } else { ", " });
            drafts.push(self.draft(item)?);
        }
        Ok(drafts)
    }

    fn entries<'a>(
        &mut self,
        entries: &'a [(Term, Term)],
    ) -> Result<Vec<(Draft<'a>, Draft<'a>)>, QueryError> {
        self.push("{");
        let mut drafts = Vec::with_capacity(entries.len());
        for (place, (key, value)) in entries.iter().enumerate() {
            self.push(if place == 0 { "" } else { ", " });
            let key = self.draft(key)?;
            self.push(": ");
            drafts.push((key, self.draft(value)?));
        }
        self.push("}");
        Ok(drafts)
    }

    fn fields<'a>(
        &mut self,
        fields: &'a [(Ident, Term)],
    ) -> Result<Vec<(&'a Ident, Draft<'a>)>, QueryError> {
        self.push("{");
        let mut drafts = Vec::with_capacity(fields.len());
        for (place, (name, value)) in fields.iter().enumerate() {
            self.write(format_args!("{}{}: ", if place == 0 { "" } else { ", " }, name.as_str()));
            drafts.push((name, self.draft(value)?));
        }
        self.push("}");
        Ok(drafts)
    }

    /// A cast to the type that a value has already is the value, and called so.
    fn cast<'a>(&mut self, of: &'a Term, written: &TypeName) -> Result<DraftKind<'a>, QueryError> {
        let target = self.written_type(written)?;
        let start = self.name.len();
        let name = format!("cast_as_{target}");
        let inner = self.argument_of(&name, 0, of)?;
        if let DraftKind::Typed(expr) = &inner.kind
            && expr.cql_type == target
        {
            return Ok(inner.kind);
        }
        self.insert(start, "cast(");
        self.write(format_args!(" as {target})"));
        self.combine(Cow::Owned(name), vec![inner])
    }

    fn call<'a>(
        &mut self,
        function: &'a QualifiedName,
        arguments: &'a [Term],
    ) -> Result<DraftKind<'a>, QueryError> {
        let name = function_name(function)?;
        let at = function.name.span;
        match (name, arguments) {
            ("count" | "min" | "max" | "sum" | "avg", _) => self.aggregate(name, arguments).at(at),
            ("writetime" | "maxwritetime" | "ttl", _) => self.metadata(name, arguments).at(at),
            ("token", _) => self.token(arguments).at(at),
            _ => {
                self.write(format_args!("system.{name}("));
                let drafts = self.arguments(name, arguments)?;
                self.push(")");
                self.combine(Cow::Borrowed(name), drafts).at(at)
            }
        }
    }

    fn arguments<'a>(
        &mut self,
        function: &str,
        arguments: &'a [Term],
    ) -> Result<Vec<Draft<'a>>, QueryError> {
        if self.row.is_some() {
            return self.list(arguments);
        }
        let drafts = arguments.iter().enumerate();
        drafts.map(|(position, argument)| self.argument_of(function, position, argument)).collect()
    }

    /// The draft of an argument, whose markers are called after it; in a select list all have one name.
    fn argument_of<'a>(
        &mut self,
        function: &str,
        position: usize,
        argument: &'a Term,
    ) -> Result<Draft<'a>, QueryError> {
        if self.row.is_some() {
            return self.draft(argument);
        }
        let outer = self.argument.replace(argument_name(position, function));
        let draft = self.draft(argument);
        self.argument = outer;
        draft
    }

    /// A call with its arguments: an expression, unless it takes a receiver to know which function it is.
    fn combine<'a>(
        &mut self,
        name: Cow<'a, str>,
        arguments: Vec<Draft<'a>>,
    ) -> Result<DraftKind<'a>, QueryError> {
        let types: Vec<ArgumentType> = arguments.iter().map(Draft::argument_type).collect();
        if is_from_json(&name) {
            let result = ArgumentType::Any;
            return Ok(DraftKind::Call(Box::new(OpenCall { name, arguments, result })));
        }
        if is_operator(&name) && !arguments.iter().all(Draft::is_typed) {
            let result = operator_result(&name, &types)?;
            return Ok(DraftKind::Call(Box::new(OpenCall { name, arguments, result })));
        }
        let function = functions::resolve(&name, &types, None)?;
        self.build(function, &name, arguments).map(DraftKind::Typed)
    }

    fn column<'a>(&mut self, name: &Ident) -> Result<DraftKind<'a>, QueryError> {
        self.push(name.as_str());
        let Some(row) = &mut self.row else {
            return Err(QueryError::invalid(format!(
                "column {name} can't stand here, where only values may: text goes in single quotes"
            )));
        };
        let (slot, cql_type) = row.named(name).at(name.span)?;
        Ok(DraftKind::Typed(Expr { cql_type, kind: ExprKind::Column(slot) }))
    }

    fn field<'a>(&mut self, of: &'a Term, field: &Ident) -> Result<DraftKind<'a>, QueryError> {
        let start = self.name.len();
        let draft = self.draft(of)?;
        let inner = self.typed(draft, of)?;
        let CqlType::Udt { definition, .. } = &inner.cql_type else {
            return Err(QueryError::invalid(format!(
                "{} has type {}, which has no fields: .{field} takes a user type",
                self.named_since(start),
                inner.cql_type
            )));
        };
        self.write(format_args!(".{}", field.as_str()));
        let found = definition.fields.iter().enumerate().find(|(_, (name, _))| *name == *field);
        let Some((index, (_, cql_type))) = found else {
            let hint =
                nearest(field.as_str(), definition.fields.iter().map(|(name, _)| name.as_str()));
            let error = QueryError::invalid(format!(
                "type {}.{} has no field {field}{hint}",
                definition.keyspace, definition.name
            ));
            return Err(error.at(field.span));
        };
        let cql_type = cql_type.clone();
        Ok(DraftKind::Typed(Expr {
            cql_type,
            kind: ExprKind::Field { of: Box::new(inner), index },
        }))
    }

    fn element<'a>(&mut self, of: &'a Term, key: &'a Term) -> Result<DraftKind<'a>, QueryError> {
        let (inner, receiver) = self.collection(of)?;
        let cql_type = match &inner.cql_type {
            CqlType::Map { value, .. } => (**value).clone(),
            _ => receiver.cql_type.clone(),
        };
        self.push("[");
        let key = self.key(key, &receiver)?;
        self.push("]");
        let kind = ExprKind::Element { of: Box::new(inner), key: Box::new(key) };
        Ok(DraftKind::Typed(Expr { cql_type, kind }))
    }

    fn slice<'a>(
        &mut self,
        of: &'a Term,
        from: Option<&'a Term>,
        to: Option<&'a Term>,
    ) -> Result<DraftKind<'a>, QueryError> {
        let (inner, receiver) = self.collection(of)?;
        let (from, to) = self.bounds(from, to, &receiver)?;
        let (from, to) = (from.map(Box::new), to.map(Box::new));
        let cql_type = inner.cql_type.clone();
        let kind = ExprKind::Slice { of: Box::new(inner), from, to };
        Ok(DraftKind::Typed(Expr { cql_type, kind }))
    }

    /// Both ends of a slice, with their brackets.
    pub(super) fn bounds(
        &mut self,
        from: Option<&Term>,
        to: Option<&Term>,
        receiver: &ColumnSpec,
    ) -> Result<(Option<Expr>, Option<Expr>), QueryError> {
        self.push("[");
        let from = from.map(|from| self.key(from, receiver)).transpose()?;
        self.push("..");
        let to = to.map(|to| self.key(to, receiver)).transpose()?;
        self.push("]");
        Ok((from, to))
    }

    /// The key of an element.
    pub(super) fn key(&mut self, key: &Term, receiver: &ColumnSpec) -> Result<Expr, QueryError> {
        let draft = self.draft(key)?;
        self.settle(draft, receiver)
    }

    /// The collection that an element or slice is taken of, and what takes its keys.
    pub(super) fn collection(&mut self, of: &Term) -> Result<(Expr, ColumnSpec), QueryError> {
        let start = self.name.len();
        let draft = self.draft(of)?;
        let inner = self.typed(draft, of)?;
        let (part, key) = match &inner.cql_type {
            CqlType::Map { key, .. } => ("key", (**key).clone()),
            CqlType::Set { element, .. } => ("value", (**element).clone()),
            other => {
                return Err(QueryError::invalid(format!(
                    "{} has type {other}: [...] takes elements of sets and maps only",
                    self.named_since(start)
                )));
            }
        };
        let receiver = self.base.part(format!("{part}({})", self.named_since(start)), key);
        Ok((inner, receiver))
    }

    /// The expression of a draft that nothing gives a type.
    pub(super) fn typed(&mut self, draft: Draft<'_>, term: &Term) -> Result<Expr, QueryError> {
        if let DraftKind::Typed(expr) = draft.kind {
            return Ok(expr);
        }
        let Some(cql_type) = draft.natural_type() else {
            let error = QueryError::invalid(format!(
                "the type of {term} is not known here: say it by a hint, such as (int) {term}"
            ));
            return Err(error.at(term.span));
        };
        let receiver = self.base.part(self.receiver_name(), cql_type);
        self.settle(draft, &receiver)
    }

    pub(super) fn written_type(&self, written: &TypeName) -> Result<CqlType, QueryError> {
        resolve_type(written, &self.base.keyspace, self.binder.context.catalogue)
    }

    /// What a marker is called that stands where only a type is known.
    pub(super) fn receiver_name(&self) -> &str {
        match (&self.row, &self.argument) {
            (Some(_), _) => "[selection]",
            (None, Some(argument)) => argument,
            (None, None) => &self.base.name,
        }
    }
}

/// What a marker is called that is an argument.
pub(super) fn argument_name(position: usize, function: &str) -> String {
    format!("arg{position}(system.{function})")
}

/// The name to look a function up by: only native functions exist, which live in keyspace `system`.
fn function_name(function: &QualifiedName) -> Result<&str, QueryError> {
    match &function.keyspace {
        Some(keyspace) if *keyspace != "system" => {
            let error = QueryError::NotSupportedYet(format!(
                "user-defined functions, such as {keyspace}.{}",
                function.name
            ));
            Err(error.at(keyspace.span.to(function.name.span)))
        }
        _ => Ok(function.name.as_str()),
    }
}

pub(super) fn operator_name(operator: Operator) -> &'static str {
    match operator {
        Operator::Add => "+",
        Operator::Subtract => "-",
        Operator::Multiply => "*",
        Operator::Divide => "/",
        Operator::Modulo => "%",
    }
}

fn is_operator(name: &str) -> bool {
    matches!(name, "+" | "-" | "*" | "/" | "%")
}

fn is_from_json(name: &str) -> bool {
    matches!(name, "from_json" | "fromjson")
}

/// What is known of an operator's result while an operand is open. Numbers written out have no type of their own yet:
/// what they come to has none either.
fn operator_result(name: &str, types: &[ArgumentType]) -> Result<ArgumentType, QueryError> {
    use ArgumentType as A;
    use LiteralKind as L;
    Ok(match types {
        [A::Literal(L::Integer(a)), A::Literal(L::Integer(b))] => {
            A::Literal(L::Integer(wider(*a, *b)))
        }
        // What no bigint holds is exact beside a fraction too.
        [A::Literal(L::Float), A::Literal(L::Integer(Native::Varint))]
        | [A::Literal(L::Integer(Native::Varint)), A::Literal(L::Float)] => {
            A::Known(Native::Decimal.into())
        }
        [A::Literal(L::Integer(_) | L::Float), A::Literal(L::Integer(_) | L::Float)] => {
            A::Literal(L::Float)
        }
        [A::Literal(L::Text), A::Literal(L::Text)] => A::Literal(L::Text),
        [single @ A::Literal(L::Integer(_) | L::Float)] => single.clone(),
        types if types.iter().any(|ty| matches!(ty, A::Known(_))) => {
            A::Known(functions::resolve(name, types, None)?.returns)
        }
        _ => A::Any,
    })
}

fn wider(a: Native, b: Native) -> Native {
    let rank = |native| match native {
        Native::Int => 0,
        Native::Bigint => 1,
        _ => 2,
    };
    if rank(a) >= rank(b) { a } else { b }
}

impl Binder<'_> {
    /// The expression that a term is, for a receiver of some type.
    ///
    /// # Errors
    /// [`QueryError::Invalid`]: the term is no value of the receiver's type; an unknown function, type or field.
    pub fn bind(&mut self, term: &Term, receiver: &ColumnSpec) -> Result<Expr, QueryError> {
        let mut planner = Planner::of_values(self, receiver);
        let draft = planner.draft(term)?;
        planner.settle(draft, receiver)
    }
}

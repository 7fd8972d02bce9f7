//! Relations with their columns looked up and their terms bound, in the order of the text.

use std::collections::BTreeMap;

use tholos_grammar::ast::ident::Ident;
use tholos_grammar::ast::relation::{ColumnPath, Comparison, InValues, Relation};
use tholos_grammar::ast::term::{Term, TermKind};
use tholos_grammar::span::Span;
use tholos_grammar::types::{CqlType, Native};
use tholos_storage::schema::{Column, Table};

use super::steps::step;
use super::{Candidates, Operator, Test, TokenTerm, Tuple};
use crate::error::{At, QueryError};
use crate::query::column::ColumnSpec;
use crate::query::expression::{Binder, Expr};
use crate::query::suggest::unknown_column;
use crate::query::types::holds_duration;

/// A WHERE clause with its names looked up and its terms bound.
#[derive(Debug, Default)]
pub struct Relations<'t> {
    /// What is said of columns, in the order of the text.
    pub columns: Vec<BoundRelation<'t>>,
    /// What is said of `token()`.
    pub tokens: Vec<TokenRelation>,
}

/// A bound relation.
#[derive(Debug)]
pub struct BoundRelation<'t> {
    /// The columns it is about: several for tuples.
    pub columns: Vec<&'t Column>,
    /// What it says of them.
    pub test: Test,
    /// Where its columns stand.
    pub at: Span,
}

/// A bound relation of `token()`.
#[derive(Debug)]
pub struct TokenRelation {
    /// How.
    pub operator: Operator,
    /// With what.
    pub token: TokenTerm,
    /// Where its columns stand.
    pub at: Span,
}

impl BoundRelation<'_> {
    /// The columns by name, as messages have them.
    pub fn name(&self) -> String {
        match self.columns.as_slice() {
            [column] => column.name.to_string(),
            columns => tuple_name(columns),
        }
    }

    /// Whether it begins with this column.
    pub fn starts_with(&self, column: &Column) -> bool {
        step();
        self.columns.first().is_some_and(|first| first.id == column.id)
    }
}

/// Binds relations in the order of the text.
///
/// # Errors
/// [`QueryError::Invalid`] for columns that the table does not have, comparisons that their types don't have, and terms
/// that are no values of theirs; [`QueryError::NotSupportedYet`] for LIKE.
pub fn bind<'t>(
    relations: &[Relation],
    table: &'t Table,
    binder: &mut Binder<'_>,
) -> Result<Relations<'t>, QueryError> {
    let columns = Columns::new(table, relations.len());
    let mut bound = Relations::default();
    for relation in relations {
        let at = place(relation);
        let mut relation_binder = RelationBinder { columns: &columns, binder, at };
        relation_binder.bind(relation, &mut bound).at(at)?;
    }
    Ok(bound)
}

/// Where the columns of a relation stand.
fn place(relation: &Relation) -> Span {
    match relation {
        Relation::Single { column, .. }
        | Relation::In { column, .. }
        | Relation::Between { column, .. } => {
            let (ColumnPath::Column(name)
            | ColumnPath::Element(name, _)
            | ColumnPath::Field(name, _)) = column;
            name.span
        }
        Relation::IsNotNull(name) => name.span,
        Relation::Tuple { columns, .. }
        | Relation::TupleIn { columns, .. }
        | Relation::Token { columns, .. } => match columns.as_slice() {
            [first, .., last] => first.span.to(last.span),
            [only] => only.span,
            [] => Span::default(),
        },
    }
}

/// The table's columns by name.
struct Columns<'t> {
    table: &'t Table,
    /// Where there are many relations; a few find their columns sooner without.
    by_name: Option<BTreeMap<&'t str, &'t Column>>,
}

/// From so many relations on, columns are looked up in a map.
const MANY: usize = 16;

impl<'t> Columns<'t> {
    fn new(table: &'t Table, relations: usize) -> Self {
        let by_name = || table.columns().map(|column| (column.name.as_str(), column)).collect();
        Columns { table, by_name: (relations >= MANY).then(by_name) }
    }

    fn find(&self, name: &Ident) -> Result<&'t Column, QueryError> {
        step();
        let found = match &self.by_name {
            Some(by_name) => by_name.get(name.as_str()).copied(),
            None => self.table.columns().inspect(|_| step()).find(|column| column.name == **name),
        };
        found.ok_or_else(|| unknown_column(name, self.table))
    }
}

struct RelationBinder<'r, 't, 'c> {
    columns: &'r Columns<'t>,
    binder: &'r mut Binder<'c>,
    at: Span,
}

impl<'t> RelationBinder<'_, 't, '_> {
    fn bind(&mut self, relation: &Relation, out: &mut Relations<'t>) -> Result<(), QueryError> {
        let bound = match relation {
            Relation::Single { column, operator, term } => self.single(column, *operator, term)?,
            Relation::In { column, negated, values } => self.within(column, *negated, values)?,
            Relation::Between { column, low, high } => {
                out.columns.push(self.single(column, Comparison::GreaterOrEqual, low)?);
                self.single(column, Comparison::LessOrEqual, high)?
            }
            Relation::IsNotNull(column) => {
                return Err(QueryError::invalid(format!(
                    "{column} IS NOT NULL is for materialized views only: a statement can't ask for it"
                )));
            }
            Relation::Tuple { columns, operator, term } => {
                let columns = self.tuple_columns(columns)?;
                let operator = operator_of(*operator, tuple_name(&columns))?;
                let value = self.tuple(&columns, term)?;
                self.bound(columns, Test::Compare(operator, value))
            }
            Relation::TupleIn { columns, values } => self.tuple_in(columns, values)?,
            Relation::Token { columns, operator, term } => {
                out.tokens.push(self.token(columns, *operator, term)?);
                return Ok(());
            }
        };
        out.columns.push(bound);
        Ok(())
    }

    fn bound(&self, columns: Vec<&'t Column>, test: Test) -> BoundRelation<'t> {
        BoundRelation { columns, test, at: self.at }
    }

    fn table(&self) -> &'t Table {
        self.columns.table
    }

    fn spec(&self, column: &Column) -> ColumnSpec {
        ColumnSpec::of(self.table(), column)
    }

    fn whole(&self, path: &ColumnPath) -> Result<&'t Column, QueryError> {
        match path {
            ColumnPath::Column(name) => self.columns.find(name),
            ColumnPath::Element(name, _) => Err(QueryError::NotSupportedYet(format!(
                "IN on an element of {name}; restrict it with ="
            ))),
            ColumnPath::Field(name, field) => Err(QueryError::invalid(format!(
                "{name}.{field} can't be restricted: WHERE takes whole columns, not fields of user types"
            ))),
        }
    }

    fn single(
        &mut self,
        path: &ColumnPath,
        operator: Comparison,
        term: &Term,
    ) -> Result<BoundRelation<'t>, QueryError> {
        if let ColumnPath::Element(name, key) = path {
            return self.entry(name, key, operator, term);
        }
        let column = self.whole(path)?;
        let test = match operator {
            Comparison::Contains | Comparison::NotContains => {
                let element = contained(column)?;
                let name = format!("value({})", column.name.as_str());
                let value = self.not_null(term, &self.spec(column).part(name, element.clone()))?;
                Test::Contains { negated: operator == Comparison::NotContains, value, element }
            }
            Comparison::ContainsKey | Comparison::NotContainsKey => {
                let element = contained_key(column)?;
                let name = format!("key({})", column.name.as_str());
                let key = self.not_null(term, &self.spec(column).part(name, element.clone()))?;
                Test::ContainsKey { negated: operator == Comparison::NotContainsKey, key, element }
            }
            _ => {
                let operator = operator_of(operator, &column.name)?;
                check_comparable(column, operator)?;
                let value = self.not_null(term, &self.spec(column))?;
                Test::Compare(operator, Tuple::Elements(vec![value]))
            }
        };
        Ok(self.bound(vec![column], test))
    }

    fn entry(
        &mut self,
        name: &Ident,
        key: &Term,
        operator: Comparison,
        term: &Term,
    ) -> Result<BoundRelation<'t>, QueryError> {
        let column = self.columns.find(name)?;
        let CqlType::Map { key: key_type, value: value_type, .. } = &column.cql_type else {
            return Err(QueryError::invalid(format!(
                "{name}[...] can't be restricted: {name} has type {}, and only entries of maps can",
                column.cql_type
            )));
        };
        let spec = self.spec(column);
        let key_spec = spec.part(format!("key({})", name.as_str()), (**key_type).clone());
        let value_spec = spec.part(format!("value({})", name.as_str()), (**value_type).clone());
        let key = self.not_null(key, &key_spec)?;
        let operator = operator_of(operator, name)?;
        let value = self.not_null(term, &value_spec)?;
        Ok(self.bound(vec![column], Test::Entry { key, operator, value }))
    }

    fn within(
        &mut self,
        path: &ColumnPath,
        negated: bool,
        values: &InValues,
    ) -> Result<BoundRelation<'t>, QueryError> {
        let column = self.whole(path)?;
        check_comparable(column, Operator::Equal)?;
        let spec = self.spec(column);
        let values = self.candidates(values, &spec, false, |this, term| {
            Ok(Tuple::Elements(vec![this.not_null(term, &spec)?]))
        })?;
        Ok(self.bound(vec![column], within(negated, values)))
    }

    /// What IN takes; of a marker, the list of what `spec` describes.
    fn candidates(
        &mut self,
        values: &InValues,
        spec: &ColumnSpec,
        of_tuples: bool,
        mut bind: impl FnMut(&mut Self, &Term) -> Result<Tuple, QueryError>,
    ) -> Result<Candidates, QueryError> {
        match values {
            InValues::List(terms) => {
                let tuples = terms.iter().map(|term| bind(self, term));
                Ok(Candidates::Many(tuples.collect::<Result<_, _>>()?))
            }
            InValues::Marker(marker) => {
                // A tuple's name has parentheses of its own.
                let (open, close) = if of_tuples { ("", "") } else { ("(", ")") };
                let name = format!("in{open}{}{close}", spec.name);
                let element = Box::new(spec.cql_type.clone());
                let receiver = spec.part(name, CqlType::List { element, frozen: true });
                let list = self.binder.bind_marker(marker, &receiver)?;
                Ok(Candidates::List { list, of_tuples })
            }
        }
    }

    /// The columns of a tuple: consecutive clustering columns.
    fn tuple_columns(&self, names: &[Ident]) -> Result<Vec<&'t Column>, QueryError> {
        let columns: Vec<&Column> =
            names.iter().map(|name| self.columns.find(name)).collect::<Result<_, _>>()?;
        let clustering = &self.table().clustering;
        let first = columns
            .first()
            .and_then(|column| clustering.iter().position(|clustering| clustering.id == column.id));
        let consecutive = first.is_some_and(|first| {
            columns.iter().zip(0..).all(|(column, i)| {
                clustering.get(first + i).is_some_and(|other| other.id == column.id)
            })
        });
        if consecutive {
            return Ok(columns);
        }
        let names: Vec<String> = clustering.iter().map(|column| column.name.to_string()).collect();
        Err(QueryError::invalid(format!(
            "{} can't be restricted together: a tuple takes clustering columns, in the order of the primary key and without gaps ({}.{} has {})",
            tuple_name(&columns),
            self.table().keyspace,
            self.table().name,
            if names.is_empty() { "none".to_string() } else { names.join(", ") },
        )))
    }

    fn tuple(&mut self, columns: &[&Column], term: &Term) -> Result<Tuple, QueryError> {
        self.tuple_of(columns, term).at(term.span)
    }

    fn tuple_of(&mut self, columns: &[&Column], term: &Term) -> Result<Tuple, QueryError> {
        match &term.kind {
            TermKind::Tuple(items) if items.len() == columns.len() => {
                let items = items.iter().zip(columns);
                let elements = items.map(|(item, column)| self.not_null(item, &self.spec(column)));
                Ok(Tuple::Elements(elements.collect::<Result<_, _>>()?))
            }
            TermKind::Tuple(items) => Err(QueryError::invalid(format!(
                "{} takes {} values, not {}",
                tuple_name(columns),
                columns.len(),
                items.len()
            ))),
            TermKind::Marker(marker) => {
                let receiver = self.tuple_spec(columns);
                Ok(Tuple::Whole(self.binder.bind_marker(marker, &receiver)?))
            }
            _ => Err(QueryError::invalid(format!(
                "{} takes a tuple of {} values in parentheses, or a marker",
                tuple_name(columns),
                columns.len()
            ))),
        }
    }

    fn tuple_spec(&self, columns: &[&Column]) -> ColumnSpec {
        let types = columns.iter().map(|column| column.cql_type.clone()).collect();
        self.pseudo_column(tuple_name(columns), CqlType::Tuple(types))
    }

    fn pseudo_column(&self, name: impl Into<String>, cql_type: impl Into<CqlType>) -> ColumnSpec {
        ColumnSpec {
            keyspace: self.table().keyspace.clone(),
            table: self.table().name.clone(),
            name: name.into(),
            cql_type: cql_type.into(),
        }
    }

    fn tuple_in(
        &mut self,
        names: &[Ident],
        values: &InValues,
    ) -> Result<BoundRelation<'t>, QueryError> {
        let columns = self.tuple_columns(names)?;
        let spec = self.tuple_spec(&columns);
        let values =
            self.candidates(values, &spec, true, |this, term| this.tuple(&columns, term))?;
        Ok(self.bound(columns, within(false, values)))
    }

    fn token(
        &mut self,
        names: &[Ident],
        operator: Comparison,
        term: &Term,
    ) -> Result<TokenRelation, QueryError> {
        let columns: Vec<&Column> =
            names.iter().map(|name| self.columns.find(name)).collect::<Result<_, _>>()?;
        let key = &self.table().partition_key;
        if !columns.iter().map(|column| column.id).eq(key.iter().map(|column| column.id)) {
            let names: Vec<String> = key.iter().map(|column| column.name.to_string()).collect();
            return Err(QueryError::invalid(format!(
                "token() takes all columns of the partition key, in its order: write token({})",
                names.join(", ")
            )));
        }
        let operator = operator_of(operator, "token()")?;
        if operator == Operator::NotEqual {
            return Err(QueryError::invalid("token() can't be restricted with !=: use < and >"));
        }
        let token = match &term.kind {
            TermKind::Call { function, arguments } if function.name == "token" => {
                if arguments.len() != key.len() {
                    return Err(QueryError::invalid(format!(
                        "token() on the right side takes {} values, one for each partition key column, not {}",
                        key.len(),
                        arguments.len()
                    )));
                }
                let parts =
                    arguments.iter().zip(key).enumerate().map(|(at, (argument, column))| {
                        let name = format!("arg{at}(system.token)");
                        self.not_null(argument, &self.pseudo_column(name, column.cql_type.clone()))
                    });
                TokenTerm::Key(parts.collect::<Result<_, _>>()?)
            }
            _ => {
                let receiver = self.pseudo_column("partition key token", Native::Bigint);
                TokenTerm::Number(self.not_null(term, &receiver)?)
            }
        };
        Ok(TokenRelation { operator, token, at: self.at })
    }

    /// Binds a term that can't be null.
    fn not_null(&mut self, term: &Term, receiver: &ColumnSpec) -> Result<Expr, QueryError> {
        step();
        let expr = self.binder.bind(term, receiver).at(term.span)?;
        if expr.is_null() {
            let error = QueryError::invalid(format!(
                "{} is compared with null, which nothing equals: give it a value",
                receiver.name
            ));
            return Err(error.at(term.span));
        }
        Ok(expr)
    }
}

/// IN; with one value it is an equality.
fn within(negated: bool, values: Candidates) -> Test {
    match values {
        Candidates::Many(mut tuples) if !negated && tuples.len() == 1 => match tuples.pop() {
            Some(tuple) => Test::Compare(Operator::Equal, tuple),
            None => Test::In { negated, values: Candidates::Many(tuples) },
        },
        values => Test::In { negated, values },
    }
}

/// `(a,b)`, as drivers know such markers.
pub fn tuple_name(columns: &[&Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    format!("({})", names.join(","))
}

fn operator_of(operator: Comparison, what: impl std::fmt::Display) -> Result<Operator, QueryError> {
    Ok(match operator {
        Comparison::Equal => Operator::Equal,
        Comparison::NotEqual => Operator::NotEqual,
        Comparison::Less => Operator::Less,
        Comparison::LessOrEqual => Operator::LessOrEqual,
        Comparison::Greater => Operator::Greater,
        Comparison::GreaterOrEqual => Operator::GreaterOrEqual,
        Comparison::Like => {
            return Err(QueryError::NotSupportedYet(format!(
                "LIKE on {what}, which needs a text index: for a prefix of a clustering column, write >= 'abc' AND < 'abd'"
            )));
        }
        Comparison::Contains
        | Comparison::ContainsKey
        | Comparison::NotContains
        | Comparison::NotContainsKey => {
            return Err(QueryError::invalid(format!(
                "CONTAINS can't be used on {what}: it takes a whole collection column"
            )));
        }
    })
}

/// Whole columns can be compared unless they are many cells, counters, or (but for equality) have no order.
fn check_comparable(column: &Column, operator: Operator) -> Result<(), QueryError> {
    let ty = &column.cql_type;
    if ty.is_multi_cell() {
        let instead = if ty.is_collection() {
            "use CONTAINS, or make the column frozen"
        } else {
            "make the column frozen"
        };
        return Err(QueryError::invalid(format!(
            "{} has type {ty}, which is not one value but many and can't be compared: {instead}",
            column.name
        )));
    }
    if operator.is_slice() && holds_duration(ty) {
        return Err(QueryError::invalid(format!(
            "{} has type {ty}, and durations have no order (how long is a month?): only = can restrict it",
            column.name
        )));
    }
    Ok(())
}

fn contained(column: &Column) -> Result<CqlType, QueryError> {
    match &column.cql_type {
        CqlType::List { element, .. } | CqlType::Set { element, .. } => Ok((**element).clone()),
        CqlType::Map { value, .. } => Ok((**value).clone()),
        other => Err(QueryError::invalid(format!(
            "CONTAINS takes a collection, and {} has type {other}: compare it with =",
            column.name
        ))),
    }
}

fn contained_key(column: &Column) -> Result<CqlType, QueryError> {
    match &column.cql_type {
        CqlType::Map { key, .. } => Ok((**key).clone()),
        other => Err(QueryError::invalid(format!(
            "CONTAINS KEY takes a map, and {} has type {other}",
            column.name
        ))),
    }
}

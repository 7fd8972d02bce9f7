//! Relations of WHERE with their columns looked up and their terms bound.

use tholos_grammar::ast::ident::Ident;
use tholos_grammar::ast::relation::{ColumnPath, Comparison, InValues, Relation};
use tholos_grammar::ast::term::{Term, TermKind};
use tholos_grammar::name::Name;
use tholos_grammar::types::{CqlType, Native};
use tholos_storage::schema::{Column, Table};

use super::plan::{Candidates, FilterOperator, TokenTerm, TupleTerm, Tuples};
use super::{pseudo_column, unknown_column};
use crate::error::QueryError;
use crate::query::expression::{Binder, Expr, holds_duration};
use crate::query::plan::ColumnSpec;

/// A bound relation.
pub(super) struct BoundRelation<'t> {
    /// The columns it is about: several for tuples and `token()`.
    pub(super) columns: Vec<&'t Column>,
    /// What it says of them.
    pub(super) test: Test,
}

/// What a relation says.
pub(super) enum Test {
    Compare(FilterOperator, Expr),
    In { negated: bool, values: Candidates },
    Contains { negated: bool, value: Expr, element: CqlType },
    ContainsKey { negated: bool, key: Expr, element: CqlType },
    Entry { key: Expr, operator: FilterOperator, value: Expr },
    Tuple(FilterOperator, TupleTerm),
    TupleIn(Tuples),
    Token(FilterOperator, TokenTerm),
}

/// Binds relations in the order of the text.
pub(super) fn bind_all<'t>(
    relations: &[Relation],
    table: &'t Table,
    binder: &mut Binder<'_>,
) -> Result<Vec<BoundRelation<'t>>, QueryError> {
    let mut bound = Vec::with_capacity(relations.len());
    for relation in relations {
        RelationBinder { table, binder }.bind(relation, &mut bound)?;
    }
    Ok(bound)
}

struct RelationBinder<'t, 'b, 'c> {
    table: &'t Table,
    binder: &'b mut Binder<'c>,
}

impl<'t> RelationBinder<'t, '_, '_> {
    fn bind(
        &mut self,
        relation: &Relation,
        out: &mut Vec<BoundRelation<'t>>,
    ) -> Result<(), QueryError> {
        let bound = match relation {
            Relation::Single { column, operator, term } => self.single(column, *operator, term)?,
            Relation::In { column, negated, values } => self.within(column, *negated, values)?,
            Relation::Between { column, low, high } => {
                out.push(self.single(column, Comparison::GreaterOrEqual, low)?);
                self.single(column, Comparison::LessOrEqual, high)?
            }
            Relation::IsNotNull(column) => {
                return Err(QueryError::invalid(format!(
                    "{column} IS NOT NULL is for materialized views only: a SELECT can't ask for it"
                )));
            }
            Relation::Tuple { columns, operator, term } => {
                let columns = self.tuple_columns(columns)?;
                let operator = filter_operator(*operator, tuple_name(&columns))?;
                let value = self.tuple_term(&columns, term)?;
                BoundRelation { columns, test: Test::Tuple(operator, value) }
            }
            Relation::TupleIn { columns, values } => self.tuple_in(columns, values)?,
            Relation::Token { columns, operator, term } => self.token(columns, *operator, term)?,
        };
        out.push(bound);
        Ok(())
    }

    fn column(&self, name: &Name) -> Result<&'t Column, QueryError> {
        self.table.column(name.as_str()).ok_or_else(|| unknown_column(name, self.table))
    }

    fn whole<'p>(&self, path: &'p ColumnPath) -> Result<&'t Column, QueryError>
    where
        't: 'p,
    {
        match path {
            ColumnPath::Column(name) => self.column(name),
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
                let receiver = ColumnSpec::of(self.table, column)
                    .part(format!("value({})", column.name.as_str()), element.clone());
                let value = self.not_null(term, &receiver)?;
                Test::Contains { negated: operator == Comparison::NotContains, value, element }
            }
            Comparison::ContainsKey | Comparison::NotContainsKey => {
                let element = contained_key(column)?;
                let receiver = ColumnSpec::of(self.table, column)
                    .part(format!("key({})", column.name.as_str()), element.clone());
                let key = self.not_null(term, &receiver)?;
                Test::ContainsKey { negated: operator == Comparison::NotContainsKey, key, element }
            }
            _ => {
                let operator = filter_operator(operator, &column.name)?;
                check_comparable(column, operator)?;
                Test::Compare(operator, self.not_null(term, &ColumnSpec::of(self.table, column))?)
            }
        };
        Ok(BoundRelation { columns: vec![column], test })
    }

    fn entry(
        &mut self,
        name: &Name,
        key: &Term,
        operator: Comparison,
        term: &Term,
    ) -> Result<BoundRelation<'t>, QueryError> {
        let column = self.column(name)?;
        let CqlType::Map { key: key_type, value: value_type, .. } = &column.cql_type else {
            return Err(QueryError::invalid(format!(
                "{name}[...] can't be restricted: {name} has type {}, and only entries of maps can",
                column.cql_type
            )));
        };
        let spec = ColumnSpec::of(self.table, column);
        let key_spec = spec.part(format!("key({})", name.as_str()), (**key_type).clone());
        let value_spec = spec.part(format!("value({})", name.as_str()), (**value_type).clone());
        let key = self.not_null(key, &key_spec)?;
        let operator = filter_operator(operator, name)?;
        let value = self.not_null(term, &value_spec)?;
        Ok(BoundRelation { columns: vec![column], test: Test::Entry { key, operator, value } })
    }

    fn within(
        &mut self,
        path: &ColumnPath,
        negated: bool,
        values: &InValues,
    ) -> Result<BoundRelation<'t>, QueryError> {
        let column = self.whole(path)?;
        check_comparable(column, FilterOperator::Equal)?;
        let spec = ColumnSpec::of(self.table, column);
        let values = match values {
            InValues::List(terms) => Candidates::Many(
                terms.iter().map(|term| self.not_null(term, &spec)).collect::<Result<_, _>>()?,
            ),
            InValues::Marker(marker) => {
                let element = column.cql_type.clone();
                let list = CqlType::List { element: Box::new(element.clone()), frozen: true };
                let receiver = spec.part(format!("in({})", column.name.as_str()), list);
                Candidates::List { list: self.binder.bind_marker(marker, &receiver)?, element }
            }
        };
        Ok(BoundRelation { columns: vec![column], test: Test::In { negated, values } })
    }

    /// The columns of a tuple: consecutive clustering columns.
    fn tuple_columns(&self, names: &[Ident]) -> Result<Vec<&'t Column>, QueryError> {
        let columns: Vec<&Column> =
            names.iter().map(|name| self.column(name)).collect::<Result<_, _>>()?;
        let clustering = &self.table.clustering;
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
            self.table.keyspace,
            self.table.name,
            if names.is_empty() { "none".to_string() } else { names.join(", ") },
        )))
    }

    fn tuple_term(&mut self, columns: &[&Column], term: &Term) -> Result<TupleTerm, QueryError> {
        match &term.kind {
            TermKind::Tuple(items) if items.len() == columns.len() => {
                let elements = items
                    .iter()
                    .zip(columns)
                    .map(|(item, column)| self.not_null(item, &ColumnSpec::of(self.table, column)));
                Ok(TupleTerm::Elements(elements.collect::<Result<_, _>>()?))
            }
            TermKind::Tuple(items) => Err(QueryError::invalid(format!(
                "{} takes {} values, not {}",
                tuple_name(columns),
                columns.len(),
                items.len()
            ))),
            TermKind::Marker(marker) => {
                let receiver = self.tuple_receiver(columns);
                Ok(TupleTerm::Whole(self.binder.bind_marker(marker, &receiver)?))
            }
            _ => Err(QueryError::invalid(format!(
                "{} takes a tuple of {} values in parentheses, or a marker",
                tuple_name(columns),
                columns.len()
            ))),
        }
    }

    fn tuple_receiver(&self, columns: &[&Column]) -> ColumnSpec {
        let types = columns.iter().map(|column| column.cql_type.clone()).collect();
        pseudo_column(self.table, &tuple_name(columns), CqlType::Tuple(types))
    }

    fn tuple_in(
        &mut self,
        names: &[Ident],
        values: &InValues,
    ) -> Result<BoundRelation<'t>, QueryError> {
        let columns = self.tuple_columns(names)?;
        let values = match values {
            InValues::List(terms) => Tuples::Many(
                terms
                    .iter()
                    .map(|term| self.tuple_term(&columns, term))
                    .collect::<Result<_, _>>()?,
            ),
            InValues::Marker(marker) => {
                let tuple = self.tuple_receiver(&columns);
                let name = format!("in{}", tuple.name);
                let list =
                    CqlType::List { element: Box::new(tuple.cql_type.clone()), frozen: true };
                Tuples::List(self.binder.bind_marker(marker, &tuple.part(name, list))?)
            }
        };
        Ok(BoundRelation { columns, test: Test::TupleIn(values) })
    }

    fn token(
        &mut self,
        names: &[Ident],
        operator: Comparison,
        term: &Term,
    ) -> Result<BoundRelation<'t>, QueryError> {
        let columns: Vec<&Column> =
            names.iter().map(|name| self.column(name)).collect::<Result<_, _>>()?;
        let key = &self.table.partition_key;
        if !columns.iter().map(|column| column.id).eq(key.iter().map(|column| column.id)) {
            let names: Vec<String> = key.iter().map(|column| column.name.to_string()).collect();
            return Err(QueryError::invalid(format!(
                "token() takes all columns of the partition key, in its order: write token({})",
                names.join(", ")
            )));
        }
        let operator = filter_operator(operator, "token()")?;
        if operator == FilterOperator::NotEqual {
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
                let parts = arguments.iter().zip(key).map(|(argument, column)| {
                    self.not_null(argument, &ColumnSpec::of(self.table, column))
                });
                TokenTerm::Key(parts.collect::<Result<_, _>>()?)
            }
            _ => {
                let receiver = pseudo_column(self.table, "partition key token", Native::Bigint);
                TokenTerm::Number(self.not_null(term, &receiver)?)
            }
        };
        Ok(BoundRelation { columns, test: Test::Token(operator, token) })
    }

    /// Binds a term that can't be null.
    fn not_null(&mut self, term: &Term, receiver: &ColumnSpec) -> Result<Expr, QueryError> {
        let expr = self.binder.bind(term, receiver)?;
        if expr.is_null() {
            return Err(QueryError::invalid(format!(
                "{} is compared with null, which nothing equals: give it a value",
                receiver.name
            )));
        }
        Ok(expr)
    }
}

pub(super) fn tuple_name(columns: &[&Column]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    format!("({})", names.join(","))
}

fn filter_operator(
    operator: Comparison,
    what: impl std::fmt::Display,
) -> Result<FilterOperator, QueryError> {
    Ok(match operator {
        Comparison::Equal => FilterOperator::Equal,
        Comparison::NotEqual => FilterOperator::NotEqual,
        Comparison::Less => FilterOperator::Less,
        Comparison::LessOrEqual => FilterOperator::LessOrEqual,
        Comparison::Greater => FilterOperator::Greater,
        Comparison::GreaterOrEqual => FilterOperator::GreaterOrEqual,
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
fn check_comparable(column: &Column, operator: FilterOperator) -> Result<(), QueryError> {
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
    let ordered = !matches!(operator, FilterOperator::Equal | FilterOperator::NotEqual);
    if ordered && holds_duration(ty) {
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

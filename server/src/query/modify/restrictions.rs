//! WHERE of UPDATE and DELETE, reduced to keys: partitions, then rows or a slice of rows.
//!
//! [`Keys`] says for the partition key, and for a prefix of the clustering columns, which values each may have, and
//! perhaps one slice on what follows. INSERT makes the same from its column list.

use std::ops::Range;

use tholos_grammar::ast::ident::Ident;
use tholos_grammar::ast::relation::{ColumnPath, Comparison, InValues, Relation};
use tholos_grammar::ast::term::{Marker, Term, TermKind};
use tholos_grammar::name::Name;
use tholos_grammar::types::CqlType;
use tholos_storage::schema::{Column, ColumnKind, Table};

use crate::error::QueryError;
use crate::query::expression::{Binder, Expr};
use crate::query::plan::ColumnSpec;
use crate::query::suggest;

/// The partitions and rows that a modification is about.
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Keys {
    /// The partition key: one entry per column, in key order.
    pub partition: Vec<Points>,
    /// A prefix of the clustering columns, in key order.
    pub clustering: Vec<Points>,
    /// What follows that prefix; only in DELETE.
    pub slice: Slice,
}

/// Values that some consecutive key columns may have.
#[derive(Clone, Debug, PartialEq)]
pub struct Points {
    /// Which columns, by position in the key.
    pub columns: Range<usize>,
    /// Their values.
    pub values: Alternatives,
}

/// `=` and IN.
#[derive(Clone, Debug, PartialEq)]
pub enum Alternatives {
    /// One or several; none for `IN ()`.
    These(Vec<KeyTuple>),
    /// `IN ?`: a list of the column's values, or of tuples.
    ListMarker(Expr),
}

/// A value for each of some columns.
#[derive(Clone, Debug, PartialEq)]
pub enum KeyTuple {
    /// One expression per column.
    Columns(Vec<Expr>),
    /// One marker for all of them: a tuple.
    Whole(Expr),
}

/// A slice of rows, by the order of CQL (not that of storage).
#[derive(Clone, Debug, PartialEq, Default)]
pub struct Slice {
    /// `>` or `>=`
    pub lower: Option<SliceBound>,
    /// `<` or `<=`
    pub upper: Option<SliceBound>,
}

/// One end of a slice.
#[derive(Clone, Debug, PartialEq)]
pub struct SliceBound {
    /// Which clustering columns.
    pub columns: Range<usize>,
    /// Their values.
    pub value: KeyTuple,
    /// `>=` or `<=`
    pub inclusive: bool,
}

impl Keys {
    /// How many clustering columns have points.
    pub fn clustering_columns(&self) -> usize {
        self.clustering.last().map_or(0, |points| points.columns.end)
    }

    /// Marker positions of the partition key, in key order; empty unless each column is one marker.
    pub fn pk_indexes(&self) -> Vec<u16> {
        let indexes = self.partition.iter().map(|points| match &points.values {
            Alternatives::These(tuples) => match tuples.as_slice() {
                [KeyTuple::Columns(exprs)] => exprs.first().and_then(Expr::marker),
                _ => None,
            },
            Alternatives::ListMarker(_) => None,
        });
        indexes.collect::<Option<Vec<u16>>>().unwrap_or_default()
    }
}

impl Points {
    /// One column with one value.
    pub fn single(column: usize, expr: Expr) -> Self {
        let values = Alternatives::These(vec![KeyTuple::Columns(vec![expr])]);
        Points { columns: column..column + 1, values }
    }
}

impl Slice {
    /// Whether neither end is given.
    pub fn is_full(&self) -> bool {
        self.lower.is_none() && self.upper.is_none()
    }
}

/// Reduces a WHERE clause to keys. Terms are bound in the order of the text.
///
/// All partition key columns are given; clustering columns are a prefix. Whether that prefix suffices is the
/// statement's question.
///
/// # Errors
/// [`QueryError::Invalid`] that names the columns that are missing, doubled, or can't stand in this clause.
pub fn restrict(
    relations: &[Relation],
    table: &Table,
    binder: &mut Binder<'_>,
) -> Result<Keys, QueryError> {
    let mut collector = Collector {
        table,
        partition: vec![None; table.partition_key.len()],
        clustering: Vec::new(),
        slice: Slice::default(),
    };
    for relation in relations {
        collector.relation(relation, binder)?;
    }
    collector.finish()
}

struct Collector<'t> {
    table: &'t Table,
    partition: Vec<Option<Points>>,
    /// In the order of the text, sorted at the end.
    clustering: Vec<Points>,
    slice: Slice,
}

enum Place {
    Partition(usize),
    Clustering(usize),
}

impl Collector<'_> {
    fn relation(&mut self, relation: &Relation, binder: &mut Binder<'_>) -> Result<(), QueryError> {
        match relation {
            Relation::Single { column, operator, term } => {
                let (place, column) = self.place(key_column(column)?)?;
                let spec = ColumnSpec::of(self.table, &column);
                let value = KeyTuple::Columns(vec![binder.bind(term, &spec)?]);
                match place {
                    Place::Partition(at) => self.partition_value(at, *operator, value, &column),
                    Place::Clustering(at) => self.clustering_value(at..at + 1, *operator, value),
                }
            }
            Relation::In { column, negated, values } => {
                let (place, column) = self.place(key_column(column)?)?;
                if *negated {
                    return Err(self.unsupported("NOT IN", column.name.as_str()));
                }
                let spec = ColumnSpec::of(self.table, &column);
                let values = in_values(values, &spec, binder, |term, binder| {
                    Ok(KeyTuple::Columns(vec![binder.bind(term, &spec)?]))
                })?;
                match place {
                    Place::Partition(at) => {
                        self.partition_points(Points { columns: at..at + 1, values }, &column)
                    }
                    Place::Clustering(at) => {
                        self.clustering_points(Points { columns: at..at + 1, values })
                    }
                }
            }
            Relation::Between { column, low, high } => {
                let (place, column) = self.place(key_column(column)?)?;
                let Place::Clustering(at) = place else {
                    return Err(self.unsupported("BETWEEN", column.name.as_str()));
                };
                let spec = ColumnSpec::of(self.table, &column);
                let low = KeyTuple::Columns(vec![binder.bind(low, &spec)?]);
                let high = KeyTuple::Columns(vec![binder.bind(high, &spec)?]);
                self.clustering_value(at..at + 1, Comparison::GreaterOrEqual, low)?;
                self.clustering_value(at..at + 1, Comparison::LessOrEqual, high)
            }
            Relation::Tuple { columns, operator, term } => {
                let range = self.clustering_range(columns)?;
                let value = self.tuple_value(term, range.clone(), binder)?;
                self.clustering_value(range, *operator, value)
            }
            Relation::TupleIn { columns, values } => {
                let range = self.clustering_range(columns)?;
                let spec = self.tuple_spec(range.clone());
                let values = in_values(values, &spec, binder, |term, binder| {
                    self.tuple_value(term, range.clone(), binder)
                })?;
                self.clustering_points(Points { columns: range, values })
            }
            Relation::Token { .. } => Err(QueryError::invalid(
                "token() can't be used in the WHERE clause of UPDATE and DELETE: name the partition key's values",
            )),
            Relation::IsNotNull(name) => Err(self.unsupported("IS NOT NULL", name.as_str())),
        }
    }

    /// Where in the key a column is.
    fn place(&self, name: &Name) -> Result<(Place, Column), QueryError> {
        let table = self.table;
        let position = |columns: &[Column]| columns.iter().position(|column| column.name == *name);
        if let Some(at) = position(&table.partition_key) {
            return Ok((Place::Partition(at), table.partition_key[at].clone()));
        }
        if let Some(at) = position(&table.clustering) {
            return Ok((Place::Clustering(at), table.clustering[at].clone()));
        }
        let column = defined(table, name)?;
        debug_assert!(matches!(column.kind, ColumnKind::Static | ColumnKind::Regular));
        Err(QueryError::invalid(format!(
            "non PRIMARY KEY columns found in where clause: {name}; UPDATE and DELETE choose rows by primary key only"
        )))
    }

    fn clustering_range(&self, names: &[Ident]) -> Result<Range<usize>, QueryError> {
        let mut range: Option<Range<usize>> = None;
        for name in names {
            let (place, _) = self.place(name)?;
            let Place::Clustering(at) = place else {
                return Err(QueryError::invalid(format!(
                    "a multi-column relation is on clustering columns, and {name} is a partition key column"
                )));
            };
            match &mut range {
                None => range = Some(at..at + 1),
                Some(range) if range.end == at => range.end += 1,
                Some(_) => {
                    return Err(QueryError::invalid(format!(
                        "the columns of a multi-column relation stand in the order of the primary key without gaps: {name} does not follow"
                    )));
                }
            }
        }
        range
            .ok_or_else(|| QueryError::invalid("a multi-column relation needs at least one column"))
    }

    fn tuple_spec(&self, range: Range<usize>) -> ColumnSpec {
        let columns = &self.table.clustering[range];
        let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
        let types = columns.iter().map(|column| column.cql_type.clone()).collect();
        ColumnSpec {
            keyspace: self.table.keyspace.clone(),
            table: self.table.name.clone(),
            name: format!("({})", names.join(",")),
            cql_type: CqlType::Tuple(types),
        }
    }

    fn tuple_value(
        &self,
        term: &Term,
        range: Range<usize>,
        binder: &mut Binder<'_>,
    ) -> Result<KeyTuple, QueryError> {
        let columns = &self.table.clustering[range.clone()];
        match &term.kind {
            TermKind::Tuple(terms) if terms.len() == columns.len() => {
                let exprs = terms
                    .iter()
                    .zip(columns)
                    .map(|(term, column)| binder.bind(term, &ColumnSpec::of(self.table, column)));
                Ok(KeyTuple::Columns(exprs.collect::<Result<_, _>>()?))
            }
            TermKind::Tuple(terms) => Err(QueryError::invalid(format!(
                "a relation on {} columns takes {} values, not {}",
                columns.len(),
                columns.len(),
                terms.len()
            ))),
            _ => Ok(KeyTuple::Whole(binder.bind(term, &self.tuple_spec(range))?)),
        }
    }

    fn partition_value(
        &mut self,
        at: usize,
        operator: Comparison,
        value: KeyTuple,
        column: &Column,
    ) -> Result<(), QueryError> {
        if operator != Comparison::Equal {
            return Err(QueryError::invalid(format!(
                "partition key column {} takes = or IN in UPDATE and DELETE, not another comparison",
                column.name
            )));
        }
        let values = Alternatives::These(vec![value]);
        self.partition_points(Points { columns: at..at + 1, values }, column)
    }

    fn partition_points(&mut self, points: Points, column: &Column) -> Result<(), QueryError> {
        match &mut self.partition[points.columns.start] {
            Some(_) => Err(twice(&column.name)),
            free => {
                *free = Some(points);
                Ok(())
            }
        }
    }

    fn clustering_value(
        &mut self,
        columns: Range<usize>,
        operator: Comparison,
        value: KeyTuple,
    ) -> Result<(), QueryError> {
        let (end, inclusive) = match operator {
            Comparison::Equal => {
                let values = Alternatives::These(vec![value]);
                return self.clustering_points(Points { columns, values });
            }
            Comparison::Greater => (&mut self.slice.lower, false),
            Comparison::GreaterOrEqual => (&mut self.slice.lower, true),
            Comparison::Less => (&mut self.slice.upper, false),
            Comparison::LessOrEqual => (&mut self.slice.upper, true),
            _ => {
                let name = self.table.clustering[columns.start].name.as_str();
                return Err(self.unsupported("this comparison", name));
            }
        };
        if end.is_some() {
            return Err(QueryError::invalid(format!(
                "more than one restriction on the same end of a slice: {} has two",
                self.table.clustering[columns.start].name
            )));
        }
        *end = Some(SliceBound { columns, value, inclusive });
        Ok(())
    }

    fn clustering_points(&mut self, points: Points) -> Result<(), QueryError> {
        let overlapping = self.clustering.iter().find(|other| {
            other.columns.start < points.columns.end && points.columns.start < other.columns.end
        });
        if let Some(other) = overlapping {
            let column = other.columns.start.max(points.columns.start);
            return Err(twice(&self.table.clustering[column].name));
        }
        self.clustering.push(points);
        Ok(())
    }

    fn finish(mut self) -> Result<Keys, QueryError> {
        let missing = self.partition.iter().zip(&self.table.partition_key);
        let missing: Vec<String> = missing
            .filter(|(points, _)| points.is_none())
            .map(|(_, column)| column.name.to_string())
            .collect();
        if !missing.is_empty() {
            return Err(QueryError::invalid(format!(
                "some partition key parts are missing: {}; UPDATE and DELETE name all of them",
                missing.join(", ")
            )));
        }
        self.clustering.sort_by_key(|points| points.columns.start);
        let mut next = 0;
        for points in &self.clustering {
            self.check_follows(points.columns.start, next)?;
            next = points.columns.end;
        }
        for bound in self.slice.lower.iter().chain(&self.slice.upper) {
            if bound.columns.start < next {
                return Err(twice(&self.table.clustering[bound.columns.start].name));
            }
            self.check_follows(bound.columns.start, next)?;
        }
        Ok(Keys {
            partition: self.partition.into_iter().flatten().collect(),
            clustering: self.clustering,
            slice: self.slice,
        })
    }

    fn check_follows(&self, start: usize, next: usize) -> Result<(), QueryError> {
        if start == next {
            return Ok(());
        }
        let name = |at: usize| self.table.clustering[at].name.to_string();
        Err(QueryError::invalid(format!(
            "clustering column {} can't be restricted, since {} before it has no = or IN",
            name(start),
            name(next)
        )))
    }

    fn unsupported(&self, what: &str, column: &str) -> QueryError {
        QueryError::invalid(format!(
            "{what} can't be used on {column} in the WHERE clause of UPDATE and DELETE: use =, IN, or in DELETE a slice"
        ))
    }
}

/// The column of a relation's left side, which must be a whole one.
fn key_column(path: &ColumnPath) -> Result<&Name, QueryError> {
    match path {
        ColumnPath::Column(name) => Ok(name),
        ColumnPath::Element(name, _) | ColumnPath::Field(name, _) => Err(QueryError::invalid(
            format!("non PRIMARY KEY columns found in where clause: an element or field of {name}"),
        )),
    }
}

/// The column of that name.
///
/// # Errors
/// [`QueryError::Invalid`] when the table has none.
pub fn defined<'t>(table: &'t Table, name: &Name) -> Result<&'t Column, QueryError> {
    table.column(name.as_str()).ok_or_else(|| {
        QueryError::invalid(format!(
            "undefined column name {name} in table {}.{}{}",
            table.keyspace,
            table.name,
            suggest::nearest(name.as_str(), table.columns().map(|column| column.name.as_str()))
        ))
    })
}

fn in_values(
    values: &InValues,
    spec: &ColumnSpec,
    binder: &mut Binder<'_>,
    mut bind: impl FnMut(&Term, &mut Binder<'_>) -> Result<KeyTuple, QueryError>,
) -> Result<Alternatives, QueryError> {
    match values {
        InValues::List(terms) => {
            let tuples = terms.iter().map(|term| bind(term, binder));
            Ok(Alternatives::These(tuples.collect::<Result<_, _>>()?))
        }
        InValues::Marker(marker) => Ok(Alternatives::ListMarker(in_marker(marker, spec, binder)?)),
    }
}

/// `IN ?`: a list of what the columns take.
fn in_marker(
    marker: &Marker,
    spec: &ColumnSpec,
    binder: &mut Binder<'_>,
) -> Result<Expr, QueryError> {
    let element = Box::new(spec.cql_type.clone());
    let name = match spec.name.strip_prefix('(') {
        Some(_) => format!("in{}", spec.name),
        None => format!("in({})", spec.name),
    };
    binder.bind_marker(marker, &spec.part(name, CqlType::List { element, frozen: true }))
}

fn twice(name: &Name) -> QueryError {
    QueryError::invalid(format!(
        "{name} cannot be restricted by more than one relation if it includes an Equal: leave one out"
    ))
}

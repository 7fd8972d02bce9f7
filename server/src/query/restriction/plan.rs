//! What leads to the rows, and what doesn't.
//!
//! A partition key that is given whole (with = and IN) leads to partitions, `token()` to a range of them. Within
//! partitions, a prefix of the clustering columns given with = and IN, and a slice after it, lead to rows. The rest leads
//! nowhere: SELECT reads rows only to leave them out, which ALLOW FILTERING allows; UPDATE and DELETE refuse it.

use std::collections::BTreeMap;
use std::ops::Range;

use tholos_storage::model::ColumnId;
use tholos_storage::schema::{Column, ColumnKind, Table};

use super::relation::{BoundRelation, Relations, TokenRelation, tuple_name};
use super::steps::step;
use super::{
    Access, Candidates, Clustering, Operator, PartitionKeys, Points, Slice, SliceBound, Test,
    TokenBound, Tokens,
};
use crate::error::{At, QueryError};

/// Relations, sorted.
#[derive(Debug)]
pub struct Restrictions<'t> {
    /// Which partitions.
    pub access: Access,
    /// Which of their rows; all of them, unless partitions are given by key.
    pub clustering: Clustering,
    /// What leads nowhere, in the order of the text.
    pub rest: Vec<BoundRelation<'t>>,
    /// Whether any relation is about a clustering or regular column: then a partition with only a static row has no row
    /// to show.
    pub restricts_rows: bool,
    /// The columns of the partition key that have neither = nor IN.
    pub missing: Vec<&'t Column>,
}

/// Sorts relations.
///
/// # Errors
/// [`QueryError::Invalid`] where a column is restricted more than once in a way that is redundant or contradicts itself.
pub fn restrict<'t>(
    relations: Relations<'t>,
    table: &'t Table,
) -> Result<Restrictions<'t>, QueryError> {
    let Relations { columns: relations, tokens } = relations;
    let places = places(&relations)?;
    let tokens = token_range(tokens)?;
    let restricts_rows = relations
        .iter()
        .flat_map(|relation| &relation.columns)
        .any(|column| matches!(column.kind, ColumnKind::Clustering | ColumnKind::Regular));
    let relations = relations.into_iter().map(Some).collect();
    let mut planner = Planner { table, places, relations };
    let missing: Vec<&Column> =
        table.partition_key.iter().filter(|column| planner.place(column).point.is_none()).collect();
    let (access, clustering) = match missing.is_empty() {
        true => (Access::Keys(planner.keys(tokens)), planner.clustering()),
        false => (Access::Scan(tokens), Clustering::default()),
    };
    let rest = planner.relations.into_iter().flatten().collect();
    Ok(Restrictions { access, clustering, rest, restricts_rows, missing })
}

/// The relations that narrow what one column may be, by number.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// `=`, IN
    point: Option<usize>,
    /// `>`, `>=`
    lower: Option<usize>,
    /// `<`, `<=`
    upper: Option<usize>,
}

/// What narrows which column: a point, or at most one bound on either side. Tests that only filter combine freely.
fn places(relations: &[BoundRelation<'_>]) -> Result<BTreeMap<ColumnId, Place>, QueryError> {
    let mut places: BTreeMap<ColumnId, Place> = BTreeMap::new();
    for (number, relation) in relations.iter().enumerate() {
        let Some(shape) = shape(&relation.test) else { continue };
        for column in &relation.columns {
            step();
            let place = places.entry(column.id).or_default();
            let other = note(place, number, shape, column).at(relation.at)?;
            if let Some(other) = other.and_then(|other| relations.get(other)) {
                check_begin(relation, other, column.name.as_str()).at(relation.at)?;
            }
        }
    }
    Ok(places)
}

/// Notes that a relation narrows a column; returns the one that bounds it from the other side.
fn note(
    place: &mut Place,
    number: usize,
    shape: Shape,
    column: &Column,
) -> Result<Option<usize>, QueryError> {
    let name = column.name.as_str();
    let Place { point, lower, upper } = *place;
    let (own, other) = match shape {
        Shape::Point if lower.or(upper).is_none() => (&mut place.point, None),
        Shape::Lower if point.is_none() => (&mut place.lower, upper),
        Shape::Upper if point.is_none() => (&mut place.upper, lower),
        _ => return Err(twice(name, "and one of them with = or IN")),
    };
    match (own.replace(number), shape) {
        (None, _) => Ok(other),
        (Some(_), Shape::Point) => Err(twice(name, "and one of them with = or IN")),
        (Some(_), Shape::Lower) => Err(twice(name, "from the same side (lower bound)")),
        (Some(_), Shape::Upper) => Err(twice(name, "from the same side (upper bound)")),
    }
}

/// Both ends of a slice are about the same first column.
fn check_begin(a: &BoundRelation<'_>, b: &BoundRelation<'_>, name: &str) -> Result<(), QueryError> {
    if a.columns.first().is_some_and(|first| b.starts_with(first)) {
        return Ok(());
    }
    Err(QueryError::invalid(format!(
        "{} and {} both restrict {name}, but don't begin with the same column: write both bounds for the same columns",
        tuple_name(&a.columns),
        tuple_name(&b.columns)
    )))
}

#[derive(Clone, Copy)]
enum Shape {
    Point,
    Lower,
    Upper,
}

fn shape(test: &Test) -> Option<Shape> {
    use Operator as O;
    match test {
        Test::In { negated: false, .. } => Some(Shape::Point),
        Test::Compare(operator, _) => match operator {
            O::Equal => Some(Shape::Point),
            O::Greater | O::GreaterOrEqual => Some(Shape::Lower),
            O::Less | O::LessOrEqual => Some(Shape::Upper),
            O::NotEqual => None,
        },
        _ => None,
    }
}

fn twice(name: &str, how: &str) -> QueryError {
    QueryError::invalid(format!(
        "{name} is restricted more than once, {how}: combine them into one"
    ))
}

fn token_range(relations: Vec<TokenRelation>) -> Result<Tokens, QueryError> {
    let several = relations.len() > 1;
    let (mut lower, mut upper) = (None, None);
    for TokenRelation { operator, token, at } in relations {
        use Operator as O;
        let bound = TokenBound { token, inclusive: operator.is_inclusive() };
        let (end, side) = match operator {
            O::Greater | O::GreaterOrEqual => (&mut lower, "from the same side (lower bound)"),
            O::Less | O::LessOrEqual => (&mut upper, "from the same side (upper bound)"),
            O::Equal | O::NotEqual if several => {
                return Err(twice("token()", "and one of them with =").at(at));
            }
            O::Equal | O::NotEqual => return Ok(Tokens::At(bound.token)),
        };
        if end.replace(bound).is_some() {
            return Err(twice("token()", side).at(at));
        }
    }
    Ok(Tokens::Between { lower, upper })
}

struct Planner<'t> {
    table: &'t Table,
    places: BTreeMap<ColumnId, Place>,
    /// `None` once it has led somewhere.
    relations: Vec<Option<BoundRelation<'t>>>,
}

impl<'t> Planner<'t> {
    fn place(&self, column: &Column) -> Place {
        self.places.get(&column.id).copied().unwrap_or_default()
    }

    /// The partition key, each of whose columns has a point.
    fn keys(&mut self, tokens: Tokens) -> PartitionKeys {
        let columns = self.table.partition_key.iter().enumerate();
        let points = columns.filter_map(|(at, column)| self.take_points(at, column));
        PartitionKeys { columns: points.collect(), tokens }
    }

    /// The clustering columns as far as relations lead.
    fn clustering(&mut self) -> Clustering {
        let mut clustering = Clustering::default();
        while let Some(column) = self.table.clustering.get(clustering.width()) {
            let first = clustering.width();
            match self.take_points(first, column) {
                Some(points) => clustering.points.push(points),
                None => {
                    clustering.slice = self.take_slice(first, column);
                    break;
                }
            }
        }
        clustering
    }

    /// The values that a column, which is that of a number in its key, has, perhaps together with those behind it.
    fn take_points(&mut self, first: usize, column: &Column) -> Option<Points> {
        let relation = self.take(self.place(column).point, column)?;
        let values = match relation.test {
            Test::Compare(_, tuple) => Candidates::One(tuple),
            Test::In { values, .. } => values,
            _ => return None,
        };
        Some(Points { columns: first..first + relation.columns.len(), values })
    }

    fn take_slice(&mut self, first: usize, column: &Column) -> Slice {
        let Place { lower, upper, .. } = self.place(column);
        Slice {
            lower: self.take_bound(lower, first, column),
            upper: self.take_bound(upper, first, column),
        }
    }

    fn take_bound(
        &mut self,
        number: Option<usize>,
        first: usize,
        column: &Column,
    ) -> Option<SliceBound> {
        let relation = self.take(number, column)?;
        let columns: Range<usize> = first..first + relation.columns.len();
        match relation.test {
            Test::Compare(operator, values) => {
                Some(SliceBound { columns, values, inclusive: operator.is_inclusive() })
            }
            _ => None,
        }
    }

    /// The relation of that number, if it begins with this column.
    fn take(&mut self, number: Option<usize>, column: &Column) -> Option<BoundRelation<'t>> {
        let slot = self.relations.get_mut(number?)?;
        if slot.as_ref()?.starts_with(column) { slot.take() } else { None }
    }
}

impl Restrictions<'_> {
    /// Refuses what leads nowhere, as SELECT does without ALLOW FILTERING.
    ///
    /// # Errors
    /// [`QueryError::Invalid`]: why a relation does not lead to rows, and what to do.
    pub fn check_unfiltered(&self, table: &Table) -> Result<(), QueryError> {
        let Some(relation) = self.rest.first() else { return Ok(()) };
        let name = relation.name();
        let kind = relation.columns.first().map(|column| column.kind);
        let why = match (kind, &self.access) {
            (Some(ColumnKind::PartitionKey), Access::Scan(_)) => format!(
                "the partition key leads to rows only when all its columns are restricted with = or IN ({} is not), or through token()",
                names(self.missing.iter().copied())
            ),
            (Some(ColumnKind::PartitionKey), Access::Keys(_)) => {
                format!("{name} is part of the partition key, which = and IN restrict")
            }
            (Some(ColumnKind::Clustering), Access::Keys(_)) => {
                clustering_reason(&self.clustering, relation, table)
            }
            (Some(ColumnKind::Clustering), Access::Scan(_)) => format!(
                "{name} is a clustering column, and rows are sorted by it only within a partition: restrict the partition key ({}) with = or IN",
                names(&table.partition_key)
            ),
            (kind, _) => {
                let what = if kind == Some(ColumnKind::Static) { "static" } else { "regular" };
                format!("{name} is a {what} column, which no key or index leads to")
            }
        };
        let error = QueryError::invalid(format!(
            "Cannot execute this query as it might involve data filtering: {why}. Rows would be read only to be left out, at unpredictable cost; if you accept that, add ALLOW FILTERING"
        ));
        Err(error.at(relation.at))
    }

    /// The partitions and rows of an UPDATE or DELETE.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] for what leads nowhere and for a partition key that is not given whole.
    pub fn into_keys(self, table: &Table) -> Result<(PartitionKeys, Clustering), QueryError> {
        for relation in &self.rest {
            check_key_column(relation).at(relation.at)?;
        }
        let keys = match self.access {
            Access::Keys(keys) => keys,
            Access::Scan(tokens) => {
                let but = if tokens.are_all() { "" } else { ", which token() does not" };
                return Err(QueryError::invalid(format!(
                    "some partition key parts are missing: {}; UPDATE and DELETE name all of them{but}",
                    names(self.missing.iter().copied()),
                )));
            }
        };
        match self.rest.first() {
            None => Ok((keys, self.clustering)),
            Some(relation) => {
                let reason = clustering_reason(&self.clustering, relation, table);
                let error = QueryError::invalid(format!("{reason} in UPDATE and DELETE"));
                Err(error.at(relation.at))
            }
        }
    }
}

/// A relation of an UPDATE or DELETE is about the key, and on the partition key it names values.
fn check_key_column(relation: &BoundRelation<'_>) -> Result<(), QueryError> {
    for column in &relation.columns {
        match column.kind {
            ColumnKind::Static | ColumnKind::Regular => {
                return Err(QueryError::invalid(format!(
                    "non PRIMARY KEY columns found in where clause: {}; UPDATE and DELETE choose rows by primary key only",
                    column.name
                )));
            }
            ColumnKind::PartitionKey if !matches!(shape(&relation.test), Some(Shape::Point)) => {
                return Err(QueryError::invalid(format!(
                    "partition key column {} takes = or IN in UPDATE and DELETE, not another comparison",
                    column.name
                )));
            }
            ColumnKind::PartitionKey | ColumnKind::Clustering => {}
        }
    }
    Ok(())
}

/// Why a relation on clustering columns does not lead to rows.
fn clustering_reason(
    clustering: &Clustering,
    relation: &BoundRelation<'_>,
    table: &Table,
) -> String {
    let name = relation.name();
    let place = table.clustering.iter().position(|column| relation.starts_with(column));
    let reached = clustering.width();
    let preceding = table.clustering.get(reached).map(|column| column.name.to_string());
    let preceding = preceding.unwrap_or_default();
    if reached >= place.unwrap_or(0) {
        format!("{name} leads to rows only with =, IN, <, <=, > and >=")
    } else if !clustering.slice.is_full() {
        format!(
            "{name} cannot be restricted (preceding column {preceding} is restricted by a range)"
        )
    } else {
        format!("{name} cannot be restricted as preceding column {preceding} is not restricted")
    }
}

/// `a, b`
fn names<'c>(columns: impl IntoIterator<Item = &'c Column>) -> String {
    let names = columns.into_iter().map(|column| column.name.to_string());
    names.collect::<Vec<_>>().join(", ")
}

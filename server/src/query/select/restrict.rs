//! Which relations lead to the rows, and which only leave rows out.
//!
//! A partition key that is given whole (with = and IN) leads to partitions; `token()` to a range of them. Within
//! partitions, a prefix of the clustering columns given with = and IN, and a slice after it, narrow what is read.
//! Everything else is a filter: rows are read only to be left out, which the user must allow by ALLOW FILTERING.

use tholos_storage::schema::{Column, ColumnKind, Table};

use super::plan::{
    Access, Candidates, ClusteringStep, Filter, FilterOperator, SliceBound, TokenBound, TupleTerm,
    Tuples,
};
use super::relation::{BoundRelation, Test, tuple_name};
use super::slots::Slots;
use crate::error::QueryError;

/// Where the rows are.
pub(super) struct Restrictions {
    pub(super) access: Access,
    pub(super) clustering: Vec<ClusteringStep>,
    pub(super) filters: Vec<Filter>,
    pub(super) restricts_rows: bool,
    /// Clustering columns that have one value: ORDER BY and GROUP BY may leave them out.
    pub(super) single_valued: Vec<bool>,
    /// Whether the whole partition key is given with =.
    pub(super) one_partition: bool,
}

/// Sorts relations into a way to the rows and filters.
pub(super) fn plan(
    relations: Vec<BoundRelation<'_>>,
    table: &Table,
    allow_filtering: bool,
    slots: &mut Slots<'_>,
    distinct: bool,
) -> Result<Restrictions, QueryError> {
    check_combinations(&relations)?;
    let restricts_rows = relations.iter().any(|relation| {
        relation
            .columns
            .iter()
            .any(|column| matches!(column.kind, ColumnKind::Clustering | ColumnKind::Regular))
    });
    if distinct && restricts_rows {
        return Err(QueryError::invalid(
            "SELECT DISTINCT shows partitions, not rows: WHERE may only restrict the partition key and static columns",
        ));
    }
    let mut planner = Planner { table, relations: relations.into_iter().map(Some).collect() };
    let (access, reason) = planner.access()?;
    let one_partition = matches!(&access, Access::Partitions(keys)
        if keys.iter().all(|key| matches!(key, Candidates::One(_))));
    let (clustering, single_valued) = match &access {
        Access::Partitions(_) => planner.clustering()?,
        Access::Token(_) | Access::Scan { .. } => (Vec::new(), vec![false; table.clustering.len()]),
    };
    if !allow_filtering && let Some(left) = planner.relations.iter().flatten().next() {
        return Err(needs_filtering(left, table, &access, &clustering, reason));
    }
    let filters = planner.relations.into_iter().flatten();
    let filters: Vec<Filter> = filters.map(|relation| filter(relation, slots)).collect();
    Ok(Restrictions { access, clustering, filters, restricts_rows, single_valued, one_partition })
}

struct Planner<'t> {
    table: &'t Table,
    /// `None` once it has led somewhere.
    relations: Vec<Option<BoundRelation<'t>>>,
}

impl Planner<'_> {
    /// The way to the partitions, and why relations on the partition key don't lead there, if so.
    fn access(&mut self) -> Result<(Access, Option<String>), QueryError> {
        let on_token = |relation: &BoundRelation<'_>| matches!(relation.test, Test::Token(..));
        if self.relations.iter().flatten().any(on_token) {
            return Ok((self.token_range()?, None));
        }
        let table = self.table;
        let places: Vec<Option<usize>> =
            table.partition_key.iter().map(|column| self.find_points(column)).collect();
        if let Some(places) = places.iter().copied().collect::<Option<Vec<usize>>>() {
            let keys = places.into_iter().filter_map(|place| self.take_candidates(place));
            return Ok((Access::Partitions(keys.collect()), None));
        }
        let missing: Vec<String> = table
            .partition_key
            .iter()
            .zip(&places)
            .filter(|(_, place)| place.is_none())
            .map(|(column, _)| column.name.to_string())
            .collect();
        let given = self.relations.iter().flatten().any(|relation| {
            relation.columns.iter().any(|column| column.kind == ColumnKind::PartitionKey)
        });
        let reason = given.then(|| {
            format!(
                "the partition key leads to rows only when all its columns are restricted with = or IN ({} is not), or through token()",
                missing.join(", ")
            )
        });
        Ok((Access::Scan { lower: None, upper: None }, reason))
    }

    fn find_points(&self, column: &Column) -> Option<usize> {
        self.relations.iter().position(|relation| {
            relation.as_ref().is_some_and(|relation| {
                relation.columns.iter().all(|other| other.id == column.id)
                    && matches!(
                        relation.test,
                        Test::Compare(FilterOperator::Equal, _) | Test::In { negated: false, .. }
                    )
            })
        })
    }

    fn take_candidates(&mut self, place: usize) -> Option<Candidates> {
        match self.relations.get_mut(place)?.take()?.test {
            Test::Compare(_, value) => Some(Candidates::One(value)),
            Test::In { values, .. } => Some(values),
            _ => None,
        }
    }

    fn token_range(&mut self) -> Result<Access, QueryError> {
        let (mut lower, mut upper) = (None, None);
        for slot in &mut self.relations {
            let Some(relation) = slot.take() else { continue };
            let (operator, token) = match relation.test {
                Test::Token(operator, token) => (operator, token),
                test => {
                    let of_key = |column: &&Column| column.kind == ColumnKind::PartitionKey;
                    if let Some(column) = relation.columns.iter().copied().find(of_key) {
                        return Err(QueryError::invalid(format!(
                            "{} can't be restricted both by itself and by token(): use one of them",
                            column.name
                        )));
                    }
                    *slot = Some(BoundRelation { columns: relation.columns, test });
                    continue;
                }
            };
            use FilterOperator as O;
            let inclusive = matches!(operator, O::Equal | O::LessOrEqual | O::GreaterOrEqual);
            let bound = TokenBound { token, inclusive };
            let (end, name) = match operator {
                O::Greater | O::GreaterOrEqual => (&mut lower, "lower"),
                O::Less | O::LessOrEqual => (&mut upper, "upper"),
                O::Equal | O::NotEqual => {
                    if lower.is_some() || upper.is_some() {
                        return Err(twice("token()", "and one of them with ="));
                    }
                    return self.token_point(bound);
                }
            };
            if end.replace(bound).is_some() {
                return Err(twice("token()", &format!("from the same side ({name} bound)")));
            }
        }
        Ok(Access::Scan { lower, upper })
    }

    /// `token(k) = t`
    fn token_point(&mut self, bound: TokenBound) -> Result<Access, QueryError> {
        let others = self.relations.iter().flatten();
        if others.into_iter().any(|relation| matches!(relation.test, Test::Token(..))) {
            return Err(twice("token()", "and one of them with ="));
        }
        Ok(Access::Token(bound.token))
    }

    /// Steps through the clustering columns as far as relations lead, and which of the columns have one value.
    fn clustering(&mut self) -> Result<(Vec<ClusteringStep>, Vec<bool>), QueryError> {
        let mut steps = Vec::new();
        let mut single_valued = vec![false; self.table.clustering.len()];
        let mut first = 0;
        while let Some(column) = self.table.clustering.get(first) {
            let Some((width, values)) = self.take_points(column) else {
                steps.extend(self.take_slice(first, column));
                break;
            };
            let single = match &values {
                Tuples::Single(Candidates::One(_)) => true,
                Tuples::Many(tuples) => tuples.len() == 1,
                Tuples::Single(_) | Tuples::List(_) => false,
            };
            single_valued.iter_mut().skip(first).take(width).for_each(|slot| *slot = single);
            steps.push(ClusteringStep::Points { first, width, values });
            first += width;
        }
        Ok((steps, single_valued))
    }

    fn take_points(&mut self, column: &Column) -> Option<(usize, Tuples)> {
        let slot = self.relations.iter_mut().find(|relation| {
            relation.as_ref().is_some_and(|relation| {
                starts_with(relation, column)
                    && matches!(
                        relation.test,
                        Test::Compare(FilterOperator::Equal, _)
                            | Test::In { negated: false, .. }
                            | Test::Tuple(FilterOperator::Equal, _)
                            | Test::TupleIn(_)
                    )
            })
        })?;
        let relation = slot.take()?;
        let values = match relation.test {
            Test::Compare(_, value) => Tuples::Single(Candidates::One(value)),
            Test::In { values, .. } => Tuples::Single(values),
            Test::Tuple(_, tuple) => Tuples::Many(vec![tuple]),
            Test::TupleIn(values) => values,
            _ => return None,
        };
        Some((relation.columns.len(), values))
    }

    fn take_slice(&mut self, first: usize, column: &Column) -> Option<ClusteringStep> {
        let (mut lower, mut upper) = (None, None);
        for slot in &mut self.relations {
            let is_slice = slot.as_ref().is_some_and(|relation| {
                starts_with(relation, column)
                    && matches!(&relation.test, Test::Compare(o, _) | Test::Tuple(o, _) if is_slice(*o))
            });
            if !is_slice {
                continue;
            }
            let Some(relation) = slot.take() else { continue };
            let (operator, values) = match relation.test {
                Test::Compare(operator, value) => (operator, TupleTerm::Elements(vec![value])),
                Test::Tuple(operator, values) => (operator, values),
                _ => continue,
            };
            use FilterOperator as O;
            let inclusive = matches!(operator, O::LessOrEqual | O::GreaterOrEqual);
            let bound = SliceBound { width: relation.columns.len(), values, inclusive };
            match operator {
                O::Greater | O::GreaterOrEqual => lower = Some(bound),
                _ => upper = Some(bound),
            }
        }
        let found = lower.is_some() || upper.is_some();
        found.then_some(ClusteringStep::Slice { first, lower, upper })
    }
}

fn starts_with(relation: &BoundRelation<'_>, column: &Column) -> bool {
    relation.columns.first().is_some_and(|first| first.id == column.id)
}

fn is_slice(operator: FilterOperator) -> bool {
    !matches!(operator, FilterOperator::Equal | FilterOperator::NotEqual)
}

/// What several relations on one column may not be: contradictory or redundant. Tests that only filter combine freely.
fn check_combinations(relations: &[BoundRelation<'_>]) -> Result<(), QueryError> {
    for (i, a) in relations.iter().enumerate() {
        for b in relations.iter().skip(i + 1) {
            let shared = a.columns.iter().find(|a| b.columns.iter().any(|b| b.id == a.id));
            if let Some(column) = shared {
                check_pair(a, b, column.name.as_str())?;
            }
        }
    }
    Ok(())
}

fn check_pair(a: &BoundRelation<'_>, b: &BoundRelation<'_>, name: &str) -> Result<(), QueryError> {
    let (Some(first), Some(second)) = (shape(&a.test), shape(&b.test)) else {
        return Ok(());
    };
    if first == Shape::Point || second == Shape::Point {
        return Err(twice(name, "and one of them with = or IN"));
    }
    if first == second {
        let side = if first == Shape::Lower { "lower" } else { "upper" };
        return Err(twice(name, &format!("from the same side ({side} bound)")));
    }
    let same_start = a.columns.first().map(|column| column.id) == b.columns.first().map(|c| c.id);
    if !same_start {
        return Err(QueryError::invalid(format!(
            "{} and {} both restrict {name}, but don't begin with the same column: write both bounds for the same columns",
            tuple_name(&a.columns),
            tuple_name(&b.columns)
        )));
    }
    Ok(())
}

#[derive(PartialEq)]
enum Shape {
    Point,
    Lower,
    Upper,
}

fn shape(test: &Test) -> Option<Shape> {
    use FilterOperator as O;
    match test {
        Test::In { negated: false, .. } | Test::TupleIn(_) => Some(Shape::Point),
        Test::Compare(operator, _) | Test::Tuple(operator, _) => match operator {
            O::Equal => Some(Shape::Point),
            O::Greater | O::GreaterOrEqual => Some(Shape::Lower),
            O::Less | O::LessOrEqual => Some(Shape::Upper),
            O::NotEqual => None,
        },
        Test::In { .. }
        | Test::Contains { .. }
        | Test::ContainsKey { .. }
        | Test::Entry { .. }
        | Test::Token(..) => None,
    }
}

fn twice(name: &str, how: &str) -> QueryError {
    QueryError::invalid(format!(
        "{name} is restricted more than once, {how}: combine them into one"
    ))
}

fn filter(relation: BoundRelation<'_>, slots: &mut Slots<'_>) -> Filter {
    let of_all: Vec<usize> = relation.columns.iter().map(|column| slots.of(column)).collect();
    let slot = of_all.first().copied().unwrap_or(0);
    match relation.test {
        Test::Compare(operator, value) => Filter::Compare { slot, operator, value },
        Test::In { negated, values } => Filter::In { slot, negated, values },
        Test::Contains { negated, value, element } => {
            Filter::Contains { slot, negated, value, element }
        }
        Test::ContainsKey { negated, key, element } => {
            Filter::ContainsKey { slot, negated, key, element }
        }
        Test::Entry { key, operator, value } => Filter::Entry { slot, key, operator, value },
        Test::Tuple(operator, value) => Filter::Tuple { slots: of_all, operator, value },
        Test::TupleIn(values) => Filter::TupleIn { slots: of_all, values },
        Test::Token(..) => unreachable_token(slot),
    }
}

/// `token()` always leads to a range and never comes here; a filter that nothing meets keeps that visible in a plan.
fn unreachable_token(slot: usize) -> Filter {
    Filter::In { slot, negated: false, values: Candidates::Many(Vec::new()) }
}

/// Why this relation does not lead to rows, and what to do.
fn needs_filtering(
    relation: &BoundRelation<'_>,
    table: &Table,
    access: &Access,
    steps: &[ClusteringStep],
    key_reason: Option<String>,
) -> QueryError {
    let name = match relation.columns.as_slice() {
        [column] => column.name.to_string(),
        columns => tuple_name(columns),
    };
    let kind = relation.columns.first().map(|column| column.kind);
    let why = match (kind, access) {
        (Some(ColumnKind::PartitionKey), _) => key_reason.unwrap_or_else(|| {
            format!("{name} is part of the partition key, which = and IN restrict")
        }),
        (Some(ColumnKind::Clustering), Access::Partitions(_)) => {
            clustering_reason(&name, relation, table, steps)
        }
        (Some(ColumnKind::Clustering), _) => {
            let key: Vec<String> =
                table.partition_key.iter().map(|column| column.name.to_string()).collect();
            format!(
                "{name} is a clustering column, and rows are sorted by it only within a partition: restrict the partition key ({}) with = or IN",
                key.join(", ")
            )
        }
        (kind, _) => {
            let what = if kind == Some(ColumnKind::Static) { "static" } else { "regular" };
            format!("{name} is a {what} column, which no key or index leads to")
        }
    };
    QueryError::invalid(format!(
        "Cannot execute this query as it might involve data filtering: {why}. Rows would be read only to be left out, at unpredictable cost; if you accept that, add ALLOW FILTERING"
    ))
}

fn clustering_reason(
    name: &str,
    relation: &BoundRelation<'_>,
    table: &Table,
    steps: &[ClusteringStep],
) -> String {
    let index = |column: &Column| table.clustering.iter().position(|c| c.id == column.id);
    let place = relation.columns.first().and_then(|column| index(column)).unwrap_or(0);
    let reached: usize = steps
        .iter()
        .map(|step| match step {
            ClusteringStep::Points { width, .. } => *width,
            ClusteringStep::Slice { .. } => 0,
        })
        .sum();
    let preceding = table.clustering.get(reached).map(|column| column.name.to_string());
    let preceding = preceding.unwrap_or_default();
    if reached >= place {
        format!("{name} leads to rows only with =, IN, <, <=, > and >=")
    } else if matches!(steps.last(), Some(ClusteringStep::Slice { .. })) {
        format!(
            "{name} cannot be restricted (preceding column {preceding} is restricted by a range)"
        )
    } else {
        format!("{name} cannot be restricted as preceding column {preceding} is not restricted")
    }
}

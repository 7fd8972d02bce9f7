//! What only a select list has: aggregates, and what it asks of cells and keys instead of values.

use tholos_grammar::ast::term::{Term, TermKind};
use tholos_grammar::types::{CqlType, Native};
use tholos_storage::schema::Table;

use super::draft::DraftKind;
use super::planner::Planner;
use super::{Aggregate, AggregateFunction, CellFact, Expr, ExprKind, OfCells, Part};
use crate::error::{At, QueryError};
use crate::query::column::ColumnSpec;
use crate::query::slots::Place;

impl<'c, 't> Planner<'_, 'c, 't> {
    /// `count(*)`
    pub(super) fn count_all<'a>(&mut self) -> Result<DraftKind<'a>, QueryError> {
        self.push("count");
        self.aggregates += 1;
        Ok(aggregate(AggregateFunction::CountRows, None, Native::Bigint.into()))
    }

    /// `count(x)`, `min(x)`, ...
    pub(super) fn aggregate<'a>(
        &mut self,
        name: &str,
        arguments: &'a [Term],
    ) -> Result<DraftKind<'a>, QueryError> {
        self.check_row(name, "an aggregate")?;
        let [of] = arguments else {
            return Err(QueryError::invalid(format!(
                "{name}() takes one argument, not {}",
                arguments.len()
            )));
        };
        self.write(format_args!("system.{name}("));
        let (start, aggregates) = (self.name.len(), self.aggregates);
        let draft = self.draft(of)?;
        let argument = self.typed(draft, of)?;
        if self.aggregates > aggregates {
            let error = QueryError::invalid(format!(
                "{name}() can't be taken of {}: aggregates don't nest",
                self.named_since(start)
            ));
            return Err(error.at(of.span));
        }
        self.push(")");
        self.aggregates += 1;
        let (function, cql_type) = match name {
            "count" => (AggregateFunction::Count, Native::Bigint.into()),
            "min" => (AggregateFunction::Min, argument.cql_type.clone()),
            "max" => (AggregateFunction::Max, argument.cql_type.clone()),
            "sum" => (AggregateFunction::Sum, numeric(&argument.cql_type, name).at(of.span)?),
            _ => (AggregateFunction::Avg, numeric(&argument.cql_type, name).at(of.span)?),
        };
        Ok(aggregate(function, Some(argument), cql_type))
    }

    /// `writetime`, `maxwritetime` and `ttl`: of a column, or of a part of one.
    pub(super) fn metadata<'a>(
        &mut self,
        name: &str,
        arguments: &'a [Term],
    ) -> Result<DraftKind<'a>, QueryError> {
        self.check_row(name, "about a row's cells")?;
        let [of] = arguments else {
            return Err(QueryError::Syntax(format!("{name}() takes one column")));
        };
        let fact = match name {
            "ttl" => CellFact::Ttl,
            "maxwritetime" => CellFact::MaxWritetime,
            _ => CellFact::Writetime,
        };
        self.write(format_args!("{name}("));
        let (column, part) = self.cells(name, of).at(of.span)?;
        self.push(")");
        let ExprKind::Column(slot) = column.kind else {
            return Err(further_inside(name).at(of.span));
        };
        self.refuse_key(name, slot).at(of.span)?;
        let single: CqlType = match fact {
            CellFact::Ttl => Native::Int.into(),
            _ => Native::Bigint.into(),
        };
        let several = column.cql_type.is_multi_cell()
            && fact != CellFact::MaxWritetime
            && matches!(part, Part::Whole | Part::Slice(..));
        let cql_type = match several {
            true => CqlType::List { element: Box::new(single), frozen: true },
            false => single,
        };
        let kind = ExprKind::OfCells(Box::new(OfCells { fact, slot, part }));
        Ok(DraftKind::Typed(Expr { cql_type, kind }))
    }

    /// The column that a fact is asked about, and which part of it.
    fn cells(&mut self, name: &str, of: &Term) -> Result<(Expr, Part), QueryError> {
        match &of.kind {
            TermKind::Element(of, key) => {
                let (column, receiver) = self.collection(of)?;
                self.push("[");
                let key = self.key(key, &receiver)?;
                self.push("]");
                Ok((column, Part::Element(key)))
            }
            TermKind::Slice(of, from, to) => {
                let (column, receiver) = self.collection(of)?;
                let (from, to) = self.bounds(from.as_deref(), to.as_deref(), &receiver)?;
                Ok((column, Part::Slice(from, to)))
            }
            TermKind::Field(..) => {
                let draft = self.draft(of)?;
                let field = self.typed(draft, of)?;
                let ExprKind::Field { of, index } = field.kind else {
                    return Err(further_inside(name));
                };
                Ok((*of, Part::Field(u16::try_from(index).unwrap_or(u16::MAX))))
            }
            TermKind::Column(_) => {
                let draft = self.draft(of)?;
                Ok((self.typed(draft, of)?, Part::Whole))
            }
            _ => Err(QueryError::invalid(format!("{name}() takes a column or a part of one"))),
        }
    }

    fn refuse_key(&self, name: &str, slot: usize) -> Result<(), QueryError> {
        let slot = self.row.as_ref().and_then(|row| row.as_slice().get(slot));
        match slot {
            Some(slot) if matches!(slot.place, Place::PartitionKey(_) | Place::Clustering(_)) => {
                Err(QueryError::invalid(format!(
                    "Cannot use selection function {name} on PRIMARY KEY part {}: only other columns have one",
                    slot.name
                )))
            }
            _ => Ok(()),
        }
    }

    /// `token()` of the row's partition key, or of anything that could be the key.
    pub(super) fn token<'a>(&mut self, arguments: &'a [Term]) -> Result<DraftKind<'a>, QueryError> {
        let table = self.table()?;
        let of_row = self.row.is_some();
        let key = &table.partition_key;
        let specs: Vec<ColumnSpec> =
            key.iter().map(|column| ColumnSpec::of(table, column)).collect();
        let wrong = |what: &str| {
            let names: Vec<&str> = specs.iter().map(|spec| spec.name.as_str()).collect();
            let types: Vec<String> = specs.iter().map(|spec| spec.cql_type.to_string()).collect();
            QueryError::invalid(format!(
                "token() takes the partition key ({}), or values of its types ({}), not {what}",
                names.join(", "),
                types.join(", ")
            ))
        };
        if arguments.len() != specs.len() {
            return Err(wrong(&format!("{} values", arguments.len())));
        }
        let whole_key = of_row && arguments.iter().zip(&specs).all(|(argument, spec)| {
            matches!(&argument.kind, TermKind::Column(name) if *name == spec.name.as_str())
        });
        self.push("system.token(");
        let drafts = self.list(arguments)?;
        self.push(")");
        let kind = if whole_key {
            ExprKind::Token
        } else {
            let mut values = Vec::with_capacity(specs.len());
            for (place, (draft, spec)) in drafts.into_iter().zip(&specs).enumerate() {
                let name = match of_row {
                    true => self.receiver_name().to_string(),
                    false => format!("arg{place}(system.token)"),
                };
                let receiver = spec.part(name, spec.cql_type.clone());
                values.push(self.settle(draft, &receiver)?);
            }
            ExprKind::TokenOf(values)
        };
        Ok(DraftKind::Typed(Expr { cql_type: Native::Bigint.into(), kind }))
    }

    /// The table that is selected from, or that a value is for.
    fn table<'x>(&self) -> Result<&'x Table, QueryError>
    where
        'c: 'x,
        't: 'x,
    {
        if let Some(row) = &self.row {
            return Ok(row.table());
        }
        let (keyspace, name) = (self.base.keyspace.as_str(), self.base.table.as_str());
        let known = self.binder.context.catalogue.table(keyspace, name);
        known.map(|table| &**table).ok_or_else(|| {
            QueryError::invalid("token() can't stand here: there is no table whose key it takes")
        })
    }

    fn check_row(&self, name: &str, what: &str) -> Result<(), QueryError> {
        if self.row.is_some() {
            return Ok(());
        }
        Err(QueryError::invalid(format!(
            "{name}() is {what}: it belongs in a select list, and not where a value is written"
        )))
    }
}

fn aggregate<'a>(
    function: AggregateFunction,
    argument: Option<Expr>,
    cql_type: CqlType,
) -> DraftKind<'a> {
    let kind = ExprKind::Aggregate(Box::new(Aggregate { function, argument }));
    DraftKind::Typed(Expr { cql_type, kind })
}

fn further_inside(name: &str) -> QueryError {
    QueryError::invalid(format!("{name}() takes a column or a part of one, nothing further inside"))
}

fn numeric(argument: &CqlType, name: &str) -> Result<CqlType, QueryError> {
    match argument {
        CqlType::Native(
            native @ (Native::Tinyint
            | Native::Counter
            | Native::Smallint
            | Native::Int
            | Native::Bigint
            | Native::Varint
            | Native::Decimal
            | Native::Float
            | Native::Double),
        ) => Ok((*native).into()),
        other => Err(QueryError::invalid(format!(
            "{name}() takes numbers, and its argument has type {other}: use CAST to make it one"
        ))),
    }
}

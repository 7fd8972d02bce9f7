//! INSERT, UPDATE, DELETE and BATCH.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use tholos_grammar::ast::Statement;
use tholos_grammar::ast::modify::{
    Assignment, Batch, BatchKind, Delete, Insert, InsertSource, Modification, Update, Using,
};
use tholos_grammar::ast::term::{Literal, Term, TermKind};
use tholos_grammar::consistency::Consistency;

use crate::relation::{column_path, conditions, relation};
use crate::term::{
    duration_or_marker, integer_or_marker, marker, name, qualified_name, term, text,
};

pub(crate) fn consistency() -> BoxedStrategy<Consistency> {
    select(&Consistency::ALL[..]).boxed()
}

/// USING; DELETE and BATCH have no TTL.
fn using(with_ttl: bool) -> BoxedStrategy<Using> {
    let ttl = if with_ttl { option::of(integer_or_marker()).boxed() } else { Just(None).boxed() };
    (
        option::of(integer_or_marker()),
        ttl,
        option::of(duration_or_marker()),
        option::of(consistency()),
        any::<bool>(),
    )
        .prop_map(|(timestamp, ttl, timeout, consistency, reversed)| {
            let order = Vec::new();
            let mut using = Using { timestamp, ttl, timeout, consistency, order };
            let order: Vec<_> = using.terms().map(|(which, _)| which).collect();
            if reversed && order.len() > 1 {
                using.order = order.into_iter().rev().collect();
            }
            using
        })
        .boxed()
}

fn insert() -> BoxedStrategy<Insert> {
    let json = prop_oneof![
        text().prop_map(|text| TermKind::Literal(Literal::Text(text))),
        marker().prop_map(TermKind::Marker)
    ]
    .prop_map(Term::from);
    let source = prop_oneof![
        3 => vec((name(), term()), 1..4).prop_map(InsertSource::Values),
        1 => (json, any::<bool>()).prop_map(|(json, default_unset)| InsertSource::Json { json, default_unset }),
    ];
    (qualified_name(), source, any::<bool>(), using(true))
        .prop_map(|(table, source, if_not_exists, using)| Insert {
            table,
            source,
            if_not_exists,
            using,
        })
        .boxed()
}

fn assignment() -> BoxedStrategy<Assignment> {
    prop_oneof![
        3 => (column_path(), term()).prop_map(|(path, term)| Assignment::Set(path, term)),
        1 => (name(), term()).prop_map(|(column, term)| Assignment::Add(column, term)),
        1 => (name(), term()).prop_map(|(column, term)| Assignment::Subtract(column, term)),
        1 => (name(), term()).prop_map(|(column, term)| Assignment::Prepend(column, term)),
    ]
    .boxed()
}

fn update() -> BoxedStrategy<Update> {
    let tail = (vec(relation(), 0..3), option::of(conditions()));
    (qualified_name(), using(true), vec(assignment(), 1..4), tail)
        .prop_map(|(table, using, assignments, (relations, conditions))| Update {
            table,
            using,
            assignments,
            relations,
            conditions,
        })
        .boxed()
}

fn delete() -> BoxedStrategy<Delete> {
    let tail = (vec(relation(), 0..3), option::of(conditions()));
    (vec(column_path(), 0..3), qualified_name(), using(false), tail)
        .prop_map(|(targets, table, using, (relations, conditions))| Delete {
            targets,
            table,
            using,
            relations,
            conditions,
        })
        .boxed()
}

fn modification() -> BoxedStrategy<Modification> {
    prop_oneof![
        insert().prop_map(Modification::Insert),
        update().prop_map(Modification::Update),
        delete().prop_map(Modification::Delete),
    ]
    .boxed()
}

pub(crate) fn modification_statement() -> BoxedStrategy<Statement> {
    modification()
        .prop_map(|modification| match modification {
            Modification::Insert(insert) => Statement::Insert(insert),
            Modification::Update(update) => Statement::Update(update),
            Modification::Delete(delete) => Statement::Delete(delete),
        })
        .boxed()
}

pub(crate) fn batch() -> BoxedStrategy<Batch> {
    let kind = select(&[BatchKind::Logged, BatchKind::Unlogged, BatchKind::Counter][..]);
    (kind, using(false), vec(modification(), 0..3))
        .prop_map(|(kind, using, statements)| Batch { kind, using, statements })
        .boxed()
}

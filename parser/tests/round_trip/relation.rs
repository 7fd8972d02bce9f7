//! Relations and conditions.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tholos_grammar::ast::relation::{ColumnPath, Comparison, Conditions, InValues, Relation};
use tholos_grammar::ast::term::{Term, TermKind};

use crate::term::{marker, name, term};

const INEQUALITIES: [Comparison; 6] = [
    Comparison::Equal,
    Comparison::NotEqual,
    Comparison::Less,
    Comparison::LessOrEqual,
    Comparison::Greater,
    Comparison::GreaterOrEqual,
];

const OTHERS: [Comparison; 5] = [
    Comparison::Contains,
    Comparison::ContainsKey,
    Comparison::NotContains,
    Comparison::NotContainsKey,
    Comparison::Like,
];

pub(crate) fn column_path() -> BoxedStrategy<ColumnPath> {
    prop_oneof![
        3 => name().prop_map(ColumnPath::Column),
        1 => (name(), term()).prop_map(|(column, key)| ColumnPath::Element(column, key)),
        1 => (name(), name()).prop_map(|(column, field)| ColumnPath::Field(column, field)),
    ]
    .boxed()
}

fn in_values(value: BoxedStrategy<Term>) -> BoxedStrategy<InValues> {
    prop_oneof![vec(value, 0..3).prop_map(InValues::List), marker().prop_map(InValues::Marker)]
        .boxed()
}

fn tuple_or_marker() -> BoxedStrategy<Term> {
    prop_oneof![vec(term(), 1..3).prop_map(TermKind::Tuple), marker().prop_map(TermKind::Marker)]
        .prop_map(Term::from)
        .boxed()
}

fn single() -> BoxedStrategy<Relation> {
    let operator = prop_oneof![select(&INEQUALITIES[..]), select(&OTHERS[..])];
    prop_oneof![
        3 => (column_path(), operator, term())
            .prop_map(|(column, operator, term)| Relation::Single { column, operator, term }),
        1 => (column_path(), any::<bool>(), in_values(term()))
            .prop_map(|(column, negated, values)| Relation::In { column, negated, values }),
    ]
    .boxed()
}

pub(crate) fn relation() -> BoxedStrategy<Relation> {
    let inequality = || select(&INEQUALITIES[..]);
    let columns = || vec(name(), 1..3);
    prop_oneof![
        4 => single(),
        1 => (column_path(), term(), term()).prop_map(|(column, low, high)| Relation::Between { column, low, high }),
        1 => name().prop_map(Relation::IsNotNull),
        1 => (columns(), inequality(), tuple_or_marker())
            .prop_map(|(columns, operator, term)| Relation::Tuple { columns, operator, term }),
        1 => (columns(), in_values(tuple_or_marker()))
            .prop_map(|(columns, values)| Relation::TupleIn { columns, values }),
        1 => (columns(), inequality(), term())
            .prop_map(|(columns, operator, term)| Relation::Token { columns, operator, term }),
    ]
    .boxed()
}

pub(crate) fn conditions() -> BoxedStrategy<Conditions> {
    prop_oneof![
        Just(Conditions::Exists),
        Just(Conditions::NotExists),
        vec(single(), 1..3).prop_map(Conditions::All),
    ]
    .boxed()
}

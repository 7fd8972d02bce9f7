//! SELECT.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use tholos_grammar::ast::QualifiedName;
use tholos_grammar::ast::select::{Ordering, Select, SelectItem, SelectUsing, Selection};
use tholos_grammar::ast::term::{Literal, Term, TermKind};
use tholos_grammar::ast::type_name::TypeName;

use crate::modify::consistency;
use crate::relation::relation;
use crate::term::{
    arithmetic, duration_or_marker, integer_or_marker, literal, marker, name, native, operator,
    qualified_name, simple, term, type_name, unsigned,
};

/// `count(1)` reads as `count(*)`.
fn call((function, arguments): (QualifiedName, Vec<Term>)) -> TermKind {
    let one = Term::from(TermKind::Literal(Literal::Integer("1".to_string())));
    if function.keyspace.is_none() && function.name == "count" && arguments == [one] {
        return TermKind::CountAll;
    }
    TermKind::Call { function, arguments }
}

/// What a part can be taken of: a sign or operator before it would take the part for its own.
fn whole(term: Term) -> Box<Term> {
    Box::new(match term.kind {
        TermKind::Arithmetic { .. }
        | TermKind::Negate(_)
        | TermKind::Literal(_)
        | TermKind::Hint(..) => TermKind::Tuple(vec![term]).into(),
        _ => term,
    })
}

/// What a hint can stand before: a part behind it would be taken of the hinted value, and a column in parentheses could
/// be a type.
fn hinted(term: Term) -> Box<Term> {
    Box::new(match term.kind {
        TermKind::Column(_) => TermKind::CountAll.into(),
        TermKind::Arithmetic { .. }
        | TermKind::Field(..)
        | TermKind::Element(..)
        | TermKind::Slice(..)
        | TermKind::Negate(_) => TermKind::Tuple(vec![term]).into(),
        _ => term,
    })
}

/// A map whose keys would not all read as fields' names.
fn map(mut entries: Vec<(Term, Term)>) -> TermKind {
    if entries.iter().all(|(key, _)| matches!(key.kind, TermKind::Column(_)))
        && let Some((key, _)) = entries.first_mut()
    {
        *key = TermKind::CountAll.into();
    }
    TermKind::Map(entries)
}

/// Behind JSON and DISTINCT, a sign or bracket would make that word a column: such an item stands in parentheses.
fn behind_word(selection: Selection) -> Selection {
    let Selection::Items(mut items) = selection else { return selection };
    if let Some(first) = items.first_mut()
        && first.term.to_string().starts_with(['-', '['])
    {
        first.term = TermKind::Tuple(vec![first.term.clone()]).into();
    }
    Selection::Items(items)
}

/// An expression over columns.
pub(crate) fn expression() -> BoxedStrategy<Term> {
    let leaf = prop_oneof![
        4 => name().prop_map(TermKind::Column),
        1 => Just(TermKind::CountAll),
        2 => literal().prop_map(TermKind::Literal),
        1 => marker().prop_map(TermKind::Marker),
    ];
    leaf.prop_map(Term::from)
        .prop_recursive(3, 10, 3, |inner| {
            let part = || inner.clone().prop_map(whole);
            let key = || term().prop_map(Box::new);
            let items = |from: usize| vec(inner.clone(), from..3);
            prop_oneof![
                (qualified_name(), items(0)).prop_map(call),
                (inner.clone(), type_name())
                    .prop_map(|(term, to)| TermKind::Cast(Box::new(term), to)),
                (part(), name()).prop_map(|(term, field)| TermKind::Field(term, field)),
                (part(), key()).prop_map(|(term, key)| TermKind::Element(term, key)),
                (part(), option::of(key()), option::of(key()))
                    .prop_map(|(term, from, to)| TermKind::Slice(term, from, to)),
                inner.clone().prop_map(|term| TermKind::Negate(Box::new(unsigned(simple(term))))),
                (inner.clone(), operator(), inner.clone())
                    .prop_map(|(left, operator, right)| arithmetic(left, operator, right)),
                (native(), inner.clone()).prop_map(|(native, term)| TermKind::Hint(
                    TypeName::Native(native),
                    hinted(term)
                )),
                items(0).prop_map(TermKind::List),
                items(0).prop_map(TermKind::Set),
                vec((inner.clone(), inner.clone()), 1..3).prop_map(map),
                vec((name(), inner.clone()), 1..3).prop_map(TermKind::Udt),
                vec(inner.clone(), 2..4).prop_map(TermKind::Tuple),
            ]
            .prop_map(Term::from)
        })
        .boxed()
}

pub(crate) fn selection() -> BoxedStrategy<Selection> {
    let item = (expression(), option::weighted(0.3, name()))
        .prop_map(|(term, alias)| SelectItem { term, alias });
    prop_oneof![Just(Selection::All), vec(item, 1..4).prop_map(Selection::Items)].boxed()
}

fn ordering() -> BoxedStrategy<Ordering> {
    prop_oneof![
        (name(), any::<bool>())
            .prop_map(|(column, descending)| Ordering::Column { column, descending }),
        (name(), term()).prop_map(|(column, term)| Ordering::Ann { column, term }),
    ]
    .boxed()
}

pub(crate) fn select() -> BoxedStrategy<Select> {
    let words = (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>());
    let lists = (vec(relation(), 0..3), vec(expression(), 0..2), vec(ordering(), 0..2));
    let limits = (option::of(integer_or_marker()), option::of(integer_or_marker()));
    let using = (option::of(duration_or_marker()), option::of(consistency()))
        .prop_map(|(timeout, consistency)| SelectUsing { timeout, consistency });
    (words, selection(), qualified_name(), lists, limits, using)
        .prop_map(|(words, selection, table, lists, limits, using)| Select {
            json: words.0,
            distinct: words.1,
            selection: if words.0 || words.1 { behind_word(selection) } else { selection },
            table,
            relations: lists.0,
            group_by: lists.1,
            order_by: lists.2,
            per_partition_limit: limits.0,
            limit: limits.1,
            allow_filtering: words.2,
            bypass_cache: words.3,
            using,
        })
        .boxed()
}

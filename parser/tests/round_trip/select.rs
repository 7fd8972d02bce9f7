//! SELECT.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use tholos_grammar::ast::select::{Ordering, Select, SelectItem, SelectUsing, Selection, Selector};
use tholos_grammar::ast::term::{Literal, Operator, Term, TermKind};
use tholos_grammar::ast::type_name::TypeName;

use crate::modify::consistency;
use crate::relation::relation;
use crate::term::{
    duration_or_marker, integer_or_marker, literal, marker, name, native, operator, qualified_name,
    term, type_name,
};

/// Terms that a select list does not read as an expression over columns.
fn constant() -> BoxedStrategy<Term> {
    prop_oneof![
        4 => literal().prop_map(TermKind::Literal),
        1 => marker().prop_map(TermKind::Marker),
        1 => collection(),
        1 => (literal(), vec(term(), 1..3))
            .prop_map(|(first, others)| TermKind::Tuple([vec![TermKind::Literal(first).into()], others].concat())),
        1 => (native(), literal())
            .prop_map(|(native, literal)| TermKind::Hint(TypeName::Native(native), Box::new(TermKind::Literal(literal).into()))),
        1 => (qualified_name(), qualified_name())
            .prop_map(|(hint, function)| TermKind::Hint(TypeName::User(hint), Box::new(TermKind::Call { function, arguments: vec![] }.into()))),
    ]
    .prop_map(Term::from)
    .boxed()
}

fn collection() -> BoxedStrategy<TermKind> {
    prop_oneof![
        vec(term(), 0..3).prop_map(TermKind::List),
        vec(term(), 0..3).prop_map(TermKind::Set),
        vec((term(), term()), 1..3).prop_map(TermKind::Map),
        vec((name(), term()), 1..3).prop_map(TermKind::Udt),
    ]
    .boxed()
}

/// `count(1)` reads as `count(*)`.
fn call((function, arguments): (tholos_grammar::ast::QualifiedName, Vec<Selector>)) -> Selector {
    let one = Selector::Term(TermKind::Literal(Literal::Integer("1".to_string())).into());
    if function.keyspace.is_none() && function.name == "count" && arguments == [one] {
        return Selector::CountAll;
    }
    Selector::Call { function, arguments }
}

/// What a field or element can be selected from: of constants, only collections.
fn whole(selector: Selector) -> Selector {
    match selector {
        Selector::Term(term) => match term.kind {
            TermKind::List(_) | TermKind::Set(_) | TermKind::Map(_) | TermKind::Udt(_) => {
                Selector::Term(term)
            }
            _ => Selector::CountAll,
        },
        other => other,
    }
}

/// What a sign before it would not become part of.
fn unsigned(selector: Selector) -> Selector {
    match &selector {
        Selector::Term(term)
            if matches!(term.kind, TermKind::Literal(_))
                && !selector.to_string().starts_with('-') =>
        {
            Selector::CountAll
        }
        _ => selector,
    }
}

fn arithmetic((left, operator, right): (Selector, Operator, Selector)) -> Selector {
    Selector::Arithmetic { left: Box::new(left), operator, right: Box::new(right) }
}

pub(crate) fn selector() -> BoxedStrategy<Selector> {
    let leaf = prop_oneof![
        4 => name().prop_map(Selector::Column),
        1 => Just(Selector::CountAll),
        2 => constant().prop_map(Selector::Term),
    ];
    leaf.prop_recursive(3, 10, 3, |inner| {
        let part = || inner.clone().prop_map(|selector| Box::new(whole(selector)));
        prop_oneof![
            (qualified_name(), vec(inner.clone(), 0..3)).prop_map(call),
            (inner.clone(), type_name())
                .prop_map(|(selector, to)| Selector::Cast(Box::new(selector), to)),
            (part(), name()).prop_map(|(selector, field)| Selector::Field(selector, field)),
            (part(), term()).prop_map(|(selector, key)| Selector::Element(selector, key)),
            (part(), option::of(term()), option::of(term()))
                .prop_map(|(selector, from, to)| Selector::Slice(selector, from, to)),
            inner.clone().prop_map(|selector| Selector::Negate(Box::new(unsigned(selector)))),
            (inner.clone(), operator(), inner.clone()).prop_map(arithmetic),
        ]
    })
    .boxed()
}

pub(crate) fn selection() -> BoxedStrategy<Selection> {
    let item = (selector(), option::weighted(0.3, name()))
        .prop_map(|(selector, alias)| SelectItem { selector, alias });
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
    let lists = (vec(relation(), 0..3), vec(selector(), 0..2), vec(ordering(), 0..2));
    let limits = (option::of(integer_or_marker()), option::of(integer_or_marker()));
    let using = (option::of(duration_or_marker()), option::of(consistency()))
        .prop_map(|(timeout, consistency)| SelectUsing { timeout, consistency });
    (words, selection(), qualified_name(), lists, limits, using)
        .prop_map(|(words, selection, table, lists, limits, using)| Select {
            json: words.0,
            distinct: words.1,
            selection,
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

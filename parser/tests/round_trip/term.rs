//! Names, types, literals and terms.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use tholos_grammar::ast::QualifiedName;
use tholos_grammar::ast::ident::Ident;
use tholos_grammar::ast::term::{Literal, Marker, Operator, Term, TermKind};
use tholos_grammar::ast::type_name::TypeName;
use tholos_grammar::name::{Name, RESERVED};
use tholos_grammar::types::Native;
use tholos_grammar::value::Duration;

/// Words that mean something somewhere but may be names.
const UNRESERVED: [&str; 40] = [
    "json",
    "distinct",
    "as",
    "cast",
    "count",
    "key",
    "exists",
    "values",
    "keys",
    "type",
    "types",
    "tables",
    "only",
    "all",
    "role",
    "function",
    "list",
    "map",
    "tuple",
    "vector",
    "frozen",
    "int",
    "text",
    "ttl",
    "timestamp",
    "static",
    "clustering",
    "compact",
    "storage",
    "contains",
    "like",
    "between",
    "ann",
    "per",
    "group",
    "unmask",
    "unset",
    "default",
    "p1y",
    "internals",
];

pub(crate) fn name() -> BoxedStrategy<Ident> {
    prop_oneof![
        4 => "[a-z][a-z0-9_]{0,5}".prop_map(|text| Name::exact(&text)),
        2 => select(&UNRESERVED[..]).prop_map(Name::exact),
        1 => select(RESERVED).prop_map(Name::exact),
        1 => select(&["true", "false", "P1Y", "PT5M", "1a", "a-b", "a;b", "\"", "a\"\"b", "é", " ", "--", "$$"][..]).prop_map(Name::exact),
        1 => "[A-Za-z0-9_\"' \\PC]{1,6}".prop_map(|text| Name::exact(&text)),
    ]
    .prop_map(Ident::from)
    .boxed()
}

pub(crate) fn qualified_name() -> BoxedStrategy<QualifiedName> {
    (option::weighted(0.3, name()), name())
        .prop_map(|(keyspace, name)| QualifiedName { keyspace, name })
        .boxed()
}

pub(crate) fn text() -> BoxedStrategy<String> {
    prop_oneof![
        "[a-z ]{0,6}",
        select(
            &[
                "", "'", "''", "$$", "$", "a$", "it's", ";", "--", "/*", "\n", "\"", "\\", "\u{0}",
                "日本"
            ][..]
        )
        .prop_map(str::to_string),
        "\\PC{0,6}",
    ]
    .boxed()
}

pub(crate) fn native() -> BoxedStrategy<Native> {
    select(&Native::ALL[..]).boxed()
}

pub(crate) fn type_name() -> BoxedStrategy<TypeName> {
    let leaf = prop_oneof![
        5 => native().prop_map(TypeName::Native),
        2 => qualified_name().prop_map(TypeName::User),
        1 => text().prop_map(TypeName::Custom),
    ];
    let boxed = |inner: BoxedStrategy<TypeName>| inner.prop_map(Box::new);
    leaf.prop_recursive(3, 8, 3, move |inner| {
        let one = || boxed(inner.clone());
        prop_oneof![
            one().prop_map(TypeName::List),
            one().prop_map(TypeName::Set),
            one().prop_map(TypeName::Frozen),
            (one(), one()).prop_map(|(key, value)| TypeName::Map(key, value)),
            vec(inner.clone(), 1..4).prop_map(TypeName::Tuple),
            (one(), 1..=u32::MAX)
                .prop_map(|(element, dimensions)| TypeName::Vector(element, dimensions)),
        ]
    })
    .boxed()
}

/// A type that may stand in `(type) term`: a class in quotes would read as a tuple.
fn hinted_type() -> BoxedStrategy<TypeName> {
    type_name()
        .prop_filter("a class is no hint", |name| !matches!(name, TypeName::Custom(_)))
        .boxed()
}

pub(crate) fn duration() -> BoxedStrategy<Duration> {
    let months = prop_oneof![Just(0), 0..40, any::<i32>().prop_map(|n| n & i32::MAX)];
    let days = prop_oneof![Just(0), 0..40, any::<i32>().prop_map(|n| n & i32::MAX)];
    let nanoseconds = prop_oneof![Just(0), 0..10_000i64, any::<i64>().prop_map(|n| n & i64::MAX)];
    (months, days, nanoseconds, any::<bool>())
        .prop_map(|(months, days, nanoseconds, negative)| {
            let sign = if negative { -1 } else { 1 };
            Duration {
                months: sign * months,
                days: sign * days,
                nanoseconds: i64::from(sign) * nanoseconds,
            }
        })
        .boxed()
}

pub(crate) fn integer() -> BoxedStrategy<Literal> {
    "-?[0-9]{1,20}".prop_map(Literal::Integer).boxed()
}

pub(crate) fn literal() -> BoxedStrategy<Literal> {
    prop_oneof![
        Just(Literal::Null),
        text().prop_map(Literal::Text),
        integer(),
        "-?[0-9]{1,3}(\\.[0-9]{0,3}|[eE][+-]?[0-9]{1,2}|\\.[0-9]{1,2}E[0-9])"
            .prop_map(Literal::Float),
        select(&["NaN", "-NaN", "Infinity", "-Infinity"][..])
            .prop_map(|word| Literal::Float(word.to_string())),
        any::<bool>().prop_map(Literal::Boolean),
        vec(any::<u8>(), 0..5).prop_map(Literal::Blob),
        any::<u128>().prop_map(|bits| Literal::Uuid(uuid::Uuid::from_u128(bits))),
        duration().prop_map(Literal::Duration),
    ]
    .boxed()
}

pub(crate) fn marker() -> BoxedStrategy<Marker> {
    prop_oneof![Just(Marker::Positional), name().prop_map(Marker::Named)].boxed()
}

pub(crate) fn operator() -> BoxedStrategy<Operator> {
    select(
        &[
            Operator::Add,
            Operator::Subtract,
            Operator::Multiply,
            Operator::Divide,
            Operator::Modulo,
        ][..],
    )
    .boxed()
}

fn is_additive(operator: Operator) -> bool {
    matches!(operator, Operator::Add | Operator::Subtract)
}

pub(crate) fn term() -> BoxedStrategy<Term> {
    let leaf = prop_oneof![3 => literal().prop_map(TermKind::Literal), 1 => marker().prop_map(TermKind::Marker)];
    leaf.prop_map(Term::from)
        .prop_recursive(3, 12, 3, |inner| {
            let items = |from: usize| vec(inner.clone(), from..4);
            prop_oneof![
                items(0).prop_map(TermKind::List),
                items(0).prop_map(TermKind::Set),
                items(1).prop_map(TermKind::Tuple),
                vec((inner.clone(), inner.clone()), 1..3).prop_map(TermKind::Map),
                vec((name(), inner.clone()), 1..3).prop_map(TermKind::Udt),
                (qualified_name(), items(0))
                    .prop_map(|(function, arguments)| TermKind::Call { function, arguments }),
                (inner.clone(), type_name())
                    .prop_map(|(term, type_name)| TermKind::Cast(Box::new(term), type_name)),
                (hinted_type(), inner.clone())
                    .prop_map(|(hint, term)| TermKind::Hint(hint, Box::new(simple(term)))),
                inner.clone().prop_map(|term| TermKind::Negate(Box::new(unsigned(simple(term))))),
                (inner.clone(), operator(), inner.clone())
                    .prop_map(|(left, operator, right)| arithmetic(left, operator, right)),
            ]
            .prop_map(Term::from)
        })
        .boxed()
}

/// The term, in parentheses where it is arithmetic.
pub(crate) fn simple(term: Term) -> Term {
    match term.kind {
        TermKind::Arithmetic { .. } => TermKind::Tuple(vec![term]).into(),
        _ => term,
    }
}

/// The term, in parentheses where a sign before it would become part of it.
pub(crate) fn unsigned(term: Term) -> Term {
    let takes_sign = match &term.kind {
        TermKind::Literal(Literal::Integer(_) | Literal::Float(_) | Literal::Duration(_)) => {
            !term.to_string().starts_with('-')
        }
        _ => false,
    };
    if takes_sign { TermKind::Tuple(vec![term]).into() } else { term }
}

/// Operands in parentheses where they would regroup.
pub(crate) fn arithmetic(left: Term, operator: Operator, right: Term) -> TermKind {
    let regroups = |term: &Term, on_the_right: bool| match &term.kind {
        TermKind::Arithmetic { operator: inner, .. } if is_additive(operator) => {
            on_the_right && is_additive(*inner)
        }
        TermKind::Arithmetic { operator: inner, .. } => on_the_right || is_additive(*inner),
        _ => false,
    };
    let wrapped = |term: Term, on_the_right| {
        Box::new(if regroups(&term, on_the_right) {
            TermKind::Tuple(vec![term]).into()
        } else {
            term
        })
    };
    TermKind::Arithmetic { left: wrapped(left, false), operator, right: wrapped(right, true) }
}

/// What may follow LIMIT or TTL.
pub(crate) fn integer_or_marker() -> BoxedStrategy<Term> {
    prop_oneof![integer().prop_map(TermKind::Literal), marker().prop_map(TermKind::Marker)]
        .prop_map(Term::from)
        .boxed()
}

/// What may follow TIMEOUT.
pub(crate) fn duration_or_marker() -> BoxedStrategy<Term> {
    let duration = duration().prop_map(|duration| TermKind::Literal(Literal::Duration(duration)));
    prop_oneof![duration, marker().prop_map(TermKind::Marker)].prop_map(Term::from).boxed()
}

//! Paging states that no page gave: a client can make one, since it is signed by nothing. What it leads to lies within what
//! the statement asks for, or is refused.

use proptest::prelude::*;
use tholos_grammar::token::Token;
use tholos_storage::model::position::{
    AFTER, BEFORE, COMPONENT, HEADER, ROW, STATIC, token_prefix,
};
use tholos_storage::read::budget::ReadBudget;

use crate::error::QueryError;
use crate::execute::paging::{PagingState, fingerprint};
use crate::query::plan::Plan;
use crate::testing::Bench;

/// Statements with what holds for the key of each row that they may show; of a static row alone there is no `a`.
type Asked = (&'static str, fn(i32, Option<i32>) -> bool);

const ASKED: [Asked; 10] = [
    ("k = 2", |k, _| k == 2),
    ("k = 2 AND a > 1", |k, a| k == 2 && a.is_some_and(|a| a > 1)),
    ("k = 2 AND a >= 1 AND a < 3 ORDER BY a DESC", |k, a| {
        k == 2 && a.is_some_and(|a| (1..3).contains(&a))
    }),
    ("k = 2 AND a = 2", |k, a| k == 2 && a == Some(2)),
    ("k IN (1, 3)", |k, _| k == 1 || k == 3),
    ("k IN (1, 3) AND a IN (0, 2)", |k, a| (k == 1 || k == 3) && (a == Some(0) || a == Some(2))),
    ("k IN (1, 3) ORDER BY a", |k, _| k == 1 || k == 3),
    ("token(k) > token(2)", |k, _| token(k) > token(2)),
    ("token(k) <= token(2)", |k, _| token(k) <= token(2)),
    ("token(k) >= token(1) AND token(k) < token(3)", |k, _| {
        token(k) >= token(1) && token(k) < token(3)
    }),
];

fn token(k: i32) -> Token {
    Token::of(&k.to_be_bytes())
}

/// Partitions 0 to 5, with rows and a static row, or with one of them.
fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.run("CREATE TABLE t (k int, a int, s int STATIC, PRIMARY KEY (k, a))");
    for k in 0..6 {
        if k != 4 {
            bench.run(&format!("INSERT INTO t (k, s) VALUES ({k}, {k})"));
        }
        for a in (0..4).filter(|_| k != 5) {
            bench.run(&format!("INSERT INTO t (k, a) VALUES ({k}, {a})"));
        }
    }
    bench
}

/// An int, as keys have it.
fn component(value: i32) -> Vec<u8> {
    [&[COMPONENT][..], &(value ^ i32::MIN).to_be_bytes()].concat()
}

fn partition(k: i32) -> Vec<u8> {
    let of_key = (k ^ i32::MIN).to_be_bytes();
    [&token_prefix(token(k).0)[..], &of_key].concat()
}

fn states() -> impl Strategy<Value = PagingState> {
    let noise = || prop::collection::vec(any::<u8>(), 0..14);
    let weight = prop::sample::select(vec![BEFORE, ROW, AFTER]);
    let position = prop_oneof![
        4 => (-1..5_i32, weight).prop_map(|(a, weight)| [&component(a)[..], &[weight]].concat()),
        1 => prop::sample::select(vec![vec![], vec![HEADER], vec![STATIC], vec![0xff]]),
        1 => noise(),
    ];
    let partition = prop_oneof![6 => (0..7_i32).prop_map(partition), 1 => noise()];
    let left = || prop::option::weighted(0.3, 0..4_u32);
    (partition, position, any::<bool>(), left(), left()).prop_map(
        |(partition, position, saw_row, remaining, remaining_in_partition)| PagingState {
            fingerprint: 0,
            partition,
            position,
            saw_row,
            remaining,
            remaining_in_partition,
        },
    )
}

#[test]
fn keys_here_are_as_storage_has_them() {
    let bench = bench();
    let planned = bench.plan("SELECT k, a FROM t WHERE k = 2").unwrap();
    let page = bench.page(&planned, &[], Some(1), None, ReadBudget::UNLIMITED).unwrap();
    let Plan::Select(plan) = &planned.plan else { panic!() };
    let bytes = page.paging_state.unwrap();
    let state = PagingState::decode(&bytes, fingerprint(plan, &[])).unwrap();
    let position = [&component(0)[..], &[ROW]].concat();
    assert_eq!((state.partition, state.position), (partition(2), position));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn a_forged_state_leads_nowhere_else(states in prop::collection::vec(states(), 16)) {
        let bench = bench();
        for (condition, holds) in ASKED {
            for what in ["k, a, s", "DISTINCT k, s"] {
                let cql = match what {
                    "k, a, s" => format!("SELECT k, a, s FROM t WHERE {condition}"),
                    _ => format!("SELECT {what} FROM t WHERE {condition}"),
                };
                let Ok(planned) = bench.plan(&cql) else { continue };
                let Plan::Select(plan) = &planned.plan else { panic!() };
                for state in &states {
                    let state = PagingState { fingerprint: fingerprint(plan, &[]), ..state.clone() };
                    let page =
                        bench.page(&planned, &[], Some(3), Some(&state.encode()), ReadBudget::UNLIMITED);
                    match page {
                        Ok(page) => for row in page.rows {
                            let k = row[0].parse().unwrap();
                            let a = row[1].parse().ok().filter(|_| what == "k, a, s");
                            prop_assert!(holds(k, a), "{cql}: {row:?} after {state:?}");
                        },
                        Err(QueryError::Invalid(_)) => {}
                        Err(error) => prop_assert!(false, "{cql}: {error:?} after {state:?}"),
                    }
                }
            }
        }
    }
}

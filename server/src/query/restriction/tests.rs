//! WHERE from text to rows, where it is large or long.

use tholos_storage::read::live::ReadBudget;

use super::steps::counted;
use crate::error::QueryError;
use crate::query::values::Bound;
use crate::testing::Bench;

fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.run(
        "CREATE TABLE t (k int, c int, d text, v int, PRIMARY KEY (k, c, d));
         INSERT INTO t (k, c, d, v) VALUES (1, 1, 'a', 11);
         INSERT INTO t (k, c, d, v) VALUES (1, 2, 'b', 12);
         INSERT INTO t (k, c, d, v) VALUES (3, 1, 'a', 31);
         CREATE TABLE long (k text, c text, d text, v int, PRIMARY KEY (k, c, d));
         INSERT INTO long (k, c, d, v) VALUES ('k', 'c', 'd', 1);
         INSERT INTO long (k, c, d, v) VALUES ('k', 'y', 'd', 2)",
    );
    bench
}

fn select(bench: &Bench, cql: &str, values: &[Bound<'_>]) -> Result<String, QueryError> {
    let rows = bench.page(&bench.plan(cql)?, values, None, None, ReadBudget::UNLIMITED)?.rows;
    Ok(rows.iter().map(|row| row.join(" ")).collect::<Vec<_>>().join("; "))
}

#[test]
fn in_takes_as_many_markers_as_there_are() {
    let bench = bench();
    let markers = vec!["?"; 65_535].join(", ");
    let numbers: Vec<[u8; 4]> = (0..65_535i32).rev().map(i32::to_be_bytes).collect();
    let values: Vec<Bound<'_>> = numbers.iter().map(|number| Bound::Bytes(number)).collect();
    for (relation, expected) in
        [("k IN", "11; 12; 31"), ("k = 1 AND c IN", "11; 12"), ("v IN", "11; 12; 31")]
    {
        let cql = format!("SELECT v FROM t WHERE {relation} ({markers}) ALLOW FILTERING");
        assert_eq!(select(&bench, &cql, &values).unwrap(), expected, "{relation}");
    }
}

#[test]
fn combinations_beyond_the_limit_are_refused() {
    let mut bench = bench();
    let texts = (0..300).map(|n| format!("'{n}'")).collect::<Vec<_>>().join(", ");
    let numbers = |n| list(n, |i| i.to_string());
    let (few, many) = (numbers(256), numbers(300));
    let error =
        bench.error(&format!("SELECT v FROM t WHERE k = 1 AND c IN ({many}) AND d IN ({texts})"));
    assert!(error.contains("65536 combinations"), "{error}");
    let update = |k: &str, c: &str| {
        format!("UPDATE t SET v = 1 WHERE k IN ({k}) AND c IN ({c}) AND d = 'x'")
    };
    let error = bench.try_run(&update(&many, &many)).unwrap_err().to_string();
    assert!(error.contains("65536 combinations"), "{error}");
    bench.run(&update(&few, &numbers(2)));
    assert_eq!(bench.show("SELECT count(*) FROM t WHERE d = 'x' ALLOW FILTERING"), "512");
}

#[test]
fn nothing_is_where_no_key_can_be() {
    let bench = bench();
    let long = "x".repeat(70_000);
    let half = "x".repeat(40_000);
    let (long, half) = (Bound::Bytes(long.as_bytes()), Bound::Bytes(half.as_bytes()));
    for (relations, values, expected) in [
        ("k = 'k' AND c = ?", &[long][..], ""),
        ("k = 'k' AND c = ? AND d = 'd'", &[long], ""),
        ("k = 'k' AND c = ? AND d = ?", &[half, half], ""),
        ("k = 'k' AND c IN (?, 'c')", &[long], "1"),
        ("k = 'k' AND c > ?", &[long], "2"),
        ("k = 'k' AND c < ?", &[long], "1"),
        ("k = 'k' AND c = ? AND d > ?", &[half, half], ""),
        ("c = ? ALLOW FILTERING", &[long], ""),
        ("token(k) > token('') AND token(k) <= 9223372036854775807", &[], "1; 2"),
    ] {
        let cql = format!("SELECT v FROM long WHERE {relations}");
        assert_eq!(select(&bench, &cql, values).unwrap(), expected, "{relations}");
    }
    // A token is one of any bytes.
    select(&bench, "SELECT v FROM long WHERE token(k) > token(?)", &[long]).unwrap();
    for relations in ["k = ?", "k IN (?, 'k')"] {
        let cql = format!("SELECT v FROM long WHERE {relations}");
        let error = select(&bench, &cql, &[long]).unwrap_err().to_string();
        assert!(error.contains("70000 bytes is too long"), "{relations}: {error}");
    }
}

#[test]
fn writing_where_no_key_can_be_is_refused() {
    let mut bench = bench();
    let long = "x".repeat(70_000);
    for statement in [
        format!("UPDATE long SET v = 1 WHERE k = '{long}' AND c = 'c' AND d = 'd'"),
        format!("UPDATE long SET v = 1 WHERE k = 'k' AND c = '{long}' AND d = 'd'"),
        format!("DELETE FROM long WHERE k = 'k' AND c = '{long}' AND d = 'd'"),
        format!("DELETE FROM long WHERE k = 'k' AND c = '{long}'"),
        format!("DELETE FROM long WHERE k = 'k' AND c > '{long}'"),
    ] {
        let error = bench.try_run(&statement).unwrap_err().to_string();
        assert!(error.contains("70000 bytes") || error.contains("70001 bytes"), "{error}");
    }
    assert_eq!(bench.show("SELECT v FROM long"), "1; 2");
}

#[test]
fn work_grows_with_a_statement_and_not_with_its_square() {
    let growing: [fn(usize) -> String; 7] = [
        |n| format!("SELECT v FROM w WHERE {} ALLOW FILTERING", join(n, |i| format!("r{i} = 1"))),
        |n| format!("SELECT v FROM w WHERE {} ALLOW FILTERING", join(n, |i| format!("v != {i}"))),
        |n| format!("SELECT v FROM w WHERE {} ALLOW FILTERING", join(n, |_| "c CONTAINS 1".into())),
        |n| format!("SELECT v FROM w WHERE k IN ({})", list(n, |i| i.to_string())),
        |n| {
            format!(
                "SELECT v FROM w WHERE k = 1 AND (a, b) IN ({})",
                list(n, |i| format!("(1, {i})"))
            )
        },
        |n| {
            format!("DELETE FROM w WHERE k = 1 AND a IN ({}) AND b > 0", list(n, |i| i.to_string()))
        },
        |n| {
            format!(
                "UPDATE w SET v = 1 WHERE k IN ({}) AND a = 1 AND b = 1",
                list(n, |i| i.to_string())
            )
        },
    ];
    let mut bench = Bench::new();
    let columns = list(400, |i| format!("r{i} int"));
    bench.run(&format!(
        "CREATE TABLE w (k int, a int, b int, v int, c set<int>, {columns}, PRIMARY KEY (k, a, b))"
    ));
    for (number, statement) in growing.iter().enumerate() {
        let mut steps = |n| {
            let cql = statement(n);
            counted(|| match cql.starts_with("SELECT") {
                true => drop(bench.select(&cql)),
                false => bench.try_run(&cql).unwrap(),
            })
        };
        let (one, two) = (steps(200), steps(400));
        assert!(one >= 200, "statement {number}: {one} steps");
        assert!(
            two <= one * 22 / 10,
            "statement {number}: {one} steps, then {two} for twice as much"
        );
    }
}

fn list(n: usize, item: impl Fn(usize) -> String) -> String {
    (0..n).map(item).collect::<Vec<_>>().join(", ")
}

fn join(n: usize, item: impl Fn(usize) -> String) -> String {
    (0..n).map(item).collect::<Vec<_>>().join(" AND ")
}

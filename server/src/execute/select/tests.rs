//! SELECT from text to rows, on an engine in memory.

use std::time::Duration;

use tholos_storage::read::live::ReadBudget;

use super::PageBudget;
use crate::testing::Bench;

fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.run(
        "CREATE TABLE t (k int, a int, b int, s text STATIC, v int, w text, PRIMARY KEY (k, a, b));
         INSERT INTO t (k, a, b, v, w) VALUES (1, 1, 1, 11, 'x');
         INSERT INTO t (k, a, b, v) VALUES (1, 1, 2, 12);
         INSERT INTO t (k, a, b, v, w) VALUES (1, 2, 1, 21, 'y');
         INSERT INTO t (k, a, b) VALUES (1, 3, 1);
         INSERT INTO t (k, s) VALUES (1, 'static one');
         INSERT INTO t (k, s) VALUES (2, 'static two');
         INSERT INTO t (k, a, b, v) VALUES (3, 1, 1, 31)",
    );
    bench
}

#[test]
fn a_row_of_a_dropped_column_alone_is_gone() {
    let mut bench = Bench::new();
    bench.run(
        "CREATE TABLE d (k int, a int, v int, w int, PRIMARY KEY (k, a));
         UPDATE d SET v = 1 WHERE k = 1 AND a = 1;
         UPDATE d SET v = 2, w = 2 WHERE k = 1 AND a = 2;
         INSERT INTO d (k, a, v) VALUES (1, 3, 3);
         ALTER TABLE d DROP v",
    );
    assert_eq!(bench.show("SELECT a, w FROM d"), "2 2; 3 null");
    assert_eq!(bench.show("SELECT a, w FROM d WHERE k = 1 AND a = 1"), "");
    // Dropping it once more under the same name must not bring the first one back.
    bench.run(
        "ALTER TABLE d ADD v int;
         UPDATE d SET v = 4 WHERE k = 1 AND a = 4;
         ALTER TABLE d DROP v",
    );
    assert_eq!(bench.show("SELECT a, w FROM d WHERE k = 1"), "2 2; 3 null");
}

#[test]
fn a_long_run_of_tombstones_looks_at_the_clock() {
    let mut bench = Bench::new();
    bench.run("CREATE TABLE d (k int, a int, v int, PRIMARY KEY (k, a)); INSERT INTO d (k, a) VALUES (1, 9000)");
    for a in 0..8_200 {
        bench.run(&format!("DELETE FROM d WHERE k = 1 AND a = {a}"));
    }
    for rest in ["", "WHERE k = 1", "WHERE k IN (1, 2) ORDER BY a"] {
        assert_eq!(bench.show(&format!("SELECT a FROM d {rest}")), "9000", "{rest}");
        assert_eq!(
            bench.show(&format!("SELECT count(*) FROM d {rest}").replace("ORDER BY a", "")),
            "1"
        );
        let error = bench.error(&format!("SELECT a FROM d {rest} USING TIMEOUT 1ns"));
        assert!(error.contains("its time was over"), "{rest}: {error}");
    }
    let budget = ReadBudget { tombstones: 5_000, ..ReadBudget::UNLIMITED };
    assert_eq!(bench.paged("SELECT a FROM d", 10, budget), [["9000"]]);
}

#[test]
fn points_and_slices() {
    let bench = bench();
    assert_eq!(bench.show("SELECT v, w, a FROM t WHERE k = 1 AND a = 1 AND b = 2"), "12 null 1");
    assert_eq!(bench.show("SELECT v FROM t WHERE k = 1 AND a = 9 AND b = 2"), "");
    assert_eq!(bench.show("SELECT a, b FROM t WHERE k = 1"), "1 1; 1 2; 2 1; 3 1");
    assert_eq!(bench.show("SELECT a, b FROM t WHERE k = 1 AND a = 1"), "1 1; 1 2");
    assert_eq!(bench.show("SELECT a, b FROM t WHERE k = 1 AND a > 1 AND a <= 3"), "2 1; 3 1");
    assert_eq!(
        bench.show("SELECT a, b FROM t WHERE k = 1 AND (a, b) > (1, 1) AND a < 3"),
        "1 2; 2 1"
    );
    assert_eq!(bench.show("SELECT a, b FROM t WHERE k = 1 AND a IN (3, 1) AND b = 1"), "1 1; 3 1");
    assert_eq!(
        bench.show(
            "SELECT a, b FROM t WHERE k = 1 AND (a, b) IN ((2, 1), (1, 2)) ORDER BY a DESC, b DESC"
        ),
        "2 1; 1 2"
    );
    assert_eq!(bench.show("SELECT * FROM t WHERE k = 1 AND a = 3"), "1 3 1 static one null null");
}

#[test]
fn many_tombstones_are_noted_with_their_partition() {
    let mut bench = Bench::new();
    bench.run("CREATE TABLE d (k int, j text, a int, v int, PRIMARY KEY ((k, j), a))");
    for a in 0..30 {
        bench.run(&format!("DELETE FROM d WHERE k = 7 AND j = 'it''s' AND a = {a}"));
    }
    bench.run("INSERT INTO d (k, j, a) VALUES (7, 'it''s', 99); INSERT INTO d (k, j, a) VALUES (8, 'x', 1)");
    let noted = |bench: &Bench, cql: &str| {
        bench.select(cql);
        let noted = bench.over_threshold.lock().take();
        noted.map(|read| (read.name, read.partition, read.tombstones, read.rows))
    };
    let rests = ["", "WHERE k = 7 AND j = 'it''s'", "WHERE k IN (7, 8) AND j = 'it''s' ORDER BY a"];
    for (threshold, told) in [(0, false), (30, false), (29, true), (1, true)] {
        bench.tombstone_threshold = threshold;
        for rest in rests {
            let expected = ("ks.d".to_string(), "k = 7 AND j = 'it''s'".to_string(), 30);
            let read = noted(&bench, &format!("SELECT a FROM d {rest}"));
            let (read, rows) =
                (read.as_ref().map(|r| (r.0.clone(), r.1.clone(), r.2)), read.map(|r| r.3));
            assert_eq!(read, told.then_some(expected), "{threshold} {rest}");
            assert!(
                rows.is_none_or(|rows| rows == if rest.is_empty() { 2 } else { 1 }),
                "{rows:?}"
            );
        }
    }
    assert_eq!(noted(&bench, "SELECT a FROM d WHERE k = 8 AND j = 'x'"), None);
}

#[test]
fn a_budget_is_that_of_a_page_not_of_each_of_its_partitions() {
    let mut bench = Bench::new();
    bench.run("CREATE TABLE d (k int, a int, PRIMARY KEY (k, a))");
    for (k, a) in (0..20).flat_map(|k| (0..10).map(move |a| (k, a))) {
        bench.run(&format!("INSERT INTO d (k, a) VALUES ({k}, {a})"));
    }
    let budget = ReadBudget { entries: 50, ..ReadBudget::UNLIMITED };
    let keys: Vec<String> = (0..20).map(|k| k.to_string()).collect();
    let keys = keys.join(", ");
    for rest in
        [String::new(), format!("WHERE k IN ({keys})"), format!("WHERE k IN ({keys}) ORDER BY a")]
    {
        let cql = format!("SELECT a FROM d {rest}");
        let planned = bench.plan(&cql).unwrap();
        let first = bench.page(&planned, &[], Some(1000), None, budget).unwrap();
        assert!((30..=50).contains(&first.rows.len()), "{rest}: {}", first.rows.len());
        assert!(first.paging_state.is_some());
        let (all, paged) = (bench.select(&cql), bench.paged(&cql, 1000, budget));
        assert_eq!(paged, all, "{rest}");
        // The least of budgets still gets on.
        let least = ReadBudget { entries: 1, tombstones: 1, bytes: 1 };
        assert_eq!(bench.paged(&cql, 1000, least), all, "{rest}");
    }
}

#[test]
fn a_page_whose_time_is_over_is_short_and_the_next_goes_on() {
    let mut bench = Bench::new();
    bench.run("CREATE TABLE d (k int, a int, PRIMARY KEY (k, a))");
    for a in 0..1_000 {
        bench.run(&format!("INSERT INTO d (k, a) VALUES (1, {a})"));
    }
    for a in 1_000..10_000 {
        bench.run(&format!("DELETE FROM d WHERE k = 1 AND a = {a}"));
    }
    bench.run("INSERT INTO d (k, a) VALUES (1, 20000); INSERT INTO d (k, a) VALUES (2, 0)");
    let budget = PageBudget { walk: ReadBudget::UNLIMITED, time: Duration::ZERO };
    for rest in ["", "WHERE k = 1", "WHERE k = 1 ORDER BY a DESC", "WHERE k IN (1, 2) ORDER BY a"] {
        let cql = format!("SELECT a FROM d {rest}");
        let planned = bench.plan(&cql).unwrap();
        let first = bench.page(&planned, &[], Some(5_000), None, budget).unwrap();
        assert!(first.paging_state.is_some(), "{rest}");
        assert!(first.rows.len() < 1_000, "{rest}: {}", first.rows.len());
        assert_eq!(bench.paged(&cql, 5_000, budget), bench.select(&cql), "{rest}");
        // Without pages there is nothing to end.
        let whole = bench.page(&planned, &[], None, None, budget).unwrap();
        assert_eq!((whole.rows.len() >= 1_001, whole.paging_state), (true, None), "{rest}");
    }
}

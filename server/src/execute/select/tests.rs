//! SELECT from text to rows, on an engine in memory.

use tholos_storage::read::live::ReadBudget;

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

//! Planning never takes more than linear time: counted in steps, not in seconds.

use std::cell::Cell;

use tholos_parser::limits::{MAX_NESTING, MAX_OPERATORS};
use tholos_parser::parse_statement;

use crate::clock::{Deadline, SystemWall, Wall};
use crate::query::STACK_BYTES;
use crate::query::context::{Effort, PlanContext};
use crate::query::planner::plan;
use crate::testing::Bench;

fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.run(
        "CREATE TYPE pair (x int, y text);
         CREATE TABLE t (k int, c int, a int, b bigint, d double, x text, l list<int>, s set<int>, m map<text, int>,
             n frozen<list<list<int>>>, u pair, ts timestamp, PRIMARY KEY (k, c))",
    );
    bench
}

/// Steps of planning a statement, and whether it planned.
fn steps(bench: &Bench, statement: &str) -> (u64, Result<(), String>) {
    let effort = Effort { deadline: None, steps: Cell::new(0) };
    let keyspace = "ks".into();
    let context = PlanContext {
        catalogue: &bench.catalogue,
        keyspace: Some(&keyspace),
        effort: Some(&effort),
    };
    let parsed = parse_statement(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
    let planned = plan(parsed, context).map(drop).map_err(|error| error.to_string());
    (effort.steps.get(), planned)
}

/// Around `inner`, n times.
fn around(n: usize, open: &str, inner: &str, close: &str) -> String {
    format!("{}{inner}{}", open.repeat(n), close.repeat(n))
}

/// A name, the greatest number, and the statement of a number.
type Growing = (&'static str, usize, fn(usize) -> String);

/// Statements whose size grows with a number that goes up to what the parser takes.
fn growing() -> Vec<Growing> {
    let deep = usize::from(MAX_NESTING) / 2 - 2;
    let long = MAX_OPERATORS as usize / 2;
    let of = |what: &'static str, most: usize, statement: fn(usize) -> String| -> Growing {
        (what, most, statement)
    };
    vec![
        of("sum", long, |n| format!("SELECT a{} FROM t", " + a".repeat(n))),
        of("sum of literals", long, |n| format!("SELECT 1{} FROM t", " + 1".repeat(n))),
        of("sum from the right", deep, |n| {
            format!("SELECT {} FROM t", around(n, "a + (", "a", ")"))
        }),
        of("calls", deep, |n| format!("SELECT {} FROM t", around(n, "abs(", "a", ")"))),
        of("calls of literals", deep, |n| format!("SELECT {} FROM t", around(n, "abs(", "1", ")"))),
        of("calls of two", deep, |n| {
            format!("SELECT {} FROM t", around(n, "floor(ts, 1h) + (", "1d", ")"))
        }),
        of("casts", deep, |n| {
            format!("SELECT {} FROM t", around(n, "CAST(CAST(", "a", " AS text) AS text)"))
        }),
        of("casts both ways", deep / 2, |n| {
            format!("SELECT {} FROM t", around(n, "CAST(CAST(", "a", " AS double) AS int)"))
        }),
        of("unary minus", deep, |n| format!("SELECT {} FROM t", around(n, "- ", "a", ""))),
        of("minus of a sum", deep / 2, |n| {
            format!("SELECT {} FROM t", around(n, "-(a + ", "a", ")"))
        }),
        of("hints", deep, |n| {
            format!("INSERT INTO t (k, c, a) VALUES (1, 1, {})", around(n, "(int) ", "1", ""))
        }),
        of("hints in VALUES", deep, |n| {
            format!(
                "INSERT INTO t (k, c, b) VALUES (1, 1, {})",
                around(n, "abs((bigint) ", "1", ")")
            )
        }),
        of("sum in VALUES", long, |n| {
            format!("INSERT INTO t (k, c, a) VALUES (1, 1, 1{})", " + 1".repeat(n))
        }),
        of("typed sum in VALUES", long, |n| {
            format!("INSERT INTO t (k, c, a) VALUES (1, 1, (int) 1{})", " + (int) 1".repeat(n))
        }),
        of("parentheses", deep, |n| {
            format!("INSERT INTO t (k, c, a) VALUES (1, 1, {})", around(n, "(", "1", ")"))
        }),
        of("conversions", deep, |n| {
            format!(
                "INSERT INTO t (k, c, x) VALUES (1, 1, {})",
                around(n, "to_json(", "(int) 1", ")")
            )
        }),
        of("lists", deep, |n| format!("SELECT {} FROM t", around(n, "[", "a", "]"))),
        of("tuples", deep, |n| format!("SELECT {} FROM t", around(n, "(a, ", "a", ")"))),
        of("maps", deep, |n| format!("SELECT {} FROM t", around(n, "{a: ", "a", "}"))),
        of("elements", 20_000, |n| {
            format!("INSERT INTO t (k, c, l) VALUES (1, 1, [{}])", vec!["1 + 2"; n].join(", "))
        }),
        of("markers", 20_000, |n| {
            format!("INSERT INTO t (k, c, l) VALUES (1, 1, [{}])", vec!["?"; n].join(", "))
        }),
        of("items", 20_000, |n| format!("SELECT {} FROM t", vec!["a + c"; n].join(", "))),
        of("aggregates", 20_000, |n| format!("SELECT {} FROM t", vec!["max(a)"; n].join(", "))),
        of("arguments", 20_000, |n| format!("SELECT abs({}) FROM t", vec!["a"; n].join(", "))),
        of("candidates", 20_000, |n| {
            format!("SELECT a FROM t WHERE k IN ({})", vec!["1"; n].join(", "))
        }),
        of("relations", 400, |n| {
            format!("SELECT a FROM t WHERE {} ALLOW FILTERING", vec!["a != 1"; n].join(" AND "))
        }),
        of("assignments", 10_000, |n| {
            format!("UPDATE t SET {} WHERE k = 1 AND c = 1", vec!["l = l + [1]"; n].join(", "))
        }),
        of("batch", 10_000, |n| {
            format!(
                "BEGIN BATCH {} APPLY BATCH",
                "INSERT INTO t (k, c, a) VALUES (1, 1, -(1 + 1)); ".repeat(n)
            )
        }),
    ]
}

#[test]
fn planning_is_linear_in_the_statement() {
    let bench = bench();
    for (what, most, statement) in growing() {
        let (half, _) = steps(&bench, &statement(most / 2));
        let (whole, planned) = steps(&bench, &statement(most / 2 * 2));
        assert!(
            whole <= half * 22 / 10 + 20,
            "{what}: {half} steps, then {whole} for twice as much"
        );
        let text = statement(most).len() as u64;
        assert!(whole <= 4 * text, "{what}: {whole} steps for {text} bytes");
        assert!(
            whole >= most as u64 / 2,
            "{what}: {whole} steps, which counts nothing: {planned:?}"
        );
    }
}

#[test]
fn what_is_planned_is_what_is_written() {
    let thread = std::thread::Builder::new().stack_size(STACK_BYTES).spawn(deepest_terms);
    thread.unwrap().join().unwrap();
}

fn deepest_terms() {
    let mut bench = bench();
    bench.run("INSERT INTO t (k, c, a) VALUES (1, 1, 3)");
    let sum = format!("SELECT a{} FROM t", " + a".repeat(MAX_OPERATORS as usize));
    assert_eq!(bench.show(&sum), (3 * (MAX_OPERATORS + 1)).to_string());
    let deep = usize::from(MAX_NESTING) - 4;
    assert_eq!(bench.show(&format!("SELECT {} FROM t", around(deep, "abs(", "a", ")"))), "3");
    assert_eq!(bench.show(&format!("SELECT {} FROM t", around(deep, "- ", "a", ""))), "3");
}

#[test]
fn planning_ends_when_the_time_is_over() {
    let bench = bench();
    let deadline = Deadline::new(&SystemWall, SystemWall.instant());
    let effort = Effort { deadline: Some(deadline), steps: Cell::new(0) };
    let keyspace = "ks".into();
    let context = PlanContext {
        catalogue: &bench.catalogue,
        keyspace: Some(&keyspace),
        effort: Some(&effort),
    };
    let many = format!("SELECT {} FROM t", vec!["a"; 20_000].join(", "));
    let error = plan(parse_statement(&many).unwrap(), context).map(drop).unwrap_err().to_string();
    assert!(error.contains("did not end in the time"), "{error}");
    assert!(effort.steps.get() < 20_000, "{} steps", effort.steps.get());
}

#[test]
fn markers_are_numbered_in_the_order_of_the_text() {
    let bench = bench();
    let markers = |statement: &str| {
        let planned = bench.plan(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
        let markers = planned.markers.iter();
        markers
            .map(|marker| format!("{} {}", marker.name, marker.cql_type))
            .collect::<Vec<_>>()
            .join(", ")
    };
    assert_eq!(
        markers("SELECT (int) ?, m[?], [a, ?], abs((bigint) ?) FROM t WHERE k = ? LIMIT ?"),
        "[selection] int, key(m) text, [selection] int, [selection] bigint, k int, [limit] int"
    );
    assert_eq!(
        markers("INSERT INTO t (k, c, a, b, l, m) VALUES (?, ?, ? + ?, -?, [?, ?], {?: ?})"),
        "k int, c int, arg0(system._add) int, arg1(system._add) int, arg0(system._negate) bigint, value(l) int, value(l) int, key(m) text, value(m) int"
    );
    assert_eq!(
        markers("INSERT INTO t (k, c, x, ts) VALUES (?, :c, fromJson(?), to_timestamp((date) ?))"),
        "k int, c int, arg0(system.fromjson) text, arg0(system.to_timestamp) date"
    );
    assert_eq!(
        markers("INSERT INTO t (k, c) VALUES (CAST((bigint) ? AS int), abs(-(int) ?) + (int) ?)"),
        "arg0(system.cast_as_int) bigint, arg0(system._negate) int, arg1(system._add) int"
    );
}

/// As Cassandra 5.0.9 names and types them.
#[test]
fn columns_of_results_are_named_and_typed_as_called() {
    let bench = bench();
    for (written, name, cql_type) in [
        ("toJson(a)", "system.tojson(a)", "text"),
        ("to_json(a)", "system.to_json(a)", "text"),
        ("blobAsInt(int_as_blob(a))", "system.blobasint(system.int_as_blob(a))", "int"),
        ("(a-c) / k", "(a - c) / k", "int"),
        ("a-(c-k)", "a - (c - k)", "int"),
        ("-(a+c)*2", "-(a + c) * 2", "int"),
        ("(bigint)2", "(bigint)2", "bigint"),
        ("(bigint) (2)", "(bigint)(2)", "bigint"),
        ("CAST(b AS bigint)", "b", "bigint"),
        ("CAST(a+c AS text)", "cast(a + c as text)", "text"),
        ("COUNT(*)", "count", "bigint"),
        ("count(1)", "count", "bigint"),
        ("count(a)", "system.count(a)", "bigint"),
        ("MAX(a)+1", "system.max(a) + 1", "int"),
        ("toJson(max(a))", "system.tojson(system.max(a))", "text"),
        ("max(u).y", "system.max(u).y", "text"),
        ("m['it''s']", "m['it's']", "int"),
        ("m['a'..]", "m['a'..]", "map<text, int>"),
        ("WRITETIME(u.x)", "writetime(u.x)", "bigint"),
        ("writetime(m['a'..'b'])", "writetime(m['a'..'b'])", "list<bigint>"),
        ("ttl(s[1..2])", "ttl(s[1..2])", "list<int>"),
        ("maxwritetime(m['a'..'b'])", "maxwritetime(m['a'..'b'])", "bigint"),
        ("(list<int>)[k,c]", "(list<int>)[k, c]", "list<int>"),
        ("[k, 1]", "[k, 1]", "list<int>"),
        ("(k,x)", "(k, x)", "tuple<int, text>"),
        ("(pair){x:k, y:'a'}", "(ks.pair){x: k, y: 'a'}", "pair"),
        ("(map<text,int>){'a':1}['a']", "(map<text, int>){'a': 1}['a']", "int"),
        ("x + 'b'", "x + 'b'", "text"),
        ("a + 1.5", "a + 1.5", "double"),
        ("token(k)", "system.token(k)", "bigint"),
        ("token(1)", "system.token(1)", "bigint"),
        ("now()", "system.now()", "timeuuid"),
    ] {
        let planned = bench.plan(&format!("SELECT {written} FROM t"));
        let planned = planned.unwrap_or_else(|error| panic!("{written}: {error}"));
        let [column] = planned.result_columns().unwrap() else { panic!("{written}") };
        assert_eq!(column.name, name, "{written}");
        let found = column.cql_type.to_string().replace("frozen<", "").replace('>', "");
        assert_eq!(found, cql_type.replace('>', ""), "{written}");
    }
}

/// As in Cassandra 5.0.9: a literal is an int, a bigint or varint if it must, and takes part as that.
#[test]
fn literals_beside_columns_have_types_of_their_own() {
    let mut bench = Bench::new();
    bench.run(
        "CREATE TABLE n (k int PRIMARY KEY, t tinyint, s smallint, i int, b bigint, f float, d double, v varint, e decimal, x text);
         INSERT INTO n (k, t, s, i, b, f, d, v, e, x) VALUES (1, 3, 32767, 7, -8, 1.5, 2.5, 12, 1.50, 'ab')",
    );
    for (written, value, cql_type) in [
        ("s + 1", "32768", "int"),
        ("1 + s", "32768", "int"),
        ("s + 100000", "132767", "int"),
        ("s + 3000000000", "3000032767", "bigint"),
        ("s + 30000000000000000000000", "30000000000000000032767", "varint"),
        ("s + s", "-2", "smallint"),
        ("t + s", "-32766", "smallint"),
        ("s * (-1)", "-32767", "int"),
        ("s + 1 + 1", "32769", "int"),
        ("f + 1", "2.5", "float"),
        ("f + 1.5", "3.0", "double"),
        ("b + 1", "-7", "bigint"),
        ("e + 1.5", "3.00", "decimal"),
        ("v + 1.5", "13.5", "decimal"),
        ("1 + 1", "2", "int"),
        ("x + x", "abab", "text"),
        ("'x' + x", "xab", "text"),
    ] {
        let select = format!("SELECT {written} FROM n");
        assert_eq!(bench.show(&select), value, "{written}");
        let planned = bench.plan(&select).unwrap();
        assert_eq!(
            planned.result_columns().unwrap()[0].cql_type.to_string(),
            cql_type,
            "{written}"
        );
    }
    // What receives a result has a say in what its literals are.
    bench.run("UPDATE n SET t = 1 + 1, s = (smallint) 1 + 1, b = (int) 1 + (bigint) 2, x = 'a' + 'b' WHERE k = 2");
    assert_eq!(bench.show("SELECT t, s, b, x FROM n WHERE k = 2"), "2 2 3 ab");
}

#[test]
fn values_stand_in_for_those_of_the_same_bytes() {
    let mut bench = Bench::new();
    bench.run(
        "CREATE TABLE b (k int PRIMARY KEY, b bigint, i int, ts timestamp, t time, d date, v varint, x text);
         INSERT INTO b (k, b, i, x) VALUES (1, 86400000, 5, 'ab')",
    );
    assert_eq!(bench.show("SELECT toDate(b) FROM b"), "1970-01-02");
    assert_eq!(bench.show("SELECT blobAsText(x), blob_as_int(i) FROM b"), "ab 5");
    let least = bench.show("SELECT minTimeuuid(b) FROM b");
    assert_eq!(least, bench.show("SELECT minTimeuuid('1970-01-02 00:00:00Z') FROM b"));
    bench.run("UPDATE b SET ts = to_unix_timestamp((timestamp) '1970-01-02 00:00:00Z'), t = (bigint) 7, v = (timestamp) 9 WHERE k = 1");
    assert_eq!(bench.show("SELECT t, v FROM b"), "00:00:00.000000007 9");
    assert_eq!(bench.show("SELECT toDate(ts) FROM b"), "1970-01-02");
    bench.run("UPDATE b SET b = (timestamp) 11, d = (int) 1 WHERE k = 2");
    assert_eq!(bench.show("SELECT b FROM b WHERE k = 2"), "11");
}

#[test]
fn groups_without_rows_still_have_what_depends_on_none() {
    let bench = bench();
    let shown = bench
        .show("SELECT count(*), to_json(a), (boolean) true, a, a + 1, max(a) FROM t WHERE k = 77");
    assert_eq!(shown, "0 null true null null null");
    let error = bench.error("SELECT max(max(a)) FROM t");
    assert!(error.contains("aggregates don't nest"), "{error}");
    let error = bench.error("SELECT count(*) FROM t PER PARTITION LIMIT 1");
    assert!(error.contains("PER PARTITION LIMIT is not allowed with aggregates"), "{error}");
}

#[test]
fn distinct_aggregates_count_partitions() {
    let mut bench = bench();
    bench.run(
        "INSERT INTO t (k, c) VALUES (1, 1); INSERT INTO t (k, c) VALUES (1, 2); INSERT INTO t (k, c) VALUES (2, 1)",
    );
    assert_eq!(bench.show("SELECT DISTINCT k, count(k) FROM t WHERE k = 1 GROUP BY k"), "1 1");
    assert_eq!(bench.show("SELECT k, count(k) FROM t WHERE k = 1 GROUP BY k"), "1 2");
}

#[test]
fn parts_of_collections_and_user_types() {
    let mut bench = bench();
    bench.run(
        "INSERT INTO t (k, c, s, m, u) VALUES (1, 1, {1, 2, 3}, {'a': 1, 'b': 2}, {x: 1}) USING TIMESTAMP 20;
         UPDATE t USING TIMESTAMP 30 SET m['c'] = 3 WHERE k = 1 AND c = 1",
    );
    for (written, value) in [
        ("m['x'..'z']", "null"),
        ("s[8..9]", "null"),
        ("m['b'..'x']", "{'b': 2, 'c': 3}"),
        ("writetime(u)", "[20, null]"),
        ("ttl(u)", "[null, null]"),
        ("writetime(m['b'..'c'])", "[20, 30]"),
        ("writetime(m['x'..])", "null"),
        ("maxwritetime(m['a'..'c'])", "30"),
        ("ttl(s[..2])", "[null, null]"),
        ("(list<int>)[k, c, 5]", "[1, 1, 5]"),
        ("(map<text, int>){'z': k}", "{'z': 1}"),
        ("(k, 'a')", "(1, 'a')"),
        ("max(m)['b']", "2"),
        ("max(u).x", "1"),
    ] {
        assert_eq!(bench.show(&format!("SELECT {written} FROM t")), value, "{written}");
    }
}

//! Functions as statements call them.

use crate::testing::Bench;

fn bench() -> Bench {
    let mut bench = Bench::new();
    bench.run(
        "CREATE TYPE pair (x int, \"Y\" text);
         CREATE TABLE f (k int PRIMARY KEY, i int, b bigint, d double, t text, ts timestamp, da date, tu timeuuid,
             de decimal, m map<text, int>, l list<int>, s frozen<set<int>>, u frozen<pair>, bl blob);
         INSERT INTO f (k, i, b, d, t, ts, da, tu, de, m, l, s, u, bl) VALUES (1, 7, -8, 2.5, 'a\"b', '2020-02-29 12:00:00Z',
             '2020-02-29', 50554d6e-29bb-11e5-b345-feff819cdc9f, 1.50, {'y': 2, 'x': 1}, [3, 1, 2], {5, 4},
             {x: 1, \"Y\": 'z'}, 0x00000007)",
    );
    bench
}

fn value(bench: &Bench, expression: &str) -> String {
    bench.show(&format!("SELECT {expression} FROM f"))
}

#[test]
fn times_and_their_types() {
    let bench = bench();
    assert_eq!(value(&bench, "to_date(ts)"), "2020-02-29");
    assert_eq!(value(&bench, "toUnixTimestamp(da)"), "1582934400000");
    assert_eq!(value(&bench, "toTimestamp(tu)"), "2015-07-14 00:00:18.805+0000");
    assert_eq!(value(&bench, "toUnixTimestamp(tu)"), "1436832018805");
    assert_eq!(value(&bench, "toUnixTimestamp(tu)"), value(&bench, "unixTimestampOf(tu)"));
    assert_eq!(value(&bench, "to_unix_timestamp(now())"), "1000000000");
    assert_eq!(value(&bench, "current_timestamp()"), "1970-01-12 13:46:40.000+0000");
    assert_eq!(value(&bench, "currentDate()"), "1970-01-12");
    assert_eq!(value(&bench, "current_time()"), "13:46:40.000000000");
    assert_ne!(value(&bench, "now()"), value(&bench, "uuid()"));
    let between = "SELECT k FROM f WHERE tu >= minTimeuuid('2015-07-14') AND tu < maxTimeuuid('2015-07-15') ALLOW FILTERING";
    assert_eq!(bench.show(between), "1");
}

#[test]
fn blobs_and_casts() {
    let bench = bench();
    assert_eq!(value(&bench, "int_as_blob(i)"), "0x00000007");
    assert_eq!(value(&bench, "blobAsInt(bl)"), "7");
    assert!(bench.error("SELECT blob_as_bigint(bl) FROM f").contains("blob_as_bigint()"));
    assert_eq!(value(&bench, "CAST(i AS text)"), "7");
    assert_eq!(value(&bench, "CAST(d AS int)"), "2");
    assert_eq!(value(&bench, "CAST(b AS tinyint)"), "-8");
    assert_eq!(value(&bench, "CAST(de AS double)"), "1.5");
    assert_eq!(value(&bench, "CAST(d AS decimal)"), "2.5");
    assert_eq!(value(&bench, "CAST(ts AS date)"), "2020-02-29");
    assert!(bench.error("SELECT CAST(t AS int) FROM f").contains("text cannot be cast to int"));
    let names = bench
        .try_select("SELECT CAST(i AS text), int_as_blob(i), count(*), max(i), writetime(i) FROM f")
        .unwrap();
    assert_eq!(
        names.names,
        ["cast(i as text)", "system.int_as_blob(i)", "count", "system.max(i)", "writetime(i)"]
    );
}

#[test]
fn operators_and_mathematics() {
    let bench = bench();
    assert_eq!(value(&bench, "i + 1"), "8");
    assert_eq!(value(&bench, "i * b"), "-56");
    assert_eq!(value(&bench, "i / 2"), "3");
    assert_eq!(value(&bench, "i % 4"), "3");
    assert_eq!(value(&bench, "d / 2"), "1.25");
    assert_eq!(value(&bench, "de + i"), "8.50");
    assert_eq!(value(&bench, "-i"), "-7");
    assert_eq!(value(&bench, "abs(b)"), "8");
    assert_eq!(value(&bench, "CAST(round(d) AS int)"), "3");
    assert_eq!(value(&bench, "ts + 1y"), "2021-02-28 12:00:00.000+0000");
    assert_eq!(value(&bench, "da - 1mo"), "2020-01-29");
    assert!(bench.error("SELECT i / 0 FROM f").contains("division by zero"));
    assert!(bench.error("SELECT i + t FROM f").contains("takes two numbers"));
}

#[test]
fn collections_and_json() {
    let bench = bench();
    assert_eq!(value(&bench, "collection_count(m)"), "2");
    assert_eq!(value(&bench, "map_keys(m)"), "{'x', 'y'}");
    assert_eq!(value(&bench, "map_values(m)"), "[1, 2]");
    assert_eq!(value(&bench, "collection_max(l)"), "3");
    assert_eq!(value(&bench, "m['y']"), "2");
    assert_eq!(value(&bench, "m['z']"), "null");
    assert_eq!(value(&bench, "s[5..]"), "{5}");
    assert_eq!(value(&bench, "u.\"Y\""), "z");
    assert_eq!(value(&bench, "toJson(m)"), r#"{"x": 1, "y": 2}"#);
    assert_eq!(value(&bench, "to_json(l)"), "[3, 1, 2]");
    assert_eq!(value(&bench, "to_json(t)"), r#""a\"b""#);
    assert_eq!(value(&bench, "to_json(u)"), r#"{"x": 1, "\"Y\"": "z"}"#);
    assert_eq!(value(&bench, "to_json(ts)"), r#""2020-02-29 12:00:00.000Z""#);
}

#[test]
fn unknown_functions_have_near_names() {
    let error = bench().error("SELECT to_dat(ts) FROM f");
    assert!(error.contains("did you mean to_date"), "{error}");
}

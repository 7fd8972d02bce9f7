//! Functions as statements call them.

use tholos_storage::read::budget::ReadBudget;

use crate::query::values::Bound;
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

/// What expressions over a row with these columns and values are: as Cassandra 5.0.9 answers. Types have no spaces.
fn check(columns: &str, values: &str, expected: &[(&str, &str)]) {
    let mut bench = Bench::new();
    bench.run(&format!("CREATE TABLE f (k int PRIMARY KEY, {columns})"));
    let names: Vec<&str> =
        columns.split(", ").filter_map(|column| column.split(' ').next()).collect();
    bench.run(&format!("INSERT INTO f (k, {}) VALUES (1, {values})", names.join(", ")));
    for (expression, expected) in expected {
        assert_eq!(value(&bench, expression), *expected, "{expression}");
    }
}

const NUMBERS: &str =
    "ti tinyint, si smallint, i int, b bigint, vi varint, fl float, d double, de decimal";

#[test]
fn mathematics_of_every_type() {
    check(
        NUMBERS,
        "-7, -7, -7, -7, -7, -2.5, -2.5, -2.50",
        &[
            ("abs(ti)", "7"),
            ("abs(vi)", "7"),
            ("abs(de)", "2.50"),
            ("round(b)", "-7"),
            ("round(fl)", "-2.0"),
            ("round(d)", "-2.0"),
            ("round(de)", "-3"),
            ("exp(ti)", "0"),
            ("exp(vi)", "0"),
            ("exp(de)", "0.082084998623898795169528674467160"),
            ("log(i)", "0"),
            ("log(d)", "NaN"),
            ("de / 3", "-0.83333333333333333333333333333333"),
            ("de / 2", "-1.25"),
            ("vi / 2", "-3"),
            ("vi % 2", "-1"),
        ],
    );
    check(
        NUMBERS,
        "127, 32767, 2147483647, 9223372036854775807, 123456789012345678901234567890, 3.5, 1e20, 123.456",
        &[
            ("exp(ti)", "-1"),
            ("exp(si)", "-1"),
            ("exp(i)", "2147483647"),
            ("exp(b)", "9223372036854775807"),
            ("exp(de)", "4.1329443527780934495768544122734E+53"),
            ("log(vi)", "66"),
            ("log(de)", "4.8158848172832638831092321051665"),
            ("log10(vi)", "29"),
            ("log10(ti)", "2"),
            ("log10(b)", "18"),
            ("log10(d)", "20.0"),
            ("round(vi)", "123456789012345678901234567890"),
            ("round(d)", "1e20"),
            ("round(de)", "123"),
        ],
    );
    check(
        NUMBERS,
        "-128, -32768, -2147483648, -9223372036854775808, 0, NaN, -Infinity, 1E+3",
        &[
            ("abs(ti)", "-128"),
            ("abs(b)", "-9223372036854775808"),
            ("round(de)", "1000"),
            ("exp(vi)", "1"),
            ("exp(d)", "0.0"),
            ("round(fl)", "NaN"),
            ("round(d)", "-Infinity"),
            ("log(i)", "0"),
        ],
    );
}

#[test]
fn logarithms_of_what_has_none_are_refused() {
    let bench = bench();
    for call in ["log((decimal)0)", "log10((varint)-1)"] {
        let error = bench.error(&format!("SELECT {call} FROM f"));
        assert!(error.contains("have no logarithm"), "{error}");
    }
}

#[test]
fn floors_of_times() {
    let columns = "c timestamp, d date, t time, tu timeuuid";
    let values = "'2016-09-27 16:10:33.123', '2016-09-27', '16:12:33.123456789', 50554d6e-29bb-11e5-b345-feff819cdc9f";
    check(
        columns,
        values,
        &[
            ("floor(c, 5m)", "2016-09-27 16:10:00.000+0000"),
            ("floor(c, 1h)", "2016-09-27 16:00:00.000+0000"),
            ("floor(c, 1d)", "2016-09-27 00:00:00.000+0000"),
            ("floor(c, 1w)", "2016-09-22 00:00:00.000+0000"),
            ("floor(c, 1mo)", "2016-09-01 00:00:00.000+0000"),
            ("floor(c, 3mo)", "2016-07-01 00:00:00.000+0000"),
            ("floor(c, 1y)", "2016-01-01 00:00:00.000+0000"),
            ("floor(c, 1mo1d)", "2016-09-25 00:00:00.000+0000"),
            ("floor(c, 0h)", "2016-09-27 16:10:33.123+0000"),
            ("floor(c, 5m, '2016-09-27 16:07:00')", "2016-09-27 16:07:00.000+0000"),
            ("floor(c, 1d, '2016-01-15 12:00')", "2016-09-27 12:00:00.000+0000"),
            ("floor(c, 1mo, '2016-01-15')", "2016-09-15 00:00:00.000+0000"),
            // Cassandra answers 2016-09-30 here, which is after the time.
            ("floor(c, 1mo, '2016-01-31')", "2016-08-31 00:00:00.000+0000"),
            ("floor(d, 1mo)", "2016-09-01"),
            ("floor(d, 2d)", "2016-09-26"),
            ("floor(d, 1mo, '2016-01-15')", "2016-09-15"),
            ("floor(t, 5m)", "16:10:00.000000000"),
            ("floor(t, 10ns)", "16:12:33.123456780"),
            ("floor(t, 24h)", "00:00:00.000000000"),
            ("floor(tu, 5m)", "2015-07-14 00:00:00.000+0000"),
        ],
    );
    let bench = bench();
    for (call, expected) in [
        ("floor(ts, 1ns)", "whole milliseconds, not 1ns"),
        ("floor(ts, -1h)", "no negative durations such as -1h"),
        ("floor(ts, 1h, '2030-01-01')", "before the one that durations are counted from"),
        ("floor(da, 24h)", "whole days, not 24h"),
        ("floor(i, 5m)", "whole days, not 5m"),
    ] {
        let error = bench.error(&format!("SELECT {call} FROM f"));
        assert!(error.contains(expected), "{call}: {error}");
    }
}

#[test]
fn durations_that_are_too_fine_are_refused() {
    let bench = bench();
    assert_eq!(value(&bench, "ts + 1000us"), "2020-02-29 12:00:00.001+0000");
    for (sum, expected) in [
        ("ts + 1ns", "+(): a timestamp takes a duration of whole milliseconds, not 1ns"),
        ("ts - 1500us", "-(): a timestamp takes a duration of whole milliseconds, not 1ms500us"),
        ("ts + 1d1ns", "whole milliseconds, not 1d1ns"),
        ("da + 1h", "+(): a date takes a duration of whole days, not 1h"),
        ("da - 24h", "whole days, not 24h"),
    ] {
        let error = bench.error(&format!("SELECT {sum} FROM f"));
        assert!(error.contains(expected), "{sum}: {error}");
    }
}

#[test]
fn similarities_of_vectors() {
    let columns = "a vector<float,3>, b vector<float,3>, n vector<float,3>";
    check(
        columns,
        "[1, 2, 3], [4, 5, 6], [-1, -2, -3]",
        &[
            ("similarity_cosine(a, b)", "0.9873159"),
            ("similarity_cosine(a, [1, 2, 3])", "1.0"),
            ("similarity_cosine([1, 2, 3], n)", "0.0"),
            ("similarity_cosine(a, null)", "null"),
            ("similarity_euclidean(a, b)", "0.035714287"),
            ("similarity_dot_product(a, b)", "16.5"),
        ],
    );
    let mut bench = Bench::new();
    bench.run(
        "CREATE TABLE f (k int PRIMARY KEY, a vector<float, 2>, b vector<float, 3>, d vector<double, 2>);
         INSERT INTO f (k, a, b, d) VALUES (1, [0, 0], [1, 2, 3], [1, 2])",
    );
    for (call, expected) in [
        ("similarity_cosine(a, [1, 2])", "a vector of zeros has no direction"),
        ("similarity_cosine(a, b)", "takes two vectors of floats, of one length"),
        ("similarity_cosine(d, d)", "takes two vectors of floats, of one length"),
        ("similarity_cosine(a)", "takes two vectors of floats, of one length"),
        ("similarity_cosin(a, a)", "did you mean similarity_cosine"),
    ] {
        let error = bench.error(&format!("SELECT {call} FROM f"));
        assert!(error.contains(expected), "{call}: {error}");
    }
}

#[test]
fn sums_and_averages_of_collections() {
    check(
        "li list<int>, lti list<tinyint>, lb list<bigint>, ld list<decimal>, lf list<float>, si set<int>, fl frozen<list<int>>",
        "[1, 2, 4], [127, 1], [9223372036854775807, 1], [1, 2.00], [1.5, 2], {3, 5}, []",
        &[
            ("collection_sum(li)", "7"),
            ("collection_avg(li)", "2"),
            ("collection_sum(lti)", "-128"),
            ("collection_avg(lti)", "64"),
            ("collection_sum(lb)", "-9223372036854775808"),
            ("collection_avg(lb)", "4611686018427387904"),
            ("collection_sum(ld)", "3.00"),
            ("collection_avg(ld)", "1.50"),
            ("collection_avg(lf)", "1.75"),
            ("collection_sum(si)", "8"),
            ("collection_sum(fl)", "0"),
            ("collection_avg(fl)", "0"),
            ("collection_min(fl)", "null"),
            ("collection_count(fl)", "0"),
        ],
    );
    let bench = bench();
    let error = bench.error("SELECT collection_sum(m) FROM f");
    assert!(error.contains("takes a list or set of numbers"), "{error}");
}

#[test]
fn masks() {
    check(
        "t text, n text, i int, u uuid, ip inet, l list<int>, tp tuple<int,text>, du duration, ts timestamp, v vector<float,2>",
        "'abcdéf', null, 7, 50554d6e-29bb-11e5-b345-feff819cdc9f, '1.2.3.4', [1], (1, 'x'), 1h, 5, [1, 2]",
        &[
            ("mask_null(t)", "null"),
            ("mask_default(t)", "****"),
            ("mask_default(n)", "****"),
            ("mask_default(i)", "0"),
            ("mask_default(u)", "00000000-0000-0000-0000-000000000000"),
            ("mask_default(ip)", "0.0.0.0"),
            ("mask_default(l)", "[]"),
            ("mask_default(tp)", "(0, '****')"),
            ("mask_default(du)", "0ns"),
            ("mask_default(ts)", "1970-01-01 00:00:00.000+0000"),
            ("mask_default(v)", "[0.0, 0.0]"),
            ("mask_replace(t, 'x')", "x"),
            ("mask_replace(n, 'x')", "x"),
            ("mask_replace(i, null)", "null"),
            ("mask_replace(l, [5])", "[5]"),
            ("mask_inner(t, 1, 2)", "a***éf"),
            ("mask_inner(t, 1, null)", "a*****"),
            ("mask_inner(t, null, null)", "******"),
            ("mask_inner(t, 1, 2, '#')", "a###éf"),
            ("mask_inner(t, 4, 4)", "abcdéf"),
            ("mask_inner(t, -1, 2)", "****éf"),
            ("mask_inner(n, 1, 2)", "null"),
            ("mask_outer(t, 1, 2)", "*bcd**"),
            ("mask_outer(t, null, null)", "abcdéf"),
            ("mask_outer(t, 5, 5)", "******"),
            ("mask_outer(t, -1, 2, null)", "abcd**"),
            ("mask_hash(n)", "null"),
        ],
    );
    let digest = "0xbef57ec7f53a6d40beb640a780a639c83bc29ac8a9816f1fc6c5c6dcd93c4721";
    check("t text", "'abcdef'", &[("mask_hash(t)", digest), ("mask_hash(t, 'sha-256')", digest)]);
    let bench = bench();
    for (call, expected) in [
        ("mask_inner(t, 1, 2, '##')", "the padding is one character, not the 2 of '##'"),
        ("mask_hash(t, 'FOO')", "SHA-512, not FOO"),
        ("mask_inner(i, 1, 2)", "takes a text, two ints"),
        ("mask_replace(i, 'x')", "takes a value of a known type and one of the same type"),
        ("mask_foo(t)", "unknown function mask_foo()"),
    ] {
        let error = bench.error(&format!("SELECT {call} FROM f"));
        assert!(error.contains(expected), "{call}: {error}");
    }
}

#[test]
fn text_forms_of_casts_are_those_of_java() {
    check(
        "fl float, d double, ts timestamp, da date, ip inet",
        "1e10, 1e-5, '2016-10-01 01:02:03.004+0000', '-5877641-06-23', '::1'",
        &[
            ("CAST(fl AS text)", "1.0E10"),
            ("CAST(d AS text)", "1.0E-5"),
            ("CAST(ts AS text)", "2016-10-01T01:02:03.004Z"),
            ("CAST(da AS text)", "-5877641-06-23"),
            ("CAST(ip AS text)", "0:0:0:0:0:0:0:1"),
            ("to_json(fl)", "1.0E10"),
            ("to_json(ts)", "\"2016-10-01 01:02:03.004Z\""),
            ("to_json(da)", "\"-5877641-06-23\""),
            ("to_json(ip)", "\"0:0:0:0:0:0:0:1\""),
        ],
    );
}

#[test]
fn groups_of_times() {
    let mut bench = Bench::new();
    bench.run(
        "CREATE TABLE g (k int, c timestamp, n int, v int, PRIMARY KEY (k, c, n));
         INSERT INTO g (k, c, n, v) VALUES (1, '2016-09-27 16:10:33', 1, 1);
         INSERT INTO g (k, c, n, v) VALUES (1, '2016-09-27 16:26:00', 1, 2);
         INSERT INTO g (k, c, n, v) VALUES (1, '2016-09-27 17:00:00', 1, 3);
         INSERT INTO g (k, c, n, v) VALUES (1, '2016-09-28 16:00:00', 1, 4);
         INSERT INTO g (k, c, n, v) VALUES (2, '2016-09-27 16:00:00', 1, 5)",
    );
    assert_eq!(
        bench.show("SELECT k, floor(c, 1h), sum(v) FROM g GROUP BY k, floor(c, 1h)"),
        "1 2016-09-27 16:00:00.000+0000 3; 1 2016-09-27 17:00:00.000+0000 3; \
         1 2016-09-28 16:00:00.000+0000 4; 2 2016-09-27 16:00:00.000+0000 5"
    );
    assert_eq!(bench.show("SELECT sum(v) FROM g WHERE k = 1 GROUP BY to_date(c) LIMIT 5"), "6; 4");
    assert_eq!(
        bench.paged("SELECT sum(v) FROM g GROUP BY k, floor(c, 1d)", 1, ReadBudget::UNLIMITED),
        [["6"], ["4"], ["5"]]
    );
    for groups in ["to_date(floor(c, 1h))", "cast(c AS date)", "(floor(c, 1d))"] {
        let shown = bench.show(&format!("SELECT sum(v) FROM g WHERE k = 1 GROUP BY {groups}"));
        assert_eq!(shown, "6; 4", "{groups}");
    }
    let planned =
        bench.plan("SELECT sum(v) FROM g WHERE k = ? GROUP BY floor(c, ?) LIMIT ?").unwrap();
    let markers: Vec<_> =
        planned.markers.iter().map(|marker| marker.cql_type.to_string()).collect();
    assert_eq!(markers, ["int", "duration", "int"]);
    let half_an_hour = [&[0u8, 0][..], &[0xfb, 0x46, 0x30, 0xb8, 0xa0, 0x00][..]].concat();
    let (k, limit) = (1i32.to_be_bytes(), 9i32.to_be_bytes());
    let values = [&k[..], &half_an_hour, &limit].map(Bound::Bytes);
    let page = bench.page(&planned, &values, None, None, ReadBudget::UNLIMITED).unwrap();
    assert_eq!(page.rows, [["3"], ["3"], ["4"]]);
    for (groups, expected) in [
        ("floor(c, 1h), k", "must follow their order in the PRIMARY KEY"),
        ("k, floor(c, 1h), n", "a function as its last element only"),
        ("k, abs(n)", "only functions that keep the order"),
        ("k, floor(c, 1h, c)", "the function takes a clustering column, and literals or markers"),
        ("k, to_date(now())", "only functions that keep the order"),
        ("k, floor(c, 1h), floor(c, 1h)", "a function as its last element only"),
        ("k, v", "only columns of the primary key make groups"),
        ("k, n, floor(c, 1h)", "must follow their order in the PRIMARY KEY"),
        ("token(k)", "groups are made by columns, and by functions of clustering columns"),
        ("k, c + 1h", "only functions that keep the order"),
        ("floor(c, 1h)", "must follow their order in the PRIMARY KEY"),
        ("k, count(*)", "GROUP BY count: aggregates are of groups, and can't make them"),
    ] {
        let error = bench.error(&format!("SELECT sum(v) FROM g GROUP BY {groups}"));
        assert!(error.contains(expected), "{groups}: {error}");
    }
}

//! Tests of what the parser must never do: take more than linear time, or more stack than there is.

use crate::input::Trace;
use crate::limits::{MAX_ELEMENTS, MAX_NESTING, MAX_OPERATORS, MAX_RELATIONS};
use crate::{ParseError, parse_statement, parse_traced, split_statements};

/// Statements whose size grows with a number.
const GROWING: [fn(usize) -> String; 14] = [
    |n| format!("SELECT {} FROM t", vec!["(a + f(b)) * c AS x"; n].join(", ")),
    |n| format!("SELECT {} FROM t", vec!["(text) 'a'"; n].join(", ")),
    |n| format!("SELECT {} FROM t", vec!["(((((a)))))"; n].join(", ")),
    |n| format!("SELECT * FROM t WHERE a IN ({})", vec!["(1, (2), -3)"; n].join(", ")),
    |n| format!("SELECT * FROM t WHERE {}", vec!["(((a = (int) 1)))"; n].join(" AND ")),
    |n| format!("INSERT INTO t (a) VALUES ({{{}}})", vec!["{a: [1, {2: f(3)}]}"; n].join(", ")),
    |n| format!("UPDATE t SET {} WHERE k = 1", vec!["a = [1] + a, b = b - 1"; n].join(", ")),
    |n| {
        format!(
            "BEGIN BATCH {} APPLY BATCH",
            "DELETE a, b FROM t WHERE k = 1 IF exists = 2; ".repeat(n)
        )
    },
    |n| {
        format!(
            "CREATE TABLE t (k int PRIMARY KEY{})",
            ", a map<text, frozen<list<int>>>".repeat(n)
        )
    },
    |n| format!("SELECT {}", "(f(".repeat(n)),
    |n| format!("SELECT '{}", "''".repeat(n)),
    |n| format!("SELECT a /* {}", "* / ".repeat(n)),
    |n| format!("SELECT a {} FROM t", "/* b */ -- c\n".repeat(n)),
    |n| {
        format!(
            "GRANT SELECT ON FUNCTION f({}) TO r",
            vec!["frozen<tuple<int, ks.t>>"; n].join(", ")
        )
    },
];

fn steps(source: &str) -> u64 {
    let trace = Trace::default();
    let _ = parse_traced(source, 0..source.len(), &trace);
    trace.steps()
}

#[test]
fn lexer_steps_grow_with_the_text() {
    for (i, statement) in GROWING.iter().enumerate() {
        let (one, two) = (steps(&statement(200)), steps(&statement(400)));
        assert!(two <= one * 2 + 200, "statement {i}: {one} steps, then {two} for twice the text");
        assert!(one <= 40 * statement(200).len() as u64, "statement {i}: {one} steps");
    }
}

#[test]
fn nesting_is_refused_before_the_stack_ends() {
    const MIB: usize = 1 << 20;
    let heads = [
        "SELECT ",
        "SELECT a FROM t WHERE ",
        "SELECT a FROM t WHERE a = ",
        "INSERT INTO t (a) VALUES (",
        "SELECT f(a, ",
        "CREATE TABLE t (a ",
        "UPDATE t SET a = ",
        "SELECT a FROM t WHERE a IN ",
        "SELECT a FROM t WHERE (a, b) IN ",
    ];
    let marks = [
        "(", "[", "{", "f(", "frozen<", "- ", "(int) ", "CAST(", "{a: ", "{1: ", "a[", "list<",
        "(a = ",
    ];
    for head in heads {
        for mark in marks {
            let source = format!("{head}{}", mark.repeat(MIB / mark.len()));
            let error = parse_statement(&source).expect_err("an endless statement");
            assert!(error.to_string().len() < 500, "{head}{mark}: {error}");
        }
    }
}

#[test]
fn long_chains_are_refused() {
    for (head, link) in [
        ("SELECT a", " + a"),
        ("SELECT a", "[1]"),
        ("SELECT a", ".b"),
        ("UPDATE t SET a = 1", " * 1"),
    ] {
        let chain = |links: usize| format!("{head}{} FROM t", link.repeat(links));
        let error = parse_statement(&chain(1 << 18)).expect_err("an endless chain");
        assert!(error.to_string().contains("operators"), "{head}{link}: {error}");
    }
    let longest = format!("SELECT a{} FROM t", " + a".repeat(MAX_OPERATORS as usize));
    let parsed = parse_statement(&longest).expect("as many operators as may be");
    assert_eq!(parsed.to_string(), longest);

    // Elements beside each other do not add up, elements inside each other do.
    let list = format!("INSERT INTO t (a) VALUES ([{}])", vec!["1 + 2 + 3"; 10_000].join(", "));
    assert!(parse_statement(&list).is_ok());
    let left =
        format!("SELECT {}a{} FROM t", "(".repeat(50), " + 1 + 1 + 1 + 1 + 1 + 1)".repeat(50));
    assert_eq!(message(&left), "more than 256 operators in one expression");
}

#[test]
fn nesting_up_to_the_limit_is_accepted() {
    let nested = |depth: usize| {
        format!("INSERT INTO t (a) VALUES ({}1{})", "[".repeat(depth), "]".repeat(depth))
    };
    let most = usize::from(MAX_NESTING) - 1;
    assert!(parse_statement(&nested(most)).is_ok());
    let error = parse_statement(&nested(most + 1)).expect_err("too deep");
    assert_eq!(error.message.as_deref(), Some("nested more than 64 levels deep"));
}

fn message(source: &str) -> String {
    let error: Option<ParseError> = parse_statement(source).err();
    error.and_then(|error| error.message).unwrap_or_default()
}

#[test]
fn counts_are_limited() {
    let relations = |n: usize| format!("SELECT * FROM t WHERE {}", vec!["a = 1"; n].join(" AND "));
    assert!(parse_statement(&relations(MAX_RELATIONS)).is_ok());
    assert_eq!(message(&relations(MAX_RELATIONS + 1)), "more than 1000 relations");

    let values = |n: usize| format!("SELECT * FROM t WHERE a IN ({})", vec!["1"; n].join(","));
    assert!(parse_statement(&values(MAX_ELEMENTS)).is_ok());
    assert_eq!(message(&values(MAX_ELEMENTS + 1)), "more than 65535 values of IN");

    let list = |n: usize| format!("INSERT INTO t (a) VALUES ([{}])", vec!["1"; n].join(","));
    assert!(parse_statement(&list(MAX_ELEMENTS)).is_ok());
    assert_eq!(message(&list(MAX_ELEMENTS + 1)), "more than 65535 elements in a collection");
    for brackets in ["{1", "{1: 1"] {
        let entry = brackets.trim_start_matches('{');
        let literal =
            format!("INSERT INTO t (a) VALUES ({{{}}})", vec![entry; MAX_ELEMENTS + 1].join(","));
        assert_eq!(message(&literal), "more than 65535 elements in a collection");
    }

    let batch = |n: usize| format!("BEGIN BATCH {}APPLY BATCH", "DELETE FROM t;".repeat(n));
    assert!(parse_statement(&batch(65_535)).is_ok());
    assert_eq!(message(&batch(65_536)), "more than 65535 statements in a batch");

    let columns =
        |n: usize| format!("CREATE TABLE t (k int PRIMARY KEY{})", ",a int".repeat(n - 1));
    assert!(parse_statement(&columns(65_535)).is_ok());
    assert_eq!(message(&columns(65_536)), "more than 65535 columns");
}

#[test]
fn length_is_limited() {
    let text = |n: usize| format!("INSERT INTO t (a) VALUES ('{}')", "x".repeat(n));
    assert!(parse_statement(&text(16 << 20).replacen('x', "", 100)).is_ok());
    assert!(message(&text(16 << 20)).contains("is longer than 16777216"));
}

#[test]
fn splitting_takes_any_text() {
    for source in [
        "",
        ";",
        ";;;",
        "BEGIN",
        "BEGIN BATCH",
        "'",
        "\"",
        "$$",
        "/*",
        "\u{feff}",
        "é;",
        "APPLY BATCH;",
    ] {
        let split = split_statements(source);
        assert!(split.statements.iter().all(|span| source.get(span.clone()).is_some()), "{source}");
    }
}

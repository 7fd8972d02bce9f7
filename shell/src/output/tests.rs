//! Golden tests: one page of every kind of value in every format.

use tholos_grammar::types::{CqlType, Native};
use tholos_grammar::value::Value;

use super::*;

fn column(name: &str, ty: CqlType) -> ColumnSpec {
    ColumnSpec { keyspace: "k".into(), table: "t".into(), name: name.to_string(), column_type: ty }
}

fn encoded(ty: &CqlType, value: Option<Value>) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    value.map(|value| {
        value.encode(ty, &mut bytes).expect("a value of the type");
        bytes
    })
}

type Rows = Vec<Vec<Option<Vec<u8>>>>;

fn people() -> (Vec<ColumnSpec>, Rows) {
    let tags = CqlType::Set { element: Box::new(Native::Text.into()), frozen: false };
    let columns = vec![
        column("id", Native::Int.into()),
        column("name", Native::Text.into()),
        column("tags", tags),
    ];
    let row = |id: i32, name: Option<&str>, tags: Option<&[&str]>| {
        let name = name.map(|name| Value::Text(name.to_string()));
        let tags = tags.map(|tags| {
            Value::Set(tags.iter().map(|tag| Value::Text((*tag).to_string())).collect())
        });
        let values = [Some(Value::Int(id)), name, tags];
        columns
            .iter()
            .zip(values)
            .map(|(column, value)| encoded(&column.column_type, value))
            .collect::<Vec<_>>()
    };
    let rows = vec![
        row(1, Some("Ann"), Some(&["a", "it's"])),
        row(20, Some("李小龍"), None),
        row(-3, Some("two\nlines, \"q\" | *"), Some(&[])),
        row(4, Some("null"), None),
        row(5, None, None),
    ];
    (columns, rows)
}

fn rendered(format: Format) -> String {
    let (columns, rows) = people();
    whole(format, &columns, &rows)
}

fn whole(format: Format, columns: &[ColumnSpec], rows: &[Vec<Option<Vec<u8>>>]) -> String {
    let page = Page { columns, rows, rows_before: 0, is_first: true, is_last: true };
    render(format, &page, Style::default())
}

#[test]
fn table() {
    let expected = r#"
 id | name                | tags
----+---------------------+----------------
  1 | Ann                 | {'a', 'it''s'}
 20 | 李小龍              | null
 -3 | two\nlines, "q" | * | {}
  4 | 'null'              | null
  5 | null                | null
"#;
    assert_eq!(rendered(Format::Table), expected.trim_start_matches('\n'));
}

#[test]
fn expanded() {
    let expected = r#"
-[ row 1 ]--------------------
 id   | 1
 name | Ann
 tags | {'a', 'it''s'}
-[ row 2 ]--------------------
 id   | 20
 name | 李小龍
 tags | null
-[ row 3 ]--------------------
 id   | -3
 name | two\nlines, "q" | *
 tags | {}
-[ row 4 ]--------------------
 id   | 4
 name | 'null'
 tags | null
-[ row 5 ]--------------------
 id   | 5
 name | null
 tags | null
"#;
    assert_eq!(rendered(Format::Expanded), expected.trim_start_matches('\n'));
}

#[test]
fn csv() {
    let expected = "\
id,name,tags
1,Ann,\"{'a', 'it''s'}\"
20,李小龍,
-3,\"two
lines, \"\"q\"\" | *\",{}
4,null,
5,,
";
    assert_eq!(rendered(Format::Csv), expected);
}

#[test]
fn a_table_of_many_columns_has_long_lines() {
    let (mut columns, rows) = people();
    columns = columns.iter().cycle().take(201).cloned().collect();
    let row: Vec<_> = rows[0].iter().cycle().take(201).cloned().collect();
    let page =
        Page { columns: &columns, rows: &[row], rows_before: 0, is_first: true, is_last: true };
    let style = Style { width: Some(80), ..Style::default() };
    let text = render(Format::Table, &page, style);
    assert_eq!(text.lines().count(), 3);
    assert!(text.lines().all(|line| line.len() > 1000));
}

#[test]
fn csv_tells_an_empty_text_from_null_and_spares_terminals() {
    let (columns, _) = people();
    let row = vec![Some(vec![0, 0, 0, 1]), Some(b"".to_vec()), None];
    let red = vec![Some(vec![0, 0, 0, 2]), Some(b"\x1b[31m\nred".to_vec()), None];
    let rows = [row, red];
    let page =
        Page { columns: &columns, rows: &rows, rows_before: 0, is_first: true, is_last: true };
    let piped = render(Format::Csv, &page, Style::default());
    assert_eq!(piped, "id,name,tags\n1,\"\",\n2,\"\u{1b}[31m\nred\",\n");
    let shown = render(Format::Csv, &page, Style { is_terminal: true, ..Style::default() });
    assert_eq!(shown, "id,name,tags\n1,\"\",\n2,\"\\u{1b}[31m\nred\",\n");
}

#[test]
fn markdown() {
    let expected = r#"
| id | name | tags |
| ---: | --- | --- |
| 1 | Ann | {'a', 'it''s'} |
| 20 | 李小龍 | *null* |
| -3 | two<br>lines, "q" \| \* | {} |
| 4 | null | *null* |
| 5 | *null* | *null* |
"#;
    assert_eq!(rendered(Format::Markdown), expected.trim_start_matches('\n'));
}

#[test]
fn json() {
    let expected = r#"[
  {"id": 1, "name": "Ann", "tags": ["a", "it's"]},
  {"id": 20, "name": "李小龍", "tags": null},
  {"id": -3, "name": "two\nlines, \"q\" | *", "tags": []},
  {"id": 4, "name": "null", "tags": null},
  {"id": 5, "name": null, "tags": null}
]
"#;
    assert_eq!(rendered(Format::Json), expected);
}

#[test]
fn ndjson_is_an_object_a_line() {
    let lines = rendered(Format::Ndjson);
    assert_eq!(lines.lines().count(), 5);
    for line in lines.lines() {
        serde_json::from_str::<serde_json::Value>(line).expect("JSON");
    }
}

#[test]
fn pages_make_one_array_and_one_header() {
    let (columns, rows) = people();
    for (format, whole) in
        [(Format::Json, rendered(Format::Json)), (Format::Csv, rendered(Format::Csv))]
    {
        let mut text = String::new();
        for (start, end) in [(0, 2), (2, 2), (2, 5), (5, 5)] {
            let page = Page {
                columns: &columns,
                rows: &rows[start..end],
                rows_before: start,
                is_first: text.is_empty(),
                is_last: start == 5,
            };
            text.push_str(&render(format, &page, Style::default()));
        }
        assert_eq!(text, whole);
    }
}

#[test]
fn bytes_that_are_no_value_are_shown_as_such() {
    let columns = [column("n", Native::Int.into())];
    let text = whole(Format::Table, &columns, &[vec![Some(vec![1, 2])]]);
    assert!(text.contains("<0x0102: a value of type int takes"), "{text}");
}

#[test]
fn wide_tables_expand_if_told_and_wrap_otherwise() {
    let (columns, rows) = people();
    let page =
        Page { columns: &columns, rows: &rows, rows_before: 0, is_first: true, is_last: true };
    let narrow = Style { width: Some(30), ..Style::default() };
    let wide = Style { width: Some(80), ..Style::default() };
    let resolved = |expand, style| resolve(Format::Table, expand, &page, style);
    assert_eq!(resolved(Expand::Auto, narrow), Format::Expanded);
    assert_eq!(resolved(Expand::Auto, wide), Format::Table);
    assert_eq!(resolved(Expand::Auto, Style::default()), Format::Table);
    assert_eq!(resolved(Expand::On, wide), Format::Expanded);
    assert_eq!(resolve(Format::Csv, Expand::On, &page, wide), Format::Csv);
    let text = render(Format::Table, &page, narrow);
    assert!(text.lines().all(|line| unicode_width::UnicodeWidthStr::width(line) <= 30), "{text}");
}

#[test]
fn colours_only_where_they_are_wanted() {
    let (columns, rows) = people();
    let page =
        Page { columns: &columns, rows: &rows, rows_before: 0, is_first: true, is_last: true };
    for format in Format::ALL {
        assert!(!render(format, &page, Style::default()).contains('\u{1b}'), "{format:?}");
    }
    let colour = Style { colour: true, ..Style::default() };
    assert!(render(Format::Table, &page, colour).contains('\u{1b}'));
    assert!(render(Format::Expanded, &page, colour).contains('\u{1b}'));
    assert!(!render(Format::Json, &page, colour).contains('\u{1b}'));
}

/// As `ttl(l)` gives it, where some elements have none.
#[test]
fn a_list_of_a_result_may_have_nulls() {
    let ty = CqlType::List { element: Box::new(Native::Int.into()), frozen: true };
    let bytes = [&2i32.to_be_bytes()[..], &[0, 0, 0, 4, 0, 0, 0, 7], &[0xff; 4]].concat();
    let (columns, rows) = ([column("ttl(l)", ty)], [vec![Some(bytes)]]);
    for (format, expected) in [
        (Format::Csv, "ttl(l)\n\"[7, null]\"\n"),
        (Format::Ndjson, "{\"ttl(l)\": [7, null]}\n"),
        (Format::Table, " ttl(l)\n-----------\n [7, null]\n"),
    ] {
        assert_eq!(whole(format, &columns, &rows), expected, "{format:?}");
    }
}

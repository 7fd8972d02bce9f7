//! What is offered where.

use super::*;
use crate::catalogue::{Column, ColumnKind};

fn catalogue() -> Catalogue {
    use ColumnKind::{Clustering, PartitionKey, Regular};
    let columns = |columns: &[(&str, ColumnKind, &str)]| {
        let column = |(name, kind, ty): &(&str, ColumnKind, &str)| Column {
            name: (*name).to_string(),
            kind: *kind,
            position: 0,
            ty: (*ty).to_string(),
        };
        columns.iter().map(column).collect()
    };
    let orders = [
        ("customer", PartitionKey, "uuid"),
        ("id", Clustering, "int"),
        ("total", Regular, "decimal"),
    ];
    let shop = Keyspace {
        tables: [
            ("orders".to_string(), columns(&orders)),
            ("Items".to_string(), columns(&[("sku", PartitionKey, "text")])),
        ]
        .into(),
        types: vec!["address".to_string()],
        ..Keyspace::default()
    };
    let system = Keyspace {
        tables: [("local".to_string(), columns(&[("key", PartitionKey, "text")]))].into(),
        ..Keyspace::default()
    };
    Catalogue { keyspaces: [("shop".to_string(), shop), ("system".to_string(), system)].into() }
}

/// What is offered at the end of the text, by a session in keyspace `shop`.
fn offered(text: &str) -> Vec<String> {
    let catalogue = catalogue();
    let context = Context { catalogue: &catalogue, keyspace: Some("shop") };
    let (before, line) = text
        .rsplit_once('\n')
        .map_or(("", text), |(_, line)| (&text[..text.len() - line.len()], line));
    let (start, candidates) = complete(before, line, context);
    assert!(start <= line.len());
    candidates
}

#[test]
fn statements_begin_with_keywords() {
    assert_eq!(offered("sel"), ["select"]);
    assert_eq!(offered("TRU"), ["TRUNCATE"]);
    assert!(offered("").contains(&"HELP".to_string()));
    assert_eq!(offered("USE shop; SEL"), ["SELECT"]);
}

#[test]
fn tables_come_from_the_keyspace_in_use_or_named() {
    assert_eq!(offered("SELECT * FROM o"), ["orders"]);
    assert_eq!(offered("SELECT * FROM \"I"), ["\"Items\""]);
    assert_eq!(offered("SELECT * FROM sys"), ["system."]);
    assert_eq!(offered("SELECT * FROM system.l"), ["local"]);
    assert_eq!(offered("INSERT INTO ord"), ["orders"]);
    assert_eq!(offered("use s"), ["shop", "system"]);
}

#[test]
fn columns_come_from_the_statements_table() {
    assert_eq!(offered("SELECT * FROM orders WHERE c"), ["customer"]);
    assert!(offered("SELECT cus").contains(&"customer".to_string()));
    assert_eq!(offered("UPDATE shop.orders SET t"), ["total"]);
    assert_eq!(offered("SELECT * FROM orders\nWHERE customer = 1 AND i"), ["id"]);
    assert!(offered("SELECT * FROM system.local WHERE ").contains(&"key".to_string()));
}

#[test]
fn where_and_set_take_the_columns_that_the_key_allows() {
    let columns = |text: &str| {
        let mut found = offered(text);
        found.retain(|name| ["customer", "id", "total"].contains(&name.as_str()));
        found
    };
    assert_eq!(columns("SELECT * FROM orders WHERE "), ["customer"]);
    assert_eq!(columns("SELECT * FROM orders WHERE customer = 1 AND "), ["id"]);
    assert_eq!(columns("SELECT * FROM orders WHERE customer = 1 AND id > 1 AND "), ["id"]);
    assert_eq!(columns("UPDATE orders SET "), ["total"]);
    assert_eq!(columns("SELECT * FROM orders WHERE customer = 1 ORDER BY "), ["id"]);
    assert_eq!(columns("INSERT INTO orders ("), ["customer", "id", "total"]);
    assert_eq!(columns("SELECT "), ["customer", "id", "total"]);
}

#[test]
fn values_have_their_types_behind_the_cursor() {
    let catalogue = catalogue();
    let context = Context { catalogue: &catalogue, keyspace: Some("shop") };
    let hint = |line: &str| hint("", line, context);
    assert_eq!(hint("INSERT INTO orders (customer, id) VALUES ("), Some("<uuid>".to_string()));
    assert_eq!(
        hint("INSERT INTO shop.orders (customer, id) VALUES ((1, 2), "),
        Some("<int>".to_string())
    );
    for line in [
        "INSERT INTO orders (customer, id) VALUES (1",
        "INSERT INTO orders (customer, id) VALUES (1, 2, ",
        "INSERT INTO orders (customer, id) VALUES ([1, ",
        "SELECT ",
        "INSERT INTO typo (a) VALUES (",
    ] {
        assert_eq!(hint(line), None, "{line}");
    }
}

#[test]
fn maps_of_options_take_their_keys_and_classes() {
    assert_eq!(offered("CREATE KEYSPACE a WITH replication = "), ["{'"]);
    assert_eq!(offered("CREATE KEYSPACE a WITH replication = {'cl"), ["class': "]);
    assert_eq!(offered("CREATE KEYSPACE a WITH replication = {'class': 'Sim"), ["SimpleStrategy'"]);
    assert_eq!(
        offered("ALTER TABLE t WITH compaction = {'class':'ti"),
        ["TimeWindowCompactionStrategy'"]
    );
    assert_eq!(
        offered("ALTER TABLE t WITH compression = {'class': 'LZ4Compressor', 'chunk"),
        ["chunk_length_in_kb': "]
    );
    assert_eq!(offered("SELECT * FROM t WHERE a = {'cl"), [""; 0]);
}

#[test]
fn functions_are_offered_where_values_stand() {
    assert_eq!(offered("SELECT to_j"), ["to_json("]);
    assert_eq!(offered("INSERT INTO orders (customer) VALUES (uu"), ["uuid()"]);
    assert!(!offered("INSERT INTO orders (to_j").contains(&"to_json(".to_string()));
}

#[test]
fn names_that_need_quotes_are_found_without() {
    assert_eq!(offered("SELECT * FROM It"), ["\"Items\""]);
    assert_eq!(offered("SELECT * FROM it"), ["\"Items\""]);
}

#[test]
fn keywords_are_those_the_grammar_takes() {
    assert_eq!(offered("SELECT * FR"), ["FROM"]);
    assert_eq!(offered("select * from orders wh"), ["where"]);
    assert_eq!(offered("CREATE KEYSPACE a WITH rep"), ["replication"]);
    assert!(offered("CREATE TABLE t (a ti").contains(&"timestamp".to_string()));
    assert!(offered("CREATE TABLE t (a addr").contains(&"address".to_string()));
}

#[test]
fn nothing_is_offered_inside_texts_and_behind_mistakes() {
    assert_eq!(offered("SELECT 'sel"), [""; 0]);
    assert_eq!(offered("SELECT * FORM o"), [""; 0]);
    assert_eq!(offered("-- sel"), [""; 0]);
}

#[test]
fn commands_offer_their_arguments() {
    assert_eq!(offered("CONSISTENCY LOCAL_Q"), ["LOCAL_QUORUM"]);
    assert_eq!(offered("expand a"), ["auto"]);
    assert_eq!(offered("\\t"), ["\\timing"]);
    assert_eq!(offered("\\f nd"), ["ndjson"]);
}

#[test]
fn short_forms_take_names_too() {
    assert_eq!(offered("\\d ord"), ["orders"]);
    assert_eq!(offered("\\d system.l"), ["local"]);
    assert_eq!(offered("\\c sh"), ["shop"]);
    assert_eq!(offered("copy ord"), ["orders"]);
    assert_eq!(offered("COPY orders (cus"), ["customer"]);
    assert_eq!(offered("COPY orders (id) F"), ["FROM"]);
    assert_eq!(offered("COPY orders TO 'a' WITH hea"), ["header"]);
    assert_eq!(offered("COPY orders FROM 'src/copy/mo"), ["src/copy/mod.rs"]);
    let catalogue = catalogue();
    let context = Context { catalogue: &catalogue, keyspace: Some("shop") };
    assert_eq!(complete("", "\\d  ord", context).0, 4);
    assert_eq!(complete("", "\\d system.lo", context).0, 10);
}

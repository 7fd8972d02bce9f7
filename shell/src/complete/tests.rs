//! What is offered where.

use super::*;

fn catalogue() -> Catalogue {
    let columns = |names: &[&str]| names.iter().map(|name| (*name).to_string()).collect();
    let shop = Keyspace {
        tables: [
            ("orders".to_string(), columns(&["customer", "id", "total"])),
            ("Items".to_string(), columns(&["sku"])),
        ]
        .into(),
        types: vec!["address".to_string()],
        ..Keyspace::default()
    };
    let system = Keyspace {
        tables: [("local".to_string(), columns(&["key"]))].into(),
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
    assert_eq!(offered("SELECT * FROM orders\nWHERE i"), ["id"]);
    assert!(offered("SELECT * FROM system.local WHERE ").contains(&"key".to_string()));
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

use tholos_grammar::types::Native;
use uuid::Uuid;

use super::*;
use crate::schema::options::TableOptions;
use crate::schema::{ColumnKind, TableId};

fn keyspace() -> SchemaChange {
    SchemaChange::PutKeyspace {
        name: "k".into(),
        replication: BTreeMap::new(),
        durable_writes: true,
    }
}

fn user_type(name: &str, fields: &[CqlType]) -> Arc<UserType> {
    let fields = fields.iter().enumerate();
    let fields = fields.map(|(i, of)| (Name::from(format!("f{i}").as_str()), of.clone())).collect();
    Arc::new(UserType { keyspace: "k".into(), name: name.into(), fields })
}

fn udt(definition: &Arc<UserType>) -> CqlType {
    CqlType::Udt { definition: Arc::clone(definition), frozen: true }
}

fn table(value: CqlType) -> Arc<Table> {
    let column = |id, name: &str, cql_type, kind| Column {
        id,
        name: name.into(),
        cql_type,
        kind,
        descending: false,
    };
    Arc::new(Table {
        id: TableId(Uuid::from_u128(1)),
        keyspace: "k".into(),
        name: "t".into(),
        partition_key: vec![column(0, "p", Native::Int.into(), ColumnKind::PartitionKey)],
        clustering: vec![],
        statics: vec![],
        regulars: vec![column(1, "v", value, ColumnKind::Regular)],
        dropped: BTreeMap::new(),
        next_column_id: 2,
        options: TableOptions::default(),
    })
}

/// Applies what a record of the change says when it is read, if the types are within their limits.
fn put(schema: &Schema, change: SchemaChange) -> Result<Schema, SchemaError> {
    let after = schema.apply(&change)?;
    change.check_types(&after)?;
    let record = serde_json::to_vec(&change.by_name(&after)).unwrap();
    let read: SchemaChange = serde_json::from_slice(&record).unwrap();
    assert_eq!(schema.apply(&read).unwrap(), after);
    let whole = serde_json::to_vec(&after.by_name()).unwrap();
    let whole: Schema = serde_json::from_slice(&whole).unwrap();
    assert_eq!(whole.resolved().unwrap(), after);
    Ok(after)
}

fn newest(schema: &Schema, name: &str) -> CqlType {
    udt(&schema.keyspaces["k"].types[name])
}

/// A chain of types, each with `uses` fields of the one before; how many came before one was refused, and why.
fn chain(uses: usize) -> (usize, SchemaError) {
    let mut schema = put(&Schema::default(), keyspace()).unwrap();
    let mut field = CqlType::Native(Native::Int);
    for level in 0.. {
        let name = format!("t{level}");
        let definition = user_type(&name, &vec![field; uses]);
        match put(&schema, SchemaChange::PutType(definition)) {
            Ok(next) => schema = next,
            Err(error) => return (level, error),
        }
        field = newest(&schema, &name);
    }
    unreachable!()
}

#[test]
fn a_record_names_types_and_is_read_as_it_was() {
    let schema = put(&Schema::default(), keyspace()).unwrap();
    let inner = user_type("inner", &[Native::Int.into(), Native::Text.into()]);
    let schema = put(&schema, SchemaChange::PutType(inner)).unwrap();
    let outer = user_type("outer", &[newest(&schema, "inner"), newest(&schema, "inner")]);
    let schema = put(&schema, SchemaChange::PutType(outer)).unwrap();
    let list = CqlType::List { element: Box::new(newest(&schema, "outer")), frozen: false };
    let change = SchemaChange::PutTable(table(list));
    let text = serde_json::to_string(&change.by_name(&schema)).unwrap();
    assert!(text.contains("outer") && !text.contains("inner") && !text.contains("f0"), "{text}");
    put(&schema, change).unwrap();
}

#[test]
fn a_name_that_stands_for_nothing_is_refused() {
    let schema = put(&Schema::default(), keyspace()).unwrap();
    let stub = CqlType::Tuple(vec![udt(&user_type("gone", &[]))]);
    let change = SchemaChange::PutTable(table(stub));
    assert_eq!(schema.apply(&change), Err(SchemaError::NoType("k".into(), "gone".into())));
}

#[test]
fn levels_are_counted_through_user_types() {
    let (levels, error) = chain(1);
    assert_eq!(levels, MAX_TYPE_DEPTH);
    assert!(
        error.to_string().starts_with("type k.t32 is nested deeper than the 32 levels"),
        "{error}"
    );
    let schema = put(&Schema::default(), keyspace()).unwrap();
    let nested =
        |levels, inner: CqlType| (0..levels).fold(inner, |inner, _| CqlType::Tuple(vec![inner]));
    let deep = user_type("deep", &[nested(20, Native::Int.into())]);
    let schema = put(&schema, SchemaChange::PutType(deep)).unwrap();
    let fits = nested(11, newest(&schema, "deep"));
    put(&schema, SchemaChange::PutTable(table(fits))).unwrap();
    let too_deep = nested(12, newest(&schema, "deep"));
    let error = put(&schema, SchemaChange::PutTable(table(too_deep))).unwrap_err();
    assert!(error.to_string().starts_with("column v of table k.t is nested deeper"), "{error}");
}

#[test]
fn parts_are_counted_each_time_they_are_used() {
    let (levels, error) = chain(2);
    assert_eq!(levels, 12, "2^13 parts and one are too many");
    assert!(matches!(error, SchemaError::TooLarge(_)), "{error}");
}

#[test]
fn a_type_that_grows_is_refused_for_what_uses_it() {
    let mut schema = put(&Schema::default(), keyspace()).unwrap();
    for (name, fields) in [("a", 1), ("b", 90), ("c", 90)] {
        let field = match name {
            "a" => CqlType::Native(Native::Int),
            "b" => newest(&schema, "a"),
            _ => newest(&schema, "b"),
        };
        let definition = user_type(name, &vec![field; fields]);
        match put(&schema, SchemaChange::PutType(definition)) {
            Ok(next) => schema = next,
            Err(error) => {
                assert_eq!((name, error), ("c", SchemaError::TooLarge("type k.c".into())))
            }
        }
    }
    let c = user_type("c", &vec![newest(&schema, "b"); 40]);
    schema = put(&schema, SchemaChange::PutType(c)).unwrap();
    let more = user_type("a", &[Native::Int.into(), Native::Int.into()]);
    let error = put(&schema, SchemaChange::PutType(more)).unwrap_err();
    assert_eq!(error, SchemaError::TooLarge("type k.c".into()));
}

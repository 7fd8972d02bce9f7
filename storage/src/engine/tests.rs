//! What tables of an engine cost each other.

use tholos_grammar::types::Native;
use uuid::Uuid;

use super::*;
use crate::fs::memory::MemoryFs;
use crate::schema::options::TableOptions;
use crate::schema::{Column, ColumnKind, Table};

struct Still;

impl Clock for Still {
    fn now_micros(&self) -> i64 {
        0
    }
}

fn settings(number: u128) -> TableSettings {
    let key = Column {
        id: 0,
        name: "p".into(),
        cql_type: Native::Int.into(),
        kind: ColumnKind::PartitionKey,
        descending: false,
    };
    let table = Table {
        id: TableId(Uuid::from_u128(number)),
        keyspace: "k".into(),
        name: format!("t{number}").as_str().into(),
        partition_key: vec![key],
        clustering: Vec::new(),
        statics: Vec::new(),
        regulars: Vec::new(),
        dropped: std::collections::BTreeMap::new(),
        next_column_id: 1,
        options: TableOptions::default(),
    };
    TableSettings::from_schema(&table, true)
}

#[test]
fn a_table_comes_and_goes_without_a_copy_of_all_others() {
    let mut options = EngineOptions::new("/data");
    options.background = BackgroundDriver::Caller;
    options.shards = 1;
    let fs = Arc::new(MemoryFs::default());
    let engine = Engine::open(fs, Arc::new(Still), options, (0..500).map(settings)).unwrap();
    let before = engine.0.tables.load_full();
    let holders = || before.values().map(Arc::strong_count).sum::<usize>();
    assert_eq!(holders(), 500);
    engine.create_table(settings(1000)).unwrap();
    engine.drop_table(TableId(Uuid::from_u128(7))).unwrap();
    assert_eq!((before.size(), engine.0.tables.load().size()), (500, 500));
    // A copied map would hold each table once more.
    assert!(holders() < 510, "{} holders of 500 tables", holders());
}

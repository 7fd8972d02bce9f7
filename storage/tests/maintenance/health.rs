//! What an engine says of itself while the disk fails.

use tholos_storage::fs::faulty::{Failure, FaultyFs};

use crate::data::{ROWS, TABLE, mutation, open, values, write};

#[test]
fn a_full_disk_is_trouble_until_there_is_room() {
    let fs = FaultyFs::new();
    let engine = open(&fs).unwrap();
    write(&engine, TABLE, 1);
    assert_eq!(engine.trouble(), None);
    fs.fail_from(None, 0, Failure::Full);
    engine.flush(TABLE).unwrap_err();
    engine.background_step().unwrap_err();
    let trouble = engine.trouble().expect("flushes fail");
    assert!(trouble.contains("flushes fail") && trouble.contains("is full"), "{trouble}");
    assert_eq!(values(&engine, TABLE).unwrap().len(), ROWS, "reads go on");
    fs.heal();
    while engine.background_step().unwrap() {}
    assert_eq!(engine.trouble(), None);
}

#[test]
fn a_log_that_takes_nothing_is_trouble() {
    let fs = FaultyFs::new();
    let engine = open(&fs).unwrap();
    write(&engine, TABLE, 1);
    fs.fail_from(None, 0, Failure::Device);
    let mutation = mutation(TABLE, 0, 2);
    engine.apply(&mutation).unwrap();
    engine.sync_log().unwrap_err();
    let trouble = engine.trouble().expect("the log is fenced");
    assert!(trouble.contains("writes are stopped"), "{trouble}");
    fs.heal();
    assert!(engine.trouble().is_some(), "for good");
}

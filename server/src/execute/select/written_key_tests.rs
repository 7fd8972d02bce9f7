//! Forms of equal clustering values against a naive model: writes, deletions and what expires in every order, whatever was
//! flushed and compacted in between.

use std::sync::atomic::Ordering::Relaxed;

use proptest::collection::vec;
use proptest::prelude::*;
use tholos_storage::read::budget::ReadBudget;
use tholos_storage::schema::TableId;

use crate::testing::Bench;

/// Before what compaction takes for now: all that was deleted is old enough for it, if the table has no grace.
const WRITTEN_AT: i64 = -1000;
const READ_AT: i64 = 0;

/// Seconds after which a write is gone when it is read, and after which it is not.
const SHORT: u32 = 10;
const LONG: u32 = 100_000;

/// The number of a row, and how many zeros its two clustering columns are written with.
type Key = (usize, usize, usize);

#[derive(Clone, Debug)]
enum Step {
    Insert {
        key: Key,
        ttl: u32,
        value: Option<i32>,
    },
    Update {
        key: Key,
        ttl: u32,
        value: Option<i32>,
    },
    DeleteValue(Key),
    DeleteRow(Key),
    DeleteFrom(usize),
    DeletePartition,
    Static(Option<i32>),
    Flush,
    Compact,
    /// Every file whose bit is set.
    CompactSome(u64),
}

/// What a write left of a row.
#[derive(Clone, Debug)]
struct Write {
    at: i64,
    inserts: bool,
    expired: bool,
    value: Option<Option<i32>>,
    form: Option<(usize, usize)>,
}

#[derive(Default)]
struct Model {
    rows: [Vec<Write>; 3],
    /// When each row was deleted last, by whatever.
    deleted: [i64; 3],
    fixed: Vec<(i64, Option<i32>)>,
    partition_deleted: i64,
}

fn c((row, zeros, _): Key) -> String {
    format!("{row}.5{:0<zeros$}", "")
}

fn d((_, _, zeros): Key) -> String {
    format!("(1, 2.5{:0<zeros$})", "")
}

fn key(key: Key) -> String {
    format!("k = 1 AND c = {} AND d = {}", c(key), d(key))
}

fn text(value: Option<i32>) -> String {
    value.map_or("null".to_string(), |value| value.to_string())
}

impl Step {
    /// The statement, if it is one.
    fn cql(&self, at: i64) -> Option<String> {
        Some(match self {
            Step::Insert { key, ttl, value } => format!(
                "INSERT INTO f (k, c, d, v) VALUES (1, {}, {}, {}) USING TIMESTAMP {at} AND TTL {ttl}",
                c(*key),
                d(*key),
                text(*value)
            ),
            Step::Update { key: of, ttl, value } => format!(
                "UPDATE f USING TIMESTAMP {at} AND TTL {ttl} SET v = {} WHERE {}",
                text(*value),
                key(*of)
            ),
            Step::DeleteValue(of) => {
                format!("DELETE v FROM f USING TIMESTAMP {at} WHERE {}", key(*of))
            }
            Step::DeleteRow(of) => format!("DELETE FROM f USING TIMESTAMP {at} WHERE {}", key(*of)),
            Step::DeleteFrom(row) => {
                format!("DELETE FROM f USING TIMESTAMP {at} WHERE k = 1 AND c >= {row}.50")
            }
            Step::DeletePartition => format!("DELETE FROM f USING TIMESTAMP {at} WHERE k = 1"),
            Step::Static(value) => {
                format!("INSERT INTO f (k, s) VALUES (1, {}) USING TIMESTAMP {at}", text(*value))
            }
            Step::Flush | Step::Compact | Step::CompactSome(_) => return None,
        })
    }
}

impl Model {
    fn apply(&mut self, step: &Step, at: i64) {
        match *step {
            Step::Insert { key, ttl, value } => self.write(key, at, ttl, true, value),
            Step::Update { key, ttl, value } => self.write(key, at, ttl, false, value),
            Step::DeleteValue((row, ..)) => {
                let (value, form) = (Some(None), None);
                self.rows[row].push(Write { at, inserts: false, expired: false, value, form });
            }
            Step::DeleteRow((row, ..)) => self.delete(row..row + 1, at),
            Step::DeleteFrom(row) => self.delete(row..3, at),
            Step::DeletePartition => {
                self.delete(0..3, at);
                self.partition_deleted = self.partition_deleted.max(at);
            }
            Step::Static(value) => self.fixed.push((at, value)),
            Step::Flush | Step::Compact | Step::CompactSome(_) => {}
        }
    }

    fn write(&mut self, key: Key, at: i64, ttl: u32, inserts: bool, value: Option<i32>) {
        let (row, c, d) = key;
        // A value that is not there is a tombstone, which does not expire.
        let (value, form) = (Some(value), Some((c, d)));
        self.rows[row].push(Write { at, inserts, expired: ttl == SHORT, value, form });
    }

    fn delete(&mut self, rows: std::ops::Range<usize>, at: i64) {
        for deleted in &mut self.deleted[rows] {
            *deleted = at.max(*deleted);
        }
    }

    /// `c, d, s, v` of each row.
    fn shown(&self) -> Vec<Vec<String>> {
        let fixed = self.fixed.iter().filter(|(at, _)| *at > self.partition_deleted).max();
        let fixed = fixed.and_then(|(_, value)| *value);
        let mut shown = Vec::new();
        for (number, (row, deleted)) in self.rows.iter().zip(self.deleted).enumerate() {
            let latest = |of: fn(&Write) -> bool| {
                let left = row.iter().filter(|write| write.at > deleted && of(write));
                left.max_by_key(|write| write.at)
            };
            let value = latest(|write| write.value.is_some());
            let value =
                value.filter(|write| !write.expired).and_then(|write| write.value.flatten());
            let inserted = latest(|write| write.inserts).is_some_and(|write| !write.expired);
            if !inserted && value.is_none() {
                continue;
            }
            let form = latest(|write| write.form.is_some()).filter(|write| !write.expired);
            let (zeros_c, zeros_d) = form.and_then(|write| write.form).unwrap_or_default();
            let key = (number, zeros_c, zeros_d);
            shown.push(vec![c(key), d(key), text(fixed), text(value)]);
        }
        if shown.is_empty() && fixed.is_some() {
            shown.push(vec!["null".into(), "null".into(), text(fixed), "null".into()]);
        }
        shown
    }
}

fn steps() -> impl Strategy<Value = Step> {
    let key = || (0..3usize, 0..3usize, 0..2usize);
    let ttl = || prop_oneof![4 => Just(0u32), 1 => Just(SHORT), 1 => Just(LONG)];
    let value = || proptest::option::weighted(0.7, 0..9i32);
    prop_oneof![
        4 => (key(), ttl(), value()).prop_map(|(key, ttl, value)| Step::Insert { key, ttl, value }),
        6 => (key(), ttl(), value()).prop_map(|(key, ttl, value)| Step::Update { key, ttl, value }),
        2 => key().prop_map(Step::DeleteValue),
        1 => key().prop_map(Step::DeleteRow),
        1 => (0..3usize).prop_map(Step::DeleteFrom),
        1 => Just(Step::DeletePartition),
        1 => proptest::option::of(0..9i32).prop_map(Step::Static),
        3 => Just(Step::Flush),
        1 => Just(Step::Compact),
        2 => any::<u64>().prop_map(Step::CompactSome),
    ]
}

fn compact_some(bench: &Bench, table: TableId, mask: u64) {
    let files = bench.engine().sstables();
    let some: Vec<_> = files
        .iter()
        .enumerate()
        .filter(|(place, _)| mask >> (place % 64) & 1 == 1)
        .map(|(_, file)| file.file.number)
        .collect();
    bench.engine().compact_files(table, &some).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Rows look as they were written last, before and after everything that storage does.
    #[test]
    fn forms_are_those_written_last(steps in vec((steps(), 0..6i64), 1..40), grace in any::<bool>()) {
        let mut bench = Bench::new();
        let grace_seconds = if grace { 864_000 } else { 0 };
        bench.run(&format!(
            "CREATE TABLE f (k int, c decimal, d tuple<int, decimal>, s int STATIC, v int, PRIMARY KEY (k, c, d))
             WITH gc_grace_seconds = {grace_seconds}"
        ));
        let table = bench.catalogue.keyspace("ks").unwrap().tables["f"].id;
        let mut model = Model::default();
        for (now, (step, late)) in (1i64..).zip(&steps) {
            // Without grace, nothing may come after what deletes it was forgotten.
            let at = (100 + now - if grace { *late } else { 0 }) * 64 + now;
            bench.now.store(WRITTEN_AT, Relaxed);
            match (step, step.cql(at)) {
                (_, Some(cql)) => bench.run(&cql),
                (Step::Flush, _) => bench.engine().flush(table).unwrap(),
                (Step::CompactSome(mask), _) => compact_some(&bench, table, *mask),
                _ => bench.engine().compact(table).unwrap(),
            }
            model.apply(step, at);
            bench.now.store(READ_AT, Relaxed);
            let expected = model.shown();
            prop_assert_eq!(&bench.select("SELECT c, d, s, v FROM f"), &expected, "{:?}", step);
        }
        let mut expected = model.shown();
        for row in &expected {
            if row[0] != "null" {
                let point = format!("SELECT c, d, s, v FROM f WHERE k = 1 AND c = {} AND d = (1, 2.500)", row[0]);
                prop_assert_eq!(bench.select(&point), std::slice::from_ref(row));
            }
        }
        prop_assert_eq!(&bench.paged("SELECT c, d, s, v FROM f", 1, ReadBudget::UNLIMITED), &expected);
        expected.reverse();
        prop_assert_eq!(&bench.select("SELECT c, d, s, v FROM f WHERE k = 1 ORDER BY c DESC"), &expected);
    }
}

/// Counters have keys as other tables do.
#[test]
fn counters_look_as_they_were_counted_last() {
    let mut bench = Bench::new();
    bench.run("CREATE TABLE n (k int, c decimal, v counter, PRIMARY KEY (k, c))");
    for (now, c) in (1i64..).zip(["1.50", "1.500", "1.5"]) {
        bench.now.store(now, Relaxed);
        bench.run(&format!("UPDATE n SET v = v + 1 WHERE k = 1 AND c = {c}"));
        assert_eq!(bench.show("SELECT c, v FROM n"), format!("{c} {now}"));
    }
}

/// What compaction forgets of a row takes none of the forms of its key, however many there are.
#[test]
fn every_form_of_a_key_outlives_a_compaction() {
    let mut bench = Bench::new();
    bench.now.store(WRITTEN_AT, Relaxed);
    bench.run(
        "CREATE TABLE f (k int, c decimal, d decimal, e decimal, v int, w int, PRIMARY KEY (k, c, d, e))
         WITH gc_grace_seconds = 0;
         DELETE FROM f USING TIMESTAMP 1 WHERE k = 1 AND c = 1 AND d = 1 AND e = 1;
         UPDATE f USING TIMESTAMP 2 SET v = 1, w = null WHERE k = 1 AND c = 1.0 AND d = 1.00 AND e = 1.000",
    );
    let table = bench.catalogue.keyspace("ks").unwrap().tables["f"].id;
    bench.engine().flush(table).unwrap();
    bench.engine().compact(table).unwrap();
    assert_eq!(bench.show("SELECT c, d, e, v FROM f"), "1.0 1.00 1.000 1");
}

/// How a key was written is forgotten with all else of its row, also where a column was dropped.
#[test]
fn nothing_is_left_of_rows_that_are_gone() {
    let mut bench = Bench::new();
    bench.now.store(WRITTEN_AT, Relaxed);
    bench.run(
        "CREATE TABLE f (k int, c decimal, v int, w int, PRIMARY KEY (k, c)) WITH gc_grace_seconds = 0;
         UPDATE f USING TIMESTAMP 1 SET v = 1 WHERE k = 1 AND c = 1.50;
         UPDATE f USING TIMESTAMP 2 SET v = null WHERE k = 1 AND c = 1.500;
         UPDATE f USING TIMESTAMP 1 SET v = 1 WHERE k = 2 AND c = 1.50;
         DELETE v FROM f USING TIMESTAMP 2 WHERE k = 2 AND c = 1.500;
         UPDATE f USING TIMESTAMP 1 AND TTL 10 SET v = 1 WHERE k = 3 AND c = 1.50;
         INSERT INTO f (k, c) VALUES (4, 1.50) USING TIMESTAMP 1 AND TTL 10;
         UPDATE f USING TIMESTAMP 1 SET w = 1 WHERE k = 5 AND c = 1.50;
         ALTER TABLE f DROP w",
    );
    let table = bench.catalogue.keyspace("ks").unwrap().tables["f"].id;
    bench.now.store(WRITTEN_AT + 1_000, Relaxed);
    bench.engine().compact(table).unwrap();
    assert_eq!(bench.engine().sstables().len(), 0);
}

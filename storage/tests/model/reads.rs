//! Reading an engine in every way there is, and comparing with the model.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use tholos_storage::model::Row;
use tholos_storage::model::entry::Direction;
use tholos_storage::model::position;
use tholos_storage::read::live::ReadBudget;
use tholos_storage::schema::TableId;
use tholos_storage::sstable::{BlockCache, SsTable};

use crate::database::{Model, Seen};
use crate::engine::{AHEAD, Bench, GC_GRACE, Outcome, Violation, name, slot};
use crate::history::Read;
use crate::observe::{entries, live, point};
use crate::purge::{purged, without_expired};

/// Keys and rows.
pub(crate) type Rows = Vec<(Vec<u8>, Row)>;

/// That what was read is what should be.
fn equal<T: PartialEq + Debug>(found: &T, expected: &T, what: impl Debug) -> Outcome {
    if found == expected {
        return Ok(());
    }
    Err(Violation(format!("{what:?}: read\n  {found:?}\ninstead of\n  {expected:?}")))
}

impl Bench {
    fn model(&self, table: TableId) -> &Model {
        &self.tables[slot(table)].model
    }

    fn slice(
        &self,
        table: TableId,
        lower: &[u8],
        upper: &[u8],
        direction: Direction,
        now: i64,
    ) -> Result<Rows, Violation> {
        let rows = self.engine().table(self.id(table))?.scan(lower, upper, direction, now)?;
        Ok(live(rows, direction, now)?)
    }

    /// What a reader sees of a table at each of the times from now on.
    pub(crate) fn seen_ahead(&self, table: TableId) -> Result<Vec<Rows>, Violation> {
        let now = self.now();
        let seen = |at| self.slice(table, &[], &[], Direction::Forward, at);
        (now..now + AHEAD).map(seen).collect()
    }

    /// Whether a model would have shown that.
    pub(crate) fn is_as(&self, model: &Model, seen: &[Rows]) -> bool {
        (self.now()..).zip(seen).all(|(at, seen)| *seen == model.live(&[], &[], at))
    }

    /// The whole table, both ways, now and later.
    pub(crate) fn check(&self, table: TableId) -> Outcome {
        let now = self.now();
        for at in [now, now + 1, now + 4] {
            let expected = self.model(table).live(&[], &[], at);
            for direction in [Direction::Forward, Direction::Reverse] {
                let found = self.slice(table, &[], &[], direction, at)?;
                equal(&found, &expected, (direction, at))?;
            }
        }
        Ok(())
    }

    pub(crate) fn check_read(&self, table: TableId, ahead: i64, read: &Read) -> Outcome {
        let now = self.now() + ahead;
        let model = self.model(table);
        match read {
            Read::Slice(lower, upper, direction) => {
                let found = self.slice(table, lower, upper, *direction, now)?;
                equal(&found, &model.live(lower, upper, now), read)
            }
            Read::Pages(lower, upper, direction, entries) => {
                let found = self.pages(table, (lower, upper), *direction, now, *entries)?;
                equal(&found, &model.live(lower, upper, now), read)
            }
            Read::Partition(partition, lower, upper, direction) => {
                let lower = [&partition[..], lower].concat();
                let upper = [&partition[..], upper].concat();
                let store = self.engine().table(self.id(table))?;
                let len = partition.len();
                let rows = store.scan_partition(len, &lower, &upper, *direction, now)?;
                equal(&live(rows, *direction, now)?, &model.live(&lower, &upper, now), read)
            }
            Read::Point(partition, position, columns) => {
                self.check_point(table, (partition, position), columns.as_deref(), now)
            }
            Read::Distinct(direction) => {
                let found = self.partitions(table, *direction, now)?;
                let mut expected: Vec<Vec<u8>> = model.live_partitions(now);
                if *direction == Direction::Reverse {
                    expected.reverse();
                }
                equal(&found, &expected, read)
            }
        }
    }

    fn pages(
        &self,
        table: TableId,
        (lower, upper): (&[u8], &[u8]),
        direction: Direction,
        now: i64,
        entries: u64,
    ) -> Result<Rows, Violation> {
        let (mut lower, mut upper) = (lower.to_vec(), upper.to_vec());
        let mut pages = Vec::new();
        loop {
            let mut page =
                self.engine().table(self.id(table))?.scan(&lower, &upper, direction, now)?;
            page.set_budget(ReadBudget { entries, ..ReadBudget::UNLIMITED });
            let mut rows = Vec::new();
            while let Some(row) = page.next()? {
                rows.push((row.key.to_vec(), crate::observe::seen_row(&row, now)?));
            }
            if page.walked().entries > entries {
                return Err(Violation("a page went on beyond its budget".into()));
            }
            pages.extend(rows);
            match (page.resume_at(), direction) {
                (None, _) => break,
                (Some(at), Direction::Forward) => lower = at.to_vec(),
                (Some(at), Direction::Reverse) => upper = at.to_vec(),
            }
        }
        if direction == Direction::Reverse {
            pages.reverse();
        }
        Ok(pages)
    }

    fn check_point(
        &self,
        table: TableId,
        (partition, position): (&[u8], &[u8]),
        columns: Option<&[u32]>,
        now: i64,
    ) -> Outcome {
        let key = [partition, position].concat();
        let after = [&key[..], &[0]].concat();
        let mut expected = self.model(table).live(&key, &after, now).pop().map(|(_, row)| row);
        let store = self.engine().table(self.id(table))?;
        let Some(columns) = columns else {
            let found = point(store.row(&key, partition.len(), now)?, now);
            return equal(&found, &expected, (key, now));
        };
        let mut found = point(store.row_columns(&key, partition.len(), columns, now)?, now);
        for row in [&mut found, &mut expected].into_iter().flatten() {
            row.columns.retain(|(column, _)| columns.contains(column));
            row.liveness = None;
        }
        equal(&found, &expected, (key, columns, now))
    }

    /// Walks from partition to partition, reading one row of each, as SELECT DISTINCT does.
    fn partitions(
        &self,
        table: TableId,
        direction: Direction,
        now: i64,
    ) -> Result<Vec<Vec<u8>>, Violation> {
        let (mut lower, mut upper) = (vec![], vec![]);
        let mut found = Vec::new();
        loop {
            let mut rows =
                self.engine().table(self.id(table))?.scan(&lower, &upper, direction, now)?;
            let Some(row) = rows.next()? else { return Ok(found) };
            let partition = row.partition().to_vec();
            match direction {
                Direction::Forward => lower = [&partition[..], &[0xff]].concat(),
                Direction::Reverse => upper = [&partition[..], &[position::HEADER]].concat(),
            }
            found.push(partition);
        }
    }

    /// After a compaction of everything, the files hold just what the rules leave: nothing more (M5), and that in its
    /// one form (M7).
    pub(crate) fn check_compacted(&self, table: TableId) -> Outcome {
        let mut found: Vec<Seen> = Vec::new();
        for number in self.file_numbers(table) {
            let dir = format!("/data/data/ks/{}-{}", name(table), self.id(table).0.simple());
            let path = PathBuf::from(dir).join(format!("{number}.sst"));
            let cache = Arc::new(BlockCache::new(1 << 16));
            let file = SsTable::new(Arc::new(self.fs.clone()), path, cache);
            file.verify()?;
            found.extend(entries(&mut file.cursor(&[], None, Direction::Forward)?)?);
        }
        found.sort_by(|a, b| a.key().cmp(b.key()));
        let now = self.now();
        let expected = purged(self.model(table).stream(), now, now - GC_GRACE);
        let open = self.model(table).open_ties();
        let without_open = |stream| without_expired(stream, &open, now);
        equal(&without_open(found), &without_open(expected), "compacted")
    }
}

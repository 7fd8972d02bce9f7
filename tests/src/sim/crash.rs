//! Crashes, and finding out what they left.
//!
//! Of each table's writes since the last sync a beginning survives: the log keeps their order, and so does a flush. Of one
//! statement, partitions of one table may survive each by itself. What is read after the crash says which it was:
//!
//! ```text
//! durable: {}      pending: INSERT 1 | INSERT 2 | DELETE 1
//! read {1, 2}: the first two survived      read {2}: all three did, or the partition says otherwise: a violation
//! ```
//!
//! Where two of these read the same but are not (a tombstone that hides nothing), a deletion of the partition makes them so.

use tholos_grammar::consistency::Consistency;
use tholos_storage::fs::faulty::Crash;

use super::client::{Form, RowBytes};
use super::model::{Content, Mutation};
use super::schema::Ddl;
use super::select::{Select, show};
use super::world::{Known, Outcome, Trouble, World, shown, violation};
use super::write::{Action, Write};

/// Steps of background work that a crash may come in, at most.
const STEPS: u64 = 3;

/// What is under way when a crash comes.
enum UnderWay {
    /// Nothing that clients would notice.
    Nothing,
    /// A change of the schema.
    Change(Ddl),
}

impl World {
    /// The machine loses power.
    pub fn crash(&mut self) -> Outcome {
        let kind = self.any_crash();
        self.faults += 1;
        self.note(format!("crash: {kind:?}"));
        let fs = self.fs.crash(kind);
        self.restart_on(fs)?;
        self.resolve(None)
    }

    /// The machine loses power in the middle of something, after any of the calls that change the disk.
    pub fn crash_within(&mut self) -> Outcome {
        if self.tables.iter().flatten().any(|known| !known.pending.is_empty())
            && self.random.percent(50)
        {
            self.sync()?;
        }
        self.fs.forget_record();
        let under_way = self.begin_something()?;
        let (recorded, kind) = (self.fs.recorded(), self.any_crash());
        let at = self.random.below(recorded as u64 + 1) as usize;
        self.faults += 1;
        self.note(format!("crash after {at} of {recorded} calls of the last steps: {kind:?}"));
        let fs = self.fs.crash_at(at, kind);
        self.restart_on(fs)?;
        let mut truncated = None;
        if let UnderWay::Change(ddl) = under_way {
            match ddl {
                Ddl::Truncate(number) => truncated = Some(number),
                ddl => self.settle_change(&ddl)?,
            }
        }
        self.resolve(truncated)
    }

    /// Does something that nobody hears the end of. Nothing of it counts as durable.
    fn begin_something(&mut self) -> Outcome<UnderWay> {
        match self.random.weighted(&[30, 20, 25, 8, 17]) {
            0 => {
                for _ in 0..=self.random.below(3) {
                    self.write()?;
                }
                let synced = self.node().engine().sync_log();
                self.note(format!("sync under way: {}", shown(&synced)));
            }
            1 => {
                self.batch()?;
                let synced = self.node().engine().sync_log();
                self.note(format!("sync under way: {}", shown(&synced)));
            }
            2 => {
                for _ in 0..=self.random.below(STEPS) {
                    self.background()?;
                }
            }
            3 => {
                let closed = self.node().close();
                self.note(format!("close under way: {}", shown(&closed)));
            }
            _ => {
                // So that it is plain what the change found.
                self.sync()?;
                self.fs.forget_record();
                let Some(ddl) = self.any_change() else { return Ok(UnderWay::Nothing) };
                self.change_unseen(&ddl)?;
                return Ok(UnderWay::Change(ddl));
            }
        }
        Ok(UnderWay::Nothing)
    }

    /// The process is stopped as it should be, or killed; the machine lives on.
    pub fn restart(&mut self) -> Outcome {
        let ends_well = self.random.percent(50);
        if ends_well {
            let closed = self.node().close();
            self.note(format!("close: {}", shown(&closed)));
            match closed {
                Ok(()) => self.tables.iter_mut().flatten().for_each(Known::settle),
                Err(error) => return violation(format!("the node does not close: {error}")),
            }
        } else {
            self.faults += 1;
            self.note("killed".to_string());
        }
        let fs = self.fs.crash(Crash::KeepAll);
        self.restart_on(fs)?;
        self.resolve(None)
    }

    /// The disk begins to make trouble.
    pub fn begin_trouble(&mut self) {
        use tholos_storage::fs::faulty::{Failure, Operation};

        let turns = 1 + self.random.below(8) as u32;
        self.faults += 1;
        if self.random.percent(40) {
            let room = self.random.below(6_000);
            self.fs.fill_up(room);
            self.note(format!("the disk is full but for {room} bytes"));
            self.trouble = Some((Trouble::Full, turns));
            return;
        }
        let operations = [
            Operation::Read,
            Operation::Write,
            Operation::Sync,
            Operation::Create,
            Operation::SyncDir,
            Operation::Open,
            Operation::Remove,
            Operation::SetLen,
        ];
        let operation = (!self.random.percent(30)).then(|| *self.random.pick(&operations));
        let after = self.random.below(4);
        match self.random.percent(30) {
            true => self.fs.fail_from(operation, after, Failure::Device),
            false => self.fs.fail(operation, after, Failure::Device),
        }
        self.note(format!("calls fail: {operation:?} after {after}"));
        self.trouble = Some((Trouble::Failing, turns));
    }

    /// The disk is mended. What it did may have to be mended by a restart.
    pub fn end_trouble(&mut self) -> Outcome {
        let failed = !self.fs.is_sound();
        self.fs.heal();
        self.note("the disk is mended".to_string());
        let Some((trouble, _)) = self.trouble else { return Ok(()) };
        if trouble == Trouble::Full {
            // Once there is room the log goes on by itself.
            self.trouble = None;
            self.sync()?;
            return Ok(());
        }
        let synced = !failed && self.sync()?;
        self.trouble = None;
        if synced { Ok(()) } else { self.crash() }
    }

    /// Finds out which writes survived, and goes on from there. A table that was being truncated may be empty.
    fn resolve(&mut self, truncated: Option<usize>) -> Outcome {
        for number in self.numbers() {
            self.resolve_table(number, truncated == Some(number))?;
        }
        self.sync()?;
        self.check()
    }

    fn resolve_table(&mut self, number: usize, may_be_empty: bool) -> Outcome {
        let Some(known) = self.tables[number].clone() else { return Ok(()) };
        let select = Select::everything(&known.table);
        let Some((found, now)) = self.read_at_all(number, &select)? else { return Ok(()) };
        let reads_so = |content: &Content| {
            let rows = select.rest(&known.table, content, now, None, 0);
            rows.len() == found.len() && rows.iter().zip(&found).all(|((_, a), b)| a == b)
        };
        let mut candidates = candidates(&known);
        if may_be_empty {
            candidates.push(Content::default());
        }
        candidates.retain(reads_so);
        candidates.dedup();
        let Some(content) = candidates.last().cloned() else {
            return violation(format!(
                "after a crash {} reads {}\n  which is no beginning of what was written: durable {}\n  pending {:?}",
                known.table.name,
                show(&found),
                show(&rows(&select, &known, &known.durable, now)),
                known.pending
            ));
        };
        let known = self.tables[number].as_mut().expect("it was there");
        (known.current, known.durable) = (content.clone(), content);
        let pending = std::mem::take(&mut known.pending);
        if candidates.len() > 1 && !known.table.is_counter() {
            self.wipe(number, &pending)?;
        }
        Ok(())
    }

    fn read_at_all(
        &mut self,
        number: usize,
        select: &Select,
    ) -> Outcome<Option<(Vec<RowBytes>, i64)>> {
        for _ in 0..100 {
            if let Some(((rows, _), now)) = self.page(number, select, Form::Plain, None, None)? {
                return Ok(Some((rows, now)));
            }
        }
        Ok(None)
    }

    /// Deletes the partitions that may be one or the other.
    fn wipe(&mut self, number: usize, pending: &[(i64, Mutation)]) -> Outcome {
        let mut partitions: Vec<_> = pending.iter().map(|(_, m)| m.partition.clone()).collect();
        partitions.sort();
        partitions.dedup();
        for partition in partitions {
            let action = Action::DeletePartition;
            let write = Write { table: number, partition, action, timestamp: None, ttl: None };
            let Some(known) = &self.tables[number] else { return Ok(()) };
            let text = write.text(&known.table);
            if let Some(moment) = self.run(&text, Form::Plain, Consistency::One)?
                && let Some(known) = &mut self.tables[number]
            {
                let mutation = write.mutation(&known.table, moment);
                known.write(moment.number, mutation);
            }
        }
        Ok(())
    }
}

fn rows(select: &Select, known: &Known, content: &Content, now: i64) -> Vec<RowBytes> {
    select.rest(&known.table, content, now, None, 0).into_iter().map(|(_, row)| row).collect()
}

/// What a crash may have left of a table: what is durable, and a beginning of the rest.
fn candidates(known: &Known) -> Vec<Content> {
    let mut before = known.durable.clone();
    let mut found = vec![before.clone()];
    for statement in known.pending.chunk_by(|a, b| a.0 == b.0) {
        // Any of its partitions, with all of what came before.
        for chosen in 1_u32..1 << statement.len() {
            let mut content = before.clone();
            for (i, (_, mutation)) in statement.iter().enumerate() {
                if chosen >> i & 1 == 1 {
                    content.apply(mutation);
                }
            }
            found.push(content);
        }
        statement.iter().for_each(|(_, mutation)| before.apply(mutation));
    }
    found
}

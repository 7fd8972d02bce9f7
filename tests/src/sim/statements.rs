//! Statements that clients send, and what their answers must be.

use tholos_grammar::consistency::Consistency;
use tholos_grammar::protocol::request::batch::BatchKind;
use tholos_server::error::QueryError;
use tholos_server::halt::{Halt, PutOff};

use super::client::{Answer, Asked, Form, RowBytes};
use super::generate;
use super::model::Mutation;
use super::select::{Place, Select, show};
use super::text::Text;
use super::world::{Outcome, World, violation};
use super::write::{Moment, Write};

/// Levels that one node of one replica fulfils.
const LEVELS: &[Consistency] = &[
    Consistency::One,
    Consistency::One,
    Consistency::LocalOne,
    Consistency::Quorum,
    Consistency::LocalQuorum,
    Consistency::All,
];
/// Steps of background work that a writer waits for, before it is a violation that there is no room.
const PATIENCE: usize = 100;

/// A page, and where the next one begins.
type Page = (Vec<RowBytes>, Option<Vec<u8>>);

impl World {
    fn level(&mut self) -> Consistency {
        match self.random.percent(2) {
            true => Consistency::Two,
            false => *self.random.pick(LEVELS),
        }
    }

    fn form(&mut self) -> Form {
        [Form::Plain, Form::Bound, Form::Prepared][self.random.weighted(&[30, 15, 55])]
    }

    /// Numbers of the tables that are there.
    pub fn numbers(&self) -> Vec<usize> {
        let there = |number: &usize| self.tables[*number].is_some();
        (0..self.tables.len()).filter(there).collect()
    }

    /// Sends one statement as it is. `Err` is what the node says, not a violation.
    fn send(&mut self, text: &Text, form: Form, asked: &Asked) -> (Result<Answer, Halt>, Moment) {
        let client = self.random.below(self.clients.len() as u64) as usize;
        let age = self.age;
        let cold = self.clients[client].cold;
        let answer = self.clients[client].statement(text, form, asked, age);
        self.faults += self.clients[client].cold - cold;
        (answer, self.moment(client))
    }

    fn moment(&self, client: usize) -> Moment {
        let timestamp = self.clients[client].began;
        let now = timestamp.div_euclid(1_000_000);
        Moment { timestamp, now, number: self.statements as i64, place: 0 }
    }

    /// Sends a statement that is to be carried out: waits for room.
    pub fn run(
        &mut self,
        text: &Text,
        form: Form,
        consistency: Consistency,
    ) -> Outcome<Option<Moment>> {
        self.statements += 1;
        let asked = Asked { consistency, page_size: None, from: None };
        for _ in 0..PATIENCE {
            let (answer, moment) = self.send(text, form, &asked);
            self.note_answer(&text.plain, form, consistency, &answer);
            if let Some(done) = self.written(&text.plain, consistency, answer)? {
                return Ok(done.then_some(moment));
            }
        }
        violation(format!("there is no room for {}", text.plain))
    }

    /// Whether a write was done; none, if there was no room and background work was done instead.
    fn written(
        &mut self,
        what: &str,
        consistency: Consistency,
        answer: Result<Answer, Halt>,
    ) -> Outcome<Option<bool>> {
        match answer {
            Ok(_) if consistency == Consistency::Two => {
                violation(format!("TWO of one replica were enough for {what}"))
            }
            Ok(Answer::Rows(..)) => violation(format!("rows for {what}")),
            Ok(_) => Ok(Some(true)),
            Err(Halt::Failed(QueryError::Unavailable { required: 2, alive: 1, .. }))
                if consistency == Consistency::Two =>
            {
                Ok(Some(false))
            }
            Err(Halt::PutOff(PutOff::NoRoom)) => {
                self.faults += 1;
                match self.background()? {
                    false if self.trouble.is_some() || self.is_halfway => Ok(Some(false)),
                    _ => Ok(None),
                }
            }
            Err(Halt::Failed(QueryError::Storage(_))) if self.trouble.is_some() => Ok(Some(false)),
            Err(halt) => violation(format!("{what}: {}", halt.refused())),
        }
    }

    fn note_answer(
        &mut self,
        what: &str,
        form: Form,
        level: Consistency,
        answer: &Result<Answer, Halt>,
    ) {
        let answer = match answer {
            Ok(Answer::Written) => "written".to_string(),
            Ok(Answer::Done) => "done".to_string(),
            Ok(Answer::Rows(rows, state)) => {
                let more = if state.is_some() { " and more" } else { "" };
                format!("{} rows{more} {}", rows.len(), show(rows))
            }
            Err(Halt::Failed(error)) => format!("refused: {error}"),
            Err(Halt::PutOff(why)) => format!("refused: {}", why.refused()),
        };
        self.note(format!("{form:?} {level} {what} => {answer}"));
    }

    /// A client writes.
    pub fn write(&mut self) -> Outcome {
        let Some(number) = self.any_table() else { return Ok(()) };
        let now = now_micros(self);
        let Some(known) = &self.tables[number] else { return Ok(()) };
        let write = generate::write(&mut self.random, number, &known.table, now);
        let text = write.text(&known.table);
        let (form, level) = (self.form(), self.level());
        if let Some(moment) = self.run(&text, form, level)? {
            self.apply(&[write], moment);
        }
        Ok(())
    }

    /// One of the tables that are there.
    pub fn any_table(&mut self) -> Option<usize> {
        let numbers = self.numbers();
        (!numbers.is_empty()).then(|| *self.random.pick(&numbers))
    }

    /// Writes of one statement were done. What they do to one partition happens whole.
    fn apply(&mut self, writes: &[Write], moment: Moment) {
        let mut mutations: Vec<(usize, Mutation)> = Vec::new();
        for (place, write) in writes.iter().enumerate() {
            let moment = Moment { place: place as i64, ..moment };
            let Some(known) = &self.tables[write.table] else { continue };
            let mutation = write.mutation(&known.table, moment);
            let same = |(table, other): &&mut (usize, Mutation)| {
                *table == write.table && other.partition == mutation.partition
            };
            match mutations.iter_mut().find(same) {
                Some((_, other)) => other.changes.extend(mutation.changes),
                None => mutations.push((write.table, mutation)),
            }
        }
        for (number, mutation) in mutations {
            if let Some(known) = &mut self.tables[number] {
                known.write(moment.number, mutation);
            }
        }
    }

    /// A client sends a batch.
    pub fn batch(&mut self) -> Outcome {
        let Some(first) = self.any_table() else { return Ok(()) };
        let counts = self.counts(first);
        let alike: Vec<usize> =
            self.numbers().into_iter().filter(|number| self.counts(*number) == counts).collect();
        let (now, length) = (now_micros(self), 2 + self.random.below(3));
        let mut writes = Vec::new();
        let mut statements = Vec::new();
        for _ in 0..length {
            let number = *self.random.pick(&alike);
            let Some(known) = &self.tables[number] else { continue };
            let write = generate::write(&mut self.random, number, &known.table, now);
            let text = write.text(&known.table);
            writes.push(write);
            statements.push((text, self.form()));
        }
        let kinds = [BatchKind::Logged, BatchKind::Unlogged];
        let kind = if counts { BatchKind::Counter } else { *self.random.pick(&kinds) };
        let level = self.level();
        self.statements += 1;
        for _ in 0..PATIENCE {
            let client = self.random.below(self.clients.len() as u64) as usize;
            let age = self.age;
            let answer = self.clients[client].batch(kind, &statements, level, age);
            let texts: Vec<&str> = statements.iter().map(|(text, _)| text.plain.as_str()).collect();
            let what = format!("{kind:?} BATCH {}", texts.join("; "));
            self.note_answer(&what, Form::Plain, level, &answer);
            if let Some(done) = self.written(&what, level, answer)? {
                if done {
                    let moment = self.moment(client);
                    self.apply(&writes, moment);
                }
                return Ok(());
            }
        }
        violation("there is no room for a batch")
    }

    fn counts(&self, number: usize) -> bool {
        self.tables[number].as_ref().is_some_and(|known| known.table.is_counter())
    }

    /// A client reads.
    pub fn read(&mut self) -> Outcome {
        let Some(number) = self.any_table() else { return Ok(()) };
        let Some(known) = &self.tables[number] else { return Ok(()) };
        let select = generate::select(&mut self.random, &known.table);
        let form = self.form();
        self.read_whole(number, &select, form)
    }

    /// Reads without pages, and compares.
    pub fn read_whole(&mut self, number: usize, select: &Select, form: Form) -> Outcome {
        let Some((found, now)) = self.page(number, select, form, None, None)? else {
            return Ok(());
        };
        let Some(known) = &self.tables[number] else { return Ok(()) };
        let expected = select.rest(&known.table, &known.current, now, None, 0);
        let expected: Vec<RowBytes> = expected.into_iter().map(|(_, row)| row).collect();
        if found.0 != expected || found.1.is_some() {
            let text = select.text(&known.table).plain;
            return violation(format!(
                "{text}\n  answered {}\n  expected {}",
                show(&found.0),
                show(&expected)
            ));
        }
        Ok(())
    }

    /// Asks for a page, and says for which second it holds. None, if the disk keeps it back, or too many replicas were
    /// asked for.
    pub fn page(
        &mut self,
        number: usize,
        select: &Select,
        form: Form,
        page_size: Option<i32>,
        from: Option<Vec<u8>>,
    ) -> Outcome<Option<(Page, i64)>> {
        let Some(known) = &self.tables[number] else { return Ok(None) };
        let text = select.text(&known.table);
        let consistency = self.level();
        self.statements += 1;
        let (answer, moment) = self.send(&text, form, &Asked { consistency, page_size, from });
        self.note_answer(&text.plain, form, consistency, &answer);
        match answer {
            Ok(Answer::Rows(rows, state)) if consistency != Consistency::Two => {
                Ok(Some(((rows, state), moment.now)))
            }
            Err(Halt::Failed(QueryError::Unavailable { required: 2, alive: 1, .. }))
                if consistency == Consistency::Two =>
            {
                Ok(None)
            }
            Err(Halt::Failed(QueryError::Storage(_))) if self.trouble.is_some() => Ok(None),
            Err(halt) => violation(format!("{}: {}", text.plain, halt.refused())),
            Ok(other) => violation(format!("{}: {other:?} at {consistency}", text.plain)),
        }
    }

    /// A client reads page by page; `between` happens between two of them.
    pub fn read_pages(&mut self, between: fn(&mut World) -> Outcome) -> Outcome {
        let Some(number) = self.any_table() else { return Ok(()) };
        let Some(known) = &self.tables[number] else { return Ok(()) };
        let select = generate::select(&mut self.random, &known.table);
        if select.count {
            return Ok(());
        }
        let (form, size) = (self.form(), 1 + self.random.below(4) as usize);
        let (mut state, mut last, mut told): (_, Option<Place>, usize) = (None, None, 0);
        loop {
            let page_size = Some(size as i32);
            let Some(((found, next), now)) = self.page(number, &select, form, page_size, state)?
            else {
                return Ok(());
            };
            let Some(known) = &self.tables[number] else { return Ok(()) };
            let rest = select.rest(&known.table, &known.current, now, last.as_ref(), told);
            let fits = found.len() <= size
                && found.len() <= rest.len()
                && found.iter().zip(&rest).all(|(found, (_, expected))| found == expected)
                && (next.is_some() || found.len() == rest.len())
                && (next.is_none() || found.len() == size || self.is_slow());
            if !fits {
                let text = select.text(&known.table).plain;
                let rest: Vec<RowBytes> = rest.into_iter().map(|(_, row)| row).collect();
                return violation(format!(
                    "{text}, page of {size} after {told} rows\n  answered {}\n  expected {}",
                    show(&found),
                    show(&rest)
                ));
            }
            told += found.len();
            last = rest.into_iter().take(found.len()).next_back().map(|(place, _)| place).or(last);
            // What comes after the static part of a partition that had no rows, when it has some, is not told.
            let has_rows = !known.table.clustering().is_empty() && !select.distinct;
            let is_static = has_rows && last.as_ref().is_some_and(|place| place.row.is_empty());
            state = next;
            if state.is_none() || is_static {
                return Ok(());
            }
            if self.random.percent(40) {
                between(self)?;
            }
        }
    }

    /// Everything in all tables is as it must be.
    pub fn check(&mut self) -> Outcome {
        for number in self.numbers() {
            let Some(known) = &self.tables[number] else { continue };
            let select = Select::everything(&known.table);
            self.read_whole(number, &select, Form::Plain)?;
        }
        Ok(())
    }
}

fn now_micros(world: &World) -> i64 {
    use tholos_server::clock::Wall;
    world.wall.micros()
}

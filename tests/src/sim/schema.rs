//! Changes of the schema, and what they make of the tables.

use tholos_grammar::consistency::Consistency;
use tholos_server::clock::Wall;

use super::client::{Answer, Asked, Form};
use super::generate;
use super::model::Content;
use super::table::{Column, ColumnNumber, Table};
use super::text::Text;
use super::value::Value;
use super::world::{Known, Outcome, World, violation};

/// A change of the schema.
#[derive(Clone, Debug)]
pub enum Ddl {
    /// CREATE TABLE, under that number.
    Create(usize, Table),
    /// ALTER TABLE ADD.
    Add(usize, Column),
    /// ALTER TABLE DROP, with USING TIMESTAMP or without.
    DropColumn(usize, ColumnNumber, Option<i64>),
    /// ALTER TABLE WITH gc_grace_seconds.
    Grace(usize, i64),
    /// DROP TABLE.
    Drop(usize),
    /// TRUNCATE.
    Truncate(usize),
}

/// The table's name for a number.
fn name(number: usize) -> String {
    format!("t{number}")
}

const COMPACTIONS: &[&str] = &[
    "{'class': 'SizeTieredCompactionStrategy', 'min_threshold': 2}",
    "{'class': 'SizeTieredCompactionStrategy'}",
    "{'class': 'LeveledCompactionStrategy', 'sstable_size_in_mb': 1}",
    "{'class': 'UnifiedCompactionStrategy', 'scaling_parameters': 'T2'}",
    "{'class': 'TimeWindowCompactionStrategy', 'compaction_window_unit': 'MINUTES', 'compaction_window_size': 1, 'min_threshold': 2}",
];

impl World {
    /// The keyspace, and a first table.
    pub fn begin(&mut self) -> Outcome {
        let mut text = Text::default();
        text.push("CREATE KEYSPACE k WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}");
        self.run(&text, Form::Plain, Consistency::One)?;
        self.create()
    }

    /// A new table, if there is a number left.
    fn create(&mut self) -> Outcome {
        let Some(number) = self.tables.iter().position(Option::is_none) else { return Ok(()) };
        let table = generate::table(&mut self.random, &name(number));
        self.change(&Ddl::Create(number, table))
    }

    /// Some change of the schema.
    pub fn any_change(&mut self) -> Option<Ddl> {
        let free = self.tables.iter().position(Option::is_none);
        if let Some(number) = free.filter(|_| self.random.percent(50)) {
            return Some(Ddl::Create(number, generate::table(&mut self.random, &name(number))));
        }
        let number = self.any_table()?;
        let table = self.tables[number].as_ref()?.table.clone();
        Some(match self.random.weighted(&[25, 25, 15, 15, 20]) {
            0 | 1 if table.is_counter() => Ddl::Truncate(number),
            0 => {
                let dropped = table.dropped();
                if !dropped.is_empty() && self.random.percent(60) {
                    Ddl::Add(number, (*self.random.pick(&dropped)).clone())
                } else {
                    let name = format!("z{}", table.columns.len());
                    Ddl::Add(number, generate::new_column(&mut self.random, &name))
                }
            }
            1 => {
                let columns = [table.regulars(), table.statics()].concat();
                // One regular column always stays.
                match table.regulars().len() {
                    0 | 1 => Ddl::Truncate(number),
                    _ => {
                        let column = *self.random.pick(&columns);
                        let before = self.random.between(0, generate::LAG_MICROS);
                        let at = self.random.percent(50).then(|| self.wall.micros() - before);
                        Ddl::DropColumn(number, column, at)
                    }
                }
            }
            2 => {
                let least = generate::GC_GRACE;
                Ddl::Grace(number, self.random.between(least, 4 * least))
            }
            3 => Ddl::Drop(number),
            _ => Ddl::Truncate(number),
        })
    }

    /// Its text.
    fn change_text(&mut self, ddl: &Ddl) -> Text {
        let mut text = Text::default();
        let table = |number: &usize| self.tables[*number].as_ref().map(|known| &known.table);
        text.push(&match ddl {
            Ddl::Create(_, table) => {
                let compaction = *self.random.pick(COMPACTIONS);
                format!("{} AND compaction = {compaction}", table.create_text())
            }
            Ddl::Add(number, column) => {
                format!("ALTER TABLE k.{} ADD {} {}", name(*number), column.name, column.kind)
                    + if column.role == super::table::Role::Static { " static" } else { "" }
            }
            Ddl::DropColumn(number, column, at) => {
                let column = table(number).map(|table| table.name_of(*column)).unwrap_or_default();
                let using = at.map(|at| format!(" USING TIMESTAMP {at}")).unwrap_or_default();
                format!("ALTER TABLE k.{} DROP {column}{using}", name(*number))
            }
            Ddl::Grace(number, grace) => {
                format!("ALTER TABLE k.{} WITH gc_grace_seconds = {grace}", name(*number))
            }
            Ddl::Drop(number) => format!("DROP TABLE k.{}", name(*number)),
            Ddl::Truncate(number) => format!("TRUNCATE k.{}", name(*number)),
        });
        text
    }

    /// Changes the schema.
    pub fn change(&mut self, ddl: &Ddl) -> Outcome {
        let text = self.change_text(ddl);
        if self.run(&text, Form::Plain, Consistency::One)?.is_some() {
            self.age += 1;
            self.changed(ddl);
        }
        Ok(())
    }

    /// What the tables are after a change.
    fn changed(&mut self, ddl: &Ddl) {
        match ddl {
            Ddl::Create(number, table) => self.tables[*number] = Some(Known::new(table.clone())),
            Ddl::Drop(number) => self.tables[*number] = None,
            Ddl::Add(number, _)
            | Ddl::DropColumn(number, ..)
            | Ddl::Grace(number, _)
            | Ddl::Truncate(number) => {
                let Some(known) = &mut self.tables[*number] else { return };
                match ddl {
                    Ddl::Add(_, column) => known.table.add(column),
                    Ddl::DropColumn(_, column, at) => known.table.drop(*column, *at),
                    Ddl::Grace(_, grace) => known.table.gc_grace = *grace,
                    _ => {
                        known.current = Content::default();
                        known.settle();
                    }
                }
            }
        }
    }

    /// After a crash within a change: whether the schema has it. A truncation is no change of it.
    pub fn has_change(&mut self, ddl: &Ddl) -> Outcome<bool> {
        let number = match ddl {
            Ddl::Create(number, _)
            | Ddl::Add(number, _)
            | Ddl::DropColumn(number, ..)
            | Ddl::Grace(number, _)
            | Ddl::Drop(number)
            | Ddl::Truncate(number) => *number,
        };
        let columns = self.columns(&name(number))?;
        let has = |wanted: &str| columns.iter().any(|column| column == wanted);
        let name_of = |column: ColumnNumber| {
            self.tables[number].as_ref().map(|known| known.table.name_of(column).to_string())
        };
        Ok(match ddl {
            Ddl::Create(..) => !columns.is_empty(),
            Ddl::Add(_, column) => has(&column.name),
            Ddl::DropColumn(_, column, _) => !name_of(*column).is_some_and(|name| has(&name)),
            Ddl::Drop(_) => columns.is_empty(),
            Ddl::Grace(..) | Ddl::Truncate(_) => true,
        })
    }

    /// Names of a table's columns, as the node has them.
    fn columns(&mut self, table: &str) -> Outcome<Vec<String>> {
        let mut text = Text::default();
        text.push("SELECT column_name FROM system_schema.columns WHERE keyspace_name = ");
        text.value(&Value::Text("k".to_string()));
        text.push(" AND table_name = ");
        text.value(&Value::Text(table.to_string()));
        let asked = Asked { consistency: Consistency::One, page_size: None, from: None };
        let age = self.age;
        match self.clients[0].statement(&text, Form::Bound, &asked, age) {
            Ok(Answer::Rows(rows, _)) => {
                let name = |row: Vec<Option<Vec<u8>>>| {
                    let bytes = row.into_iter().flatten().next().unwrap_or_default();
                    String::from_utf8_lossy(&bytes).into_owned()
                };
                let names: Vec<String> = rows.into_iter().map(name).collect();
                self.note(format!("columns of {table}: {names:?}"));
                Ok(names)
            }
            other => violation(format!("the columns of {table} can't be read: {other:?}")),
        }
    }

    /// Crashes within a change of the schema are followed up by this: the change was made, or it was not.
    pub fn settle_change(&mut self, ddl: &Ddl) -> Outcome {
        if self.has_change(ddl)? {
            self.changed(ddl);
        }
        Ok(())
    }

    /// Runs a change whose end nobody will see.
    pub fn change_unseen(&mut self, ddl: &Ddl) -> Outcome {
        let text = self.change_text(ddl);
        self.run(&text, Form::Plain, Consistency::One).map(drop)
    }
}

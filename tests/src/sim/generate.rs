//! Tables and statements, at random: few keys and few values, so that writes meet.

use super::model::{Key, Range};
use super::random::Random;
use super::select::{Partitions, Rows, Select, Told};
use super::table::{Column, ColumnNumber, Role, Table};
use super::value::{Type, Value};
use super::write::{Action, Assignment, Write};

/// Timestamps that clients bring lie at most so far back, in microseconds. Tombstones are kept for longer.
pub const LAG_MICROS: i64 = 20_000_000;
/// The least `gc_grace_seconds`.
pub const GC_GRACE: i64 = 2 * LAG_MICROS / 1_000_000;

const TEXTS: &[&str] = &["", "a", "b", "longer", "z"];

fn column(name: &str, kind: Type, role: Role) -> Column {
    let name = name.to_string();
    let floor = super::model::NEVER;
    Column { name, kind, role, is_dropped: false, may_return: false, floor }
}

/// A table of that name.
pub fn table(random: &mut Random, name: &str) -> Table {
    let mut columns = vec![column("p", Type::Int, Role::Partition)];
    if random.percent(30) {
        columns.push(column("q", Type::Text, Role::Partition));
    }
    let clusterings = random.weighted(&[15, 55, 30]);
    for (name, kind) in [("c", Type::Int), ("d", Type::Text)].into_iter().take(clusterings) {
        let descending = random.percent(40);
        columns.push(column(name, kind, Role::Clustering { descending }));
    }
    if random.percent(20) {
        columns.push(column("n", Type::Counter, Role::Regular));
        if random.percent(50) {
            columns.push(column("m", Type::Counter, Role::Regular));
        }
    } else {
        if clusterings > 0 && random.percent(60) {
            let kind = *random.pick(&[Type::Int, Type::Text, Type::Set]);
            columns.push(column("s", kind, Role::Static));
        }
        columns.push(column("v", Type::Int, Role::Regular));
        let kinds = [Type::Text, Type::List, Type::Set, Type::Map, Type::FrozenList, Type::Int];
        for name in ["w", "x", "y"] {
            if random.percent(60) {
                columns.push(column(name, *random.pick(&kinds), Role::Regular));
            }
        }
    }
    Table { name: name.to_string(), columns, gc_grace: random.between(GC_GRACE, 4 * GC_GRACE) }
}

/// A column that is to be added.
pub fn new_column(random: &mut Random, name: &str) -> Column {
    let kinds = [Type::Text, Type::List, Type::Set, Type::Map, Type::FrozenList, Type::Int];
    column(name, *random.pick(&kinds), Role::Regular)
}

fn value(random: &mut Random, kind: Type) -> Value {
    let few = random.below(4);
    let mut ints = || Value::Int(random.below(6) as i32);
    match kind {
        Type::Int => ints(),
        Type::Text => Value::Text((*random.pick(TEXTS)).to_string()),
        Type::Counter => Value::Long(random.between(-3, 9)),
        Type::List | Type::FrozenList => Value::List((0..=few).map(|_| ints()).collect()),
        Type::Set => Value::Set((0..=few).map(|_| ints()).collect()),
        Type::Map => {
            let keys: Vec<Value> = (0..=few).map(|_| ints()).collect();
            let mut text = || Value::Text((*random.pick(TEXTS)).to_string());
            Value::Map(keys.into_iter().map(|key| (key, text())).collect())
        }
    }
}

fn key(random: &mut Random, table: &Table, columns: &[ColumnNumber], few: u64) -> Key {
    let one = |column: &ColumnNumber| match table.columns[*column].kind {
        Type::Int => Value::Int(random.below(few) as i32),
        // No column of a key may be empty if it is the only one.
        _ => Value::Text((*random.pick(&TEXTS[1..])).to_string()),
    };
    columns.iter().map(one).collect()
}

/// One of few partitions.
pub fn partition(random: &mut Random, table: &Table) -> Key {
    key(random, table, &table.partition_key(), 5)
}

fn clustering(random: &mut Random, table: &Table) -> Key {
    key(random, table, &table.clustering(), 8)
}

/// Part of the rows of a partition.
fn range(random: &mut Random, table: &Table) -> Range {
    let whole = clustering(random, table);
    let length = random.below(whole.len() as u64 + 1) as usize;
    let prefix = whole[..length].to_vec();
    let mut range = Range { prefix, lower: None, upper: None };
    if length < whole.len() {
        let other = clustering(random, table);
        let (a, b) = (whole[length].clone(), other[length].clone());
        let (low, high) = if a <= b { (a, b) } else { (b, a) };
        // A range from a value to itself that leaves it out is nothing, and refused by some.
        let include = low == high || random.percent(50);
        if random.percent(70) {
            range.lower = Some((low, include));
        }
        if random.percent(70) || (range.lower.is_none() && length == 0) {
            range.upper = Some((high, include || random.percent(50)));
        }
    }
    range
}

/// A statement that writes to a table, at that time.
pub fn write(random: &mut Random, number: usize, table: &Table, now_micros: i64) -> Write {
    let partition = partition(random, table);
    if table.is_counter() {
        let action = count(random, table);
        return Write { table: number, partition, action, timestamp: None, ttl: None };
    }
    let action = match random.weighted(&[40, 30, 9, 9, 7, 3]) {
        0 => insert(random, table),
        1 => update(random, table),
        2 => delete_columns(random, table),
        3 if !table.clustering().is_empty() => Action::DeleteRow(clustering(random, table)),
        4 if !table.clustering().is_empty() => {
            let range = range(random, table);
            match range.prefix.len() == table.clustering().len() {
                true => Action::DeleteRow(range.prefix),
                false
                    if range.prefix.is_empty()
                        && range.lower.is_none()
                        && range.upper.is_none() =>
                {
                    Action::DeletePartition
                }
                false => Action::DeleteRange(range),
            }
        }
        5 => Action::DeletePartition,
        _ => insert(random, table),
    };
    let timestamp = random.percent(25).then(|| match random.percent(60) {
        // Often the same ones.
        true => (now_micros / 5_000_000 - 1) * 5_000_000,
        false => now_micros - random.between(1, LAG_MICROS),
    });
    let ttl = random.percent(25).then(|| random.between(0, 30));
    Write { table: number, partition, action, timestamp, ttl }
}

fn some(random: &mut Random, of: Vec<ColumnNumber>, percent: u64) -> Vec<ColumnNumber> {
    of.into_iter().filter(|_| random.percent(percent)).collect()
}

fn row_key(random: &mut Random, table: &Table) -> Option<Key> {
    Some(clustering(random, table))
}

fn insert(random: &mut Random, table: &Table) -> Action {
    let columns = [some(random, table.statics(), 30), some(random, table.regulars(), 70)].concat();
    let mut cell = |column: ColumnNumber| {
        let kind = table.columns[column].kind;
        (column, (!random.percent(10)).then(|| value(random, kind)))
    };
    let cells = columns.into_iter().map(&mut cell).collect();
    Action::Insert(row_key(random, table), cells)
}

/// So many in a hundred of the regular columns; at least one, if there is any.
fn some_regulars(random: &mut Random, table: &Table, percent: u64) -> Vec<ColumnNumber> {
    let mut columns = some(random, table.regulars(), percent);
    if columns.is_empty() {
        columns.extend(table.regulars().first());
    }
    columns
}

/// The static columns, now and then, or some regular ones; whether they are the static ones.
fn statics_or_regulars(
    random: &mut Random,
    table: &Table,
    percent: u64,
) -> (bool, Vec<ColumnNumber>) {
    let statics = table.statics();
    match !statics.is_empty() && random.percent(25) {
        true => (true, statics),
        false => (false, some_regulars(random, table, percent)),
    }
}

fn update(random: &mut Random, table: &Table) -> Action {
    let (of_statics, columns) = statics_or_regulars(random, table, 50);
    let assignments = columns.into_iter().map(|column| {
        let kind = table.columns[column].kind;
        (column, assignment(random, kind))
    });
    let assignments = assignments.collect();
    Action::Update(if of_statics { None } else { row_key(random, table) }, assignments)
}

fn assignment(random: &mut Random, kind: Type) -> Assignment {
    if !kind.is_multi_cell() || random.percent(30) {
        return Assignment::Set((!random.percent(12)).then(|| value(random, kind)));
    }
    let element = Value::Int(random.below(6) as i32);
    match (kind, random.below(3)) {
        (Type::List, 0) => {
            let Value::List(values) = value(random, kind) else { unreachable!("a list") };
            Assignment::Prepend(values)
        }
        (Type::Set | Type::Map, 0) => Assignment::Remove(element),
        (Type::Map, 1) => Assignment::Put(element, value(random, Type::Text)),
        _ => Assignment::Add(value(random, kind)),
    }
}

fn count(random: &mut Random, table: &Table) -> Action {
    let columns = some_regulars(random, table, 60);
    let by = |column| (column, Assignment::Add(value(random, Type::Counter)));
    let assignments = columns.into_iter().map(by).collect();
    Action::Update(row_key(random, table), assignments)
}

fn delete_columns(random: &mut Random, table: &Table) -> Action {
    let (of_statics, columns) = statics_or_regulars(random, table, 40);
    let columns = columns.into_iter().map(|column| {
        let has_keys = matches!(table.columns[column].kind, Type::Set | Type::Map);
        let element = (has_keys && random.percent(50)).then(|| Value::Int(random.below(6) as i32));
        (column, element)
    });
    let columns = columns.collect();
    Action::DeleteColumns(if of_statics { None } else { row_key(random, table) }, columns)
}

/// A SELECT from a table.
pub fn select(random: &mut Random, table: &Table) -> Select {
    let mut select = Select::everything(table);
    if random.percent(30) {
        select.told = table.all().into_iter().map(Told::Column).collect();
        select.star = true;
    } else if random.percent(40) {
        select.told.retain(|_| random.percent(60));
        if select.told.is_empty() {
            select.told = vec![Told::Column(0)];
        }
    }
    select.partitions = match random.weighted(&[30, 10, 45, 15]) {
        0 => Partitions::All,
        1 => {
            let (a, b) = (random.bits() as i64, random.bits() as i64);
            Partitions::Tokens(a.min(b), a.max(b))
        }
        2 => Partitions::Keys(vec![partition(random, table)]),
        _ => Partitions::Keys(several(random, table)),
    };
    let is_one = matches!(&select.partitions, Partitions::Keys(keys) if keys.len() == 1);
    if random.percent(8) && !table.clustering().is_empty() {
        select.told = [table.partition_key(), table.statics()]
            .concat()
            .into_iter()
            .map(Told::Column)
            .collect();
        select.star = false;
        select.distinct = true;
        return limited(random, select);
    }
    if matches!(select.partitions, Partitions::Keys(_)) && !table.clustering().is_empty() {
        match random.weighted(&[40, 40, 20]) {
            0 => {}
            1 => select.rows = Rows::Range(range(random, table)),
            _ => {
                let whole = clustering(random, table);
                let length = random.below(whole.len() as u64) as usize;
                let mut values: Vec<Value> =
                    (0..3).map(|_| clustering(random, table)[length].clone()).collect();
                values.sort();
                values.dedup();
                select.rows = Rows::In(whole[..length].to_vec(), values);
            }
        }
        select.reversed = is_one && random.percent(30);
    }
    if let Rows::Range(range) = &select.rows
        && range.prefix.is_empty()
        && range.lower.is_none()
        && range.upper.is_none()
    {
        select.rows = Rows::All;
    }
    let number = table.regulars().into_iter().find(|c| table.columns[*c].kind == Type::Int);
    if let Some(column) = number.filter(|_| random.percent(12)) {
        select.at_least = Some((column, Value::Int(random.below(6) as i32)));
    }
    if random.percent(8) {
        select.count = true;
        select.star = false;
        return select;
    }
    limited(random, select)
}

fn several(random: &mut Random, table: &Table) -> Vec<Key> {
    let first = partition(random, table);
    let last = first.len() - 1;
    let mut keys: Vec<Key> = (0..3)
        .map(|_| {
            let mut key = first.clone();
            key[last] = partition(random, table)[last].clone();
            key
        })
        .collect();
    keys.sort();
    keys.dedup();
    keys
}

fn limited(random: &mut Random, mut select: Select) -> Select {
    if random.percent(25) {
        select.limit = Some(1 + random.below(6) as usize);
    }
    if random.percent(15) && !select.distinct {
        select.per_partition = Some(1 + random.below(3) as usize);
    }
    select
}

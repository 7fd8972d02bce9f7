//! GROUP BY, aggregates and limits against a naive model: random shapes of tables, random rows, whole and page by page.
//!
//! Columns of the key have random types, but values stand for the numbers 0 to 3 in all of them, in the same order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use tholos_grammar::token::{Token, encode_partition_key};
use tholos_storage::read::live::ReadBudget;

use crate::testing::Bench;

#[derive(Clone, Copy, Debug, PartialEq)]
enum KeyType {
    Int,
    Text,
    Decimal,
    Double,
    Tuple,
}

impl KeyType {
    fn cql(self) -> &'static str {
        match self {
            KeyType::Int => "int",
            KeyType::Text => "text",
            KeyType::Decimal => "decimal",
            KeyType::Double => "double",
            KeyType::Tuple => "tuple<decimal, int>",
        }
    }

    /// A literal; decimals have zeros to spare, which `zeros` counts.
    fn literal(self, value: i32, zeros: usize) -> String {
        match self {
            KeyType::Int => value.to_string(),
            KeyType::Text => format!("'{}'", self.text(value)),
            KeyType::Decimal => format!("{value}.{}", "0".repeat(zeros + 1)),
            KeyType::Double => format!("{value}.5"),
            KeyType::Tuple => format!("({value}.{}, null)", "0".repeat(zeros + 1)),
        }
    }

    /// How it is shown.
    fn text(self, value: i32) -> String {
        match self {
            KeyType::Int | KeyType::Decimal => value.to_string(),
            // The empty text comes first.
            KeyType::Text => "x".repeat(value as usize),
            KeyType::Double => format!("{value}.5"),
            KeyType::Tuple => format!("({value}, null)"),
        }
    }
}

#[derive(Clone, Debug)]
struct Shape {
    /// Partition key columns: `int` or `text`, since decimals in partition keys keep their zeros.
    partition: Vec<KeyType>,
    clustering: Vec<(KeyType, bool)>,
    fixed: bool,
}

/// A partition's static value, and its rows by clustering values, negated where they descend.
#[derive(Clone, Debug, Default)]
struct Partition {
    fixed: Option<i32>,
    rows: BTreeMap<Vec<i32>, Option<i32>>,
}

type Model = BTreeMap<Vec<i32>, Partition>;

#[derive(Clone, Debug)]
struct Row {
    key: Vec<i32>,
    value: Option<i32>,
    insert: bool,
    fixed: Option<i32>,
    zeros: usize,
}

/// A row as the model shows it.
#[derive(Clone, Debug)]
struct Shown {
    partition: Vec<i32>,
    clustering: Option<Vec<i32>>,
    fixed: Option<i32>,
    value: Option<i32>,
}

#[derive(Clone, Debug)]
struct Query {
    /// Candidates for each partition key column; none for all partitions.
    keys: Option<[BTreeSet<i32>; 2]>,
    /// The first clustering column from here on.
    from: Option<i32>,
    value: Option<i32>,
    /// How many columns of the key make a group; beyond the key's, no GROUP BY.
    group: Option<usize>,
    reverse: bool,
    limit: Option<usize>,
    per_partition: Option<usize>,
}

fn name(shape: &Shape, place: usize) -> String {
    match place.checked_sub(shape.partition.len()) {
        None => format!("p{place}"),
        Some(place) => format!("c{place}"),
    }
}

impl Shape {
    fn columns(&self) -> Vec<KeyType> {
        let clustering = self.clustering.iter().map(|(ty, _)| *ty);
        self.partition.iter().copied().chain(clustering).collect()
    }

    fn names(&self, count: usize) -> String {
        (0..count).map(|place| name(self, place)).collect::<Vec<_>>().join(", ")
    }

    fn create(&self) -> String {
        let width = self.partition.len();
        let columns = self.columns();
        let columns: Vec<String> = columns
            .iter()
            .enumerate()
            .map(|(place, ty)| format!("{} {}", name(self, place), ty.cql()))
            .collect();
        let clustering: String =
            (width..columns.len()).map(|place| format!(", {}", name(self, place))).collect();
        let order: Vec<String> = self
            .clustering
            .iter()
            .enumerate()
            .map(|(place, (_, down))| format!("c{place} {}", if *down { "DESC" } else { "ASC" }))
            .collect();
        let order = match order.is_empty() {
            true => String::new(),
            false => format!(" WITH CLUSTERING ORDER BY ({})", order.join(", ")),
        };
        let fixed = if self.fixed { "s int STATIC, " } else { "" };
        format!(
            "CREATE TABLE g ({}, {fixed}v int, PRIMARY KEY (({}){clustering})){order}",
            columns.join(", "),
            self.names(width)
        )
    }

    fn write(&self, row: &Row, at: usize, bench: &mut Bench, model: &mut Model) {
        let columns = self.columns();
        let literals =
            columns.iter().zip(&row.key).map(|(ty, value)| ty.literal(*value, row.zeros));
        let literals: Vec<String> = literals.collect();
        let (partition, clustering) = row.key.split_at(self.partition.len());
        let entry = model.entry(partition.to_vec()).or_default();
        if let (true, Some(fixed)) = (self.fixed, row.fixed) {
            entry.fixed = Some(fixed);
            let width = self.partition.len();
            let (names, keys) = (self.names(width), literals[..width].join(", "));
            bench.run(&format!(
                "INSERT INTO g ({names}, s) VALUES ({keys}, {fixed}) USING TIMESTAMP {at}"
            ));
        }
        if row.insert {
            let position = self.clustering.iter().zip(clustering);
            let position = position.map(|((_, down), value)| if *down { -value } else { *value });
            entry.rows.insert(position.take(self.clustering.len()).collect(), row.value);
            let names = self.names(columns.len());
            let value = row.value.map_or("null".to_string(), |value| value.to_string());
            let keys = literals.join(", ");
            bench.run(&format!(
                "INSERT INTO g ({names}, v) VALUES ({keys}, {value}) USING TIMESTAMP {at}"
            ));
        }
        model.retain(|_, partition| partition.fixed.is_some() || !partition.rows.is_empty());
    }

    fn token(&self, partition: &[i32]) -> i64 {
        let component = |(ty, value): (&KeyType, &i32)| match ty {
            KeyType::Int => value.to_be_bytes().to_vec(),
            _ => ty.text(*value).into_bytes(),
        };
        let components: Vec<Vec<u8>> =
            self.partition.iter().zip(partition).map(component).collect();
        if let [single] = components.as_slice() {
            return Token::of(single).0;
        }
        let mut key = Vec::new();
        encode_partition_key(&components, &mut key).unwrap();
        Token::of(&key).0
    }

    /// All rows that a query finds, in order.
    fn rows(&self, query: &Query, model: &Model) -> Vec<Shown> {
        let wanted = |key: &Vec<i32>| match &query.keys {
            Some(keys) => key.iter().zip(keys).all(|(value, among)| among.contains(value)),
            None => true,
        };
        let mut partitions: Vec<_> = model.iter().filter(|(key, _)| wanted(key)).collect();
        if query.keys.is_none() {
            partitions.sort_by_key(|(key, _)| self.token(key));
        }
        let mut shown = Vec::new();
        for (key, partition) in partitions {
            let row = |clustering, value| Shown {
                partition: key.clone(),
                clustering,
                fixed: partition.fixed,
                value,
            };
            let mut rows = Vec::new();
            for (position, value) in &partition.rows {
                let plain = self.clustering.iter().zip(position);
                let plain = plain.map(|((_, down), value)| if *down { -value } else { *value });
                let clustering: Vec<i32> = plain.collect();
                let in_slice = query.from.is_none_or(|from| clustering[0] >= from);
                if in_slice && query.value.is_none_or(|wanted| *value == Some(wanted)) {
                    rows.push(row(Some(clustering), *value));
                }
            }
            let restricted = query.from.is_some() || query.value.is_some();
            if partition.rows.is_empty() && !restricted {
                rows.push(row(None, None));
            }
            if query.reverse {
                rows.reverse();
            }
            shown.extend(rows);
        }
        shown
    }
}

impl Query {
    /// Takes out what can't stand together.
    fn tidy(mut self, shape: &Shape) -> Self {
        if shape.clustering.is_empty() {
            (self.from, self.reverse) = (None, false);
        }
        self.reverse &= self.keys.is_some();
        let width = shape.partition.len();
        let columns = width + shape.clustering.len();
        self.group = self.group.map(|extra| width + extra).filter(|group| *group <= columns);
        // Refused beside aggregates of everything, which make one row.
        self.per_partition = self.per_partition.filter(|_| self.group.is_some());
        self
    }

    /// Whether groups of several partitions are put in order.
    fn sorts(&self, shape: &Shape) -> bool {
        let several = self.keys.as_ref().is_some_and(|keys| {
            keys.iter().take(shape.partition.len()).any(|among| among.len() > 1)
        });
        self.reverse && self.group.is_some() && several
    }

    fn cql(&self, shape: &Shape) -> String {
        let fixed = if shape.fixed { ", max(s)" } else { "" };
        let aggregates = format!("count(*), count(v), sum(v), min(v), max(v), avg(v){fixed}");
        let mut cql = match self.group {
            Some(group) => format!("SELECT {}, v, {aggregates} FROM g", shape.names(group)),
            None => format!("SELECT {aggregates} FROM g"),
        };
        let mut relations = Vec::new();
        if let Some(keys) = &self.keys {
            for (place, (ty, among)) in shape.partition.iter().zip(keys).enumerate() {
                let among: Vec<String> = among.iter().map(|value| ty.literal(*value, 0)).collect();
                relations.push(match among.as_slice() {
                    [one] => format!("p{place} = {one}"),
                    several => format!("p{place} IN ({})", several.join(", ")),
                });
            }
        }
        if let Some(from) = self.from {
            let (ty, _) = shape.clustering[0];
            relations.push(format!("c0 >= {}", ty.literal(from, 2)));
        }
        relations.extend(self.value.map(|value| format!("v = {value}")));
        if !relations.is_empty() {
            cql.push_str(&format!(" WHERE {}", relations.join(" AND ")));
        }
        if let Some(group) = self.group {
            cql.push_str(&format!(" GROUP BY {}", shape.names(group)));
        }
        if self.reverse {
            let (_, down) = shape.clustering[0];
            cql.push_str(if down { " ORDER BY c0 ASC" } else { " ORDER BY c0 DESC" });
        }
        if let Some(limit) = self.per_partition {
            cql.push_str(&format!(" PER PARTITION LIMIT {limit}"));
        }
        if let Some(limit) = self.limit {
            cql.push_str(&format!(" LIMIT {limit}"));
        }
        if self.value.is_some() || (self.from.is_some() && self.keys.is_none()) {
            cql.push_str(" ALLOW FILTERING");
        }
        cql
    }

    fn expected(&self, shape: &Shape, model: &Model) -> Vec<Vec<String>> {
        let rows = shape.rows(self, model);
        let Some(group) = self.group else {
            return vec![aggregates(shape, &rows)];
        };
        let width = shape.partition.len();
        let key = |row: &Shown| {
            let clustering = row.clustering.as_ref();
            let clustering = clustering.map(|values| values[..group - width].to_vec());
            (row.partition.clone(), clustering.filter(|_| group > width))
        };
        let mut groups: Vec<Vec<Shown>> = Vec::new();
        for row in rows {
            match groups.last_mut() {
                Some(last) if key(&last[0]) == key(&row) => last.push(row),
                _ => groups.push(vec![row]),
            }
        }
        let mut of_partition: BTreeMap<Vec<i32>, usize> = BTreeMap::new();
        groups.retain(|group| {
            let seen = of_partition.entry(group[0].partition.clone()).or_default();
            *seen += 1;
            self.per_partition.is_none_or(|limit| *seen <= limit)
        });
        if self.sorts(shape) {
            let order = |group: &Vec<Shown>| {
                let first = group[0].clustering.as_ref()?[0];
                Some(if shape.clustering[0].1 { -first } else { first })
            };
            groups.sort_by_key(|group| std::cmp::Reverse(order(group)));
        }
        groups.truncate(self.limit.unwrap_or(usize::MAX));
        let columns = shape.columns();
        let shown = groups.iter().map(|rows| {
            let first = &rows[0];
            let key = first.partition.iter().copied().map(Some);
            let clustering: Vec<Option<i32>> = match &first.clustering {
                Some(values) => values.iter().copied().map(Some).collect(),
                None => vec![None; shape.clustering.len()],
            };
            let key = key.chain(clustering).zip(&columns).take(group);
            let mut shown: Vec<String> = key
                .map(|(value, ty)| value.map_or("null".into(), |value| ty.text(value)))
                .collect();
            shown.push(number(first.value));
            shown.extend(aggregates(shape, rows));
            shown
        });
        shown.collect()
    }
}

fn number(value: Option<i32>) -> String {
    value.map_or("null".to_string(), |value| value.to_string())
}

fn aggregates(shape: &Shape, rows: &[Shown]) -> Vec<String> {
    let values: Vec<i32> = rows.iter().filter_map(|row| row.value).collect();
    let sum: i32 = values.iter().sum();
    let average = sum.checked_div(values.len() as i32).unwrap_or(0);
    let mut shown = vec![
        rows.len().to_string(),
        values.len().to_string(),
        sum.to_string(),
        number(values.iter().min().copied()),
        number(values.iter().max().copied()),
        average.to_string(),
    ];
    if shape.fixed {
        shown.push(number(rows.iter().filter_map(|row| row.fixed).max()));
    }
    shown
}

fn shapes() -> impl Strategy<Value = Shape> {
    use KeyType as T;
    let partition = prop::collection::vec(prop::sample::select(vec![T::Int, T::Text]), 1..3)
        .prop_filter("a key of one empty text is refused", |key| key.as_slice() != [T::Text]);
    let types = vec![T::Int, T::Text, T::Decimal, T::Double, T::Tuple];
    let clustering = prop::collection::vec((prop::sample::select(types), any::<bool>()), 0..4);
    (partition, clustering, any::<bool>()).prop_map(|(partition, clustering, fixed)| Shape {
        fixed: fixed && !clustering.is_empty(),
        partition,
        clustering,
    })
}

fn rows() -> impl Strategy<Value = Vec<Row>> {
    let key = prop::collection::vec(0..4i32, 5);
    let value = prop::option::weighted(0.8, -3..4i32);
    let fixed = prop::option::weighted(0.2, 0..3i32);
    let row = (key, value, prop::bool::weighted(0.9), fixed, 0..3usize);
    let row =
        row.prop_map(|(key, value, insert, fixed, zeros)| Row { key, value, insert, fixed, zeros });
    prop::collection::vec(row, 0..40)
}

fn queries() -> impl Strategy<Value = Query> {
    let among = || prop::collection::btree_set(0..4i32, 1..4);
    let keys = prop::option::weighted(0.6, [among(), among()]);
    let limit = || prop::option::weighted(0.3, 1..5usize);
    (
        keys,
        prop::option::weighted(0.3, 0..4i32),
        prop::option::weighted(0.2, -3..4i32),
        prop::option::weighted(0.8, 0..4usize),
        any::<bool>(),
        limit(),
        limit(),
    )
        .prop_map(|(keys, from, value, group, reverse, limit, per_partition)| Query {
            keys,
            from,
            value,
            group,
            reverse,
            limit,
            per_partition,
        })
}

/// Decimals without the zeros that they were written with: the model does not know which were last.
fn without_zeros(rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    let bare = |mut text: String| {
        while let Some(at) = text.find(".0") {
            let digits = text[at + 1..].chars().take_while(|digit| *digit == '0').count();
            text.replace_range(at..at + 1 + digits, "");
        }
        text
    };
    rows.into_iter().map(|row| row.into_iter().map(bare).collect()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn groups_are_the_models(
        shape in shapes(),
        rows in rows(),
        queries in prop::collection::vec((queries(), 1..5i32, 1..6u64), 12),
    ) {
        let mut bench = Bench::new();
        bench.run(&shape.create());
        let mut model = Model::new();
        for (at, row) in rows.iter().enumerate() {
            shape.write(row, at + 1, &mut bench, &mut model);
        }
        for (query, page_size, entries) in queries {
            let query = query.tidy(&shape);
            let cql = query.cql(&shape);
            let expected = query.expected(&shape, &model);
            prop_assert_eq!(&without_zeros(bench.select(&cql)), &expected, "{}", &cql);
            let budget = ReadBudget { entries, ..ReadBudget::UNLIMITED };
            // Groups in an order of their own come as one page.
            for budget in [ReadBudget::UNLIMITED, budget] {
                if query.sorts(&shape) {
                    continue;
                }
                let paged = without_zeros(bench.paged(&cql, page_size, budget));
                prop_assert_eq!(&paged, &expected, "{} in pages of {}, {:?}", &cql, page_size, budget);
            }
        }
    }
}

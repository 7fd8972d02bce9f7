//! SELECT against a naive model: random rows, random restrictions, whole and page by page.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tholos_grammar::token::Token;
use tholos_storage::read::live::ReadBudget;

use crate::testing::Bench;

const TABLE: &str = "CREATE TABLE m (k int, a int, b int, s int STATIC, v int, PRIMARY KEY (k, a, b)) WITH CLUSTERING ORDER BY (a ASC, b DESC)";

#[derive(Clone, Debug)]
enum Write {
    Insert(i32, i32, i32, Option<i32>),
    Update(i32, i32, i32, Option<i32>),
    Static(i32, Option<i32>),
    DeleteRow(i32, i32, i32),
    DeleteFrom(i32, i32),
    /// Rows of a partition within slices of `(a, b)`, which is of mixed order.
    DeleteSlice(i32, Clustering),
    DeletePartition(i32),
}

/// A row: whether it exists by itself, and its value.
#[derive(Clone, Debug, Default)]
struct Cells {
    inserted: bool,
    value: Option<i32>,
}

#[derive(Clone, Debug, Default)]
struct Partition {
    fixed: Option<i32>,
    /// By `a` and, since it descends, `-b`.
    rows: BTreeMap<(i32, i32), Cells>,
}

type Model = BTreeMap<i32, Partition>;

fn number(value: Option<i32>) -> String {
    value.map_or("null".to_string(), |value| value.to_string())
}

fn apply(write: &Write, at: usize, bench: &mut Bench, model: &mut Model) {
    let cql = match write {
        Write::Insert(k, a, b, v) => {
            let row = model.entry(*k).or_default().rows.entry((*a, -b)).or_default();
            *row = Cells { inserted: true, value: *v };
            format!(
                "INSERT INTO m (k, a, b, v) VALUES ({k}, {a}, {b}, {}) USING TIMESTAMP {at}",
                number(*v)
            )
        }
        Write::Update(k, a, b, v) => {
            let row = model.entry(*k).or_default().rows.entry((*a, -b)).or_default();
            row.value = *v;
            format!(
                "UPDATE m USING TIMESTAMP {at} SET v = {} WHERE k = {k} AND a = {a} AND b = {b}",
                number(*v)
            )
        }
        Write::Static(k, s) => {
            model.entry(*k).or_default().fixed = *s;
            format!("INSERT INTO m (k, s) VALUES ({k}, {}) USING TIMESTAMP {at}", number(*s))
        }
        Write::DeleteRow(k, a, b) => {
            model.entry(*k).or_default().rows.remove(&(*a, -b));
            format!("DELETE FROM m USING TIMESTAMP {at} WHERE k = {k} AND a = {a} AND b = {b}")
        }
        Write::DeleteFrom(k, a) => {
            model.entry(*k).or_default().rows.retain(|(row, _), _| row < a);
            format!("DELETE FROM m USING TIMESTAMP {at} WHERE k = {k} AND a >= {a}")
        }
        Write::DeleteSlice(k, slice) => {
            if let Some(partition) = model.get_mut(k) {
                partition.rows.retain(|(a, b), _| !slice.met(*a, -b));
            }
            let slice = slice.cql().expect("a slice");
            format!("DELETE FROM m USING TIMESTAMP {at} WHERE k = {k} AND {slice}")
        }
        Write::DeletePartition(k) => {
            model.remove(k);
            format!("DELETE FROM m USING TIMESTAMP {at} WHERE k = {k}")
        }
    };
    bench.run(&cql);
    for partition in model.values_mut() {
        partition.rows.retain(|_, row| row.inserted || row.value.is_some());
    }
}

/// What one query asks.
#[derive(Clone, Debug)]
pub(super) struct Query {
    access: Access,
    clustering: Clustering,
    filter: Option<Filter>,
    order: Option<Order>,
    limit: Option<u32>,
    per_partition: Option<u32>,
    distinct: bool,
}

/// ORDER BY the first column, or by both, in the table's order or against it.
#[derive(Clone, Copy, Debug)]
struct Order {
    reverse: bool,
    both: bool,
}

#[derive(Clone, Debug)]
enum Access {
    All,
    One(i32),
    In(Vec<i32>),
    Tokens(i32, i32),
    /// Both.
    InTokens(Vec<i32>, i32, i32),
}

#[derive(Clone, Debug)]
enum Clustering {
    None,
    Equal(i32),
    In(Vec<i32>),
    Range(i32, bool, i32, bool),
    EqualAndAbove(i32, i32),
    Row(i32, i32),
    TupleAbove(i32, i32, bool),
    TupleBelow(i32, i32, bool),
    TupleBetween(i32, i32, i32),
    TupleIn(Vec<(i32, i32)>),
}

#[derive(Clone, Debug)]
enum Filter {
    Value(i32),
    Fixed(i32),
}

fn list(values: &[i32]) -> String {
    values.iter().map(i32::to_string).collect::<Vec<_>>().join(", ")
}

impl Clustering {
    fn cql(&self) -> Option<String> {
        let sign = |sign: &str, equal: &bool| format!("{sign}{}", if *equal { "=" } else { "" });
        Some(match self {
            Clustering::None => return None,
            Clustering::Equal(a) => format!("a = {a}"),
            Clustering::In(values) => format!("a IN ({})", list(values)),
            Clustering::Range(low, from, high, to) => {
                format!("a {} {low} AND a {} {high}", sign(">", from), sign("<", to))
            }
            Clustering::EqualAndAbove(a, b) => format!("a = {a} AND b > {b}"),
            Clustering::Row(a, b) => format!("a = {a} AND b = {b}"),
            Clustering::TupleAbove(a, b, equal) => {
                format!("(a, b) {} ({a}, {b})", sign(">", equal))
            }
            Clustering::TupleBelow(a, b, equal) => {
                format!("(a, b) {} ({a}, {b})", sign("<", equal))
            }
            Clustering::TupleBetween(a, b, high) => {
                format!("(a, b) > ({a}, {b}) AND (a) <= ({high})")
            }
            Clustering::TupleIn(tuples) => {
                let tuples: Vec<String> =
                    tuples.iter().map(|(a, b)| format!("({a}, {b})")).collect();
                format!("(a, b) IN ({})", tuples.join(", "))
            }
        })
    }

    fn met(&self, a: i32, b: i32) -> bool {
        let bound = |order: std::cmp::Ordering, wanted: std::cmp::Ordering, equal: &bool| {
            order == wanted || (*equal && order.is_eq())
        };
        use std::cmp::Ordering::{Greater, Less};
        match self {
            Clustering::None => true,
            Clustering::Equal(value) => a == *value,
            Clustering::In(values) => values.contains(&a),
            Clustering::Range(low, from, high, to) => {
                bound(a.cmp(low), Greater, from) && bound(a.cmp(high), Less, to)
            }
            Clustering::EqualAndAbove(value, low) => a == *value && b > *low,
            Clustering::Row(x, y) => a == *x && b == *y,
            Clustering::TupleAbove(x, y, equal) => bound((a, b).cmp(&(*x, *y)), Greater, equal),
            Clustering::TupleBelow(x, y, equal) => bound((a, b).cmp(&(*x, *y)), Less, equal),
            Clustering::TupleBetween(x, y, high) => (a, b) > (*x, *y) && a <= *high,
            Clustering::TupleIn(tuples) => tuples.contains(&(a, b)),
        }
    }
}

impl Access {
    /// Whether partitions are given by key.
    fn by_key(&self) -> bool {
        !matches!(self, Access::All | Access::Tokens(..))
    }

    /// Whether there may be several of them.
    fn several(&self) -> bool {
        matches!(self, Access::In(_) | Access::InTokens(..))
    }
}

fn token(k: i32) -> i64 {
    Token::of(&k.to_be_bytes()).0
}

impl Query {
    /// Takes out what can't stand together.
    fn tidy(mut self) -> Self {
        let by_key = self.access.by_key();
        if !by_key {
            self.order = None;
        }
        if self.distinct {
            self.clustering = Clustering::None;
            self.order = None;
            self.per_partition = None;
            self.filter = self.filter.filter(|filter| matches!(filter, Filter::Fixed(_)));
        }
        self
    }

    /// Cassandra does not page these either.
    pub(super) fn can_be_paged(&self) -> bool {
        let merges = self.order.is_some() && self.access.several();
        !(merges && self.per_partition.is_some())
    }

    pub(super) fn cql(&self) -> String {
        let mut relations = Vec::new();
        match &self.access {
            Access::All => {}
            Access::One(k) => relations.push(format!("k = {k}")),
            Access::In(keys) => relations.push(format!("k IN ({})", list(keys))),
            Access::Tokens(from, to) => {
                relations.push(format!("token(k) > {} AND token(k) <= token({to})", token(*from)));
            }
            Access::InTokens(keys, from, to) => {
                relations.push(format!("token(k) > {} AND k IN ({})", token(*from), list(keys)));
                relations.push(format!("token(k) <= token({to})"));
            }
        }
        relations.extend(self.clustering.cql());
        match &self.filter {
            Some(Filter::Value(v)) => relations.push(format!("v = {v}")),
            Some(Filter::Fixed(s)) => relations.push(format!("s = {s}")),
            None => {}
        }
        let mut cql = match self.distinct {
            true => "SELECT DISTINCT k, s FROM m".to_string(),
            false => "SELECT k, a, b, s, v FROM m".to_string(),
        };
        if !relations.is_empty() {
            cql.push_str(&format!(" WHERE {}", relations.join(" AND ")));
        }
        match self.order {
            Some(Order { reverse: true, both: true }) => cql.push_str(" ORDER BY a DESC, b ASC"),
            Some(Order { reverse: true, both: false }) => cql.push_str(" ORDER BY a DESC"),
            Some(Order { reverse: false, both: true }) => cql.push_str(" ORDER BY a, b DESC"),
            Some(Order { reverse: false, both: false }) => cql.push_str(" ORDER BY a"),
            None => {}
        }
        if let Some(limit) = self.per_partition {
            cql.push_str(&format!(" PER PARTITION LIMIT {limit}"));
        }
        if let Some(limit) = self.limit {
            cql.push_str(&format!(" LIMIT {limit}"));
        }
        if self.filter.is_some() || (relations_need_filtering(self)) {
            cql.push_str(" ALLOW FILTERING");
        }
        cql
    }

    fn keys(&self, model: &Model) -> Vec<i32> {
        let mut keys: Vec<i32> = match &self.access {
            Access::All | Access::Tokens(..) => model.keys().copied().collect(),
            Access::One(k) => vec![*k],
            Access::In(keys) | Access::InTokens(keys, ..) => keys.clone(),
        };
        match &self.access {
            Access::Tokens(from, to) => {
                keys.retain(|k| token(*k) > token(*from) && token(*k) <= token(*to));
                keys.sort_by_key(|k| token(*k));
            }
            Access::All => keys.sort_by_key(|k| token(*k)),
            Access::InTokens(_, from, to) => {
                keys.retain(|k| token(*k) > token(*from) && token(*k) <= token(*to));
                keys.sort();
                keys.dedup();
            }
            _ => {
                keys.sort();
                keys.dedup();
            }
        }
        keys
    }

    fn expected(&self, model: &Model) -> Vec<Vec<String>> {
        let restricts_rows = !matches!(self.clustering, Clustering::None)
            || matches!(self.filter, Some(Filter::Value(_)));
        let reverse = self.order.is_some_and(|order| order.reverse);
        let mut partitions = Vec::new();
        for k in self.keys(model) {
            let Some(partition) = model.get(&k) else { continue };
            let fixed_met = match self.filter {
                Some(Filter::Fixed(s)) => partition.fixed == Some(s),
                _ => true,
            };
            let mut rows = Vec::new();
            let shown = |place: Option<(i32, i32)>, value: Option<i32>| {
                let (a, b) = (place.map(|(a, _)| a), place.map(|(_, b)| -b));
                let all = [Some(k), a, b, partition.fixed, value].map(number).to_vec();
                (
                    place,
                    if self.distinct {
                        vec![number(Some(k)), number(partition.fixed)]
                    } else {
                        all
                    },
                )
            };
            for (place, row) in &partition.rows {
                let value_met = match self.filter {
                    Some(Filter::Value(v)) => row.value == Some(v),
                    _ => true,
                };
                if fixed_met && value_met && self.clustering.met(place.0, -place.1) {
                    rows.push(shown(Some(*place), row.value));
                }
            }
            if partition.rows.is_empty()
                && partition.fixed.is_some()
                && !restricts_rows
                && fixed_met
            {
                rows.push(shown(None, None));
            }
            if reverse {
                rows.reverse();
            }
            if self.distinct {
                rows.truncate(1);
            }
            rows.truncate(self.per_partition.unwrap_or(u32::MAX) as usize);
            partitions.push(rows);
        }
        let mut rows: Vec<_> = partitions.into_iter().flatten().collect();
        if let (Some(order), true) = (self.order, self.access.several()) {
            // What is equal in what orders it stays as it is: partition by partition.
            let key = |place: &Option<(i32, i32)>| {
                place.map(|(a, b)| (a, if order.both { Some(b) } else { None }))
            };
            rows.sort_by(|(a, _), (b, _)| match reverse {
                true => key(b).cmp(&key(a)),
                false => key(a).cmp(&key(b)),
            });
        }
        rows.truncate(self.limit.unwrap_or(u32::MAX) as usize);
        rows.into_iter().map(|(_, row)| row).collect()
    }
}

fn relations_need_filtering(query: &Query) -> bool {
    !query.access.by_key() && !matches!(query.clustering, Clustering::None)
}

fn small() -> impl Strategy<Value = i32> {
    0..4i32
}

fn writes() -> impl Strategy<Value = Vec<Write>> {
    let value = || prop::option::weighted(0.8, 0..3i32);
    let write = prop_oneof![
        8 => (small(), small(), small(), value()).prop_map(|(k, a, b, v)| Write::Insert(k, a, b, v)),
        3 => (small(), small(), small(), value()).prop_map(|(k, a, b, v)| Write::Update(k, a, b, v)),
        3 => (0..6i32, value()).prop_map(|(k, s)| Write::Static(k, s)),
        2 => (small(), small(), small()).prop_map(|(k, a, b)| Write::DeleteRow(k, a, b)),
        1 => (small(), small()).prop_map(|(k, a)| Write::DeleteFrom(k, a)),
        1 => (small(), tuple_slice()).prop_map(|(k, slice)| Write::DeleteSlice(k, slice)),
        1 => small().prop_map(Write::DeletePartition),
    ];
    prop::collection::vec(write, 0..60)
}

fn tuple_slice() -> impl Strategy<Value = Clustering> {
    prop_oneof![
        (small(), small(), any::<bool>()).prop_map(|(a, b, e)| Clustering::TupleAbove(a, b, e)),
        (small(), small(), any::<bool>()).prop_map(|(a, b, e)| Clustering::TupleBelow(a, b, e)),
        (small(), small(), small()).prop_map(|(a, b, h)| Clustering::TupleBetween(a, b, h)),
    ]
}

fn clustering() -> impl Strategy<Value = Clustering> {
    prop_oneof![
        4 => Just(Clustering::None),
        1 => small().prop_map(Clustering::Equal),
        1 => prop::collection::vec(small(), 0..3).prop_map(Clustering::In),
        1 => (small(), any::<bool>(), small(), any::<bool>())
            .prop_map(|(low, from, high, to)| Clustering::Range(low, from, high, to)),
        1 => (small(), small()).prop_map(|(a, b)| Clustering::EqualAndAbove(a, b)),
        1 => (small(), small()).prop_map(|(a, b)| Clustering::Row(a, b)),
        3 => tuple_slice(),
        1 => prop::collection::vec((small(), small()), 0..4).prop_map(Clustering::TupleIn),
    ]
}

pub(super) fn queries() -> impl Strategy<Value = Query> {
    let access = prop_oneof![
        2 => Just(Access::All),
        3 => small().prop_map(Access::One),
        3 => prop::collection::vec(0..6i32, 0..5).prop_map(Access::In),
        1 => (0..6i32, 0..6i32).prop_map(|(from, to)| Access::Tokens(from, to)),
        1 => (prop::collection::vec(0..6i32, 0..5), 0..6i32, 0..6i32)
            .prop_map(|(keys, from, to)| Access::InTokens(keys, from, to)),
    ];
    let filter = prop_oneof![
        3 => Just(None),
        1 => (0..3i32).prop_map(|v| Some(Filter::Value(v))),
        1 => (0..3i32).prop_map(|s| Some(Filter::Fixed(s))),
    ];
    let order = prop::option::of(
        (any::<bool>(), any::<bool>()).prop_map(|(reverse, both)| Order { reverse, both }),
    );
    let limit = || prop::option::weighted(0.3, 1..6u32);
    (access, clustering(), filter, order, limit(), limit(), prop::bool::weighted(0.15)).prop_map(
        |(access, clustering, filter, order, limit, per_partition, distinct)| {
            Query { access, clustering, filter, order, limit, per_partition, distinct }.tidy()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn select_is_the_models(
        writes in writes(),
        queries in prop::collection::vec((queries(), 1..5i32, 1..6u64), 12),
    ) {
        let mut bench = Bench::new();
        bench.run(TABLE);
        let mut model = Model::new();
        for (at, write) in writes.iter().enumerate() {
            apply(write, at + 1, &mut bench, &mut model);
        }
        for (query, page_size, entries) in queries {
            let cql = query.cql();
            let expected = query.expected(&model);
            prop_assert_eq!(&bench.select(&cql), &expected, "{}", &cql);
            let budget = ReadBudget { entries, ..ReadBudget::UNLIMITED };
            for budget in [ReadBudget::UNLIMITED, budget] {
                if !query.can_be_paged() {
                    continue;
                }
                let paged = bench.paged(&cql, page_size, budget);
                prop_assert_eq!(&paged, &expected, "{} in pages of {}, {:?}", &cql, page_size, budget);
            }
        }
    }
}

/// A marker that ends with all rows of equal order is no row of them: else two partitions would send a page to and fro.
#[test]
fn pages_of_one_entry_pass_markers_behind_equal_rows() {
    let mut bench = Bench::new();
    bench.run(TABLE);
    bench.run(
        "DELETE FROM m WHERE k = 2 AND (a, b) > (0, 0) AND (a) <= (1);
         DELETE FROM m WHERE k = 3 AND (a, b) > (0, 0) AND (a) <= (1);
         INSERT INTO m (k, a, b) VALUES (1, 1, 1);
         INSERT INTO m (k, a, b) VALUES (3, 2, 1)",
    );
    for order in ["a", "a DESC"] {
        let cql = format!("SELECT k, a, b FROM m WHERE k IN (3, 2, 1) ORDER BY {order}");
        let budget = ReadBudget { entries: 1, ..ReadBudget::UNLIMITED };
        assert_eq!(bench.paged(&cql, 1, budget), bench.select(&cql), "{order}");
    }
}

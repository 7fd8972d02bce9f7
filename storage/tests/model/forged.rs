//! Replicas that lie: pages with bounds and bytes that are not as a replica makes them. Whoever merges them gets on, stays
//! within what was asked for, and panics at nothing: [`replica::pages`] asserts it.

use proptest::collection::vec;
use proptest::prelude::*;
use tholos_storage::fuzz::replica;
use tholos_storage::model::read::{AnswerKind, KeyInterval, ReadCommand, ReadLimits};
use tholos_storage::read::page::Page;
use tholos_storage::varint::{encode_i64, encode_slice};

use crate::cases;
use crate::generate::{TABLE, scan_bounds};
use crate::pages::{page, reads, sources, stops, writes};

/// What is done to a bound.
#[derive(Clone, Debug)]
enum Bend {
    Nothing,
    Append(u8),
    /// The last bytes go.
    Cut(usize),
    /// The last byte is another one.
    Last(u8),
    Is(Vec<u8>),
}

impl Bend {
    fn bend(&self, bound: &[u8]) -> Vec<u8> {
        let mut bound = bound.to_vec();
        match self {
            Bend::Nothing => {}
            Bend::Append(byte) => bound.push(*byte),
            Bend::Cut(count) => bound.truncate(bound.len().saturating_sub(*count)),
            Bend::Last(byte) => {
                bound.pop();
                bound.push(*byte);
            }
            Bend::Is(other) => bound.clone_from(other),
        }
        bound
    }
}

fn bends() -> impl Strategy<Value = Bend> {
    let byte = prop_oneof![
        prop::sample::select(vec![0, 1, 0x08, 0x10, 0x20, 0x38, 0x40, 0x60, 0xff]),
        any::<u8>()
    ];
    prop_oneof![
        4 => Just(Bend::Nothing),
        1 => byte.clone().prop_map(Bend::Append),
        1 => (1..6_usize).prop_map(Bend::Cut),
        1 => byte.prop_map(Bend::Last),
        2 => scan_bounds().prop_map(Bend::Is),
    ]
}

/// A page said otherwise.
#[derive(Clone, Debug)]
struct Lie {
    lower: Bend,
    upper: Bend,
    is_cut: Option<bool>,
    /// Bytes of its entries that are others.
    bytes: Vec<(prop::sample::Index, u8)>,
}

fn lies() -> impl Strategy<Value = Lie> {
    let bytes = prop_oneof![
        3 => Just(Vec::new()),
        1 => vec((any::<prop::sample::Index>(), any::<u8>()), 1..3),
    ];
    (bends(), bends(), prop::option::of(any::<bool>()), bytes)
        .prop_map(|(lower, upper, is_cut, bytes)| Lie { lower, upper, is_cut, bytes })
}

/// The bytes of a page as it lies.
fn told(page: &Page, lie: &Lie) -> Vec<u8> {
    let start = page.run().start();
    let begins_inside = !start.partition.is_empty();
    let is_cut = lie.is_cut.unwrap_or(page.is_cut());
    let mut bytes = vec![u8::from(begins_inside) | u8::from(is_cut) << 1];
    encode_slice(&mut bytes, &lie.lower.bend(page.lower()));
    encode_slice(&mut bytes, &lie.upper.bend(page.upper()));
    if begins_inside {
        encode_slice(&mut bytes, &start.partition);
        for deletion in [start.partition_deletion, start.range_deletion] {
            encode_i64(&mut bytes, deletion.timestamp);
            encode_i64(&mut bytes, deletion.deleted_at);
        }
    }
    let mut entries = page.run().bytes().to_vec();
    for (at, byte) in &lie.bytes {
        let at = at.index(entries.len());
        entries[at] = *byte;
    }
    encode_slice(&mut bytes, &entries);
    bytes
}

proptest! {
    #![proptest_config(cases(4_096))]

    #[test]
    fn pages_that_lie_do_no_more_harm_than_what_was_asked_for(
        writes in writes(),
        read in reads(stops()),
        lies in [lies(), lies(), lies()],
    ) {
        let (interval, direction, stops, now) = read;
        prop_assume!(!interval.is_empty());
        let replica = |bit: u8| sources(writes.iter().filter(move |(_, to, _)| to & bit != 0), 2);
        let KeyInterval { lower, upper, partition_len } = interval.clone();
        let command = ReadCommand {
            table: TABLE,
            intervals: vec![KeyInterval { lower, upper, partition_len }],
            direction,
            limits: ReadLimits { rows: None, bytes: u32::MAX },
            now,
            answer: AnswerKind::Data,
        };
        let mut bytes = Vec::new();
        command.encode(&mut bytes);
        for (bit, lie) in [1, 2, 4].into_iter().zip(&lies) {
            let page = page(&replica(bit), &interval, direction, stops, now);
            let lie = told(&page, lie);
            // One that is refused at once is followed by none.
            if Page::decode(&mut lie.as_slice()).is_ok() {
                bytes.extend_from_slice(&lie);
            }
        }
        replica::pages(&bytes);
    }
}

//! A mutation as bytes: the payload of a record of the log, and what nodes send each other.
//!
//! 1 and the table's id (16 bytes), or 0 for the table of the mutation before it in the same list; partition prefix (varint
//! length, bytes), number of updates (varint), then each update: a tag byte and its fields. Deletions are two zigzag
//! varints, positions a varint length and their bytes, rows the same of their head and of their body.

use smallvec::SmallVec;
use uuid::Uuid;

use crate::model::Deletion;
use crate::model::entry::RowBuf;
use crate::model::mutation::{Mutation, Update};
use crate::schema::TableId;
use crate::varint::{decode_i64, decode_slice, decode_u64, encode_i64, encode_slice, encode_u64};

const SAME_TABLE: u8 = 0;
const TABLE: u8 = 1;

const PARTITION: u8 = 0;
const ROW: u8 = 1;
const RANGE: u8 = 2;

/// Appends an encoded mutation. `previous` is the table of the one before it in the same list.
pub fn encode_mutation(out: &mut Vec<u8>, mutation: &Mutation, previous: Option<TableId>) {
    if previous == Some(mutation.table) {
        out.push(SAME_TABLE);
    } else {
        out.push(TABLE);
        out.extend_from_slice(mutation.table.0.as_bytes());
    }
    encode_slice(out, &mutation.partition);
    encode_u64(out, mutation.updates.len() as u64);
    for update in &mutation.updates {
        match update {
            Update::Partition(deletion) => {
                out.push(PARTITION);
                encode_deletion(out, *deletion);
            }
            Update::Row { position, row } => {
                out.push(ROW);
                encode_slice(out, position);
                encode_slice(out, &row.head);
                encode_slice(out, &row.body);
            }
            Update::Range { start, end, deletion } => {
                out.push(RANGE);
                encode_slice(out, start);
                encode_slice(out, end);
                encode_deletion(out, *deletion);
            }
        }
    }
}

/// Decodes a mutation; `None` if the bytes are not exactly one. `previous` as for [`encode_mutation`].
pub fn decode_mutation(mut input: &[u8], previous: Option<TableId>) -> Option<Mutation> {
    let table = decode_table(&mut input, previous)?;
    let partition = SmallVec::from_slice(decode_slice(&mut input)?);
    let count = decode_u64(&mut input)?;
    let mut updates = SmallVec::new();
    for _ in 0..count {
        updates.push(decode_update(&mut input)?);
    }
    input.is_empty().then_some(Mutation { table, partition, updates })
}

/// Decodes the record of a table whose length is at that offset; `None` if it is cut off or no mutation.
pub(crate) fn decode_record(bytes: &[u8], at: usize, table: TableId) -> Option<Mutation> {
    let mut input = bytes.get(at..)?;
    decode_mutation(decode_slice(&mut input)?, Some(table))
}

/// The table of an encoded mutation, and the first 8 bytes of its partition as a number; `None` if they are cut off.
pub(crate) fn peek(mut input: &[u8], previous: Option<TableId>) -> Option<(TableId, u64)> {
    let table = decode_table(&mut input, previous)?;
    let partition = decode_slice(&mut input)?;
    // One that is too short for a token is refused by whoever applies it.
    let token = partition.first_chunk().map_or(0, |token| u64::from_be_bytes(*token));
    Some((table, token))
}

fn decode_table(input: &mut &[u8], previous: Option<TableId>) -> Option<TableId> {
    let (tag, rest) = input.split_first()?;
    *input = rest;
    match *tag {
        SAME_TABLE => previous,
        TABLE => {
            let (id, rest) = input.split_first_chunk::<16>()?;
            *input = rest;
            Some(TableId(Uuid::from_bytes(*id)))
        }
        _ => None,
    }
}

fn decode_update(input: &mut &[u8]) -> Option<Update> {
    let (tag, rest) = input.split_first()?;
    *input = rest;
    Some(match *tag {
        PARTITION => Update::Partition(decode_deletion(input)?),
        ROW => Update::Row {
            position: SmallVec::from_slice(decode_slice(input)?),
            row: decode_row(input)?,
        },
        RANGE => Update::Range {
            start: SmallVec::from_slice(decode_slice(input)?),
            end: SmallVec::from_slice(decode_slice(input)?),
            deletion: decode_deletion(input)?,
        },
        _ => return None,
    })
}

fn decode_row(input: &mut &[u8]) -> Option<RowBuf> {
    let head = SmallVec::from_slice(decode_slice(input)?);
    Some(RowBuf { head, body: decode_slice(input)?.to_vec() })
}

fn encode_deletion(out: &mut Vec<u8>, deletion: Deletion) {
    encode_i64(out, deletion.timestamp);
    encode_i64(out, deletion.deleted_at);
}

fn decode_deletion(input: &mut &[u8]) -> Option<Deletion> {
    Some(Deletion { timestamp: decode_i64(input)?, deleted_at: decode_i64(input)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn mutations() -> impl Strategy<Value = Mutation> {
        let bytes = |max| prop::collection::vec(any::<u8>(), 0..max);
        let deletion = || {
            any::<(i64, i64)>()
                .prop_map(|(timestamp, deleted_at)| Deletion { timestamp, deleted_at })
        };
        let update = prop_oneof![
            deletion().prop_map(Update::Partition),
            (bytes(30), bytes(12), bytes(100)).prop_map(|(position, head, body)| Update::Row {
                position: position.into(),
                row: RowBuf { head: head.into(), body }
            }),
            (bytes(30), bytes(30), deletion()).prop_map(|(start, end, deletion)| {
                Update::Range { start: start.into(), end: end.into(), deletion }
            }),
        ];
        (any::<u128>(), bytes(60), prop::collection::vec(update, 0..4)).prop_map(
            |(table, partition, updates)| Mutation {
                table: TableId(Uuid::from_u128(table)),
                partition: partition.into(),
                updates: updates.into(),
            },
        )
    }

    proptest! {
        #[test]
        fn mutations_come_back_and_cut_off_ones_do_not(
            mutation in mutations(),
            follows_its_table: bool,
            cut: prop::sample::Index,
        ) {
            let previous = follows_its_table.then_some(mutation.table);
            let mut bytes = Vec::new();
            encode_mutation(&mut bytes, &mutation, previous);
            prop_assert_eq!(decode_mutation(&bytes[..cut.index(bytes.len())], previous), None);
            prop_assert_eq!(decode_mutation(&bytes, previous), Some(mutation));
            prop_assert_eq!(decode_mutation(&bytes, None).is_none(), follows_its_table);
        }

        #[test]
        fn any_bytes_are_a_mutation_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            decode_mutation(&bytes, None);
        }
    }
}

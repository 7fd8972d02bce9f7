//! Paging states: where a page ended, given to the client as bytes that it hands back for the next page.
//!
//! ```text
//! state   = version (1), fingerprint (u32 BE), flags, [remaining u32 BE], [remaining in partition u32 BE],
//!           partition length (u32 BE), partition prefix, position length (u32 BE), position, crc32 of all before (BE)
//! flags   = 1: a LIMIT is left, 2: a PER PARTITION LIMIT is left, 4: the partition has shown a row
//! ```
//! A state holds keys, not memory: it stays valid across restarts and on every node. The [`fingerprint`] is that of the
//! statement's way to the rows and of the values bound there, so a state of another statement, or of the same one with
//! other values, is refused; damage is found by the checksum.

use crate::error::QueryError;
use crate::query::select::plan::SelectPlan;
use crate::query::values::Bound;

const VERSION: u8 = 1;
const HAS_REMAINING: u8 = 1;
const HAS_REMAINING_IN_PARTITION: u8 = 2;
const SAW_ROW: u8 = 4;

/// Where a page ended: the next one goes on strictly after this key, in walking direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PagingState {
    /// Of the plan and the values of its WHERE: see [`fingerprint`].
    pub fingerprint: u32,
    /// Prefix of the partition that the last entry belongs to.
    pub partition: Vec<u8>,
    /// The last entry's position in it; empty for a partition that showed only its static row.
    pub position: Vec<u8>,
    /// Whether the partition has had a live row so far.
    pub saw_row: bool,
    /// What is left of LIMIT.
    pub remaining: Option<u32>,
    /// What is left of PER PARTITION LIMIT in that partition.
    pub remaining_in_partition: Option<u32>,
}

/// What tells the paging states of one statement and its values from those of others.
pub fn fingerprint(plan: &SelectPlan, values: &[Bound<'_>]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(plan.fingerprint);
    for value in values.get(plan.where_markers.clone()).unwrap_or_default() {
        match value {
            Bound::Null => hasher.update(&[0]),
            Bound::Unset => hasher.update(&[1]),
            Bound::Bytes(bytes) => {
                hasher.update(&[2]);
                hasher.update(&(bytes.len() as u64).to_be_bytes());
                hasher.update(bytes);
            }
        }
    }
    hasher.finalize()
}

impl PagingState {
    /// The bytes for the client.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(32 + self.partition.len() + self.position.len());
        out.push(VERSION);
        out.extend_from_slice(&self.fingerprint.to_be_bytes());
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        out.push(
            flag(self.remaining.is_some(), HAS_REMAINING)
                | flag(self.remaining_in_partition.is_some(), HAS_REMAINING_IN_PARTITION)
                | flag(self.saw_row, SAW_ROW),
        );
        for count in [self.remaining, self.remaining_in_partition].into_iter().flatten() {
            out.extend_from_slice(&count.to_be_bytes());
        }
        for part in [&self.partition, &self.position] {
            let length = u32::try_from(part.len()).expect("keys are shorter than 4 GiB");
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(part);
        }
        let checksum = crc32fast::hash(&out);
        out.extend_from_slice(&checksum.to_be_bytes());
        out
    }

    /// Reads a state that a client sent with a statement and values of that [`fingerprint`].
    ///
    /// # Errors
    /// [`QueryError::Protocol`] for bytes that are no state of ours; [`QueryError::Invalid`] for another statement's.
    pub fn decode(bytes: &[u8], fingerprint: u32) -> Result<PagingState, QueryError> {
        let (body, checksum) = bytes.split_last_chunk::<4>().ok_or_else(damaged)?;
        if crc32fast::hash(body) != u32::from_be_bytes(*checksum) {
            return Err(damaged());
        }
        let mut rest = body;
        let state = decode_body(&mut rest).filter(|_| rest.is_empty()).ok_or_else(damaged)?;
        if state.fingerprint != fingerprint {
            return Err(QueryError::invalid(
                "the paging state belongs to another statement or to other values: send it only with those that it came from; or start again from the first page, without a state",
            ));
        }
        Ok(state)
    }
}

/// The error of a state whose partition the statement does not read.
pub fn elsewhere() -> QueryError {
    QueryError::invalid(
        "the paging state belongs to a partition that the statement does not read: send it with the values that it came from, or start again without one",
    )
}

fn decode_body(rest: &mut &[u8]) -> Option<PagingState> {
    let [version] = take(rest)?;
    if version != VERSION {
        return None;
    }
    let fingerprint = u32::from_be_bytes(take(rest)?);
    let [flags] = take(rest)?;
    if flags & !(HAS_REMAINING | HAS_REMAINING_IN_PARTITION | SAW_ROW) != 0 {
        return None;
    }
    let mut count = |flag: u8| match flags & flag != 0 {
        true => take(rest).map(|bytes| Some(u32::from_be_bytes(bytes))),
        false => Some(None),
    };
    let (remaining, remaining_in_partition) =
        (count(HAS_REMAINING)?, count(HAS_REMAINING_IN_PARTITION)?);
    let mut part = || {
        let length = usize::try_from(u32::from_be_bytes(take(rest)?)).ok()?;
        let (part, after) = rest.split_at_checked(length)?;
        *rest = after;
        Some(part.to_vec())
    };
    let (partition, position) = (part()?, part()?);
    let saw_row = flags & SAW_ROW != 0;
    Some(PagingState {
        fingerprint,
        partition,
        position,
        saw_row,
        remaining,
        remaining_in_partition,
    })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*taken)
}

fn damaged() -> QueryError {
    QueryError::Protocol(
        "Invalid value for the paging state: it is damaged, or not from this server; send it unchanged, or start again without one"
            .to_string(),
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn states() -> impl Strategy<Value = PagingState> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..40);
        (any::<u32>(), bytes(), bytes(), any::<bool>(), any::<Option<u32>>(), any::<Option<u32>>())
            .prop_map(|(fingerprint, partition, position, saw_row, remaining, per_partition)| {
                PagingState {
                    fingerprint,
                    partition,
                    position,
                    saw_row,
                    remaining,
                    remaining_in_partition: per_partition,
                }
            })
    }

    proptest! {
        #[test]
        fn states_come_back(state in states()) {
            let bytes = state.encode();
            prop_assert_eq!(PagingState::decode(&bytes, state.fingerprint).unwrap(), state);
        }

        #[test]
        fn damage_is_found(state in states(), at: prop::sample::Index, bit in 0u8..8) {
            let mut bytes = state.encode();
            let at = at.index(bytes.len());
            bytes[at] ^= 1 << bit;
            prop_assert!(PagingState::decode(&bytes, state.fingerprint).is_err());
            bytes[at] ^= 1 << bit;
            bytes.truncate(at);
            prop_assert!(PagingState::decode(&bytes, state.fingerprint).is_err());
        }

        #[test]
        fn arbitrary_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(PagingState::decode(&bytes, 7).is_err());
        }
    }

    #[test]
    fn another_statements_state_is_refused() {
        let state = PagingState {
            fingerprint: 1,
            partition: vec![1],
            position: vec![],
            saw_row: false,
            remaining: None,
            remaining_in_partition: None,
        };
        let error = PagingState::decode(&state.encode(), 2).unwrap_err();
        assert!(error.to_string().contains("another statement"), "{error}");
    }
}

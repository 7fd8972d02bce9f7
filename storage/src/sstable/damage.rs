//! Damage: what of a file can't be read, and which keys that concerns.
//!
//! A [`DamageLog`] belongs to one file and remembers what reads, compactions and verification found in it, for as long
//! as the file is open. Damage that takes no keys away (in the filter or the statistics) is remembered too: reads go on
//! without, and a compaction makes it good.

use std::fmt;

use parking_lot::Mutex;

use crate::StorageError;
use crate::model::Timestamp;
use crate::model::position::token_of;

/// More damage than this is not listed for one file: it is beyond help anyway.
const MAX_LISTED: usize = 256;

/// A part of a file that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where in the file.
    pub offset: u64,
    /// What does not hold.
    pub what: String,
    /// The keys that are lost here; `None` if none are.
    pub keys: Option<KeyRange>,
}

/// Keys from `lower` on and before `upper`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// At or before the first key; may be only the beginning of one.
    pub lower: Vec<u8>,
    /// After the last key; may be only the beginning of one. `None`: to the end of the file.
    pub upper: Option<Vec<u8>>,
}

impl KeyRange {
    /// Every key.
    pub const ALL: KeyRange = KeyRange { lower: Vec::new(), upper: None };

    /// The tokens that the keys may have, both inclusive.
    pub fn tokens(&self) -> (i64, i64) {
        let first = token_of(&padded(&self.lower));
        let last = match &self.upper {
            None => i64::MAX,
            // No key is as short as a token: one that begins with exactly these 8 bytes is not before the bound.
            Some(upper) if upper.len() <= 8 => token_of(&padded(upper)).saturating_sub(1),
            Some(upper) => token_of(upper),
        };
        (first, last.max(first))
    }

    /// Brought within what a file's statistics say are its least and greatest key.
    #[must_use]
    pub fn within(mut self, min_key: &[u8], max_key: &[u8]) -> KeyRange {
        if self.lower.as_slice() < min_key {
            self.lower = min_key.to_vec();
        }
        let after_last = [max_key, &[0]].concat();
        if self.upper.as_ref().is_none_or(|upper| *upper > after_last) {
            self.upper = Some(after_last);
        }
        self
    }
}

fn padded(bound: &[u8]) -> Vec<u8> {
    let mut bytes = bound.to_vec();
    bytes.resize(bound.len().max(8), 0);
    bytes
}

/// Damage, and when it was found first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundDamage {
    /// The damage.
    pub damage: Damage,
    /// When, in microseconds since 1970.
    pub found_at: Timestamp,
}

/// What was found to be damaged in one file.
pub struct DamageLog {
    now: Box<dyn Fn() -> Timestamp + Send + Sync>,
    found: Mutex<Vec<FoundDamage>>,
}

impl DamageLog {
    /// Nothing yet; `now` tells the time in microseconds.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        DamageLog { now: Box::new(now), found: Mutex::new(Vec::new()) }
    }

    /// What was found, in the order of offsets.
    pub fn found(&self) -> Vec<FoundDamage> {
        self.found.lock().clone()
    }

    /// Whether keys were lost.
    pub fn lost_keys(&self) -> bool {
        self.found.lock().iter().any(|found| found.damage.keys.is_some())
    }

    /// Remembers damage, unless something at its offset is known to be damaged. Whether it is new.
    pub fn note(&self, damage: Damage) -> bool {
        let mut found = self.found.lock();
        let place = found.binary_search_by_key(&damage.offset, |known| known.damage.offset);
        let Err(place) = place else { return false };
        if found.len() >= MAX_LISTED {
            return false;
        }
        found.insert(place, FoundDamage { damage, found_at: (self.now)() });
        true
    }

    /// Whether something at that offset is known to be damaged.
    pub(super) fn knows(&self, offset: u64) -> bool {
        self.found.lock().binary_search_by_key(&offset, |known| known.damage.offset).is_ok()
    }
}

impl Default for DamageLog {
    fn default() -> Self {
        DamageLog::new(|| 0)
    }
}

impl fmt::Debug for DamageLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("DamageLog").field(&self.found.lock()).finish()
    }
}

/// Offset and description of an error that says that a file is damaged.
pub(super) fn corruption(error: &StorageError) -> Option<(u64, &str)> {
    match error {
        StorageError::Corrupt { offset, what, .. } => Some((*offset, what)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::position::token_prefix;

    #[test]
    fn a_range_of_keys_has_tokens() {
        assert_eq!(KeyRange::ALL.tokens(), (i64::MIN, i64::MAX));
        let lower = [&token_prefix(5)[..], b"key"].concat();
        let upto = |upper: &[u8]| KeyRange { lower: lower.clone(), upper: Some(upper.to_vec()) };
        assert_eq!(upto(&token_prefix(9)).tokens(), (5, 8));
        assert_eq!(upto(&[&token_prefix(9)[..], b"a"].concat()).tokens(), (5, 9));
        // A bound that is cut off after its first bytes.
        let cut = KeyRange { lower: vec![0x80], upper: Some(vec![0x80, 0, 1]) };
        assert_eq!(cut.tokens(), (0, (1 << 40) - 1));
    }

    #[test]
    fn each_place_is_noted_once_and_only_lost_keys_count_as_lost() {
        let log = DamageLog::new(|| 7);
        let at = |offset, keys| Damage { offset, what: "bad".into(), keys };
        assert!(log.note(at(30, None)) && !log.lost_keys());
        assert!(log.note(at(10, Some(KeyRange::ALL))) && log.lost_keys());
        assert!(!log.note(at(30, Some(KeyRange::ALL))));
        let offsets: Vec<_> =
            log.found().iter().map(|found| (found.damage.offset, found.found_at)).collect();
        assert_eq!(offsets, [(10, 7), (30, 7)]);
    }
}

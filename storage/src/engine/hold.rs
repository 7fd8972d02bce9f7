//! Holds: ranges of a table in which nothing is purged, since older data may still be on its way in (spec 4.2).
//!
//! A tombstone that hides what is inbound must stay until that is there. While a hold lasts, compactions keep every
//! deletion in its ranges, and no file of the table goes for having expired (but where the table's options say that
//! files go whatever they hide). A compaction that was past a partition before the hold began has forgotten what was
//! old enough then, as if it had finished before.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Engine;
use crate::StorageError;
use crate::model::token_range::TokenRanges;
use crate::planted::planted;
use crate::schema::TableId;

/// The holds of one table.
#[derive(Debug, Default)]
pub(super) struct Holds(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    next: u64,
    ranges: BTreeMap<u64, TokenRanges>,
}

impl Holds {
    pub(super) fn any(&self) -> bool {
        !planted!(IgnorePurgeHolds) && !self.0.lock().ranges.is_empty()
    }

    pub(super) fn hold(&self, token: i64) -> bool {
        !planted!(IgnorePurgeHolds)
            && self.0.lock().ranges.values().any(|ranges| ranges.contains(token))
    }
}

/// Keeps deletions in some ranges of a table from being purged, until it is dropped.
pub struct PurgeHold {
    engine: Engine,
    table: TableId,
    holds: Arc<Holds>,
    number: u64,
}

impl Engine {
    /// Keeps deletions of a table in these ranges from being purged: for as long as data may come from elsewhere that
    /// they hide.
    ///
    /// # Errors
    /// `UnknownTable`.
    pub fn hold_purges(
        &self,
        id: TableId,
        ranges: &TokenRanges,
    ) -> Result<PurgeHold, StorageError> {
        let holds = Arc::clone(&self.table(id)?.holds);
        let number = {
            let mut held = holds.0.lock();
            held.next += 1;
            let number = held.next;
            held.ranges.insert(number, ranges.clone());
            number
        };
        Ok(PurgeHold { engine: self.clone(), table: id, holds, number })
    }
}

impl Drop for PurgeHold {
    fn drop(&mut self) {
        self.holds.0.lock().ranges.remove(&self.number);
        self.engine.0.signals.want_compaction();
    }
}

impl fmt::Debug for PurgeHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PurgeHold({}, {})", self.table, self.number)
    }
}

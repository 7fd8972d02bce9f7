//! Bound values: what a request brings for a statement's markers.

use std::cell::Cell;

use smallvec::SmallVec;
use tholos_grammar::consistency::Consistency;

use crate::config::TimestampsConfig;
use crate::error::QueryError;

/// The value of one marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound<'a> {
    /// Explicit null.
    Null,
    /// "Not set": leave the column as it is.
    Unset,
    /// The protocol's bytes.
    Bytes(&'a [u8]),
}

/// The values of a statement's markers, by marker position (values bound by name are put in order beforehand).
pub type BoundValues<'a> = SmallVec<[Bound<'a>; 16]>;

/// What a request says beside its statement and values.
#[derive(Clone, Copy, Debug)]
pub struct RequestOptions<'a> {
    /// Consistency level.
    pub consistency: Consistency,
    /// Consistency of the Paxos phase.
    pub serial_consistency: Consistency,
    /// Rows per page; none: unlimited.
    pub page_size: Option<i32>,
    /// Where to go on, as an earlier page said.
    pub paging_state: Option<&'a [u8]>,
    /// The client's timestamp, in microseconds.
    pub timestamp: Option<i64>,
    /// Seconds to take for "now" (protocol v5), for tests of expiry.
    pub now_in_seconds: Option<i32>,
    /// The client knows the result's metadata.
    pub skip_metadata: bool,
}

/// Which timestamps of clients one request may bring, and the last one that is worth a warning.
#[derive(Clone, Debug)]
pub struct TimestampWatch {
    /// Ahead of the request's time by more microseconds than this: refused.
    pub refuse_ahead: i64,
    /// Ahead by more than this: warned of.
    pub warn_ahead: i64,
    /// A timestamp to warn of.
    pub ahead: Cell<Option<i64>>,
}

impl Default for TimestampWatch {
    /// Takes every timestamp.
    fn default() -> Self {
        TimestampWatch { refuse_ahead: i64::MAX, warn_ahead: i64::MAX, ahead: Cell::new(None) }
    }
}

impl TimestampWatch {
    /// A watch for limits in seconds; 0 for none.
    pub fn new(config: &TimestampsConfig) -> Self {
        let micros = |seconds: u32| match seconds {
            0 => i64::MAX,
            seconds => i64::from(seconds) * MICROS_PER_SECOND,
        };
        let (refuse_ahead, warn_ahead) =
            (micros(config.refuse_ahead_s), micros(config.warn_ahead_s));
        TimestampWatch { refuse_ahead, warn_ahead, ..TimestampWatch::default() }
    }

    /// Takes a client's timestamp, or not.
    ///
    /// # Errors
    /// [`QueryError::Invalid`] for one too far ahead of `now`, the request's time.
    pub fn check(&self, timestamp: i64, now: i64) -> Result<i64, QueryError> {
        let ahead = timestamp.saturating_sub(now);
        if ahead <= self.warn_ahead.min(self.refuse_ahead) {
            return Ok(timestamp);
        }
        if ahead > self.refuse_ahead {
            return Err(QueryError::invalid(format!(
                "timestamp {timestamp} is {} ahead of this node's clock, more than the {} s it may be \
                 (timestamps.refuse_ahead_s): nothing was written. Timestamps are microseconds since 1970: is it in \
                 another unit, or is the client's clock wrong?",
                span(ahead),
                self.refuse_ahead / MICROS_PER_SECOND
            )));
        }
        self.ahead.set(Some(timestamp));
        Ok(timestamp)
    }

    /// What to say of the timestamp that is worth a warning, if there was one.
    pub fn warning(&self, now: i64) -> Option<String> {
        let timestamp = self.ahead.get()?;
        Some(format!(
            "timestamp {timestamp} is {} ahead of this node's clock: until then, writes with the time of their making do \
             not change what was written with it. Check the client's clock",
            span(timestamp.saturating_sub(now))
        ))
    }
}

const MICROS_PER_SECOND: i64 = 1_000_000;

/// A time span for people.
fn span(micros: i64) -> String {
    match micros / MICROS_PER_SECOND {
        seconds if seconds < 2 * 3600 => format!("{seconds} s"),
        seconds if seconds < 48 * 3600 => format!("{} h", seconds / 3600),
        seconds => format!("{} days", seconds / 86_400),
    }
}

/// The time of one request: read once from the node's clock, used everywhere.
#[derive(Clone, Copy, Debug)]
pub struct RequestTime {
    /// Microseconds since 1970: the timestamp of writes that bring none.
    pub micros: i64,
    /// Seconds since 1970: what expiry is compared with.
    pub seconds: i64,
}

//! How fast background work may write: as slow as it can keep up with.

use crate::engine::Clock;

/// Below this backlog the configured rate holds; above it the rate grows with the backlog.
const CALM_BYTES: u64 = 256 << 20;
/// Above this backlog nothing is held back any more.
const URGENT_BYTES: u64 = 4 << 30;
/// How often the clock is looked at.
const STEP_BYTES: u64 = 256 << 10;
/// Never asleep for longer, so that a stop is noticed and a clock that jumps does no harm.
const LONGEST_SLEEP_MICROS: u64 = 250_000;

/// The rate for a backlog, in bytes per second; `None` is as fast as it goes. A `calm` rate of 0 sets no limit.
pub fn bytes_per_second(calm: u64, backlog: u64) -> Option<u64> {
    if calm == 0 || backlog >= URGENT_BYTES {
        return None;
    }
    let factor = backlog.max(CALM_BYTES) as f64 / CALM_BYTES as f64;
    Some((calm as f64 * factor) as u64)
}

/// Holds a thread to a rate by letting it sleep.
#[derive(Debug, Default)]
pub struct Pace {
    /// Since the clock was last looked at.
    bytes: u64,
    /// When the thread is ahead of its rate: until then, in microseconds since 1970.
    due: i64,
}

impl Pace {
    /// So many bytes were written; for how many microseconds to sleep now. `rate` is asked when the clock is looked at.
    pub fn moved(
        &mut self,
        bytes: u64,
        clock: &dyn Clock,
        rate: impl FnOnce() -> Option<u64>,
    ) -> Option<u64> {
        self.bytes += bytes;
        if self.bytes < STEP_BYTES {
            return None;
        }
        let moved = std::mem::take(&mut self.bytes);
        let rate = rate()?.max(1);
        let now = clock.now_micros();
        let takes = i64::try_from(moved.saturating_mul(1_000_000) / rate).unwrap_or(i64::MAX / 2);
        // Time that was not used is not saved up: a pause must not be followed by a burst. Nor does a clock that was set
        // back make it wait for long.
        let latest = now.saturating_add(LONGEST_SLEEP_MICROS as i64);
        self.due = self.due.clamp(now.saturating_sub(takes), latest).saturating_add(takes);
        let ahead = u64::try_from(self.due - now).unwrap_or(0);
        Some(ahead.min(LONGEST_SLEEP_MICROS))
    }
}

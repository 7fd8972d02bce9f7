//! Back-pressure: what writers are told when flushes and compactions do not keep up.
//!
//! Between the limit of memory and twice as much, each writer is to pause a little, longer the fuller it gets, so that
//! what comes in falls to what flushes take out. At twice the limit nothing more is admitted. No thread is made to wait
//! here: who may block does so in [`Engine::wait_for_room`], who may not looks again.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::{BackgroundDriver, Engine};

/// The longest pause, when memory is full.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);
/// Up to this share of the limit a flush is merely under way.
const CALM_MEMORY: f64 = 1.25;
/// At this share of the limit nothing is admitted.
const FULL_MEMORY: f64 = 2.0;
/// Bytes to be compacted up to which compactions merely have work, and those at which writers pause longest.
const CALM_BACKLOG: f64 = (16_u64 << 30) as f64;
const FULL_BACKLOG: f64 = (64_u64 << 30) as f64;

/// The pause for memtables of that share of their limit, and so many bytes to be compacted.
pub(super) fn pause(memory: f64, backlog: f64) -> Duration {
    let share = |value: f64, calm: f64, full: f64| ((value - calm) / (full - calm)).clamp(0.0, 1.0);
    let memory = share(memory, CALM_MEMORY, FULL_MEMORY);
    let backlog = share(backlog, CALM_BACKLOG, FULL_BACKLOG);
    // Gentle at first: most peaks are over before it hurts.
    let pressure = memory.max(backlog).powi(2);
    LONGEST_PAUSE.mul_f64(pressure)
}

impl Engine {
    /// Whether there is room in memory for more writes. A statement that was begun when there was goes through.
    pub fn admits_writes(&self) -> bool {
        let context = &self.0.context;
        !context.is_full()
    }

    /// How long a writer is to pause after its last write before its next: zero, unless flushes or compactions lag.
    pub fn write_pause(&self) -> Duration {
        let context = &self.0.context;
        let backlog = context.backlog_bytes.load(Ordering::Relaxed) as f64;
        pause(context.memory_share(), backlog)
    }

    /// Blocks until there is room for more writes, for at most about that long; whether there is.
    pub fn wait_for_room(&self, limit: Duration) -> bool {
        if self.admits_writes() {
            return true;
        }
        if self.0.context.options.background == BackgroundDriver::Caller {
            return self.0.make_room().is_ok() && self.admits_writes();
        }
        self.0.signals.want_flush();
        self.0.signals.wait_for_room(limit, || !self.admits_writes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_with_what_lags() {
        assert_eq!(pause(1.2, 0.0), Duration::ZERO);
        assert_eq!(pause(1.0, 10e9), Duration::ZERO);
        assert_eq!(pause(2.0, 0.0), LONGEST_PAUSE);
        assert_eq!(pause(9.0, 0.0), LONGEST_PAUSE);
        assert_eq!(pause(0.0, FULL_BACKLOG), LONGEST_PAUSE);
        let pauses: Vec<Duration> =
            (12..=20).map(|tenth| pause(f64::from(tenth) / 10.0, 0.0)).collect();
        assert!(pauses.is_sorted(), "{pauses:?}");
        assert!(pauses[3] < Duration::from_millis(15), "gentle at first: {pauses:?}");
    }
}

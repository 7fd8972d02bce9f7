//! The node's clock: the wall's time, made to never stand still or go back.
//!
//! Timestamps decide which write wins, so two requests of one node must never get the same one, and a wall clock that
//! steps back must not make later writes lose. The clock is hybrid: `max(wall, last + 1)`.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::query::values::RequestTime;

/// Where the wall's time comes from.
pub trait Wall: Send + Sync {
    /// Microseconds since 1970.
    fn micros(&self) -> i64;
}

/// The operating system's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemWall;

impl Wall for SystemWall {
    fn micros(&self) -> i64 {
        SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
    }
}

/// A clock that a test sets.
#[derive(Debug, Default)]
pub struct ManualWall {
    micros: AtomicI64,
}

impl ManualWall {
    /// Shows this time until it is set again.
    pub fn at(micros: i64) -> ManualWall {
        ManualWall { micros: AtomicI64::new(micros) }
    }

    /// Sets the time.
    pub fn set(&self, micros: i64) {
        self.micros.store(micros, Ordering::Relaxed);
    }

    /// Moves the time on.
    pub fn advance(&self, micros: i64) {
        self.micros.fetch_add(micros, Ordering::Relaxed);
    }
}

impl Wall for ManualWall {
    fn micros(&self) -> i64 {
        self.micros.load(Ordering::Relaxed)
    }
}

impl<W: Wall + ?Sized> Wall for std::sync::Arc<W> {
    fn micros(&self) -> i64 {
        (**self).micros()
    }
}

/// The hybrid clock.
pub struct HybridClock {
    wall: Box<dyn Wall>,
    last: AtomicI64,
}

impl HybridClock {
    /// A clock over this wall.
    pub fn new(wall: impl Wall + 'static) -> HybridClock {
        HybridClock { wall: Box::new(wall), last: AtomicI64::new(0) }
    }

    /// The next timestamp: follows the wall, and is greater than every one before it.
    pub fn next(&self) -> RequestTime {
        let wall = self.wall.micros();
        let previous = self
            .last
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(wall.max(last + 1)))
            .unwrap_or(wall);
        RequestTime { micros: wall.max(previous + 1), seconds: wall.div_euclid(1_000_000) }
    }

    /// The wall's time, which may stand still or step back.
    pub fn wall_micros(&self) -> i64 {
        self.wall.micros()
    }
}

impl std::fmt::Debug for HybridClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HybridClock").field("last", &self.last).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn time_grows_while_the_wall_stands_still_or_steps_back() {
        let wall = Arc::new(ManualWall::at(5_000_000));
        let clock = HybridClock::new(Arc::clone(&wall));
        assert_eq!(clock.next().micros, 5_000_000);
        assert_eq!(clock.next().micros, 5_000_001);
        wall.set(1_000_000);
        let time = clock.next();
        assert_eq!((time.micros, time.seconds), (5_000_002, 1));
        wall.set(9_000_000);
        assert_eq!(clock.next().micros, 9_000_000);
    }

    #[test]
    fn no_timestamp_is_given_twice() {
        let clock = Arc::new(HybridClock::new(ManualWall::at(1)));
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let clock = Arc::clone(&clock);
                std::thread::spawn(move || (0..1000).map(|_| clock.next().micros).collect())
            })
            .collect();
        let mut all: Vec<i64> = Vec::new();
        for thread in threads {
            let mine: Vec<i64> = thread.join().unwrap();
            assert!(mine.is_sorted());
            all.extend(mine);
        }
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), 4000);
    }
}

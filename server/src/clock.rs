//! The node's clock: the wall's time, made to never stand still or go back, across restarts too.
//!
//! Timestamps decide which write wins, so two requests of one node must never get the same one, and a wall clock that
//! steps back must not make later writes lose. The clock is hybrid: `max(wall, last + 1)`.
//!
//! Of the last run it knows a *ceiling* that is kept on disk: no write got a timestamp above it. It is raised
//! [`STEP_MICROS`] ahead, at the side, so that writes do not wait for it; only the first one after a long rest does. A
//! new run begins at the highest timestamp in the data that is not above the ceiling (those above are clients').

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use tholos_storage::StorageError;
use tholos_storage::engine::BackgroundDriver;
use tholos_storage::model::Timestamp;

use crate::identity::NodeStore;
use crate::query::values::RequestTime;

/// How far ahead the ceiling is kept.
pub const STEP_MICROS: i64 = 10_000_000;

/// Where time comes from: all of it, so that a node can be run on a time that a test has in its hand.
pub trait Wall: Send + Sync {
    /// Microseconds since 1970, as the wall shows them.
    fn micros(&self) -> i64;
    /// A moment on a clock that never stands still or goes back, whatever the wall does: for how long something took.
    fn instant(&self) -> Instant;
}

/// A moment after which a request is given up, on the clock that knows whether it is there.
#[derive(Clone, Copy)]
pub struct Deadline<'a> {
    wall: &'a dyn Wall,
    /// The moment.
    pub at: Instant,
}

impl<'a> Deadline<'a> {
    /// That moment on that clock.
    pub fn new(wall: &'a dyn Wall, at: Instant) -> Deadline<'a> {
        Deadline { wall, at }
    }

    /// The moment of now.
    pub fn now(&self) -> Instant {
        self.wall.instant()
    }

    /// Whether the time is over.
    pub fn is_over(&self) -> bool {
        self.now() >= self.at
    }

    /// This one, or that in so long if it is sooner.
    #[must_use]
    pub fn or_in(self, span: Duration) -> Deadline<'a> {
        Deadline { at: self.at.min(self.now() + span), ..self }
    }
}

impl std::fmt::Debug for Deadline<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Deadline").field(&self.at).finish()
    }
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

    fn instant(&self) -> Instant {
        Instant::now()
    }
}

/// A clock that a test sets.
#[derive(Debug)]
pub struct ManualWall {
    micros: AtomicI64,
    /// Only what passed since is ever looked at.
    began: Instant,
    passed_micros: AtomicU64,
}

impl ManualWall {
    /// Shows this time until it is set again.
    pub fn at(micros: i64) -> ManualWall {
        ManualWall {
            micros: AtomicI64::new(micros),
            began: Instant::now(),
            passed_micros: AtomicU64::new(0),
        }
    }

    /// Sets what the wall shows, as its owner might: no time passes by that.
    pub fn set(&self, micros: i64) {
        self.micros.store(micros, Ordering::Relaxed);
    }

    /// Moves what the wall shows, forward or back. Time that goes by is never less than none.
    pub fn advance(&self, micros: i64) {
        self.micros.fetch_add(micros, Ordering::Relaxed);
        let passed = u64::try_from(micros).unwrap_or(0);
        self.passed_micros.fetch_add(passed, Ordering::Relaxed);
    }
}

impl Wall for ManualWall {
    fn micros(&self) -> i64 {
        self.micros.load(Ordering::Relaxed)
    }

    fn instant(&self) -> Instant {
        self.began + Duration::from_micros(self.passed_micros.load(Ordering::Relaxed))
    }
}

impl<W: Wall + ?Sized> Wall for std::sync::Arc<W> {
    fn micros(&self) -> i64 {
        (**self).micros()
    }

    fn instant(&self) -> Instant {
        (**self).instant()
    }
}

/// The hybrid clock.
pub struct HybridClock {
    wall: Box<dyn Wall>,
    last: AtomicI64,
    ceiling: Arc<Ceiling>,
}

impl HybridClock {
    /// A clock over this wall, that goes on after `last` and keeps its ceiling in `store`. A node whose disk is full starts
    /// without. `driver` says who raises the ceiling ahead of need.
    pub fn open(
        wall: impl Wall + 'static,
        last: Timestamp,
        store: NodeStore,
        driver: BackgroundDriver,
    ) -> HybridClock {
        let behind = last.saturating_sub(wall.micros());
        if behind > MAX_SILENT_LAG_MICROS {
            tracing::warn!(
                "this machine's clock is {} s behind what this node wrote in its last run: was it set back? Timestamps of \
                 writes that bring none go on from there, a microsecond each, until the clock has caught up; expiry \
                 follows the clock",
                behind / 1_000_000
            );
        }
        let ceiling = Ceiling {
            driver,
            store: Mutex::new(store),
            covered: AtomicI64::new(0),
            raise_above: AtomicI64::new(0),
            raising: AtomicBool::new(false),
            raise_to: AtomicI64::new(0),
        };
        ceiling.raise_or_tell(wall.micros().max(last));
        HybridClock { wall: Box::new(wall), last: AtomicI64::new(last), ceiling: Arc::new(ceiling) }
    }

    /// Makes sure that a timestamp it gave out is below the ceiling on disk, before anything is written with it. Nearly
    /// always it is.
    pub fn cover(&self, timestamp: Timestamp) {
        if timestamp > self.ceiling.raise_above.load(Ordering::Relaxed) {
            self.ceiling.cover(timestamp);
        }
    }

    /// Raises the ceiling, if that is the caller's and it is time; whether it was.
    pub fn background_step(&self) -> bool {
        self.ceiling.driver == BackgroundDriver::Caller && self.ceiling.raise_at_side()
    }

    /// Ends a run: what was given out last is the ceiling.
    ///
    /// # Errors
    /// It can't be written; the next run goes on from the data.
    pub fn close(&self) -> Result<(), StorageError> {
        let mut store = self.ceiling.store.lock();
        // Whoever is about to raise it finds that there is no need.
        self.ceiling.raise_above.store(i64::MAX, Ordering::Relaxed);
        store.keep_clock(self.last.load(Ordering::Relaxed))
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

    /// A moment on the clock that never goes back.
    pub fn instant(&self) -> Instant {
        self.wall.instant()
    }

    /// What must be done by then.
    pub fn deadline(&self, at: Instant) -> Deadline<'_> {
        Deadline::new(&*self.wall, at)
    }
}

/// A clock that is less behind needs no words: machines correct theirs all the time.
const MAX_SILENT_LAG_MICROS: i64 = 1_000_000;

/// The highest timestamp that may be given out, as the disk has it.
struct Ceiling {
    driver: BackgroundDriver,
    store: Mutex<NodeStore>,
    /// The ceiling on disk.
    covered: AtomicI64,
    /// A timestamp above this has the ceiling raised.
    raise_above: AtomicI64,
    /// Somebody raises it at the side.
    raising: AtomicBool,
    /// The timestamp that it is raised for.
    raise_to: AtomicI64,
}

impl Ceiling {
    fn cover(self: &Arc<Self>, timestamp: Timestamp) {
        if timestamp > self.covered.load(Ordering::Acquire) {
            self.raise_or_tell(timestamp);
        } else if !self.raising.swap(true, Ordering::AcqRel) {
            self.raise_to.store(timestamp, Ordering::Relaxed);
            if self.driver == BackgroundDriver::Caller {
                return;
            }
            let ceiling = Arc::clone(self);
            let raise = move || {
                ceiling.raise_at_side();
            };
            // Without a thread the next one to ask does it, or waits for it in the end.
            if std::thread::Builder::new().name("clock".into()).spawn(raise).is_err() {
                self.raising.store(false, Ordering::Release);
            }
        }
    }

    /// Raises it if that was asked for; whether it was.
    fn raise_at_side(&self) -> bool {
        if !self.raising.load(Ordering::Acquire) {
            return false;
        }
        self.raise_or_tell(self.raise_to.load(Ordering::Relaxed));
        self.raising.store(false, Ordering::Release);
        true
    }

    /// Writes go on without it: they have worse to fear from such a disk.
    fn raise_or_tell(&self, timestamp: Timestamp) {
        if let Err(error) = self.raise(timestamp) {
            tracing::warn!(%error, "the clock's time can't be kept: after a restart with a clock that was set back, older writes may win");
            self.raise_above.fetch_max(timestamp + STEP_MICROS, Ordering::Relaxed);
        }
    }

    fn raise(&self, timestamp: Timestamp) -> Result<(), StorageError> {
        let mut store = self.store.lock();
        if timestamp <= self.raise_above.load(Ordering::Relaxed) {
            return Ok(());
        }
        let ceiling = timestamp.saturating_add(STEP_MICROS);
        store.keep_clock(ceiling)?;
        self.covered.store(ceiling, Ordering::Release);
        self.raise_above.store(ceiling - STEP_MICROS / 2, Ordering::Relaxed);
        Ok(())
    }
}

impl std::fmt::Debug for HybridClock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HybridClock").field("last", &self.last).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tholos_storage::fs::Fs;
    use tholos_storage::fs::memory::MemoryFs;

    use super::*;
    use crate::identity;

    fn memory() -> Arc<dyn Fs> {
        let fs: Arc<dyn Fs> = Arc::new(MemoryFs::default());
        fs.create_dir_all(Path::new("/data")).unwrap();
        fs
    }

    fn open(fs: &Arc<dyn Fs>, wall: impl Wall + 'static, last: Timestamp) -> HybridClock {
        let store = NodeStore::open(Arc::clone(fs), Path::new("/data"), "a", &mut || 1).unwrap();
        HybridClock::open(wall, last, store, BackgroundDriver::Threads)
    }

    fn kept(fs: &Arc<dyn Fs>) -> Timestamp {
        identity::read(&**fs, Path::new("/data")).unwrap().unwrap().clock_ceiling
    }

    #[test]
    fn time_grows_while_the_wall_stands_still_or_steps_back() {
        let wall = Arc::new(ManualWall::at(5_000_000));
        let clock = open(&memory(), Arc::clone(&wall), 0);
        assert_eq!(clock.next().micros, 5_000_000);
        assert_eq!(clock.next().micros, 5_000_001);
        wall.set(1_000_000);
        let time = clock.next();
        assert_eq!((time.micros, time.seconds), (5_000_002, 1));
        wall.set(9_000_000);
        assert_eq!(clock.next().micros, 9_000_000);
    }

    #[test]
    fn a_new_run_goes_on_where_the_last_one_ended() {
        let clock = open(&memory(), ManualWall::at(1_000_000), 7_000_000);
        assert_eq!(clock.next().micros, 7_000_001);
    }

    #[test]
    fn nothing_is_given_out_above_what_is_on_disk() {
        let fs = memory();
        let wall = Arc::new(ManualWall::at(1_000_000));
        let clock = open(&fs, Arc::clone(&wall), 0);
        for _ in 0..100 {
            wall.advance(3 * STEP_MICROS / 4);
            let time = clock.next().micros;
            clock.cover(time);
            assert!(time <= kept(&fs));
        }
        let last = clock.next().micros;
        clock.close().unwrap();
        assert_eq!(kept(&fs), last, "after a stop it is exact");
    }

    #[test]
    fn a_busy_clock_writes_once_in_a_while() {
        let fs = memory();
        let wall = Arc::new(ManualWall::at(0));
        let clock = open(&fs, Arc::clone(&wall), 0);
        clock.cover(clock.next().micros);
        let before = kept(&fs);
        for _ in 0..1000 {
            wall.advance(STEP_MICROS / 4000);
            clock.cover(clock.next().micros);
        }
        assert_eq!(kept(&fs), before);
    }

    #[test]
    fn no_timestamp_is_given_twice() {
        let clock = Arc::new(open(&memory(), ManualWall::at(1), 0));
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

//! Background work, as steps that anyone may take, and the threads that usually do.

use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::Inner;
use crate::StorageError;

/// What the threads and the writers tell each other.
#[derive(Default)]
pub(super) struct Signals {
    state: Mutex<State>,
    flush: Condvar,
    compact: Condvar,
    room: Condvar,
    /// Why the last flush and the last compaction failed, if they did.
    failures: Mutex<[Option<String>; 2]>,
}

#[derive(Default)]
struct State {
    stopped: bool,
    flush: bool,
    compact: bool,
}

/// How long a thread sleeps at most without being told of work: what clocks bring is known before, but they may be set.
const LONGEST_IDLE: Duration = Duration::from_secs(60);
/// How often it looks for what nobody tells: that a flush period is over, a last reader is done, or the disk has room.
const SHORTEST_IDLE: Duration = Duration::from_secs(1);
const FULL_DISK_IDLE: Duration = Duration::from_secs(10);
/// How long a failed step waits for the next try.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

#[derive(Clone, Copy)]
enum Work {
    Flush,
    Compact,
}

impl Work {
    fn name(self) -> &'static str {
        match self {
            Work::Flush => "flushes",
            Work::Compact => "compactions",
        }
    }
}

impl Signals {
    pub(super) fn want_flush(&self) {
        let mut state = self.state.lock();
        if !state.flush {
            state.flush = true;
            self.flush.notify_one();
        }
    }

    pub(super) fn want_compaction(&self) {
        self.state.lock().compact = true;
        self.compact.notify_all();
    }

    /// A flush made room.
    pub(super) fn made_room(&self) {
        let _state = self.state.lock();
        self.room.notify_all();
    }

    pub(super) fn stop(&self) {
        self.state.lock().stopped = true;
        self.flush.notify_all();
        self.compact.notify_all();
        self.room.notify_all();
    }

    /// Waits for room while `is_full`, but not for ever; whether there is room.
    pub(super) fn wait_for_room(&self, limit: Duration, is_full: impl Fn() -> bool) -> bool {
        let mut state = self.state.lock();
        let mut waited = Duration::ZERO;
        let step = Duration::from_millis(50);
        while is_full() && !state.stopped && waited < limit {
            if self.room.wait_for(&mut state, step).timed_out() {
                waited += step;
            }
        }
        !is_full()
    }

    /// Why flushes fail, if the last one did.
    pub(super) fn flush_failure(&self) -> Option<String> {
        self.failures.lock()[Work::Flush as usize].clone()
    }

    /// Notes how a step went. The log is told when that changes, not at every try.
    pub(super) fn note_flush(&self, result: &Result<bool, StorageError>) {
        self.note(Work::Flush, result);
    }

    fn note(&self, work: Work, result: &Result<bool, StorageError>) {
        let mut failures = self.failures.lock();
        let before = &mut failures[work as usize];
        match result {
            // Nothing was tried.
            Ok(false) => {}
            Ok(true) => {
                if before.take().is_some() {
                    tracing::info!("{} work again", work.name());
                }
            }
            Err(error) => {
                let error = error.to_string();
                if before.as_ref() != Some(&error) {
                    tracing::error!(%error, "{} fail and are tried again", work.name());
                }
                *before = Some(error);
            }
        }
    }

    fn is_stopped(&self) -> bool {
        self.state.lock().stopped
    }

    /// Waits until told of work, or a while; whether to go on.
    fn wait(&self, work: Work, limit: Duration) -> bool {
        let mut state = self.state.lock();
        match work {
            Work::Flush => {
                if !state.flush && !state.stopped {
                    self.flush.wait_for(&mut state, limit);
                }
                state.flush = false;
            }
            Work::Compact => {
                if !state.compact && !state.stopped {
                    self.compact.wait_for(&mut state, limit);
                }
                state.compact = false;
            }
        }
        !state.stopped
    }
}

/// Starts the threads. They hold the engine only while they work, so that dropping it ends them.
pub(super) fn start(inner: &Arc<Inner>) -> Result<Vec<JoinHandle<()>>, StorageError> {
    let thread = |name: &str, work| {
        let (inner, signals) = (Arc::downgrade(inner), Arc::clone(&inner.signals));
        std::thread::Builder::new()
            .name(name.to_string())
            .spawn(move || run(&inner, &signals, work))
            .map_err(|error| StorageError::Unusable(format!("no thread for {name}: {error}")))
    };
    let mut threads = vec![thread("flush", Work::Flush)?];
    for _ in 0..inner.context.options.compaction_threads.max(1) {
        threads.push(thread("compaction", Work::Compact)?);
    }
    Ok(threads)
}

/// Requests come first: a compaction takes what they leave.
const COMPACTION_NICENESS: i32 = 15;

fn run(inner: &Weak<Inner>, signals: &Signals, work: Work) {
    if let Work::Compact = work
        && let Err(error) = rustix::process::setpriority_process(None, COMPACTION_NICENESS)
    {
        tracing::warn!(%error, "compactions run at the priority of requests");
    }
    loop {
        let limit = match work_off(inner, signals, work) {
            None => return,
            Some(Ok(idle)) => idle,
            Some(Err(_)) if signals.is_stopped() => return,
            Some(Err(_)) => AFTER_FAILURE,
        };
        if !signals.wait(work, limit) {
            return;
        }
    }
}

/// Takes steps until there is nothing to do, and says for how long; `None` when the engine is gone.
fn work_off(
    inner: &Weak<Inner>,
    signals: &Signals,
    work: Work,
) -> Option<Result<Duration, StorageError>> {
    loop {
        if signals.is_stopped() {
            return None;
        }
        let inner = inner.upgrade()?;
        let step = match work {
            Work::Flush => inner.flush_step(),
            Work::Compact => inner.compaction_step(),
        };
        if !signals.is_stopped() {
            signals.note(work, &step);
        }
        match step {
            Ok(true) => {}
            Ok(false) => return Some(Ok(inner.idle(work))),
            Err(error) => return Some(Err(error)),
        }
    }
}

impl Inner {
    /// How long a thread may sleep that has nothing to do now, unless it is told of work.
    fn idle(&self, work: Work) -> Duration {
        let context = &self.context;
        let is_retiring = match work {
            Work::Flush => context.retired.has_memtables(),
            Work::Compact => context.retired.has_files(),
        };
        if is_retiring {
            return SHORTEST_IDLE;
        }
        let tables = self.tables.load();
        let due = match work {
            Work::Flush => tables.values().filter_map(|table| table.flush_due_in(context)).min(),
            Work::Compact => {
                let waits = tables.values().any(|table| table.waits_for_disk());
                waits.then_some(FULL_DISK_IDLE)
            }
        };
        due.unwrap_or(LONGEST_IDLE).clamp(SHORTEST_IDLE, LONGEST_IDLE)
    }
}

//! What happened, as a hash and, if asked for, as lines.

use std::path::Path;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::ThreadId;

use tholos_server::clock::ManualWall;
use tholos_storage::fs::faulty::{Operation, Watch};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The trace of a history.
#[derive(Debug, Default)]
pub struct Trace {
    hash: u64,
    lines: Option<Vec<String>>,
}

impl Trace {
    /// An empty trace, which keeps lines if told so.
    pub fn new(keeps_lines: bool) -> Trace {
        Trace { hash: 0, lines: keeps_lines.then(Vec::new) }
    }

    /// Something happened.
    pub fn note(&mut self, line: String) {
        self.hash = xxh3_64_with_seed(line.as_bytes(), self.hash);
        if let Some(lines) = &mut self.lines {
            lines.push(line);
        }
    }

    /// Equal traces have equal hashes.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// Its lines, if it keeps them.
    pub fn into_lines(self) -> Vec<String> {
        self.lines.unwrap_or_default()
    }
}

/// Watches the disk: notes every call, and lets time pass while the disk is slow.
#[derive(Debug)]
pub struct DiskWatch {
    wall: Arc<ManualWall>,
    /// How long a call takes, in microseconds.
    pub micros_per_call: AtomicI64,
    calls: AtomicU64,
    hash: AtomicU64,
    pause: Mutex<Option<Pause>>,
}

/// A thread that stands still before some of its calls, while others go on.
#[derive(Debug)]
struct Pause {
    thread: ThreadId,
    /// It writes so many times to an SSTable from one pause to the next.
    period: u64,
    left: u64,
    reached: Sender<()>,
    go_on: Receiver<()>,
}

impl DiskWatch {
    /// A quick disk, under that clock.
    pub fn new(wall: Arc<ManualWall>) -> DiskWatch {
        let (micros_per_call, calls, hash, pause) = Default::default();
        DiskWatch { wall, micros_per_call, calls, hash, pause }
    }

    /// The calling thread is to stand still each time before it writes to an SSTable for the so-manieth time: it sends
    /// word, and goes on when it gets word, or nobody is there to give it.
    pub fn pause(&self, period: u64, reached: Sender<()>, go_on: Receiver<()>) {
        let thread = std::thread::current().id();
        *self.paused() = Some(Pause { thread, period, left: period, reached, go_on });
    }

    /// It is not to stand still any more.
    pub fn end_pauses(&self) {
        *self.paused() = None;
    }

    fn paused(&self) -> MutexGuard<'_, Option<Pause>> {
        self.pause.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stands still, if it is time.
    fn stand_still(&self) {
        let Some(mut pause) = self.paused().take() else { return };
        if pause.thread == std::thread::current().id() {
            pause.left -= 1;
            if pause.left == 0 {
                pause.left = pause.period;
                if pause.reached.send(()).is_err() || pause.go_on.recv().is_err() {
                    return;
                }
            }
        }
        *self.paused() = Some(pause);
    }

    /// How many calls there were, and a hash of them.
    pub fn seen(&self) -> (u64, u64) {
        (self.calls.load(Ordering::Relaxed), self.hash.load(Ordering::Relaxed))
    }
}

impl Watch for DiskWatch {
    fn called(&self, operation: Operation, path: &Path, bytes: usize) {
        let before = self.hash.load(Ordering::Relaxed);
        let call = before ^ ((operation as u64) << 56) ^ bytes as u64;
        let hash = xxh3_64_with_seed(path.as_os_str().as_encoded_bytes(), call);
        self.hash.store(hash, Ordering::Relaxed);
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.wall.advance(self.micros_per_call.load(Ordering::Relaxed));
        if operation == Operation::Write && path.extension().is_some_and(|name| name == "sst") {
            self.stand_still();
        }
    }
}

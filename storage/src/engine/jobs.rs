//! Compactions that run: what they hold, how far they are.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::compaction::{Job, JobKind};

/// How far a running compaction is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobStats {
    /// A number since the start of the engine.
    pub id: u64,
    /// The keyspace.
    pub keyspace: String,
    /// The table.
    pub table: String,
    /// What it is for.
    pub kind: JobKind,
    /// How many files it merges.
    pub files: usize,
    /// Bytes of them that were read.
    pub done_bytes: u64,
    /// Bytes of them.
    pub total_bytes: u64,
    /// When it began, in microseconds since 1970.
    pub started_at: i64,
}

/// The compactions that run.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    running: BTreeMap<u64, (JobStats, Arc<AtomicU64>)>,
}

/// A job's place in the list; it leaves when this is dropped.
#[derive(Debug)]
pub(super) struct Running<'a> {
    jobs: &'a Jobs,
    id: u64,
    done: Arc<AtomicU64>,
}

impl Jobs {
    /// Enters a job, unless what all jobs may still write is more than `available` bytes.
    pub(super) fn start(
        &self,
        table: (&str, &str),
        job: &Job,
        started_at: i64,
        available: u64,
    ) -> Option<Running<'_>> {
        let mut state = self.state.lock();
        let writes = if job.kind == JobKind::Expired { 0 } else { job.bytes };
        if writes > 0 && writes > available.saturating_sub(state.reserved()) {
            return None;
        }
        let id = state.next;
        state.next += 1;
        let done = Arc::new(AtomicU64::new(0));
        let stats = JobStats {
            id,
            keyspace: table.0.to_string(),
            table: table.1.to_string(),
            kind: job.kind,
            files: job.inputs.len(),
            done_bytes: 0,
            total_bytes: job.bytes,
            started_at,
        };
        state.running.insert(id, (stats, Arc::clone(&done)));
        Some(Running { jobs: self, id, done })
    }

    pub(super) fn stats(&self) -> Vec<JobStats> {
        let state = self.state.lock();
        let running = state.running.values();
        running
            .map(|(stats, done)| {
                let done_bytes = done.load(Ordering::Relaxed).min(stats.total_bytes);
                JobStats { done_bytes, ..stats.clone() }
            })
            .collect()
    }
}

impl State {
    /// What the jobs may still write. What they have read they have mostly written, so this is a little too much.
    fn reserved(&self) -> u64 {
        let left = |(stats, done): &(JobStats, Arc<AtomicU64>)| {
            stats.total_bytes.saturating_sub(done.load(Ordering::Relaxed) / 2)
        };
        self.running.values().map(left).sum()
    }
}

impl Running<'_> {
    /// So many bytes of the inputs were read by now.
    pub(super) fn read(&self, bytes: u64) {
        self.done.store(bytes, Ordering::Relaxed);
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.jobs.state.lock().running.remove(&self.id);
    }
}

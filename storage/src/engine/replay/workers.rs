//! The threads of a replay: what they have to do, and how far they are.

use std::collections::VecDeque;

use parking_lot::{Condvar, Mutex, MutexGuard};

use super::Targets;
use crate::StorageError;
use crate::commitlog::Batch;
use crate::engine::table::TableStore;

/// Threads that apply records and flush memtables, and what the reader tells them.
pub(super) struct Workers<'a> {
    targets: &'a Targets<'a>,
    state: Mutex<State<'a>>,
    /// There is something to do, or nothing ever again.
    work: Condvar,
    /// Something was done.
    progress: Condvar,
}

#[derive(Default)]
struct State<'a> {
    parts: VecDeque<Batch>,
    flushes: VecDeque<&'a TableStore>,
    /// Jobs under way.
    running: usize,
    /// What went wrong first; nothing is begun after it.
    failed: Option<StorageError>,
    /// A thread panicked, or the reader has nothing more.
    ended: bool,
}

enum Job<'a> {
    Apply(Batch),
    Flush(&'a TableStore),
}

impl<'a> Workers<'a> {
    pub(super) fn new(targets: &'a Targets<'a>) -> Self {
        Workers { targets, state: Mutex::default(), work: Condvar::new(), progress: Condvar::new() }
    }

    /// Runs `reader` in this thread, and so many others that do what it asks for.
    pub(super) fn run<T>(
        &self,
        threads: usize,
        reader: impl FnOnce(&Self) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        std::thread::scope(|scope| {
            // Also if the reader panics: the scope waits for the others.
            let _end = End(self);
            for _ in 0..threads {
                let builder = std::thread::Builder::new().name("replay".into());
                builder.spawn_scoped(scope, || self.work_off()).map_err(|error| {
                    StorageError::Unusable(format!("no thread for the replay: {error}"))
                })?;
            }
            reader(self)
        })
    }

    /// Has parts of a batch applied. Waits while those of the batch before still wait.
    pub(super) fn apply(&self, parts: Vec<Batch>) -> Result<(), StorageError> {
        let mut state = self.wait_while(|state| !state.parts.is_empty())?;
        state.parts.extend(parts);
        drop(state);
        self.work.notify_all();
        Ok(())
    }

    /// Has what waits in a table flushed.
    pub(super) fn flush(&self, table: &'a TableStore) {
        self.state.lock().flushes.push_back(table);
        self.work.notify_one();
    }

    /// Waits until all that was asked for is done.
    pub(super) fn wait_until_idle(&self) -> Result<(), StorageError> {
        let is_busy = |state: &State<'_>| {
            state.running > 0 || !state.parts.is_empty() || !state.flushes.is_empty()
        };
        self.wait_while(is_busy).map(drop)
    }

    fn wait_while(
        &self,
        goes_on: impl Fn(&State<'a>) -> bool,
    ) -> Result<MutexGuard<'_, State<'a>>, StorageError> {
        let mut state = self.state.lock();
        while goes_on(&state) && state.failed.is_none() && !state.ended {
            self.progress.wait(&mut state);
        }
        match state.failed.take() {
            Some(error) => {
                state.ended = true;
                Err(error)
            }
            None if state.ended => {
                Err(StorageError::Unusable("a thread of the replay panicked".into()))
            }
            None => Ok(state),
        }
    }

    fn work_off(&self) {
        let mut end = OnPanic(Some(self));
        while let Some(job) = self.next_job() {
            let result = self.run_job(job);
            let mut state = self.state.lock();
            state.running -= 1;
            if let Err(error) = result {
                state.failed.get_or_insert(error);
            }
            drop(state);
            self.progress.notify_all();
        }
        end.0 = None;
    }

    fn next_job(&self) -> Option<Job<'a>> {
        let mut state = self.state.lock();
        loop {
            if state.ended || state.failed.is_some() {
                return None;
            }
            // The sooner a flush is done, the less is waited for it.
            let flush = state.flushes.pop_front().map(Job::Flush);
            if let Some(job) = flush.or_else(|| state.parts.pop_front().map(Job::Apply)) {
                state.running += 1;
                return Some(job);
            }
            self.work.wait(&mut state);
        }
    }

    fn run_job(&self, job: Job<'a>) -> Result<(), StorageError> {
        match job {
            Job::Flush(table) => while table.flush_oldest(self.targets.context)?.is_some() {},
            Job::Apply(mut part) => {
                part.sort();
                let mut grown = 0;
                for record in part.records() {
                    grown += self.targets.apply(&part, record)?;
                }
                self.targets.note_growth(grown);
            }
        }
        Ok(())
    }

    fn end(&self) {
        self.state.lock().ended = true;
        self.work.notify_all();
        self.progress.notify_all();
    }
}

/// Sends the threads home when it is dropped.
struct End<'a, 'b>(&'a Workers<'b>);

impl Drop for End<'_, '_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Ends everything, unless it is told that all went well.
struct OnPanic<'a, 'b>(Option<&'a Workers<'b>>);

impl Drop for OnPanic<'_, '_> {
    fn drop(&mut self) {
        if let Some(workers) = self.0 {
            workers.end();
        }
    }
}

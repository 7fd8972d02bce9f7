//! How far the log is on disk, and who waits for it to get further.

use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

use parking_lot::{Condvar, Mutex};

use super::LogPosition;

/// How far the log is on disk, and who waits for it to get further.
#[derive(Debug, Default)]
pub(super) struct Durable {
    /// A position, packed: everything strictly before it is on disk.
    end: AtomicU64,
    waiting: Mutex<Vec<(u64, Waker)>>,
    advanced: Condvar,
}

/// Positions as one number, in the same order. Segment ids stay far below 2^32: that many segments are 128 EiB.
fn pack(position: LogPosition) -> u64 {
    position.segment.min(u64::from(u32::MAX)) << 32 | u64::from(position.offset)
}

impl Durable {
    /// Whether the record at a position is on disk.
    pub(super) fn covers(&self, position: LogPosition) -> bool {
        pack(position) < self.end.load(Ordering::Acquire)
    }

    /// Has the waker called when the record at `position` is on disk, or when something goes wrong. False if it is on
    /// disk already.
    pub(super) fn register(&self, position: LogPosition, waker: &Waker) -> bool {
        let mut waiting = self.waiting.lock();
        if self.covers(position) {
            return false;
        }
        waiting.push((pack(position), waker.clone()));
        true
    }

    /// Blocks until something happened that may concern the record at `position`.
    pub(super) fn wait_beyond(&self, position: LogPosition) {
        let mut waiting = self.waiting.lock();
        if !self.covers(position) {
            // A failure may have been announced just before: look again soon.
            self.advanced.wait_for(&mut waiting, super::FULL_DISK_RETRY);
        }
    }

    /// Everything before `end` is on disk: wakes those who waited for it.
    pub(super) fn advance(&self, end: LogPosition) {
        let end = pack(end);
        self.end.fetch_max(end, Ordering::AcqRel);
        let mut waiting = self.waiting.lock();
        let woken: Vec<_> = waiting.extract_if(.., |(position, _)| *position < end).collect();
        self.advanced.notify_all();
        drop(waiting);
        woken.into_iter().for_each(|(_, waker)| waker.wake());
    }

    /// Something went wrong: everyone is to look again.
    pub(super) fn wake_all(&self) {
        let mut waiting = self.waiting.lock();
        let woken = std::mem::take(&mut *waiting);
        self.advanced.notify_all();
        drop(waiting);
        woken.into_iter().for_each(|(_, waker)| waker.wake());
    }
}

//! Whether this thread may wait for the disk.
//!
//! Threads that serve many clients must not: what they read is mostly in the system's cache, and the rest is somebody
//! else's to fetch. Within [`without_waiting`], a read of the real file system that would have to wait fails at once, as
//! [`StorageError::WouldWait`](crate::StorageError::WouldWait); the caller then has a thread that may wait do it all over.

use std::cell::Cell;

thread_local! {
    static MUST_NOT_WAIT: Cell<bool> = const { Cell::new(false) };
}

/// Runs `work`, in which reads don't wait for the disk.
pub fn without_waiting<T>(work: impl FnOnce() -> T) -> T {
    /// Puts back what was, also when `work` panics.
    struct Before(bool);
    impl Drop for Before {
        fn drop(&mut self) {
            MUST_NOT_WAIT.set(self.0);
        }
    }
    let _before = Before(MUST_NOT_WAIT.replace(true));
    work()
}

/// Whether this thread may wait for the disk now.
pub fn may_wait() -> bool {
    !MUST_NOT_WAIT.get()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_ends_with_the_work() {
        assert!(may_wait());
        without_waiting(|| {
            assert!(!may_wait());
            without_waiting(|| assert!(!may_wait()));
            assert!(!may_wait());
            assert!(std::thread::spawn(may_wait).join().unwrap(), "of this thread alone");
        });
        assert!(may_wait());
    }
}

//! Where jobs run that may take their time: a few at once, the others in the order in which they came.
//!
//! The pool has no threads of its own. It is told how to start a job, and says which are to be started: a served node
//! starts them on the runtime's threads for blocking work, a test when it likes.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;

/// Something to be done by a thread that may wait.
pub type Job = Box<dyn FnOnce() + Send>;

/// Starts a job elsewhere; the caller goes on.
pub type Spawn = Box<dyn Fn(Job) + Send + Sync>;

/// Why a job may take its time. Each class has a limit of its own, so that none takes the threads of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// It waits for the disk.
    Disk,
    /// It computes for long.
    Long,
}

/// Jobs that run, and those that wait until fewer do.
pub struct Pool {
    spawn: Spawn,
    queues: Mutex<[Queue; 2]>,
}

struct Queue {
    most: usize,
    running: usize,
    waiting: VecDeque<Job>,
}

impl Pool {
    /// At most so many jobs of each class run at once.
    pub fn new(most_of_disk: usize, most_long: usize, spawn: Spawn) -> Pool {
        let queue = |most: usize| Queue { most: most.max(1), running: 0, waiting: VecDeque::new() };
        Pool { spawn, queues: Mutex::new([queue(most_of_disk), queue(most_long)]) }
    }

    /// Has a job done: at once, or after others of its class.
    pub fn submit(self: &Arc<Self>, class: Class, job: Job) {
        {
            let queue = &mut self.queues.lock()[class as usize];
            if queue.running == queue.most {
                queue.waiting.push_back(job);
                return;
            }
            queue.running += 1;
        }
        let pool = Arc::clone(self);
        (self.spawn)(Box::new(move || pool.run(class, job)));
    }

    /// Does a job, and then those that came to wait meanwhile.
    fn run(&self, class: Class, mut job: Job) {
        loop {
            job();
            let queue = &mut self.queues.lock()[class as usize];
            match queue.waiting.pop_front() {
                Some(next) => job = next,
                None => {
                    queue.running -= 1;
                    return;
                }
            }
        }
    }
}

impl std::fmt::Debug for Pool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let queues = self.queues.lock();
        let figures = queues.each_ref().map(|queue| (queue.running, queue.waiting.len()));
        write!(f, "Pool({figures:?})")
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A pool whose jobs run when [`Started::run`] is called.
    #[derive(Clone, Default)]
    pub(in crate::work) struct Started(Arc<Mutex<VecDeque<Job>>>);

    impl Started {
        pub(in crate::work) fn pool(&self, most_of_disk: usize, most_long: usize) -> Arc<Pool> {
            let started = self.clone();
            let spawn = Box::new(move |job| started.0.lock().push_back(job));
            Arc::new(Pool::new(most_of_disk, most_long, spawn))
        }

        pub(in crate::work) fn len(&self) -> usize {
            self.0.lock().len()
        }

        /// Runs what was started first.
        pub(in crate::work) fn run(&self) {
            let job = self.0.lock().pop_front().unwrap();
            job();
        }
    }

    #[test]
    fn jobs_beyond_the_limit_of_their_class_come_later_in_their_order() {
        let started = Started::default();
        let pool = started.pool(1, 2);
        let done = Arc::new(Mutex::new(Vec::new()));
        let job = |name: &'static str| -> Job {
            let done = Arc::clone(&done);
            Box::new(move || done.lock().push(name))
        };
        pool.submit(Class::Long, job("a"));
        pool.submit(Class::Long, job("b"));
        pool.submit(Class::Long, job("c"));
        pool.submit(Class::Long, job("d"));
        pool.submit(Class::Disk, job("cold"));
        assert_eq!(started.len(), 3, "two long ones, and one of the other class");
        started.run();
        assert_eq!(*done.lock(), ["a", "c", "d"], "whoever is through does what waits");
        started.run();
        started.run();
        assert_eq!(*done.lock(), ["a", "c", "d", "b", "cold"]);
        pool.submit(Class::Disk, job("again"));
        assert_eq!(started.len(), 1);
    }
}

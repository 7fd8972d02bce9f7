//! Requests of one client that were given to the pool, and what they came to.
//!
//! Of the long ones a few run at a time, so that a client does not take the turns of the others. One for which there was
//! no memory beside others is done all over when nothing else of its client runs. When the client goes, what has not begun
//! never does.

use std::collections::VecDeque;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use super::deferred::Deferred;
use super::mailbox::Mailbox;
use super::pool::{Class, Pool};

/// No more is read from a client that has so many requests here.
const MOST: usize = 256;

/// Long requests of one client that run at a time.
const MOST_LONG: usize = 4;

/// The requests of one client that take their time; `T` is what they come to.
#[derive(Debug)]
pub(crate) struct Jobs<T> {
    /// Those that wait until fewer run.
    queue: VecDeque<Deferred>,
    running: usize,
    /// Long ones among those that run.
    long: usize,
    /// One that runs is to be the only one.
    alone: bool,
    /// What is through and not yet taken.
    finished: Arc<Mailbox<(Class, T)>>,
}

impl<T> Default for Jobs<T> {
    fn default() -> Self {
        let (queue, finished) = (VecDeque::new(), Arc::default());
        Jobs { queue, running: 0, long: 0, alone: false, finished }
    }
}

impl<T: Send + 'static> Jobs<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.running == 0 && self.queue.is_empty()
    }

    /// Whether nothing more is to be read from the client.
    pub(crate) fn holds_input(&self) -> bool {
        self.running + self.queue.len() >= MOST
    }

    /// Has a request carried out as soon as it may be; one that is to be alone comes before the others.
    pub(crate) fn push(&mut self, request: Deferred) {
        if request.alone { self.queue.push_front(request) } else { self.queue.push_back(request) }
    }

    /// The next one that may begin. One that is to be alone comes first, and waits for those that run.
    pub(crate) fn next(&mut self) -> Option<Deferred> {
        let first = self.queue.front().filter(|_| !self.alone)?;
        let may_begin = |request: &Deferred| match request.class {
            Class::Disk => true,
            Class::Long => self.long < MOST_LONG,
        };
        let at = match first.alone {
            true => (self.running == 0).then_some(0),
            false => self.queue.iter().position(may_begin),
        };
        let request = self.queue.remove(at?)?;
        self.alone = request.alone;
        Some(request)
    }

    /// Begins one that [`next`](Self::next) gave.
    pub(crate) fn start(
        &mut self,
        pool: &Arc<Pool>,
        class: Class,
        work: impl FnOnce() -> T + Send + 'static,
    ) {
        self.running += 1;
        self.long += usize::from(class == Class::Long);
        let finished = Arc::downgrade(&self.finished);
        let job = move || {
            // Nobody waits for it any more.
            if finished.strong_count() == 0 {
                return;
            }
            let result = work();
            if let Some(finished) = finished.upgrade() {
                finished.push((class, result));
            }
        };
        pool.submit(class, Box::new(job));
    }

    /// The next one that is through.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<T> {
        if self.running == 0 {
            return Poll::Pending;
        }
        let (class, result) = ready!(self.finished.poll(cx));
        self.running -= 1;
        self.long -= usize::from(class == Class::Long);
        self.alone = false;
        Poll::Ready(result)
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;
    use std::time::Instant;

    use parking_lot::Mutex;

    use super::*;
    use crate::work::deferred::tests::request;
    use crate::work::pool::tests::Started;

    struct Client {
        jobs: Jobs<i16>,
        pool: Arc<Pool>,
        started: Started,
    }

    impl Client {
        fn new() -> Client {
            let started = Started::default();
            Client { jobs: Jobs::default(), pool: started.pool(64, 64), started }
        }

        fn push(&mut self, stream: i16, class: Class, alone: bool) {
            let began = Instant::now();
            let request = request(stream, class, began);
            self.jobs.push(if alone { request.for_itself() } else { request });
        }

        fn start_all(&mut self) -> Vec<i16> {
            let mut begun = Vec::new();
            while let Some(request) = self.jobs.next() {
                let stream = request.header.stream;
                begun.push(stream);
                self.jobs.start(&self.pool, request.class, move || stream);
            }
            begun
        }

        fn poll(&mut self) -> Option<i16> {
            match self.jobs.poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(stream) => Some(stream),
                Poll::Pending => None,
            }
        }
    }

    #[test]
    fn a_few_long_ones_run_at_a_time_and_hold_up_no_others() {
        let mut client = Client::new();
        (0..6).for_each(|stream| client.push(stream, Class::Long, false));
        client.push(6, Class::Disk, false);
        assert_eq!(client.start_all(), [0, 1, 2, 3, 6]);
        assert_eq!(client.poll(), None);
        client.started.run();
        assert_eq!(client.poll(), Some(0));
        assert_eq!(client.start_all(), [4]);
        assert!(!client.jobs.is_empty());
    }

    #[test]
    fn one_that_is_to_be_alone_waits_for_those_that_run_and_holds_up_the_others() {
        let mut client = Client::new();
        client.push(0, Class::Disk, false);
        assert_eq!(client.start_all(), [0]);
        client.push(1, Class::Disk, false);
        client.push(2, Class::Long, true);
        assert!(client.start_all().is_empty());
        client.started.run();
        assert_eq!(client.poll(), Some(0));
        assert_eq!(client.start_all(), [2]);
        client.started.run();
        assert_eq!(client.poll(), Some(2));
        assert_eq!(client.start_all(), [1]);
    }

    #[test]
    fn what_a_client_that_went_has_not_begun_never_begins() {
        let mut client = Client::new();
        let done = Arc::new(Mutex::new(0));
        for _ in 0..2 {
            let done = Arc::clone(&done);
            client.jobs.start(&client.pool, Class::Disk, move || {
                *done.lock() += 1;
                0
            });
        }
        client.started.run();
        client.jobs = Jobs::default();
        client.started.run();
        assert_eq!(*done.lock(), 1);
    }

    #[test]
    fn too_many_hold_the_client_s_input() {
        let mut client = Client::new();
        for stream in 0..MOST as i16 {
            assert!(!client.jobs.holds_input());
            client.push(stream, Class::Long, false);
        }
        assert!(client.jobs.holds_input());
    }
}

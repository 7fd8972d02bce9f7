//! Requests that were carried out and wait until what they wrote is on disk.
//!
//! Positions of one client only grow, so they become free from the front.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use tholos_storage::commitlog::LogPosition;

use super::replies::Held;

/// What an answer will take, roughly, with what is remembered of it.
const BYTES: usize = size_of::<(LogPosition, Held)>() + 32;

/// Those of one client, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Durable {
    queue: VecDeque<(LogPosition, Held)>,
}

impl Durable {
    pub(crate) fn push(&mut self, position: LogPosition, held: Held) {
        self.queue.push_back((position, held));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// What their answers will take, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.queue.len() * BYTES
    }

    /// What the first one waits for.
    pub(crate) fn next(&self) -> Option<LogPosition> {
        self.queue.front().map(|(position, _)| *position)
    }

    /// Takes the first one.
    pub(crate) fn pop(&mut self) -> Option<Held> {
        let held = self.queue.pop_front().map(|(_, held)| held);
        if self.queue.is_empty() {
            // An idle client holds no memory.
            self.queue = VecDeque::new();
        }
        held
    }

    /// When the first one has waited for longer than a request may take.
    pub(crate) fn due(&self, timeout: Duration) -> Option<Instant> {
        self.queue.front().map(|(_, held)| held.started + timeout)
    }

    /// Takes the first one, if it has waited for longer than a request may take.
    pub(crate) fn pop_overdue(&mut self, now: Instant, timeout: Duration) -> Option<Held> {
        if self.due(timeout)? <= now { self.pop() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Attempt;
    use crate::metrics::RequestKind;
    use crate::session::step::Continuation;

    #[test]
    fn the_oldest_is_overdue_first() {
        let (mut durable, began) = (Durable::default(), Instant::now());
        let second = Duration::from_secs(1);
        for stream in 0..2_u8 {
            let held = Held {
                stream: i16::from(stream),
                started: began + second * u32::from(stream),
                tracing_id: None,
                continuation: Continuation::Void {
                    kind: RequestKind::Write,
                    attempt: Attempt::OTHER,
                    warnings: Vec::new(),
                },
            };
            durable.push(LogPosition::default(), held);
        }
        assert!(durable.bytes() > 0);
        assert_eq!(durable.due(second), Some(began + second));
        assert!(durable.pop_overdue(began, second).is_none());
        assert_eq!(durable.pop_overdue(began + second, second).unwrap().stream, 0);
        assert!(durable.pop_overdue(began + second, second).is_none());
        assert_eq!(durable.pop().unwrap().stream, 1);
        assert!(durable.is_empty() && durable.due(second).is_none());
    }
}

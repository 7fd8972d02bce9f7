//! Events: what changed, told to the connections that registered for it.
//!
//! Each such connection has a bounded queue. One that does not keep up loses events, as one that was disconnected for a
//! while would: drivers read the schema again when they reconnect, so its connection is closed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tholos_grammar::protocol::response::event::{Event, EventType};
use tokio::sync::mpsc;

/// Events that a connection may be behind.
const QUEUE: usize = 1024;

/// Where a connection hears of events.
#[derive(Debug)]
pub struct Subscription {
    hub: Arc<EventHub>,
    id: u64,
    /// Events for this connection; closed when it fell too far behind.
    pub queue: mpsc::Receiver<Arc<Event>>,
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.hub.subscribers.lock().retain(|subscriber| subscriber.id != self.id);
    }
}

#[derive(Debug)]
struct Subscriber {
    id: u64,
    types: Vec<EventType>,
    queue: mpsc::Sender<Arc<Event>>,
}

/// Passes events on.
#[derive(Debug, Default)]
pub struct EventHub {
    subscribers: Mutex<Vec<Subscriber>>,
    next: AtomicU64,
}

impl EventHub {
    /// Events of these types, from now on.
    pub fn subscribe(self: &Arc<Self>, types: Vec<EventType>) -> Subscription {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, queue) = mpsc::channel(QUEUE);
        self.subscribers.lock().push(Subscriber { id, types, queue: sender });
        Subscription { hub: Arc::clone(self), id, queue }
    }

    /// Tells all who registered for its type.
    pub fn publish(&self, event: Event) {
        let event = Arc::new(event);
        self.subscribers.lock().retain(|subscriber| {
            !subscriber.types.contains(&event.event_type())
                || subscriber.queue.try_send(Arc::clone(&event)).is_ok()
        });
    }
}

#[cfg(test)]
mod tests {
    use tholos_grammar::protocol::response::event::{ChangeType, SchemaChange, SchemaTarget};

    use super::*;

    fn event(keyspace: &str) -> Event {
        Event::SchemaChange(SchemaChange {
            change: ChangeType::Created,
            keyspace: keyspace.to_string(),
            target: SchemaTarget::Keyspace,
        })
    }

    #[test]
    fn only_those_who_registered_for_the_type_hear_of_it() {
        let hub = Arc::new(EventHub::default());
        let mut schema = hub.subscribe(vec![EventType::SchemaChange]);
        let mut status = hub.subscribe(vec![EventType::StatusChange]);
        hub.publish(event("a"));
        assert_eq!(*schema.queue.try_recv().unwrap(), event("a"));
        assert!(status.queue.try_recv().is_err());
        drop(schema);
        assert_eq!(hub.subscribers.lock().len(), 1);
    }

    #[test]
    fn one_that_falls_behind_is_closed_and_the_others_go_on() {
        let hub = Arc::new(EventHub::default());
        let mut slow = hub.subscribe(vec![EventType::SchemaChange]);
        let mut quick = hub.subscribe(vec![EventType::SchemaChange]);
        for i in 0..=QUEUE {
            hub.publish(event(&i.to_string()));
            assert!(quick.queue.try_recv().is_ok());
        }
        while slow.queue.try_recv().is_ok() {}
        assert!(slow.queue.is_closed());
        assert_eq!(hub.subscribers.lock().len(), 1);
    }
}

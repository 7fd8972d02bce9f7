//! The rule on given time: one thread that serves connections, and clients of both kinds.

use std::collections::VecDeque;

use super::*;

const BYTES: u64 = 60;
/// Of a request: being carried out, being refused.
const COST: Duration = Duration::from_micros(80);
const REFUSAL: Duration = Duration::from_nanos(600);
/// What a turn takes beside.
const OVERHEAD: Duration = Duration::from_micros(40);
/// The most that a turn reads.
const READ: usize = 1_000;

/// One thread that serves connections, on which requests of 60 bytes take 80 us.
struct Node {
    load: Arc<Load>,
    connections: Vec<(Share, VecDeque<Instant>)>,
    began: Instant,
    now: Instant,
    /// How long those waited that were carried out, and those that were refused.
    carried_out: Vec<Duration>,
    refused: Vec<Duration>,
}

impl Node {
    fn new(connections: usize) -> Node {
        let load = Arc::new(Load::new(1));
        let known = Turn { carried_out: 100, bytes: 100 * BYTES, ..Turn::default() };
        load.measure(&Turn { took: 100 * COST, ..known });
        let share = |_| (Share::new(Arc::clone(&load)), VecDeque::new());
        let (connections, now) = ((0..connections).map(share).collect(), Instant::now());
        let (carried_out, refused) = (Vec::new(), Vec::new());
        Node { load, connections, began: now, now, carried_out, refused }
    }

    /// Connections have their turns one after the other for so long; `comes` says how many requests come to one of
    /// them, which had so many answers in its last turn, by a time.
    fn run(&mut self, span: Duration, mut comes: impl FnMut(usize, u64, Duration) -> u64) {
        let end = self.now + span;
        let mut answered = vec![0; self.connections.len()];
        let mut seen = vec![self.now; self.connections.len()];
        while self.now < end {
            for i in 0..self.connections.len() {
                let more = comes(i, answered[i], self.now - self.began);
                let before = std::mem::replace(&mut seen[i], self.now);
                let step = (self.now - before) / (more as u32).max(1);
                self.connections[i].1.extend((0..more).map(|n| before + step * n as u32));
                answered[i] = if self.connections[i].1.is_empty() { 0 } else { self.turn(i) };
            }
            // Nobody has anything to do for a moment.
            self.now += Duration::from_micros(10);
        }
    }

    /// A turn; how many it answered.
    fn turn(&mut self, i: usize) -> u64 {
        let connections = self.connections.len() as u64;
        let (share, queue) = &mut self.connections[i];
        let read = queue.len().min(READ);
        let (mut turn, began) = (Turn::default(), self.now);
        let time = share.begin(connections, began);
        for behind in (0..read).rev() {
            if turn.took >= time {
                break;
            }
            let refuses = share.refuses(behind * BYTES as usize);
            let Some(came) = queue.pop_front() else { break };
            if refuses {
                turn.refused += 1;
                turn.refusing += REFUSAL;
                share.spend_refusing(REFUSAL);
                self.now += REFUSAL;
                self.refused.push(self.now - came);
            } else {
                turn.carried_out += 1;
                turn.took += COST;
                share.spend(COST);
                self.now += COST;
                self.carried_out.push(self.now - came);
            }
        }
        self.now += OVERHEAD;
        turn.bytes = (turn.carried_out + turn.refused) * BYTES;
        turn.waiting = queue.len() as u64 * BYTES;
        share.end(&turn, self.now);
        turn.carried_out + turn.refused
    }

    /// Clients that send so many requests a second in all, whatever comes back.
    fn open_loop(&mut self, per_second: f64, span: Duration) {
        let of_each = per_second / self.connections.len() as f64;
        let begun = (self.now - self.began).as_secs_f64();
        let mut sent = vec![0; self.connections.len()];
        self.run(span, |i, _, at| {
            // One after the other, not all at once.
            let until = (at.as_secs_f64() - begun) * of_each + (i as f64 * 0.618).fract();
            let more = until as u64 - sent[i];
            sent[i] += more;
            more
        });
    }

    /// Clients that have so many requests in flight on each connection, and begin with a million a second in all.
    fn closed_loop(&mut self, depth: u64, span: Duration) {
        let per_second = 1_000_000 / self.connections.len() as u64;
        let mut begun = vec![0; self.connections.len()];
        self.run(span, |i, answered, at| {
            let until = depth.min(1 + at.as_micros() as u64 * per_second / 1_000_000);
            let more = until - begun[i];
            begun[i] = until;
            more + answered
        });
    }
}

fn p99(mut waited: Vec<Duration>) -> Duration {
    waited.sort_unstable();
    waited[waited.len() * 99 / 100]
}

const SECOND: Duration = Duration::from_secs(1);
/// Requests that a thread can carry out in a second.
const PEAK: f64 = 12_500.0;

#[test]
fn what_is_too_much_is_refused_and_the_rest_is_served_in_time() {
    for factor in [1.5, 3.0, 10.0] {
        let mut node = Node::new(64);
        node.open_loop(PEAK * factor, SECOND / 2);
        assert!(!node.refused.is_empty(), "{factor}");
        node.carried_out.clear();
        node.refused.clear();
        node.open_loop(PEAK * factor, SECOND);
        let goodput = node.carried_out.len() as f64 / PEAK;
        let (served, refused) =
            (p99(std::mem::take(&mut node.carried_out)), p99(std::mem::take(&mut node.refused)));
        assert!(goodput > 0.75, "{factor}: {goodput}");
        assert!(served < ROUND, "{factor}: {served:?}");
        assert!(refused < 2 * ROUND, "{factor}: {refused:?}");
    }
}

#[test]
fn much_too_much_is_noticed_at_once_and_its_end_too() {
    let mut node = Node::new(64);
    let began = node.now;
    while node.refused.is_empty() {
        node.open_loop(PEAK * 10.0, Duration::from_millis(1));
    }
    let after = node.now - began;
    assert!(after < Duration::from_millis(100), "{after:?}");
    assert!(!node.refused.is_empty());
    node.open_loop(PEAK / 10.0, 4 * WINDOW);
    node.refused.clear();
    node.open_loop(PEAK / 2.0, SECOND);
    assert_eq!(node.refused.len(), 0);
}

#[test]
fn clients_that_wait_for_answers_are_not_refused_however_slow_they_are_served() {
    for (connections, depth) in [(64, 1), (64, 16), (64, 200), (256, 16), (8, 2_000), (1, 32_000)] {
        let mut node = Node::new(connections);
        node.closed_loop(depth, 3 * SECOND);
        assert_eq!(node.refused.len(), 0, "{connections} connections, {depth} in flight");
        let done = node.carried_out.len() as f64 / (3.0 * PEAK);
        assert!(done > if depth == 1 { 0.6 } else { 0.9 }, "{connections}, {depth}: {done}");
    }
}

#[test]
fn whoever_waits_for_no_others_is_not_refused() {
    let mut node = Node::new(8);
    node.open_loop(PEAK * 10.0, SECOND / 10);
    assert_eq!(node.refused.len(), 0);
}

#[test]
fn a_connection_that_ends_leaves_nothing_behind() {
    let mut node = Node::new(64);
    node.open_loop(PEAK * 10.0, SECOND / 10);
    let load = Arc::clone(&node.load);
    node.connections[0].0.waits(7 * BYTES);
    node.connections[1].0.waits(BYTES);
    assert!(load.waiting.load(Relaxed) > 0 && load.crowd.load(Relaxed) > 1);
    drop(node);
    assert_eq!((load.waiting.load(Relaxed), load.crowd.load(Relaxed)), (0, 0));
}

//! Whether one peer is alive.
//!
//! A peer is *reached* when it proves that a beat of ours got there: its beats echo the last of ours that it heard. Silence
//! is the age of the youngest of our beats that is known to have arrived. So a peer that we hear and that does not hear us
//! is as silent as one that is dead; and a peer that dies is convicted at most [`SILENCE_LIMIT`] and a tick later, however
//! long messages take.
//!
//! ```text
//! 0 s     our last beat that arrived          0 s     our last beat that arrived
//! 0.1 s   it dies                             0.1 s   it is killed, its connections are closed
//! 0.9 s   phi is 8: suspect, pinged           0.1 s   suspect, pinged
//! 1.1 s   pinged, and so on each 250 ms       0.4 s   pinged, and so on
//! 4.5 s   convicted                           1.6 s   convicted
//! ```
//!
//! Phi says when to look closer. It is never the verdict: a peer that pauses for 2 seconds is surprising, and alive.

use super::arrivals::Arrivals;
use super::message::{Beat, Echo};
use super::state::Status;
use super::{Micros, PING_INTERVAL};

/// A peer with this phi is suspected: one false suspicion in 100 million beats, if beats are what they were.
const SUSPECT_PHI: f64 = 8.0;

/// A peer that is silent for this long is suspected, however irregular it was.
const SUSPECT_SILENCE: Micros = 3_000_000;

/// A suspect that is silent for this long is convicted: a pause of 2 seconds and some lost beats are less.
pub const SILENCE_LIMIT: Micros = 4_500_000;

/// A suspect whose connection broke is convicted if it is not reached again for this long.
pub const LINK_LIMIT: Micros = 1_500_000;

/// Nobody is convicted before so many pings in a row have failed.
const MIN_FAILED_PINGS: u32 = 3;

/// What is known of a peer at first hand.
#[derive(Clone, Debug, Default)]
pub struct Peer {
    is_alive: bool,
    generation: u64,
    status: Status,
    /// The `sent` of its last beat.
    heard: u64,
    /// When the youngest of our beats was sent that is known to have arrived.
    reached: Option<Micros>,
    arrivals: Arrivals,
    link_lost: Option<Micros>,
    last_ping: Option<Micros>,
    /// Pings since it was reached.
    failed_pings: u32,
}

/// Our own side of a beat that arrived.
#[derive(Clone, Copy, Debug)]
pub struct Own {
    /// Our generation.
    pub generation: u64,
    /// The `sent` of our last beat.
    pub sent: u64,
}

/// What a beat was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// One that came late, or twice: nothing changed.
    Stale,
    /// The next one.
    Next,
    /// The first one after a start of the peer.
    Restarted,
}

impl Peer {
    /// Whether it takes requests, and was reached and not convicted since.
    pub fn is_alive(&self) -> bool {
        self.is_alive
    }

    /// How surprising its silence is; 0 before it was reached.
    pub fn phi(&self, now: Micros) -> f64 {
        self.arrivals.phi(now)
    }

    /// The age of the youngest of our beats that is known to have arrived, if one is.
    pub fn silence(&self, now: Micros) -> Option<Micros> {
        self.reached.map(|reached| now - reached)
    }

    /// Whether it may be dead.
    pub fn is_suspect(&self, now: Micros) -> bool {
        self.link_lost.is_some()
            || self.silence(now).is_some_and(|silence| silence >= SUSPECT_SILENCE)
            || self.phi(now) >= SUSPECT_PHI
    }

    /// What our next beat to it echoes.
    pub fn echo(&self) -> Option<Echo> {
        let echo = Echo { generation: self.generation, sent: self.heard };
        (self.generation > 0).then_some(echo)
    }

    /// A beat arrived. `is_regular`: one of those that come in a rhythm.
    pub fn hear(&mut self, beat: &Beat, is_regular: bool, own: Own, now: Micros) -> Heard {
        if (beat.generation, beat.sent) <= (self.generation, self.heard) {
            return Heard::Stale;
        }
        let is_restarted = beat.generation > self.generation;
        if is_restarted {
            *self = Peer { generation: beat.generation, ..Peer::default() };
        }
        (self.heard, self.status) = (beat.sent, beat.status);
        if let Some(echo) = beat.echo
            && echo.generation == own.generation
            && echo.sent <= own.sent
        {
            self.reach(echo.sent, is_regular, now);
        }
        let is_reached = self.reached.is_some() && !self.is_suspect(now);
        self.is_alive = self.status.is_serving() && (self.is_alive || is_reached);
        if is_restarted { Heard::Restarted } else { Heard::Next }
    }

    fn reach(&mut self, sent: u64, is_regular: bool, now: Micros) {
        // Beats that leave within a microsecond are numbered on from it.
        let sent = Micros::try_from(sent).unwrap_or(Micros::MAX).min(now);
        if self.reached.is_some_and(|reached| reached >= sent) {
            return;
        }
        self.reached = Some(sent);
        self.failed_pings = 0;
        if self.link_lost.is_some_and(|lost| lost <= sent) {
            self.link_lost = None;
        }
        if is_regular { self.arrivals.beat(now) } else { self.arrivals.heard(now) }
    }

    /// Its connection broke: it may have died.
    pub fn lose_link(&mut self, now: Micros) {
        self.link_lost.get_or_insert(now);
    }

    /// There is a connection again. It may be silent all the same.
    pub fn regain_link(&mut self) {
        self.link_lost = None;
    }

    /// Whether it is to be pinged now, as one that is suspected or just came back. Counts the ping.
    pub fn takes_ping(&mut self, now: Micros) -> bool {
        let is_due = self.last_ping.is_none_or(|last| now - last >= PING_INTERVAL);
        if is_due {
            self.last_ping = Some(now);
            self.failed_pings = self.failed_pings.saturating_add(1);
        }
        is_due
    }

    /// Convicts it if there is reason to. Whether it did.
    pub fn convict(&mut self, now: Micros) -> bool {
        let since_loss = self.link_lost.map_or(0, |lost| now - lost);
        let is_silent = self.silence(now).is_none_or(|silence| silence >= SILENCE_LIMIT);
        let is_dead = self.is_alive
            && self.is_suspect(now)
            && self.failed_pings >= MIN_FAILED_PINGS
            && (is_silent || since_loss >= LINK_LIMIT);
        self.is_alive &= !is_dead;
        is_dead
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Micros = 1_000;

    fn beat(generation: u64, sent: u64, echo: Option<(u64, Micros)>) -> Beat {
        let echo = echo.map(|(generation, sent)| Echo { generation, sent: sent as u64 });
        Beat { generation, status: Status::Serving, sent, echo }
    }

    /// Our generation is 7.
    fn hear(peer: &mut Peer, beat: &Beat, now: Micros) -> Heard {
        peer.hear(beat, true, Own { generation: 7, sent: now as u64 }, now)
    }

    /// A peer of generation 3 that was reached by each of our beats until that time.
    fn reached_until(end: Micros) -> Peer {
        let mut peer = Peer::default();
        for (number, now) in (1..).zip((0..=end).step_by(250_000)) {
            assert_ne!(hear(&mut peer, &beat(3, number, Some((7, now))), now), Heard::Stale);
        }
        peer
    }

    #[test]
    fn a_peer_is_alive_once_it_proves_that_it_hears_us() {
        let mut peer = Peer::default();
        let now = 500 * MS;
        assert_eq!((peer.phi(now), peer.silence(now), peer.echo()), (0.0, None, None));
        assert_eq!(hear(&mut peer, &beat(3, 1, None), now), Heard::Restarted);
        assert_eq!(peer.echo(), Some(Echo { generation: 3, sent: 1 }));
        for (sent, echo, why) in [
            (2, None, "it hears nobody"),
            (3, Some((6, 400 * MS)), "it heard an earlier start of ours"),
            (4, Some((7, 501 * MS)), "what it heard was never sent"),
        ] {
            assert_eq!(hear(&mut peer, &beat(3, sent, echo), now), Heard::Next);
            assert!(!peer.is_alive(), "{why}");
        }
        hear(&mut peer, &beat(3, 5, Some((7, 400 * MS))), now);
        assert!(peer.is_alive());
        assert_eq!(peer.silence(now), Some(100 * MS));
    }

    #[test]
    fn old_proofs_make_nobody_alive() {
        let mut peer = Peer::default();
        hear(&mut peer, &beat(3, 1, Some((7, 0))), 3_000 * MS);
        assert!(!peer.is_alive(), "what it heard is 3 seconds old");
        hear(&mut peer, &beat(3, 2, Some((7, 1_000 * MS))), 3_900 * MS);
        assert!(peer.is_alive());
    }

    #[test]
    fn late_and_repeated_beats_change_nothing() {
        let mut peer = reached_until(1_000 * MS);
        let stopping = |generation, sent| {
            let echo = Some(Echo { generation: 7, sent: 1_100_000 });
            Beat { generation, status: Status::Stopping, sent, echo }
        };
        for (generation, sent) in [(3, 5), (3, 4), (2, 99)] {
            assert_eq!(hear(&mut peer, &stopping(generation, sent), 1_200 * MS), Heard::Stale);
            assert!(peer.is_alive());
            assert_eq!(peer.silence(1_200 * MS), Some(200 * MS));
        }
        hear(&mut peer, &stopping(3, 6), 1_200 * MS);
        assert!(!peer.is_alive());
    }

    #[test]
    fn a_regular_peer_is_suspected_early_and_convicted_late() {
        let mut peer = reached_until(20_000 * MS);
        let at = |silence| 20_000 * MS + silence * MS;
        assert!(!peer.is_suspect(at(600)));
        assert!(peer.is_suspect(at(1_000)));
        assert!(!peer.convict(at(10_000)), "it was never pinged");
        assert!((0..3).all(|ping| peer.takes_ping(at(1_000 + ping * 250))));
        assert!(!peer.takes_ping(at(1_600)), "not more often than that");
        assert!(!peer.convict(at(4_499)));
        assert!(peer.convict(at(4_500)));
        assert!(!peer.convict(at(4_500)), "once");
    }

    #[test]
    fn one_answer_acquits() {
        let mut peer = reached_until(20_000 * MS);
        let at = |silence| 20_000 * MS + silence * MS;
        for ping in 0..10 {
            assert!(peer.takes_ping(at(1_000 + ping * 250)));
        }
        let pong = beat(3, 1_000, Some((7, at(1_000))));
        peer.hear(&pong, false, Own { generation: 7, sent: at(3_250) as u64 }, at(4_400));
        assert!(!peer.convict(at(4_500)));
        assert!(!peer.convict(at(9_000)), "pings failed before it, and none since");
        assert!((0..3).all(|ping| peer.takes_ping(at(4_500 + ping * 250))));
        assert!(!peer.convict(at(5_499)));
        assert!(peer.convict(at(5_500)));
    }

    #[test]
    fn a_broken_connection_is_forgiven_when_a_later_beat_arrives() {
        let broken = 20_100 * MS;
        let mut peer = reached_until(20_000 * MS);
        peer.lose_link(broken);
        peer.lose_link(broken + 1_000 * MS);
        assert!(peer.is_suspect(broken));
        assert!((0..3).all(|ping| peer.takes_ping(broken + ping * PING_INTERVAL)));
        let mut other = peer.clone();
        assert!(!peer.convict(broken + LINK_LIMIT - 1));
        assert!(peer.convict(broken + LINK_LIMIT), "since it broke first");
        // A beat from before proves nothing.
        hear(&mut other, &beat(3, 1_000, Some((7, 20_050 * MS))), broken + 10 * MS);
        assert!(other.is_suspect(broken + 10 * MS));
        hear(&mut other, &beat(3, 1_001, Some((7, broken))), broken + 300 * MS);
        assert!(!other.is_suspect(broken + 300 * MS));
        assert!(!other.convict(broken + LINK_LIMIT));
    }

    #[test]
    fn a_restarted_peer_has_to_prove_itself_anew() {
        let mut peer = reached_until(1_000 * MS);
        assert_eq!(hear(&mut peer, &beat(4, 1, None), 1_100 * MS), Heard::Restarted);
        assert!(!peer.is_alive());
        assert_eq!(peer.silence(1_100 * MS), None);
        hear(&mut peer, &beat(4, 2, Some((7, 1_100 * MS))), 1_200 * MS);
        assert!(peer.is_alive());
    }
}

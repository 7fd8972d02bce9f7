//! Who of the nodes is alive, and what each says of itself.
//!
//! Who is a node is not decided here: the members are given, from the metadata. Nothing that is heard adds or removes one.
//!
//! - [`peer`]: whether one peer is alive: beats, suspicion, pings, conviction; [`arrivals`] has the formula of suspicion.
//! - [`gossip`]: what nodes say of themselves ([`state`]), spread by comparing digests.
//! - [`message`]: what travels, and its encoding.
//! - [`awake`]: time that this node was able to listen in.
//!
//! Each node beats to each other one every 250 ms. That is N messages of some 30 bytes, four times a second: 12 KB/s of a
//! hundred nodes, and a ring has no more than some hundreds. What it buys: everybody knows at first hand, needs nobody's
//! word for it, and is as quick in a large ring as in a small one. What is not urgent is gossiped: each second with three
//! peers, however many there are.
//!
//! ```text
//! Tick                              -> Send(b, Heartbeat) Send(c, Heartbeat) Send(c, Syn)
//! Received(b, Heartbeat, serving)   -> Up(b)
//! LinkLost(b)                       -> Send(b, Ping), and with each tick; then Down(b), unless it answers
//! ```

pub mod arrivals;
pub mod awake;
pub mod error;
pub mod gossip;
pub mod message;
pub mod peer;
pub mod state;

#[cfg(test)]
mod scenarios;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use self::awake::Awake;
use self::gossip::Gossip;
use self::message::{Beat, Message};
use self::peer::{Heard, Own, Peer};
use self::state::{NodeInfo, NodeState};
use crate::random::SplitMix64;

/// Microseconds: of a clock that never goes back if the caller has one, or a distance of two times.
pub type Micros = i64;

/// How often [`Input::Tick`] is to come.
pub const TICK_INTERVAL: Micros = 125_000;

/// How often each peer is sent a heartbeat.
pub const HEARTBEAT_INTERVAL: Micros = 250_000;

/// How often a suspect is pinged.
pub const PING_INTERVAL: Micros = 250_000;

/// How often some peers are gossiped with.
pub const GOSSIP_INTERVAL: Micros = 1_000_000;

/// How many live peers are gossiped with at a time.
const GOSSIP_PEERS: usize = 3;

/// What one node knows of the others.
#[derive(Debug)]
pub struct Membership {
    awake: Awake,
    random: SplitMix64,
    gossip: Gossip,
    /// The members but this node.
    peers: BTreeMap<Uuid, Peer>,
    /// The `sent` of the last beat.
    sent: u64,
    next_heartbeat: Micros,
    next_gossip: Micros,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time went on. Comes every [`TICK_INTERVAL`].
    Tick,
    /// A message came from the node of that identity, over a connection of its own.
    Received(Uuid, Message),
    /// The urgent connection to a peer stands.
    LinkUp(Uuid),
    /// The urgent connection to a peer broke.
    LinkLost(Uuid),
    /// These are the members from now on; this node may be among them.
    Members(BTreeSet<Uuid>),
    /// What this node says of itself from now on. Its status is told to all at once, the rest goes round by gossip:
    /// figures that always change are worth it every ten seconds or so.
    Local(NodeInfo),
}

/// What is to be done, or known.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send this; if there is no connection, or no room, forget it.
    Send(Uuid, Message),
    /// A peer takes requests.
    Up(Uuid),
    /// A peer takes no requests any more: it stops, was convicted, was restarted, or is no member any more.
    Down(Uuid),
    /// A peer says something else of itself.
    Changed(Uuid),
}

/// What is known of a member, for people and metrics.
#[derive(Clone, Debug)]
pub struct Member<'a> {
    /// Which one.
    pub host: Uuid,
    /// Whether it takes requests.
    pub is_alive: bool,
    /// Whether it may be dead.
    pub is_suspect: bool,
    /// How surprising its silence is: 8 or more is suspicious.
    pub phi: f64,
    /// Microseconds since the youngest of our beats was sent that is known to have arrived there.
    pub silence: Option<Micros>,
    /// What it says of itself, if that is known.
    pub state: Option<&'a NodeState>,
}

impl Membership {
    /// A node at its start, alone. The generation is greater than that of each earlier start: at least the time in
    /// microseconds, and more than the one that was kept from last time.
    pub fn new(local: Uuid, generation: u64, info: NodeInfo, now: Micros, seed: u64) -> Membership {
        let mut random = SplitMix64::new(seed);
        // Nodes that start together do not gossip together.
        let next_gossip = random.below(GOSSIP_INTERVAL as u64) as Micros;
        let gossip = Gossip::new(local, generation.max(1), info);
        let (awake, peers) = (Awake::new(now), BTreeMap::new());
        Membership { awake, random, gossip, peers, sent: 0, next_heartbeat: 0, next_gossip }
    }

    /// Goes on. Messages of nodes that are no members change nothing.
    pub fn on(&mut self, now: Micros, input: Input, out: &mut Vec<Effect>) {
        let now = self.awake.advance(now);
        match input {
            Input::Tick => self.tick(now, out),
            Input::Received(from, message) if self.peers.contains_key(&from) => {
                self.receive(from, message, now, out);
            }
            Input::Received(..) => {}
            Input::LinkUp(host) => self.link_up(host, now, out),
            Input::LinkLost(host) => self.link_lost(host, now, out),
            Input::Members(members) => self.set_members(members, now, out),
            Input::Local(info) => self.set_local(info, now, out),
        }
    }

    /// Whether a node takes requests, as far as this one knows. It always knows of itself.
    pub fn is_alive(&self, host: Uuid) -> bool {
        host == self.local() || self.peers.get(&host).is_some_and(Peer::is_alive)
    }

    /// How surprising a peer's silence is, as of the last input; `None` for what is no peer.
    pub fn phi(&self, host: Uuid) -> Option<f64> {
        self.peers.get(&host).map(|peer| peer.phi(self.awake.now()))
    }

    /// What is known of all members but this node, by host.
    pub fn members(&self) -> impl Iterator<Item = Member<'_>> {
        let now = self.awake.now();
        self.peers.iter().map(move |(host, peer)| Member {
            host: *host,
            is_alive: peer.is_alive(),
            is_suspect: peer.is_suspect(now),
            phi: peer.phi(now),
            silence: peer.silence(now),
            state: self.gossip.state(*host),
        })
    }

    /// What this node says of itself. Its generation is to be kept: the next start needs a greater one.
    pub fn own_state(&self) -> &NodeState {
        self.gossip.own()
    }

    fn local(&self) -> Uuid {
        self.gossip.local()
    }

    fn tick(&mut self, now: Micros, out: &mut Vec<Effect>) {
        if is_due(&mut self.next_heartbeat, HEARTBEAT_INTERVAL, now) {
            self.beat_to_all(now, out);
        }
        if is_due(&mut self.next_gossip, GOSSIP_INTERVAL, now) {
            self.gossip.grow_own_version();
            self.gossip_with_some(out);
        }
        let mut suspects = Vec::new();
        for (host, peer) in &mut self.peers {
            if peer.convict(now) {
                out.push(Effect::Down(*host));
            } else if peer.is_alive() && peer.is_suspect(now) {
                suspects.push(*host);
            }
        }
        suspects.into_iter().for_each(|host| self.ping(host, now, out));
    }

    fn receive(&mut self, from: Uuid, message: Message, now: Micros, out: &mut Vec<Effect>) {
        match message {
            Message::Heartbeat(beat) => {
                self.hear(from, &beat, true, now, out);
                // It does not know yet that it is heard, or we that it hears us: a ping settles both.
                if beat.status.is_serving() && !self.is_alive(from) {
                    self.ping(from, now, out);
                }
            }
            Message::Ping(beat) => {
                if self.hear(from, &beat, false, now, out) {
                    let beat = self.beat(from, now);
                    out.push(Effect::Send(from, Message::Pong(beat)));
                }
            }
            Message::Pong(beat) => {
                self.hear(from, &beat, false, now, out);
            }
            Message::Syn(digests) => {
                let ack = self.gossip.ack(digests, &mut self.random);
                out.push(Effect::Send(from, ack));
            }
            Message::Ack { updates, wanted } => {
                self.apply(updates, out);
                let news = self.gossip.news_for(&wanted);
                if !news.is_empty() {
                    out.push(Effect::Send(from, Message::Ack2(news)));
                }
            }
            Message::Ack2(updates) => self.apply(updates, out),
        }
    }

    fn apply(&mut self, updates: Vec<state::Update>, out: &mut Vec<Effect>) {
        out.extend(self.gossip.apply(updates).into_iter().map(Effect::Changed));
    }

    /// A beat came; whether it is a new one.
    fn hear(
        &mut self,
        from: Uuid,
        beat: &Beat,
        is_regular: bool,
        now: Micros,
        out: &mut Vec<Effect>,
    ) -> bool {
        let own = Own { generation: self.gossip.own().generation, sent: self.sent };
        let Some(peer) = self.peers.get_mut(&from) else { return false };
        let was_alive = peer.is_alive();
        let heard = peer.hear(beat, is_regular, own, now);
        let is_other = heard == Heard::Restarted;
        if was_alive && (is_other || !peer.is_alive()) {
            out.push(Effect::Down(from));
        }
        if peer.is_alive() && (is_other || !was_alive) {
            out.push(Effect::Up(from));
            out.push(Effect::Send(from, self.gossip.syn(&mut self.random)));
        }
        heard != Heard::Stale
    }

    fn link_up(&mut self, host: Uuid, now: Micros, out: &mut Vec<Effect>) {
        if let Some(peer) = self.peers.get_mut(&host) {
            peer.regain_link();
            self.ping(host, now, out);
        }
    }

    fn link_lost(&mut self, host: Uuid, now: Micros, out: &mut Vec<Effect>) {
        if let Some(peer) = self.peers.get_mut(&host) {
            peer.lose_link(now);
            self.ping(host, now, out);
        }
    }

    fn set_members(&mut self, mut members: BTreeSet<Uuid>, now: Micros, out: &mut Vec<Effect>) {
        members.remove(&self.local());
        self.peers.retain(|host, peer| {
            let stays = members.contains(host);
            if !stays && peer.is_alive() {
                out.push(Effect::Down(*host));
            }
            stays
        });
        let new: Vec<Uuid> =
            members.iter().filter(|host| !self.peers.contains_key(host)).copied().collect();
        self.gossip.set_members(members);
        for host in new {
            self.peers.insert(host, Peer::default());
            self.ping(host, now, out);
        }
    }

    fn set_local(&mut self, info: NodeInfo, now: Micros, out: &mut Vec<Effect>) {
        let is_other_status = self.gossip.own().info.status != info.status;
        self.gossip.set_own(info);
        if is_other_status {
            self.beat_to_all(now, out);
        }
    }

    fn beat_to_all(&mut self, now: Micros, out: &mut Vec<Effect>) {
        let hosts: Vec<Uuid> = self.peers.keys().copied().collect();
        for host in hosts {
            let beat = self.beat(host, now);
            out.push(Effect::Send(host, Message::Heartbeat(beat)));
        }
    }

    fn ping(&mut self, host: Uuid, now: Micros, out: &mut Vec<Effect>) {
        if self.peers.get_mut(&host).is_some_and(|peer| peer.takes_ping(now)) {
            let beat = self.beat(host, now);
            out.push(Effect::Send(host, Message::Ping(beat)));
        }
    }

    /// The next beat to that peer.
    fn beat(&mut self, host: Uuid, now: Micros) -> Beat {
        self.sent = (now as u64).max(self.sent + 1);
        let own = self.gossip.own();
        let echo = self.peers.get(&host).and_then(Peer::echo);
        Beat { generation: own.generation, status: own.info.status, sent: self.sent, echo }
    }

    /// With some that are alive; with one that is not, the more often the more there are: it may be back, and the only
    /// one that knows something.
    fn gossip_with_some(&mut self, out: &mut Vec<Effect>) {
        let (mut alive, mut dead): (Vec<Uuid>, Vec<Uuid>) =
            self.peers.keys().partition(|host| self.is_alive(**host));
        let asks_dead = self.random.below(alive.len() as u64 + 1) < dead.len() as u64;
        let dead = self.random.choose(&mut dead, usize::from(asks_dead));
        let alive = self.random.choose(&mut alive, GOSSIP_PEERS);
        for host in alive.iter().chain(dead) {
            out.push(Effect::Send(*host, self.gossip.syn(&mut self.random)));
        }
    }
}

/// Whether something that is done at intervals is to be done by this tick, which is the nearest one to its time.
fn is_due(next: &mut Micros, interval: Micros, now: Micros) -> bool {
    let is_due = now + TICK_INTERVAL / 2 >= *next;
    if is_due {
        // After a pause once, not as often as it was left out.
        *next = (*next + interval).max(now + interval / 2);
    }
    is_due
}

//! The beginning of a cluster: nodes that are started for the first time with the same list of seeds agree, once, on the
//! cluster's id and its first nodes, whatever the order in which they start and the crashes between.
//!
//! The acceptors are the seeds, known by their addresses; a majority of the list is needed. The seeds gather who else is
//! there, and propose a [first value](ClusterState::first) of those. A node that has metadata takes no part: it answers
//! with what was agreed on, and so ends the search of whoever comes later or is not listed.
//!
//! ```text
//! seeds a, b, c; c is not there yet
//! a                                     b
//!   Hello, here I am             ->     a is there, b is there: a majority, and c may yet come
//!                                <-     Hello
//!   (a while later) Prepare      ->     promises; so does a
//!   Accept {cluster 8f.., a, b}  ->     accepts; so does a: that is the cluster
//!   Formed                       ->
//! c: Hello                       ->     Formed: c registers in the metadata log
//! ```

mod message;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

use self::message::list;
pub use self::message::{
    Body, Effect, Founding, GenesisError, GenesisOptions, Input, Message, Record,
};
use super::entry::NodeDescription;
use super::state::{ClusterIdentity, ClusterState};
use crate::paxos::{
    Acceptor, AcceptorState, Ballot, Gate, Outcome, Proposer, Reply, Request, Unsynced, majority,
};
use crate::planted::planted;

/// Microseconds between two calls for others.
const HELLO: i64 = 250_000;

/// How long seeds that did not start quite at once are waited for, once a majority is there.
const GATHER: i64 = 500_000;

/// Who said nothing for that long is not there.
const SILENCE: i64 = 4 * HELLO;

/// Microseconds after which a seed that has not answered is asked again.
const RESEND: i64 = 200_000;

/// One node's search for its cluster.
#[derive(Debug)]
pub struct Genesis {
    options: GenesisOptions,
    acceptor: Acceptor<Founding>,
    gate: Gate<Effect>,
    /// Seeds that are there, and when they said so last.
    heard: BTreeMap<SocketAddr, (NodeDescription, i64)>,
    /// Nodes that are no seeds and wait to be told.
    others: BTreeSet<SocketAddr>,
    attempt: Option<(Proposer<SocketAddr, Founding>, i64)>,
    seen: Option<Ballot>,
    hello_at: i64,
    /// When it may propose; `None` while too few seeds are there.
    propose_at: Option<i64>,
    formed: Option<Founding>,
    /// What was said already, by whom it is about.
    troubles: BTreeMap<SocketAddr, String>,
}

/// What a node that has metadata answers to one that looks for its cluster. `state` is the newest that it has.
pub fn answer(from: SocketAddr, state: &Arc<ClusterState>, message: &Message) -> Option<Message> {
    if matches!(message.body, Body::Formed(_) | Body::Differs) {
        return None;
    }
    let cluster_name = state.cluster.name.clone();
    let body = match cluster_name == message.cluster_name {
        true => Body::Formed(Arc::clone(state)),
        false => Body::Differs,
    };
    Some(Message { from, cluster_name, seeds: BTreeSet::new(), body })
}

impl Genesis {
    /// The search of a node that has no metadata, with what it kept of an earlier one. It wants a tick at once.
    ///
    /// # Errors
    /// It can't take part: see [`GenesisError`].
    pub fn new(options: GenesisOptions, kept: Option<Record>) -> Result<Genesis, GenesisError> {
        let is_alone = options.seeds.iter().eq([&options.node.address]);
        if options.seeds.is_empty() {
            return Err(GenesisError::NoSeeds);
        }
        if !is_alone && !options.schema.keyspaces.is_empty() {
            return Err(GenesisError::HasKeyspaces);
        }
        let mut state = AcceptorState::default();
        if let Some(Record { seeds, acceptor }) = kept {
            // A promise under another list binds nobody: this node answers by that list no more.
            if seeds != options.seeds && acceptor.accepted.is_some() {
                let (before, now) = (list(&seeds), list(&options.seeds));
                return Err(GenesisError::OtherSeeds { before, now });
            }
            state = acceptor;
        }
        if planted!(ForgetPromise) {
            state.promised = None;
        }
        Ok(Genesis {
            options,
            seen: state.promised,
            acceptor: Acceptor::new(state),
            gate: Gate::new(),
            heard: BTreeMap::new(),
            others: BTreeSet::new(),
            attempt: None,
            hello_at: i64::MIN,
            propose_at: None,
            formed: None,
            troubles: BTreeMap::new(),
        })
    }

    /// Seeds that have not been heard of lately: what the node waits for, for people.
    pub fn missing(&self) -> impl Iterator<Item = SocketAddr> + '_ {
        self.options.seeds.iter().copied().filter(|seed| !self.heard.contains_key(seed))
    }

    /// When it wants to be told [`Input::Tick`] at the latest, in microseconds; `None` once the cluster is there.
    pub fn next_tick(&self) -> Option<i64> {
        if self.formed.is_some() {
            return None;
        }
        let next = match &self.attempt {
            Some((_, resend_at)) => Some(*resend_at),
            None => self.propose_at,
        };
        Some(next.map_or(self.hello_at, |next| next.min(self.hello_at)))
    }

    /// Goes on. `now` is in microseconds; `bits` are random.
    pub fn on(&mut self, now: i64, bits: u128, input: Input, out: &mut Vec<Effect>) {
        match input {
            Input::Message(message) => self.on_message(now, bits, message, out),
            Input::Persisted(ticket) => self.gate.persisted(ticket),
            Input::Tick => self.on_tick(now, bits, out),
        }
        while let Some(effect) = self.gate.release() {
            match effect {
                Effect::Send(to, message) if to == self.me() => {
                    self.on_message(now, bits, message, out);
                }
                effect => out.push(effect),
            }
        }
    }

    fn me(&self) -> SocketAddr {
        self.options.node.address
    }

    fn is_seed(&self) -> bool {
        self.options.seeds.contains(&self.me())
    }

    fn send(&mut self, to: SocketAddr, body: Body) {
        let GenesisOptions { cluster_name, seeds, .. } = self.options.clone();
        let message = Message { from: self.me(), cluster_name, seeds, body };
        self.gate.hold(Effect::Send(to, message));
    }

    fn on_tick(&mut self, now: i64, bits: u128, out: &mut Vec<Effect>) {
        if self.formed.is_some() {
            return;
        }
        if self.hello_at <= now {
            self.hello_at = now + HELLO;
            self.heard.retain(|_, (_, at)| *at + SILENCE > now);
            let hello = Body::Hello(self.options.node.clone());
            let mut others = self.options.seeds.clone();
            others.remove(&self.me());
            for seed in others {
                self.send(seed, hello.clone());
            }
            if self.is_seed() {
                self.hear(now, self.options.node.clone());
            }
        }
        match &self.attempt {
            Some((_, resend_at)) if *resend_at <= now => self.ask(now),
            None if self.propose_at.is_some_and(|at| at <= now) => self.propose(now, bits, out),
            _ => {}
        }
    }

    /// A seed is there. Says whether that is new.
    fn hear(&mut self, now: i64, node: NodeDescription) -> bool {
        let is_new = self.heard.insert(node.address, (node, now)).is_none();
        let (heard, all) = (self.heard.len(), self.options.seeds.len());
        if !self.is_seed() || heard < majority(all) {
            self.propose_at = None;
        } else if is_new {
            // The first of those who are there begins; the others only if it does not come through.
            let rank = self.heard.keys().take_while(|seed| **seed < self.me()).count();
            let gather = if heard == all { 0 } else { GATHER };
            let at = now + gather + rank as i64 * 2 * RESEND;
            self.propose_at = Some(self.propose_at.map_or(at, |before| before.min(at)));
        }
        is_new
    }

    fn propose(&mut self, now: i64, bits: u128, out: &mut Vec<Effect>) {
        let nodes: Vec<NodeDescription> =
            self.heard.values().map(|(node, _)| node.clone()).collect();
        let id = uuid::Builder::from_random_bytes(bits.to_be_bytes()).into_uuid();
        let cluster = ClusterIdentity { id, name: self.options.cluster_name.clone() };
        let schema = Arc::clone(&self.options.schema);
        let founding = match ClusterState::first(cluster, &nodes, schema) {
            Ok(founding) => Arc::new(founding),
            Err(error) => {
                self.trouble(self.me(), format!("no cluster can begin: {error}"), out);
                self.propose_at = Some(now + GATHER);
                return;
            }
        };
        let promised = self.acceptor.state().promised;
        let ballot = Ballot::above(self.seen.max(promised), now, self.options.node.host_id);
        let promise = self.acceptor.promise_own(ballot);
        self.hold_reply(self.me(), promise, out);
        let proposer = Proposer::prepare(self.options.seeds.clone(), ballot, founding);
        self.attempt = Some((proposer, now));
        self.ask(now);
    }

    /// Asks the seeds that have not answered.
    fn ask(&mut self, now: i64) {
        let Some((proposer, resend_at)) = &mut self.attempt else { return };
        *resend_at = now + RESEND;
        let request = proposer.request();
        let waiting: Vec<SocketAddr> = proposer.waiting_for().collect();
        for seed in waiting {
            self.send(seed, Body::Request(request.clone()));
        }
    }

    fn on_message(&mut self, now: i64, bits: u128, message: Message, out: &mut Vec<Effect>) {
        let from = message.from;
        if let Some(state) = &self.formed {
            let answer = answer(self.me(), state, &message);
            out.extend(answer.map(|answer| Effect::Send(from, answer)));
            return;
        }
        if self.differs(&message, out) {
            return;
        }
        match message.body {
            Body::Hello(node) => {
                if !self.options.seeds.contains(&from) {
                    self.others.insert(from);
                } else if node.address == from && self.hear(now, node) {
                    self.send(from, Body::Hello(self.options.node.clone()));
                }
            }
            Body::Request(request) => self.on_request(from, request, out),
            Body::Reply(reply) => self.on_reply(now, bits, from, reply, out),
            Body::Formed(state) => self.form(state, out),
            Body::Differs => {}
        }
    }

    /// Whether nothing can be begun with the sender: both sides say why.
    fn differs(&mut self, message: &Message, out: &mut Vec<Effect>) -> bool {
        let Message { from, cluster_name, seeds, body } = message;
        let ours = &self.options;
        let is_formed = matches!(body, Body::Formed(_));
        // Only seeds need the same list; others may know some of them. Who is past its beginning has no use for it.
        let is_seed = |node| ours.seeds.contains(node) || seeds.contains(node);
        let both_are_seeds = is_seed(from) && is_seed(&ours.node.address);
        let trouble = if *cluster_name != ours.cluster_name {
            format!(
                "node {from} is of cluster {cluster_name:?} and this one of {:?}: give them one name, or separate lists of seeds",
                ours.cluster_name
            )
        } else if !is_formed && both_are_seeds && *seeds != ours.seeds {
            format!(
                "node {from} has the seeds {}, and this one {}: give all nodes the same list",
                list(seeds),
                list(&ours.seeds)
            )
        } else {
            return false;
        };
        self.trouble(*from, trouble, out);
        if !matches!(body, Body::Differs | Body::Formed(_)) {
            self.send(*from, Body::Differs);
        }
        true
    }

    /// Says something, once.
    fn trouble(&mut self, about: SocketAddr, what: String, out: &mut Vec<Effect>) {
        if self.troubles.insert(about, what.clone()).as_ref() != Some(&what) {
            out.push(Effect::Trouble(what));
        }
    }

    fn on_request(&mut self, from: SocketAddr, request: Request<Founding>, out: &mut Vec<Effect>) {
        if !self.is_seed() || !self.options.seeds.contains(&from) {
            return;
        }
        let (Request::Prepare(ballot) | Request::Accept(ballot, _)) = request;
        self.seen = self.seen.max(Some(ballot));
        let unsynced = self.acceptor.on(request);
        self.hold_reply(from, unsynced, out);
    }

    fn hold_reply(&mut self, to: SocketAddr, reply: Unsynced<Founding>, out: &mut Vec<Effect>) {
        let GenesisOptions { cluster_name, seeds, .. } = self.options.clone();
        let (from, kept_seeds) = (self.me(), seeds.clone());
        let wrap = |reply| {
            let body = Body::Reply(reply);
            Effect::Send(to, Message { from, cluster_name, seeds, body })
        };
        if let Some((ticket, acceptor)) = reply.hold(&mut self.gate, wrap) {
            out.push(Effect::Persist(ticket, Record { seeds: kept_seeds, acceptor }));
        }
    }

    fn on_reply(
        &mut self,
        now: i64,
        bits: u128,
        from: SocketAddr,
        reply: Reply<Founding>,
        out: &mut Vec<Effect>,
    ) {
        let Some((proposer, _)) = &mut self.attempt else { return };
        match proposer.on(from, reply) {
            Outcome::Waiting => {}
            Outcome::Promised => self.ask(now),
            Outcome::Decided(state) => self.form(state, out),
            Outcome::Overtaken(by) => {
                self.seen = self.seen.max(Some(by));
                self.attempt = None;
                self.propose_at = Some(now + RESEND + (bits % (2 * RESEND) as u128) as i64);
            }
        }
    }

    fn form(&mut self, state: Founding, out: &mut Vec<Effect>) {
        self.attempt = None;
        out.push(Effect::Formed(Arc::clone(&state)));
        let me = self.me();
        let told: BTreeSet<SocketAddr> =
            self.options.seeds.iter().chain(&self.others).copied().collect();
        for other in told.into_iter().filter(|other| *other != me) {
            self.send(other, Body::Formed(Arc::clone(&state)));
        }
        self.formed = Some(state);
    }
}

//! What all nodes say of themselves, spread by anti-entropy: two nodes compare digests and give each other what is newer.
//! News are everywhere after a number of rounds that grows with the logarithm of the number of nodes.
//!
//! Who is a member is given. States of others are neither kept nor passed on.
//!
//! ```text
//! A knows a:5/9 b:5/4                      B knows a:5/7 b:5/8       (generation/version)
//! A  Syn [a 5/9, b 5/4]               ->   B lacks news of a, and has some of b
//! A takes b in, gives a  <-  Ack updates [b 5/8], wanted [a 5/7]  B
//! A  Ack2 [a 5/9]                     ->   B takes a in
//! ```

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::message::{MAX_BYTES, MAX_DIGEST, Message};
use super::state::{Applied, Digest, NodeInfo, NodeState, Update};
use crate::random::SplitMix64;

/// Bytes of an encoded kind and of the lengths of two lists, generously.
const OVERHEAD: usize = 32;

/// The most digests of a message that has nothing else.
const MAX_DIGESTS: usize = (MAX_BYTES - OVERHEAD) / MAX_DIGEST;

/// The most bytes of updates, where digests may stand beside them.
const MAX_UPDATE_BYTES: usize = MAX_BYTES / 2;

/// The most digests where updates may stand beside them.
const MAX_WANTED: usize = (MAX_BYTES - OVERHEAD - MAX_UPDATE_BYTES) / MAX_DIGEST;

/// The states that this node knows, its own among them.
#[derive(Debug)]
pub struct Gossip {
    local: Uuid,
    /// Of this node and of members, as far as they are known.
    states: BTreeMap<Uuid, NodeState>,
    /// The others.
    members: BTreeSet<Uuid>,
}

impl Gossip {
    /// What a node knows at its start: itself.
    pub fn new(local: Uuid, generation: u64, info: NodeInfo) -> Gossip {
        let own = NodeState { generation, version: 1, changed: 1, info };
        Gossip { local, states: BTreeMap::from([(local, own)]), members: BTreeSet::new() }
    }

    /// This node.
    pub fn local(&self) -> Uuid {
        self.local
    }

    /// This node's own state.
    pub fn own(&self) -> &NodeState {
        &self.states[&self.local]
    }

    /// The state of that node, if it is known.
    pub fn state(&self, host: Uuid) -> Option<&NodeState> {
        self.states.get(&host)
    }

    /// From now on these are members; states of all others are forgotten.
    pub fn set_members(&mut self, mut members: BTreeSet<Uuid>) {
        members.remove(&self.local);
        self.states.retain(|host, _| *host == self.local || members.contains(host));
        self.members = members;
    }

    /// What this node says of itself, from now on.
    pub fn set_own(&mut self, info: NodeInfo) {
        self.change_own(|own| {
            own.version += 1;
            if own.info != info {
                (own.changed, own.info) = (own.version, info);
            }
        });
    }

    /// A sign of life.
    pub fn grow_own_version(&mut self) {
        self.change_own(|own| own.version += 1);
    }

    /// How a round begins: all that is known, and what is not, so that the other may tell. Where that does not fit, as
    /// much as does, beginning anywhere.
    pub fn syn(&self, random: &mut SplitMix64) -> Message {
        let members: Vec<Uuid> = self.members.iter().copied().collect();
        let from = random.below(members.len() as u64) as usize;
        let (before, after) = members.split_at(from);
        let hosts = std::iter::once(&self.local).chain(after).chain(before);
        Message::Syn(hosts.take(MAX_DIGESTS).map(|host| self.digest(*host)).collect())
    }

    /// The answer to those digests.
    pub fn ack(&self, mut digests: Vec<Digest>, random: &mut SplitMix64) -> Message {
        let from = random.below(digests.len() as u64) as usize;
        digests.rotate_left(from);
        let updates = self.news_for(&digests);
        let known = |digest: &Digest| self.is_known(digest.host).then(|| self.digest(digest.host));
        let is_behind = |ours: &Digest, theirs: &Digest| {
            (ours.generation, ours.version) < (theirs.generation, theirs.version)
        };
        let wanted = digests
            .iter()
            .filter_map(|theirs| known(theirs).filter(|ours| is_behind(ours, theirs)));
        Message::Ack { updates, wanted: wanted.take(MAX_WANTED).collect() }
    }

    /// What those that know as much as the digests say do not know, as far as it fits.
    pub fn news_for(&self, digests: &[Digest]) -> Vec<Update> {
        let (mut updates, mut bytes) = (Vec::new(), 0);
        let states =
            digests.iter().filter_map(|digest| Some((digest, self.states.get(&digest.host)?)));
        for update in states.filter_map(|(digest, state)| state.news_for(digest)) {
            let mut encoded = Vec::new();
            update.encode(&mut encoded);
            bytes += encoded.len();
            if bytes > MAX_UPDATE_BYTES {
                break;
            }
            updates.push(update);
        }
        updates
    }

    /// Takes news in; the hosts that say something else of themselves now.
    pub fn apply(&mut self, updates: Vec<Update>) -> Vec<Uuid> {
        let mut changed = Vec::new();
        for update in updates {
            let host = update.host;
            if host == self.local {
                self.outgrow(&update);
            } else if self.members.contains(&host) {
                let applied = match self.states.get_mut(&host) {
                    Some(state) => state.apply(update),
                    // Without content it is news of something that is not here.
                    None if update.info.is_some() => {
                        self.states.entry(host).or_default().apply(update)
                    }
                    None => Applied::Nothing,
                };
                if applied == Applied::Content {
                    changed.push(host);
                }
            }
        }
        changed
    }

    /// Somebody knows of a later start of this node than this one: its clock was set back, and it does not remember.
    /// It would never be believed again, so it counts on from there.
    fn outgrow(&mut self, update: &Update) {
        self.change_own(|own| {
            if (update.generation, update.version) > (own.generation, own.version) {
                own.generation = update.generation.saturating_add(1);
                (own.version, own.changed) = (1, 1);
            }
        });
    }

    fn change_own(&mut self, change: impl FnOnce(&mut NodeState)) {
        if let Some(own) = self.states.get_mut(&self.local) {
            change(own);
        }
    }

    fn is_known(&self, host: Uuid) -> bool {
        host == self.local || self.members.contains(&host)
    }

    fn digest(&self, host: Uuid) -> Digest {
        let state = self.states.get(&host);
        let (generation, version) = state.map_or((0, 0), |state| (state.generation, state.version));
        Digest { host, generation, version }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: usize) -> Uuid {
        Uuid::from_u128(number as u128)
    }

    fn info(load_bytes: u64) -> NodeInfo {
        NodeInfo { load_bytes, release: "x".repeat(64), ..NodeInfo::default() }
    }

    /// A node of a ring of so many.
    fn node(number: usize, nodes: usize) -> Gossip {
        let mut gossip = Gossip::new(host(number), 5, info(number as u64));
        gossip.set_members((0..nodes).map(host).collect());
        gossip
    }

    /// One round, begun by the first; bytes of the longest message.
    fn round(one: &mut Gossip, other: &mut Gossip, random: &mut SplitMix64) -> usize {
        let size = |message: &Message| {
            let mut bytes = Vec::new();
            message.encode(&mut bytes);
            bytes.len()
        };
        let syn = one.syn(random);
        let syn_size = size(&syn);
        let Message::Syn(digests) = syn else { panic!("{syn:?}") };
        let ack = other.ack(digests, random);
        let ack_size = size(&ack);
        let Message::Ack { updates, wanted } = ack else { panic!("{ack:?}") };
        one.apply(updates);
        let ack2 = Message::Ack2(one.news_for(&wanted));
        let ack2_size = size(&ack2);
        let Message::Ack2(updates) = ack2 else { unreachable!() };
        other.apply(updates);
        syn_size.max(ack_size).max(ack2_size)
    }

    fn states(gossip: &Gossip) -> Vec<(Uuid, NodeState)> {
        gossip.states.iter().map(|(host, state)| (*host, state.clone())).collect()
    }

    #[test]
    fn after_a_round_both_know_what_either_knew() {
        let random = &mut SplitMix64::new(1);
        let (mut a, mut b, mut c) = (node(0, 3), node(1, 3), node(2, 3));
        round(&mut a, &mut b, random);
        assert_eq!(states(&a), states(&b));
        assert_eq!(states(&a).len(), 2);
        b.set_own(info(100));
        round(&mut c, &mut b, random);
        assert_eq!(states(&c), states(&b));
        round(&mut a, &mut c, random);
        assert_eq!(states(&a), states(&b));
        assert_eq!(a.state(host(1)).map(|state| state.info.load_bytes), Some(100));
    }

    #[test]
    fn a_change_is_told_once_and_a_sign_of_life_is_none() {
        let random = &mut SplitMix64::new(1);
        let (mut a, mut b) = (node(0, 2), node(1, 2));
        assert_eq!(a.apply(b.news_for(&[a.digest(host(1))])), [host(1)]);
        b.grow_own_version();
        b.set_own(info(1));
        let news = b.news_for(&[a.digest(host(1))]);
        assert!(news.iter().all(|update| update.info.is_none()), "nothing changed: {news:?}");
        assert!(a.apply(news).is_empty());
        assert_eq!(a.state(host(1)), Some(b.own()));
        b.set_own(info(2));
        assert_eq!(a.apply(b.news_for(&[a.digest(host(1))])), [host(1)]);
        round(&mut a, &mut b, random);
        assert_eq!(states(&a), states(&b));
    }

    #[test]
    fn what_is_said_of_others_than_members_is_neither_kept_nor_passed_on() {
        let random = &mut SplitMix64::new(1);
        let (mut a, mut b) = (node(0, 2), node(1, 3));
        let stranger = NodeState { generation: 9, version: 9, changed: 9, info: info(9) };
        let known = Digest { host: host(2), generation: 0, version: 0 };
        let update = stranger.news_for(&known).unwrap();
        b.apply(vec![update.clone()]);
        assert!(a.apply(vec![update]).is_empty());
        round(&mut a, &mut b, random);
        round(&mut b, &mut a, random);
        assert_eq!(states(&a).len(), 2);
        assert_eq!(states(&b).len(), 3);
        b.set_members([host(0)].into());
        assert_eq!(states(&b), states(&a), "it is forgotten");
    }

    #[test]
    fn a_state_of_this_node_that_is_later_than_its_own_is_outgrown() {
        let mut a = node(0, 2);
        let later = |generation, version| {
            let state = NodeState { generation, version, changed: version, info: info(9) };
            state.news_for(&Digest { host: host(0), generation: 0, version: 0 }).unwrap()
        };
        assert!(a.apply(vec![later(4, 99), later(5, 1)]).is_empty());
        assert_eq!(a.own().generation, 5);
        a.apply(vec![later(8, 3)]);
        assert_eq!((a.own().generation, a.own().info.load_bytes), (9, 0));
        a.apply(vec![later(u64::MAX, 3)]);
        assert_eq!(a.own().generation, u64::MAX);
    }

    #[test]
    fn no_answer_is_longer_than_a_message_may_be() {
        const NODES: usize = 1_000;
        let mut a = node(0, NODES);
        let late = NodeState { generation: u64::MAX - 1, version: 9, changed: 9, info: info(9) };
        let digest = |number, generation| Digest { host: host(number), generation, version: 0 };
        let news = (1..NODES).filter_map(|number| late.news_for(&digest(number, 0)));
        a.apply(news.collect());
        // Every other one is known better here than there, the rest are known better there.
        let generation = |number: usize| if number.is_multiple_of(2) { 0 } else { u64::MAX };
        let digests = (1..NODES).map(|number| digest(number, generation(number))).collect();
        let ack = a.ack(digests, &mut SplitMix64::new(1));
        let mut bytes = Vec::new();
        ack.encode(&mut bytes);
        assert!(bytes.len() <= MAX_BYTES, "{} bytes", bytes.len());
        let Message::Ack { updates, wanted } = ack else { panic!("{ack:?}") };
        assert!(updates.len() > 50 && wanted.len() == MAX_WANTED);
    }

    /// More than fits into one message: everything arrives all the same, in a few rounds.
    #[test]
    fn a_large_ring_is_told_in_parts() {
        const NODES: usize = 1_000;
        let random = &mut SplitMix64::new(1);
        let (mut a, mut b) = (node(0, NODES), node(1, NODES));
        for number in 2..NODES {
            let knows = if number.is_multiple_of(2) { &mut a } else { &mut b };
            knows.apply(node(number, NODES).news_for(&[knows.digest(host(number))]));
        }
        let mut rounds = 0;
        while states(&a) != states(&b) {
            assert!(round(&mut a, &mut b, random) <= MAX_BYTES);
            rounds += 1;
            assert!(rounds < 60, "{} and {} of {NODES}", a.states.len(), b.states.len());
        }
        assert_eq!(a.states.len(), NODES);
    }
}

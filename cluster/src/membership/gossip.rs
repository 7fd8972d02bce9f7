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

//! Several nodes' logs in one thread, from a seed: messages are lost, come twice, late and in any order; nodes are cut off
//! from each other; they crash, and keep what was synced and perhaps some of what was on its way to the disk.
//!
//! Whatever happens: one entry is decided for an epoch; every node has the same value at the same epoch, and never an older
//! one than it had; who is told that an entry is decided, or was not proposed, was told the truth. When the faults end all
//! nodes come to the same value, and each can propose.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use tholos_storage::planted::{Planted, plant};
use uuid::Uuid;

use super::*;
use crate::metadata::entry::{Entry, NodeDescription};
use crate::metadata::record::{decode, encode};
use crate::metadata::state::ClusterIdentity;
use crate::paxos::Ticket;
use crate::random::SplitMix64;
use crate::testing::{description, keyspace};

const SECOND: i64 = 1_000_000;

type Violation = String;

struct Machine {
    /// `None` while it is down.
    log: Option<MetadataLog>,
    disk: Vec<Record>,
    writing: VecDeque<(Ticket, Record)>,
    /// The epoch that it said it has.
    visible: u64,
    /// Nodes of other sides hear nothing of it.
    side: u8,
}

pub(super) struct World {
    chance: SplitMix64,
    pub(super) now: i64,
    nodes: Vec<Machine>,
    network: Vec<(usize, usize, Message)>,
    /// What each epoch is, by whoever said so first.
    entries: BTreeMap<u64, Proposal>,
    values: BTreeMap<u64, Arc<ClusterState>>,
    ids: u128,
    pub(super) outcomes: BTreeMap<Uuid, Result<u64, ProposeError>>,
    faults: bool,
}

fn host(at: usize) -> Uuid {
    description(at as u16 + 1).host_id
}

impl World {
    pub(super) fn new(seed: u64, count: usize) -> World {
        let nodes: Vec<NodeDescription> = (1..=count as u16).map(description).collect();
        let cluster = ClusterIdentity { id: Uuid::from_u128(99), name: "zoo".to_string() };
        let first = ClusterState::first(cluster, &nodes, Arc::default()).unwrap();
        let first = Arc::new(first);
        let nodes = (0..count).map(|at| {
            let log = MetadataLog::new(host(at), Arc::clone(&first));
            let disk = log.checkpoint().to_vec();
            Machine { log: Some(log), disk, writing: VecDeque::new(), visible: 1, side: 0 }
        });
        World {
            chance: SplitMix64::new(seed),
            now: 0,
            nodes: nodes.collect(),
            network: Vec::new(),
            entries: BTreeMap::new(),
            values: BTreeMap::from([(1, first)]),
            ids: 0,
            outcomes: BTreeMap::new(),
            faults: true,
        }
    }

    fn pick(&mut self, bound: usize) -> usize {
        self.chance.below(bound as u64) as usize
    }

    pub(super) fn cut(&mut self, sides: &[u8]) {
        for (node, side) in self.nodes.iter_mut().zip(sides) {
            node.side = *side;
        }
    }

    pub(super) fn epochs(&self) -> Vec<u64> {
        self.nodes.iter().map(|node| node.visible).collect()
    }

    fn input(&mut self, at: usize, input: Input) -> Result<(), Violation> {
        let bits = self.chance.bits();
        let Some(log) = &mut self.nodes[at].log else { return Ok(()) };
        let mut effects = Vec::new();
        // Clocks differ.
        log.on(self.now + at as i64 * 7_000, bits, input, &mut effects);
        effects.into_iter().try_for_each(|effect| self.carry_out(at, effect))
    }

    fn carry_out(&mut self, at: usize, effect: Effect) -> Result<(), Violation> {
        match effect {
            Effect::Persist(ticket, record) => {
                if let Record::Entry { epoch, proposal } = &record {
                    self.check_entry(*epoch, proposal)?;
                }
                self.nodes[at].writing.push_back((ticket, record));
            }
            Effect::Send(to, message) => {
                let Some(to) = (0..self.nodes.len()).find(|other| host(*other) == to) else {
                    return Err(format!("node {at} sends to {to}, who is nobody"));
                };
                self.network.push((at, to, message));
            }
            Effect::Changed(state) => self.check_value(at, state)?,
            Effect::Done(id, outcome) => self.check_outcome(id, outcome)?,
            Effect::Reached(other, epoch) => {
                let node = (0..self.nodes.len()).find(|node| host(*node) == other);
                if node.is_some_and(|node| self.nodes[node].visible < epoch) {
                    return Err(format!("{other} counts as at {epoch}"));
                }
            }
        }
        Ok(())
    }

    fn check_entry(&mut self, epoch: u64, proposal: &Proposal) -> Result<(), Violation> {
        let known = self.entries.entry(epoch).or_insert_with(|| proposal.clone());
        match known == proposal {
            true => Ok(()),
            false => Err(format!("epoch {epoch} is {known:?} and {proposal:?}")),
        }
    }

    fn check_value(&mut self, at: usize, state: Arc<ClusterState>) -> Result<(), Violation> {
        let epoch = state.epoch;
        let node = &mut self.nodes[at];
        if epoch <= node.visible {
            return Err(format!("node {at} goes from epoch {} to {epoch}", node.visible));
        }
        node.visible = epoch;
        let known = self.values.entry(epoch).or_insert_with(|| Arc::clone(&state));
        match *known == state {
            true => Ok(()),
            false => Err(format!("node {at} has another value of epoch {epoch}")),
        }
    }

    fn check_outcome(
        &mut self,
        id: Uuid,
        outcome: Result<u64, ProposeError>,
    ) -> Result<(), Violation> {
        if let Ok(epoch) = &outcome
            && self.entries.get(epoch).is_none_or(|entry| entry.id != id)
        {
            return Err(format!("{id} is said to be epoch {epoch}, and is not"));
        }
        match self.outcomes.insert(id, outcome) {
            None => Ok(()),
            Some(before) => Err(format!("{id} is done twice, first as {before:?}")),
        }
    }

    /// Proposes something that fits what the node knows.
    pub(super) fn propose(&mut self, at: usize, patience: i64) -> Result<Uuid, Violation> {
        self.ids += 1;
        let id = Uuid::from_u128(self.ids);
        let Some(log) = &self.nodes[at].log else { return Ok(id) };
        let state = Arc::clone(log.state());
        let entry = match self.chance.below(6) {
            0 => {
                let all: Vec<Uuid> = state.ring.nodes().iter().map(|node| node.host_id).collect();
                let count = 1 + 2 * self.pick(all.len().div_ceil(2));
                let from = self.pick(all.len());
                Entry::Members(all.iter().cycle().skip(from).take(count).copied().collect())
            }
            1 => {
                let port = 1_000 + self.chance.below(50_000) as u16;
                let address = ([127, 0, 0, 1], port).into();
                Entry::Register(NodeDescription { address, ..description(at as u16 + 1) })
            }
            _ => {
                let name = format!("k{}", self.chance.below(4));
                let factor = self.chance.below(5).to_string();
                let changes = vec![keyspace(&name, &factor)];
                Entry::Schema { base: state.schema.epoch, changes }
            }
        };
        self.input(at, Input::Propose { id, entry, deadline: self.now + patience })?;
        Ok(id)
    }

    fn deliver(&mut self) -> Result<(), Violation> {
        if self.network.is_empty() {
            return Ok(());
        }
        let at = match self.faults {
            true => self.pick(self.network.len()),
            false => 0,
        };
        let (from, to, message) = self.network.remove(at);
        if self.nodes[from].side != self.nodes[to].side {
            return Ok(());
        }
        if self.faults && self.chance.percent(10) {
            return Ok(());
        }
        if self.faults && self.chance.percent(10) {
            self.network.push((from, to, message.clone()));
        }
        self.input(to, Input::Message { from: host(from), message })
    }

    fn sync(&mut self, at: usize) -> Result<(), Violation> {
        let Some((ticket, record)) = self.nodes[at].writing.pop_front() else { return Ok(()) };
        self.nodes[at].disk.push(record);
        self.input(at, Input::Persisted(ticket))
    }

    /// Replaces what is on disk by what it comes to.
    fn checkpoint(&mut self, at: usize) -> Result<(), Violation> {
        let node = &mut self.nodes[at];
        let Some(log) = &node.log else { return Ok(()) };
        node.disk = log.checkpoint().to_vec();
        let last = node.writing.drain(..).next_back();
        last.map_or(Ok(()), |(ticket, _)| self.input(at, Input::Persisted(ticket)))
    }

    fn crash_or_restart(&mut self, at: usize) -> Result<(), Violation> {
        let arrived = self.pick(self.nodes[at].writing.len() + 1);
        let node = &mut self.nodes[at];
        if node.log.take().is_some() {
            node.disk.extend(node.writing.drain(..).take(arrived).map(|(_, record)| record));
            return Ok(());
        }
        let bytes = node.disk.iter().map(|record| encode(record).unwrap());
        let records: Vec<Record> = bytes.map(|bytes| decode(&bytes).unwrap()).collect();
        let log = MetadataLog::open(host(at), records).map_err(|gap| gap.to_string())?;
        let log = log.ok_or("no metadata is left")?;
        let state = Arc::clone(log.state());
        let visible = node.visible;
        node.log = Some(log);
        if state.epoch < visible {
            return Err(format!("node {at} had {visible} and starts with {}", state.epoch));
        }
        node.visible = state.epoch;
        match self.values.get(&state.epoch) {
            Some(known) if *known != state => Err(format!("node {at} starts with another value")),
            _ => Ok(()),
        }
    }

    /// A node hears of another's epoch.
    fn gossip(&mut self) -> Result<(), Violation> {
        let (at, from) = (self.pick(self.nodes.len()), self.pick(self.nodes.len()));
        if self.nodes[at].side != self.nodes[from].side || self.nodes[from].log.is_none() {
            return Ok(());
        }
        let epoch = self.nodes[from].visible;
        self.input(at, Input::Seen { from: host(from), epoch })
    }

    fn tick(&mut self, at: usize) -> Result<(), Violation> {
        let next = self.nodes[at].log.as_ref().and_then(MetadataLog::next_tick);
        if next.is_some_and(|next| next <= self.now + at as i64 * 7_000) {
            self.input(at, Input::Tick)?;
        }
        Ok(())
    }

    /// One thing happens, somewhere. Faults are seldom beside what nodes do themselves.
    pub(super) fn step(&mut self) -> Result<(), Violation> {
        self.now += self.chance.below(1_000) as i64;
        let at = self.pick(self.nodes.len());
        match self.chance.below(1_000) {
            // Who is down is soon back.
            0..70 if self.faults && self.nodes[at].log.is_none() => self.crash_or_restart(at),
            0..6 if self.faults => {
                self.crash_or_restart(at)?;
                // Or at once, before anybody notices.
                if self.chance.percent(50) { self.crash_or_restart(at) } else { Ok(()) }
            }
            6..8 if self.faults => self.checkpoint(at),
            8..11 if self.faults => {
                let sides: Vec<u8> =
                    (0..self.nodes.len()).map(|_| self.chance.below(2) as u8).collect();
                self.cut(&sides);
                Ok(())
            }
            11..24 if self.faults => {
                self.nodes.iter_mut().for_each(|node| node.side = 0);
                Ok(())
            }
            24..40 if self.faults => self.propose(at, SECOND).map(drop),
            40..46 => self.gossip(),
            46..90 => self.tick(at),
            90..350 => self.sync(at),
            _ => self.deliver(),
        }
    }

    pub(super) fn run(&mut self, steps: usize) -> Result<(), Violation> {
        (0..steps).try_for_each(|_| self.step())
    }

    /// No faults but those that a test makes.
    pub(super) fn kind(&mut self) {
        self.faults = false;
    }

    /// Every node has so many entries to be decided, all at the same time, and proposes each until it is; gives the time
    /// at which it began.
    pub(super) fn rush(&mut self, each: usize) -> Result<i64, Violation> {
        self.kind();
        let begun = self.now;
        let mut left = vec![each; self.nodes.len()];
        let mut waiting: Vec<Option<Uuid>> = vec![None; self.nodes.len()];
        while left.iter().any(|left| *left > 0) {
            for at in 0..self.nodes.len() {
                let outcome = waiting[at].and_then(|id| self.outcomes.get(&id));
                if outcome.is_some_and(Result::is_ok) {
                    left[at] -= 1;
                }
                let is_over = outcome.is_some() || waiting[at].is_none();
                waiting[at] = match is_over && left[at] > 0 {
                    true => Some(self.propose(at, 60 * SECOND)?),
                    false => waiting[at].filter(|_| !is_over),
                };
            }
            self.step()?;
            if self.now - begun > 60 * SECOND {
                return Err(format!("left after a minute: {left:?}"));
            }
        }
        Ok(begun)
    }

    /// Ends all faults; everybody must come to the same value and be able to propose.
    pub(super) fn settle(&mut self) -> Result<(), Violation> {
        self.faults = false;
        for at in 0..self.nodes.len() {
            self.nodes[at].side = 0;
            if self.nodes[at].log.is_none() {
                self.crash_or_restart(at)?;
            }
        }
        self.run(3_000)?;
        for at in 0..self.nodes.len() {
            let id = self.propose(at, 60 * SECOND)?;
            self.run(3_000)?;
            match self.outcomes.get(&id) {
                Some(Ok(_) | Err(ProposeError::Refused(_))) => {}
                other => return Err(format!("node {at} proposes in quiet times: {other:?}")),
            }
        }
        let epochs: BTreeSet<u64> = self.epochs().into_iter().collect();
        match epochs.len() {
            1 => self.check_definite_errors(),
            _ => Err(format!("after the faults they are at {epochs:?}")),
        }
    }

    /// What was said not to have been done, was not.
    fn check_definite_errors(&self) -> Result<(), Violation> {
        for (epoch, proposal) in &self.entries {
            let outcome = self.outcomes.get(&proposal.id);
            let wrong = match outcome {
                Some(Err(ProposeError::NoMajority { .. })) => true,
                Some(Ok(other)) => other != epoch,
                Some(Err(ProposeError::Refused(_))) => {
                    let values = (self.values.get(&(epoch - 1)), self.values.get(epoch));
                    values.0.zip(values.1).is_some_and(|(a, b)| a.schema != b.schema)
                }
                Some(Err(ProposeError::Unknown)) | None => false,
            };
            if wrong {
                return Err(format!("epoch {epoch} is {}, told {outcome:?}", proposal.id));
            }
        }
        Ok(())
    }
}

/// How many entries were decided, and how many proposals were told so.
fn history(seed: u64) -> Result<(usize, usize), Violation> {
    let mut world = World::new(seed, [3, 4, 5, 7][seed as usize % 4]);
    world.run(4_000)?;
    world.settle()?;
    let told = world.outcomes.values().filter(|outcome| outcome.is_ok()).count();
    Ok((world.entries.len(), told))
}

#[test]
fn every_node_comes_to_the_same_entries_whatever_happens() {
    let (mut decided, mut told) = (0, 0);
    for seed in 0..60 {
        let (entries, proposals) = history(seed).unwrap_or_else(|what| panic!("{seed}: {what}"));
        (decided, told) = (decided + entries, told + proposals);
    }
    println!("{decided} entries were decided, {told} proposals were told so");
    assert!(decided > 60 * 10 && told > 60 * 8, "{decided} entries, {told} told: too few");
}

#[test]
fn broken_rules_are_found() {
    let bugs = [
        Planted::ForgetPromise,
        Planted::ForgetAccepted,
        Planted::AnswerBeforeSync,
        Planted::MinorityDecides,
        Planted::AnswerBeforeDecided,
        Planted::KeepBallotTooLong,
        Planted::OlderSnapshotReplaces,
    ];
    for bug in bugs {
        plant(Some(bug));
        let found = (0..3_000).find_map(|seed| history(seed).err().map(|what| (seed, what)));
        plant(None);
        println!("{bug:?}: {found:?}");
        assert!(found.is_some(), "{bug:?} is not found");
    }
}

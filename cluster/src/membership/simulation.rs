//! Many nodes in one thread, from one seed: messages as bytes with loss, delay and the disorder that comes of it,
//! connections that break, one-way cuts, pauses, kills and restarts.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::message::Message;
use super::state::{NodeInfo, Status};
use super::{Effect, Input, Membership, Micros, TICK_INTERVAL};
use crate::random::SplitMix64;

pub(super) const MS: Micros = 1_000;
pub(super) const SECOND: Micros = 1_000 * MS;

/// The identity of the node of that number.
pub(super) fn host(node: usize) -> Uuid {
    Uuid::from_u128(node as u128 + 1)
}

fn number(host: Uuid) -> usize {
    host.as_u128() as usize - 1
}

/// What a network does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Network {
    /// Messages lost, of 100.
    pub(super) loss: u64,
    /// Messages that come twice, of 100.
    pub(super) twice: u64,
    /// Microseconds on the way, at most.
    pub(super) delay: u64,
}

pub(super) const CALM: Network = Network { loss: 0, twice: 0, delay: 1_000 };
pub(super) const ROUGH: Network = Network { loss: 20, twice: 5, delay: 50_000 };

#[derive(Debug)]
enum Event {
    Tick,
    Bytes(usize, Vec<u8>),
    Link(usize, bool),
    Serve,
}

#[derive(Debug)]
struct SimulatedNode {
    machine: Option<Membership>,
    /// Counts its starts: what was meant for an earlier one is lost.
    start: u64,
    paused_until: Micros,
    clock_offset: Micros,
    info: NodeInfo,
    sent_bytes: u64,
    sent_messages: u64,
}

/// That a node took another for up, or for down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) at: Micros,
    pub(super) by: usize,
    pub(super) on: usize,
    pub(super) is_up: bool,
    /// Pings that were sent to it in the last 5 seconds.
    pub(super) pings: usize,
}

#[derive(Debug)]
pub(super) struct Simulation {
    pub(super) random: SplitMix64,
    pub(super) now: Micros,
    pub(super) network: Network,
    nodes: Vec<SimulatedNode>,
    /// By time, then in the order in which they were planned; to which start of which node.
    events: BTreeMap<(Micros, u64), (usize, u64, Event)>,
    planned: u64,
    /// Ways on which nothing arrives.
    cuts: BTreeSet<(usize, usize)>,
    pub(super) verdicts: Vec<Verdict>,
    /// Who is up, as a start of a node said last: who, which start, on whom.
    last: BTreeMap<(usize, u64, usize), bool>,
    pings: BTreeMap<(usize, usize), Vec<Micros>>,
    members: BTreeSet<Uuid>,
}

impl Simulation {
    /// So many nodes, which start within a second of each other.
    pub(super) fn new(nodes: usize, network: Network, seed: u64) -> Simulation {
        let node = || SimulatedNode {
            machine: None,
            start: 0,
            paused_until: 0,
            clock_offset: 0,
            info: NodeInfo { release: "0.1.0".to_string(), ..NodeInfo::default() },
            sent_bytes: 0,
            sent_messages: 0,
        };
        let mut simulation = Simulation {
            random: SplitMix64::new(seed),
            now: 1_000 * SECOND,
            network,
            nodes: std::iter::repeat_with(node).take(nodes).collect(),
            events: BTreeMap::new(),
            planned: 0,
            cuts: BTreeSet::new(),
            verdicts: Vec::new(),
            last: BTreeMap::new(),
            pings: BTreeMap::new(),
            members: (0..nodes).map(host).collect(),
        };
        for node in 0..nodes {
            let wait = simulation.random.below(SECOND as u64 / nodes as u64);
            simulation.run_for(wait as Micros);
            simulation.start(node);
        }
        simulation
    }

    /// Nodes that have known each other for 20 seconds; what was said until then is forgotten.
    pub(super) fn settled(nodes: usize, network: Network, seed: u64) -> Simulation {
        let mut simulation = Simulation::new(nodes, network, seed);
        simulation.run_for(20 * SECOND);
        simulation.assert_all_up();
        simulation.verdicts.clear();
        simulation
    }

    pub(super) fn size(&self) -> usize {
        self.nodes.len()
    }

    pub(super) fn machine(&self, node: usize) -> &Membership {
        self.nodes[node].machine.as_ref().unwrap()
    }

    pub(super) fn is_running(&self, node: usize) -> bool {
        self.nodes[node].machine.is_some()
    }

    pub(super) fn sent(&self, node: usize) -> (u64, u64) {
        (self.nodes[node].sent_messages, self.nodes[node].sent_bytes)
    }

    /// Starts a node with the clock's time as its generation; it serves 200 ms later.
    pub(super) fn start(&mut self, node: usize) {
        self.start_with_generation(node, self.now as u64);
    }

    pub(super) fn start_with_generation(&mut self, node: usize, generation: u64) {
        let (clock, seed) = (self.now + self.nodes[node].clock_offset, self.random.bits());
        let simulated = &mut self.nodes[node];
        simulated.info.status = Status::Starting;
        let info = simulated.info.clone();
        let mut machine = Membership::new(host(node), generation, info, clock, seed);
        let mut effects = Vec::new();
        machine.on(clock, Input::Members(self.members.clone()), &mut effects);
        simulated.machine = Some(machine);
        simulated.start += 1;
        self.carry_out(node, effects);
        self.plan(node, self.now, Event::Tick);
        self.plan(node, self.now + 200 * MS, Event::Serve);
        let others: Vec<usize> =
            (0..self.size()).filter(|other| *other != node && self.is_running(*other)).collect();
        for other in others {
            let delay = self.random.below(20_000) as Micros;
            self.plan(node, self.now + delay, Event::Link(other, true));
            self.plan(other, self.now + delay, Event::Link(node, true));
        }
    }

    /// Ends a node without a word. `is_noticed`: its connections are closed, as a system does for a killed process.
    pub(super) fn kill(&mut self, node: usize, is_noticed: bool) {
        self.nodes[node].machine = None;
        self.nodes[node].paused_until = 0;
        if is_noticed {
            for other in 0..self.size() {
                let delay = self.random.below(self.network.delay) as Micros;
                self.plan(other, self.now + delay, Event::Link(node, false));
            }
        }
    }

    /// A connection between two breaks, or stands again.
    pub(super) fn link(&mut self, one: usize, other: usize, is_up: bool) {
        self.plan(one, self.now, Event::Link(other, is_up));
        self.plan(other, self.now, Event::Link(one, is_up));
    }

    /// The process is stopped: it hears later what is said to it, and its timer does not run.
    pub(super) fn pause(&mut self, node: usize, time: Micros) {
        self.nodes[node].paused_until = self.now + time;
    }

    pub(super) fn set_clock(&mut self, node: usize, offset: Micros) {
        self.nodes[node].clock_offset = offset;
    }

    pub(super) fn cut(&mut self, from: usize, to: usize) {
        self.cuts.insert((from, to));
    }

    pub(super) fn heal(&mut self) {
        self.cuts.clear();
    }

    pub(super) fn set_members(&mut self, members: &[usize]) {
        self.members = members.iter().copied().map(host).collect();
        for node in 0..self.size() {
            self.input(node, Input::Members(self.members.clone()));
        }
    }

    /// What a node says of itself, from now on.
    pub(super) fn tell(&mut self, node: usize, change: impl FnOnce(&mut NodeInfo)) {
        change(&mut self.nodes[node].info);
        self.input(node, Input::Local(self.nodes[node].info.clone()));
    }

    pub(super) fn run_for(&mut self, time: Micros) {
        let end = self.now + time;
        while let Some(entry) = self.events.first_entry()
            && entry.key().0 <= end
        {
            let ((at, _), (node, start, event)) = entry.remove_entry();
            self.now = at;
            let simulated = &self.nodes[node];
            if simulated.start != start || simulated.machine.is_none() {
                continue;
            }
            if simulated.paused_until > at {
                self.plan(node, simulated.paused_until, event);
            } else {
                self.happen(node, event);
            }
        }
        self.now = end;
    }

    fn happen(&mut self, node: usize, event: Event) {
        match event {
            Event::Tick => {
                self.input(node, Input::Tick);
                // Timers are a little late.
                let late = self.random.below(2_000) as Micros;
                self.plan(node, self.now + TICK_INTERVAL + late, Event::Tick);
            }
            Event::Bytes(from, bytes) => {
                let message = Message::decode(&bytes).unwrap();
                self.input(node, Input::Received(host(from), message));
            }
            Event::Link(other, true) => self.input(node, Input::LinkUp(host(other))),
            Event::Link(other, false) => self.input(node, Input::LinkLost(host(other))),
            Event::Serve => self.tell(node, |info| info.status = Status::Serving),
        }
    }

    pub(super) fn input(&mut self, node: usize, input: Input) {
        let clock = self.now + self.nodes[node].clock_offset;
        let Some(machine) = &mut self.nodes[node].machine else { return };
        let mut effects = Vec::new();
        machine.on(clock, input, &mut effects);
        self.carry_out(node, effects);
    }

    fn carry_out(&mut self, node: usize, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(to, message) => self.send(node, number(to), &message),
                Effect::Up(on) => self.judge(node, number(on), true),
                Effect::Down(on) => self.judge(node, number(on), false),
                Effect::Changed(_) => {}
            }
        }
    }

    fn judge(&mut self, by: usize, on: usize, is_up: bool) {
        let last = self.last.insert((by, self.nodes[by].start, on), is_up);
        assert_eq!(last.unwrap_or(false), !is_up, "{by} on {on}: up and down take turns");
        let pings = self.pings.get(&(by, on)).into_iter().flatten();
        let pings = pings.filter(|at| self.now - **at < 5 * SECOND).count();
        self.verdicts.push(Verdict { at: self.now, by, on, is_up, pings });
    }

    fn send(&mut self, from: usize, to: usize, message: &Message) {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        assert!(bytes.len() <= super::message::MAX_BYTES);
        self.nodes[from].sent_bytes += bytes.len() as u64;
        self.nodes[from].sent_messages += 1;
        if matches!(message, Message::Ping(_)) {
            self.pings.entry((from, to)).or_default().push(self.now);
        }
        if self.cuts.contains(&(from, to)) || self.random.below(100) < self.network.loss {
            return;
        }
        let copies = 1 + usize::from(self.random.below(100) < self.network.twice);
        for _ in 0..copies {
            let delay = 1 + self.random.below(self.network.delay) as Micros;
            self.plan(to, self.now + delay, Event::Bytes(from, bytes.clone()));
        }
    }

    fn plan(&mut self, node: usize, at: Micros, event: Event) {
        self.planned += 1;
        self.events.insert((at, self.planned), (node, self.nodes[node].start, event));
    }

    /// What was judged of a node.
    pub(super) fn verdicts_on(&self, node: usize) -> impl Iterator<Item = &Verdict> {
        self.verdicts.iter().filter(move |verdict| verdict.on == node)
    }

    /// Everybody that runs takes everybody that runs for alive, and nobody else.
    pub(super) fn assert_all_up(&self) {
        for by in (0..self.size()).filter(|by| self.is_running(*by)) {
            for on in 0..self.size() {
                let is_alive = self.machine(by).is_alive(host(on));
                assert_eq!(is_alive, self.is_running(on), "{by} on {on}");
            }
        }
    }

    /// Everybody knows of everybody what they say of themselves.
    pub(super) fn assert_states_agree(&self) {
        for by in (0..self.size()).filter(|by| self.is_running(*by)) {
            for member in self.machine(by).members() {
                let on = number(member.host);
                if self.is_running(on) {
                    let own = self.machine(on).own_state();
                    let known =
                        member.state.unwrap_or_else(|| panic!("{by} knows nothing of {on}"));
                    let same = (known.generation, &known.info) == (own.generation, &own.info);
                    assert!(same, "{by} on {on}: {known:?}, not {own:?}");
                }
            }
        }
    }
}

//! A write on its way to the replicas of one token.
//!
//! All replicas that are alive are sent it at once; those that are not get a hint. The client is answered when the level
//! is met, or can't be any more, or the time is over. A replica that has not answered by then gets a hint too, and so does
//! one that refused: so every replica gets the write sooner or later, whatever the client was told.
//!
//! ```text
//! QUORUM of replicas 0 1 2, node 2 is down
//! begin        -> Send(0) Send(1) Hint(2)
//! Ack(0)       -> nothing yet
//! Refused(1)   -> Hint(1), Answer(Failure: 1 of 2, node 1 refused)
//! ```

use std::sync::Arc;

use smallvec::SmallVec;
use tholos_grammar::consistency::Consistency;
use tholos_grammar::token::Token;

use super::{Refusal, Refusals, RequestError};
use crate::consistency::{Acks, Shortage, shortage};
use crate::placement::Placement;
use crate::ring::NodeIndex;

/// A write that was begun.
#[derive(Debug)]
pub struct Write {
    placement: Arc<Placement>,
    consistency: Consistency,
    acks: Acks,
    /// Replicas that were sent it and have not answered.
    waiting: SmallVec<[NodeIndex; 3]>,
    refusals: Refusals,
    /// Replicas that were left a hint; for ANY one of them is enough.
    hinted: u32,
    answered: bool,
}

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// A replica has it, durably as it keeps things.
    Ack(NodeIndex),
    /// A replica did not take it.
    Refused(NodeIndex, Refusal),
    /// The time of the request is over.
    Deadline,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Bring it to that replica; to this node itself by a function call.
    Send(NodeIndex),
    /// Keep it for that replica until it can be reached.
    Hint(NodeIndex),
    /// Answer the client. Comes once.
    Answer(Result<(), RequestError>),
}

impl Write {
    /// Begins a write to the replicas of `token`.
    ///
    /// # Errors
    /// Those that are alive can't meet the level: nothing is to be done then.
    pub fn begin(
        placement: Arc<Placement>,
        token: Token,
        consistency: Consistency,
        is_alive: impl Fn(NodeIndex) -> bool,
        effects: &mut Vec<Effect>,
    ) -> Result<Write, Shortage> {
        let replicas = placement.replicas(token);
        let (waiting, dead): (SmallVec<[NodeIndex; 3]>, SmallVec<[NodeIndex; 3]>) =
            replicas.iter().copied().partition(|node| is_alive(*node));
        let alive = Acks::of(&placement, waiting.iter().copied());
        // A hint is as good as a replica, for ANY alone.
        let hint_is_enough = consistency == Consistency::Any && !dead.is_empty();
        if let Some(shortage) = shortage(consistency, &placement, &alive)
            && !hint_is_enough
        {
            return Err(shortage);
        }
        effects.extend(waiting.iter().map(|node| Effect::Send(*node)));
        let (acks, refusals) = (Acks::new(), Refusals::new());
        let mut write =
            Write { placement, consistency, acks, waiting, refusals, hinted: 0, answered: false };
        for node in dead {
            write.hint(node, effects);
        }
        write.answer_if_decided(effects);
        Ok(write)
    }

    /// Goes on. What comes twice, or from a node that was not asked, changes nothing.
    pub fn on(&mut self, input: Input, effects: &mut Vec<Effect>) {
        match input {
            Input::Ack(node) => {
                if self.no_longer_waits_for(node) {
                    self.acks.add(self.placement.data_center_of(node));
                }
            }
            Input::Refused(node, refusal) => {
                if self.no_longer_waits_for(node) {
                    self.refusals.push((node, refusal));
                    self.hint(node, effects);
                }
            }
            Input::Deadline => {
                for node in std::mem::take(&mut self.waiting) {
                    self.hint(node, effects);
                }
                self.answer_if_decided(effects);
                self.answer(Err(self.timeout()), effects);
                return;
            }
        }
        self.answer_if_decided(effects);
    }

    /// Whether nothing more is to come of it.
    pub fn is_over(&self) -> bool {
        self.answered && self.waiting.is_empty()
    }

    fn no_longer_waits_for(&mut self, node: NodeIndex) -> bool {
        let place = self.waiting.iter().position(|waiting| *waiting == node);
        place.map(|place| self.waiting.remove(place)).is_some()
    }

    fn hint(&mut self, node: NodeIndex, effects: &mut Vec<Effect>) {
        effects.push(Effect::Hint(node));
        self.hinted += 1;
    }

    fn is_met(&self) -> bool {
        let enough = shortage(self.consistency, &self.placement, &self.acks).is_none();
        enough || (self.consistency == Consistency::Any && self.hinted > 0)
    }

    /// Answers when the level is met, or can't be any more.
    fn answer_if_decided(&mut self, effects: &mut Vec<Effect>) {
        if self.is_met() {
            return self.answer(Ok(()), effects);
        }
        let mut possible = self.acks.clone();
        for node in &self.waiting {
            possible.add(self.placement.data_center_of(*node));
        }
        if shortage(self.consistency, &self.placement, &possible).is_some()
            && !self.refusals.is_empty()
        {
            self.answer(Err(self.failure()), effects);
        }
    }

    fn answer(&mut self, result: Result<(), RequestError>, effects: &mut Vec<Effect>) {
        if !std::mem::replace(&mut self.answered, true) {
            effects.push(Effect::Answer(result));
        }
    }

    fn counts(&self) -> (u32, u32) {
        match shortage(self.consistency, &self.placement, &self.acks) {
            Some(Shortage { required, present }) => (present, required),
            None => (self.acks.total(), self.acks.total()),
        }
    }

    fn timeout(&self) -> RequestError {
        let (received, required) = self.counts();
        RequestError::Timeout { level: self.consistency, required, received, data_present: false }
    }

    fn failure(&self) -> RequestError {
        let (received, required) = self.counts();
        let refusals = self.refusals.clone();
        RequestError::Failure {
            level: self.consistency,
            required,
            received,
            data_present: false,
            refusals,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use proptest::prelude::*;

    use super::*;
    use crate::consistency::met;
    use crate::placement::Replication;
    use crate::testing::ring;

    /// So many nodes in each data centre, as the first one sees them; `factor` replicas in each.
    fn placement(counts: &[u16], factor: u32) -> Arc<Placement> {
        let names = (0..counts.len()).map(|data_center| (format!("dc{data_center}"), factor));
        let replication = Replication::NetworkTopology { factors: BTreeMap::from_iter(names) };
        Arc::new(Placement::new(ring(counts), &replication, 0))
    }

    fn begin(
        placement: &Arc<Placement>,
        consistency: Consistency,
        dead: &[NodeIndex],
    ) -> Result<(Write, Vec<Effect>), Shortage> {
        let mut effects = Vec::new();
        let is_alive = |node| !dead.contains(&node);
        let (placement, token) = (Arc::clone(placement), Token(0));
        let write = Write::begin(placement, token, consistency, is_alive, &mut effects)?;
        Ok((write, effects))
    }

    fn on(write: &mut Write, input: Input) -> Vec<Effect> {
        let mut effects = Vec::new();
        write.on(input, &mut effects);
        effects
    }

    const OK: Effect = Effect::Answer(Ok(()));

    #[test]
    fn a_quorum_is_answered_when_it_is_there_and_the_last_ack_ends_it() {
        let placement = placement(&[3], 3);
        let (mut write, effects) = begin(&placement, Consistency::Quorum, &[]).unwrap();
        assert_eq!(effects, [Effect::Send(0), Effect::Send(1), Effect::Send(2)]);
        assert_eq!(on(&mut write, Input::Ack(1)), []);
        assert_eq!(on(&mut write, Input::Ack(1)), [], "the same one again");
        assert_eq!(on(&mut write, Input::Ack(2)), [OK]);
        assert!(!write.is_over(), "a hint may be needed yet");
        assert_eq!(on(&mut write, Input::Ack(0)), []);
        assert!(write.is_over());
    }

    #[test]
    fn a_refusal_leaves_a_hint_and_is_told_when_the_level_is_out_of_reach() {
        let placement = placement(&[3], 3);
        let (mut write, effects) = begin(&placement, Consistency::Quorum, &[2]).unwrap();
        assert_eq!(effects, [Effect::Send(0), Effect::Send(1), Effect::Hint(2)]);
        assert_eq!(on(&mut write, Input::Ack(0)), []);
        let refused = on(&mut write, Input::Refused(1, Refusal::Overloaded));
        let error = RequestError::Failure {
            level: Consistency::Quorum,
            required: 2,
            received: 1,
            data_present: false,
            refusals: Refusals::from_slice(&[(1, Refusal::Overloaded)]),
        };
        assert_eq!(refused, [Effect::Hint(1), Effect::Answer(Err(error))]);
        assert!(write.is_over());
    }

    #[test]
    fn at_the_deadline_the_counts_are_told_and_the_silent_get_hints() {
        let placement = placement(&[3], 3);
        let (mut write, _) = begin(&placement, Consistency::All, &[]).unwrap();
        on(&mut write, Input::Ack(0));
        let error = RequestError::Timeout {
            level: Consistency::All,
            required: 3,
            received: 1,
            data_present: false,
        };
        let effects = on(&mut write, Input::Deadline);
        assert_eq!(effects, [Effect::Hint(1), Effect::Hint(2), Effect::Answer(Err(error))]);
        assert_eq!(on(&mut write, Input::Ack(1)), [], "too late");
        assert!(write.is_over());
    }

    #[test]
    fn an_unavailable_write_does_nothing() {
        let placement = placement(&[3], 3);
        let refused = begin(&placement, Consistency::Quorum, &[0, 2]).unwrap_err();
        assert_eq!(refused, Shortage { required: 2, present: 1 });
    }

    #[test]
    fn any_is_content_with_a_hint() {
        let placement = placement(&[2], 2);
        let (write, effects) = begin(&placement, Consistency::Any, &[0, 1]).unwrap();
        assert_eq!(effects, [Effect::Hint(0), Effect::Hint(1), OK]);
        assert!(write.is_over());
        let (mut write, effects) = begin(&placement, Consistency::Any, &[]).unwrap();
        assert_eq!(effects, [Effect::Send(0), Effect::Send(1)]);
        let refused = on(&mut write, Input::Refused(0, Refusal::Failed));
        assert_eq!(refused, [Effect::Hint(0), OK]);
    }

    #[test]
    fn each_quorum_waits_for_every_data_centre() {
        let placement = placement(&[3, 3], 3);
        let (mut write, effects) = begin(&placement, Consistency::EachQuorum, &[]).unwrap();
        assert_eq!(effects.len(), 6);
        let acks = [0, 1, 2, 3].map(|node| on(&mut write, Input::Ack(node)));
        assert!(acks.iter().all(Vec::is_empty), "{acks:?}");
        assert_eq!(on(&mut write, Input::Ack(5)), [OK]);
    }

    fn level() -> impl Strategy<Value = Consistency> {
        let plain = Consistency::ALL.into_iter().filter(|level| !level.is_serial());
        proptest::sample::select(plain.collect::<Vec<_>>())
    }

    /// What a network may do to the answers of one write: the order, who refuses, who is silent, what comes twice.
    fn inputs() -> impl Strategy<Value = Vec<Input>> {
        let input = (0..6_u32, 0..4_u8).prop_map(|(node, kind)| match kind {
            0 => Input::Refused(node, Refusal::Failed),
            _ => Input::Ack(node),
        });
        proptest::collection::vec(input, 0..14)
    }

    proptest! {
        #[test]
        fn whatever_the_network_does_the_answer_is_true_and_every_replica_gets_it(
            level in level(),
            dead in proptest::collection::btree_set(0..6_u32, 0..4),
            inputs in inputs(),
        ) {
            let placement = placement(&[3, 3], 2);
            let dead: Vec<NodeIndex> = dead.into_iter().collect();
            let Ok((mut write, mut effects)) = begin(&placement, level, &dead) else {
                return Ok(());
            };
            let sent = |effects: &[Effect]| effects.iter().filter_map(|effect| match effect {
                Effect::Send(node) => Some(*node),
                _ => None,
            }).collect::<BTreeSet<_>>();
            let asked = sent(&effects);
            let mut acked = BTreeSet::new();
            let mut answered = effects.contains(&OK);
            let mut met_when_answered = answered;
            let all = inputs.into_iter().chain([Input::Deadline]);
            for input in all {
                let new = on(&mut write, input);
                let refused = matches!(input, Input::Ack(node) if effects.contains(&Effect::Hint(node)));
                if let Input::Ack(node) = input && asked.contains(&node) && !refused {
                    acked.insert(node);
                }
                if new.contains(&OK) {
                    let acks = Acks::of(&placement, acked.iter().copied());
                    let hinted = effects.iter().chain(&new).any(|e| matches!(e, Effect::Hint(_)));
                    met_when_answered = met(level, &placement, &acks)
                        || (level == Consistency::Any && hinted);
                    answered = true;
                }
                effects.extend(new);
            }
            let answers = effects.iter().filter(|e| matches!(e, Effect::Answer(_))).count();
            prop_assert_eq!(answers, 1);
            prop_assert!(!answered || met_when_answered);
            prop_assert!(write.is_over());
            // Every replica has it or will get it, and none is left two hints.
            for node in placement.replicas(Token(0)) {
                let hints = effects.iter().filter(|e| **e == Effect::Hint(*node)).count();
                prop_assert_eq!(hints + usize::from(acked.contains(node)), 1, "node {}", node);
            }
        }
    }
}

//! A read of one set of replicas.
//!
//! ```text
//! QUORUM of 3, node 3 is dead                     effects                           inputs
//!   begin                                         Read 1 data, Read 2 digest        1: pages, 2: digest
//!   digests agree                                 Done(the pages of 1)
//!   else: all that were asked send pages          Read 2 data                       2: pages
//!   what they have together; 2 lacks a deletion   Repair 2                          2: written
//!   everybody that was asked has it               Done(the pages of 1 and 2, merged)
//! ```
//! Whether a level is met is asked of [`met`] alone: before (are enough alive?), during (have enough answered?) and after
//! (do enough have what the client is told?). Repairs are awaited, so that what was read once by a quorum is read by every
//! quorum from then on. They are bounded by what pages may hold.

use std::sync::Arc;

use smallvec::SmallVec;
use tholos_grammar::consistency::Consistency;
use tholos_storage::StorageError;
use tholos_storage::model::mutation::Mutation;
use tholos_storage::model::read::{AnswerKind, Digest, ReadCommand};
use tholos_storage::read::page::{Answer, Page, digest};
use tholos_storage::read::repair::repairs;
use tholos_storage::read::run::MergedRun;

use super::{Refusal, Refusals, RequestError};
use crate::consistency::{Acks, met, required, shortage};
use crate::placement::Placement;
use crate::ring::NodeIndex;

/// Microseconds of a clock that never goes back.
pub type Micros = i64;

/// Tells the parts of one request apart, so that an answer finds what asked for it.
pub type Part = u32;

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A replica answered a read.
    Answered {
        /// What of the request.
        part: Part,
        /// Who.
        from: NodeIndex,
        /// With what.
        answer: Answer,
    },
    /// A replica did what it was told to write.
    Written {
        /// What of the request.
        part: Part,
        /// Who.
        from: NodeIndex,
    },
    /// A replica can't, or can't be reached.
    Failed {
        /// What of the request.
        part: Part,
        /// Who.
        from: NodeIndex,
        /// Why.
        reason: Refusal,
    },
    /// Nothing but that time went by.
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Ask a replica.
    Read {
        /// What of the request.
        part: Part,
        /// Whom.
        to: NodeIndex,
        /// What.
        command: Arc<ReadCommand>,
    },
    /// Let a replica write what it lacks. It answers once for all of them.
    Repair {
        /// What of the request.
        part: Part,
        /// Whom.
        to: NodeIndex,
        /// What, a mutation for each partition.
        mutations: Arc<[Mutation]>,
    },
    /// The request is over.
    Done(Result<Rows, RequestError>),
}

/// What is to be done, in order.
pub type Effects = Vec<Effect>;

/// What replicas have together.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    /// One after the other, in the order of the intervals that were asked for. Only the last one may be cut.
    pub runs: Vec<MergedRun>,
    /// How many mutations repaired replicas meanwhile.
    pub repairs: u32,
}

/// What all reads of one statement have in common.
#[derive(Clone, Debug)]
pub struct ReadContext {
    /// Who has what.
    pub placement: Arc<Placement>,
    /// How many must have it.
    pub level: Consistency,
    /// When it is given up.
    pub deadline: Micros,
}

/// A read of one set of replicas.
#[derive(Debug)]
pub struct Read {
    context: ReadContext,
    part: Part,
    data: Arc<ReadCommand>,
    /// Replicas that may still be asked, the best one last.
    spare: SmallVec<[NodeIndex; 3]>,
    asked: SmallVec<[Asked; 3]>,
    refusals: Refusals,
    phase: Phase,
}

/// A replica that was asked and did not fail.
#[derive(Debug)]
struct Asked {
    node: NodeIndex,
    digest: Option<Digest>,
    pages: Option<Vec<Arc<Page>>>,
    /// Has what the client is told.
    is_repaired: bool,
}

#[derive(Debug)]
enum Phase {
    /// One sends pages, the others digests.
    Digests,
    /// Their digests differed: all send pages.
    Pages,
    /// Those that lacked something are told.
    Repairs(Rows),
    Over,
}

impl Read {
    /// Begins a read of `replicas`: those alive, in the order in which they are best asked.
    pub fn begin(
        context: ReadContext,
        part: Part,
        command: ReadCommand,
        replicas: &[NodeIndex],
        effects: &mut Effects,
    ) -> Read {
        let (chosen, spare) = choose(&context, replicas);
        let data = Arc::new(ReadCommand { answer: AnswerKind::Data, ..command });
        let (asked, refusals, phase) = (SmallVec::new(), Refusals::new(), Phase::Digests);
        let mut read = Read { context, part, data, spare, asked, refusals, phase };
        let acks = Acks::of(&read.context.placement, replicas.iter().copied());
        if let Some(short) = shortage(read.context.level, &read.context.placement, &acks) {
            let (level, required, alive) = (read.context.level, short.required, short.present);
            read.end(Err(RequestError::Unavailable { level, required, alive }), effects);
            return read;
        }
        for node in chosen {
            read.ask(node, effects);
        }
        read
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Over)
    }

    /// Takes what happened.
    pub fn on(&mut self, now: Micros, input: Input, effects: &mut Effects) {
        if self.is_over() {
            return;
        }
        match input {
            Input::Answered { from, answer, .. } => self.answered(from, answer, effects),
            Input::Written { from, .. } => {
                if let Some(asked) = self.asked.iter_mut().find(|asked| asked.node == from) {
                    asked.is_repaired = true;
                }
            }
            Input::Failed { from, reason, .. } => self.failed(from, reason, effects),
            Input::Tick => {}
        }
        self.proceed(effects);
        if !self.is_over() && now >= self.context.deadline {
            self.time_out(effects);
        }
    }

    fn ask(&mut self, node: NodeIndex, effects: &mut Effects) {
        let mut command = Arc::clone(&self.data);
        let data_comes = !self.asked.is_empty();
        if data_comes && matches!(self.phase, Phase::Digests) {
            command = Arc::new(ReadCommand { answer: AnswerKind::Digest, ..(*command).clone() });
        }
        self.asked.push(Asked { node, digest: None, pages: None, is_repaired: false });
        effects.push(Effect::Read { part: self.part, to: node, command });
    }

    fn answered(&mut self, from: NodeIndex, answer: Answer, effects: &mut Effects) {
        let Some(asked) = self.asked.iter_mut().find(|asked| asked.node == from) else { return };
        match answer {
            Answer::Digest(digest) => asked.digest = Some(digest),
            Answer::Pages(pages) if answers(&self.data, &pages) => {
                asked.digest = Some(digest(pages.iter().map(|page| &**page)));
                asked.pages = Some(pages);
            }
            Answer::Pages(_) => self.failed(from, Refusal::Failed, effects),
        }
    }

    /// A replica can't: another one is asked in its place.
    fn failed(&mut self, from: NodeIndex, reason: Refusal, effects: &mut Effects) {
        let Some(at) = self.asked.iter().position(|asked| asked.node == from) else { return };
        self.refusals.push((from, reason));
        if matches!(self.phase, Phase::Repairs(_)) {
            // What it had counts, but it does not have what the client is told.
            return;
        }
        let lost = self.asked.remove(at);
        let others_were_asked = !self.asked.is_empty();
        if let Some(node) = self.spare.pop() {
            self.ask(node, effects);
        }
        let has_data = self.asked.iter().any(|asked| asked.pages.is_some());
        let sends_data = at == 0 && lost.pages.is_none() && matches!(self.phase, Phase::Digests);
        if sends_data && others_were_asked && !has_data {
            // It was the one that was to send pages: now another one does.
            if let Some(first) = self.asked.first_mut() {
                first.digest = None;
                let (to, command) = (first.node, Arc::clone(&self.data));
                effects.push(Effect::Read { part: self.part, to, command });
            }
        }
    }

    /// Goes on as far as what is there allows.
    fn proceed(&mut self, effects: &mut Effects) {
        match &self.phase {
            Phase::Digests => self.compare(effects),
            Phase::Pages => {
                if self.asked.iter().all(|asked| asked.pages.is_some()) {
                    self.merge(effects);
                }
            }
            Phase::Repairs(_) => {
                let failed = |node| self.refusals.iter().any(|(other, _)| *other == node);
                if self.asked.iter().all(|asked| asked.is_repaired || failed(asked.node)) {
                    self.end_repairs(effects);
                }
            }
            Phase::Over => return,
        }
        if !self.is_over() && !self.may_be_met() {
            let error = RequestError::Failure {
                level: self.context.level,
                required: self.required(),
                received: self.received(),
                data_present: self.has_data(),
                refusals: self.refusals.clone(),
            };
            self.end(Err(error), effects);
        }
    }

    fn compare(&mut self, effects: &mut Effects) {
        let has_answered = |asked: &&Asked| asked.digest.is_some();
        let answered = self.asked.iter().filter(has_answered);
        if !self.is_met(answered.map(|asked| asked.node)) {
            return;
        }
        let Some(data) = self.asked.iter().find_map(|asked| asked.pages.as_ref()) else { return };
        let mut digests = self.asked.iter().filter_map(|asked| asked.digest);
        let first = digests.next();
        if digests.all(|digest| Some(digest) == first) {
            let runs = data.iter().filter_map(|page| MergedRun::new([Arc::clone(page)])).collect();
            return self.end(Ok(Rows { runs, repairs: 0 }), effects);
        }
        self.phase = Phase::Pages;
        for asked in self.asked.iter().filter(|asked| asked.pages.is_none()) {
            let (to, command) = (asked.node, Arc::clone(&self.data));
            effects.push(Effect::Read { part: self.part, to, command });
        }
    }

    /// What those have together that sent pages; those that lack of it are told.
    fn merge(&mut self, effects: &mut Effects) {
        self.asked.retain(|asked| asked.pages.is_some());
        if !self.is_met(self.asked.iter().map(|asked| asked.node)) {
            return;
        }
        let merged = self.merged().and_then(|runs| {
            let lacking = self.asked.iter().enumerate().map(|(at, _)| self.lacks(&runs, at));
            Ok((lacking.collect::<Result<Vec<_>, _>>()?, runs))
        });
        let (lacking, runs) = match merged {
            Ok(merged) => merged,
            Err(_) => {
                // Pages were looked at when they came: nothing in them is malformed.
                self.refusals.extend(self.asked.drain(..).map(|a| (a.node, Refusal::Failed)));
                return;
            }
        };
        let mut repairs = 0;
        for (asked, mutations) in self.asked.iter_mut().zip(lacking) {
            asked.is_repaired = mutations.is_empty();
            if !asked.is_repaired {
                repairs += u32::try_from(mutations.len()).unwrap_or(u32::MAX);
                let (part, to) = (self.part, asked.node);
                effects.push(Effect::Repair { part, to, mutations: mutations.into() });
            }
        }
        self.phase = Phase::Repairs(Rows { runs, repairs });
        if repairs == 0 {
            self.end_repairs(effects);
        }
    }

    fn merged(&self) -> Result<Vec<MergedRun>, StorageError> {
        let pages = || self.asked.iter().filter_map(|asked| asked.pages.as_ref());
        let least = pages().map(Vec::len).min().unwrap_or(0);
        let mut runs = Vec::with_capacity(least);
        for interval in 0..least {
            let of_interval = pages().filter_map(|pages| pages.get(interval).cloned());
            let Some(run) = MergedRun::new(of_interval) else { break };
            let is_cut = run.is_cut();
            runs.push(run);
            if is_cut {
                break;
            }
        }
        Ok(runs)
    }

    fn lacks(&self, runs: &[MergedRun], replica: usize) -> Result<Vec<Mutation>, StorageError> {
        let mut all = Vec::new();
        for (run, asked) in runs.iter().zip(&self.data.intervals) {
            all.extend(repairs(self.data.table, run, asked, replica)?);
        }
        Ok(all)
    }

    fn end_repairs(&mut self, effects: &mut Effects) {
        let repaired = self.asked.iter().filter(|asked| asked.is_repaired);
        if !self.is_met(repaired.map(|asked| asked.node)) {
            return;
        }
        if let Phase::Repairs(rows) = std::mem::replace(&mut self.phase, Phase::Over) {
            self.end(Ok(rows), effects);
        }
    }

    fn time_out(&mut self, effects: &mut Effects) {
        match self.phase {
            Phase::Pages => self.merge(effects),
            Phase::Repairs(_) => self.end_repairs(effects),
            _ => {}
        }
        if let Phase::Repairs(_) | Phase::Pages | Phase::Digests = self.phase {
            let (level, required) = (self.context.level, self.required());
            let (received, data_present) = (self.received(), self.has_data());
            let error = RequestError::Timeout { level, required, received, data_present };
            self.end(Err(error), effects);
        }
    }

    fn end(&mut self, result: Result<Rows, RequestError>, effects: &mut Effects) {
        self.phase = Phase::Over;
        effects.push(Effect::Done(result));
    }

    fn is_met(&self, nodes: impl Iterator<Item = NodeIndex>) -> bool {
        let placement = &self.context.placement;
        met(self.context.level, placement, &Acks::of(placement, nodes))
    }

    /// Whether those that did not fail are enough.
    fn may_be_met(&self) -> bool {
        let failed = |node: &NodeIndex| self.refusals.iter().any(|(other, _)| other == node);
        let asked = self.asked.iter().map(|asked| asked.node);
        self.is_met(asked.filter(|node| !failed(node)).chain(self.spare.iter().copied()))
    }

    fn required(&self) -> u32 {
        required(self.context.level, &self.context.placement)
    }

    fn received(&self) -> u32 {
        let in_repairs = matches!(self.phase, Phase::Repairs(_));
        let is_in = |asked: &&Asked| match in_repairs {
            true => asked.is_repaired,
            false => asked.digest.is_some(),
        };
        self.asked.iter().filter(is_in).count().try_into().unwrap_or(u32::MAX)
    }

    fn has_data(&self) -> bool {
        self.asked.iter().any(|asked| asked.pages.is_some())
    }
}

/// The fewest of these replicas that meet the level, the best ones; and the others, the best one last.
fn choose(
    context: &ReadContext,
    replicas: &[NodeIndex],
) -> (SmallVec<[NodeIndex; 3]>, SmallVec<[NodeIndex; 3]>) {
    let mut chosen: SmallVec<[NodeIndex; 3]> = SmallVec::from_slice(replicas);
    let mut spare = SmallVec::new();
    for at in (0..chosen.len()).rev() {
        let node = chosen.remove(at);
        let acks = Acks::of(&context.placement, chosen.iter().copied());
        if met(context.level, &context.placement, &acks) {
            spare.push(node);
        } else {
            chosen.insert(at, node);
        }
    }
    (chosen, spare)
}

/// Whether pages are an answer to the command.
fn answers(command: &ReadCommand, pages: &[Arc<Page>]) -> bool {
    let ReadCommand { intervals, direction, .. } = command;
    let fits =
        pages.iter().zip(intervals).all(|(page, interval)| page.answers(interval, *direction));
    let cuts = pages.iter().position(|page| page.is_cut());
    let only_the_last = cuts.is_none_or(|at| at + 1 == pages.len());
    let gets_to_the_end = pages.len() == intervals.len() || cuts.is_some();
    fits && only_the_last && gets_to_the_end && pages.len() <= intervals.len()
}

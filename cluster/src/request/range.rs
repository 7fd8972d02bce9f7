//! A read of a range of tokens: one set of replicas after the other, in the order of tokens.
//!
//! ```text
//! ring: tokens 10 (node 1), 20 (node 2), 30 (node 3), factor 2      asked for: tokens 5 .. 40, 100 rows
//!   5 .. 10     replicas 1, 2    60 rows                            one in flight
//!   11 .. 20    replicas 2, 3    30 rows                            two in flight: the first was not enough
//!   21 .. 30    replicas 3, 1    40 rows, cut after 10              the rest is asked for when it is wanted
//! ```
//! Pieces are in flight beside each other as the pieces before them proved to be too little. What comes back is as far as
//! there is no gap, and ends with a piece that was cut, or with the end: so one can always go on from it.

use std::collections::VecDeque;

use tholos_grammar::token::Token;
use tholos_storage::model::position::{token_of, token_prefix};
use tholos_storage::model::read::{KeyInterval, ReadCommand};

use super::RequestError;
use super::read::{Effect, Effects, Input, Micros, Part, Read, ReadContext, Rows};
use crate::placement::Placement;
use crate::ring::NodeIndex;

/// How many pieces are in flight at once, at most.
const MOST_IN_FLIGHT: usize = 8;

/// A read of a range of tokens.
#[derive(Debug)]
pub struct RangeRead {
    context: ReadContext,
    command: ReadCommand,
    /// Pieces that were not begun.
    waiting: VecDeque<Piece>,
    begun: VecDeque<Begun>,
    next_part: Part,
    window: usize,
    rows: Rows,
    is_over: bool,
}

/// Intervals whose keys have the same replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Piece {
    intervals: Vec<KeyInterval>,
    replicas: Vec<NodeIndex>,
}

#[derive(Debug)]
struct Begun {
    part: Part,
    read: Read,
    /// Intervals it is to answer.
    intervals: usize,
    result: Option<Rows>,
}

impl RangeRead {
    /// Begins a read whose intervals ascend. `order` puts replicas in the order in which they are best asked, and leaves out
    /// those that are not alive.
    pub fn begin(
        context: ReadContext,
        command: ReadCommand,
        order: &dyn Fn(&[NodeIndex]) -> Vec<NodeIndex>,
        effects: &mut Effects,
    ) -> RangeRead {
        let pieces = pieces(&context.placement, &command.intervals);
        let waiting =
            pieces.into_iter().map(|piece| Piece { replicas: order(&piece.replicas), ..piece });
        let mut range = RangeRead {
            context,
            command,
            waiting: waiting.collect(),
            begun: VecDeque::new(),
            next_part: 0,
            window: 1,
            rows: Rows::default(),
            is_over: false,
        };
        range.proceed(effects);
        range
    }

    /// Takes what happened.
    pub fn on(&mut self, now: Micros, input: Input, effects: &mut Effects) {
        if self.is_over {
            return;
        }
        let part = match &input {
            Input::Answered { part, .. }
            | Input::Written { part, .. }
            | Input::Failed { part, .. } => Some(*part),
            Input::Tick => None,
        };
        for index in 0..self.begun.len() {
            let Some(begun) = self.begun.get_mut(index) else { break };
            if part.is_none_or(|part| part == begun.part) {
                let mut own = Effects::new();
                begun.read.on(now, input.clone(), &mut own);
                if let Err(error) = begun.pass_on(own, effects) {
                    return self.end(Err(error), effects);
                }
            }
        }
        self.proceed(effects);
    }

    /// Takes what is complete, and begins what is needed.
    fn proceed(&mut self, effects: &mut Effects) {
        loop {
            while let Some(result) = self.begun.front_mut().and_then(|begun| begun.result.take()) {
                let Some(begun) = self.begun.pop_front() else { break };
                let is_whole = result.runs.len() == begun.intervals
                    && result.runs.last().is_none_or(|run| !run.is_cut());
                self.rows.repairs = self.rows.repairs.saturating_add(result.repairs);
                self.rows.runs.extend(result.runs);
                if !is_whole {
                    let rows = std::mem::take(&mut self.rows);
                    return self.end(Ok(rows), effects);
                }
                // It was not enough: more at once from now on.
                self.window = (self.window * 2).min(MOST_IN_FLIGHT);
            }
            if self.begun.is_empty() && self.waiting.is_empty() {
                let rows = std::mem::take(&mut self.rows);
                return self.end(Ok(rows), effects);
            }
            if self.begun.len() >= self.window {
                return;
            }
            let Some(piece) = self.waiting.pop_front() else { return };
            let part = self.next_part;
            self.next_part += 1;
            let intervals = piece.intervals.len();
            let command = ReadCommand { intervals: piece.intervals, ..self.command.clone() };
            let mut own = Effects::new();
            let read = Read::begin(self.context.clone(), part, command, &piece.replicas, &mut own);
            let mut begun = Begun { part, read, intervals, result: None };
            if let Err(error) = begun.pass_on(own, effects) {
                return self.end(Err(error), effects);
            }
            self.begun.push_back(begun);
        }
    }

    fn end(&mut self, result: Result<Rows, RequestError>, effects: &mut Effects) {
        self.is_over = true;
        self.waiting.clear();
        self.begun.clear();
        effects.push(Effect::Done(result));
    }
}

impl Begun {
    /// Passes effects on, but for the result, which is kept.
    fn pass_on(&mut self, own: Effects, effects: &mut Effects) -> Result<(), RequestError> {
        for effect in own {
            match effect {
                Effect::Done(result) => self.result = Some(result?),
                effect => effects.push(effect),
            }
        }
        Ok(())
    }
}

/// Cuts intervals where replicas change; pieces of one interval come one after the other.
fn pieces(placement: &Placement, intervals: &[KeyInterval]) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    let mut add = |interval: KeyInterval, replicas: &[NodeIndex]| match pieces.last_mut() {
        Some(last) if last.replicas == replicas => last.intervals.push(interval),
        _ => pieces.push(Piece { intervals: vec![interval], replicas: replicas.to_vec() }),
    };
    for interval in intervals {
        let mut rest = interval.clone();
        loop {
            let token = if rest.lower.is_empty() { i64::MIN } else { token_of(&rest.lower) };
            let replicas = placement.replicas(Token(token));
            match end_of_range(placement, token) {
                Some(bound) if rest.upper.is_empty() || bound[..] < rest.upper[..] => {
                    let here = KeyInterval { upper: bound.to_vec(), ..rest.clone() };
                    add(here, replicas);
                    let lower = bound.to_vec();
                    rest = KeyInterval { lower, partition_len: None, ..rest };
                }
                _ => break add(rest, replicas),
            }
        }
    }
    pieces
}

/// The bound after the last key of the range that a token lies in; `None` if that is the last one, or replicas are the same
/// everywhere.
fn end_of_range(placement: &Placement, token: i64) -> Option<[u8; 8]> {
    if placement.uniform_replicas().is_some() {
        return None;
    }
    let tokens = placement.ring().tokens();
    let place = tokens.partition_point(|(end, _)| end.0 < token);
    let (end, _) = tokens.get(place)?;
    end.0.checked_add(1).map(token_prefix)
}

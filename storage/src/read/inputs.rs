//! The walks that a merge is made of, in the order of the keys they are at.
//!
//! Invariants: in walking direction each is at or before the one after it, and those at their end come last. Each knows
//! whether the one after it is at the same key. So a step compares as many keys as walks change places, and one more:
//! none if there is one walk.

use std::cmp::Ordering;

use super::source::{Source, SourceCursor};
use crate::StorageError;
use crate::model::Deletion;
use crate::model::entry::{Content, Cursor, Direction, Entry};
use crate::planted::planted;

/// A walk, and which range deletion is in force in it.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) cursor: SourceCursor,
    /// The range deletion in force in this source.
    pub(super) open: Deletion,
    /// Whether the next input is at the same key.
    shares_key: bool,
}

/// Walks through several sources.
#[derive(Debug)]
pub(super) struct Inputs {
    inputs: Vec<Input>,
    direction: Direction,
    /// How many are at the key that comes first.
    taken: usize,
}

impl Inputs {
    /// Opens a walk through `lower..upper` of each source; all are before their first entry.
    pub(super) fn open(
        sources: &[Source],
        lower: &[u8],
        upper: &[u8],
        direction: Direction,
    ) -> Result<Self, StorageError> {
        let mut inputs = Vec::with_capacity(sources.len());
        for source in sources {
            let cursor = source.cursor(lower, upper, direction)?;
            let open = match direction {
                Direction::Reverse if planted!(ReverseDropsOpenDeletion) => Deletion::NONE,
                _ => cursor.open_deletion(),
            };
            inputs.push(Input { cursor, open, shares_key: false });
        }
        let taken = inputs.len();
        Ok(Inputs { inputs, direction, taken })
    }

    /// Moves those at the first key on, so that others are at the then first key.
    #[inline]
    pub(super) fn step(&mut self) -> Result<(), StorageError> {
        if let [only] = self.inputs.as_mut_slice() {
            return only.cursor.move_on();
        }
        for index in (0..self.taken).rev() {
            self.inputs[index].cursor.move_on()?;
            self.sort_in(index);
        }
        let shared = self.inputs.iter().take_while(|input| input.shares_key).count();
        self.taken = self.inputs.len().min(shared + 1);
        Ok(())
    }

    /// Puts the input at an index where it belongs among those after it.
    fn sort_in(&mut self, mut index: usize) {
        let order = loop {
            let [input, next, ..] = &self.inputs[index..] else { break Ordering::Less };
            match self.compare(input, next) {
                Ordering::Greater => self.inputs.swap(index, index + 1),
                order => break order,
            }
            index += 1;
        };
        self.inputs[index].shares_key = order.is_eq();
    }

    fn compare(&self, left: &Input, right: &Input) -> Ordering {
        match (left.cursor.current(), right.cursor.current()) {
            (Some(left), Some(right)) if self.direction == Direction::Forward => {
                left.key.cmp(right.key)
            }
            (Some(left), Some(right)) => right.key.cmp(left.key),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            // That none is left at that key.
            (None, None) => Ordering::Less,
        }
    }

    /// The entry at the first key, of one of the inputs that have one there.
    #[inline(always)]
    pub(super) fn current(&self) -> Option<Entry<'_>> {
        self.inputs.first()?.cursor.current()
    }

    /// Whether one input alone has an entry at the first key.
    #[inline]
    pub(super) fn is_alone(&self) -> bool {
        self.taken == 1
    }

    /// What is at the first key.
    pub(super) fn taken(&self) -> impl Iterator<Item = Content<'_>> {
        let taken = self.inputs.iter().take(self.taken);
        taken.filter_map(|input| input.cursor.current()).map(|entry| entry.content)
    }

    /// The inputs that have an entry at the first key.
    pub(super) fn taken_mut(&mut self) -> impl Iterator<Item = &mut Input> {
        self.inputs.iter_mut().take(self.taken)
    }

    /// All inputs, in the order of where they are.
    pub(super) fn iter(&self) -> std::slice::Iter<'_, Input> {
        self.inputs.iter()
    }

    /// All inputs, in the order of where they are.
    pub(super) fn iter_mut(&mut self) -> std::slice::IterMut<'_, Input> {
        self.inputs.iter_mut()
    }

    /// Ends the walk.
    pub(super) fn clear(&mut self) {
        self.inputs.clear();
        self.taken = 0;
    }
}

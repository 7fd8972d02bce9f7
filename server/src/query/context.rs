//! What planning may use and may cost.

use std::cell::Cell;

use tholos_grammar::name::Name;

use crate::clock::Deadline;
use crate::error::QueryError;
use crate::query::catalogue::Catalogue;

/// What planning may use.
#[derive(Clone, Copy, Debug)]
pub struct PlanContext<'a> {
    /// What planning may cost, and has cost; none: as much as it takes.
    pub effort: Option<&'a Effort<'a>>,
    /// The catalogue.
    pub catalogue: &'a Catalogue,
    /// The session's keyspace (or the request's own, in protocol v5).
    pub keyspace: Option<&'a Name>,
}

/// What planning a statement may cost.
#[derive(Debug, Default)]
pub struct Effort<'a> {
    /// Planning is given up then.
    pub deadline: Option<Deadline<'a>>,
    /// Terms drafted and settled so far.
    pub steps: Cell<u64>,
}

/// How often planning looks at the clock.
const STEPS_PER_LOOK_AT_CLOCK: u64 = 4096;

impl Effort<'_> {
    /// One step more.
    ///
    /// # Errors
    /// [`QueryError::Overloaded`] when the time is over.
    pub fn step(&self) -> Result<(), QueryError> {
        let steps = self.steps.get() + 1;
        self.steps.set(steps);
        match self.deadline {
            Some(deadline)
                if steps.is_multiple_of(STEPS_PER_LOOK_AT_CLOCK) && deadline.is_over() =>
            {
                Err(QueryError::Overloaded(format!(
                    "planning the statement did not end in the time that a request may take ({steps} terms were planned): nothing was done; send smaller statements, or bind values instead of writing them"
                )))
            }
            _ => Ok(()),
        }
    }
}

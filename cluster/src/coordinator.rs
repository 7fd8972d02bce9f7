//! The coordinator: carries a write or a read to the replicas of its token and says whether the level is met.
//!
//! The local replica is reached by a function call. Other nodes have no way to be reached yet, so they count as dead and
//! are left no hints: a level that needs them is refused before anything is written, and a definite refusal never turns out
//! to have happened.

use std::sync::Arc;

use tholos_grammar::consistency::Consistency;
use tholos_grammar::token::Token;
use tholos_storage::model::mutation::Mutation;
use tholos_storage::model::read::LocalRead;

use crate::consistency::{Acks, Shortage, shortage};
use crate::placement::Placement;
use crate::request::write::{Effect, Input, Write};
use crate::ring::NodeIndex;

/// A node that holds data: the local storage engine, or something in its place.
pub trait Replica {
    /// What a write gives: where it is in the log, so that one can wait until it is durable.
    type Ack;
    /// What a read gives: reconciled rows.
    type Rows;
    /// What can go wrong.
    type Error;

    /// Applies a mutation: visible when this returns, durable when its position is.
    ///
    /// # Errors
    /// The replica's own; nothing was applied.
    fn write(&self, mutation: &Mutation) -> Result<Self::Ack, Self::Error>;

    /// Opens a read.
    ///
    /// # Errors
    /// The replica's own.
    fn read(&self, command: LocalRead<'_>) -> Result<Self::Rows, Self::Error>;
}

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CoordinatorError<E> {
    /// Fewer replicas alive than the level needs: nothing was done.
    #[error("{consistency} needs {required} replicas, and {alive} are alive")]
    Unavailable {
        /// The level.
        consistency: Consistency,
        /// Replicas it needs.
        required: u32,
        /// Replicas alive.
        alive: u32,
    },
    /// The level makes no sense for this request: nothing was done.
    #[error("consistency level {consistency} {why}")]
    WrongLevel {
        /// The level.
        consistency: Consistency,
        /// Why not, and what to use.
        why: &'static str,
    },
    /// The replica failed.
    #[error("{0}")]
    Replica(E),
}

/// Carries requests to replicas. One per node; shared by all connections.
#[derive(Debug)]
pub struct Coordinator<R> {
    local: R,
    node: NodeIndex,
}

impl<R: Replica> Coordinator<R> {
    /// A coordinator on the node of that number, whose storage is `local`.
    pub fn new(node: NodeIndex, local: R) -> Coordinator<R> {
        Coordinator { local, node }
    }

    /// The local replica.
    pub fn local(&self) -> &R {
        &self.local
    }

    /// Writes to the replicas of `token`.
    ///
    /// # Errors
    /// `Unavailable` and `WrongLevel` before anything was written; else what the replica says.
    pub fn write(
        &self,
        placement: &Arc<Placement>,
        token: Token,
        consistency: Consistency,
        mutation: &Mutation,
    ) -> Result<R::Ack, CoordinatorError<R::Error>> {
        if consistency.is_serial() {
            let why = "is for conditional statements: use another for a plain write";
            return Err(CoordinatorError::WrongLevel { consistency, why });
        }
        let replicas = placement.replicas(token);
        if *replicas == [self.node] {
            // Nobody else has a say: no more is to be kept of it.
            self.available(placement, replicas, consistency)?;
            return self.local.write(mutation).map_err(CoordinatorError::Replica);
        }
        let mut effects = Vec::new();
        let alive = |node| node == self.node;
        let unavailable = |Shortage { required, present: alive }| CoordinatorError::Unavailable {
            consistency,
            required,
            alive,
        };
        let mut write = Write::begin(placement.clone(), token, consistency, alive, &mut effects)
            .map_err(unavailable)?;
        // A hint alone, as ANY has it, would be lost.
        if !effects.contains(&Effect::Send(self.node)) {
            return Err(unavailable(Shortage { required: 1, present: 0 }));
        }
        let ack = self.local.write(mutation).map_err(CoordinatorError::Replica)?;
        write.on(Input::Ack(self.node), &mut effects);
        debug_assert!(effects.contains(&Effect::Answer(Ok(()))), "no others are alive: {write:?}");
        Ok(ack)
    }

    /// Reads from the replicas of `token`, or of every token when there is none.
    ///
    /// # Errors
    /// `Unavailable` and `WrongLevel`; else what the replica says.
    pub fn read(
        &self,
        placement: &Placement,
        token: Option<Token>,
        consistency: Consistency,
        command: LocalRead<'_>,
    ) -> Result<R::Rows, CoordinatorError<R::Error>> {
        self.check_read(placement, token, consistency)?;
        self.local.read(command).map_err(CoordinatorError::Replica)
    }

    /// The checks of [`read`](Self::read) alone: whether the level is one for reads, and enough replicas are alive.
    ///
    /// # Errors
    /// `Unavailable` and `WrongLevel`.
    pub fn check_read(
        &self,
        placement: &Placement,
        token: Option<Token>,
        consistency: Consistency,
    ) -> Result<(), CoordinatorError<R::Error>> {
        if consistency == Consistency::Any {
            let why = "is for writes only: read with ONE, LOCAL_QUORUM, QUORUM or ALL";
            return Err(CoordinatorError::WrongLevel { consistency, why });
        }
        let replicas = match token {
            Some(token) => placement.replicas(token),
            // Where ranges differ in their replicas there are other nodes, which can't be asked: nobody has it all.
            None => placement.uniform_replicas().unwrap_or(&[]),
        };
        self.available(placement, replicas, consistency)
    }

    fn available(
        &self,
        placement: &Placement,
        replicas: &[NodeIndex],
        consistency: Consistency,
    ) -> Result<(), CoordinatorError<R::Error>> {
        let alive = replicas.iter().copied().filter(|node| *node == self.node);
        match shortage(consistency, placement, &Acks::of(placement, alive)) {
            None => Ok(()),
            Some(Shortage { required, present: alive }) => {
                Err(CoordinatorError::Unavailable { consistency, required, alive })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use smallvec::SmallVec;
    use tholos_storage::schema::TableId;
    use uuid::Uuid;

    use super::*;
    use crate::placement::Replication;
    use crate::ring::Ring;
    use crate::testing::node;

    /// Counts what reaches it.
    #[derive(Default)]
    struct Counting {
        writes: Cell<u32>,
        fails: bool,
    }

    impl Replica for Counting {
        type Ack = u32;
        type Rows = ();
        type Error = &'static str;

        fn write(&self, _: &Mutation) -> Result<u32, &'static str> {
            if self.fails {
                return Err("disk full");
            }
            self.writes.set(self.writes.get() + 1);
            Ok(self.writes.get())
        }

        fn read(&self, _: LocalRead<'_>) -> Result<(), &'static str> {
            Ok(())
        }
    }

    fn placement(nodes: u16, factor: u32) -> Arc<Placement> {
        let nodes = (1..=nodes).map(|number| node(number, "dc1", i64::from(number)));
        let ring = Ring::new(nodes.collect()).unwrap();
        Arc::new(Placement::new(Arc::new(ring), &Replication::Simple { factor }, 0))
    }

    fn mutation() -> Mutation {
        Mutation {
            table: TableId(Uuid::nil()),
            partition: SmallVec::new(),
            updates: SmallVec::new(),
        }
    }

    #[test]
    fn quorum_of_factor_one_is_met_by_the_local_replica() {
        let coordinator = Coordinator::new(0, Counting::default());
        let written =
            coordinator.write(&placement(1, 1), Token(5), Consistency::Quorum, &mutation());
        assert_eq!(written, Ok(1));
    }

    #[test]
    fn an_unavailable_write_is_not_applied() {
        let coordinator = Coordinator::new(0, Counting::default());
        let placement = placement(1, 3);
        let write = |level| coordinator.write(&placement, Token(5), level, &mutation());
        assert_eq!(
            write(Consistency::Quorum),
            Err(CoordinatorError::Unavailable {
                consistency: Consistency::Quorum,
                required: 2,
                alive: 1
            })
        );
        assert_eq!(coordinator.local().writes.get(), 0);
        assert_eq!(write(Consistency::One), Ok(1), "one replica is alive");
        assert!(matches!(write(Consistency::Serial), Err(CoordinatorError::WrongLevel { .. })));
    }

    #[test]
    fn what_other_nodes_have_is_unavailable_here() {
        let coordinator = Coordinator::new(0, Counting::default());
        let placement = placement(2, 1);
        let write =
            |token| coordinator.write(&placement, Token(token), Consistency::One, &mutation());
        assert_eq!(write(1), Ok(1));
        let elsewhere = write(2);
        assert!(matches!(elsewhere, Err(CoordinatorError::Unavailable { alive: 0, .. })));
        let everything = coordinator.check_read(&placement, None, Consistency::One);
        assert!(everything.is_err());
    }

    #[test]
    fn levels_for_writes_are_refused_for_reads() {
        let coordinator = Coordinator::new(0, Counting::default());
        let placement = placement(1, 1);
        for level in Consistency::ALL {
            let refused = coordinator.check_read(&placement, None, level).is_err();
            let expected =
                matches!(level, Consistency::Any | Consistency::Two | Consistency::Three);
            assert_eq!(refused, expected, "{level}");
        }
    }

    #[test]
    fn a_failing_replica_is_told_as_it_is() {
        let coordinator = Coordinator::new(0, Counting { fails: true, ..Counting::default() });
        let failed = coordinator.write(&placement(1, 1), Token(5), Consistency::One, &mutation());
        assert_eq!(failed, Err(CoordinatorError::Replica("disk full")));
    }
}

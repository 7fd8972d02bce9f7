//! Which way a request takes: a function call where this node alone has a say, else through a machine that asks several
//! replicas.
//!
//! ```text
//! this node is 0                          write           read
//! replicas 0, any level                   Local           Local
//! replicas 0 1 2, ONE                     Replicas        Local: what it has is enough
//! replicas 0 1 2, QUORUM                  Replicas        Replicas
//! replicas 0 1 2, QUORUM, 1 and 2 down    Unavailable     Unavailable
//! replicas 1 2, ONE                       Replicas        Replicas
//! ```

use tholos_grammar::consistency::Consistency;
use tholos_grammar::token::Token;

use super::RequestError;
use crate::consistency::{Acks, Shortage, met, shortage};
use crate::placement::Placement;
use crate::ring::NodeIndex;

/// Which way a request takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// This node carries it out, and that is all.
    Local,
    /// Replicas are asked.
    Replicas,
}

/// Why a request is not begun: nothing of it was done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Fewer replicas alive than the level needs.
    #[error(transparent)]
    Unavailable(RequestError),
    /// The level makes no sense for this request.
    #[error("consistency level {level} {why}")]
    WrongLevel {
        /// The level.
        level: Consistency,
        /// Why not, and what to use.
        why: &'static str,
    },
}

/// The nodes of a ring, as one of them sees them.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// Which one it is.
    pub node: NodeIndex,
    /// Which others can be reached.
    pub is_alive: &'a dyn Fn(NodeIndex) -> bool,
    /// Whether what is for others is kept until they can be reached, so that ANY may be content with that.
    pub keeps_hints: bool,
}

impl View<'_> {
    /// Whether a node can be reached: this one always can.
    pub fn reaches(&self, node: NodeIndex) -> bool {
        node == self.node || (self.is_alive)(node)
    }

    fn available(
        &self,
        placement: &Placement,
        replicas: &[NodeIndex],
        level: Consistency,
    ) -> Result<(), PathError> {
        let alive = replicas.iter().copied().filter(|node| self.reaches(*node));
        match shortage(level, placement, &Acks::of(placement, alive)) {
            None => Ok(()),
            Some(Shortage { required, present: alive }) => {
                Err(PathError::Unavailable(RequestError::Unavailable { level, required, alive }))
            }
        }
    }
}

/// The way of a write to the replicas of `token`.
///
/// # Errors
/// A level that is none for plain writes; too few replicas alive.
pub fn write_path(
    view: View<'_>,
    placement: &Placement,
    token: Token,
    level: Consistency,
) -> Result<Path, PathError> {
    if level.is_serial() {
        let why = "is for conditional statements: use another for a plain write";
        return Err(PathError::WrongLevel { level, why });
    }
    let replicas = placement.replicas(token);
    if level != Consistency::Any || replicas.is_empty() || !view.keeps_hints {
        view.available(placement, replicas, level)?;
    }
    Ok(if *replicas == [view.node] { Path::Local } else { Path::Replicas })
}

/// The way of a read from the replicas of `token`, or of every token when there is none. Of those, whether enough replicas
/// are alive is seen range by range.
///
/// # Errors
/// A level that is none for reads; too few replicas alive.
pub fn read_path(
    view: View<'_>,
    placement: &Placement,
    token: Option<Token>,
    level: Consistency,
) -> Result<Path, PathError> {
    if level == Consistency::Any {
        let why = "is for writes only: read with ONE, LOCAL_QUORUM, QUORUM or ALL";
        return Err(PathError::WrongLevel { level, why });
    }
    let (is_here, replicas) = match token {
        Some(token) => {
            let replicas = placement.replicas(token);
            (replicas.contains(&view.node), Some(replicas))
        }
        None => (placement.has_all(view.node), placement.uniform_replicas()),
    };
    if is_here && met(level, placement, &Acks::of(placement, [view.node])) {
        return Ok(Path::Local);
    }
    if let Some(replicas) = replicas {
        view.available(placement, replicas, level)?;
    }
    Ok(Path::Replicas)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::placement::Replication;
    use crate::ring::Ring;
    use crate::testing::node;

    fn placement(nodes: u16, factor: u32) -> Placement {
        let nodes = (1..=nodes).map(|number| node(number, "dc1", i64::from(number)));
        let ring = Ring::new(nodes.collect()).unwrap();
        Placement::new(Arc::new(ring), &Replication::Simple { factor }, 0)
    }

    fn view(alive: &dyn Fn(NodeIndex) -> bool) -> View<'_> {
        View { node: 0, is_alive: alive, keeps_hints: false }
    }

    fn unavailable(level: Consistency, required: u32, alive: u32) -> PathError {
        PathError::Unavailable(RequestError::Unavailable { level, required, alive })
    }

    #[test]
    fn what_this_node_has_alone_is_a_function_call() {
        let placement = placement(1, 1);
        let alone = |_| false;
        for level in Consistency::ALL {
            let write = write_path(view(&alone), &placement, Token(5), level);
            match level {
                Consistency::Serial | Consistency::LocalSerial => {
                    assert!(matches!(write, Err(PathError::WrongLevel { .. })), "{level}");
                }
                Consistency::Two => assert_eq!(write, Err(unavailable(level, 2, 1))),
                Consistency::Three => assert_eq!(write, Err(unavailable(level, 3, 1))),
                _ => assert_eq!(write, Ok(Path::Local), "{level}"),
            }
            for token in [Some(Token(5)), None] {
                let read = read_path(view(&alone), &placement, token, level);
                let refused = [Consistency::Any, Consistency::Two, Consistency::Three];
                assert_eq!(read.is_err(), refused.contains(&level), "{level}");
            }
        }
    }

    #[test]
    fn a_replica_that_is_enough_is_read_by_a_function_call_and_written_with_the_others() {
        let placement = placement(3, 3);
        let all = |_| true;
        let read = |token, level| read_path(view(&all), &placement, token, level);
        assert_eq!(read(Some(Token(2)), Consistency::One), Ok(Path::Local));
        assert_eq!(read(None, Consistency::LocalOne), Ok(Path::Local), "it has every token");
        assert_eq!(read(None, Consistency::Quorum), Ok(Path::Replicas));
        let write = write_path(view(&all), &placement, Token(2), Consistency::One);
        assert_eq!(write, Ok(Path::Replicas));
    }

    #[test]
    fn levels_out_of_reach_are_refused_before_anything_is_done() {
        let placement = placement(3, 3);
        let alone = |_| false;
        let level = Consistency::Quorum;
        let write = write_path(view(&alone), &placement, Token(2), level);
        assert_eq!(write, Err(unavailable(level, 2, 1)));
        let read = read_path(view(&alone), &placement, Some(Token(2)), level);
        assert_eq!(read, Err(unavailable(level, 2, 1)));
        let second = |node| node == 1;
        let write = write_path(view(&second), &placement, Token(2), level);
        assert_eq!(write, Ok(Path::Replicas));
    }

    #[test]
    fn what_others_have_is_theirs_to_say() {
        let placement = placement(2, 1);
        let alone = |_| false;
        let read =
            |token| read_path(view(&alone), &placement, Some(Token(token)), Consistency::One);
        assert_eq!(read(1), Ok(Path::Local));
        assert_eq!(read(2), Err(unavailable(Consistency::One, 1, 0)));
        let everything = read_path(view(&alone), &placement, None, Consistency::One);
        assert_eq!(everything, Ok(Path::Replicas), "seen range by range");
    }

    #[test]
    fn any_is_content_with_a_hint_where_hints_are_kept() {
        let placement = placement(2, 1);
        let alone = |_| false;
        let keeping = View { keeps_hints: true, ..view(&alone) };
        let write = |view| write_path(view, &placement, Token(2), Consistency::Any);
        assert_eq!(write(keeping), Ok(Path::Replicas));
        assert_eq!(write(view(&alone)), Err(unavailable(Consistency::Any, 1, 0)));
    }
}

//! From a syntax tree to rows: bind, plan, execute.
//!
//! [`plan`](planner::plan) is a pure function of a statement and a [`Catalogue`](catalogue::Catalogue): no clock, no
//! storage, no session state but the keyspace. A plan holds no lock and no reference into the catalogue; it remembers
//! the schema epoch it was made at, and is made again when that table changed since. Executing is synchronous: what may
//! have to be waited for (the log's sync) comes back as a position to wait for.

pub mod batch;
pub mod catalogue;
pub mod column;
pub mod context;
pub mod ddl;
pub mod describe;
pub mod expression;
pub mod functions;
pub mod intervals;
pub mod json;
pub mod keys;
pub mod modify;
pub mod plan;
pub mod planner;
pub mod restriction;
pub mod select;
pub mod slots;
pub mod suggest;
pub mod types;
pub mod values;

/// Stack of the threads that serve requests. Parsing, planning and evaluating go down into a term by recursion: the
/// deepest that the parser takes needs half of this in a build without optimisation, and little in others.
pub(crate) const STACK_BYTES: usize = 8 << 20;

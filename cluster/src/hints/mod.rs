//! Hints: writes that wait for nodes that could not be reached.
//!
//! - [`store`]: hints in files, with limits and ages, and what nodes may lack where hints could not be kept.
//! - [`replay`]: brings a node its hints when it is back, within what it grants.
//! - [`delivery`]: the replays of all nodes.
//! - [`credits`]: what a node that is back grants to those who have hints for it.
//! - [`fuzz`]: any bytes as files of hints.
//! - [`marks`]: bounded sets of token ranges.
//!
//! ```text
//! node b is down      append(b, w1), append(b, w2), sync         no room for w3: its token is marked
//! b is up             Send(b, batch 1: w1)                       the first batch alone asks for credit
//! b took it           Acked(batch 1, 1 MiB/s)  ->  Send(b, batch 2: w2)
//! b took that         the segment is removed; the mark stays until a repair clears it
//! ```

pub mod credits;
pub mod delivery;
pub mod fuzz;
pub mod marks;
pub mod replay;
pub mod store;

mod ledger;
mod record;

pub use ledger::Cursor;
pub use record::Hint;

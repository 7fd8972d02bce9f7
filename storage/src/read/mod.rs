//! Reading: several sorted runs as one reconciled stream, and what a reader sees of it.
//!
//! - [`source`]: a memtable, an SSTable or a page, and a walk through either.
//! - [`merge`]: k walks as one canonical stream of partition deletions, rows and range-tombstone markers.
//! - [`live`]: the rows of that stream that exist at a given `now`, within a budget of work.
//! - [`budget`]: that limit.
//! - [`figures`]: what reads cost, counted.
//! - [`point`]: one row by its full key.
//! - [`page`]: what a replica has of an interval, for others to merge; [`page_maker`]: making them; [`run`]: several such as one; [`repair`]: what a
//!   replica lacks of it.

pub mod budget;
pub mod figures;
pub mod floors;
#[cfg(test)]
mod forged_page_tests;
mod inputs;
pub mod live;
pub mod merge;
pub mod page;
pub mod page_maker;
#[cfg(test)]
mod page_maker_tests;
pub mod point;
pub mod repair;
pub mod run;
pub mod source;

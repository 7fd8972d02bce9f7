//! Which stores are measured.

use std::path::Path;

use super::Outcome;
use super::store::{Store, Writes};

/// One of the stores.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// Its name, in the table and on the command line.
    pub name: &'static str,
    /// Opens it in an empty directory.
    pub open: fn(&Path, Writes) -> Outcome<Box<dyn Store>>,
}

/// All that are built.
pub const KINDS: &[Kind] = &[
    Kind { name: "tholos", open: super::tholos::open },
    #[cfg(feature = "fjall")]
    Kind { name: "fjall", open: super::fjall::open },
    #[cfg(feature = "rocksdb")]
    Kind { name: "rocksdb", open: super::rocksdb::open },
];

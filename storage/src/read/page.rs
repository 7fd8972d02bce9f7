//! Pages: what one replica has of an interval of keys, as it is sent to whoever merges it with what others have.
//!
//! ```text
//! asked for a/BEFORE .. z/AFTER of a partition      this replica has: rows b, c, f; a deletion of c .. e
//!   limits allow all     page  a/BEFORE .. z/AFTER    row b, marker c/BEFORE (NONE, D), marker e/AFTER (D, NONE), row f
//!   limits allow 1 row   page  a/BEFORE .. b 0        row b
//!   in reverse, 1 row    page  f .. z/AFTER           row f
//! ```
//! A page has *all* that there is between its bounds: what of an interval the limits cut off lies outside of them. So two
//! pages say something together only where their bounds overlap, and that is all that keeps short ones from doing harm.
//!
//! What is in it is the replica's merged stream before anything is made live: partition deletions, markers, rows with
//! tombstones. Left out is what grace is over for (spec 4.7), what was written to columns that were dropped (4.8), and the
//! values of expired cells (2.3). A page is canonical: equal content gives equal bytes, whatever was flushed, compacted or
//! purged, and whichever way was walked; but where work cuts it off, see [`page_maker`](super::page_maker).
//!
//! ```text
//! page  = flags, slice lower, slice upper, [slice partition, deletion, deletion], block
//! flags = 1: it begins inside a partition, with its deletion and the range deletion in force
//!         2: it was cut off: behind its bounds there may be more of what was asked for
//! block = unsigned length, a data block as SSTables have them: see docs/format-sstable.md
//! ```

use std::sync::Arc;

use xxhash_rust::xxh3::Xxh3;

use crate::model::Deletion;
use crate::model::entry::Direction;
use crate::model::read::{Digest, KeyInterval, is_bound};
use crate::sstable::{BlockRun, RunStart};
use crate::varint::{decode_i64, decode_slice, encode_i64, encode_slice};

const BEGINS_INSIDE: u8 = 1;
const CUT: u8 = 2;

/// What one replica has between two bounds.
#[derive(Clone, Debug)]
pub struct Page {
    pub(super) lower: Box<[u8]>,
    pub(super) upper: Box<[u8]>,
    pub(super) run: BlockRun,
    pub(super) is_cut: bool,
}

/// What a replica answers a command with.
#[derive(Clone, Debug)]
pub enum Answer {
    /// One page for each of the first intervals; the last one may be cut.
    Pages(Vec<Arc<Page>>),
    /// Of such pages.
    Digest(Digest),
}

/// Why bytes are no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a page that a replica sent is malformed: {0}")]
pub struct PageError(pub(crate) &'static str);

impl Page {
    /// The bound before its first key.
    pub fn lower(&self) -> &[u8] {
        &self.lower
    }

    /// The bound after its last key; empty: the table's end.
    pub fn upper(&self) -> &[u8] {
        &self.upper
    }

    /// Whether there may be more of what was asked for behind its end.
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The entries.
    pub fn run(&self) -> &BlockRun {
        &self.run
    }

    /// Whether it is an answer to an interval that was asked for: it has all of it up to where it was cut, and that is
    /// where one can go on: at the end of the interval, or next to a key, which never ends with a zero byte.
    pub fn answers(&self, interval: &KeyInterval, direction: Direction) -> bool {
        let begins = *self.lower == *interval.lower;
        let ends = *self.upper == *interval.upper;
        let bounds = match (self.is_cut, direction) {
            (false, _) => begins && ends,
            (true, Direction::Forward) => {
                let is_behind_key = self.upper.ends_with(&[0]);
                begins && interval.lower[..] < self.upper[..] && (ends || is_behind_key)
            }
            (true, Direction::Reverse) => {
                let gets_on = self.upper.is_empty() || self.lower < self.upper;
                ends && interval.lower[..] <= self.lower[..] && gets_on
            }
        };
        let end = || interval.upper.is_empty() || self.upper[..] <= interval.upper[..];
        bounds && end() && *self.run.start().partition == *interval.partition()
    }

    /// Bytes of memory it takes, roughly.
    pub fn weight(&self) -> usize {
        self.run.bytes().len() + self.lower.len() + self.upper.len() + size_of::<Page>()
    }

    /// Appends the page's bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let RunStart { partition, partition_deletion, range_deletion } = self.run.start();
        let inside = !partition.is_empty();
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        out.push(flag(inside, BEGINS_INSIDE) | flag(self.is_cut, CUT));
        encode_slice(out, &self.lower);
        encode_slice(out, &self.upper);
        if inside {
            encode_slice(out, partition);
            for deletion in [partition_deletion, range_deletion] {
                encode_i64(out, deletion.timestamp);
                encode_i64(out, deletion.deleted_at);
            }
        }
        encode_slice(out, self.run.bytes());
    }

    /// Takes a page off the front. Every entry is looked at: nothing that is walked later is malformed.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub fn decode(input: &mut &[u8]) -> Result<Page, PageError> {
        const ENDS_EARLY: PageError = PageError("it ends early");
        let (&flags, rest) = input.split_first().ok_or(ENDS_EARLY)?;
        *input = rest;
        if flags & !(BEGINS_INSIDE | CUT) != 0 {
            return Err(PageError("it has unknown flags"));
        }
        let lower = decode_slice(input).ok_or(ENDS_EARLY)?;
        let upper = decode_slice(input).ok_or(ENDS_EARLY)?;
        if !is_bound(lower) || !is_bound(upper) {
            return Err(PageError("a bound has no token"));
        }
        let mut start = RunStart::between();
        if flags & BEGINS_INSIDE != 0 {
            start.partition = decode_slice(input).ok_or(ENDS_EARLY)?.into();
            if start.partition.len() < 8 || !lower.starts_with(&start.partition) {
                return Err(PageError("it does not begin in the partition that it says"));
            }
            start.partition_deletion = decode_deletion(input).ok_or(ENDS_EARLY)?;
            start.range_deletion = decode_deletion(input).ok_or(ENDS_EARLY)?;
        }
        let block = decode_slice(input).ok_or(ENDS_EARLY)?.to_vec();
        let run = BlockRun::parse(block, start, lower, upper).map_err(PageError)?;
        let (lower, upper) = (lower.into(), upper.into());
        Ok(Page { lower, upper, run, is_cut: flags & CUT != 0 })
    }
}

fn decode_deletion(input: &mut &[u8]) -> Option<Deletion> {
    Some(Deletion { timestamp: decode_i64(input)?, deleted_at: decode_i64(input)? })
}

/// The digest of the pages that answer one command.
pub fn digest<'a>(pages: impl IntoIterator<Item = &'a Page>) -> Digest {
    let (mut hasher, mut bytes) = (Xxh3::new(), Vec::new());
    for page in pages {
        bytes.clear();
        page.encode(&mut bytes);
        hasher.update(&bytes);
    }
    Digest(hasher.digest128().to_be_bytes())
}

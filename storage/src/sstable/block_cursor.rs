//! A position in a block, movable both ways. It decodes one interval (up to 16 entries) at a time.

use std::cmp::Ordering;
use std::sync::Arc;

use super::block::{Block, Decoded, Interval, Kind};
use super::format::Malformed;
use super::short_key::KeyTypes;
use crate::model::entry::Direction;

/// A position in a block: at an entry, or nowhere.
#[derive(Debug)]
pub(super) struct BlockCursor {
    block: Arc<Block>,
    interval: Interval,
    /// Which interval is decoded, if any.
    restart: Option<usize>,
    /// Which entry of it, if any.
    at: Option<usize>,
}

impl BlockCursor {
    /// Nowhere yet.
    pub(super) fn new(block: Arc<Block>) -> Self {
        BlockCursor { block, interval: Interval::with_room(), restart: None, at: None }
    }

    /// Goes on with another block, nowhere yet, keeping the buffers.
    pub(super) fn replace(&mut self, block: Arc<Block>) {
        self.block = block;
        self.restart = None;
        self.at = None;
    }

    /// The entry it is at.
    #[inline]
    pub(super) fn entry(&self) -> Option<BlockEntry<'_>> {
        let decoded = self.interval.entries.get(self.at?)?;
        Some(BlockEntry {
            kind: decoded.kind,
            key: self.interval.key(decoded),
            partition_len: decoded.partition_len,
            row_head: self.block.row_head(decoded),
            payload: self.block.payload(decoded),
        })
    }

    pub(super) fn types(&self) -> KeyTypes {
        self.block.types()
    }

    /// What the entry it is at is.
    #[inline]
    pub(super) fn kind(&self) -> Option<Kind> {
        Some(self.interval.entries.get(self.at?)?.kind)
    }

    /// The key that comes last in walking direction among those that are decoded.
    pub(super) fn furthest_decoded(&self, direction: Direction) -> Option<&[u8]> {
        self.restart?;
        let decoded = match direction {
            Direction::Forward => self.interval.entries.last(),
            Direction::Reverse => self.interval.entries.first(),
        };
        decoded.map(|entry| self.interval.key(entry))
    }

    /// Goes to the entry beside the one it is at, if that is decoded; otherwise stays and says false.
    #[inline]
    pub(super) fn step_decoded(&mut self, direction: Direction) -> bool {
        let next = self.at.and_then(|at| match direction {
            Direction::Forward => Some(at + 1).filter(|next| *next < self.interval.entries.len()),
            Direction::Reverse => at.checked_sub(1),
        });
        self.at = next.or(self.at);
        next.is_some()
    }

    /// Offset in the block of the entry it is at.
    pub(super) fn offset(&self) -> Option<usize> {
        Some(self.interval.entries.get(self.at?)?.offset)
    }

    /// How many bytes of the block the entry that it is at takes.
    pub(super) fn stored_len(&self) -> usize {
        self.at.and_then(|at| self.interval.entries.get(at)).map_or(0, Decoded::stored_len)
    }

    /// Goes to the first entry at or after `target`; nowhere if there is none.
    pub(super) fn seek_at_or_after(&mut self, target: &[u8]) -> Result<(), Malformed> {
        self.seek(target, Ordering::Less)?;
        self.next()
    }

    /// Goes to the last entry before `target`; nowhere if there is none.
    pub(super) fn seek_before(&mut self, target: &[u8]) -> Result<(), Malformed> {
        self.seek(target, Ordering::Less)
    }

    /// Goes to the last entry at or before `target`; nowhere if there is none.
    pub(super) fn seek_at_or_before(&mut self, target: &[u8]) -> Result<(), Malformed> {
        self.seek(target, Ordering::Equal)
    }

    /// Goes to the last entry whose key compares to `target` as `most` or less; otherwise before the first entry.
    fn seek(&mut self, target: &[u8], most: Ordering) -> Result<(), Malformed> {
        self.at = None;
        if self.block.restarts() == 0 {
            return Ok(());
        }
        self.decode(self.block.restart_before(target)?)?;
        let count = self
            .interval
            .entries
            .partition_point(|entry| self.interval.key(entry).cmp(target) <= most);
        match count.checked_sub(1) {
            Some(last) => self.at = Some(last),
            // The key of this interval's restart equals the target: the wanted entry ends the interval before.
            None if self.restart > Some(0) => return self.prev_interval(),
            None => self.restart = None,
        }
        Ok(())
    }

    /// Goes to the next entry; from nowhere to the first one.
    pub(super) fn next(&mut self) -> Result<(), Malformed> {
        match (self.restart, self.at) {
            (Some(_), Some(at)) if at + 1 < self.interval.entries.len() => self.at = Some(at + 1),
            (Some(restart), Some(_)) if restart + 1 == self.block.restarts() => self.at = None,
            // After the last entry.
            (Some(_), None) => {}
            (restart, _) => {
                let next = restart.map_or(0, |restart| restart + 1);
                if next < self.block.restarts() {
                    self.decode(next)?;
                    self.at = Some(0);
                }
            }
        }
        Ok(())
    }

    /// Goes to the previous entry; nowhere if there is none.
    pub(super) fn prev(&mut self) -> Result<(), Malformed> {
        match self.at {
            None => Ok(()),
            Some(0) => self.prev_interval(),
            Some(at) => {
                self.at = Some(at - 1);
                Ok(())
            }
        }
    }

    /// Goes to the last entry.
    pub(super) fn last(&mut self) -> Result<(), Malformed> {
        self.at = None;
        let Some(last) = self.block.restarts().checked_sub(1) else { return Ok(()) };
        self.decode(last)?;
        self.at = self.interval.entries.len().checked_sub(1);
        Ok(())
    }

    fn prev_interval(&mut self) -> Result<(), Malformed> {
        self.at = None;
        match self.restart.and_then(|restart| restart.checked_sub(1)) {
            Some(previous) => {
                self.decode(previous)?;
                self.at = self.interval.entries.len().checked_sub(1);
            }
            None => self.restart = None,
        }
        Ok(())
    }

    fn decode(&mut self, restart: usize) -> Result<(), Malformed> {
        if self.restart != Some(restart) {
            self.restart = None;
            self.block.decode_interval(restart, &mut self.interval)?;
            self.restart = Some(restart);
        }
        Ok(())
    }

    /// Offset of the last entry before `target`.
    pub(super) fn offset_before(&mut self, target: &[u8]) -> Result<Option<usize>, Malformed> {
        self.seek_before(target)?;
        Ok(self.offset())
    }

    /// Goes to the last change at or before an offset, to the last header if `headers_only`; nowhere if there is none.
    pub(super) fn seek_change(
        &mut self,
        offset: usize,
        headers_only: bool,
    ) -> Result<(), Malformed> {
        self.at = None;
        for index in (0..self.block.changes()).rev() {
            let change = self.block.change(index);
            if change > offset {
                continue;
            }
            let kind = self.block.kind_at(change).ok_or(NO_CHANGE)?;
            if !headers_only || kind == Kind::Header {
                return self.go_to(change);
            }
        }
        Ok(())
    }

    /// Goes to the entry at that offset of the block.
    fn go_to(&mut self, offset: usize) -> Result<(), Malformed> {
        let (mut low, mut high) = (0, self.block.restarts());
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            if self.block.restart(middle) <= offset { low = middle } else { high = middle }
        }
        self.decode(low)?;
        let is_there = |entry: &Decoded| entry.offset == offset;
        self.at = Some(self.interval.entries.iter().position(is_there).ok_or(NO_CHANGE)?);
        Ok(())
    }
}

const NO_CHANGE: Malformed = Malformed("a block's list of changes points to something else");

/// An entry of a block.
#[derive(Clone, Copy, Debug)]
pub(super) struct BlockEntry<'a> {
    pub(super) kind: Kind,
    pub(super) key: &'a [u8],
    pub(super) partition_len: usize,
    /// Of a row.
    pub(super) row_head: &'a [u8],
    /// Of a row its body.
    pub(super) payload: &'a [u8],
}

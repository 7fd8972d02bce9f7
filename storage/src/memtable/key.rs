//! Keys of a memtable: compared by token first, without following a pointer.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::ops::Bound;
use std::sync::Arc;

/// A full key that is cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Key {
    head: u64,
    partition_len: u32,
    bytes: Arc<[u8]>,
}

impl Key {
    pub(super) fn new(bytes: &[u8], partition_len: usize) -> Self {
        Key { head: head_of(bytes), partition_len: partition_len as u32, bytes: bytes.into() }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn partition_len(&self) -> usize {
        self.partition_len as usize
    }

    pub(super) fn partition(&self) -> &[u8] {
        &self.bytes[..self.partition_len()]
    }
}

/// What is looked up: a [`Key`], or a [`Probe`] of borrowed bytes.
pub(super) trait Comparand {
    fn head(&self) -> u64;
    fn bytes(&self) -> &[u8];
}

/// One end of a range of keys.
pub(super) type KeyBound<'a> = Bound<&'a (dyn Comparand + 'a)>;

/// Bytes to look for; shorter than a token if they are a bound of a whole token range.
pub(super) struct Probe<'a> {
    head: u64,
    bytes: &'a [u8],
}

impl<'a> Probe<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Probe { head: head_of(bytes), bytes }
    }
}

impl Comparand for Key {
    fn head(&self) -> u64 {
        self.head
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

impl Comparand for Probe<'_> {
    fn head(&self) -> u64 {
        self.head
    }

    fn bytes(&self) -> &[u8] {
        self.bytes
    }
}

/// The first 8 bytes as a number of the same order; what is missing counts as zeros, and the bytes decide then.
fn head_of(bytes: &[u8]) -> u64 {
    let mut head = [0; 8];
    let len = bytes.len().min(8);
    head[..len].copy_from_slice(&bytes[..len]);
    u64::from_be_bytes(head)
}

impl<'a> Borrow<dyn Comparand + 'a> for Key {
    fn borrow(&self) -> &(dyn Comparand + 'a) {
        self
    }
}

impl Ord for dyn Comparand + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.head().cmp(&other.head()).then_with(|| self.bytes().cmp(other.bytes()))
    }
}

impl PartialOrd for dyn Comparand + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn Comparand + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for dyn Comparand + '_ {}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.head.cmp(&other.head).then_with(|| self.bytes.cmp(&other.bytes))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Key {}

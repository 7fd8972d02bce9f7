//! The block cache: decompressed blocks, index blocks and filters of all tables, under one budget of bytes.
//!
//! A filter that is too large for a shard of the cache stays with its table instead, as long as that is open; its bytes
//! are taken from the budget, so that the cache is smaller by as much.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use super::block::Block;
use super::filter::Filter;

/// Decompressed blocks, index blocks and filters of all tables, under one budget of bytes.
#[derive(Debug)]
pub struct BlockCache {
    cache: Cache<CacheKey, Cached, ByBytes, BuildHasherDefault<KeyHasher>>,
    /// The whole budget.
    budget: u64,
    /// How much of the budget is kept outside of the cache.
    reserved: Mutex<u64>,
    next_table: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
}

/// Table and offset in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct CacheKey(pub(super) u64, pub(super) u64);

#[derive(Clone, Debug)]
pub(super) enum Cached {
    Block(Arc<Block>),
    Filter(Arc<Filter>),
}

#[derive(Clone, Copy, Debug, Default)]
struct ByBytes;

const USUAL_BLOCK_BYTES: u64 = 16 << 10;
const SHARD_BYTES: u64 = 64 << 20;
const MAX_SHARDS: u64 = 64;
/// What is kept outside of the cache leaves it at least one in so many parts of the budget.
const LEAST_CACHE_SHARE: u64 = 4;
/// What an item costs beside its bytes, roughly.
const ITEM_OVERHEAD: u64 = 128;

impl Weighter<CacheKey, Cached> for ByBytes {
    fn weight(&self, _key: &CacheKey, cached: &Cached) -> u64 {
        ITEM_OVERHEAD
            + match cached {
                Cached::Block(block) => block.weight(),
                Cached::Filter(filter) => filter.weight(),
            }
    }
}

impl BlockCache {
    /// A cache that holds up to that many bytes.
    pub fn new(bytes: u64) -> Self {
        let items = usize::try_from(bytes / USUAL_BLOCK_BYTES).unwrap_or(usize::MAX).max(64);
        // A shard takes nothing larger than itself, and filters are large: few shards, whatever the machine.
        let shards = (bytes / SHARD_BYTES).clamp(1, MAX_SHARDS) as usize;
        let options = OptionsBuilder::new()
            .estimated_items_capacity(items)
            .weight_capacity(bytes)
            .shards(shards)
            .build()
            .expect("both capacities are given");
        let hasher = BuildHasherDefault::default();
        let cache = Cache::with_options(options, ByBytes, hasher, DefaultLifecycle::default());
        BlockCache {
            cache,
            budget: bytes,
            reserved: Mutex::new(0),
            next_table: 0.into(),
            hits: 0.into(),
            misses: 0.into(),
        }
    }

    /// Whether something of so many bytes would be kept for a while.
    pub(super) fn admits(&self, bytes: u64) -> bool {
        bytes + ITEM_OVERHEAD <= self.cache.shard_capacity() / 2
    }

    /// Takes so many bytes out of the budget, for something that is kept elsewhere until the reservation is dropped.
    /// `None` if too little were left for blocks.
    pub(super) fn reserve(self: &Arc<Self>, bytes: u64) -> Option<Reservation> {
        let mut reserved = self.reserved.lock();
        if *reserved + bytes > self.budget - self.budget / LEAST_CACHE_SHARE {
            return None;
        }
        *reserved += bytes;
        self.cache.set_capacity(self.budget - *reserved);
        Some(Reservation { cache: Arc::clone(self), bytes })
    }

    /// Bytes held now, with what is kept outside of the cache.
    pub fn bytes(&self) -> u64 {
        self.cache.weight() + *self.reserved.lock()
    }

    /// Bytes it may hold.
    pub fn capacity_bytes(&self) -> u64 {
        self.budget
    }

    /// Lookups that found what they wanted, and those that did not.
    pub fn hits_and_misses(&self) -> (u64, u64) {
        (self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed))
    }

    /// A number for a table to use in its keys.
    pub(super) fn register_table(&self) -> u64 {
        self.next_table.fetch_add(1, Ordering::Relaxed)
    }

    pub(super) fn find(&self, key: CacheKey) -> Option<Cached> {
        let found = self.cache.get(&key);
        let counter = if found.is_some() { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
        found
    }

    pub(super) fn insert(&self, key: CacheKey, cached: Cached) {
        self.cache.insert(key, cached);
    }
}

/// Part of a cache's budget that something outside of it uses.
#[derive(Debug)]
pub(super) struct Reservation {
    cache: Arc<BlockCache>,
    bytes: u64,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut reserved = self.cache.reserved.lock();
        *reserved -= self.bytes;
        self.cache.cache.set_capacity(self.cache.budget - *reserved);
    }
}

/// Mixes the two numbers of a key: fixed, so that simulations repeat exactly.
#[derive(Clone, Copy, Debug, Default)]
struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, number: u64) {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        self.0 = (self.0.rotate_left(25) ^ number).wrapping_mul(ODD);
        self.0 ^= self.0 >> 29;
    }
}

//! The block cache: decompressed blocks, index blocks and filters of all tables, under one budget of bytes.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};

use super::block::Block;
use super::filter::Filter;

/// Decompressed blocks, index blocks and filters of all tables, under one budget of bytes.
#[derive(Debug)]
pub struct BlockCache {
    cache: Cache<CacheKey, Cached, ByBytes, BuildHasherDefault<KeyHasher>>,
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
        BlockCache { cache, next_table: 0.into(), hits: 0.into(), misses: 0.into() }
    }

    /// Whether something of so many bytes would be kept for a while.
    pub(super) fn admits(&self, bytes: u64) -> bool {
        bytes + ITEM_OVERHEAD <= self.cache.shard_capacity() / 2
    }

    /// Bytes held now.
    pub fn bytes(&self) -> u64 {
        self.cache.weight()
    }

    /// Bytes it may hold.
    pub fn capacity_bytes(&self) -> u64 {
        self.cache.capacity()
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

//! The sending end of a stream: blocks of pinned files, pulled as chunks.
//!
//! What is in memory is flushed first, so a stream is of files alone. It keeps them from being removed as long as it
//! lives; compactions go on beside it. Each file is sent by itself: what the files say of one key is merged by the one
//! who reads it. Blocks are read past the cache.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use super::Engine;
use super::state::OpenFile;
use crate::StorageError;
use crate::model::token_range::{TokenRanges, TokenSpan};
use crate::schema::TableId;
use crate::sstable::{BlockCache, Compression, Damage, KeyRange, Portion, Portions, SsTable};
use crate::stream::{ChunkWriter, Header, Record, Run, SchemaFingerprint, StreamError, Totals};

/// Index blocks are read once: what is kept of them would push out what requests need.
const INDEX_CACHE_BYTES: u64 = 1 << 20;

/// The sending end of a stream.
pub struct StreamSender {
    sources: VecDeque<Source>,
    ranges: TokenRanges,
    compression: Compression,
    /// A chunk that is ready.
    ready: Option<Vec<u8>>,
    /// `None` once the trailer went out, or the stream failed.
    writer: Option<ChunkWriter>,
    failed: bool,
    sent: SentStream,
}

/// What was sent so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SentStream {
    /// Chunks, header and trailer too.
    pub chunks: u64,
    /// Blocks that went as they are stored, not decoded.
    pub copied_blocks: u64,
    /// Blocks that were cut at an edge of the ranges.
    pub cut_blocks: u64,
    /// Bytes of both as they are stored.
    pub block_bytes: u64,
    /// What the trailer says, once it went out.
    pub totals: Option<Totals>,
}

/// A file that is sent.
struct Source {
    /// Keeps the file on the disk.
    file: Arc<OpenFile>,
    table: Arc<SsTable>,
    /// What is still to come, and the walk through the first of it.
    spans: VecDeque<TokenSpan>,
    walk: Option<Portions>,
    /// Whether the stream knows of the file.
    begun: bool,
}

impl Engine {
    /// Begins a stream of all that a table holds of some ranges: everything that was written before is in it. Data
    /// chunks are of `chunk_bytes`, at most [`MAX_CHUNK_BYTES`](crate::stream::MAX_CHUNK_BYTES).
    ///
    /// # Errors
    /// `Damaged` for damage in the ranges that is known already; `Storage` for `UnknownTable`, and what flushing meets.
    pub fn send_stream(
        &self,
        id: TableId,
        fingerprint: SchemaFingerprint,
        ranges: &TokenRanges,
        chunk_bytes: usize,
    ) -> Result<StreamSender, StreamError> {
        let table = self.table(id)?;
        self.flush(id)?;
        let state = table.state.load_full();
        let cache = Arc::new(BlockCache::new(INDEX_CACHE_BYTES));
        let sources: VecDeque<Source> =
            state.files.iter().filter_map(|file| Source::of(file, ranges, &cache)).collect();
        sources.iter().try_for_each(|source| source.check_known_damage(ranges))?;
        let created_at = self.0.context.clock.now_micros();
        let header = Header { table: id, fingerprint, ranges: ranges.clone(), created_at };
        let (writer, first) = ChunkWriter::begin(&header, chunk_bytes);
        Ok(StreamSender {
            sources,
            ranges: ranges.clone(),
            compression: table.settings().compression,
            ready: Some(first),
            writer: Some(writer),
            failed: false,
            sent: SentStream::default(),
        })
    }
}

impl StreamSender {
    /// The next chunk; `None` after the trailer.
    ///
    /// # Errors
    /// `Damaged` for what can't be read, `Storage`; then `Failed`. What was sent is no whole stream then.
    pub fn next_chunk(&mut self) -> Result<Option<Vec<u8>>, StreamError> {
        if self.failed {
            return Err(StreamError::Failed);
        }
        let chunk = self.make_chunk().inspect_err(|_| {
            self.failed = true;
            (self.writer, self.ready) = (None, None);
            self.sources.clear();
        })?;
        self.sent.chunks += u64::from(chunk.is_some());
        Ok(chunk)
    }

    /// What was sent so far.
    pub fn sent(&self) -> SentStream {
        self.sent
    }

    fn make_chunk(&mut self) -> Result<Option<Vec<u8>>, StreamError> {
        if let Some(ready) = self.ready.take() {
            return Ok(Some(ready));
        }
        loop {
            let Some(writer) = &mut self.writer else { return Ok(None) };
            if let Some(chunk) = writer.full_chunk() {
                return Ok(Some(chunk));
            }
            if !self.add_block()? {
                break;
            }
        }
        let Some(mut writer) = self.writer.take() else { return Ok(None) };
        if let Some(chunk) = writer.last_chunk() {
            self.writer = Some(writer);
            return Ok(Some(chunk));
        }
        let (trailer, totals) = writer.end();
        self.sent.totals = Some(totals);
        Ok(Some(trailer))
    }

    /// Reads another block, if there is one.
    fn add_block(&mut self) -> Result<bool, StreamError> {
        let (Some(source), Some(writer)) = (self.sources.front_mut(), &mut self.writer) else {
            return Ok(false);
        };
        let portion = source.next_block(self.compression);
        let portion = portion.map_err(|error| source.explained(error, &self.ranges))?;
        let Some(Portion { block, is_whole }) = portion else {
            self.sources.pop_front();
            return Ok(true);
        };
        if !std::mem::replace(&mut source.begun, true) {
            let base = source.table.base()?;
            let (file_bytes, slices) =
                (source.file.meta.statistics.file_bytes, source.file.meta.slices.max(1));
            writer.add(&Record::Run(Run { base, file_bytes, slices }))?;
        }
        let counter = match is_whole {
            true => &mut self.sent.copied_blocks,
            false => &mut self.sent.cut_blocks,
        };
        *counter += 1;
        self.sent.block_bytes += block.stored_bytes();
        writer.add(&Record::Block(block))?;
        Ok(true)
    }
}

impl Source {
    /// `None` if nothing in the file is in the ranges.
    fn of(file: &Arc<OpenFile>, ranges: &TokenRanges, cache: &Arc<BlockCache>) -> Option<Source> {
        let concerned = |span: &&TokenSpan| {
            let (lower, upper) = span.keys();
            file.concerns(&lower, upper.as_ref().map_or(&[], |upper| upper))
        };
        let spans: VecDeque<TokenSpan> = ranges.spans().iter().filter(concerned).copied().collect();
        let table = file.table.with_cache(Arc::clone(cache));
        let file = Arc::clone(file);
        (!spans.is_empty()).then_some(Source { file, table, spans, walk: None, begun: false })
    }

    fn next_block(&mut self, compression: Compression) -> Result<Option<Portion>, StorageError> {
        loop {
            if self.walk.is_none() {
                let Some(span) = self.spans.pop_front() else { return Ok(None) };
                let (lower, upper) = span.keys();
                let statistics = &self.file.meta.statistics;
                let keys = (&statistics.min_key[..], &statistics.max_key[..]);
                let upper = upper.as_ref().map(|upper| &upper[..]);
                self.walk = Some(self.table.portions(&lower, upper, keys, compression)?);
            }
            if let Some(walk) = &mut self.walk
                && let Some(portion) = walk.next_block()?
            {
                return Ok(Some(portion));
            }
            self.walk = None;
        }
    }

    fn check_known_damage(&self, ranges: &TokenRanges) -> Result<(), StreamError> {
        let found = self.table.damage_log().found();
        let known = found.into_iter().filter_map(|found| self.damaged(&found.damage, ranges));
        known.into_iter().next().map_or(Ok(()), Err)
    }

    /// Damage as an error, if it takes keys of the ranges away.
    fn damaged(&self, damage: &Damage, ranges: &TokenRanges) -> Option<StreamError> {
        let statistics = &self.file.meta.statistics;
        let keys = damage.keys.clone()?.within(&statistics.min_key, &statistics.max_key);
        let tokens = keys.tokens();
        let KeyRange { lower, upper } = keys;
        ranges.touches(tokens.0, tokens.1).then(|| StreamError::Damaged {
            file: self.table.path().to_path_buf(),
            offset: damage.offset,
            what: damage.what.clone(),
            tokens,
            lower,
            upper: upper.unwrap_or_default(),
        })
    }

    /// An error of reading with the keys that it takes away.
    fn explained(&self, error: StorageError, ranges: &TokenRanges) -> StreamError {
        let StorageError::Corrupt { offset, what, .. } = &error else { return error.into() };
        let known = self.table.damage_log().found().into_iter().map(|found| found.damage);
        let damage = known.filter(|damage| damage.offset == *offset).find(|d| d.keys.is_some());
        let damage = damage.unwrap_or_else(|| Damage {
            offset: *offset,
            what: what.clone(),
            keys: Some(KeyRange::ALL),
        });
        self.damaged(&damage, ranges).unwrap_or_else(|| error.into())
    }
}

impl fmt::Debug for StreamSender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamSender({:?}, {} files to go)", self.writer, self.sources.len())
    }
}

//! Part of a file as stored blocks: whole ones untouched, those at the edges cut anew.
//!
//! A block lies wholly within bounds when its index entry and the next one say so; it is neither decompressed nor
//! decoded here, only its checksum is verified. Bounds are bounds of partitions, so no deletion that is in force at one
//! reaches across it, and a block that is cut needs nothing from before it.
//!
//! A [`StoredBlock`] holds timestamps relative to its file's base: it makes sense beside blocks of that base only.

use std::fmt;
use std::sync::Arc;

use super::block::{Block, BlockBuilder, NewEntry};
use super::block_cursor::{BlockCursor, BlockEntry};
use super::compression::{compress, decompress};
use super::format::{Malformed, max_raw_len};
use super::index::{Codec, IndexEntry};
use super::index_cursor::IndexCursor;
use super::options::Compression;
use super::table::{Opened, SsTable};
use crate::StorageError;
use crate::model::Timestamp;
use crate::model::position::token_of;
use crate::varint::{decode_u64, encode_u64};

/// No block decompresses to more than this when it comes from elsewhere.
const MAX_RAW_BYTES: u64 = 1 << 30;

/// A data block as it is stored.
#[derive(Clone, PartialEq, Eq)]
pub struct StoredBlock {
    pub(super) codec: Codec,
    pub(super) raw_len: u32,
    /// Of the stored bytes.
    pub(super) crc: u32,
    pub(super) bytes: Vec<u8>,
}

impl StoredBlock {
    /// Bytes as it is stored.
    pub fn stored_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Appends it: codec (1 byte), varint length after decompression, crc32 of the stored bytes, stored bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.codec as u8);
        encode_u64(out, u64::from(self.raw_len));
        out.extend_from_slice(&self.crc.to_le_bytes());
        out.extend_from_slice(&self.bytes);
    }

    /// An encoded block that takes up all of the input; its checksum is verified.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn decode(input: &[u8]) -> Result<StoredBlock, &'static str> {
        const CUT: &str = "a block is cut off";
        let (&codec, mut rest) = input.split_first().ok_or(CUT)?;
        let codec = Codec::of(codec).ok_or("a block is compressed in a way that is not known")?;
        let raw_len = decode_u64(&mut rest).ok_or(CUT)?;
        let (crc, bytes) = rest.split_first_chunk().ok_or(CUT)?;
        let crc = u32::from_le_bytes(*crc);
        let len = u32::try_from(bytes.len()).map_err(|_| "a block is too large")?;
        let fits = match codec {
            Codec::Raw => raw_len == u64::from(len),
            Codec::Lz4 | Codec::Zstd => raw_len <= max_raw_len(len).min(MAX_RAW_BYTES),
        };
        if !fits {
            return Err("a block has an impossible length");
        }
        if crc32fast::hash(bytes) != crc {
            return Err("a block's checksum does not match");
        }
        Ok(StoredBlock { codec, raw_len: raw_len as u32, crc, bytes: bytes.to_vec() })
    }

    /// The block with its entries readable.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn into_decoded(self) -> Result<DecodedBlock, &'static str> {
        let raw = decompress(self.codec, self.bytes.clone(), self.raw_len as usize);
        let block = raw.and_then(Block::parse).map_err(|what| what.0)?;
        Ok(DecodedBlock { stored: self, block: Arc::new(block) })
    }
}

impl fmt::Debug for StoredBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoredBlock({:?}, {} bytes of {})", self.codec, self.bytes.len(), self.raw_len)
    }
}

/// A block whose entries can be read.
#[derive(Debug)]
pub struct DecodedBlock {
    stored: StoredBlock,
    block: Arc<Block>,
}

impl DecodedBlock {
    /// As it is stored.
    pub fn stored(&self) -> &StoredBlock {
        &self.stored
    }

    /// Tokens of the first and of the last entry.
    ///
    /// # Errors
    /// It has no entries, or they do not decode.
    pub fn ends(&self) -> Result<(i64, i64), &'static str> {
        let mut cursor = self.cursor();
        cursor.next().map_err(|what| what.0)?;
        let first = token_at(&cursor)?;
        cursor.last().map_err(|what| what.0)?;
        Ok((first, token_at(&cursor)?))
    }

    /// The tokens of its entries, each once for every run of entries that have it.
    ///
    /// # Errors
    /// It has no entries, or they do not decode.
    pub fn tokens(&self) -> Result<Vec<i64>, &'static str> {
        let mut cursor = self.cursor();
        let mut tokens = Vec::new();
        loop {
            cursor.next().map_err(|what| what.0)?;
            if cursor.entry().is_none() {
                return Ok(tokens);
            }
            let token = token_at(&cursor)?;
            if tokens.last() != Some(&token) {
                tokens.push(token);
            }
        }
    }

    /// The part of it in `lower..upper` (`None`: to its end) as a block of its own; `None` if nothing is there.
    ///
    /// # Errors
    /// Its entries do not decode.
    pub fn cut(
        &self,
        lower: &[u8],
        upper: Option<&[u8]>,
        compression: Compression,
    ) -> Result<Option<StoredBlock>, &'static str> {
        let mut cursor = self.cursor();
        cut(&mut cursor, lower, upper, compression).map_err(|what| what.0)
    }

    pub(super) fn cursor(&self) -> BlockCursor {
        BlockCursor::new(Arc::clone(&self.block))
    }

    pub(super) fn changes(&self) -> usize {
        self.block.changes()
    }

    pub(super) fn change(&self, index: usize) -> usize {
        self.block.change(index)
    }
}

fn token_at(cursor: &BlockCursor) -> Result<i64, &'static str> {
    let entry = cursor.entry().ok_or("a block is empty")?;
    if entry.key.len() < 8 { Err("a key has no token") } else { Ok(token_of(entry.key)) }
}

fn cut(
    cursor: &mut BlockCursor,
    lower: &[u8],
    upper: Option<&[u8]>,
    compression: Compression,
) -> Result<Option<StoredBlock>, Malformed> {
    let mut builder = BlockBuilder::new(cursor.types());
    cursor.seek_at_or_after(lower)?;
    while let Some(entry) = cursor.entry() {
        if upper.is_some_and(|upper| entry.key >= upper) {
            break;
        }
        let BlockEntry { kind, key, partition_len, row_head, payload } = entry;
        builder.add(NewEntry { kind, key, partition_len, row_head, payload });
        cursor.next()?;
    }
    if builder.is_empty() {
        return Ok(None);
    }
    let (mut raw, mut stored) = (Vec::new(), Vec::new());
    builder.finish(&mut raw);
    let codec = compress(compression, &raw, &mut stored);
    let raw_len = u32::try_from(raw.len()).map_err(|_| Malformed("a block is too large"))?;
    let bytes = if codec == Codec::Raw { raw } else { stored };
    Ok(Some(StoredBlock { codec, raw_len, crc: crc32fast::hash(&bytes), bytes }))
}

/// A block on its way out of a file.
#[derive(Debug)]
pub struct Portion {
    /// The block.
    pub block: StoredBlock,
    /// Whether it is as it was in the file.
    pub is_whole: bool,
}

/// A walk through the blocks of a file that hold anything of some bounds.
#[derive(Debug)]
pub struct Portions {
    table: Arc<SsTable>,
    opened: Arc<Opened>,
    blocks: IndexCursor,
    lower: Vec<u8>,
    upper: Option<Vec<u8>>,
    /// Whether the file has keys before `lower`, at or after `upper`.
    reaches_below: bool,
    reaches_above: bool,
    compression: Compression,
}

impl SsTable {
    /// The blocks that hold anything of `lower..upper` (`None`: to the end): those wholly within it as they are stored,
    /// those at its edges cut anew and compressed like that. Both bounds must be bounds of partitions. `keys` are the
    /// least and the greatest of the file.
    ///
    /// # Errors
    /// `Corrupt` and `Io` for the index.
    pub fn portions(
        self: &Arc<Self>,
        lower: &[u8],
        upper: Option<&[u8]>,
        keys: (&[u8], &[u8]),
        compression: Compression,
    ) -> Result<Portions, StorageError> {
        Portions::open(self.clone(), Arc::clone(self.opened()?), (lower, upper), keys, compression)
    }
}

impl Portions {
    fn open(
        table: Arc<SsTable>,
        opened: Arc<Opened>,
        (lower, upper): (&[u8], Option<&[u8]>),
        (min_key, max_key): (&[u8], &[u8]),
        compression: Compression,
    ) -> Result<Portions, StorageError> {
        let mut blocks = IndexCursor::new(&opened);
        blocks.seek(&table, &opened, lower)?;
        Ok(Portions {
            table,
            opened,
            blocks,
            lower: lower.to_vec(),
            upper: upper.map(<[u8]>::to_vec),
            reaches_below: min_key < lower,
            reaches_above: upper.is_some_and(|upper| max_key >= upper),
            compression,
        })
    }

    /// What timestamps in the blocks are relative to.
    pub fn base(&self) -> Timestamp {
        self.opened.footer.base
    }

    /// The next block.
    ///
    /// # Errors
    /// `Corrupt` for a block that is not what was written, `Io`.
    pub fn next_block(&mut self) -> Result<Option<Portion>, StorageError> {
        loop {
            let Portions { table, opened, blocks, .. } = self;
            let Some((separator, entry)) = blocks.entry(table, opened)? else { return Ok(None) };
            if self.upper.as_ref().is_some_and(|upper| separator >= upper.as_slice()) {
                return Ok(None);
            }
            let starts_below = separator < self.lower.as_slice() && self.reaches_below;
            blocks.next(table, opened)?;
            let next = blocks.entry(table, opened)?;
            let ends_above = match (next, &self.upper) {
                (Some((separator, _)), Some(upper)) => separator > upper.as_slice(),
                _ => self.reaches_above,
            };
            let is_whole = !starts_below && !ends_above;
            if let Some(block) = self.block(&entry, is_whole)? {
                return Ok(Some(Portion { block, is_whole }));
            }
        }
    }

    fn block(
        &self,
        entry: &IndexEntry,
        is_whole: bool,
    ) -> Result<Option<StoredBlock>, StorageError> {
        let pointer = entry.pointer;
        let bytes = self.table.stored_block(&self.opened, pointer)?;
        let block =
            StoredBlock { codec: pointer.codec, raw_len: pointer.raw_len, crc: pointer.crc, bytes };
        if is_whole {
            return Ok(Some(block));
        }
        let malformed = |what| self.table.malformed(pointer.offset, Malformed(what));
        let block = block.into_decoded().map_err(malformed)?;
        block.cut(&self.lower, self.upper.as_deref(), self.compression).map_err(malformed)
    }
}

//! The bytes of an SSTable: its footer, and sections and blocks, whose checksums are verified whenever they are read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::block::Block;
use super::compression::decompress;
use super::filter::Filter;
use super::format::{FOOTER_BYTES, Footer, FooterError, MAGIC, Malformed, Section, VERSION};
use super::index::BlockPointer;
use super::statistics::Statistics;
use crate::StorageError;
use crate::fs::{File, Fs};
use crate::planted::planted;

/// An open file whose ends were checked.
#[derive(Debug)]
pub(super) struct SsTableFile {
    file: Arc<dyn File>,
    path: PathBuf,
    pub(super) footer: Footer,
}

impl SsTableFile {
    pub(super) fn open(fs: &dyn Fs, path: &Path) -> Result<SsTableFile, StorageError> {
        let failed = |operation| move |error| StorageError::io(operation, path, error);
        let file = fs.open(path, true).map_err(failed("open"))?;
        let file_len = file.len().map_err(failed("size"))?;
        let cut_off = malformed(path, 0, Malformed("it is shorter than an SSTable can be"));
        let footer_at = file_len.checked_sub(FOOTER_BYTES as u64).ok_or(cut_off)?;
        let mut magic = [0; MAGIC.len()];
        file.read_exact_at(&mut magic, 0).map_err(failed("read"))?;
        if magic != MAGIC {
            return Err(malformed(path, 0, Malformed("it does not begin as an SSTable does")));
        }
        let mut bytes = [0; FOOTER_BYTES];
        file.read_exact_at(&mut bytes, footer_at).map_err(failed("read"))?;
        let footer = Footer::decode(&bytes, file_len).map_err(|error| match error {
            FooterError::Malformed(what) => malformed(path, footer_at, what),
            FooterError::Version(version) => StorageError::Unusable(format!(
                "{} has SSTable format version {version}, this release reads {VERSION}: use the release that wrote it",
                path.display()
            )),
        })?;
        Ok(SsTableFile { file, path: path.to_path_buf(), footer })
    }

    /// A structure that does not hold, as an error.
    pub(super) fn malformed(&self, offset: u64, what: Malformed) -> StorageError {
        malformed(&self.path, offset, what)
    }

    /// Reads bytes that have a checksum; once more if it does not match.
    pub(super) fn section(&self, section: Section) -> Result<Vec<u8>, StorageError> {
        let mut bytes = vec![0; section.len as usize];
        for _ in 0..2 {
            self.file
                .read_exact_at(&mut bytes, section.offset)
                .map_err(|error| StorageError::io("read", &self.path, error))?;
            if crc32fast::hash(&bytes) == section.crc || planted!(IgnoreChecksums) {
                return Ok(bytes);
            }
        }
        Err(self.malformed(section.offset, Malformed("a checksum does not match")))
    }

    pub(super) fn block(&self, pointer: BlockPointer) -> Result<Block, StorageError> {
        let section = Section { offset: pointer.offset, len: pointer.len, crc: pointer.crc };
        decompress(pointer.codec, self.section(section)?, pointer.raw_len as usize)
            .and_then(Block::parse)
            .map_err(|what| self.malformed(pointer.offset, what))
    }

    pub(super) fn top_index(&self) -> Result<Block, StorageError> {
        let section = self.footer.top_index;
        Block::parse(self.section(section)?).map_err(|what| self.malformed(section.offset, what))
    }

    pub(super) fn statistics(&self) -> Result<Statistics, StorageError> {
        let section = self.footer.statistics;
        let bytes = self.section(section)?;
        let mut statistics = Statistics::decode(&mut bytes.as_slice()).ok_or_else(|| {
            self.malformed(section.offset, Malformed("its statistics are malformed"))
        })?;
        statistics.file_bytes = self.footer.file_len;
        Ok(statistics)
    }

    /// The filter, if there is one.
    pub(super) fn filter(&self) -> Result<Option<Filter>, StorageError> {
        let section = self.footer.filter;
        if section.len == 0 {
            return Ok(None);
        }
        let what = Malformed("its filter has an impossible length");
        let filter = Filter::new(self.section(section)?);
        filter.map(Some).ok_or_else(|| self.malformed(section.offset, what))
    }
}

pub(super) fn malformed(path: &Path, offset: u64, what: Malformed) -> StorageError {
    StorageError::Corrupt { file: path.to_path_buf(), offset, what: what.0.into() }
}

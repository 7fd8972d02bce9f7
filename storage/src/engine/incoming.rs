//! Files that are made of blocks from a stream.
//!
//! Each run of the stream becomes a run of the table, cut as the output of a compaction is: no file crosses a bound
//! between slices of the ring, and one that got too large ends with its partition.

use std::path::PathBuf;

use super::context::{Context, remove_orphan};
use super::options::TableSettings;
use super::output::create;
use super::table::TableStore;
use crate::compaction::slice_of;
use crate::manifest::{FileNumber, TableFile};
use crate::model::position::token_prefix;
use crate::model::row::check;
use crate::model::token_range::TokenRanges;
use crate::sstable::{AppendError, DecodedBlock, SsTableWriter, StoredBlock};
use crate::stream::{Run, StreamError, Totals};

/// What was received.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReceivedStream {
    /// Files that became part of the table.
    pub files: u64,
    /// Their bytes.
    pub file_bytes: u64,
    /// Partitions, counted in each file that has them.
    pub partitions: u64,
    /// Rows, static ones too, counted likewise.
    pub rows: u64,
    /// Blocks that were appended as they came.
    pub copied_blocks: u64,
    /// Blocks that were cut at the end of a file.
    pub cut_blocks: u64,
    /// What the trailer said.
    pub totals: Totals,
}

/// Files that are made of a stream, none of which is part of the table yet.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    run: Option<OpenRun>,
    writer: Option<(FileNumber, SsTableWriter)>,
    finished: Vec<TableFile>,
    /// Paths of all files that were begun.
    created: Vec<PathBuf>,
    report: ReceivedStream,
}

/// The run that blocks are of.
#[derive(Debug)]
struct OpenRun {
    run: Run,
    /// Into how many slices of the ring it is cut.
    slices: u32,
    fragment_bytes: u64,
    /// The number of its first file.
    number: Option<FileNumber>,
    /// Of the last entry so far.
    token: Option<i64>,
}

/// Where files are made.
type Place<'a> = (&'a Context, &'a TableStore, &'a TokenRanges);

impl Incoming {
    /// Another run begins.
    pub(super) fn begin_run(
        &mut self,
        settings: &TableSettings,
        run: Run,
    ) -> Result<(), StreamError> {
        self.end_run()?;
        let strategy = &settings.compaction.strategy;
        let slices = strategy.slices(run.file_bytes, run.slices);
        let fragment_bytes = strategy.fragment_bytes;
        self.run = Some(OpenRun { run, slices, fragment_bytes, number: None, token: None });
        Ok(())
    }

    /// Finishes the files of the run.
    pub(super) fn end_run(&mut self) -> Result<(), StreamError> {
        self.finish_file()?;
        self.run = None;
        Ok(())
    }

    /// Adds the next block of the run.
    pub(super) fn add(
        &mut self,
        context: &Context,
        table: &TableStore,
        block: StoredBlock,
        ranges: &TokenRanges,
    ) -> Result<(), StreamError> {
        let place = (context, table, ranges);
        let block = block.into_decoded().map_err(malformed)?;
        let (first, last) = block.ends().map_err(malformed)?;
        self.move_to(first)?;
        if first == last || !self.may_end_within(first, last)? {
            self.report.copied_blocks += 1;
            return self.append(place, &block, last);
        }
        self.add_in_parts(place, &block)
    }

    /// Goes on to a token; the file ends before it if that is where one has to.
    fn move_to(&mut self, token: i64) -> Result<(), StreamError> {
        let run = self.run.as_ref().ok_or(malformed("a block comes before any run"))?;
        match run.token {
            Some(before) if token < before => Err(malformed("its keys do not ascend")),
            Some(before) if token != before && self.ends_between(before, token) => {
                self.finish_file()
            }
            _ => Ok(()),
        }
    }

    /// Whether a file ends between two tokens.
    fn ends_between(&self, before: i64, token: i64) -> bool {
        let Some(run) = &self.run else { return false };
        let is_full = |(_, writer): &(_, SsTableWriter)| writer.bytes() >= run.fragment_bytes;
        slice_of(before, run.slices) != slice_of(token, run.slices)
            || self.writer.as_ref().is_some_and(is_full)
    }

    /// Whether a file may have to end within a block of these tokens.
    fn may_end_within(&self, first: i64, last: i64) -> Result<bool, StreamError> {
        if last < first {
            return Err(malformed("its keys do not ascend"));
        }
        Ok(self.ends_between(first, last))
    }

    /// Appends a block, cut where files end within it.
    fn add_in_parts(&mut self, place: Place<'_>, block: &DecodedBlock) -> Result<(), StreamError> {
        let tokens = block.tokens().map_err(malformed)?;
        let mut start = 0;
        for end in 1..=tokens.len() {
            let (Some(&from), Some(&last)) = (tokens.get(start), tokens.get(end - 1)) else {
                break;
            };
            let next = tokens.get(end).copied();
            if next.is_some_and(|next| next <= last) {
                return Err(malformed("its keys do not ascend"));
            }
            if next.is_some_and(|next| !self.ends_between(last, next)) {
                continue;
            }
            if start == 0 && next.is_none() {
                self.report.copied_blocks += 1;
                return self.append(place, block, last);
            }
            let compression = place.1.settings().compression;
            let upper = next.map(token_prefix);
            let upper = upper.as_ref().map(|upper| &upper[..]);
            let part = block.cut(&token_prefix(from), upper, compression).map_err(malformed)?;
            if let Some(part) = part {
                self.report.cut_blocks += 1;
                self.move_to(from)?;
                self.append(place, &part.into_decoded().map_err(malformed)?, last)?;
            }
            start = end;
        }
        Ok(())
    }

    fn append(
        &mut self,
        (context, table, ranges): Place<'_>,
        block: &DecodedBlock,
        last: i64,
    ) -> Result<(), StreamError> {
        let run = self.run.as_mut().ok_or(malformed("a block comes before any run"))?;
        let (number, writer) = match &mut self.writer {
            Some(open) => open,
            none => {
                let (number, writer) = create(context, table, run.run.base)?;
                self.created.push(writer.path().to_path_buf());
                none.insert((number, writer))
            }
        };
        run.number.get_or_insert(*number);
        writer.append(block, check, &|token| ranges.contains(token)).map_err(refused)?;
        run.token = Some(last);
        Ok(())
    }

    fn finish_file(&mut self) -> Result<(), StreamError> {
        let (Some((number, writer)), Some(run)) = (self.writer.take(), &self.run) else {
            return Ok(());
        };
        if writer.has_open_deletion() {
            return Err(malformed("a range deletion is not closed at the end of its partition"));
        }
        let statistics = writer.finish()?;
        self.report.files += 1;
        self.report.file_bytes += statistics.file_bytes;
        self.report.partitions += statistics.partitions;
        self.report.rows += statistics.rows;
        let (first, slices) = (run.number.unwrap_or(number), run.slices);
        // Nothing is known here of repairs of what came from elsewhere.
        self.finished.push(TableFile { number, run: first, slices, repaired_at: 0, statistics });
        Ok(())
    }

    /// What was finished so far.
    pub(super) fn finished(&self) -> &[TableFile] {
        &self.finished
    }

    /// What came so far.
    pub(super) fn report(&self) -> ReceivedStream {
        self.report
    }

    /// The files are part of the table now, or may be.
    pub(super) fn keep(&mut self) {
        self.created.clear();
    }

    /// Removes all files that were made, unless they were to be kept.
    pub(super) fn abandon(&mut self, context: &Context) {
        self.writer = None;
        self.created.drain(..).for_each(|path| remove_orphan(&*context.fs, &path));
    }
}

fn malformed(what: &str) -> StreamError {
    StreamError::Malformed(what.to_string())
}

fn refused(error: AppendError) -> StreamError {
    match error {
        AppendError::Malformed(what) => StreamError::Malformed(what),
        AppendError::Outside(token) => StreamError::Outside { token },
        AppendError::Storage(error) => error.into(),
    }
}

//! The receiving end of a stream: chunks become files of the table, which are part of it all at once or never.
//!
//! Blocks are appended as they came: their entries are decoded for the index, the filter and the statistics, and every
//! row is looked into, but none is encoded anew. Only blocks that a file's end falls into are cut. Files are written
//! under numbers of the table; until one manifest edit names them all they are orphans, which a start removes.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Engine;
use super::hold::PurgeHold;
use super::incoming::{Incoming, ReceivedStream};
use super::table::TableStore;
use crate::StorageError;
use crate::commitlog::LogPosition;
use crate::model::Timestamp;
use crate::model::token_range::TokenRanges;
use crate::schema::TableId;
use crate::stream::{ChunkReader, Header, Record, SchemaFingerprint, StreamError};

/// The receiving end of a stream. Dropped before it is finished, nothing of the stream is kept.
pub struct StreamReceiver {
    engine: Engine,
    table: Arc<TableStore>,
    expected: Expected,
    reader: ChunkReader,
    incoming: Incoming,
    failed: bool,
    /// Let go when the files are part of the table, or given up.
    _hold: PurgeHold,
}

/// What the stream is to be of.
struct Expected {
    fingerprint: SchemaFingerprint,
    ranges: TokenRanges,
    /// The table's last truncation when the stream began.
    truncated: Option<(LogPosition, Timestamp)>,
}

impl Engine {
    /// Gets ready for a stream of these ranges into a table. Until it is finished or dropped, no deletion in the ranges
    /// is purged.
    ///
    /// # Errors
    /// `Storage` for `UnknownTable`.
    pub fn receive_stream(
        &self,
        id: TableId,
        fingerprint: SchemaFingerprint,
        ranges: &TokenRanges,
    ) -> Result<StreamReceiver, StreamError> {
        let hold = self.hold_purges(id, ranges)?;
        let table = self.table(id)?;
        let truncated = table.manifest.lock().files().truncated;
        let expected = Expected { fingerprint, ranges: ranges.clone(), truncated };
        Ok(StreamReceiver {
            engine: self.clone(),
            table,
            expected,
            reader: ChunkReader::new(),
            incoming: Incoming::default(),
            failed: false,
            _hold: hold,
        })
    }
}

impl StreamReceiver {
    /// Takes the next chunk.
    ///
    /// # Errors
    /// Why the stream is refused: nothing of it is kept then. `Failed` after any error.
    pub fn receive(&mut self, chunk: &[u8]) -> Result<(), StreamError> {
        self.guarded(|receiver| receiver.take(chunk))
    }

    /// Makes what came part of the table, in one manifest edit, once its trailer came.
    ///
    /// # Errors
    /// `CutOff` without a trailer, `Truncated`, and `Storage`: nothing of it is kept then, unless a sync failed, after
    /// which a start may find all of it.
    pub fn finish(mut self) -> Result<ReceivedStream, StreamError> {
        self.guarded(StreamReceiver::ingest)
    }

    fn guarded<T>(
        &mut self,
        step: impl FnOnce(&mut Self) -> Result<T, StreamError>,
    ) -> Result<T, StreamError> {
        if self.failed {
            return Err(StreamError::Failed);
        }
        step(self).inspect_err(|_| {
            self.failed = true;
            self.incoming.abandon(&self.engine.0.context);
        })
    }

    fn take(&mut self, chunk: &[u8]) -> Result<(), StreamError> {
        if let Some(header) = self.reader.add(chunk)? {
            self.expected.check(&header, self.table.id())?;
        }
        let StreamReceiver { engine, table, expected, reader, incoming, .. } = self;
        while let Some(record) = reader.next_record()? {
            match record {
                Record::Run(run) => incoming.begin_run(&table.settings(), run)?,
                Record::Block(block) => {
                    incoming.add(&engine.0.context, table, block, &expected.ranges)?;
                }
            }
        }
        Ok(())
    }

    fn ingest(&mut self) -> Result<ReceivedStream, StreamError> {
        let totals = self.reader.totals()?;
        self.incoming.end_run()?;
        if self.engine.0.closed.load(Ordering::Relaxed) {
            return Err(StorageError::Unusable("the storage engine is closed".into()).into());
        }
        let (context, files) = (&self.engine.0.context, self.incoming.finished());
        let mut received = self.incoming.report();
        received.totals = totals;
        let is_same = |truncated| truncated == self.expected.truncated;
        match self.table.add_if(context, files, is_same) {
            Ok(true) => self.incoming.keep(),
            Ok(false) => return Err(StreamError::Truncated(self.table.id())),
            Err(error) => {
                // After a failed sync nobody knows whether the edit is on disk: the next start removes what is not
                // named.
                if self.table.manifest.lock().is_fenced() {
                    self.incoming.keep();
                }
                return Err(error.into());
            }
        }
        self.engine.0.signals.want_compaction();
        Ok(received)
    }
}

impl Expected {
    fn check(&self, header: &Header, table: TableId) -> Result<(), StreamError> {
        if header.table != table {
            return Err(StreamError::OtherTable { expected: table, found: header.table });
        }
        if header.fingerprint != self.fingerprint {
            return Err(StreamError::OtherSchema { table });
        }
        if header.ranges != self.ranges { Err(StreamError::OtherRanges) } else { Ok(()) }
    }
}

impl Drop for StreamReceiver {
    fn drop(&mut self) {
        self.incoming.abandon(&self.engine.0.context);
    }
}

impl fmt::Debug for StreamReceiver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StreamReceiver({:?}, {:?})", self.table, self.reader)
    }
}

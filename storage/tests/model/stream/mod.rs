//! Streams from engine to engine: what is read at the receiving end is what both had, whatever the files; and a stream
//! that is not what was sent leaves nothing.

mod crash;
mod hold;
mod property;
mod refuse;

use std::path::PathBuf;

use tholos_storage::StorageError;
use tholos_storage::compaction::CompactionOptions;
use tholos_storage::engine::{Engine, ReceivedStream, SentStream, StreamReceiver, StreamSender};
use tholos_storage::fs::Fs;
use tholos_storage::fs::faulty::FaultyFs;
use tholos_storage::manifest::{TableFiles, read_manifest};
use tholos_storage::model::Row;
use tholos_storage::model::entry::Direction;
use tholos_storage::model::position::token_of;
use tholos_storage::model::token_range::{TokenRange, TokenRanges};
use tholos_storage::stream::{SchemaFingerprint, StreamError};

use crate::database::Model;
use crate::engine::{TestClock, open_shape};
use crate::generate::{STILL, TABLE};
use crate::history::{Op, Shape, history};
use crate::observe::live;

const COLUMNS: SchemaFingerprint = SchemaFingerprint(0x5eed);

/// An engine on a disk of its own, with what was written to it.
pub(crate) struct End {
    pub(crate) fs: FaultyFs,
    pub(crate) engine: Engine,
    pub(crate) model: Model,
}

impl End {
    fn new(shape: &Shape) -> End {
        let fs = FaultyFs::new();
        let engine = open_shape(&fs, &TestClock::at(STILL.now), shape).unwrap();
        End { fs, engine, model: Model::default() }
    }

    /// What a history writes to the table, with its flushes and compactions.
    fn of_history(shape: &Shape, seed: u64) -> End {
        let mut end = End::new(shape);
        for op in history(seed).1 {
            end.step(&op);
        }
        end
    }

    fn step(&mut self, op: &Op) {
        match op {
            Op::Write(write) if write.table == TABLE => {
                self.engine.apply(write).unwrap();
                self.model.write(write);
            }
            Op::Flush(TABLE) => self.engine.flush(TABLE).unwrap(),
            Op::Step => drop(self.engine.background_step().unwrap()),
            _ => {}
        }
    }

    fn sender(&self, ranges: &TokenRanges, chunk_bytes: usize) -> StreamSender {
        self.engine.send_stream(TABLE, COLUMNS, ranges, chunk_bytes).unwrap()
    }

    fn receiver(&self, ranges: &TokenRanges) -> StreamReceiver {
        self.engine.receive_stream(TABLE, COLUMNS, ranges).unwrap()
    }

    fn send(&self, ranges: &TokenRanges, chunk_bytes: usize) -> (Vec<Vec<u8>>, SentStream) {
        let mut sender = self.sender(ranges, chunk_bytes);
        let chunks = drained(&mut sender).unwrap();
        (chunks, sender.sent())
    }

    fn receive(
        &self,
        ranges: &TokenRanges,
        chunks: &[Vec<u8>],
    ) -> Result<ReceivedStream, StreamError> {
        let mut receiver = self.receiver(ranges);
        chunks.iter().try_for_each(|chunk| receiver.receive(chunk))?;
        receiver.finish()
    }

    /// All that a reader sees at a time, both ways.
    fn rows(&self, now: i64) -> Vec<(Vec<u8>, Row)> {
        rows(&self.engine, now).unwrap()
    }

    fn manifest(&self) -> TableFiles {
        manifest(&self.fs)
    }

    /// Names in the table's directory.
    fn names(&self) -> Vec<String> {
        self.fs.list(&dir()).unwrap()
    }
}

fn drained(sender: &mut StreamSender) -> Result<Vec<Vec<u8>>, StreamError> {
    let mut chunks = Vec::new();
    while let Some(chunk) = sender.next_chunk()? {
        chunks.push(chunk);
    }
    Ok(chunks)
}

fn dir() -> PathBuf {
    PathBuf::from(format!("/data/data/ks/t-{}", TABLE.0.simple()))
}

fn manifest(fs: &FaultyFs) -> TableFiles {
    let path = dir().join("manifest");
    read_manifest(&path, &fs.content(&path).unwrap()).unwrap()
}

fn rows(engine: &Engine, now: i64) -> Result<Vec<(Vec<u8>, Row)>, StorageError> {
    let table = engine.table(TABLE)?;
    let read = |direction| live(table.scan(&[], &[], direction, now)?, direction, now);
    let forward = read(Direction::Forward)?;
    assert_eq!(read(Direction::Reverse)?, forward);
    Ok(forward)
}

fn range(start: i64, end: i64) -> TokenRange {
    TokenRange { start, end }
}

/// Rows of those that have a token in the ranges.
fn within(rows: &[(Vec<u8>, Row)], ranges: &TokenRanges) -> Vec<(Vec<u8>, Row)> {
    let is_in = |(key, _): &&(Vec<u8>, Row)| ranges.contains(token_of(key));
    rows.iter().filter(is_in).cloned().collect()
}

/// Files that are not cut into small ones.
fn roomy() -> Shape {
    let strategy = CompactionOptions::default().strategy;
    let (memtable_bytes, segment_bytes) = (1 << 20, 1 << 20);
    Shape { block_bytes: 300, memtable_bytes, segment_bytes, strategy, ..Shape::default() }
}

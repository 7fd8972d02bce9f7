//! A time series that expires, under time windows, for thirty days of simulated time.
//!
//! What is asserted: reads are those of the rows that have not expired, at any time and after a restart; disk use stays
//! within 1.3 times what the live rows take; files go whole, unread, when all of them has expired, so that no row is
//! written more than a few times.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tholos_storage::commitlog::{CommitLogOptions, SyncDriver};
use tholos_storage::compaction::CompactionOptions;
use tholos_storage::engine::{
    BackgroundDriver, Clock, Engine, EngineOptions, EngineStats, TableSettings,
};
use tholos_storage::fs::Fs;
use tholos_storage::fs::memory::MemoryFs;
use tholos_storage::model::entry::Direction;
use tholos_storage::model::mutation::{Mutation, Update};
use tholos_storage::model::position::{COMPONENT, ROW, token_prefix};
use tholos_storage::model::row::{CellRef, RowBuilder};
use tholos_storage::model::{CellState, Liveness};

use crate::generate::TABLE;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;
/// Rows live for three days, and a deletion must be kept for an hour.
const TTL: i64 = 3 * DAY;
const GC_GRACE: i64 = HOUR;
const SERIES: i64 = 16;
/// Seconds between the rows of one series.
const STEP: i64 = 300;

struct SimulatedClock(AtomicI64);

impl Clock for SimulatedClock {
    fn now_micros(&self) -> i64 {
        self.0.load(Ordering::Relaxed) * 1_000_000
    }
}

struct Simulation {
    fs: Arc<MemoryFs>,
    clock: Arc<SimulatedClock>,
    engine: Engine,
}

fn open(fs: &Arc<MemoryFs>, clock: &Arc<SimulatedClock>) -> Engine {
    let window = [
        ("class", "TimeWindowCompactionStrategy"),
        ("compaction_window_unit", "HOURS"),
        ("compaction_window_size", "6"),
    ];
    let compaction: BTreeMap<String, String> =
        window.map(|(name, value)| (name.to_string(), value.to_string())).into();
    let settings = TableSettings {
        gc_grace_seconds: GC_GRACE,
        compaction: CompactionOptions::of(&compaction),
        ..TableSettings::new(TABLE, "ks", "series")
    };
    let options = EngineOptions {
        commit_log: CommitLogOptions {
            segment_bytes: 1 << 20,
            driver: SyncDriver::Caller,
            ..CommitLogOptions::default()
        },
        background: BackgroundDriver::Caller,
        ..EngineOptions::new("/data")
    };
    let fs: Arc<dyn Fs> = Arc::clone(fs) as Arc<dyn Fs>;
    let clock: Arc<dyn Clock> = Arc::clone(clock) as Arc<dyn Clock>;
    Engine::open(fs, clock, options, [settings]).unwrap()
}

fn key(series: i64) -> Vec<u8> {
    // Spread over the ring.
    let token = (series + 1).wrapping_mul(0x1357_9bdf_0246_8ace);
    [&token_prefix(token)[..], &series.to_be_bytes()].concat()
}

fn row(series: i64, at: i64) -> Mutation {
    let (timestamp, expires_at) = (at * 1_000_000, at + TTL);
    let mut builder = RowBuilder::new();
    builder.liveness(Liveness { timestamp, ttl: TTL as u32, expires_at });
    // Half of it is not to be compressed away.
    let noise = (series ^ at).wrapping_mul(0x2545_f491_4f6c_dd1d).to_be_bytes();
    builder.cell(CellRef {
        column: 1,
        path: None,
        timestamp,
        state: CellState::Expiring { expires_at, ttl: TTL as u32 },
        value: &[noise, [7; 8], noise, [7; 8]].concat(),
    });
    let position = [&[COMPONENT][..], &at.to_be_bytes(), &[ROW]].concat();
    Mutation {
        table: TABLE,
        partition: key(series)[..].into(),
        updates: [Update::Row { position: position[..].into(), row: builder.finish() }]
            .into_iter()
            .collect(),
    }
}

impl Simulation {
    fn new() -> Simulation {
        let fs = Arc::new(MemoryFs::default());
        let clock = Arc::new(SimulatedClock(AtomicI64::new(0)));
        let engine = open(&fs, &clock);
        Simulation { fs, clock, engine }
    }

    /// One hour of rows, then a flush and whatever compaction is due.
    fn hour(&self, hour: i64) {
        for at in (hour * HOUR..(hour + 1) * HOUR).step_by(STEP as usize) {
            self.clock.0.store(at, Ordering::Relaxed);
            for series in 0..SERIES {
                self.engine.apply(&row(series, at)).unwrap();
            }
        }
        self.clock.0.store((hour + 1) * HOUR, Ordering::Relaxed);
        self.engine.flush(TABLE).unwrap();
        while self.engine.background_step().unwrap() {}
    }

    fn now(&self) -> i64 {
        self.clock.0.load(Ordering::Relaxed)
    }

    fn stats(&self) -> EngineStats {
        self.engine.stats()
    }

    fn file_bytes(&self) -> u64 {
        self.stats().tables[0].files.iter().map(|(_, bytes)| bytes).sum()
    }

    /// How many rows have been written and not expired.
    fn live(&self) -> i64 {
        (self.now().min(TTL - 1) / STEP) * SERIES
    }

    /// The rows that a reader sees are those, each way.
    fn check(&self) {
        let table = self.engine.table(TABLE).unwrap();
        for direction in [Direction::Forward, Direction::Reverse] {
            let mut rows = table.scan(&[], &[], direction, self.now()).unwrap();
            let mut count = 0;
            while let Some(row) = rows.next().unwrap() {
                let at = row.key.iter().rev().skip(1).take(8).rev();
                let at = at.fold(0, |at, byte| at << 8 | i64::from(*byte));
                assert!(at + TTL > self.now(), "a row of {at} is there at {}", self.now());
                count += 1;
            }
            assert_eq!(count, self.live(), "{direction:?} at {}", self.now());
        }
    }
}

#[test]
fn a_month_of_rows_that_expire() {
    let mut simulation = Simulation::new();
    let mut written = 0;
    let mut per_row = 0.0;
    for day in 0..30 {
        for hour in 0..24 {
            simulation.hour(day * 24 + hour);
            written += HOUR / STEP * SERIES;
        }
        simulation.check();
        let bytes = simulation.file_bytes() as f64;
        if day == 1 {
            // Nothing has expired: all files together are what the live rows take.
            per_row = bytes / simulation.live() as f64;
        }
        if day > 1 {
            let share = bytes / (per_row * simulation.live() as f64);
            assert!(share < 1.3, "on day {day} the files take {share:.2} times the live rows");
        }
        if day == 15 {
            simulation.engine.close().unwrap();
            let Simulation { fs, clock, engine } = simulation;
            drop(engine);
            let engine = open(&fs, &clock);
            simulation = Simulation { fs, clock, engine };
            simulation.check();
        }
    }
    let stats = simulation.stats();
    let payload = written as f64 / 2.0 * per_row;
    let rewritten = stats.compacted_bytes as f64 / payload;
    assert!(rewritten < 2.0, "rows were written {rewritten:.1} times by compactions");
    assert!(stats.expired_files >= 4 * 12, "files of a window go whole: {}", stats.expired_files);
    let files = simulation.fs.list(Path::new("/data/data/ks")).unwrap();
    assert_eq!(files.len(), 1);
    // When the writes end, everything goes.
    simulation.clock.0.fetch_add(TTL + GC_GRACE + 1, Ordering::Relaxed);
    while simulation.engine.background_step().unwrap() {}
    assert_eq!(simulation.file_bytes(), 0, "all of it has expired");
}

//! A load of some millions of rows, and what it costs: on disk, written, in memory, while compacting, at a restart.
//!
//! In order: load; wait until nothing is left to compact; reads and writes at a steady rate; stop and start; rows are
//! written anew while compactions are switched off; the steady rate beside a process that is busy with nothing, and while
//! all files are merged; `kill -9` and start.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use super::run::{Outcome, Shape, run};
use super::setup;
use super::workload::{Kind, Prepared, Values, Workload};
use crate::engine_bench::store::file_bytes;
use crate::server::{Server, cpu_micros_of};

/// Shape of the load.
const LOAD: Shape = Shape { connections: 8, depth: 64, rate: None, duration: Duration::ZERO };
/// Shape of the steady requests, half reads and half writes.
const STEADY: Shape =
    Shape { connections: 64, depth: 1, rate: Some(5_000), duration: Duration::from_secs(5) };
/// How long rows are written anew, before a compaction of all and before `kill -9`.
const REWRITE: Duration = Duration::from_secs(2);
/// How long compactions may take to end.
const SETTLE_LIMIT: Duration = Duration::from_secs(600);
/// Nothing to compact for so long means that all is done.
const QUIET: Duration = Duration::from_secs(2);
/// Lets files gather, and memtables become files.
const DO_NOT_COMPACT: &str = "ALTER TABLE bench.kv WITH compaction = \
    {'class': 'UnifiedCompactionStrategy', 'enabled': 'false'} AND memtable_flush_period_in_ms = 1000";
/// Merges whatever files lie over each other.
const COMPACT: &str = "ALTER TABLE bench.kv WITH compaction = \
    {'class': 'UnifiedCompactionStrategy', 'scaling_parameters': 'L1000'} \
    AND memtable_flush_period_in_ms = 0";

/// What a run measured.
#[derive(Clone, Debug)]
pub struct Report {
    /// Figures by name; the unit is in the name.
    pub figures: Vec<(&'static str, f64)>,
}

/// A server under this load.
struct Volume {
    server: Server,
    prepared: Prepared,
    keys: u64,
    values: Values,
    figures: Vec<(&'static str, f64)>,
}

/// Loads `keys` rows into a new server and measures. `start` starts it, always with the same data directory.
///
/// # Errors
/// What the server or the system says.
pub fn measure(
    start: impl Fn() -> Result<Server, String>,
    data: &Path,
    keys: u64,
    values: Values,
) -> Result<Report, String> {
    let server = start()?;
    let prepared = setup::set_up(server.address).map_err(|error| error.to_string())?;
    let mut volume = Volume { server, prepared, keys, values, figures: Vec::new() };
    volume.load()?;
    // Filters and indexes are read when they are first needed.
    let cold = volume.steady()?;
    let idle = volume.steady()?;
    volume.note("p99_us_first", cold.micros(99.0));
    volume.note("p99_us_idle", idle.micros(99.0));
    let mut volume = volume.restart("restart_ms", Server::stop, &start)?;
    let disk_bytes =
        file_bytes(&data.join("storage/data"), |_| true).map_err(|error| error.to_string())?;
    volume.note("disk_bytes_per_row", disk_bytes as f64 / keys as f64);
    volume.prepared = setup::prepare(volume.server.address).map_err(|error| error.to_string())?;
    volume.gather_files()?;
    let beside = volume.steady_beside_a_busy_loop()?;
    volume.note("p99_us_beside_busy_loop", beside.micros(99.0));
    let busy = volume.steady_while_compacting()?;
    volume.note("p99_us_compacting", busy.micros(99.0));
    let rewritten = volume.run(Kind::Write, Shape { duration: REWRITE, ..LOAD })?;
    volume.note("killed_with_writes", rewritten.answers as f64);
    let kill = |server: Server| {
        server.kill();
        Ok(())
    };
    let volume = volume.restart("restart_after_kill_ms", kill, &start)?;
    volume.server.stop()?;
    Ok(Report { figures: volume.figures })
}

impl Volume {
    fn note(&mut self, name: &'static str, value: f64) {
        self.figures.push((name, value));
    }

    /// Ends the server one way or the other, and starts it again.
    fn restart(
        self,
        name: &'static str,
        end: impl FnOnce(Server) -> Result<(), String>,
        start: impl Fn() -> Result<Server, String>,
    ) -> Result<Volume, String> {
        let Volume { server, prepared, keys, values, figures } = self;
        end(server)?;
        let mut volume = Volume { server: start()?, prepared, keys, values, figures };
        volume.note(name, volume.server.time_to_ready.as_secs_f64() * 1e3);
        Ok(volume)
    }

    fn load(&mut self) -> Result<(), String> {
        let cpu = self.server.cpu_micros();
        let outcome = self.run(Kind::Load, LOAD)?;
        let cpu = self.server.cpu_micros() - cpu;
        self.note("load_rows_per_s", outcome.per_second());
        self.note("load_cpu_us_per_row", cpu as f64 / self.keys as f64);
        self.note("load_p99_us", outcome.micros(99.0));
        self.note("resident_mb_loaded", self.server.resident_kib() as f64 / 1024.0);
        self.settle()?;
        self.note("resident_mb_settled", self.server.resident_kib() as f64 / 1024.0);
        let payload = self.keys * self.values.row_bytes();
        let written = written_bytes(self.server.pid())?;
        self.note("written_bytes_per_payload_byte", written as f64 / payload as f64);
        Ok(())
    }

    fn steady(&self) -> Result<Outcome, String> {
        self.run(Kind::Mixed, STEADY)
    }

    /// Leaves files that lie over each other, uncompacted.
    fn gather_files(&self) -> Result<(), String> {
        self.execute(DO_NOT_COMPACT)?;
        self.run(Kind::Write, Shape { duration: REWRITE, ..LOAD })?;
        self.steady().map(drop)
    }

    /// With a process that takes what is left of the processor, as compactions do: what latency is the machine's own.
    fn steady_beside_a_busy_loop(&self) -> Result<Outcome, String> {
        let mut busy = Command::new("nice")
            .args(["-n", "15", "sh", "-c", "while :; do :; done"])
            .spawn()
            .map_err(|error| format!("nice: {error}"))?;
        let outcome = self.steady();
        busy.kill().and_then(|()| busy.wait()).map_err(|error| format!("busy loop: {error}"))?;
        outcome
    }

    fn execute(&self, statement: &str) -> Result<(), String> {
        setup::execute(self.server.address, statement).map_err(|error| error.to_string())
    }

    fn steady_while_compacting(&mut self) -> Result<Outcome, String> {
        let before = self.server.metric("tholos_compacted_bytes_total")?;
        let cpu = self.compaction_cpu();
        self.execute(COMPACT)?;
        let outcome = self.steady()?;
        let bytes = self.server.metric("tholos_compacted_bytes_total")? - before;
        let running = self.server.metric("tholos_running_compactions")?;
        if bytes == 0.0 && running == 0.0 {
            return Err("nothing was compacted meanwhile".to_string());
        }
        self.settle()?;
        let bytes = self.server.metric("tholos_compacted_bytes_total")? - before;
        let seconds = (self.compaction_cpu() - cpu) as f64 / 1e6;
        self.note("compaction_mb_per_cpu_s", bytes / 1e6 / seconds);
        Ok(outcome)
    }

    fn run(&self, kind: Kind, shape: Shape) -> Result<Outcome, String> {
        let (prepared, keys, values) = (self.prepared.clone(), self.keys, self.values);
        let outcome =
            run(self.server.address, &Workload { kind, prepared, keys, values }, shape)
                .map_err(|error| format!("{error}; the server said:\n{}", self.server.errors()))?;
        match &outcome.first_error {
            Some(error) => Err(format!("{} errors, the first: {error}", outcome.errors)),
            None => Ok(outcome),
        }
    }

    /// Waits until there has been nothing to compact for a while.
    fn settle(&self) -> Result<(), String> {
        let began = Instant::now();
        let mut quiet_since = Instant::now();
        while quiet_since.elapsed() < QUIET {
            if began.elapsed() > SETTLE_LIMIT {
                return Err("compactions did not come to an end".to_string());
            }
            let left = self.server.metric("tholos_pending_compactions")?
                + self.server.metric("tholos_running_compactions")?;
            if left > 0.0 {
                quiet_since = Instant::now();
            }
            thread::sleep(Duration::from_millis(100));
        }
        Ok(())
    }

    /// Processor time of its compaction threads, in microseconds.
    fn compaction_cpu(&self) -> u64 {
        cpu_micros_of(self.server.pid(), |name| name == "compaction")
    }
}

/// Bytes that a process made the system write to disk, recycled and deleted files included.
fn written_bytes(pid: u32) -> Result<u64, String> {
    let text = fs::read_to_string(format!("/proc/{pid}/io")).map_err(|error| error.to_string())?;
    let value = text.lines().find_map(|line| line.strip_prefix("write_bytes:"));
    value.and_then(|value| value.trim().parse().ok()).ok_or_else(|| "no write_bytes".to_string())
}

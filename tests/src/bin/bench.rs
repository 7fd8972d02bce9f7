//! Drives a `tholos serve` process over the wire and prints what it did, and what it cost the server.
//!
//! Without a kind, the standard set: point writes and reads at several shapes, slices, and an open loop. Each row also
//! has the cost of the same frames on a bare echo server, the floor.

use std::ffi::OsStr;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::{Parser, Subcommand, ValueEnum};
use mimalloc::MiMalloc;
use serde_json::{Value, json};
use tholos_server::cli::Cli;
use tholos_tests::load::run::{Outcome, Shape, run};
use tholos_tests::load::workload::{Kind, Prepared, Values, Workload};
use tholos_tests::load::{echo, overload, setup, volume};
use tholos_tests::server::{Server, Start, cpu_micros, ready_addresses};

/// How long a row of the standard set runs.
const STANDARD_SECONDS: f64 = 2.5;
/// How long the floor of a row runs.
const FLOOR_SECONDS: f64 = 1.0;
/// Shape of the load phases.
const LOAD: Shape = Shape { connections: 8, depth: 64, rate: None, duration: Duration::ZERO };

#[derive(Parser)]
#[command(about = "Benchmark of a Tholos server over the wire")]
struct Arguments {
    #[command(subcommand)]
    command: Option<Mode>,
    /// Print JSON: a list of rows, or one object.
    #[arg(long, global = true)]
    json: bool,
    /// Commit log mode of the server: group, batch or periodic.
    #[arg(long, default_value = "periodic")]
    log: String,
    /// Run only this kind of request, with the shape below.
    #[arg(long, global = true)]
    kind: Option<CliKind>,
    /// Connections.
    #[arg(long, default_value_t = 8)]
    connections: usize,
    /// Requests in flight on each connection.
    #[arg(long, default_value_t = 16)]
    depth: i16,
    /// Requests per second over all connections, sent whatever the server does (open loop).
    #[arg(long)]
    rate: Option<u64>,
    /// Seconds per row.
    #[arg(long, default_value_t = STANDARD_SECONDS, global = true)]
    seconds: f64,
}

#[derive(Subcommand)]
enum Mode {
    /// The echo server that measures the floor; started by the benchmark itself.
    #[command(hide = true)]
    Echo {
        /// Bytes of each answer, header included.
        #[arg(long)]
        response_bytes: usize,
    },
    /// Far more than the server can do, in open loop: what it still does, what it refuses, and how fast. The server has
    /// one core, the generator another.
    Overload {
        /// Connections.
        #[arg(long, default_value_t = 64)]
        connections: usize,
        /// How many times the peak.
        #[arg(long, default_value_t = 10.0)]
        factor: f64,
    },
    /// Load some millions of rows: bytes on disk and written, memory, latency while compacting, restart.
    Volume {
        /// How many rows.
        #[arg(long, default_value_t = 5_000_000)]
        rows: u64,
        /// Keys of 16 bytes with values of 100 (`words`, a part of them words), or of 32 random ones (`random`).
        #[arg(long, value_enum, default_value_t = CliValues::Words)]
        values: CliValues,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum CliValues {
    Words,
    Random,
}

#[derive(Clone, Copy, ValueEnum)]
enum CliKind {
    Write,
    Read,
    Slice,
    Mixed,
}

impl From<CliKind> for Kind {
    fn from(kind: CliKind) -> Kind {
        match kind {
            CliKind::Write => Kind::Write,
            CliKind::Read => Kind::Read,
            CliKind::Slice => Kind::Slice,
            CliKind::Mixed => Kind::Mixed,
        }
    }
}

/// One row of the table.
struct Row {
    name: String,
    outcome: Outcome,
    server_cpu: f64,
    floor_cpu: Option<f64>,
}

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    // The server under test is this program too, in a process of its own: what `tholos serve` runs, built once.
    if std::env::args_os().nth(1).is_some_and(|argument| argument == OsStr::new("serve")) {
        return tholos_server::commands::main(Cli::parse());
    }
    let arguments = Arguments::parse();
    let result = match &arguments.command {
        Some(Mode::Echo { response_bytes }) => {
            echo::serve(*response_bytes).map_err(|error| error.to_string())
        }
        Some(Mode::Overload { connections, factor }) => overload(&arguments, *connections, *factor),
        Some(Mode::Volume { rows, values }) => volume(&arguments, *rows, *values),
        None => bench(&arguments),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Where a server under test has its data, and its configuration.
struct Site {
    dir: tempfile::TempDir,
}

impl Site {
    fn new(arguments: &Arguments) -> Result<Site, String> {
        let dir = tempfile::tempdir().map_err(|error| error.to_string())?;
        let config = format!("[commit_log]\nmode = \"{}\"\n", arguments.log);
        std::fs::write(dir.path().join("tholos.toml"), config).map_err(|e| e.to_string())?;
        Ok(Site { dir })
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    fn start(&self) -> Result<Server, String> {
        let config = self.dir.path().join("tholos.toml");
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let arguments = ["--config", &config.to_string_lossy()];
        Start { arguments: &arguments, program: Some(program), ..Start::new(&self.data()) }.run()
    }
}

fn volume(arguments: &Arguments, rows: u64, values: CliValues) -> Result<(), String> {
    let site = Site::new(arguments)?;
    let values = match values {
        CliValues::Words => Values::Words,
        CliValues::Random => Values::Random,
    };
    let figures = volume::measure(|| site.start(), &site.data(), rows, values)?.figures;
    if arguments.json {
        let rows = figures.iter().map(|(name, value)| json!({"name": name, "value": value}));
        println!("{}", Value::Array(rows.collect()));
    } else {
        figures.iter().for_each(|(name, value)| println!("{name:<32} {value:>12.2}"));
    }
    Ok(())
}

fn overload(arguments: &Arguments, connections: usize, factor: f64) -> Result<(), String> {
    let site = Site::new(arguments)?;
    // The server counts the cores that it may use when it starts.
    let pinned = overload::run_on(0);
    let server = site.start()?;
    if !pinned || !overload::run_on(1) {
        return Err("the server and the generator need a core each".to_string());
    }
    let prepared = setup::set_up(server.address).map_err(|error| error.to_string())?;
    // Slices, unless told otherwise: a generator can offer ten times as many of them as a server can do.
    let kind = arguments.kind.map_or(Kind::Slice, Kind::from);
    let load = if kind == Kind::Slice { Kind::LoadSeries } else { Kind::Load };
    measure("load".to_string(), &server, &prepared, load, LOAD, false)?;
    let plan = overload::Plan {
        connections: connections.max(1),
        factor,
        duration: Duration::from_secs_f64(arguments.seconds),
    };
    let figures = overload::measure(&server, &Workload::new(kind, prepared), plan)
        .map_err(|error| format!("{error}; the server said:\n{}", server.errors()))?;
    match (&figures, arguments.json) {
        (Value::Object(rows), false) => {
            rows.iter().for_each(|(name, value)| println!("{name:<20} {value:>14}"));
        }
        _ => println!("{figures}"),
    }
    server.stop()
}

fn bench(arguments: &Arguments) -> Result<(), String> {
    let site = Site::new(arguments)?;
    let server = site.start()?;
    let prepared = setup::set_up(server.address).map_err(|error| error.to_string())?;
    let idle_kib = server.resident_kib();
    let mut rows = Vec::new();
    for (name, kind) in [("load", Kind::Load), ("load-series", Kind::LoadSeries)] {
        rows.push(measure(name.to_string(), &server, &prepared, kind, LOAD, false)?);
    }
    for (name, kind, shape) in cases(arguments) {
        rows.push(measure(name, &server, &prepared, kind, shape, true)?);
    }
    let loaded_kib = server.resident_kib();
    if arguments.json {
        print_json(&rows);
    } else {
        print_table(&rows);
        println!(
            "server: ready in {:.1} ms, resident {:.1} MB idle, {:.1} MB at the end; commit log {}",
            server.time_to_ready.as_secs_f64() * 1e3,
            idle_kib as f64 / 1024.0,
            loaded_kib as f64 / 1024.0,
            arguments.log,
        );
    }
    server.stop()
}

/// The standard set, or the one that was asked for.
fn cases(arguments: &Arguments) -> Vec<(String, Kind, Shape)> {
    let duration = Duration::from_secs_f64(arguments.seconds);
    let closed = |connections, depth| Shape { connections, depth, rate: None, duration };
    if let Some(kind) = arguments.kind {
        let shape = Shape {
            connections: arguments.connections,
            depth: arguments.depth,
            rate: arguments.rate,
            duration,
        };
        return vec![(name(kind.into(), shape), kind.into(), shape)];
    }
    let open = Shape { connections: 64, depth: 1, rate: Some(10_000), duration };
    let mut cases = Vec::new();
    for kind in [Kind::Write, Kind::Read] {
        for shape in [closed(64, 1), closed(8, 16), closed(64, 8)] {
            cases.push((name(kind, shape), kind, shape));
        }
    }
    cases.push((name(Kind::Slice, closed(8, 16)), Kind::Slice, closed(8, 16)));
    cases.push((name(Kind::Mixed, open), Kind::Mixed, open));
    cases
}

fn name(kind: Kind, shape: Shape) -> String {
    let kind = format!("{kind:?}").to_lowercase();
    match shape.rate {
        Some(rate) => format!("{kind}-{}@{rate}", shape.connections),
        None => format!("{kind}-{}x{}", shape.connections, shape.depth),
    }
}

fn measure(
    name: String,
    server: &Server,
    prepared: &Prepared,
    kind: Kind,
    shape: Shape,
    floor: bool,
) -> Result<Row, String> {
    let workload = Workload::new(kind, prepared.clone());
    let (outcome, server_cpu) = costed(server.pid(), server.address, &workload, shape)
        .map_err(|error| format!("{name}: {error}; the server said:\n{}", server.errors()))?;
    if let Some(error) = &outcome.first_error {
        return Err(format!("{name}: {} errors, the first: {error}", outcome.errors));
    }
    let floor_cpu = if floor { Some(floor_of(&outcome, &workload, shape)?) } else { None };
    Ok(Row { name, outcome, server_cpu, floor_cpu })
}

/// Runs a workload; gives back its outcome and the processor time that the process spent per operation.
fn costed(
    pid: u32,
    address: SocketAddr,
    workload: &Workload,
    shape: Shape,
) -> io::Result<(Outcome, f64)> {
    let before = cpu_micros(pid);
    let outcome = run(address, workload, shape)?;
    let spent = cpu_micros(pid).saturating_sub(before);
    let per_op = spent as f64 / outcome.answers.max(1) as f64;
    Ok((outcome, per_op))
}

/// The same frames, connections and depth against the echo server.
fn floor_of(outcome: &Outcome, workload: &Workload, shape: Shape) -> Result<f64, String> {
    let response_bytes = outcome.bytes / outcome.answers.max(1);
    let echo = Echo::start(response_bytes)?;
    let shape = Shape { duration: Duration::from_secs_f64(FLOOR_SECONDS), ..shape };
    let (_, cpu) = costed(echo.child.id(), echo.address, workload, shape)
        .map_err(|error| format!("floor: {error}"))?;
    Ok(cpu)
}

/// The echo server as a process of its own; killed when dropped.
struct Echo {
    child: Child,
    address: SocketAddr,
}

impl Echo {
    fn start(response_bytes: u64) -> Result<Echo, String> {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut child = Command::new(program)
            .args(["echo", "--response-bytes", &response_bytes.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let stdout = child.stdout.take().ok_or("no pipe to the echo server")?;
        let began = Instant::now();
        let (address, _) = ready_addresses(stdout).ok_or_else(|| {
            format!("the echo server did not get ready within {:?}", began.elapsed())
        })?;
        Ok(Echo { child, address })
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn print_json(rows: &[Row]) {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            json!({
                "name": row.name,
                "ops_per_s": row.outcome.per_second().round(),
                "p50_us": row.outcome.micros(50.0),
                "p99_us": row.outcome.micros(99.0),
                "p999_us": row.outcome.micros(99.9),
                "server_cpu_us_per_op": row.server_cpu,
                "floor_cpu_us_per_op": row.floor_cpu,
            })
        })
        .collect();
    println!("{}", Value::Array(rows));
}

fn print_table(rows: &[Row]) {
    println!(
        "{:<16} {:>10} {:>9} {:>9} {:>9} {:>12} {:>12}",
        "name", "ops/s", "p50 us", "p99 us", "p99.9 us", "server us/op", "floor us/op"
    );
    for row in rows {
        println!(
            "{:<16} {:>10.0} {:>9.0} {:>9.0} {:>9.0} {:>12.2} {:>12}",
            row.name,
            row.outcome.per_second(),
            row.outcome.micros(50.0),
            row.outcome.micros(99.0),
            row.outcome.micros(99.9),
            row.server_cpu,
            row.floor_cpu.map_or("-".to_string(), |cpu| format!("{cpu:.2}")),
        );
    }
}

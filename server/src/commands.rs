//! The program's commands carried out: exit codes and what people read.
//!
//! Standard output is for answers, standard error for the log and for what went wrong.

mod console;
mod dump;
mod snapshot;
pub mod sstable;
pub(crate) mod target;
mod text;
pub(crate) mod verify;

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, Command, ConfigCommand, ServeArgs};
use crate::config::{Config, DEFAULT_TOML, LogFormat};
use crate::query::STACK_BYTES;
use crate::serve::{ServeError, Server, ServerOptions};
use crate::version::{CQL_VERSION, RELEASE_VERSION, VERSION};

/// Something did not work.
const FAILED: u8 = 1;
/// The command line or the configuration makes no sense.
const USAGE: u8 = 2;

/// Carries out a command line.
pub fn main(cli: Cli) -> ExitCode {
    if cli.version {
        return version();
    }
    match cli.command {
        Some(Command::Serve(args)) => serve(&args),
        Some(Command::Shell(args)) => console::shell(&args),
        Some(Command::Run(args)) => console::run(&args),
        Some(Command::Config { command: ConfigCommand::Default }) => {
            print!("{DEFAULT_TOML}");
            ExitCode::SUCCESS
        }
        Some(Command::Config { command: ConfigCommand::Check { file } }) => check(&file),
        Some(Command::Snapshot { command }) => quietly(|| snapshot::main(&command)),
        Some(Command::Restore(args)) => quietly(|| snapshot::restore(&args)),
        Some(Command::Verify(args)) => verify::main(&args),
        Some(Command::Sstable { command }) => sstable::main(&command),
        Some(Command::Version) => version(),
        None => console::console(&cli.console),
    }
}

fn version() -> ExitCode {
    println!("Tholos {VERSION} (CQL {CQL_VERSION}, as Cassandra {RELEASE_VERSION})");
    ExitCode::SUCCESS
}

/// Says what went wrong, and gives the exit code for it.
pub(crate) fn failed(error: &dyn std::fmt::Display, code: u8) -> ExitCode {
    eprintln!("tholos: {error}");
    ExitCode::from(code)
}

/// Logs to standard error, as much as `level` says; in colours only for a person who does not mind them
/// (<https://no-color.org>).
pub(crate) fn init_log(level: &str, format: LogFormat) {
    let filter = EnvFilter::try_new(level).unwrap_or_else(|error| {
        eprintln!("tholos: log level {level:?} is not understood ({error}): using info");
        EnvFilter::new("info")
    });
    let minds = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal() && !minds);
    // A second subscriber can only come from a test harness, which has its own.
    let _ = match format {
        LogFormat::Text => log.try_init(),
        LogFormat::Json => log.json().try_init(),
    };
}

/// Threads that may wait for the disk on behalf of requests.
const DISK_THREADS: usize = 64;

/// The runtime that serves connections.
pub(crate) fn runtime() -> Result<Runtime, ServeError> {
    Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(DISK_THREADS)
        .thread_stack_size(STACK_BYTES)
        .thread_name("tholos")
        .build()
        .map_err(ServeError::Runtime)
}

/// Commands that may open a node here say in the log only what is amiss.
fn quietly(command: impl FnOnce() -> ExitCode) -> ExitCode {
    init_log("warn", LogFormat::Text);
    command()
}

fn check(file: &Path) -> ExitCode {
    match Config::load(file) {
        Ok(_) => {
            println!("{} is fine", file.display());
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error, USAGE),
    }
}

fn serve(args: &ServeArgs) -> ExitCode {
    let config = match args.to_config() {
        Ok(config) => config,
        Err(error) => return failed(&error, USAGE),
    };
    init_log(&config.log.level, config.log.format);
    let options = ServerOptions {
        config,
        in_memory: args.memory,
        set_aside_damaged: args.set_aside_damaged_log,
        recreate_missing: args.recreate_missing,
    };
    let served = Server::open(options).and_then(|server| {
        let runtime = runtime()?;
        let stop = CancellationToken::new();
        // Signals are caught from before the line on: whoever reads it may send one.
        {
            let _context = runtime.enter();
            runtime.spawn(stop_on_signal(stop.clone())?);
        }
        // Who started it may not listen.
        let _ = writeln!(std::io::stdout(), "{}", ready_line(&server));
        runtime.block_on(server.run(stop))
    });
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error, FAILED),
    }
}

fn ready_line(server: &Server) -> String {
    let admin = match server.admin_address() {
        Some(address) => format!(", metrics at http://{address}/metrics"),
        None => String::new(),
    };
    format!(
        "Tholos {VERSION} is ready in {:.0?}: drivers connect to {} (data centre {}){admin}",
        server.opened_in(),
        server.native_address(),
        server.node().config().data_center,
    )
}

/// Stops gracefully at the first SIGTERM or SIGINT, at once at the second. SIGHUP, SIGUSR1 and SIGUSR2, which would end
/// the process, are only told in the log. Signals are caught when this returns; the future, which must be made within a
/// runtime, waits for them.
fn stop_on_signal(stop: CancellationToken) -> Result<impl Future<Output = ()>, ServeError> {
    let caught = |kind| signal(kind).map_err(ServeError::Runtime);
    let (terminate, interrupt) =
        (caught(SignalKind::terminate())?, caught(SignalKind::interrupt())?);
    for (name, kind) in [
        ("SIGHUP", SignalKind::hangup()),
        ("SIGUSR1", SignalKind::user_defined1()),
        ("SIGUSR2", SignalKind::user_defined2()),
    ] {
        tokio::spawn(ignore(name, caught(kind)?));
    }
    Ok(wait_for_signals(terminate, interrupt, stop))
}

async fn ignore(name: &'static str, mut signal: Signal) {
    while signal.recv().await.is_some() {
        tracing::info!(
            "{name} changes nothing: the configuration is read at a start; SIGTERM stops the node"
        );
    }
}

async fn wait_for_signals(mut terminate: Signal, mut interrupt: Signal, stop: CancellationToken) {
    let mut next = async || {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    next().await;
    tracing::info!("stopping: requests end, what is in memory is written to disk");
    stop.cancel();
    next().await;
    tracing::warn!("stopping at once: what is in memory stays in the commit log");
    std::process::exit(130);
}

/// A number of things: `1 table`, `2 tables`.
fn counted(number: impl TryInto<u64>, what: &str) -> String {
    let number: u64 = number.try_into().unwrap_or(u64::MAX);
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}

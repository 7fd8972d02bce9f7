//! A `tholos serve` process under test.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a start may take before the test gives up. Goals for starts are asserted by the tests themselves.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How long a graceful stop may take.
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// A running server process; killed when dropped.
#[derive(Debug)]
pub struct Server {
    child: Child,
    /// Where it listens for CQL.
    pub address: SocketAddr,
    /// Where metrics and health are.
    pub admin: SocketAddr,
    /// From spawning the process to its line that says it is ready.
    pub time_to_ready: Duration,
    errors: Arc<Mutex<String>>,
}

/// What to start.
#[derive(Clone, Debug)]
pub struct Start<'a> {
    /// The data directory.
    pub data: &'a Path,
    /// More arguments of `tholos serve`.
    pub arguments: &'a [&'a str],
    /// The CQL port; 0 picks a free one.
    pub port: u16,
    /// The program that has the `serve` command; `tholos` when absent.
    pub program: Option<PathBuf>,
}

impl<'a> Start<'a> {
    /// A server on a free port with nothing but a data directory.
    pub fn new(data: &'a Path) -> Self {
        Start { data, arguments: &[], port: 0, program: None }
    }

    /// Starts it and waits until it says that it is ready.
    ///
    /// # Errors
    /// What the process printed, when it ends or says nothing in time.
    pub fn run(self) -> Result<Server, String> {
        let program = match self.program {
            Some(program) => program,
            None => binary()?,
        };
        let began = Instant::now();
        let mut child = Command::new(program)
            .args(["serve", "--port", &self.port.to_string(), "--admin-port", "0", "--data"])
            .arg(self.data)
            .args(self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| format!("the server can't be started: {error}"))?;
        let stdout = child.stdout.take().ok_or("no pipe to the server's standard output")?;
        let stderr = child.stderr.take().ok_or("no pipe to the server's standard error")?;
        let errors = Arc::new(Mutex::new(String::new()));
        collect(stderr, Arc::clone(&errors));
        let ready = watch(stdout);
        match ready.recv_timeout(START_LIMIT) {
            Ok((address, admin)) => {
                Ok(Server { child, address, admin, time_to_ready: began.elapsed(), errors })
            }
            Err(_) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(format!("the server did not get ready; it said:\n{}", lock(&errors)))
            }
        }
    }
}

impl Server {
    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it printed on standard error so far.
    pub fn errors(&self) -> String {
        lock(&self.errors)
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and waits for it to end by itself.
    ///
    /// # Errors
    /// When it does not end in time, or ends with an error.
    pub fn stop(self) -> Result<(), String> {
        let pid = i32::try_from(self.child.id())
            .ok()
            .and_then(rustix::process::Pid::from_raw)
            .ok_or("no pid")?;
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)
            .map_err(|error| error.to_string())?;
        self.wait()
    }

    /// Waits for it to end by itself.
    ///
    /// # Errors
    /// When it does not end in time, or ends with an error.
    pub fn wait(mut self) -> Result<(), String> {
        let deadline = Instant::now() + STOP_LIMIT;
        while Instant::now() < deadline {
            match self.child.try_wait().map_err(|error| error.to_string())? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => {
                    return Err(format!("the server ended with {status}:\n{}", self.errors()));
                }
                None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
        Err(format!("the server did not stop within {STOP_LIMIT:?}:\n{}", self.errors()))
    }

    /// Processor time that the process used so far, user and system, in microseconds.
    pub fn cpu_micros(&self) -> u64 {
        cpu_micros(self.pid())
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        self.status_kib("VmRSS:")
    }

    /// The most that was ever resident, in KiB.
    pub fn peak_kib(&self) -> u64 {
        self.status_kib("VmHWM:")
    }

    fn status_kib(&self, name: &str) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().trim_end_matches(" kB").parse().unwrap_or(0)
    }

    /// The value of a metric now: see [`Metrics::value`].
    ///
    /// # Errors
    /// What the connection says, and that there is no such metric.
    pub fn metric(&self, name: &str) -> Result<f64, String> {
        self.metrics()?.value(name)
    }

    /// All metrics of now.
    ///
    /// # Errors
    /// What the connection says.
    pub fn metrics(&self) -> Result<Metrics, String> {
        let read = || -> io::Result<String> {
            let mut stream = TcpStream::connect(self.admin)?;
            stream
                .write_all(b"GET /metrics HTTP/1.1\r\nHost: tholos\r\nConnection: close\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        };
        read().map(Metrics).map_err(|error| format!("metrics: {error}"))
    }
}

/// The metrics of one moment, as they are printed.
#[derive(Clone, Debug)]
pub struct Metrics(String);

impl Metrics {
    /// The value of a metric, its labels as they are printed behind its name.
    ///
    /// # Errors
    /// There is no such metric.
    pub fn value(&self, name: &str) -> Result<f64, String> {
        let values = self.0.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = values.filter_map(|value| value.trim().parse().ok()).next();
        value.ok_or_else(|| format!("{name} is not among the metrics:\n{}", self.0))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Processor time of a process, from the scheduler's own accounting of its threads, in microseconds.
pub fn cpu_micros(pid: u32) -> u64 {
    cpu_micros_of(pid, |_| true)
}

/// [`cpu_micros`] of the threads that have a name that is wanted.
pub fn cpu_micros_of(pid: u32, wanted: impl Fn(&str) -> bool) -> u64 {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return 0 };
    let is_wanted = |thread: &fs::DirEntry| {
        let name = fs::read_to_string(thread.path().join("comm")).unwrap_or_default();
        wanted(name.trim())
    };
    let nanos: u64 = threads
        .flatten()
        .filter(is_wanted)
        .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok())
        .filter_map(|stat| stat.split(' ').next()?.parse::<u64>().ok())
        .sum();
    nanos / 1_000
}

fn lock(text: &Mutex<String>) -> String {
    text.lock().map(|text| text.clone()).unwrap_or_default()
}

/// Collects what the server prints on standard error.
fn collect(stderr: impl Read + Send + 'static, errors: Arc<Mutex<String>>) {
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if let Ok(mut errors) = errors.lock() {
                errors.push_str(&line);
                errors.push('\n');
            }
        }
    });
}

/// Sends the addresses once the server says that it is ready, and reads on so that it can always write.
fn watch(stdout: impl Read + Send + 'static) -> Receiver<(SocketAddr, SocketAddr)> {
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            if let Some(addresses) = ready_line(&line) {
                // Nobody listens any more once a start was given up.
                let _ = send.send(addresses);
            }
        }
    });
    receive
}

/// Reads up to the line that says a program is ready, and gives back the addresses it names; `None` when it ends
/// without one.
pub fn ready_addresses(stdout: impl Read) -> Option<(SocketAddr, SocketAddr)> {
    BufReader::new(stdout).lines().map_while(Result::ok).find_map(|line| ready_line(&line))
}

/// Reads `... drivers connect to ADDRESS ..., metrics at http://ADDRESS/metrics`.
fn ready_line(line: &str) -> Option<(SocketAddr, SocketAddr)> {
    let cql = line.split("drivers connect to ").nth(1)?.split([' ', ',']).next()?;
    let admin = line.split("metrics at http://").nth(1)?.split('/').next()?;
    Some((cql.parse().ok()?, admin.parse().ok()?))
}

/// The `tholos` program of the profile that this test or benchmark was built with; built if it isn't there.
///
/// # Errors
/// When it can't be built.
pub fn binary() -> Result<PathBuf, String> {
    if let Some(path) = std::env::var_os("THOLOS_BIN") {
        return Ok(PathBuf::from(path));
    }
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut dir = this.parent().ok_or("the program has no directory")?;
    if dir.ends_with("deps") {
        dir = dir.parent().ok_or("deps/ has no parent")?;
    }
    // `cargo test --workspace` has built it beside this test.
    let path = dir.join("tholos");
    if path.exists() {
        return Ok(path);
    }
    let mut build = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_string()));
    build.args(["build", "--quiet", "-p", "tholos-server", "--bin", "tholos"]);
    if dir.ends_with("release") {
        build.arg("--release");
    }
    build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let built = build
        .status()
        .map_err(|error| format!("cargo can't be run to build the server: {error}"))?;
    match built.success() && path.exists() {
        true => Ok(path),
        false => Err(format!("{} is not there and could not be built", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_ready_line() {
        let line = "Tholos 0.1.0 is ready in 12ms: drivers connect to 127.0.0.1:9042 (data centre datacenter1), \
                    metrics at http://127.0.0.1:9180/metrics";
        let expected = ("127.0.0.1:9042".parse().unwrap(), "127.0.0.1:9180".parse().unwrap());
        assert_eq!(ready_line(line), Some(expected));
        assert_eq!(ready_line("tholos starts"), None);
    }
}

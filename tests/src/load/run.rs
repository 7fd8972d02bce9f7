//! Runs a workload and measures it.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::event::{Timespec, epoll};

use super::connection::Connection;
use super::workload::Workload;

/// Streams of a connection in open loop: how many requests may wait for a slow server before the run gives up.
const OPEN_LOOP_STREAMS: i16 = 8_192;
/// Latencies above this are counted as this.
const LONGEST_NANOS: u64 = 60_000_000_000;
/// Waits below this are not left to the timer.
const TIMER_GRAIN: Duration = Duration::from_millis(2);
/// How long answers may take after the last request.
const DRAIN_LIMIT: Duration = Duration::from_secs(10);

/// How to run.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    /// Connections.
    pub connections: usize,
    /// Requests in flight on each, in closed loop.
    pub depth: i16,
    /// Requests per second over all connections: open loop.
    pub rate: Option<u64>,
    /// How long, for workloads without an end.
    pub duration: Duration,
}

/// What came out.
#[derive(Debug)]
pub struct Outcome {
    /// Requests answered.
    pub answers: u64,
    /// Of these, errors.
    pub errors: u64,
    /// Bytes of all answers, headers included.
    pub bytes: u64,
    /// From the first request to the last answer.
    pub elapsed: Duration,
    /// Latencies in nanoseconds.
    pub latencies: Histogram<u64>,
    /// What the first error said.
    pub first_error: Option<String>,
}

impl Outcome {
    /// Answers per second.
    pub fn per_second(&self) -> f64 {
        self.answers as f64 / self.elapsed.as_secs_f64()
    }

    /// A percentile of latency, in microseconds.
    pub fn micros(&self, percentile: f64) -> f64 {
        self.latencies.value_at_percentile(percentile) as f64 / 1_000.0
    }
}

struct Run<'a> {
    workload: &'a Workload,
    shape: Shape,
    connections: Vec<Connection>,
    epoll: rustix::fd::OwnedFd,
    began: Instant,
    /// Number of the next request.
    next: u64,
    outcome: Outcome,
}

/// Runs a workload against a server.
///
/// # Errors
/// What the system says, or that the server did not answer in time.
pub fn run(address: SocketAddr, workload: &Workload, shape: Shape) -> io::Result<Outcome> {
    let streams = if shape.rate.is_some() { OPEN_LOOP_STREAMS } else { shape.depth };
    let connections: Vec<Connection> = (0..shape.connections)
        .map(|_| Connection::open(address, streams))
        .collect::<io::Result<_>>()?;
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (i, connection) in connections.iter().enumerate() {
        epoll::add(&epoll, connection, epoll::EventData::new_u64(i as u64), epoll::EventFlags::IN)?;
    }
    let outcome = Outcome {
        answers: 0,
        errors: 0,
        bytes: 0,
        elapsed: Duration::ZERO,
        latencies: Histogram::new_with_bounds(1, LONGEST_NANOS, 3).map_err(io::Error::other)?,
        first_error: None,
    };
    let mut run =
        Run { workload, shape, connections, epoll, began: Instant::now(), next: 0, outcome };
    run.go()?;
    run.outcome.first_error =
        run.connections.iter().find_map(|c| c.first_error().map(str::to_string));
    Ok(run.outcome)
}

impl Run<'_> {
    fn go(&mut self) -> io::Result<()> {
        self.began = Instant::now();
        if self.shape.rate.is_none() {
            for i in 0..self.connections.len() {
                self.top_up(i)?;
            }
        }
        let mut drain_until = None;
        loop {
            let wait = match self.shape.rate {
                Some(rate) if !self.over() => self.send_due(rate)?,
                _ => Duration::from_millis(100),
            };
            self.wait(wait)?;
            if self.over() {
                let deadline = *drain_until.get_or_insert_with(|| Instant::now() + DRAIN_LIMIT);
                if self.connections.iter().all(|connection| connection.in_flight() == 0) {
                    break;
                }
                if Instant::now() > deadline {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "the server did not answer all requests",
                    ));
                }
            }
        }
        self.outcome.elapsed = self.began.elapsed();
        Ok(())
    }

    /// Whether no further request is to be sent.
    fn over(&self) -> bool {
        match self.workload.requests() {
            Some(requests) => self.next >= requests,
            None => self.began.elapsed() >= self.shape.duration,
        }
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    /// Closed loop: fills a connection up to its depth.
    fn top_up(&mut self, i: usize) -> io::Result<()> {
        let now = self.now();
        while !self.over() {
            let (workload, n) = (self.workload, self.next);
            if !self.connections[i].queue(now, |stream, out| workload.request(n, stream, out)) {
                break;
            }
            self.next += 1;
        }
        self.connections[i].flush().map(drop)
    }

    /// Open loop: sends all that is due, and says how long until the next is.
    fn send_due(&mut self, rate: u64) -> io::Result<Duration> {
        let interval = 1_000_000_000 / rate;
        let mut due = self.next * interval;
        while due <= self.now() {
            let i = (self.next % self.connections.len() as u64) as usize;
            let (workload, n) = (self.workload, self.next);
            if !self.connections[i].queue(due, |stream, out| workload.request(n, stream, out)) {
                return Err(io::Error::other("the server fell too far behind the rate"));
            }
            self.connections[i].flush()?;
            self.next += 1;
            due += interval;
        }
        Ok(Duration::from_nanos(due.saturating_sub(self.now())))
    }

    /// Waits for answers, at most that long, and takes them. The system's timer is coarser than the gaps between sends,
    /// so short waits only look: latencies are then the server's, not the timer's.
    fn wait(&mut self, limit: Duration) -> io::Result<()> {
        let limit = if limit < TIMER_GRAIN { Duration::ZERO } else { limit };
        let timeout =
            Timespec { tv_sec: limit.as_secs() as i64, tv_nsec: i64::from(limit.subsec_nanos()) };
        let mut events = Vec::with_capacity(self.connections.len());
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&timeout))
        {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events {
            let i = event.data.u64() as usize;
            let now = self.now();
            let latencies = &mut self.outcome.latencies;
            let arrived = self.connections[i]
                .receive(|intended, _| latencies.saturating_record(now.saturating_sub(intended)))?;
            self.outcome.answers += arrived.answers;
            self.outcome.errors += arrived.errors;
            self.outcome.bytes += arrived.bytes;
            if self.shape.rate.is_none() && !self.over() {
                self.top_up(i)?;
            } else {
                self.connections[i].flush()?;
            }
        }
        Ok(())
    }
}

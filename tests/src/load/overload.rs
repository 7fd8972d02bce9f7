//! What a server does with far more than it can: open loop at many times its peak, answers and refusals apart.
//!
//! Server and generator have a core each, so that neither takes from the other. Latency counts from the moment at which a
//! request was meant to be sent. A generator that can't keep up sends less and says so: what it did not send is not
//! offered.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use rustix::event::{Timespec, epoll};
use rustix::thread::{CpuSet, sched_setaffinity};
use serde_json::{Value, json};

use super::connection::Connection;
use super::run::{Shape, run};
use super::workload::Workload;
use crate::server::Server;

/// Requests that may wait for their answers on each connection.
const STREAMS: i16 = 32_000;
/// Requests in flight on each connection while the peak is looked for: a server that is never without work.
const PEAK_DEPTH: i16 = 16;
/// Latencies above this are counted as this.
const LONGEST_NANOS: u64 = 60_000_000_000;
/// A generator that is later than this leaves out what it missed.
const MOST_LATE_NANOS: u64 = 1_000_000;
/// Requests that are made before the next look at answers.
const BURST: u64 = 2_048;
/// Answers may take so long after the last request.
const DRAIN: Duration = Duration::from_secs(30);
/// Without load: this part of the peak.
const CALM: u64 = 10;
/// How long each look at a server that should be back to normal takes, and how often it is looked.
const LOOK: Duration = Duration::from_millis(100);
const LOOKS: u32 = 100;
/// A latency that is fine in any case.
const FINE_MICROS: f64 = 10_000.0;

/// How to overload.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Connections.
    pub connections: usize,
    /// So many times the peak.
    pub factor: f64,
    /// How long.
    pub duration: Duration,
}

/// What an open loop came to.
#[derive(Debug)]
pub struct Offered {
    sent: u64,
    /// Not sent: no stream was free.
    unsent: u64,
    elapsed: Duration,
    /// Answered before the last request was sent: what comes later is no part of what is done in that time.
    in_time: u64,
    answered: Histogram<u64>,
    refused: Histogram<u64>,
}

/// Lets this process, and what it starts from here on, run on that core alone; `false` where there is none.
pub fn run_on(core: usize) -> bool {
    let mut set = CpuSet::new();
    set.set(core);
    sched_setaffinity(None, &set).is_ok()
}

/// Finds the peak, overloads, and waits until all is normal again: one object of figures.
///
/// # Errors
/// What the system says; the server closed a connection, or did not answer.
pub fn measure(server: &Server, workload: &Workload, plan: Plan) -> io::Result<Value> {
    let Plan { connections, factor, duration } = plan;
    let closed = Shape { connections, depth: PEAK_DEPTH, rate: None, duration };
    let peak = run(server.address, workload, closed)?.per_second();
    let mut load = Load::open(server.address, connections)?;
    let calm = (peak as u64 / CALM).max(1);
    let unloaded = load.offer(workload, calm, duration)?;
    let unloaded_p99 = micros(&unloaded.answered, 99.0);
    let over = load.offer(workload, (peak * factor) as u64, duration)?;
    let fine = FINE_MICROS.max(3.0 * unloaded_p99);
    let mut normal = None;
    for look in 0..LOOKS {
        let seen = load.offer(workload, calm, LOOK)?;
        if seen.refused.is_empty() && micros(&seen.answered, 99.0) <= fine {
            normal = Some(LOOK * look);
            break;
        }
    }
    let per_second = |count: u64| (count as f64 / over.elapsed.as_secs_f64()).round();
    Ok(json!({
        "peak": peak.round(),
        "offered": per_second(over.sent + over.unsent),
        "sent": per_second(over.sent),
        "goodput": per_second(over.in_time),
        "goodput_of_peak": over.in_time as f64 / over.elapsed.as_secs_f64() / peak,
        "refused": per_second(over.refused.len()),
        "p50_us": micros(&over.answered, 50.0),
        "p99_us": micros(&over.answered, 99.0),
        "refusal_p99_us": micros(&over.refused, 99.0),
        "unloaded_p50_us": micros(&unloaded.answered, 50.0),
        "unloaded_p99_us": unloaded_p99,
        "normal_after_ms": normal.map(|after| after.as_millis() as u64),
        "max_resident_mib": server.peak_kib() / 1024,
    }))
}

fn micros(latencies: &Histogram<u64>, percentile: f64) -> f64 {
    latencies.value_at_percentile(percentile) as f64 / 1_000.0
}

struct Load {
    connections: Vec<Connection>,
    epoll: rustix::fd::OwnedFd,
    next: u64,
}

impl Load {
    fn open(address: SocketAddr, connections: usize) -> io::Result<Load> {
        let connections = (0..connections)
            .map(|_| Connection::open(address, STREAMS))
            .collect::<io::Result<Vec<_>>>()?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (i, connection) in connections.iter().enumerate() {
            let data = epoll::EventData::new_u64(i as u64);
            epoll::add(&epoll, connection, data, epoll::EventFlags::IN)?;
        }
        Ok(Load { connections, epoll, next: 0 })
    }

    fn offer(&mut self, workload: &Workload, rate: u64, span: Duration) -> io::Result<Offered> {
        let histogram =
            || Histogram::new_with_bounds(1, LONGEST_NANOS, 3).map_err(io::Error::other);
        let mut offered = Offered {
            sent: 0,
            unsent: 0,
            elapsed: Duration::ZERO,
            in_time: 0,
            answered: histogram()?,
            refused: histogram()?,
        };
        let began = Instant::now();
        let now = || began.elapsed().as_nanos() as u64;
        let interval = 1_000_000_000.0 / rate as f64;
        let (mut due, end) = (0.0, span.as_nanos() as f64);
        while due < end {
            let late = now().saturating_sub(MOST_LATE_NANOS) as f64;
            due = f64::max(due, late);
            let until = now() as f64;
            for _ in 0..BURST {
                if due > until || due >= end {
                    break;
                }
                self.queue(workload, due as u64, &mut offered);
                due += interval;
            }
            self.flush()?;
            self.receive(&now, Duration::ZERO, &mut offered)?;
        }
        offered.elapsed = began.elapsed();
        offered.in_time = offered.answered.len();
        let limit = Instant::now() + DRAIN;
        while self.connections.iter().any(|connection| connection.in_flight() > 0) {
            if Instant::now() > limit {
                return Err(io::Error::other("the server did not answer all requests"));
            }
            self.flush()?;
            self.receive(&now, Duration::from_millis(1), &mut offered)?;
        }
        Ok(offered)
    }

    fn queue(&mut self, workload: &Workload, due: u64, offered: &mut Offered) {
        let n = self.next;
        self.next += 1;
        let i = (n % self.connections.len() as u64) as usize;
        let queued = self.connections[i].queue(due, |stream, out| workload.request(n, stream, out));
        *(if queued { &mut offered.sent } else { &mut offered.unsent }) += 1;
    }

    fn flush(&mut self) -> io::Result<()> {
        self.connections.iter_mut().try_for_each(|connection| connection.flush().map(drop))
    }

    fn receive(
        &mut self,
        now: &impl Fn() -> u64,
        wait: Duration,
        offered: &mut Offered,
    ) -> io::Result<()> {
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(wait.subsec_nanos()) };
        let mut events = Vec::with_capacity(self.connections.len());
        match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), Some(&timeout))
        {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        for event in events {
            let at = now();
            self.connections[event.data.u64() as usize].receive(|intended, is_error| {
                let latencies = if is_error { &mut offered.refused } else { &mut offered.answered };
                latencies.saturating_record(at.saturating_sub(intended));
            })?;
        }
        Ok(())
    }
}

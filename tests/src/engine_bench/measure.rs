//! Threads that repeat an operation, and what the process wrote and holds.

use std::fs;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::workload::Numbers;
use super::{BenchError, Outcome};

/// How many operations a thread takes at a time of those that are to be done in all.
const SHARE: u64 = 256;
/// Linux keeps so many bytes of a thread's name: a profile can be filtered by it, without commas and spaces.
const NAME_BYTES: usize = 15;

/// Repeats `operation` in that many threads for about that long; gives back how many units of work (what `operation`
/// returns) were done per second. Each thread has numbers of its own.
///
/// # Errors
/// The first that an operation meets.
pub fn repeat(
    name: &str,
    threads: usize,
    duration: Duration,
    operation: impl Fn(&mut Numbers) -> Outcome<u64> + Sync,
) -> Outcome<f64> {
    let stop = AtomicBool::new(false);
    let work = |thread: usize| {
        let mut numbers = Numbers::of_thread(thread);
        let mut units = 0;
        while !stop.load(Ordering::Relaxed) {
            units += operation(&mut numbers)?;
        }
        Ok(units)
    };
    per_second(name, threads, work, || {
        thread::sleep(duration);
        stop.store(true, Ordering::Relaxed);
    })
}

/// Does `operation` once for each of `0..count`, in that many threads, about in order; gives back how many per second.
///
/// # Errors
/// The first that an operation meets.
pub fn each(
    name: &str,
    threads: usize,
    count: u64,
    operation: impl Fn(u64) -> Outcome<()> + Sync,
) -> Outcome<f64> {
    let next = AtomicU64::new(0);
    let work = |_thread: usize| {
        let mut units = 0;
        loop {
            let from = next.fetch_add(SHARE, Ordering::Relaxed);
            if from >= count {
                return Ok(units);
            }
            let to = count.min(from + SHARE);
            (from..to).try_for_each(&operation)?;
            units += to - from;
        }
    };
    per_second(name, threads, work, || {})
}

/// Runs `work` in threads, and `meanwhile` in this one once all have begun.
fn per_second(
    name: &str,
    threads: usize,
    work: impl Fn(usize) -> Outcome<u64> + Sync,
    meanwhile: impl FnOnce(),
) -> Outcome<f64> {
    let barrier = Barrier::new(threads + 1);
    let name: String = name.chars().filter(char::is_ascii_alphanumeric).take(NAME_BYTES).collect();
    let run = |thread| {
        barrier.wait();
        work(thread)
    };
    thread::scope(|scope| {
        let run = &run;
        let mut handles = Vec::with_capacity(threads);
        for thread in 0..threads {
            let builder = thread::Builder::new().name(name.clone());
            handles.push(builder.spawn_scoped(scope, move || run(thread))?);
        }
        barrier.wait();
        let began = Instant::now();
        meanwhile();
        let mut units = 0;
        for handle in handles {
            units += handle.join().map_err(|_| BenchError::Wrong("a thread panicked".into()))??;
        }
        Ok(units as f64 / began.elapsed().as_secs_f64())
    })
}

/// Bytes that this process made the system write to disk so far, `/proc/self/io`'s `write_bytes`: pages that were made
/// dirty, so a page that is rewritten before it reaches the disk counts once.
///
/// # Errors
/// When there is no such file.
pub fn written_bytes() -> Outcome<u64> {
    field("/proc/self/io", "write_bytes:")
}

/// Resident memory of this process in bytes.
///
/// # Errors
/// When there is no such file.
pub fn resident_bytes() -> Outcome<u64> {
    Ok(field("/proc/self/status", "VmRSS:")? << 10)
}

fn field(file: &str, name: &str) -> Outcome<u64> {
    let text = fs::read_to_string(file)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next()?.parse().ok());
    number.ok_or_else(|| BenchError::Wrong(format!("{file} has no number {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    #[test]
    fn each_number_is_done_once() {
        let seen = Mutex::new(vec![0_u8; 1_000]);
        each("each", 3, 1_000, |n| {
            seen.lock().unwrap()[n as usize] += 1;
            Ok(())
        })
        .unwrap();
        assert!(seen.lock().unwrap().iter().all(|times| *times == 1));
    }

    #[test]
    fn an_error_of_a_thread_is_the_outcome() {
        let failed = repeat("fails", 2, Duration::from_millis(1), |_| {
            Err(BenchError::Wrong("as planned".into()))
        });
        assert_eq!(failed.unwrap_err().to_string(), "as planned");
    }

    #[test]
    fn the_process_has_memory_and_has_written() {
        assert!(resident_bytes().unwrap() > 1 << 20);
        written_bytes().unwrap();
    }
}

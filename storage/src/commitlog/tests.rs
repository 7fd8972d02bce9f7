use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};

use smallvec::SmallVec;
use uuid::Uuid;

use super::*;
use crate::fs::faulty::{Crash, Failure, FaultyFs, Operation};
use crate::fs::memory::MemoryFs;
use crate::fs::real::RealFs;
use crate::layout;
use crate::model::entry::RowBuf;
use crate::model::mutation::Update;

const DIR: &str = "/log";

fn table(number: u128) -> TableId {
    TableId(Uuid::from_u128(number))
}

fn mutation(of: u128, number: u64, bytes: usize) -> Mutation {
    let mut row = vec![number as u8; bytes];
    row.extend_from_slice(&number.to_be_bytes());
    let update = Update::Row {
        position: SmallVec::from_slice(&[0x38]),
        row: RowBuf { head: SmallVec::new(), body: row },
    };
    let partition = SmallVec::from_slice(&number.to_be_bytes());
    Mutation { table: table(of), partition, updates: SmallVec::from_iter([update]) }
}

/// A log of small segments, driven by the test.
fn options() -> CommitLogOptions {
    CommitLogOptions {
        segment_bytes: 4096,
        driver: SyncDriver::Caller,
        total_bytes: 16 << 10,
        zero_fill: false,
        ..CommitLogOptions::default()
    }
}

type Records = Vec<(LogPosition, Mutation)>;

fn open(
    fs: &(impl Fs + Clone + 'static),
    options: CommitLogOptions,
) -> Result<(CommitLog, Records, ReplayReport), StorageError> {
    let mut reader = Reader { wants: true, ..Reader::default() };
    let (log, report) =
        CommitLog::open(Arc::new(fs.clone()), Path::new(DIR), options, &mut reader)?;
    assert!(reader.finished);
    Ok((log, reader.found, report))
}

/// Takes all records, or none.
#[derive(Default)]
struct Reader {
    wants: bool,
    finished: bool,
    found: Records,
    seen: std::cell::Cell<u64>,
}

impl Replayer for Reader {
    fn wants(&self, _: TableId, _: LogPosition) -> bool {
        self.seen.update(|seen| seen + 1);
        self.wants
    }

    fn batch_bytes(&self) -> usize {
        700
    }

    fn apply(&mut self, batch: Batch) -> Result<(), StorageError> {
        assert!(!batch.records().is_empty() && !self.finished);
        for record in batch.records() {
            self.found.push((batch.position(record), batch.decode(record)?));
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), StorageError> {
        self.finished = true;
        Ok(())
    }
}

fn replayed(fs: &FaultyFs) -> Vec<Mutation> {
    let (_, found, _) = open(fs, options()).unwrap();
    found.into_iter().map(|(_, mutation)| mutation).collect()
}

#[test]
fn what_was_synced_comes_back_in_order_across_segments() {
    let fs = FaultyFs::new();
    let (log, found, _) = open(&fs, options()).unwrap();
    assert!(found.is_empty());
    let mut appended = Vec::new();
    for number in 0..200 {
        let mutation = mutation(1, number, (number as usize * 37) % 300);
        appended.push((log.append(&mutation).unwrap(), mutation));
        if number % 7 == 0 {
            log.sync().unwrap();
        }
    }
    assert!(appended.is_sorted_by_key(|(position, _)| *position));
    assert!(appended.last().unwrap().0 < log.end());
    log.sync().unwrap();
    let crashed = fs.crash(Crash::KeepSynced);
    let (log, found, report) = open(&crashed, options()).unwrap();
    assert_eq!(found, appended);
    assert!(report.segments > 5 && report.records == 200);
    assert!(log.end() > appended.last().unwrap().0, "ids go on after a restart");
    // And once more: a replay changes nothing.
    drop(log);
    assert_eq!(open(&crashed, options()).unwrap().1, appended);
}

/// Appends, syncs, flushes and recycles; says after which recorded operation which records must be there.
fn workload(fs: &FaultyFs, mode: SyncMode) -> Vec<(usize, std::ops::Range<u64>)> {
    let (log, _, _) = open(fs, CommitLogOptions { mode, ..options() }).unwrap();
    let mut promises = vec![(fs.recorded(), 0..0)];
    let mut flushed = 0;
    for round in 0..24u64 {
        for number in round * 4..round * 4 + 4 {
            log.append(&mutation(1, number, 250)).unwrap();
        }
        if matches!(mode, SyncMode::Periodic { .. }) && round % 3 != 2 {
            log.shared.flush(false).unwrap();
        } else {
            log.sync().unwrap();
            promises.push((fs.recorded(), flushed..round * 4 + 4));
        }
        if round % 5 == 4 {
            log.mark_flushed(table(1), log.end());
            flushed = round * 4 + 4;
            promises.push((fs.recorded(), flushed..flushed));
        }
    }
    promises
}

fn check_every_crash(mode: SyncMode, seeds: u64) {
    let fs = FaultyFs::new();
    let promises = workload(&fs, mode);
    for prefix in promises[0].0..=fs.recorded() {
        let promised =
            promises.iter().rfind(|(recorded, _)| *recorded <= prefix).unwrap().1.clone();
        let crashes = (0..seeds)
            .map(|seed| Crash::Random { seed })
            .chain([Crash::KeepAll, Crash::KeepSynced]);
        for crash in crashes {
            let crashed = fs.crash_at(prefix, crash);
            let found = replayed(&crashed);
            let numbers: Vec<u64> = found
                .iter()
                .map(|mutation| {
                    u64::from_be_bytes(mutation.partition.as_slice().try_into().unwrap())
                })
                .collect();
            assert!(
                numbers.windows(2).all(|pair| pair[0] < pair[1]),
                "prefix {prefix} {crash:?}: {numbers:?}"
            );
            for number in promised.clone() {
                assert!(
                    numbers.contains(&number),
                    "prefix {prefix} {crash:?}: {number} of {promised:?} is lost"
                );
            }
            for (number, found) in numbers.iter().zip(&found) {
                assert_eq!(*found, mutation(1, *number, 250));
            }
        }
    }
}

#[test]
fn every_crash_keeps_what_was_synced_and_starts() {
    check_every_crash(SyncMode::Group, 20);
}

#[test]
fn every_crash_in_periodic_mode_keeps_what_was_synced_and_starts() {
    check_every_crash(SyncMode::Periodic { interval: Duration::from_secs(1) }, 20);
}

/// After a failed sync the system takes what was written for clean: the next run finds it, and must write it again.
#[test]
fn what_a_failed_sync_left_is_not_trusted_by_the_next_run() {
    let fs = FaultyFs::new();
    let (log, _, _) = open(&fs, options()).unwrap();
    log.append(&mutation(1, 0, 10)).unwrap();
    log.sync().unwrap();
    log.append(&mutation(1, 1, 10)).unwrap();
    fs.fail(Some(Operation::Sync), 0, Failure::Device);
    log.sync().unwrap_err();
    drop(log);
    // The process is killed; the machine's power fails in the next run, or in the one after.
    let killed = fs.crash(Crash::KeepAll);
    let (log, found, _) = open(&killed, options()).unwrap();
    assert_eq!(found.len(), 2);
    let after_start = killed.crash(Crash::KeepSynced);
    assert_eq!(replayed(&after_start).len(), 2, "what was replayed is durable");
    log.append(&mutation(1, 2, 10)).unwrap();
    log.sync().unwrap();
    assert_eq!(replayed(&killed.crash(Crash::KeepSynced)).len(), 3);
}

#[test]
fn segments_are_recycled_once_all_tables_are_flushed() {
    let fs = MemoryFs::new();
    let (log, _, _) = open(&fs, options()).unwrap();
    let idle = log.append(&mutation(2, 0, 10)).unwrap();
    for number in 0..200 {
        log.append(&mutation(1, number, 250)).unwrap();
        log.sync().unwrap();
        log.mark_flushed(table(1), log.end());
    }
    assert_eq!(log.stats().bytes, 4096, "only the segment of the idle table");
    assert!(log.needs_flush().is_empty());
    let files = |fs: &MemoryFs| fs.list(Path::new(DIR)).unwrap().len();
    assert!(files(&fs) <= 4, "{:?}", fs.list(Path::new(DIR)));
    for number in 0..200 {
        log.append(&mutation(1, number, 250)).unwrap();
        log.sync().unwrap();
    }
    assert_eq!(log.needs_flush(), [table(1), table(2)]);
    log.mark_flushed(table(2), idle);
    assert!(log.needs_flush().contains(&table(2)), "its record is at that position, not before it");
    log.mark_flushed(table(2), LogPosition::END);
    assert_eq!(log.needs_flush(), [table(1)]);
    log.mark_flushed(table(1), log.end());
    log.sync().unwrap();
    assert!(files(&fs) <= 7, "surplus files are removed: {:?}", fs.list(Path::new(DIR)));
    drop(log);
    let (log, found, _) = open(&fs, options()).unwrap();
    assert!(found.len() < 20, "only what the last, unreleased segment holds: {}", found.len());
    drop(log);
}

/// The log's segment files with their ids, from a log whose records are all still needed.
fn segment_files(fs: &FaultyFs) -> Vec<(u64, std::path::PathBuf)> {
    Segments::open(Arc::new(fs.clone()), Path::new(DIR), options()).unwrap().live()
}

#[test]
fn damage_before_valid_frames_is_refused_or_set_aside() {
    let fs = FaultyFs::new();
    let (log, _, _) = open(&fs, options()).unwrap();
    let all: Vec<Mutation> = (0..40).map(|number| mutation(1, number, 250)).collect();
    for mutation in &all {
        log.append(mutation).unwrap();
        log.sync().unwrap();
    }
    let files = segment_files(&fs);
    let (id, path) = &files[1];
    let good = fs.content(path).unwrap();
    for bit in (0..good.len() * 8).step_by(61) {
        let damaged = fs.crash(Crash::KeepAll);
        damaged.damage(path, |bytes| bytes[bit / 8] ^= 1 << (bit % 8));
        match open(&damaged, options()) {
            // Behind the seal nothing is read.
            Ok((_, found, _)) => assert_eq!(found.len(), all.len(), "bit {bit}"),
            Err(StorageError::Corrupt { file, .. }) => assert_eq!(&file, path),
            Err(StorageError::Unusable(what)) => assert!((64..96).contains(&bit), "{what}"),
            Err(other) => panic!("{other}"),
        }
        let set_aside = CommitLogOptions { set_aside_damaged: true, ..options() };
        let (log, found, report) = open(&damaged, set_aside).unwrap();
        let lost = all.len() - found.len();
        assert!(lost <= 1 && found.iter().all(|(_, found)| all.contains(found)));
        if let Some(aside) = report.set_aside.first() {
            assert_eq!(aside.tables, [table(1)]);
            assert_eq!(aside.file, Path::new(DIR).join(format!("damaged-segment-{id}")));
            drop(log);
            let again = open(&damaged, options()).unwrap().1;
            assert_eq!(again.len(), found.len(), "what was rescued is in the log again");
        } else {
            assert_eq!(lost, 0);
        }
    }
}

#[test]
fn a_torn_end_is_the_end_and_truncations_are_found() {
    let fs = FaultyFs::new();
    let (log, _, _) = open(&fs, options()).unwrap();
    let all: Vec<Mutation> = (0..30).map(|number| mutation(1, number, 250)).collect();
    for mutation in &all {
        log.append(mutation).unwrap();
        log.sync().unwrap();
    }
    let files = segment_files(&fs);
    for (index, (id, path)) in files.iter().enumerate() {
        let good = fs.content(path).unwrap();
        for len in (0..good.len()).step_by(97) {
            match read_segment(path, *id, &good[..len]) {
                Ok(found) => assert!(found.iter().all(|(_, found)| all.contains(found))),
                Err(error) => assert!(matches!(error, StorageError::Corrupt { .. })),
            }
            let cut = fs.crash(Crash::KeepAll);
            cut.damage(path, |bytes| bytes.truncate(len));
            let Ok((_, found, _)) = open(&cut, options()) else { continue };
            let is_last = index + 1 == files.len();
            assert!(is_last || found.len() == all.len(), "segment {index} cut to {len}");
            assert!(found.iter().map(|(_, found)| found).eq(&all[..found.len()]));
        }
    }
    // Nothing of a recycled file's earlier life is taken for new.
    assert!(
        read_segment(Path::new("x"), files[0].0 + 1, &fs.content(&files[0].1).unwrap())
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_failed_sync_fences_the_log_for_good() {
    let fs = FaultyFs::new();
    let (log, _, _) = open(&fs, options()).unwrap();
    log.append(&mutation(1, 0, 10)).unwrap();
    log.sync().unwrap();
    let lost = log.append(&mutation(1, 1, 10)).unwrap();
    fs.fail(Some(Operation::Sync), 0, Failure::Device);
    assert!(matches!(log.sync().unwrap_err(), StorageError::Io { .. }));
    assert!(matches!(log.append(&mutation(1, 2, 10)).unwrap_err(), StorageError::Fenced { .. }));
    assert!(matches!(log.sync().unwrap_err(), StorageError::Fenced { .. }));
    assert!(matches!(log.wait_durable(lost).unwrap_err(), StorageError::Fenced { .. }));
    let mut context = Context::from_waker(Waker::noop());
    assert!(matches!(
        log.poll_durable(lost, &mut context),
        Poll::Ready(Err(StorageError::Fenced { .. }))
    ));
    drop(log);
    assert_eq!(replayed(&fs.crash(Crash::KeepSynced)), [mutation(1, 0, 10)]);
}

#[test]
fn a_full_disk_refuses_writes_until_there_is_room() {
    let fs = FaultyFs::new();
    let (log, _, _) = open(&fs, options()).unwrap();
    fs.limit_bytes(4 * 4096);
    let mut refused = None;
    let mut accepted = Vec::new();
    for number in 0..100 {
        let mutation = mutation(1, number, 250);
        match log.append(&mutation) {
            Ok(_) => accepted.push(mutation),
            Err(error) => {
                refused = Some(error);
                break;
            }
        }
        let _ = log.sync();
    }
    assert!(matches!(refused.unwrap(), StorageError::DiskFull { .. }));
    assert!(matches!(log.sync().unwrap_err(), StorageError::DiskFull { .. }));
    fs.heal();
    log.sync().unwrap();
    accepted.push(mutation(1, 1000, 250));
    log.append(&accepted[accepted.len() - 1]).unwrap();
    log.sync().unwrap();
    assert_eq!(replayed(&fs.crash(Crash::KeepSynced)), accepted);
}

#[test]
fn no_failing_call_loses_what_was_acknowledged() {
    let calls = {
        let fs = FaultyFs::new();
        fs_run(&fs);
        fs.calls()
    };
    for failure in [Failure::Device, Failure::Full, Failure::Short] {
        for call in 0..calls {
            let fs = FaultyFs::new();
            fs.fail(None, call, failure);
            let acknowledged = fs_run(&fs);
            fs.heal();
            let found = replayed(&fs.crash(Crash::KeepSynced));
            let lost =
                acknowledged.iter().find(|number| !found.contains(&mutation(1, **number, 700)));
            assert_eq!(lost, None, "{failure:?} at call {call}");
        }
    }
}

/// Some appends, each synced; which of them were acknowledged.
fn fs_run(fs: &FaultyFs) -> Vec<u64> {
    let Ok((log, _, _)) = open(fs, options()) else { return Vec::new() };
    let logged =
        |number: &u64| log.append(&mutation(1, *number, 700)).and_then(|_| log.sync()).is_ok();
    (0..12).filter(logged).collect()
}

#[test]
fn limits_are_kept() {
    let fs = MemoryFs::new();
    let (log, _, _) = open(&fs, CommitLogOptions { pending_bytes: 1000, ..options() }).unwrap();
    let large = log.append(&mutation(1, 0, 3000)).unwrap_err();
    assert!(matches!(large, StorageError::MutationTooLarge { .. }));
    log.append(&mutation(1, 1, 1500)).unwrap();
    assert!(matches!(log.append(&mutation(1, 2, 10)).unwrap_err(), StorageError::LogBehind { .. }));
    log.sync().unwrap();
    log.append(&mutation(1, 2, 10)).unwrap();
    drop(log);
}

#[derive(Default)]
struct CountingWaker(AtomicUsize);

impl Wake for CountingWaker {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn wakers_are_called_when_the_record_is_on_disk() {
    let fs = FaultyFs::new();
    let (log, _, _) = open(&fs, options()).unwrap();
    let count = Arc::new(CountingWaker::default());
    let waker = Waker::from(count.clone());
    let mut context = Context::from_waker(&waker);
    let position = log.append(&mutation(1, 0, 10)).unwrap();
    assert!(log.poll_durable(position, &mut context).is_pending());
    assert_eq!(count.0.load(Ordering::SeqCst), 0);
    log.sync().unwrap();
    assert_eq!(count.0.load(Ordering::SeqCst), 1);
    assert!(matches!(log.poll_durable(position, &mut context), Poll::Ready(Ok(()))));
}

#[test]
fn threads_share_syncs_on_a_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    for mode in [
        SyncMode::Group,
        SyncMode::Batch,
        SyncMode::Periodic { interval: Duration::from_millis(5) },
    ] {
        let options =
            CommitLogOptions { segment_bytes: 64 << 10, mode, ..CommitLogOptions::default() };
        let dir = dir.path().join(format!("{mode:?}").replace(' ', "").replace(['{', '}'], ""));
        let open = || {
            let mut reader = Reader::default();
            let (log, report) =
                CommitLog::open(Arc::new(RealFs), &dir, options, &mut reader).unwrap();
            (log, report.records, reader.seen.get())
        };
        let (log, ..) = open();
        std::thread::scope(|scope| {
            for thread in 0..4u64 {
                let log = &log;
                scope.spawn(move || {
                    for number in 0..100 {
                        let position =
                            log.append(&mutation(1, thread * 1000 + number, 300)).unwrap();
                        log.wait_durable(position).unwrap();
                    }
                });
            }
        });
        drop(log);
        let (log, records, seen) = open();
        assert_eq!((records, seen), (400, 400), "{mode:?}");
        drop(log);
        let (_, records, _) = open();
        assert_eq!(records, 0, "skipped records free their segments");
    }
}

#[test]
fn the_format_is_this() {
    let fs = FaultyFs::new();
    let (log, _, _) = open(&fs, options()).unwrap();
    let update = Update::Range {
        start: SmallVec::from_slice(&[0x20]),
        end: SmallVec::from_slice(&[0x60]),
        deletion: crate::model::Deletion { timestamp: 1000, deleted_at: -1 },
    };
    let mut mutation = mutation(0x0102, 3, 0);
    mutation.updates.push(update);
    mutation
        .updates
        .push(Update::Partition(crate::model::Deletion { timestamp: 5, deleted_at: 6 }));
    log.append(&mutation).unwrap();
    // Of the same table: its id goes without saying.
    mutation.updates.truncate(1);
    log.append(&mutation).unwrap();
    log.sync().unwrap();
    let hex = |path: &Path| -> String {
        let content = fs.content(path).unwrap();
        let end = content.iter().rposition(|byte| *byte != 0).unwrap();
        content[..=end].iter().map(|byte| format!("{byte:02x}")).collect()
    };
    assert_eq!(
        hex(&Path::new(DIR).join(layout::LOG_SEGMENTS)),
        "54484c53736567730200000002000000bfc876e14a0a797d0141030000001af8464a9a1df9c40201010000000000000000f63eff26"
    );
    assert_eq!(
        hex(&segment_files(&fs)[0].1),
        concat!(
            "54484c53636c6f6703000000000000004d0000001000000094cd2b84f4c2cfcc",
            "33010000000000000000000000000000010208000000000000000303010138000800000000000000030201200160d00f01000a0c",
            "18000800000000000000030101013800080000000000000003"
        )
    );
}

//! A file system that fails, fills up, tears writes and forgets what was not synced: for tests and simulation.
//!
//! Every operation that changes something is recorded. From any prefix of the record, [`FaultyFs::crash_at`] makes the
//! file systems that a machine could find after it lost power there: what was synced is there for certain; of writes,
//! lengths and names that were not, any subset may be, and single writes may be torn at a sector of 512 bytes.
//! A failed sync leaves its writes in that uncertain state for good, whatever later syncs say, as Linux does.

mod disk;

use std::collections::BTreeSet;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use self::disk::{Disk, FileId, Op};
use crate::fs::nowait::may_wait;
use crate::fs::{File, Fs};

/// A kind of operation, for injecting failures and counting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Operation {
    Open,
    Create,
    Rename,
    Link,
    Remove,
    SyncDir,
    Read,
    Stat,
    Write,
    Sync,
    SetLen,
}

/// How an operation fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The device reports an error (EIO).
    Device,
    /// The disk is full (ENOSPC).
    Full,
    /// A write stores half of its bytes, then the disk is full. Other operations: as [`Failure::Full`].
    Short,
}

/// What a crash leaves of what was not synced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// Everything: only the process died. What was not synced still is not.
    KeepAll,
    /// Nothing.
    KeepSynced,
    /// A choice that the seed decides, torn writes included.
    Random {
        /// Decides what is kept.
        seed: u64,
    },
}

/// Told of every call before it is made: to note it, to let time pass, or to have something else happen before it.
pub trait Watch: Send + Sync {
    /// A call of that kind, of the file or directory of that name, for so many bytes.
    fn called(&self, operation: Operation, path: &Path, bytes: usize);
}

/// What the system has in its memory is read at once, by these units.
const PAGE_BYTES: u64 = 4096;

/// A file system that can fail. Clones share their content.
#[derive(Clone, Debug, Default)]
pub struct FaultyFs {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    /// What the disk was like before the record begins.
    origin: Disk,
    /// Every change since.
    record: Vec<Op>,
    now: Disk,
    calls: u64,
    /// How many of them failed by plan.
    failed: u64,
    plans: Vec<Plan>,
    capacity: Option<u64>,
    locked: BTreeSet<PathBuf>,
    watch: Watcher,
    /// Pages that are read without waiting; all are, if there is no such set.
    warm: Option<BTreeSet<(FileId, u64)>>,
}

#[derive(Clone, Default)]
struct Watcher(Option<Arc<dyn Watch>>);

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Watcher({})", self.0.is_some())
    }
}

/// A failure to come.
#[derive(Clone, Copy, Debug)]
struct Plan {
    operation: Option<Operation>,
    /// How many matching calls succeed before.
    after: u64,
    failure: Failure,
    /// Whether calls go on failing after the first.
    lasting: bool,
}

impl FaultyFs {
    /// An empty file system without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many changing operations are on record.
    pub fn recorded(&self) -> usize {
        self.shared.lock().record.len()
    }

    /// How many calls were made, reads too: the range for [`fail`](Self::fail) with any operation.
    pub fn calls(&self) -> u64 {
        self.shared.lock().calls
    }

    /// Lets one call fail: the one after `after` more calls of that operation (of any, for `None`).
    pub fn fail(&self, operation: Option<Operation>, after: u64, failure: Failure) {
        self.shared.lock().plans.push(Plan { operation, after, failure, lasting: false });
    }

    /// Like [`fail`](Self::fail), and so do all such calls after it, until [`heal`](Self::heal).
    pub fn fail_from(&self, operation: Option<Operation>, after: u64, failure: Failure) {
        self.shared.lock().plans.push(Plan { operation, after, failure, lasting: true });
    }

    /// Whether no call has failed by plan yet.
    pub fn is_sound(&self) -> bool {
        self.failed() == 0
    }

    /// How many calls have failed by plan.
    pub fn failed(&self) -> u64 {
        self.shared.lock().failed
    }

    /// Has every call told to `watch`, here and on the disks that crashes leave of this one.
    pub fn watch(&self, watch: Arc<dyn Watch>) {
        self.shared.lock().watch = Watcher(Some(watch));
    }

    /// The system's memory of what is on the disk is lost: who [may not wait](crate::fs::nowait) reads only what somebody
    /// who may has read, or what was written, since.
    pub fn chill(&self) {
        self.shared.lock().warm = Some(BTreeSet::new());
    }

    /// No more failures.
    pub fn heal(&self) {
        let mut shared = self.shared.lock();
        shared.plans.clear();
        shared.capacity = None;
    }

    /// Gives the disk a size: files may not grow beyond it in sum.
    pub fn limit_bytes(&self, capacity: u64) {
        self.shared.lock().capacity = Some(capacity);
    }

    /// Lets the disk take so many bytes more, and then no more.
    pub fn fill_up(&self, room: u64) {
        let mut shared = self.shared.lock();
        shared.capacity = Some(shared.now.used_bytes() + room);
    }

    /// What is found after losing power now.
    pub fn crash(&self, crash: Crash) -> FaultyFs {
        let shared = self.shared.lock();
        FaultyFs::found(shared.now.clone().after_crash(crash), &shared.watch)
    }

    /// A disk of the same content, that shares nothing with this one.
    #[must_use]
    pub fn copy(&self) -> FaultyFs {
        let shared = self.shared.lock();
        FaultyFs::found(shared.now.clone(), &shared.watch)
    }

    /// Drops the record so far, which otherwise grows with every write: prefixes count from here.
    pub fn forget_record(&self) {
        let mut shared = self.shared.lock();
        shared.origin = shared.now.clone();
        shared.record.clear();
    }

    /// What is found after losing power when only the first `prefix` recorded operations had happened.
    pub fn crash_at(&self, prefix: usize, crash: Crash) -> FaultyFs {
        let shared = self.shared.lock();
        let mut disk = shared.origin.clone();
        for op in shared.record.iter().take(prefix) {
            disk.apply(op);
        }
        FaultyFs::found(disk.after_crash(crash), &shared.watch)
    }

    fn found(disk: Disk, watch: &Watcher) -> FaultyFs {
        let watch = watch.clone();
        let fresh = Shared { origin: disk.clone(), now: disk, watch, ..Shared::default() };
        FaultyFs { shared: Arc::new(Mutex::new(fresh)) }
    }

    /// The whole content of a file, as reads see it.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        let shared = self.shared.lock();
        Some(shared.now.content(shared.now.file(path)?).to_vec())
    }

    /// Changes bytes behind everyone's back: rot. Works on what is durable and what is not.
    pub fn damage(&self, path: &Path, change: impl Fn(&mut Vec<u8>)) {
        let mut shared = self.shared.lock();
        if let Some(file) = shared.now.file(path) {
            shared.now.damage(file, &change);
        }
        drop(shared);
        // Replaying the old writes would undo the damage.
        self.forget_record();
    }

    fn call(
        &self,
        operation: Operation,
        path: &Path,
        bytes: usize,
    ) -> Result<parking_lot::MutexGuard<'_, Shared>, (Failure, io::Error)> {
        let watch = self.shared.lock().watch.clone();
        if let Some(watch) = watch.0 {
            watch.called(operation, path, bytes);
        }
        let mut shared = self.shared.lock();
        shared.calls += 1;
        match shared.planned(operation) {
            None => Ok(shared),
            Some(failure) => {
                shared.failed += 1;
                Err((failure, failure.error()))
            }
        }
    }

    fn change(
        &self,
        operation: Operation,
        path: &Path,
        op: impl FnOnce(&Disk) -> io::Result<Op>,
    ) -> io::Result<()> {
        let mut shared = self.call(operation, path, 0).map_err(|(_, error)| error)?;
        let op = op(&shared.now)?;
        shared.record(op)
    }
}

impl Failure {
    fn error(self) -> io::Error {
        match self {
            Failure::Device => io::Error::other("injected device error"),
            Failure::Full | Failure::Short => io::ErrorKind::StorageFull.into(),
        }
    }
}

impl Shared {
    fn planned(&mut self, operation: Operation) -> Option<Failure> {
        let mut hit = None;
        self.plans.retain_mut(|plan| {
            if hit.is_some() || plan.operation.is_some_and(|planned| planned != operation) {
                return true;
            }
            if plan.after > 0 {
                plan.after -= 1;
                return true;
            }
            hit = Some(plan.failure);
            plan.lasting
        });
        hit
    }

    fn record(&mut self, op: Op) -> io::Result<()> {
        let grows = op.grows(&self.now);
        if self
            .capacity
            .is_some_and(|capacity| grows > 0 && self.now.used_bytes() + grows > capacity)
        {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if let (Some(warm), Op::Write { id, offset, bytes }) = (&mut self.warm, &op) {
            warm.extend(pages(*id, *offset, bytes.len()));
        }
        self.now.apply(&op);
        self.record.push(op);
        Ok(())
    }

    /// Reads what is there without waiting, or waits if that is allowed.
    fn fetch(&mut self, id: FileId, offset: u64, bytes: usize) -> io::Result<()> {
        let Some(warm) = &mut self.warm else { return Ok(()) };
        if may_wait() {
            warm.extend(pages(id, offset, bytes));
        } else if !pages(id, offset, bytes).all(|page| warm.contains(&page)) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(())
    }
}

fn pages(id: FileId, offset: u64, bytes: usize) -> impl Iterator<Item = (FileId, u64)> {
    let end = (offset + bytes as u64).div_ceil(PAGE_BYTES);
    (offset / PAGE_BYTES..end).map(move |page| (id, page))
}

impl Fs for FaultyFs {
    fn open(&self, path: &Path, read_only: bool) -> io::Result<Arc<dyn File>> {
        let shared = self.call(Operation::Open, path, 0).map_err(|(_, error)| error)?;
        let id = shared.now.file(path).ok_or(io::ErrorKind::NotFound)?;
        Ok(Arc::new(FaultyFile { fs: self.clone(), path: path.to_path_buf(), id, read_only }))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut shared = self.call(Operation::Create, path, 0).map_err(|(_, error)| error)?;
        let id = shared.now.next_file();
        shared.now.parent_must_exist(path)?;
        if shared.now.exists(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        shared.record(Op::Create { path: path.to_path_buf(), id })?;
        Ok(Arc::new(FaultyFile {
            fs: self.clone(),
            path: path.to_path_buf(),
            id,
            read_only: false,
        }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(Operation::Rename, from, |disk| {
            disk.parent_must_exist(to)?;
            disk.file(from).ok_or(io::ErrorKind::NotFound)?;
            Ok(Op::Rename { from: from.to_path_buf(), to: to.to_path_buf() })
        })
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(Operation::Link, from, |disk| {
            disk.parent_must_exist(to)?;
            let id = disk.file(from).ok_or(io::ErrorKind::NotFound)?;
            if disk.exists(to) {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            Ok(Op::Link { path: to.to_path_buf(), id })
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change(Operation::Remove, path, |disk| {
            disk.file(path).ok_or(io::ErrorKind::NotFound)?;
            Ok(Op::Remove { path: path.to_path_buf() })
        })
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.change(Operation::Remove, path, |disk| {
            if !disk.list(path)?.is_empty() {
                return Err(io::ErrorKind::DirectoryNotEmpty.into());
            }
            Ok(Op::RemoveDir { path: path.to_path_buf() })
        })
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.change(Operation::Create, path, |_| Ok(Op::CreateDirs { path: path.to_path_buf() }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.call(Operation::Read, dir, 0).map_err(|(_, error)| error)?.now.list(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.change(Operation::SyncDir, dir, |disk| {
            disk.list(dir)?;
            Ok(Op::SyncDir { dir: dir.to_path_buf() })
        })
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.call(Operation::Stat, path, 0).map_err(|(_, error)| error)?.now.exists(path))
    }

    fn available_bytes(&self, path: &Path) -> io::Result<u64> {
        let shared = self.call(Operation::Stat, path, 0).map_err(|(_, error)| error)?;
        Ok(shared
            .capacity
            .map_or(u64::MAX, |capacity| capacity.saturating_sub(shared.now.used_bytes())))
    }

    fn lock_dir(&self, dir: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let mut shared = self.call(Operation::Open, dir, 0).map_err(|(_, error)| error)?;
        if !shared.locked.insert(dir.to_path_buf()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(DirLock { shared: self.shared.clone(), dir: dir.to_path_buf() }))
    }
}

struct DirLock {
    shared: Arc<Mutex<Shared>>,
    dir: PathBuf,
}

impl Drop for DirLock {
    fn drop(&mut self) {
        self.shared.lock().locked.remove(&self.dir);
    }
}

#[derive(Debug)]
struct FaultyFile {
    fs: FaultyFs,
    path: PathBuf,
    id: FileId,
    read_only: bool,
}

impl FaultyFile {
    fn must_be_writable(&self) -> io::Result<()> {
        if self.read_only { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(()) }
    }

    fn write(&self, shared: &mut Shared, bytes: &[u8], offset: u64) -> io::Result<()> {
        shared.record(Op::Write { id: self.id, offset, bytes: bytes.to_vec() })
    }
}

impl File for FaultyFile {
    fn path(&self) -> &PathBuf {
        &self.path
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let call = self.fs.call(Operation::Read, &self.path, buffer.len());
        let mut shared = call.map_err(|(_, error)| error)?;
        shared.fetch(self.id, offset, buffer.len())?;
        super::memory::read_exact(shared.now.content(self.id), buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.must_be_writable()?;
        let failed = match self.fs.call(Operation::Write, &self.path, bytes.len()) {
            Ok(mut shared) => return self.write(&mut shared, bytes, offset),
            Err(failed) => failed,
        };
        if failed.0 == Failure::Short {
            self.write(&mut self.fs.shared.lock(), &bytes[..bytes.len() / 2], offset)?;
        }
        Err(failed.1)
    }

    fn sync_data(&self) -> io::Result<()> {
        match self.fs.call(Operation::Sync, &self.path, 0) {
            Ok(mut shared) => shared.record(Op::Sync { id: self.id }),
            Err((_, error)) => {
                self.fs.shared.lock().record(Op::FailedSync { id: self.id })?;
                Err(error)
            }
        }
    }

    fn len(&self) -> io::Result<u64> {
        let shared = self.fs.call(Operation::Stat, &self.path, 0).map_err(|(_, error)| error)?;
        Ok(shared.now.content(self.id).len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.must_be_writable()?;
        self.fs.change(Operation::SetLen, &self.path, |_| Ok(Op::SetLen { id: self.id, len }))
    }
}

#[cfg(test)]
mod tests;

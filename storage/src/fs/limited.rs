//! Fewer open files than files: a file system that keeps no more than so many open for reading.
//!
//! A process has a limited number of descriptors, and a database has as many files as its data asks for. What is opened
//! here for reading is a handle: while its file is open, a read goes there at once, past any lock; when other files need
//! the room, it is closed, and the next read opens it again by its name. Which one is closed a clock says (second chance):
//! the hand passes over files that were read since it came by, and takes the first that was not.
//!
//! Files that are written stay open until their writers let go of them: these are few, and to close one between a write
//! and its sync could lose the error of that write. If the system has no descriptor left all the same, because others
//! (connections) took them, files are closed and the call is made once more.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use rustix::io::Errno;

use crate::fs::{File, Fs};

/// When the system has none left, so many files are closed for each one to be opened: the next ones find room.
const CLOSED_AT_ONCE: usize = 16;

/// A file system of which at most so many files are open for reading.
#[derive(Clone, Debug)]
pub struct LimitedFs {
    inner: Arc<dyn Fs>,
    open: Arc<OpenFiles>,
}

/// The files that are open.
#[derive(Debug)]
struct OpenFiles {
    limit: usize,
    clock: Mutex<Clock>,
}

#[derive(Debug, Default)]
struct Clock {
    /// Open ones, and some that are gone. Never more than the limit.
    handles: Vec<Weak<Handle>>,
    hand: usize,
}

/// A file that is open now and then.
#[derive(Debug)]
struct Handle {
    fs: LimitedFs,
    path: PathBuf,
    file: ArcSwapOption<OpenFile>,
    /// Whether it was read since the clock's hand came by.
    used: AtomicBool,
    /// Held while it is opened anew, so that it happens once.
    opening: Mutex<()>,
}

#[derive(Debug)]
struct OpenFile(Arc<dyn File>);

impl LimitedFs {
    /// At most `limit` files of `inner` are open for reading; one at least.
    pub fn new(inner: Arc<dyn Fs>, limit: usize) -> LimitedFs {
        let open = OpenFiles { limit: limit.max(1), clock: Mutex::default() };
        LimitedFs { inner, open: Arc::new(open) }
    }

    /// Makes a call that needs a descriptor; once more if there was none.
    fn with_descriptor<T>(&self, call: impl Fn(&dyn Fs) -> io::Result<T>) -> io::Result<T> {
        match call(&*self.inner) {
            Err(error) if is_out_of_descriptors(&error) => {
                self.open.close_some(CLOSED_AT_ONCE);
                call(&*self.inner)
            }
            result => result,
        }
    }
}

/// The process, or the system, has no descriptor left.
fn is_out_of_descriptors(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MFILE | Errno::NFILE))
}

impl OpenFiles {
    /// Enters a file that is being opened; another one is closed for it if they are too many.
    fn enter(&self, handle: &Arc<Handle>) {
        let mut clock = self.clock.lock();
        let mut closed = Vec::new();
        while clock.handles.len() >= self.limit {
            closed.extend(clock.take());
        }
        clock.handles.push(Arc::downgrade(handle));
        drop(clock);
        // Closed past the lock.
        drop(closed);
    }

    fn close_some(&self, count: usize) {
        let mut clock = self.clock.lock();
        let count = count.min(clock.handles.len());
        let closed: Vec<_> = (0..count).filter_map(|_| clock.take()).collect();
        drop(clock);
        drop(closed);
    }
}

impl Clock {
    /// Takes out the first that was not read since the hand came by; its file, if it is still open.
    fn take(&mut self) -> Option<Arc<OpenFile>> {
        while !self.handles.is_empty() {
            self.hand %= self.handles.len();
            match self.handles[self.hand].upgrade() {
                Some(handle) if handle.used.swap(false, Ordering::Relaxed) => self.hand += 1,
                gone_or_unused => {
                    self.handles.swap_remove(self.hand);
                    return gone_or_unused.and_then(|handle| handle.file.swap(None));
                }
            }
        }
        None
    }
}

/// A handle as a file.
#[derive(Debug)]
struct LimitedFile(Arc<Handle>);

impl LimitedFile {
    /// Works with the file, which is opened for it if need be.
    fn with<T>(&self, work: impl FnOnce(&dyn File) -> io::Result<T>) -> io::Result<T> {
        let handle = &self.0;
        if let Some(OpenFile(file)) = handle.file.load().as_deref() {
            // Mostly it is set: a load leaves the line shared between cores, a store does not.
            if !handle.used.load(Ordering::Relaxed) {
                handle.used.store(true, Ordering::Relaxed);
            }
            return work(&**file);
        }
        work(&*self.reopened()?.0)
    }

    #[cold]
    fn reopened(&self) -> io::Result<Arc<OpenFile>> {
        let Handle { fs, path, file, opening, .. } = &*self.0;
        let _once = opening.lock();
        if let Some(file) = file.load_full() {
            return Ok(file);
        }
        let opened = Arc::new(OpenFile(fs.with_descriptor(|fs| fs.open(path, true))?));
        file.store(Some(Arc::clone(&opened)));
        fs.open.enter(&self.0);
        Ok(opened)
    }
}

impl File for LimitedFile {
    fn path(&self) -> &PathBuf {
        &self.0.path
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.with(|file| file.read_exact_at(buffer, offset))
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.with(|file| file.write_all_at(bytes, offset))
    }

    fn sync_data(&self) -> io::Result<()> {
        self.with(|file| file.sync_data())
    }

    fn len(&self) -> io::Result<u64> {
        self.with(|file| file.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.with(|file| file.set_len(len))
    }
}

impl Fs for LimitedFs {
    fn open(&self, path: &Path, read_only: bool) -> io::Result<Arc<dyn File>> {
        let file = self.with_descriptor(|fs| fs.open(path, read_only))?;
        if !read_only {
            return Ok(file);
        }
        let handle = Arc::new(Handle {
            fs: self.clone(),
            path: path.to_path_buf(),
            file: ArcSwapOption::from_pointee(OpenFile(file)),
            used: AtomicBool::new(true),
            opening: Mutex::new(()),
        });
        self.open.enter(&handle);
        Ok(Arc::new(LimitedFile(handle)))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        self.with_descriptor(|fs| fs.create(path))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.inner.remove_dir(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.inner.create_dir_all(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.with_descriptor(|fs| fs.list(dir))
    }

    fn is_empty_dir(&self, dir: &Path) -> io::Result<bool> {
        self.with_descriptor(|fs| fs.is_empty_dir(dir))
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.with_descriptor(|fs| fs.sync_dir(dir))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.inner.exists(path)
    }

    fn available_bytes(&self, path: &Path) -> io::Result<u64> {
        self.inner.available_bytes(path)
    }

    fn lock_dir(&self, dir: &Path) -> io::Result<Box<dyn Send + Sync>> {
        self.with_descriptor(|fs| fs.lock_dir(dir))
    }
}

#[cfg(test)]
mod tests;

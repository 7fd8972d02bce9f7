//! A file system that counts what is read through it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tholos_storage::fs::{File, Fs};

/// What was read so far.
#[derive(Debug, Default)]
pub struct Reads {
    /// Reads.
    pub count: AtomicU64,
    /// Their bytes.
    pub bytes: AtomicU64,
}

/// Counts the reads of another file system.
#[derive(Debug)]
pub struct CountingFs {
    inner: Arc<dyn Fs>,
    reads: Arc<Reads>,
}

impl CountingFs {
    /// Counts there what is read from `inner`.
    pub fn new(inner: Arc<dyn Fs>, reads: Arc<Reads>) -> Self {
        CountingFs { inner, reads }
    }

    fn counted(&self, file: Arc<dyn File>) -> Arc<dyn File> {
        Arc::new(CountingFile { inner: file, reads: Arc::clone(&self.reads) })
    }
}

impl Fs for CountingFs {
    fn open(&self, path: &Path, read_only: bool) -> io::Result<Arc<dyn File>> {
        Ok(self.counted(self.inner.open(path, read_only)?))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(self.counted(self.inner.create(path)?))
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
        self.inner.list(dir)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.inner.sync_dir(dir)
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        self.inner.exists(path)
    }

    fn available_bytes(&self, path: &Path) -> io::Result<u64> {
        self.inner.available_bytes(path)
    }

    fn lock_dir(&self, dir: &Path) -> io::Result<Box<dyn Send + Sync>> {
        self.inner.lock_dir(dir)
    }
}

#[derive(Debug)]
struct CountingFile {
    inner: Arc<dyn File>,
    reads: Arc<Reads>,
}

impl File for CountingFile {
    fn path(&self) -> &PathBuf {
        self.inner.path()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.reads.count.fetch_add(1, Ordering::Relaxed);
        self.reads.bytes.fetch_add(buffer.len() as u64, Ordering::Relaxed);
        self.inner.read_exact_at(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.inner.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }
}

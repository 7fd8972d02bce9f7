//! The one way to the disk. Everything in storage reads and writes through [`Fs`]: the real one, and an in-memory one
//! that can fail, fill up, tear writes and forget what was not synced.
//!
//! Durability contract, as POSIX gives it: written bytes survive a crash only after [`File::sync_data`] of that file;
//! a created, renamed, linked or removed name only after [`Fs::sync_dir`] of its directory.

pub mod faulty;
pub mod limited;
pub mod memory;
pub mod nowait;
pub mod real;

use std::fmt::Debug;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file system. Paths are absolute or relative to the process; the data directory is created by its user.
pub trait Fs: Debug + Send + Sync {
    /// Opens a file that must exist, for reading and, unless `read_only`, writing.
    fn open(&self, path: &Path, read_only: bool) -> io::Result<Arc<dyn File>>;
    /// Creates a file for reading and writing; an existing one is an error (`AlreadyExists`).
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;
    /// Renames a file, replacing the target if there is one.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Adds a second name to a file.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Creates a directory and its parents; fine if it exists.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Names in a directory, sorted. A missing directory is an error (`NotFound`).
    fn list(&self, dir: &Path) -> io::Result<Vec<String>>;
    /// Whether there is nothing in a directory. A missing directory is an error (`NotFound`).
    fn is_empty_dir(&self, dir: &Path) -> io::Result<bool> {
        Ok(self.list(dir)?.is_empty())
    }
    /// Makes created, renamed and removed names in a directory durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
    /// Whether there is a file or directory of that name.
    fn exists(&self, path: &Path) -> io::Result<bool>;
    /// Bytes that may still be written on the device that holds this path.
    fn available_bytes(&self, path: &Path) -> io::Result<u64>;
    /// Takes an exclusive lock of the directory, held until the guard is dropped; `WouldBlock` when another has it.
    fn lock_dir(&self, dir: &Path) -> io::Result<Box<dyn Send + Sync>>;
}

/// An open file. All methods take `&self`: positions are arguments.
pub trait File: Debug + Send + Sync {
    /// The path it was opened by, for messages.
    fn path(&self) -> &PathBuf;
    /// Fills the buffer from that offset; `UnexpectedEof` if the file ends earlier.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;
    /// Writes all bytes at that offset, growing the file as needed.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;
    /// Makes the file's bytes and length durable. After an error nothing is known of what is on disk.
    fn sync_data(&self) -> io::Result<()>;
    /// Its length in bytes.
    fn len(&self) -> io::Result<u64>;
    /// Cuts or extends (with zeros, allocated) to that length.
    fn set_len(&self, len: u64) -> io::Result<()>;
    /// Whether it has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// Creates a directory and its parents, and makes their names durable.
///
/// Each is durable before anything is made in it, so one that has content is: also after a stop in between.
///
/// # Errors
/// What the file system meets.
pub fn create_dir_durably(fs: &dyn Fs, dir: &Path) -> io::Result<()> {
    let mut levels = Vec::new();
    for level in dir.ancestors().filter(|level| !level.as_os_str().is_empty()) {
        levels.push(level);
        if fs.exists(level)? {
            break;
        }
    }
    for level in levels.into_iter().rev() {
        if !fs.exists(level)? {
            fs.create_dir_all(level)?;
        } else if !fs.is_empty_dir(level)? {
            continue;
        }
        match level.parent() {
            Some(parent) if parent.as_os_str().is_empty() => fs.sync_dir(Path::new("."))?,
            Some(parent) => fs.sync_dir(parent)?,
            None => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What every file system must do; run by the tests of each.
    pub(super) fn contract(fs: &dyn Fs, root: &Path) {
        let dir = root.join("a/b");
        fs.create_dir_all(&dir).unwrap();
        fs.create_dir_all(&dir).unwrap();
        files(fs, &dir);
        names(fs, &dir);
        assert_eq!(fs.remove_dir(&dir).unwrap_err().kind(), io::ErrorKind::DirectoryNotEmpty);
        assert!(!fs.is_empty_dir(&dir).unwrap());
        for name in fs.list(&dir).unwrap() {
            fs.remove(&dir.join(name)).unwrap();
        }
        assert!(fs.is_empty_dir(&dir).unwrap());
        fs.remove_dir(&dir).unwrap();
        assert_eq!(fs.is_empty_dir(&dir).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(fs.list(&dir).unwrap_err().kind(), io::ErrorKind::NotFound);
    }

    fn files(fs: &dyn Fs, dir: &Path) {
        let path = dir.join("file");
        let missing = fs.open(&path, true).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
        let file = fs.create(&path).unwrap();
        assert_eq!(fs.create(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(file.path(), &path);
        assert!(file.is_empty().unwrap());
        file.write_all_at(b"hello", 0).unwrap();
        file.write_all_at(b"world", 7).unwrap();
        file.write_all_at(b"J", 0).unwrap();
        let mut buffer = [0xff; 12];
        file.read_exact_at(&mut buffer, 0).unwrap();
        assert_eq!(&buffer, b"Jello\0\0world");
        let short = file.read_exact_at(&mut buffer, 1).unwrap_err();
        assert_eq!(short.kind(), io::ErrorKind::UnexpectedEof);
        file.set_len(4).unwrap();
        file.set_len(6).unwrap();
        file.sync_data().unwrap();
        let mut buffer = [0xff; 6];
        let reader = fs.open(&path, true).unwrap();
        reader.read_exact_at(&mut buffer, 0).unwrap();
        assert_eq!((&buffer, reader.len().unwrap()), (b"Jell\0\0", 6));
        reader.write_all_at(b"x", 0).unwrap_err();
        fs.open(&path, false).unwrap().write_all_at(b"x", 0).unwrap();
    }

    fn names(fs: &dyn Fs, dir: &Path) {
        let [one, two, three] = ["one", "two", "three"].map(|name| dir.join(name));
        fs.create(&one).unwrap().write_all_at(b"1", 0).unwrap();
        fs.create(&two).unwrap();
        let open = fs.open(&two, true).unwrap();
        fs.rename(&one, &two).unwrap();
        assert!(open.is_empty().unwrap(), "a replaced file lives on while it is open");
        fs.hard_link(&two, &three).unwrap();
        assert_eq!(fs.hard_link(&two, &three).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        fs.open(&three, false).unwrap().write_all_at(b"33", 0).unwrap();
        assert_eq!(fs.open(&two, true).unwrap().len().unwrap(), 2);
        fs.remove(&two).unwrap();
        assert_eq!(fs.remove(&two).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!((fs.exists(&two).unwrap(), fs.exists(&three).unwrap()), (false, true));
        fs.sync_dir(dir).unwrap();
        assert_eq!(fs.list(dir).unwrap(), ["file", "three"]);
        assert!(fs.available_bytes(dir).unwrap() > 0);
    }
}

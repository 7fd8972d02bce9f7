//! The file system of the machine.
//!
//! What is made is for its owner alone: 0600, directories 0700. Files are opened close-on-exec (std does). Growth by [`File::set_len`] allocates blocks, so that a full disk shows
//! there and not at a later write. A directory is locked by `flock` on a file `LOCK` in it: the system drops the lock
//! when the process ends, however it ends.

use std::fs::{self, OpenOptions, TryLockError};
use std::io::{self, IoSliceMut};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::FallocateFlags;
use rustix::io::{Errno, ReadWriteFlags};

use crate::fs::nowait::may_wait;
use crate::fs::{File, Fs};

/// The file system of the machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealFs;

/// Name of the lock file in a locked directory.
const LOCK_FILE: &str = "LOCK";

const FILE_MODE: u32 = 0o600;
const DIR_MODE: u32 = 0o700;

impl Fs for RealFs {
    fn open(&self, path: &Path, read_only: bool) -> io::Result<Arc<dyn File>> {
        // Looking up a name may have to read directories. Who writes waits anyway.
        if read_only && !may_wait() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let file = OpenOptions::new().read(true).write(!read_only).open(path)?;
        Ok(Arc::new(RealFile::new(file, path)))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(FILE_MODE).open(path)?;
        Ok(Arc::new(RealFile::new(file, path)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(DIR_MODE).create(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(dir)? {
            names.push(entry?.file_name().to_string_lossy().into_owned());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn is_empty_dir(&self, dir: &Path) -> io::Result<bool> {
        Ok(fs::read_dir(dir)?.next().transpose()?.is_none())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        fs::File::open(dir)?.sync_all()
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        path.try_exists()
    }

    fn available_bytes(&self, path: &Path) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(path)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    fn lock_dir(&self, dir: &Path) -> io::Result<Box<dyn Send + Sync>> {
        let path = dir.join(LOCK_FILE);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
        let file = options.open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(file)),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

#[derive(Debug)]
struct RealFile {
    file: fs::File,
    path: PathBuf,
    /// The file system can't say whether a read would wait.
    always_waits: AtomicBool,
}

impl RealFile {
    fn new(file: fs::File, path: &Path) -> RealFile {
        RealFile { file, path: path.to_path_buf(), always_waits: AtomicBool::new(false) }
    }

    /// Reads what the system has in memory; `WouldBlock` if that is not all.
    fn read_at_once(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut filled = 0;
        while filled < buffer.len() {
            let mut rest = [IoSliceMut::new(&mut buffer[filled..])];
            let at = offset + filled as u64;
            match rustix::io::preadv2(&self.file, &mut rest, at, ReadWriteFlags::NOWAIT) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => filled += read,
                Err(Errno::INTR) => {}
                Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => {
                    self.always_waits.store(true, Ordering::Relaxed);
                    return Err(io::ErrorKind::WouldBlock.into());
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

impl File for RealFile {
    fn path(&self) -> &PathBuf {
        &self.path
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if may_wait() {
            return self.file.read_exact_at(buffer, offset);
        }
        if self.always_waits.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        self.read_at_once(buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let now = self.len()?;
        if len <= now {
            return self.file.set_len(len);
        }
        match rustix::fs::fallocate(&self.file, FallocateFlags::empty(), now, len - now) {
            // Some file systems cannot allocate ahead: growing without it is still right, only less early to complain.
            Err(Errno::OPNOTSUPP) => self.file.set_len(len),
            result => Ok(result?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::nowait::without_waiting;

    #[test]
    fn files_and_names_behave_as_the_trait_says() {
        let dir = tempfile::tempdir().unwrap();
        crate::fs::tests::contract(&RealFs, dir.path());
    }

    #[test]
    fn a_read_that_must_not_wait_says_so_or_is_right() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        let file = RealFs.create(&path).unwrap();
        let bytes: Vec<u8> = (0..100_000).map(|at| at as u8).collect();
        file.write_all_at(&bytes, 0).unwrap();
        file.sync_data().unwrap();
        let all = rustix::fs::Advice::DontNeed;
        rustix::fs::fadvise(std::fs::File::open(&path).unwrap(), 0, None, all).unwrap();
        let read = || {
            let mut buffer = vec![0; bytes.len()];
            file.read_exact_at(&mut buffer, 0).map(|()| buffer)
        };
        match without_waiting(read) {
            Ok(seen) => assert_eq!(seen, bytes),
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::WouldBlock),
        }
        assert_eq!(read().unwrap(), bytes, "who may wait reads it");
        // Just read, it is in memory: unless the file system can't tell.
        assert!(without_waiting(read).is_ok_and(|seen| seen == bytes) || !supports_nowait(&path));
        let refused = without_waiting(|| RealFs.open(&path, true)).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
    }

    fn supports_nowait(path: &Path) -> bool {
        let file = std::fs::File::open(path).unwrap();
        let mut byte = [0];
        let mut buffer = [IoSliceMut::new(&mut byte)];
        rustix::io::preadv2(file, &mut buffer, 0, ReadWriteFlags::NOWAIT) != Err(Errno::OPNOTSUPP)
    }

    #[test]
    fn files_and_directories_are_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt;

        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("a/b");
        RealFs.create_dir_all(&dir).unwrap();
        RealFs.create(&dir.join("file")).unwrap();
        drop(RealFs.lock_dir(&dir).unwrap());
        let mode =
            |path: &str| fs::metadata(root.path().join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("a"), mode("a/b")), (0o700, 0o700));
        assert_eq!((mode("a/b/file"), mode("a/b/LOCK")), (0o600, 0o600));
    }

    #[test]
    fn a_directory_is_locked_once() {
        let dir = tempfile::tempdir().unwrap();
        let guard = RealFs.lock_dir(dir.path()).unwrap();
        let refused = RealFs.lock_dir(dir.path()).err().unwrap();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(guard);
        RealFs.lock_dir(dir.path()).unwrap();
    }
}

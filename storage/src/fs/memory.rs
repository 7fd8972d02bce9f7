//! A file system in memory: for `--memory`, and for tests that need no faults.
//!
//! It holds what the files contain and nothing else: no history. Syncing does nothing, a crash loses everything. A
//! removed file lives on while it is open, as POSIX has it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};

use crate::fs::{File, Fs};

/// A file system in memory. Clones share their content.
#[derive(Clone, Debug, Default)]
pub struct MemoryFs {
    names: Arc<Mutex<Names>>,
}

#[derive(Debug, Default)]
struct Names {
    files: BTreeMap<PathBuf, Arc<RwLock<Vec<u8>>>>,
    dirs: BTreeSet<PathBuf>,
    locked: BTreeSet<PathBuf>,
}

impl MemoryFs {
    /// An empty file system.
    pub fn new() -> Self {
        Self::default()
    }

    /// Puts a whole file there, directories included, replacing what was there.
    pub fn put(&self, path: &Path, bytes: Vec<u8>) {
        let mut names = self.names.lock();
        names.dirs.extend(path.ancestors().skip(1).map(Path::to_path_buf));
        names.files.insert(path.to_path_buf(), Arc::new(RwLock::new(bytes)));
    }

    /// The whole content of a file.
    pub fn content(&self, path: &Path) -> Option<Vec<u8>> {
        Some(self.names.lock().files.get(path)?.read().clone())
    }
}

impl Names {
    fn parent_must_exist(&self, path: &Path) -> io::Result<()> {
        let parent = path.parent().unwrap_or(Path::new(""));
        let exists =
            parent.as_os_str().is_empty() || parent == Path::new("/") || self.dirs.contains(parent);
        if exists { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    fn file(&self, path: &Path) -> io::Result<&Arc<RwLock<Vec<u8>>>> {
        self.files.get(path).ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl Fs for MemoryFs {
    fn open(&self, path: &Path, read_only: bool) -> io::Result<Arc<dyn File>> {
        let bytes = self.names.lock().file(path)?.clone();
        Ok(Arc::new(MemoryFile { path: path.to_path_buf(), read_only, bytes }))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut names = self.names.lock();
        names.parent_must_exist(path)?;
        if names.files.contains_key(path) || names.dirs.contains(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let bytes = Arc::new(RwLock::new(Vec::new()));
        names.files.insert(path.to_path_buf(), bytes.clone());
        Ok(Arc::new(MemoryFile { path: path.to_path_buf(), read_only: false, bytes }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut names = self.names.lock();
        names.parent_must_exist(to)?;
        let file = names.files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        names.files.insert(to.to_path_buf(), file);
        Ok(())
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut names = self.names.lock();
        names.parent_must_exist(to)?;
        if names.files.contains_key(to) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let file = names.file(from)?.clone();
        names.files.insert(to.to_path_buf(), file);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.names.lock().files.remove(path).map(drop).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        if !self.list(path)?.is_empty() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        self.names.lock().dirs.remove(path);
        Ok(())
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.names.lock().dirs.extend(path.ancestors().map(Path::to_path_buf));
        Ok(())
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        let names = self.names.lock();
        if !names.dirs.contains(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let children =
            names.files.keys().chain(&names.dirs).filter(|path| path.parent() == Some(dir));
        let mut list: Vec<String> = children
            .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
            .collect();
        list.sort_unstable();
        Ok(list)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        if self.names.lock().dirs.contains(dir) {
            Ok(())
        } else {
            Err(io::ErrorKind::NotFound.into())
        }
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        let names = self.names.lock();
        Ok(names.files.contains_key(path) || names.dirs.contains(path))
    }

    fn available_bytes(&self, _path: &Path) -> io::Result<u64> {
        Ok(u64::MAX)
    }

    fn lock_dir(&self, dir: &Path) -> io::Result<Box<dyn Send + Sync>> {
        if !self.names.lock().locked.insert(dir.to_path_buf()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(DirLock { names: self.names.clone(), dir: dir.to_path_buf() }))
    }
}

struct DirLock {
    names: Arc<Mutex<Names>>,
    dir: PathBuf,
}

impl Drop for DirLock {
    fn drop(&mut self) {
        self.names.lock().locked.remove(&self.dir);
    }
}

#[derive(Debug)]
struct MemoryFile {
    path: PathBuf,
    read_only: bool,
    bytes: Arc<RwLock<Vec<u8>>>,
}

impl MemoryFile {
    fn must_be_writable(&self) -> io::Result<()> {
        if self.read_only { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(()) }
    }
}

impl File for MemoryFile {
    fn path(&self) -> &PathBuf {
        &self.path
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        read_exact(&self.bytes.read(), buffer, offset)
    }

    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.must_be_writable()?;
        write_all(&mut self.bytes.write(), bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.read().len() as u64)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.must_be_writable()?;
        set_len(&mut self.bytes.write(), len)
    }
}

/// Fills `buffer` from a file's content, or says that it ends earlier.
pub(super) fn read_exact(content: &[u8], buffer: &mut [u8], offset: u64) -> io::Result<()> {
    let found = usize::try_from(offset)
        .ok()
        .and_then(|start| content.get(start..)?.get(..buffer.len()))
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    buffer.copy_from_slice(found);
    Ok(())
}

/// Writes into a file's content, filling a gap with zeros.
pub(super) fn write_all(content: &mut Vec<u8>, bytes: &[u8], offset: u64) -> io::Result<()> {
    let start = usize::try_from(offset).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let end = start.checked_add(bytes.len()).ok_or(io::ErrorKind::FileTooLarge)?;
    if start == content.len() {
        content.extend_from_slice(bytes);
        return Ok(());
    }
    if end > content.len() {
        content.resize(end, 0);
    }
    content[start..end].copy_from_slice(bytes);
    Ok(())
}

/// Cuts a file's content or extends it with zeros.
pub(super) fn set_len(content: &mut Vec<u8>, len: u64) -> io::Result<()> {
    let len = usize::try_from(len).map_err(|_| io::ErrorKind::FileTooLarge)?;
    if content.is_empty() {
        // Zeroed pages come untouched from the system: a large new file takes memory only where it is written.
        *content = vec![0; len];
    } else {
        content.resize(len, 0);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_and_names_behave_as_the_trait_says() {
        crate::fs::tests::contract(&MemoryFs::new(), Path::new("/data"));
    }
}

use std::sync::atomic::AtomicUsize;

use super::*;
use crate::fs::memory::MemoryFs;

/// Counts descriptors: there are only so many.
#[derive(Debug)]
struct Descriptors {
    inner: MemoryFs,
    open: Arc<AtomicUsize>,
    most: AtomicUsize,
    opened: AtomicUsize,
    limit: AtomicUsize,
}

#[derive(Debug)]
struct Counted(Arc<dyn File>, Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::Relaxed);
    }
}

impl File for Counted {
    fn path(&self) -> &PathBuf {
        self.0.path()
    }
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.0.read_exact_at(buffer, offset)
    }
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }
    fn sync_data(&self) -> io::Result<()> {
        self.0.sync_data()
    }
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }
}

impl Descriptors {
    fn new(limit: usize) -> Arc<Descriptors> {
        Arc::new(Descriptors {
            inner: MemoryFs::new(),
            open: Arc::default(),
            most: AtomicUsize::new(0),
            opened: AtomicUsize::new(0),
            limit: AtomicUsize::new(limit),
        })
    }

    fn open_now(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    fn opened(&self) -> usize {
        self.opened.load(Ordering::Relaxed)
    }

    fn counted(&self, file: io::Result<Arc<dyn File>>) -> io::Result<Arc<dyn File>> {
        let file = file?;
        if self.open_now() >= self.limit.load(Ordering::Relaxed) {
            return Err(Errno::MFILE.into());
        }
        let now = self.open.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        self.opened.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::new(Counted(file, Arc::clone(&self.open))))
    }
}

impl Fs for Descriptors {
    fn open(&self, path: &Path, read_only: bool) -> io::Result<Arc<dyn File>> {
        self.counted(self.inner.open(path, read_only))
    }
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        if self.open_now() >= self.limit.load(Ordering::Relaxed) {
            return Err(Errno::MFILE.into());
        }
        self.counted(self.inner.create(path))
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

fn path(number: u8) -> PathBuf {
    Path::new("/data").join(number.to_string())
}

/// Files that hold their numbers, opened for reading.
fn files(system: &Descriptors, fs: &LimitedFs, numbers: std::ops::Range<u8>) -> Vec<Arc<dyn File>> {
    numbers
        .map(|number| {
            system.inner.put(&path(number), vec![number]);
            fs.open(&path(number), true).unwrap()
        })
        .collect()
}

fn read(file: &Arc<dyn File>) -> io::Result<u8> {
    let mut byte = [0];
    file.read_exact_at(&mut byte, 0).map(|()| byte[0])
}

#[test]
fn files_and_names_behave_as_the_trait_says() {
    for limit in [1, 2, 100] {
        let fs = LimitedFs::new(Arc::new(MemoryFs::new()), limit);
        crate::fs::tests::contract(&fs, Path::new("/data"));
    }
}

#[test]
fn no_more_are_open_than_may_be_and_all_are_read() {
    let system = Descriptors::new(usize::MAX);
    let fs = LimitedFs::new(Arc::clone(&system) as _, 4);
    let files = files(&system, &fs, 0..100);
    for _ in 0..3 {
        for (number, file) in files.iter().enumerate() {
            assert_eq!(read(file).unwrap(), number as u8);
        }
    }
    // The one that is opened comes before the one that is closed for it.
    assert!(system.most.load(Ordering::Relaxed) <= 5);
    assert_eq!(system.open_now(), 4);
    drop(files);
    assert_eq!(system.open_now(), 0);
}

#[test]
fn what_is_read_again_and_again_stays_open() {
    let system = Descriptors::new(usize::MAX);
    let fs = LimitedFs::new(Arc::clone(&system) as _, 4);
    let files = files(&system, &fs, 0..50);
    read(&files[0]).unwrap();
    let before = system.opened();
    for number in 1..50 {
        read(&files[0]).unwrap();
        read(&files[number]).unwrap();
    }
    assert!(system.opened() - before <= 49 + 1, "opened {} times", system.opened() - before);
}

#[test]
fn files_that_are_gone_leave_their_places() {
    let system = Descriptors::new(usize::MAX);
    let fs = LimitedFs::new(Arc::clone(&system) as _, 3);
    let kept = files(&system, &fs, 0..2);
    for number in 2..100 {
        drop(files(&system, &fs, number..number + 1));
    }
    assert_eq!((read(&kept[0]).unwrap(), read(&kept[1]).unwrap()), (0, 1));
    assert!(fs.open.clock.lock().handles.len() <= 3);
    assert_eq!(system.open_now(), 2);
}

#[test]
fn a_system_without_descriptors_gets_some_back() {
    let system = Descriptors::new(usize::MAX);
    let fs = LimitedFs::new(Arc::clone(&system) as _, 1_000);
    let files = files(&system, &fs, 0..60);
    // Others have taken the rest: connections, as a rule.
    system.limit.store(60, Ordering::Relaxed);
    let written = fs.create(&path(200)).unwrap();
    assert_eq!(system.open_now(), 60 - CLOSED_AT_ONCE + 1, "room for the next ones too");
    written.write_all_at(&[7], 0).unwrap();
    assert!(files.iter().enumerate().all(|(number, file)| read(file).unwrap() == number as u8));
    // With none at all it is an error, and not the end: later it goes on.
    system.limit.store(0, Ordering::Relaxed);
    fs.open.close_some(1_000);
    let error = read(&files[3]).unwrap_err();
    assert_eq!(Errno::from_io_error(&error), Some(Errno::MFILE));
    system.limit.store(60, Ordering::Relaxed);
    assert_eq!(read(&files[3]).unwrap(), 3);
}

#[test]
fn a_file_that_is_missing_when_it_is_opened_again_is_an_error() {
    let system = Descriptors::new(usize::MAX);
    let fs = LimitedFs::new(Arc::clone(&system) as _, 2);
    let files = files(&system, &fs, 0..4);
    system.inner.remove(&path(0)).unwrap();
    assert_eq!(read(&files[0]).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(read(&files[1]).unwrap(), 1);
}

#[test]
fn threads_read_through_a_few_descriptors() {
    let system = Descriptors::new(usize::MAX);
    let fs = LimitedFs::new(Arc::clone(&system) as _, 3);
    let files = files(&system, &fs, 0..20);
    std::thread::scope(|scope| {
        for thread in 0..4_usize {
            let files = &files;
            scope.spawn(move || {
                for step in 0..2_000 {
                    let number = (step * (thread + 1) * 7) % files.len();
                    assert_eq!(read(&files[number]).unwrap(), number as u8);
                }
            });
        }
    });
    assert_eq!(system.open_now(), 3);
}

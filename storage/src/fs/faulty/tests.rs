use super::*;
use crate::fs::nowait::without_waiting;

fn fs_with_file() -> (FaultyFs, PathBuf, Arc<dyn File>) {
    let fs = FaultyFs::new();
    fs.create_dir_all(Path::new("/d")).unwrap();
    fs.sync_dir(Path::new("/")).unwrap();
    let path = PathBuf::from("/d/file");
    let file = fs.create(&path).unwrap();
    (fs, path, file)
}

#[test]
fn files_and_names_behave_as_the_trait_says() {
    crate::fs::tests::contract(&FaultyFs::new(), Path::new("/data"));
}

#[test]
fn only_what_was_synced_is_certain() {
    let (fs, path, file) = fs_with_file();
    file.write_all_at(b"one", 0).unwrap();
    file.sync_data().unwrap();
    assert_eq!(fs.crash(Crash::KeepSynced).content(&path), None, "the name was not synced");
    fs.sync_dir(Path::new("/d")).unwrap();
    file.write_all_at(b"two", 0).unwrap();
    assert_eq!(fs.crash(Crash::KeepSynced).content(&path).unwrap(), b"one");
    assert_eq!(fs.crash(Crash::KeepAll).content(&path).unwrap(), b"two");
    let found: BTreeSet<_> =
        (0..64).map(|seed| fs.crash(Crash::Random { seed }).content(&path).unwrap()).collect();
    assert_eq!(found, BTreeSet::from([b"one".to_vec(), b"two".to_vec()]));
}

#[test]
fn large_writes_tear_at_sectors() {
    let (fs, path, file) = fs_with_file();
    file.write_all_at(&[1; 2048], 0).unwrap();
    file.sync_data().unwrap();
    fs.sync_dir(Path::new("/d")).unwrap();
    file.write_all_at(&[2; 1600], 100).unwrap();
    let torn = (0..64).any(|seed| {
        let content = fs.crash(Crash::Random { seed }).content(&path).unwrap();
        content[100..512].iter().all(|byte| *byte == 1)
            && content[512..1024].iter().all(|byte| *byte == 2)
    });
    assert!(torn);
}

#[test]
fn a_failed_sync_is_not_made_good_by_a_later_one() {
    let (fs, path, file) = fs_with_file();
    fs.sync_dir(Path::new("/d")).unwrap();
    file.write_all_at(b"lost", 0).unwrap();
    fs.fail(Some(Operation::Sync), 0, Failure::Device);
    file.sync_data().unwrap_err();
    file.sync_data().unwrap();
    assert_eq!(fs.crash(Crash::KeepSynced).content(&path).unwrap(), b"");
}

#[test]
fn every_prefix_of_the_record_can_be_revisited() {
    let (fs, path, file) = fs_with_file();
    fs.sync_dir(Path::new("/d")).unwrap();
    let before = fs.recorded();
    for byte in 0..5u8 {
        file.write_all_at(&[byte], u64::from(byte)).unwrap();
    }
    for prefix in 0..=5 {
        let found = fs.crash_at(before + prefix, Crash::KeepAll).content(&path).unwrap();
        assert_eq!(found.len(), prefix);
    }
    assert_eq!(fs.crash_at(0, Crash::KeepAll).content(&path), None);
}

#[test]
fn failures_come_when_planned_and_the_disk_fills_up() {
    let (fs, path, file) = fs_with_file();
    fs.fail(Some(Operation::Write), 1, Failure::Short);
    file.write_all_at(b"fine", 0).unwrap();
    let short = file.write_all_at(b"half", 4).unwrap_err();
    assert_eq!(short.kind(), io::ErrorKind::StorageFull);
    assert_eq!(fs.content(&path).unwrap(), b"fineha");
    fs.limit_bytes(8);
    file.write_all_at(b"lf", 6).unwrap();
    assert_eq!(file.write_all_at(b"x", 8).unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert_eq!(fs.available_bytes(&path).unwrap(), 0);
    fs.heal();
    file.write_all_at(b"x", 8).unwrap();
}

#[test]
fn a_directory_without_a_durable_name_is_lost_with_all_in_it() {
    let fs = FaultyFs::new();
    let dir = Path::new("/a/b");
    fs.create_dir_all(dir).unwrap();
    fs.create(&dir.join("file")).unwrap();
    fs.sync_dir(dir).unwrap();
    fs.sync_dir(Path::new("/a")).unwrap();
    let exists = |fs: FaultyFs| fs.exists(&dir.join("file")).unwrap();
    assert!(!exists(fs.crash(Crash::KeepSynced)));
    assert!(exists(fs.crash(Crash::KeepAll)));
    assert!(!exists(fs.crash(Crash::KeepAll).crash(Crash::KeepSynced)), "still not synced");
    fs.sync_dir(Path::new("/")).unwrap();
    assert!(exists(fs.crash(Crash::KeepSynced)));
}

#[test]
fn who_may_not_wait_reads_what_is_in_memory_alone() {
    let fs = FaultyFs::new();
    let file = fs.create(Path::new("/f")).unwrap();
    file.write_all_at(&[7; 3 * 4096], 0).unwrap();
    let mut byte = [0];
    let at_once = |byte: &mut [u8], at| without_waiting(|| file.read_exact_at(byte, at));
    at_once(&mut byte, 0).unwrap();
    fs.chill();
    for cold in [0, 4096] {
        let refused = at_once(&mut byte, cold).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::WouldBlock);
    }
    file.read_exact_at(&mut byte, 4096).unwrap();
    file.write_all_at(&[8], 8192).unwrap();
    for warm in [4096, 8191, 8192] {
        at_once(&mut byte, warm).unwrap();
    }
    at_once(&mut byte, 4095).unwrap_err();
    at_once(&mut [0; 2], 8191).unwrap();
    at_once(&mut [0; 2], 4095).unwrap_err();
}

#[test]
fn every_call_is_told_of_after_crashes_too() {
    #[derive(Default)]
    struct Calls(parking_lot::Mutex<Vec<(Operation, usize)>>);
    impl Watch for Calls {
        fn called(&self, operation: Operation, path: &Path, bytes: usize) {
            assert_eq!(path, Path::new("/f"));
            self.0.lock().push((operation, bytes));
        }
    }
    let calls = std::sync::Arc::new(Calls::default());
    let fs = FaultyFs::new();
    fs.watch(calls.clone());
    let file = fs.create(Path::new("/f")).unwrap();
    file.write_all_at(b"abc", 0).unwrap();
    file.sync_data().unwrap();
    fs.crash(Crash::KeepAll).open(Path::new("/f"), true).unwrap();
    let expected =
        [(Operation::Create, 0), (Operation::Write, 3), (Operation::Sync, 0), (Operation::Open, 0)];
    assert_eq!(*calls.0.lock(), expected);
}

#[test]
fn what_a_failed_sync_lost_does_not_come_back_over_what_is_newer() {
    let (fs, path, file) = fs_with_file();
    fs.sync_dir(Path::new("/d")).unwrap();
    file.write_all_at(&[1; 8], 0).unwrap();
    fs.fail(Some(Operation::Sync), 0, Failure::Device);
    file.sync_data().unwrap_err();
    file.write_all_at(&[2; 4], 2).unwrap();
    file.sync_data().unwrap();
    let found: Vec<Vec<u8>> =
        (0..32).map(|seed| fs.crash(Crash::Random { seed }).content(&path).unwrap()).collect();
    assert!(found.iter().all(|content| content[2..6] == [2; 4]), "{found:?}");
    assert!(found.iter().any(|content| content[0] == 1), "{found:?}");
    assert!(found.iter().any(|content| content[0] == 0), "{found:?}");
}

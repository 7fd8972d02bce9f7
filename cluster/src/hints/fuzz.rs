//! Entry point for fuzzing: any bytes as the files of a store. Errors are fine; a panic, memory out of proportion to the
//! input, or a store that says something else after a restart is a bug.

use std::path::Path;
use std::sync::Arc;

use tholos_storage::fs::memory::MemoryFs;
use tholos_storage::journal::{Journal, JournalFormat};
use uuid::Uuid;

use super::ledger::FORMAT as LEDGER_FORMAT;
use super::record::Hint;
use super::store::{HintLimits, HintStore, SEGMENT_FORMAT, Verdict};

const DIR: &str = "/fuzz";
const TARGET: Uuid = Uuid::from_u128(1);

/// Opens a store on these bytes and reads all of it, three times. The first byte says whether they are whole files or records of
/// sound ones, the second which part of the rest is the ledger; what is left is a segment.
pub fn hints(bytes: &[u8]) {
    let [mode, split, rest @ ..] = bytes else { return };
    let (ledger, segment) = rest.split_at(rest.len() * usize::from(*split) / 256);
    let fs = MemoryFs::new();
    let is_sound = mode & 1 == 1;
    put(&fs, "ledger", ledger, is_sound.then_some(LEDGER_FORMAT));
    let name = format!("{TARGET}-1.hints");
    put(&fs, &name, segment, (mode & 2 == 2).then_some(SEGMENT_FORMAT));
    let Some(found) = read_all(&fs) else { return };
    // Of a segment that is damaged, what is before the damage was read, and all of it is marked.
    let again = read_all(&fs);
    let is_left = |(hints, _): &(Vec<Hint>, _)| hints.iter().all(|hint| found.0.contains(hint));
    assert!(again.as_ref().is_some_and(is_left), "{found:?}, after a restart {again:?}");
    let is_the_same = again.as_ref() == Some(&found);
    assert!(is_the_same || again.as_ref().is_some_and(|(_, dirty)| *dirty > 0), "{found:?}");
    assert_eq!(again, read_all(&fs), "after another restart");
}

/// Makes a file of the bytes; with a format, a journal of which they are a record. None of no bytes.
fn put(fs: &MemoryFs, name: &str, bytes: &[u8], format: Option<JournalFormat>) {
    let path = Path::new(DIR).join(name);
    if bytes.is_empty() {
        return;
    }
    fs.put(&path, bytes.to_vec());
    if let Some(format) = format {
        // It replaces the file. It fails only if there is no memory.
        let _ = Journal::create(Arc::new(fs.clone()), &path, format, [bytes]);
    }
}

/// All hints of a store that can be opened, and the ranges that its target may lack; what is found damaged is made good
/// before.
fn read_all(fs: &MemoryFs) -> Option<(Vec<Hint>, usize)> {
    let limits = HintLimits { window: i64::MAX, ..HintLimits::default() };
    let store = HintStore::open(Arc::new(fs.clone()), Path::new(DIR), limits, 0, [TARGET]);
    let (mut store, mut hints) = (store.ok()?, Vec::new());
    let mut cursor = store.start(TARGET);
    loop {
        let chunk = store.read(0, TARGET, cursor, 1_000, &|_| Verdict::Deliver).ok()?;
        hints.extend(chunk.hints);
        cursor = chunk.next;
        if chunk.at_end {
            break;
        }
    }
    store.figures();
    store.sync().ok()?;
    Some((hints, store.dirty(TARGET).len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use smallvec::SmallVec;
    use tholos_storage::fs::Fs;
    use tholos_storage::model::mutation::Mutation;
    use tholos_storage::schema::TableId;

    use super::*;

    /// The files of a store that has a segment with hints and is sealed, if it was opened again; as an input.
    fn files(is_sealed: bool) -> (Vec<u8>, Vec<u8>) {
        let fs = Arc::new(MemoryFs::new());
        let open = || {
            HintStore::open(fs.clone(), Path::new(DIR), HintLimits::default(), 0, [TARGET]).unwrap()
        };
        let mut store = open();
        for number in 0..5_u8 {
            let partition = SmallVec::from_slice(&[number; 12]);
            let table = TableId(Uuid::nil());
            let hint = Mutation { table, partition, updates: SmallVec::new() };
            store.append(0, TARGET, &hint).unwrap();
            store.sync().unwrap();
        }
        if is_sealed {
            open();
        }
        let content = |name: &String| fs.content(&Path::new(DIR).join(name)).unwrap();
        let names = fs.list(Path::new(DIR)).unwrap();
        let segment = names.iter().find(|name| name.ends_with(".hints")).unwrap();
        (content(&"ledger".to_string()), content(segment))
    }

    #[test]
    fn the_files_of_a_store_are_read() {
        for is_sealed in [false, true] {
            let fs = MemoryFs::new();
            let (ledger, segment) = files(is_sealed);
            put(&fs, "ledger", &ledger, None);
            put(&fs, &format!("{TARGET}-1.hints"), &segment, None);
            let (hints, dirty) = read_all(&fs).unwrap();
            assert_eq!((hints.len(), dirty), (5, 0));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_store_or_refused(
            mode in 0..4_u8, split: u8, bytes in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            hints(&[&[mode, split], &bytes[..]].concat());
        }

        #[test]
        fn files_that_are_changed_are_a_store_or_refused(
            is_sealed: bool,
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            cut in any::<prop::sample::Index>(),
        ) {
            let (ledger, segment) = files(is_sealed);
            // Halves, since both are of one page.
            let mut bytes = [&[0, 128][..], &ledger, &segment].concat();
            prop_assert_eq!(ledger.len(), segment.len());
            for (at, byte) in changes {
                // Most of a file are zeros: changes that matter are at its beginning.
                let at = at.index(800);
                let at = 2 + if at < 400 { at } else { ledger.len() + at - 400 };
                bytes[at] = byte;
            }
            hints(&bytes);
            bytes.truncate(cut.index(bytes.len()));
            hints(&bytes);
        }
    }
}

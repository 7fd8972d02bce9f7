//! What nodes say to each other about data, as any bytes: commands, mutations, and pages.

use std::sync::Arc;

use super::{STREAMED, empty_engine};
use crate::engine::{Engine, TableStore};
use crate::model::entry::Direction;
use crate::model::mutation::{Mutation, Update};
use crate::model::mutation_codec::{decode_mutation, encode_mutation};
use crate::model::position::{AFTER, BEFORE, HEADER, ROW};
use crate::model::read::{KeyInterval, ReadCommand};
use crate::read::budget::{PageBudget, ReadBudget};
use crate::read::merge::MergeCursor;
use crate::read::page::{Page, digest};
use crate::read::repair::repairs;
use crate::read::run::MergedRun;
use crate::read::source::Source;

/// Takes the bytes as mutations of a table, one after the other, each with its length before it; then reads all of it
/// from memory and from a file. What is taken is sound, and can be told to others.
///
/// # Panics
/// If something was taken that can't be flushed or read.
pub fn mutations(mut bytes: &[u8]) {
    let Ok(engine) = empty_engine() else { return };
    while let Some(mutation) = crate::varint::decode_slice(&mut bytes) {
        let Some(mutation) = decode_mutation(mutation, Some(STREAMED)) else { continue };
        // Not every mutation is one that a table can hold.
        let _ = engine.apply(&Mutation { table: STREAMED, ..mutation });
    }
    let table = engine.table(STREAMED).expect("the engine was opened with it");
    let in_memory = rows(&table);
    engine.flush(STREAMED).expect("what was taken can be written");
    assert_eq!(rows(&table), in_memory, "in memory, and in a file");
}

/// The keys of all rows, in both directions.
fn rows(table: &TableStore) -> Vec<Vec<u8>> {
    let read = |direction| {
        let mut found = table.scan(&[], &[], direction, 0).expect("there is no disk to fail");
        let mut keys = Vec::new();
        while let Some(row) = found.next().expect("what was taken can be read") {
            keys.push(row.key.to_vec());
        }
        keys
    };
    let (forward, mut reverse) = (read(Direction::Forward), read(Direction::Reverse));
    reverse.reverse();
    assert_eq!(forward, reverse);
    forward
}

/// Takes the bytes as a command to a node whose table has some rows and deletions, by the first byte with that much to
/// walk; its answer is one to the command.
///
/// # Panics
/// If it is not.
pub fn command(bytes: &[u8]) {
    let Some((work, mut bytes)) = bytes.split_first() else { return };
    let Some(command) = ReadCommand::decode(&mut bytes) else { return };
    let Ok(engine) = empty_engine() else { return };
    fill(&engine);
    let table = engine.table(STREAMED).expect("the engine was opened with it");
    let page = ReadBudget { entries: u64::from(*work), ..ReadBudget::UNLIMITED };
    let pages = table
        .pages_within(&command, PageBudget { page, ..PageBudget::UNLIMITED })
        .expect("it can be read");
    assert_eq!(pages.is_empty(), command.intervals.is_empty());
    let is_cut = pages.last().is_some_and(Page::is_cut);
    assert!(pages.len() == command.intervals.len() || is_cut);
    let is_asked_for = |interval: &KeyInterval| {
        command.direction == Direction::Forward || interval.is_of_one_partition()
    };
    for (page, interval) in pages.iter().zip(&command.intervals).filter(|(_, i)| is_asked_for(i)) {
        assert!(page.answers(interval, command.direction), "{page:?} for {interval:?}");
    }
}

/// Rows in a file and in memory, and deletions of each kind.
fn fill(engine: &Engine) {
    for mutation in super::partitions() {
        engine.apply(&mutation).expect("it is sound");
    }
    engine.flush(STREAMED).expect("memory has room");
    for mutation in super::partitions().into_iter().skip(2) {
        engine.apply(&mutation).expect("it is sound");
    }
}

/// Takes the bytes as a command and pages of several replicas that are to answer its first interval. Those that do are
/// merged, walked, and repaired.
///
/// # Panics
/// If what is merged has no end, does not get on, or leads outside of what was asked.
pub fn pages(mut bytes: &[u8]) {
    let Some(command) = ReadCommand::decode(&mut bytes) else { return };
    let Some(asked) = command.intervals.first() else { return };
    let mut pages = Vec::new();
    while let Ok(page) = Page::decode(&mut bytes) {
        same_bytes(&page);
        let page = Arc::new(page);
        walk_both_ways(&[Arc::clone(&page)], page.lower(), page.upper());
        if page.answers(asked, command.direction) && pages.len() < 8 {
            pages.push(page);
        }
    }
    let Some(run) = MergedRun::new(pages) else { return };
    let (lower, upper) = (run.lower(), run.upper());
    assert!(*lower >= *asked.lower && ends_at_or_before(upper, &asked.upper), "{run:?}");
    gets_on(&run, asked, command.direction);
    walk_both_ways(run.pages(), lower, upper);
    read_rows(&run, asked, &command);
    for replica in 0..run.pages().len() {
        let mutations = repairs(STREAMED, &run, asked, replica).expect("pages were looked at");
        for mutation in &mutations {
            stays_within(mutation, asked);
            let mut bytes = Vec::new();
            encode_mutation(&mut bytes, mutation, None);
            assert_eq!(decode_mutation(&bytes, None).as_ref(), Some(mutation));
        }
    }
}

fn same_bytes(page: &Page) {
    let (mut bytes, mut again) = (Vec::new(), Vec::new());
    page.encode(&mut bytes);
    let back = Page::decode(&mut bytes.as_slice()).expect("what was written can be read");
    back.encode(&mut again);
    assert_eq!(bytes, again);
    assert_eq!(digest([page]), digest([&back]));
}

fn ends_at_or_before(upper: &[u8], end: &[u8]) -> bool {
    end.is_empty() || (!upper.is_empty() && upper <= end)
}

/// What is left behind a run that was cut is less than what was asked for, and a bound that can be asked for.
fn gets_on(run: &MergedRun, asked: &KeyInterval, direction: Direction) {
    if !run.is_cut() {
        return;
    }
    let bound = match direction {
        Direction::Forward => {
            assert!(run.covers(&asked.lower), "{run:?} for {asked:?}");
            run.upper()
        }
        Direction::Reverse => {
            assert!(ends_at_or_before(&asked.upper, run.upper()), "{run:?} for {asked:?}");
            let gets_on = asked.upper.is_empty() || *run.lower() < *asked.upper;
            assert!(gets_on, "{run:?} for {asked:?}");
            run.lower()
        }
    };
    assert!(bound.is_empty() || bound.len() >= 8, "no key begins so: {bound:?}");
}

/// All entries of pages between two bounds, both ways.
fn walk_both_ways(pages: &[Arc<Page>], lower: &[u8], upper: &[u8]) {
    let sources = || pages.iter().map(|page| Source::Page(Arc::clone(page))).collect();
    let mut counts = [Direction::Forward, Direction::Reverse].map(|direction| {
        let mut walk = MergeCursor::open(sources(), lower, upper, direction).expect("in memory");
        let (mut rows, mut last) = (0, None::<Vec<u8>>);
        while let Some(entry) = walk.advance().expect("pages were looked at") {
            let gets_on = last.is_none_or(|last| match direction {
                Direction::Forward => *last < *entry.key,
                Direction::Reverse => *last > *entry.key,
            });
            assert!(gets_on && *entry.key >= *lower);
            assert!(upper.is_empty() || *entry.key < *upper);
            last = Some(entry.key.to_vec());
            rows += usize::from(matches!(entry.content, crate::model::entry::Content::Row(_)));
        }
        rows
    });
    if pages.len() > 1 {
        // Replicas that don't agree where a partition's key ends are merged to nothing sensible, but to something.
        counts[1] = counts[0];
    }
    assert_eq!(counts[0], counts[1], "forward and in reverse");
}

/// The rows that exist, walked to where more is to be asked for, and each by its key.
fn read_rows(run: &MergedRun, asked: &KeyInterval, command: &ReadCommand) {
    let KeyInterval { lower, upper, .. } = asked;
    let rows = run.rows(lower, upper, command.direction, command.now).expect("looked at");
    let mut rows = rows.expect("it begins where it was asked to");
    let mut keys = Vec::new();
    while let Some(row) = rows.next().expect("pages were looked at") {
        keys.push(row.key.to_vec());
    }
    assert_eq!(rows.is_at_cut(), rows.resume_at().is_some());
    for key in &keys {
        assert!(run.covers(key));
        let _ = run.row(key, command.now).expect("pages were looked at");
    }
}

/// Nothing that lies outside of what was asked for is changed; but that its partition was deleted is said with it.
fn stays_within(mutation: &Mutation, asked: &KeyInterval) {
    let key = |position: &[u8]| [&mutation.partition, position].concat();
    let is_inside =
        |key: &[u8]| *key >= *asked.lower && (asked.upper.is_empty() || *key < *asked.upper);
    for update in &mutation.updates {
        let stays = match update {
            Update::Row { position, .. } => is_inside(&key(position)),
            Update::Partition(_) => {
                is_inside(&key(&[HEADER])) || *asked.partition() == *mutation.partition
            }
            Update::Range { start, end, .. } => {
                let (start, end) = (key(start), key(end));
                // A bound before a row says the same as that row's key, and one behind it as the first key after that.
                let as_row = |bound: &[u8], weight: u8, rest: &[u8]| {
                    bound.strip_suffix(&[weight]).map(|prefix| [prefix, rest].concat())
                };
                let starts = *start >= *asked.lower
                    || as_row(&start, BEFORE, &[ROW]).as_ref() == Some(&asked.lower);
                let ends = ends_at_or_before(&end, &asked.upper)
                    || as_row(&end, AFTER, &[ROW, 0]).as_ref() == Some(&asked.upper);
                starts && ends
            }
        };
        assert!(stays, "{update:?} of {mutation:?} for {asked:?}");
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use proptest::prelude::*;

    use super::*;
    use crate::model::read::{AnswerKind, ReadLimits};
    use crate::varint::encode_slice;

    fn command(interval: KeyInterval, direction: Direction) -> ReadCommand {
        ReadCommand {
            table: STREAMED,
            intervals: vec![interval],
            direction,
            limits: ReadLimits { rows: Some(5), bytes: 1 << 10 },
            now: 3,
            answer: AnswerKind::Data,
        }
    }

    fn everything() -> KeyInterval {
        KeyInterval { lower: vec![], upper: vec![], partition_len: None }
    }

    /// The rows of one partition.
    fn one_partition() -> KeyInterval {
        let partition = super::super::partitions()[2].partition.to_vec();
        let bound = |weight| [&partition[..], &[weight]].concat();
        let partition_len = Some(partition.len());
        KeyInterval { lower: bound(BEFORE), upper: bound(AFTER), partition_len }
    }

    /// A command, and how two replicas answer it that have two partitions and all.
    fn answered(command: &ReadCommand) -> Vec<u8> {
        let mut bytes = Vec::new();
        command.encode(&mut bytes);
        for skipped in [2, 0] {
            let engine = empty_engine().unwrap();
            for mutation in super::super::partitions().into_iter().skip(skipped) {
                engine.apply(&mutation).unwrap();
            }
            let table = engine.table(STREAMED).unwrap();
            for page in table.pages(command).unwrap() {
                page.encode(&mut bytes);
            }
        }
        bytes
    }

    /// What each target begins from: its folder, a name and the bytes.
    fn seeds() -> Vec<(&'static str, &'static str, Vec<u8>)> {
        let forward = command(everything(), Direction::Forward);
        let reverse = command(one_partition(), Direction::Reverse);
        let one_command = |work: u8, command: &ReadCommand| {
            let mut bytes = vec![work];
            command.encode(&mut bytes);
            bytes
        };
        let mut written = Vec::new();
        for mutation in super::super::partitions() {
            let mut bytes = Vec::new();
            encode_mutation(&mut bytes, &mutation, Some(STREAMED));
            encode_slice(&mut written, &bytes);
        }
        vec![
            ("command", "seed-forward", one_command(5, &forward)),
            ("command", "seed-reverse", one_command(255, &reverse)),
            ("mutations", "seed-partitions", written),
            ("pages", "seed-forward", answered(&forward)),
            ("pages", "seed-reverse", answered(&reverse)),
        ]
    }

    fn run(target: &str, bytes: &[u8]) {
        match target {
            "command" => super::command(bytes),
            "mutations" => super::mutations(bytes),
            _ => super::pages(bytes),
        }
    }

    /// The targets begin from what nodes do say. `THOLOS_WRITE_CORPUS=1` writes it anew.
    #[test]
    fn the_corpus_has_what_nodes_say() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus");
        for (target, name, bytes) in seeds() {
            run(target, &bytes);
            let path = corpus.join(target).join(name);
            if std::env::var_os("THOLOS_WRITE_CORPUS").is_some() {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(&path, &bytes).unwrap();
            }
            assert!(std::fs::read(&path).unwrap() == bytes, "{target}/{name} is of another format");
        }
        let mut pages = &answered(&command(everything(), Direction::Forward))[..];
        ReadCommand::decode(&mut pages).unwrap();
        let [few, all] = [0, 1].map(|_| Page::decode(&mut pages).unwrap());
        assert!(pages.is_empty());
        let run = MergedRun::new([few, all].map(Arc::new)).unwrap();
        assert_eq!(repairs(STREAMED, &run, &everything(), 0).unwrap().len(), 2, "{run:?}");
    }

    proptest! {
        #[test]
        fn what_is_bent_does_no_harm(
            seed: prop::sample::Index,
            bent in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            let seeds = seeds();
            let (target, _, mut bytes) = seeds[seed.index(seeds.len())].clone();
            for (place, byte) in bent {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            run(target, &bytes);
        }
    }
}

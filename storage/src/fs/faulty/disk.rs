//! The disk behind [`FaultyFs`](super::FaultyFs): what reads see, what is durable, and what lies between.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::Crash;
use crate::fs::memory::{set_len, write_all};

/// Bytes that a disk writes whole or not at all.
const SECTOR: u64 = 512;

pub(super) type FileId = usize;

/// What the name of a directory stands for.
const DIRECTORY: FileId = FileId::MAX;

/// A change.
#[derive(Clone, Debug)]
pub(super) enum Op {
    Create {
        path: PathBuf,
        id: FileId,
    },
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Link {
        path: PathBuf,
        id: FileId,
    },
    Remove {
        path: PathBuf,
    },
    SyncDir {
        dir: PathBuf,
    },
    /// Each that is new is a name in its parent.
    CreateDirs {
        path: PathBuf,
    },
    RemoveDir {
        path: PathBuf,
    },
    Write {
        id: FileId,
        offset: u64,
        bytes: Vec<u8>,
    },
    SetLen {
        id: FileId,
        len: u64,
    },
    Sync {
        id: FileId,
    },
    FailedSync {
        id: FileId,
    },
}

impl Op {
    /// By how many bytes it makes the disk fuller.
    pub(super) fn grows(&self, disk: &Disk) -> u64 {
        let (id, end) = match self {
            Op::Write { id, offset, bytes } => (*id, offset + bytes.len() as u64),
            Op::SetLen { id, len } => (*id, *len),
            _ => return 0,
        };
        end.saturating_sub(disk.content(id).len() as u64)
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    files: Vec<FileState>,
    /// Of files and directories; the root is always there.
    names: BTreeMap<PathBuf, FileId>,
    durable_names: BTreeMap<PathBuf, FileId>,
    /// Changes of names that no sync of their directory followed: each sets some names at once.
    pending_names: Vec<Vec<(PathBuf, Option<FileId>)>>,
}

#[derive(Clone, Debug, Default)]
struct FileState {
    now: Vec<u8>,
    durable: Vec<u8>,
    pending: Vec<Pending>,
}

#[derive(Clone, Debug)]
struct Pending {
    change: Change,
    /// A sync of it failed: no later one makes it durable.
    lost: bool,
}

#[derive(Clone, Debug)]
enum Change {
    Write { offset: u64, bytes: Vec<u8> },
    SetLen(u64),
}

impl Disk {
    pub(super) fn next_file(&self) -> FileId {
        self.files.len()
    }

    pub(super) fn file(&self, path: &Path) -> Option<FileId> {
        self.names.get(path).copied().filter(|id| *id != DIRECTORY)
    }

    pub(super) fn content(&self, id: FileId) -> &[u8] {
        &self.files[id].now
    }

    pub(super) fn exists(&self, path: &Path) -> bool {
        self.names.contains_key(path) || self.is_dir(path)
    }

    fn is_dir(&self, path: &Path) -> bool {
        path.parent().is_none() || self.names.get(path) == Some(&DIRECTORY)
    }

    pub(super) fn parent_must_exist(&self, path: &Path) -> io::Result<()> {
        let exists = path.parent().is_some_and(|parent| self.is_dir(parent));
        if exists { Ok(()) } else { Err(io::ErrorKind::NotFound.into()) }
    }

    pub(super) fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        if !self.is_dir(dir) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let children = self.names.keys().filter(|path| path.parent() == Some(dir));
        let mut list: Vec<String> = children
            .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
            .collect();
        list.sort_unstable();
        Ok(list)
    }

    /// Bytes of all files that have a name.
    pub(super) fn used_bytes(&self) -> u64 {
        let ids: BTreeSet<_> = self.names.values().collect();
        ids.into_iter().filter_map(|id| self.files.get(*id)).map(|file| file.now.len() as u64).sum()
    }

    pub(super) fn damage(&mut self, id: FileId, change: &dyn Fn(&mut Vec<u8>)) {
        let file = &mut self.files[id];
        change(&mut file.now);
        file.durable = file.now.clone();
        file.pending.clear();
    }

    pub(super) fn apply(&mut self, op: &Op) {
        match op {
            Op::Create { path, id } => {
                self.files.resize_with(self.files.len().max(id + 1), FileState::default);
                self.change_names(vec![(path.clone(), Some(*id))]);
            }
            Op::Rename { from, to } => {
                let id = self.file(from);
                self.change_names(vec![(from.clone(), None), (to.clone(), id)]);
            }
            Op::Link { path, id } => self.change_names(vec![(path.clone(), Some(*id))]),
            Op::Remove { path } => self.change_names(vec![(path.clone(), None)]),
            Op::SyncDir { dir } => self.sync_dir(dir),
            Op::CreateDirs { path } => {
                for dir in path.ancestors() {
                    if !self.is_dir(dir) {
                        self.change_names(vec![(dir.to_path_buf(), Some(DIRECTORY))]);
                    }
                }
            }
            Op::RemoveDir { path } => self.change_names(vec![(path.clone(), None)]),
            Op::Write { id, offset, bytes } => {
                self.files[*id].change(Change::Write { offset: *offset, bytes: bytes.clone() });
            }
            Op::SetLen { id, len } => self.files[*id].change(Change::SetLen(*len)),
            Op::Sync { id } => self.files[*id].sync(),
            Op::FailedSync { id } => {
                self.files[*id].pending.iter_mut().for_each(|pending| pending.lost = true);
            }
        }
    }

    fn change_names(&mut self, changes: Vec<(PathBuf, Option<FileId>)>) {
        apply_names(&mut self.names, &changes);
        self.pending_names.push(changes);
    }

    fn sync_dir(&mut self, dir: &Path) {
        for changes in std::mem::take(&mut self.pending_names) {
            // All renames here are within one directory: the first name decides.
            if changes.first().is_some_and(|(path, _)| path.parent() == Some(dir)) {
                apply_names(&mut self.durable_names, &changes);
            } else {
                self.pending_names.push(changes);
            }
        }
    }

    /// What a restart finds.
    pub(super) fn after_crash(mut self, crash: Crash) -> Disk {
        if crash == Crash::KeepAll {
            // The machine goes on: what was not synced may still be lost with its power.
            return self;
        }
        let mut choice = Choice::new(crash);
        let mut names = self.durable_names;
        for changes in &self.pending_names {
            if choice.keeps() {
                apply_names(&mut names, changes);
            }
        }
        let found = names.clone();
        let is_there = |dir: &Path| dir.parent().is_none() || found.contains_key(dir);
        names.retain(|path, _| path.ancestors().skip(1).all(is_there));
        for file in &mut self.files {
            file.crash(&mut choice);
        }
        let durable_names = names.clone();
        Disk { files: self.files, durable_names, names, pending_names: Vec::new() }
    }
}

fn apply_names(names: &mut BTreeMap<PathBuf, FileId>, changes: &[(PathBuf, Option<FileId>)]) {
    for (path, id) in changes {
        match id {
            Some(id) => names.insert(path.clone(), *id),
            None => names.remove(path),
        };
    }
}

impl FileState {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.now);
        self.pending.push(Pending { change, lost: false });
    }

    fn sync(&mut self) {
        let mut lost: Vec<Pending> = Vec::new();
        for pending in std::mem::take(&mut self.pending) {
            if pending.lost {
                lost.push(pending);
            } else {
                // What was lost never gets to the disk over something newer.
                lost.retain_mut(|lost| lost.change.yield_to(&pending.change));
                pending.change.apply(&mut self.durable);
            }
        }
        self.pending = lost;
    }

    fn crash(&mut self, choice: &mut Choice) {
        for pending in std::mem::take(&mut self.pending) {
            if choice.keeps() {
                pending.change.apply(&mut self.durable);
            } else if let Change::Write { offset, bytes } = pending.change {
                choice.tear(&mut self.durable, offset, &bytes);
            }
        }
        self.now = self.durable.clone();
    }
}

impl Change {
    /// A newer change is durable: what of this one may still be. Whether anything.
    fn yield_to(&mut self, newer: &Change) -> bool {
        match (self, newer) {
            (Change::SetLen(_), Change::SetLen(_)) => false,
            (
                Change::Write { offset, bytes },
                Change::Write { offset: newer_offset, bytes: newer },
            ) => {
                let end = (*offset + bytes.len() as u64).min(newer_offset + newer.len() as u64);
                for at in (*offset).max(*newer_offset)..end {
                    bytes[(at - *offset) as usize] = newer[(at - newer_offset) as usize];
                }
                true
            }
            _ => true,
        }
    }

    fn apply(&self, content: &mut Vec<u8>) {
        let result = match self {
            Change::Write { offset, bytes } => write_all(content, bytes, *offset),
            Change::SetLen(len) => set_len(content, *len),
        };
        result.expect("tests do not write beyond the address space");
    }
}

/// Decides what of the unsynced survives. A small xorshift generator: the seed decides everything.
struct Choice {
    crash: Crash,
    state: u64,
}

impl Choice {
    fn new(crash: Crash) -> Self {
        let seed = if let Crash::Random { seed } = crash { seed } else { 0 };
        Choice { crash, state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1 }
    }

    fn next(&mut self) -> u64 {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32
    }

    fn coin(&mut self) -> bool {
        self.next() & 1 == 0
    }

    fn keeps(&mut self) -> bool {
        matches!(self.crash, Crash::Random { .. }) && self.coin()
    }

    /// Perhaps writes some of the sectors of a write that was otherwise lost.
    fn tear(&mut self, content: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
        if !matches!(self.crash, Crash::Random { .. }) || self.coin() {
            return;
        }
        let mut start = 0;
        while start < bytes.len() {
            let to_boundary = SECTOR - (offset + start as u64) % SECTOR;
            let end = bytes.len().min(start + to_boundary as usize);
            if self.coin() {
                write_all(content, &bytes[start..end], offset + start as u64)
                    .expect("as in the whole write");
            }
            start = end;
        }
    }
}

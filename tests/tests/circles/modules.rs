//! The modules of a crate, and which of them defines what a path names.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use crate::source::{self, Name, Scope};

/// The tree of a crate's modules; the root is the first.
pub(crate) struct Modules {
    all: Vec<Module>,
    /// Paths of files below the crate's `src`.
    pub files: Vec<String>,
}

struct Module {
    scope: Scope,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    file: usize,
}

/// A file uses a name that another one defines.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Use {
    pub from: usize,
    pub to: usize,
    pub name: String,
}

impl Modules {
    /// Reads the modules that `lib.rs` in `src` declares, and those that they do.
    pub(crate) fn of(src: &Path) -> Self {
        Self::read(&|file| fs::read_to_string(src.join(file)).ok())
    }

    /// As [`Modules::of`], of files that `text` gives by their path below `src`.
    pub(crate) fn read(text: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut modules = Self { all: Vec::new(), files: Vec::new() };
        modules.file("lib.rs", "", None, text);
        modules
    }

    /// Adds the module of a file, with all below it; modules in files of their own lie in `directory`.
    fn file(
        &mut self,
        file: &str,
        directory: &str,
        parent: Option<usize>,
        text: &dyn Fn(&str) -> Option<String>,
    ) -> usize {
        let content = text(file).unwrap_or_else(|| panic!("{file} can't be read"));
        let scope = source::read(&content).unwrap_or_else(|error| panic!("{file}: {error}"));
        self.files.push(file.to_string());
        self.module(scope, directory, parent, self.files.len() - 1, text)
    }

    fn module(
        &mut self,
        mut scope: Scope,
        directory: &str,
        parent: Option<usize>,
        file: usize,
        text: &dyn Fn(&str) -> Option<String>,
    ) -> usize {
        let at = self.all.len();
        let declared = std::mem::take(&mut scope.children);
        self.all.push(Module { scope, parent, children: BTreeMap::new(), file });
        for child in declared {
            let below = format!("{directory}{}/", child.name);
            let id = match child.inline {
                Some(inline) => self.module(inline, &below, Some(at), file, text),
                None => {
                    let beside = format!("{directory}{}.rs", child.name);
                    let within = format!("{below}mod.rs");
                    let path = if text(&within).is_some() { within } else { beside };
                    self.file(&path, &below, Some(at), text)
                }
            };
            self.all[at].children.insert(child.name, id);
        }
        at
    }

    /// Files and those that declare them.
    pub(crate) fn parents(&self) -> BTreeSet<(usize, usize)> {
        let above = |module: &Module| module.parent.map(|parent| self.all[parent].file);
        self.all.iter().filter_map(|module| Some((module.file, above(module)?))).collect()
    }

    /// All that a file uses of another, sorted.
    pub(crate) fn uses(&self) -> Vec<Use> {
        let mut uses = Vec::new();
        for (at, module) in self.all.iter().enumerate() {
            for used in &module.scope.paths {
                match self.resolve(at, &used.path, 0) {
                    Some(Found::Item { module: to, name }) => {
                        uses.push(Use { from: module.file, to: self.all[to].file, name });
                    }
                    // What is used of the module is named by another path.
                    Some(Found::Module(_) | Found::Elsewhere) => {}
                    None => assert!(
                        !used.must_resolve,
                        "{}: nothing is known by {}",
                        self.files[module.file],
                        used.path.join("::")
                    ),
                }
            }
        }
        uses.retain(|used| used.from != used.to);
        uses.sort();
        uses.dedup();
        uses
    }

    /// What `path` means in the module `at`. `depth` ends imports that name each other.
    fn resolve(&self, at: usize, path: &[String], depth: usize) -> Option<Found> {
        let (first, rest) = path.split_first()?;
        match first.as_str() {
            "crate" => self.below(0, rest, depth),
            "self" => self.below(at, rest, depth),
            "super" => self.below(self.all[at].parent?, rest, depth),
            _ => self.below(at, path, depth),
        }
    }

    /// What `path` means below the module `at`, which it does not leave upwards but by `super`.
    fn below(&self, at: usize, path: &[String], depth: usize) -> Option<Found> {
        const DEPTH: usize = 32;
        let Some((first, rest)) = path.split_first() else {
            return Some(Found::Module(at));
        };
        if first == "super" {
            return self.below(self.all[at].parent?, rest, depth);
        }
        let module = &self.all[at];
        let child = module.children.get(first);
        if let (Some(child), false) = (child, rest.is_empty()) {
            return self.below(*child, rest, depth);
        }
        for name in module.scope.names.get(first).into_iter().flatten() {
            match name {
                Name::Item => return Some(Found::Item { module: at, name: first.clone() }),
                Name::Import(_) if depth == DEPTH => {}
                Name::Import(target) => {
                    // `use x;` and `use x::y` begin with another crate's name, unless a module of that name is here.
                    let is_own = target[0] != *first || module.children.contains_key(first);
                    let whole: Vec<String> = target.iter().chain(rest).cloned().collect();
                    return match is_own.then(|| self.resolve(at, &whole, depth + 1)).flatten() {
                        Some(found) => Some(found),
                        None => Some(Found::Elsewhere),
                    };
                }
            }
        }
        if let Some(child) = child {
            return Some(Found::Module(*child));
        }
        if depth == DEPTH {
            return None;
        }
        module.scope.globs.iter().find_map(|glob| {
            let Found::Module(of) = self.resolve(at, glob, depth + 1)? else { return None };
            (of != at).then(|| self.below(of, path, depth + 1)).flatten()
        })
    }
}

enum Found {
    Item {
        module: usize,
        name: String,
    },
    Module(usize),
    /// In another crate.
    Elsewhere,
}

//! The drawing of the house, asserted from the sources: which crate may use which, where the async runtime may be
//! named, and what may stand at the top level. See ARCHITECTURE.md.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use clap::CommandFactory;

/// Crate and the crates of this workspace that it may depend on.
const ARROWS: &[(&str, &[&str])] = &[
    ("grammar", &[]),
    ("parser", &["grammar"]),
    ("storage", &["grammar"]),
    ("cluster", &["grammar", "storage"]),
    ("shell", &["grammar", "parser"]),
    ("server", &["grammar", "parser", "storage", "cluster", "shell"]),
    ("tests", &["grammar", "parser", "storage", "cluster", "shell", "server"]),
];

/// Of storage, the cluster may use the model and the merge of pages, and for files of its own the way to the disk, journals
/// and encodings; never the engine: these modules only.
const STORAGE_MODULES_FOR_CLUSTER: &[&str] = &[
    "model",
    "schema",
    "error",
    "StorageError",
    "read::page",
    "read::run",
    "read::repair",
    "fs",
    "journal",
    "layout",
    "varint",
    "planted",
];

/// Files (or directories) that may name tokio: those that own sockets, signals, timers or the runtime, and the queue of
/// events between connections.
const MAY_USE_TOKIO: &[&str] = &[
    "server/src/admin",
    "server/src/commands.rs",
    "server/src/commands/console.rs",
    "server/src/connection",
    "server/src/events.rs",
    "server/src/peers",
    "server/src/serve.rs",
    "server/tests/",
    "tests/",
];

const TOP_LEVEL: &[&str] = &[
    ".ci",
    ".git",
    ".github",
    ".gitignore",
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "clippy.toml",
    "cluster",
    "deny.toml",
    "docs",
    "grammar",
    "parser",
    "rustfmt.toml",
    "server",
    "shell",
    "storage",
    "tests",
];

/// Made by running or building, kept out by .gitignore.
const UNTRACKED: &[&str] = &["target", "tholos-data"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("tests/ lies in the workspace")
        .to_path_buf()
}

fn rust_files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).expect("readable directory") {
        let path = entry.expect("readable entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if path.is_dir() {
            if !matches!(name, "target" | "corpus" | "node_modules" | "artifacts") {
                rust_files(&path, found);
            }
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
}

/// Source lines that are code, not comments, with their numbers.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(i, line)| (i + 1, line))
}

fn each_source(mut check: impl FnMut(&str, &str, &str)) {
    let root = root();
    for (krate, _) in ARROWS {
        let mut files = Vec::new();
        rust_files(&root.join(krate), &mut files);
        assert!(
            !files.is_empty(),
            "crate {krate} has no sources: is the list of crates out of date?"
        );
        for file in files {
            let relative =
                file.strip_prefix(&root).expect("below the root").to_string_lossy().into_owned();
            check(krate, &relative, &fs::read_to_string(&file).expect("readable source"));
        }
    }
}

#[test]
fn crates_use_only_what_the_drawing_allows() {
    let mut wrong = Vec::new();
    each_source(|krate, file, text| {
        let allowed = ARROWS.iter().find(|(name, _)| *name == krate).expect("listed").1;
        for (line_number, line) in code_lines(text) {
            for (other, _) in ARROWS {
                let named = line.contains(&format!("tholos_{other}::"))
                    || line.contains(&format!("use tholos_{other};"));
                if named && *other != krate && !allowed.contains(other) {
                    wrong.push(format!("{file}:{line_number}: {krate} -> {other}"));
                }
            }
        }
    });
    assert!(wrong.is_empty(), "arrows that ARCHITECTURE.md does not draw:\n{}", wrong.join("\n"));
}

#[test]
fn manifests_declare_only_what_the_drawing_allows() {
    for (krate, allowed) in ARROWS {
        let manifest = fs::read_to_string(root().join(krate).join("Cargo.toml"))
            .expect("every crate has a manifest");
        for (other, _) in ARROWS {
            let declared =
                manifest.lines().any(|line| line.starts_with(&format!("tholos-{other}")));
            // A crate may have itself as a dev-dependency, with features for its own tests.
            assert!(
                !declared || allowed.contains(other) || krate == other,
                "{krate}/Cargo.toml declares tholos-{other}"
            );
        }
    }
}

/// What breaks rules on purpose is never part of a build that is not a test.
#[test]
fn planted_bugs_are_for_tests_alone() {
    for (krate, _) in ARROWS {
        let manifest = fs::read_to_string(root().join(krate).join("Cargo.toml"))
            .expect("every crate has a manifest");
        let mut section = "";
        for line in manifest.lines().filter(|line| !line.starts_with('#')) {
            if line.starts_with('[') {
                section = line;
            } else if line.contains("planted-bugs") {
                let defined = section == "[features]" && line == "planted-bugs = []";
                assert!(
                    defined || section == "[dev-dependencies]",
                    "{krate}/Cargo.toml, {section}: {line}"
                );
            }
        }
    }
}

#[test]
fn the_cluster_uses_storages_model_and_not_its_engine() {
    let mut wrong = Vec::new();
    each_source(|krate, file, text| {
        if krate != "cluster" {
            return;
        }
        for (line_number, line) in code_lines(text) {
            for (at, _) in line.match_indices("tholos_storage::") {
                let rest = &line[at + "tholos_storage::".len()..];
                let is_part = |c: char| c.is_alphanumeric() || c == '_';
                let is_allowed = |module: &&str| {
                    rest.strip_prefix(*module).is_some_and(|after| !after.starts_with(is_part))
                };
                if !STORAGE_MODULES_FOR_CLUSTER.iter().any(is_allowed) {
                    wrong.push(format!("{file}:{line_number}: {}", line.trim()));
                }
            }
        }
    });
    assert!(wrong.is_empty(), "the cluster reaches into the storage engine:\n{}", wrong.join("\n"));
}

#[test]
fn the_async_runtime_stays_at_the_edge() {
    let mut wrong = Vec::new();
    each_source(|_, file, text| {
        if MAY_USE_TOKIO.iter().any(|allowed| file.starts_with(allowed)) {
            return;
        }
        for (line_number, line) in code_lines(text) {
            if line.contains("tokio::")
                || line.contains("tokio_util::")
                || line.contains("async fn")
            {
                wrong.push(format!("{file}:{line_number}: {}", line.trim()));
            }
        }
    });
    assert!(
        wrong.is_empty(),
        "async code outside the files that may have it:\n{}",
        wrong.join("\n")
    );
}

/// The long flags of the program and of all its commands.
fn flags(command: &clap::Command, found: &mut BTreeSet<String>) {
    found.extend(
        command.get_arguments().filter_map(|argument| argument.get_long()).map(str::to_string),
    );
    command.get_subcommands().for_each(|command| flags(command, found));
}

/// The words that follow a mark in a text, as far as they may be part of a flag or a command.
fn words_after<'a>(text: &'a str, mark: &str) -> Vec<&'a str> {
    let is_part = |c: char| c.is_ascii_lowercase() || c == '-';
    let rests = text.match_indices(mark).map(|(at, _)| &text[at + mark.len()..]);
    rests.map(|rest| rest.split(|c| !is_part(c)).next().unwrap_or_default()).collect()
}

/// What messages tell people to type exists.
#[test]
fn flags_and_commands_that_messages_name_exist() {
    /// Flags of other programs.
    const OTHERS: &[&str] = &["wait"];
    let program = tholos_server::cli::Cli::command();
    let mut known = BTreeSet::from(["help".to_string(), "version".to_string()]);
    flags(&program, &mut known);
    let mut wrong = Vec::new();
    let mut seen = 0;
    each_source(|krate, file, text| {
        if krate == "tests" || !file.contains("/src/") {
            return;
        }
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        let is_flag = |word: &&str| word.len() > 2 && !word.starts_with('-');
        for flag in words_after(code, "--").into_iter().filter(is_flag) {
            seen += 1;
            if !known.contains(flag) && !OTHERS.contains(&flag) {
                wrong.push(format!("{file}: --{flag}"));
            }
        }
        let quoted = words_after(code, "`tholos ");
        for command in quoted.into_iter().chain(words_after(code, "(tholos ")) {
            if !command.is_empty() && program.find_subcommand(command).is_none() {
                wrong.push(format!("{file}: tholos {command}"));
            }
        }
    });
    assert!(seen > 10, "nothing was looked at");
    assert!(wrong.is_empty(), "messages name what is not there:\n{}", wrong.join("\n"));
}

#[test]
fn the_top_level_is_what_the_drawing_says() {
    let known: BTreeSet<&str> = TOP_LEVEL.iter().chain(UNTRACKED).copied().collect();
    let unknown: Vec<String> = fs::read_dir(root())
        .expect("readable workspace")
        .map(|entry| entry.expect("readable entry").file_name().to_string_lossy().into_owned())
        .filter(|name| !known.contains(name.as_str()))
        .collect();
    assert!(unknown.is_empty(), "undeclared at the top level: {}", unknown.join(", "));
}

#[test]
fn no_source_file_grows_beyond_reading() {
    let mut wrong = Vec::new();
    each_source(|_, file, text| {
        let lines = text.lines().count();
        if lines > 600 {
            wrong.push(format!("{file}: {lines} lines"));
        }
    });
    assert!(
        wrong.is_empty(),
        "is each of these one thing? (limit 600 lines)\n{}",
        wrong.join("\n")
    );
}

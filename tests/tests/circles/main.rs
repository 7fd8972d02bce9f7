//! No files use each other in a circle, but a module and those it declares: what belongs together is found in one
//! place, and each file can be read with nothing but those it uses. Asserted from the sources' `use`s and paths.

mod graph;
mod modules;
mod source;
#[cfg(test)]
mod tests;

use std::path::Path;

use crate::graph::{Circle, circles};
use crate::modules::Modules;

/// Crates, and the circles that are still open there: files of which some use each other.
const OPEN: &[(&str, &[&[&str]])] = &[
    ("grammar", &[]),
    ("parser", &[]),
    ("storage", &[]),
    ("cluster", &[]),
    ("shell", &[]),
    (
        "server",
        &[&[
            "execute/select/merge.rs",
            "execute/select/page.rs",
            "execute/select/sorted.rs",
            "execute/select/walk.rs",
        ]],
    ),
    ("tests", &[]),
];

#[test]
fn files_use_each_other_in_no_circle() {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace");
    let mut wrong = String::new();
    for (krate, open) in OPEN {
        let modules = Modules::of(&root.join(krate).join("src"));
        assert!(!modules.uses().is_empty(), "{krate}: nothing was looked at");
        let found = circles(&modules);
        let is_within = |circle: &Circle, open: &[&str]| {
            circle.files.iter().all(|file| open.contains(&file.as_str()))
        };
        for circle in &found {
            if !open.iter().any(|open| is_within(circle, open)) {
                wrong += &format!("{krate}, {} files:\n{}", circle.files.len(), circle.ties);
            }
        }
        for open in *open {
            if !found.iter().any(|circle| is_within(circle, open)) {
                wrong += &format!("{krate}: no circle any more, take it off the list: {open:?}\n");
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "each name belongs into the file that is used, or one of its own:\n{wrong}"
    );
}

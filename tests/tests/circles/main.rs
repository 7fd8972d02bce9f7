//! No files use each other in a circle, but a module and those it declares: what belongs together is found in one
//! place, and each file can be read with nothing but those it uses. Asserted from the sources' `use`s and paths.

mod graph;
mod modules;
mod source;
mod tests;

use std::path::Path;

use crate::graph::circles;
use crate::modules::Modules;

const CRATES: &[&str] = &["grammar", "parser", "storage", "cluster", "shell", "server", "tests"];

#[test]
fn files_use_each_other_in_no_circle() {
    let root =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace");
    let mut wrong = String::new();
    for krate in CRATES {
        let modules = Modules::of(&root.join(krate).join("src"));
        assert!(!modules.uses().is_empty(), "{krate}: nothing was looked at");
        for circle in circles(&modules) {
            wrong += &format!("{krate}, {} files:\n{}", circle.files.len(), circle.ties);
        }
    }
    assert!(
        wrong.is_empty(),
        "each name belongs into the file that is used, or one of its own:\n{wrong}"
    );
}

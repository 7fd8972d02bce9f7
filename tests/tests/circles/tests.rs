//! Small crates, to see what is taken for a use of a file and what for a circle.

use crate::graph::circles;
use crate::modules::Modules;

fn modules(files: &[(&str, &str)]) -> Modules {
    Modules::read(&|path| {
        files.iter().find(|(name, _)| *name == path).map(|(_, text)| text.to_string())
    })
}

/// Each use of a file by another, as `from -> to: name`.
fn uses(files: &[(&str, &str)]) -> Vec<String> {
    let modules = modules(files);
    let mut uses: Vec<String> = modules
        .uses()
        .iter()
        .map(|used| {
            format!("{} -> {}: {}", modules.files[used.from], modules.files[used.to], used.name)
        })
        .collect();
    uses.sort();
    uses
}

/// What `a.rs` with this text uses of `b.rs`, `b/c.rs` and `d/mod.rs`.
fn uses_of_a(text: &str) -> Vec<String> {
    uses(&[
        ("lib.rs", "mod a; mod b; mod d;"),
        ("a.rs", text),
        ("b.rs", "pub mod c; pub use c::Inner; pub use self::c::Kind as Renamed; pub fn b() {}"),
        ("b/c.rs", "pub struct Inner; pub enum Kind { One, Two } pub fn c() {}"),
        ("d/mod.rs", "pub use crate::b::*; pub fn d() {}"),
    ])
    .into_iter()
    .filter_map(|used| used.strip_prefix("a.rs -> ").map(str::to_string))
    .collect()
}

#[test]
fn imports_are_uses() {
    assert_eq!(uses_of_a("use crate::b::b;"), ["b.rs: b"]);
    assert_eq!(
        uses_of_a("use super::b::{self, b as other, c::{Inner, c}};"),
        ["b.rs: b", "b/c.rs: Inner", "b/c.rs: c"]
    );
    assert_eq!(uses_of_a("fn f() { use crate::b::b; b() }"), ["b.rs: b"]);
}

#[test]
fn what_is_exported_again_is_of_the_file_that_defines_it() {
    assert_eq!(uses_of_a("use crate::b::Inner;"), ["b/c.rs: Inner"]);
    assert_eq!(uses_of_a("use crate::b::Renamed;"), ["b/c.rs: Kind"]);
    assert_eq!(uses_of_a("use crate::d::{Inner, b};"), ["b.rs: b", "b/c.rs: Inner"]);
    assert_eq!(
        uses_of_a("use crate::d::*; fn f() -> Renamed { d() }"),
        ["b/c.rs: Kind", "d/mod.rs: d"]
    );
}

#[test]
fn paths_in_code_are_uses() {
    assert_eq!(uses_of_a("fn f() { crate::b::b() }"), ["b.rs: b"]);
    assert_eq!(
        uses_of_a("use crate::b; fn f(k: b::c::Kind) { b::b() }"),
        ["b.rs: b", "b/c.rs: Kind"]
    );
    assert_eq!(
        uses_of_a("use crate::b::c::Kind; fn f() { matches!(k, Kind::One) }"),
        ["b/c.rs: Kind"]
    );
    assert_eq!(uses_of_a("fn f() { println!(\"{}\", (crate::b::b(), x.d)) }"), ["b.rs: b"]);
    assert_eq!(uses_of_a("enum E { #[error(\"{}\", crate::b::b(.0))] X(u8) }"), ["b.rs: b"]);
    assert_eq!(uses_of_a("mod inner { fn f() { super::super::b::b() } }"), ["b.rs: b"]);
}

#[test]
fn modules_alone_other_crates_and_tests_are_no_uses() {
    let none: [&str; 0] = [];
    assert_eq!(uses_of_a("use crate::b; use crate::b::c;"), none);
    assert_eq!(uses_of_a("use std::fmt::{self, b}; fn f(b: fmt::Error) { let d = b; }"), none);
    assert_eq!(uses_of_a("pub(in crate::b) struct X; /// [`crate::b::b`]\nstruct Y;"), none);
    assert_eq!(
        uses_of_a(
            "#[cfg(test)] use crate::b::b; #[cfg(test)] mod tests; #[cfg(test)] mod t { use crate::d::d; }
             impl X { #[cfg(test)] fn f() { crate::b::b() } } struct X;"
        ),
        none
    );
}

#[test]
#[should_panic(expected = "a.rs: nothing is known by crate::b::missing")]
fn a_path_that_leads_nowhere_is_told() {
    uses_of_a("use crate::b::missing;");
}

#[test]
fn a_circle_has_all_files_that_lead_back_to_themselves() {
    let modules = modules(&[
        ("lib.rs", "mod a; mod b; mod c; mod d;"),
        ("a.rs", "pub struct A(crate::b::B);"),
        ("b.rs", "pub struct B(crate::c::C);"),
        ("c.rs", "use crate::d::D; pub struct C(Vec<crate::a::A>, D);"),
        ("d.rs", "pub struct D;"),
    ]);
    let found = circles(&modules);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].files, ["a.rs", "b.rs", "c.rs"]);
    assert_eq!(found[0].ties, "  a.rs -> b.rs: B\n  b.rs -> c.rs: C\n  c.rs -> a.rs: A\n");
}

#[test]
fn a_module_and_those_it_declares_may_use_each_other() {
    let files = [
        ("lib.rs", "mod a;"),
        ("a/mod.rs", "mod x; mod y; pub struct A; fn f() { x::x() }"),
        ("a/x.rs", "use super::A; pub fn x() {}"),
        ("a/y.rs", ""),
    ];
    assert!(circles(&modules(&files)).is_empty());
    let mut beside = files;
    beside[2].1 = "use super::y::y; pub fn x() {}";
    beside[3].1 = "pub fn y() { super::x::x() }";
    assert_eq!(circles(&modules(&beside))[0].files, ["a/x.rs", "a/y.rs"]);
}

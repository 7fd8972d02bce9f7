//! Circles of files that use each other.

use std::fmt::Write;

use crate::modules::{Modules, Use};

/// Files each of which uses, by way of others, every one of them; in the order of their names.
pub(crate) struct Circle {
    pub files: Vec<String>,
    /// Who uses which names of whom, a line each.
    pub ties: String,
}

/// The circles of a crate, without uses between a module and those it declares.
///
/// `a -> b -> c -> a` and `c -> d` are one circle, of `a`, `b` and `c`.
pub(crate) fn circles(modules: &Modules) -> Vec<Circle> {
    let mut uses = modules.uses();
    let parents = modules.parents();
    uses.retain(|used| {
        !parents.contains(&(used.from, used.to)) && !parents.contains(&(used.to, used.from))
    });
    let reached: Vec<Vec<bool>> =
        (0..modules.files.len()).map(|from| reachable(from, modules.files.len(), &uses)).collect();
    let mut circles = Vec::new();
    let mut done = vec![false; reached.len()];
    for (one, ahead) in reached.iter().enumerate() {
        let members: Vec<usize> = (one..reached.len())
            .filter(|other| ahead[*other] && reached[*other][one] && !done[*other])
            .collect();
        members.iter().for_each(|member| done[*member] = true);
        if members.len() > 1 {
            circles.push(circle(modules, &members, &uses));
        }
    }
    circles
}

/// Which of `count` files can be come to from one of them by uses; the file itself if there is a way back.
fn reachable(from: usize, count: usize, uses: &[Use]) -> Vec<bool> {
    let mut reached = vec![false; count];
    let mut ahead = vec![from];
    while let Some(at) = ahead.pop() {
        for used in uses.iter().filter(|used| used.from == at) {
            if !std::mem::replace(&mut reached[used.to], true) {
                ahead.push(used.to);
            }
        }
    }
    reached
}

fn circle(modules: &Modules, members: &[usize], uses: &[Use]) -> Circle {
    let mut files: Vec<String> = members.iter().map(|file| modules.files[*file].clone()).collect();
    files.sort();
    let mut ties = String::new();
    for from in members {
        for to in members {
            let names: Vec<&str> = uses
                .iter()
                .filter(|used| used.from == *from && used.to == *to)
                .map(|used| used.name.as_str())
                .collect();
            if !names.is_empty() {
                let (from, to) = (&modules.files[*from], &modules.files[*to]);
                writeln!(ties, "  {from} -> {to}: {}", names.join(", ")).expect("a string");
            }
        }
    }
    Circle { files, ties }
}

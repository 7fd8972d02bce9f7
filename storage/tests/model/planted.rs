//! The tests have teeth: each of these rules, broken on purpose, is noticed.

use tholos_storage::planted::{Planted, plant};

use crate::steps::steps_until_red;

/// Breaks a rule for this thread until dropped.
pub(crate) struct Broken;

impl Broken {
    pub(crate) fn rule(bug: Planted) -> Broken {
        plant(Some(bug));
        Broken
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        plant(None);
    }
}

/// So many operations are enough for any of them.
const MOST: usize = 30_000;

#[test]
fn every_broken_rule_is_noticed() {
    let rules = [
        Planted::IgnoreMemtablesWhenPurging,
        Planted::TieKeepsLiveCell,
        Planted::ReverseDropsOpenDeletion,
        Planted::ReplayBelowFlushed,
        Planted::ExpiredCellBecomesTombstone,
        Planted::PurgeWithoutGrace,
        Planted::RemoveInputsFirst,
        Planted::AcknowledgeBeforeSync,
        Planted::FinishWithoutSync,
        Planted::FinishWithoutNames,
    ];
    let mut unnoticed = Vec::new();
    for rule in rules {
        let _broken = Broken::rule(rule);
        match steps_until_red(MOST) {
            Some((steps, violation)) => {
                let what = violation.0.lines().next().unwrap_or_default();
                let what: String = what.chars().take(120).collect();
                println!("{rule:?}: after {steps} operations: {what}");
            }
            None => unnoticed.push(rule),
        }
    }
    assert!(unnoticed.is_empty(), "{MOST} operations notice nothing of {unnoticed:?}");
}

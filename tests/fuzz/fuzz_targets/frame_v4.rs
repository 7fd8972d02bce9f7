//! Bare envelopes: every byte after the first goes to a connection's decoder, in pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tholos_fuzz::{Plan, feed};

fuzz_target!(|data: &[u8]| {
    let Some((&first, bytes)) = data.split_first() else { return };
    let plan = Plan::of(first);
    feed(plan.decoder(), plan, bytes);
});

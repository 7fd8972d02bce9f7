//! Any bytes as the files of a store of hints: what is read is the same after a restart, or there is a typed error.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tholos_cluster::hints::fuzz::hints(data));

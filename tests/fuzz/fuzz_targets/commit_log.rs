//! Any bytes as a file: reading gives rows or a typed error.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tholos_storage::fuzz::commit_log_segment(data));

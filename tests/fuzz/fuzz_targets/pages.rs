//! Any bytes as a command and what replicas answer: what they have together has an end, and stays within what was asked.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tholos_storage::fuzz::replica::pages(data));

//! Any bytes as mutations of one table: what is taken can be written to a file and read.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tholos_storage::fuzz::replica::mutations(data));

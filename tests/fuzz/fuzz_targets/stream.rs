//! Any bytes as a stream of a table, its chunks, records or blocks: what is taken is sound, or a typed error.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tholos_storage::fuzz::stream(data));

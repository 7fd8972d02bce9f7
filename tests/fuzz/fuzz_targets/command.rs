//! Any bytes as a command to a replica: its answer is one to the command.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| tholos_storage::fuzz::replica::command(data));

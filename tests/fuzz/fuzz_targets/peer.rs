//! Any bytes from another node: greetings, frames, and messages in frames that are right. What is taken comes back the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tholos_cluster::message::codec;
use tholos_cluster::message::frame::{self, Decoded};
use tholos_cluster::message::hello::Greeting;

fuzz_target!(|data: &[u8]| {
    match data.split_first() {
        Some((0, bytes)) => greeting(bytes),
        Some((1, bytes)) => frames(bytes),
        Some((2, bytes)) => {
            // Checksums keep a fuzzer away from what is behind them.
            let framed = frame::encode(1, |out| out.extend_from_slice(bytes)).expect("it is short");
            frames(&framed);
        }
        _ => {}
    }
});

fn greeting(bytes: &[u8]) {
    match Greeting::decode(bytes) {
        Ok(Some((greeting, len))) => {
            assert!(len <= bytes.len());
            let again = greeting.encode();
            assert_eq!(Greeting::decode(&again), Ok(Some((greeting, again.len()))));
        }
        Ok(None) => {}
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn frames(mut bytes: &[u8]) {
    loop {
        match frame::decode(bytes) {
            Ok(Decoded::Whole(frame, len)) => {
                bytes = &bytes[len..];
                frame.message.iter().for_each(|message| message_of(message));
            }
            Ok(Decoded::Needs(needed)) => {
                assert!(needed > bytes.len());
                return;
            }
            Err(error) => {
                assert!(!error.to_string().is_empty());
                return;
            }
        }
    }
}

fn message_of(bytes: &[u8]) {
    match codec::decode(bytes) {
        Ok(message) => {
            let mut again = Vec::new();
            codec::encode(&message, &mut again);
            let decoded = codec::decode(&again).expect("what was taken is right");
            let mut once_more = Vec::new();
            codec::encode(&decoded, &mut once_more);
            assert_eq!(again, once_more);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

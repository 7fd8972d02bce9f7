//! Segments: raw bytes, or bytes as payloads under right checksums, which no fuzzer would hit on by itself.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tholos_fuzz::{Plan, feed};
use tholos_grammar::protocol::header::Version;
use tholos_grammar::protocol::segment::{crc24, payload_crc32};

fuzz_target!(|data: &[u8]| {
    let Some((&first, bytes)) = data.split_first() else { return };
    let plan = Plan::of(first);
    let mut decoder = plan.decoder();
    decoder.set_version(Version::V5);
    decoder.switch_to_segments();
    if plan.choice == 0 {
        return feed(decoder, plan, bytes);
    }
    feed(decoder, plan, &segments(plan, bytes));
});

/// Reads `bytes` as segments without checksums (length, length decompressed, payload) and adds those.
fn segments(plan: Plan, mut bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some((&[length, decompressed], rest)) = bytes.split_first_chunk::<2>() {
        let (payload, rest) = rest.split_at(usize::from(length).min(rest.len()));
        bytes = rest;
        let mut fields = payload.len() as u64;
        let self_contained = u64::from(plan.choice == 1 || decompressed & 1 == 0);
        let length = match plan.compression {
            None => {
                fields |= self_contained << 17;
                3
            }
            Some(_) => {
                fields |= u64::from(decompressed) << 17 | self_contained << 34;
                5
            }
        };
        let header = &fields.to_le_bytes()[..length];
        out.extend_from_slice(header);
        out.extend_from_slice(&crc24(header).to_le_bytes()[..3]);
        out.extend_from_slice(payload);
        out.extend_from_slice(&payload_crc32(payload).to_le_bytes());
    }
    out
}

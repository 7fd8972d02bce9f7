//! Bytes of any length: `00` becomes `01 01`, `01` becomes `01 02`, and `00` ends them.
//!
//! The end is below everything that could follow instead, so a prefix comes first. Text hardly ever holds `00` or `01`,
//! and costs one byte more than itself.

use super::reader::Reader;

const END: u8 = 0;
const ESCAPE: u8 = 1;

pub(super) fn encode(value: &[u8], out: &mut Vec<u8>) {
    out.reserve(value.len() + 1);
    // Without an early end, so that many bytes are compared at once.
    if !value.iter().fold(false, |any, &byte| any | (byte <= ESCAPE)) {
        out.extend_from_slice(value);
    } else {
        for &byte in value {
            if byte <= ESCAPE {
                out.extend_from_slice(&[ESCAPE, byte + 1]);
            } else {
                out.push(byte);
            }
        }
    }
    out.push(END);
}

pub(super) fn decode(reader: &mut Reader<'_>, out: &mut Vec<u8>) -> Option<()> {
    loop {
        if reader.copy_above(ESCAPE, out)? == END {
            return Some(());
        }
        match reader.byte()? {
            escaped @ 1..=2 => out.push(escaped - 1),
            _ => return None,
        }
    }
}

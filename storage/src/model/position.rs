//! Where in a partition: the bytes after the partition prefix.
//!
//! `HEADER` < `STATIC` < everything clustered. A clustered position is, per component of the clustering prefix, the
//! byte `COMPONENT` and the component's byte-comparable encoding (self-delimiting, so any byte may follow), then a
//! weight: `BEFORE` the prefix and all its rows, the `ROW` itself (only with a full prefix), or `AFTER` them.
//! These bytes are part of every on-disk format.

/// The partition's own deletion.
pub const HEADER: u8 = 0x08;
/// The static row.
pub const STATIC: u8 = 0x10;
/// Bound before every row that begins with the prefix.
pub const BEFORE: u8 = 0x20;
/// A row.
pub const ROW: u8 = 0x38;
/// Another component of the clustering prefix follows.
pub const COMPONENT: u8 = 0x40;
/// Bound after every row that begins with the prefix.
pub const AFTER: u8 = 0x60;

/// The first bytes of every key of this token: big endian with the sign bit flipped, so that memcmp is token order.
pub const fn token_prefix(token: i64) -> [u8; 8] {
    (token ^ i64::MIN).to_be_bytes()
}

/// The token of a key's first 8 bytes.
///
/// # Panics
/// If the key has fewer than 8 bytes: no key has.
pub fn token_of(key: &[u8]) -> i64 {
    let prefix: [u8; 8] = key[..8].try_into().expect("every key starts with 8 bytes of token");
    i64::from_be_bytes(prefix) ^ i64::MIN
}

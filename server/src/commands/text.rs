//! How commands show what is in files.

use std::fmt::Write as _;

use tholos_grammar::value::literal::time::format_timestamp;
use tholos_storage::model::Seconds;
use tholos_storage::schema::Table;
use tholos_storage::sstable::Damage;

/// Bytes as `0x...`.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 + bytes.len() * 2);
    text.push_str("0x");
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// `keyspace.table`
pub(super) fn full_name(table: &Table) -> String {
    format!("{}.{}", table.keyspace, table.name)
}

/// Seconds since 1970, with the time for people.
pub(super) fn seconds_text(seconds: Seconds) -> String {
    if seconds == Seconds::MAX {
        return "never".to_string();
    }
    match seconds.checked_mul(1000).and_then(format_timestamp) {
        Some(text) => format!("{seconds} ({text})"),
        None => seconds.to_string(),
    }
}

/// One line on damage.
pub(super) fn damage_text(damage: &Damage) -> String {
    let keys = match &damage.keys {
        None => "no rows are lost by it".to_string(),
        Some(keys) => {
            let (first, last) = keys.tokens();
            let upper = keys.upper.as_ref().map_or("the end".to_string(), |upper| hex(upper));
            format!("keys from {} to {upper} (tokens {first} to {last})", hex(&keys.lower))
        }
    };
    format!("damaged at offset {}: {}; {keys}", damage.offset, damage.what)
}

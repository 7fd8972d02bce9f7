//! Reads that walk over many tombstones: what the client is warned of, and what the log says, not too often.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tholos_grammar::value::Value;
use tholos_storage::key::decode_component;
use tholos_storage::schema::{Table, TableId};

/// Of one table no more than one line in so much time.
const LOG_INTERVAL: Duration = Duration::from_secs(10);

/// Characters of a partition key in a message.
const MOST_KEY_CHARS: usize = 200;

/// A read, or a page of one, that walked over many tombstones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TombstoneRead {
    /// The table.
    pub table: TableId,
    /// `keyspace.table`.
    pub name: String,
    /// The partition in which they became too many, as a WHERE would name it.
    pub partition: String,
    /// Deleted and expired rows, partition deletions and range markers.
    pub tombstones: u64,
    /// Rows that exist.
    pub rows: u64,
}

impl TombstoneRead {
    /// What the client is told.
    pub fn warning(&self) -> String {
        let TombstoneRead { name, partition, tombstones, rows, .. } = self;
        format!(
            "a page of {name} read {rows} rows and walked over {tombstones} tombstones, more than \
             tombstone_warn_threshold, at {partition}: read what lies behind them by a clustering restriction, delete by \
             ranges or partitions rather than row by row, or lower gc_grace_seconds so that compaction drops them earlier"
        )
    }
}

/// When the last line about a table was, and how many were left out since.
#[derive(Clone, Copy, Debug)]
struct Said {
    at: Instant,
    suppressed: u64,
}

/// The log of reads over many tombstones. It is locked only when there was one.
#[derive(Debug, Default)]
pub struct TombstoneLog {
    tables: Mutex<BTreeMap<TableId, Said>>,
}

impl TombstoneLog {
    /// Says it in the log, unless the table was told of just now.
    pub fn tell(&self, read: &TombstoneRead, now: Instant) {
        let Some(suppressed) = self.admit(read.table, now) else { return };
        let TombstoneRead { name, partition, tombstones, rows, .. } = read;
        tracing::warn!(
            table = %name,
            %partition,
            tombstones,
            rows,
            suppressed,
            "a read walked over many tombstones: it costs as if they were rows, until a compaction drops them \
             gc_grace_seconds after the deletion; `suppressed` is how many more such reads of the table there were since \
             the last line"
        );
    }

    /// How many were left out since the last line about this table; `None` if this one is to be left out too.
    fn admit(&self, table: TableId, now: Instant) -> Option<u64> {
        let mut tables = self.tables.lock();
        // Tables that nothing was said of for long have nothing to suppress: dropped ones must not stay for ever.
        tables.retain(|_, said| {
            said.suppressed > 0 || now.saturating_duration_since(said.at) < LOG_INTERVAL
        });
        match tables.get_mut(&table) {
            Some(said) if now.saturating_duration_since(said.at) < LOG_INTERVAL => {
                said.suppressed += 1;
                None
            }
            Some(said) => {
                let suppressed = said.suppressed;
                *said = Said { at: now, suppressed: 0 };
                Some(suppressed)
            }
            None => {
                tables.insert(table, Said { at: now, suppressed: 0 });
                Some(0)
            }
        }
    }
}

/// A partition by its prefix (token and key), as a WHERE would name it: `k = 1 AND j = 'x'`.
pub fn partition_text(table: &Table, prefix: &[u8]) -> String {
    let mut rest = prefix.get(8..).unwrap_or_default();
    let mut text = String::new();
    for column in &table.partition_key {
        let mut bytes = Vec::new();
        if decode_component(&column.cql_type, false, &mut rest, &mut bytes).is_err() {
            break;
        }
        let literal = match Value::decode(&column.cql_type, &bytes) {
            Ok(value) => value.literal(&column.cql_type),
            Err(_) => "?".to_string(),
        };
        if !text.is_empty() {
            text.push_str(" AND ");
        }
        text.push_str(&format!("{} = {literal}", column.name));
    }
    match text.char_indices().nth(MOST_KEY_CHARS) {
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn each_table_is_told_of_once_in_the_interval_and_then_what_was_left_out() {
        let (log, start) = (TombstoneLog::default(), Instant::now());
        let (one, two) = (TableId(Uuid::from_u128(1)), TableId(Uuid::from_u128(2)));
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(log.admit(one, at(0)), Some(0));
        assert_eq!(log.admit(one, at(1)), None);
        assert_eq!(log.admit(two, at(1)), Some(0), "another table has its own interval");
        assert_eq!(log.admit(one, at(9)), None);
        assert_eq!(log.admit(one, at(10)), Some(2));
        assert_eq!(log.admit(one, at(20)), Some(0));
        assert_eq!(log.admit(two, at(90)), Some(0));
        assert_eq!(log.tables.lock().len(), 1, "what has nothing to say is forgotten");
    }
}

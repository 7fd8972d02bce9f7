//! What the load consists of: tables, prepared statements, and the bytes of each request.

use tholos_grammar::consistency::Consistency;

use crate::engine_bench::workload::{self as words, KEY_BYTES, key, mix};

/// Rows of the key-value table.
pub const KEYS: u64 = 1_000_000;
/// Partitions of the series table.
pub const SERIES: u64 = 100;
/// Rows per partition of the series table.
pub const SERIES_ROWS: u64 = 1_000;
/// Rows that a slice reads.
pub const SLICE_ROWS: u64 = 100;

/// Protocol version of every request: v4, whose framing costs the client least.
const VERSION_BYTE: u8 = 0x04;
const OPCODE_EXECUTE: u8 = 0x0A;
const FLAG_VALUES_SKIP_METADATA: u8 = 0x03;

/// The statements that set the tables up.
pub const SCHEMA: &[&str] = &[
    "CREATE KEYSPACE bench WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
    "CREATE TABLE bench.kv (k blob PRIMARY KEY, v blob)",
    "CREATE TABLE bench.series (part int, clust int, v blob, PRIMARY KEY (part, clust))",
];

/// The statements that requests execute.
pub const INSERT: &str = "INSERT INTO bench.kv (k, v) VALUES (?, ?)";
/// Point read.
pub const SELECT: &str = "SELECT v FROM bench.kv WHERE k = ?";
/// Fills the series table.
pub const INSERT_SERIES: &str = "INSERT INTO bench.series (part, clust, v) VALUES (?, ?, ?)";
/// A slice of 100 rows.
pub const SELECT_SLICE: &str =
    "SELECT clust, v FROM bench.series WHERE part = ? AND clust >= ? AND clust < ?";

/// Ids of the prepared statements.
#[derive(Clone, Debug, Default)]
pub struct Prepared {
    /// Of [`INSERT`].
    pub insert: Vec<u8>,
    /// Of [`SELECT`].
    pub select: Vec<u8>,
    /// Of [`INSERT_SERIES`].
    pub insert_series: Vec<u8>,
    /// Of [`SELECT_SLICE`].
    pub select_slice: Vec<u8>,
}

/// Kinds of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Fill the key-value table in order of key number.
    Load,
    /// Fill the series table.
    LoadSeries,
    /// Overwrite random keys.
    Write,
    /// Read random keys.
    Read,
    /// Read random slices.
    Slice,
    /// Half reads, half writes.
    Mixed,
}

/// What is written as a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Values {
    /// 32 bytes, all random.
    Random,
    /// 100 bytes, a part of them words, so that compression finds something.
    Words,
}

/// Makes requests: the `n`-th is always the same.
#[derive(Clone, Debug)]
pub struct Workload {
    /// What to do.
    pub kind: Kind,
    /// With which statements.
    pub prepared: Prepared,
    /// Rows of the key-value table.
    pub keys: u64,
    /// Its values.
    pub values: Values,
}

impl Values {
    /// Bytes of a key and a value.
    pub fn row_bytes(self) -> u64 {
        KEY_BYTES as u64
            + match self {
                Values::Random => 32,
                Values::Words => words::VALUE_BYTES as u64,
            }
    }
}

impl Workload {
    /// The standard workload: [`KEYS`] rows of random values.
    pub fn new(kind: Kind, prepared: Prepared) -> Self {
        Workload { kind, prepared, keys: KEYS, values: Values::Random }
    }

    /// Appends the frame of the `n`-th request, to be answered on that stream.
    pub fn request(&self, n: u64, stream: i16, out: &mut Vec<u8>) {
        let random = mix(n ^ 0x5bd1_e995);
        match self.kind {
            Kind::Load => self.write(n % self.keys, n, stream, out),
            Kind::Write => self.write(random % self.keys, n, stream, out),
            Kind::Read => self.read(random % self.keys, stream, out),
            Kind::Mixed if n.is_multiple_of(2) => self.write(random % self.keys, n, stream, out),
            Kind::Mixed => self.read(random % self.keys, stream, out),
            Kind::LoadSeries => {
                let (part, clust) = (int(n / SERIES_ROWS), int(n % SERIES_ROWS));
                execute(&self.prepared.insert_series, &[&part, &clust, &value(n)], stream, out);
            }
            Kind::Slice => {
                let from = mix(random) % (SERIES_ROWS - SLICE_ROWS);
                let (part, from, to) = (int(random % SERIES), int(from), int(from + SLICE_ROWS));
                execute(&self.prepared.select_slice, &[&part, &from, &to], stream, out);
            }
        }
    }

    /// How many requests fill the table; none for kinds that go on for ever.
    pub fn requests(&self) -> Option<u64> {
        match self.kind {
            Kind::Load => Some(self.keys),
            Kind::LoadSeries => Some(SERIES * SERIES_ROWS),
            _ => None,
        }
    }

    fn write(&self, index: u64, n: u64, stream: i16, out: &mut Vec<u8>) {
        let key = key(index);
        match self.values {
            Values::Random => execute(&self.prepared.insert, &[&key, &value(n)], stream, out),
            Values::Words => {
                execute(&self.prepared.insert, &[&key, &words::value(n)], stream, out);
            }
        }
    }

    fn read(&self, index: u64, stream: i16, out: &mut Vec<u8>) {
        execute(&self.prepared.select, &[&key(index)], stream, out);
    }
}

/// Appends an EXECUTE frame by hand: the generator must cost less than what it measures.
fn execute(id: &[u8], values: &[&[u8]], stream: i16, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[VERSION_BYTE, 0]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.push(OPCODE_EXECUTE);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&(id.len() as u16).to_be_bytes());
    out.extend_from_slice(id);
    out.extend_from_slice(&Consistency::One.code().to_be_bytes());
    out.push(FLAG_VALUES_SKIP_METADATA);
    out.extend_from_slice(&(values.len() as u16).to_be_bytes());
    for value in values {
        out.extend_from_slice(&(value.len() as i32).to_be_bytes());
        out.extend_from_slice(value);
    }
    let length = (out.len() - start - super::connection::HEADER_BYTES) as u32;
    out[start + 5..start + 9].copy_from_slice(&length.to_be_bytes());
}

fn value(n: u64) -> [u8; 32] {
    let mut value = [0; 32];
    for (i, part) in value.chunks_exact_mut(8).enumerate() {
        part.copy_from_slice(&mix(n.wrapping_mul(4).wrapping_add(i as u64)).to_be_bytes());
    }
    value
}

fn int(n: u64) -> [u8; 4] {
    (n as i32).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_whole() {
        let prepared = Prepared { insert: vec![7; 16], ..Prepared::default() };
        let workload = Workload::new(Kind::Write, prepared);
        let mut out = Vec::new();
        workload.request(3, 9, &mut out);
        assert_eq!(&out[..5], &[4, 0, 0, 9, 0x0A]);
        let length = u32::from_be_bytes(out[5..9].try_into().unwrap()) as usize;
        assert_eq!(out.len(), 9 + length);
        assert_eq!(length, 2 + 16 + 2 + 1 + 2 + 4 + 16 + 4 + 32);
    }
}

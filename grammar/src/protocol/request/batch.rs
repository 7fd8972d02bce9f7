//! BATCH (native protocol v5, section 4.1.7): several modifications, by text or by prepared id.

use super::parameters::{Tail, flag, read_flags, write_flags};
use crate::consistency::Consistency;
use crate::protocol::error::NotationError;
use crate::protocol::header::Version;
use crate::protocol::primitive::{
    read_byte, read_consistency, read_long_string, read_short, read_short_bytes, write_byte,
    write_consistency, write_count, write_long_string, write_short_bytes,
};
use crate::protocol::values::Values;

/// What kind of batch it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum BatchKind {
    /// All of it happens or none of it, by way of the batch log.
    Logged = 0,
    /// Its statements are applied each by itself.
    Unlogged = 1,
    /// Its statements update counters.
    Counter = 2,
}

/// BATCH.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch<'a> {
    /// Logged, unlogged or counter.
    pub kind: BatchKind,
    /// The statements, in order.
    pub statements: Vec<BatchStatement<'a>>,
    /// The consistency level.
    pub consistency: Consistency,
    /// SERIAL or LOCAL_SERIAL, for conditional statements.
    pub serial_consistency: Option<Consistency>,
    /// The timestamp of what the batch writes, in microseconds.
    pub timestamp: Option<i64>,
    /// The keyspace of unqualified names (v5).
    pub keyspace: Option<&'a str>,
    /// The time against which expiry is judged, in seconds since 1970 (v5).
    pub now_in_seconds: Option<i32>,
}

/// A statement of a batch, with its values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchStatement<'a> {
    /// Text or prepared id.
    pub statement: StatementRef<'a>,
    /// Values for the markers; never named.
    pub values: Values<'a>,
}

/// How a batch refers to a statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StatementRef<'a> {
    /// By its text.
    Text(&'a str),
    /// By the id that PREPARED gave.
    Prepared(&'a [u8]),
}

impl<'a> Batch<'a> {
    /// Reads the body. Named values are refused: the spec puts the flag for them after the values.
    pub fn decode(body: &mut &'a [u8], version: Version) -> Result<Batch<'a>, NotationError> {
        let kind = read_kind(body)?;
        let count = read_short(body)?;
        let statements =
            (0..count).map(|_| BatchStatement::decode(body)).collect::<Result<Vec<_>, _>>()?;
        let consistency = read_consistency(body)?;
        let flags = read_flags(body, version)?;
        if flags & flag::NAMES != 0 {
            return Err(NotationError::Forbidden(
                "values in a batch can't have names: bind them by position",
            ));
        }
        let tail = Tail::decode(body, version, flags)?;
        Ok(Batch {
            kind,
            statements,
            consistency,
            serial_consistency: tail.serial_consistency,
            timestamp: tail.timestamp,
            keyspace: tail.keyspace,
            now_in_seconds: tail.now_in_seconds,
        })
    }

    /// Appends the body. A keyspace and a time of one's own are left out of v4, which has no place for them.
    ///
    /// # Panics
    /// Above 65,535 statements.
    pub fn encode(&self, out: &mut Vec<u8>, version: Version) {
        write_byte(out, self.kind as u8);
        write_count(out, self.statements.len());
        for statement in &self.statements {
            statement.encode(out);
        }
        write_consistency(out, self.consistency);
        let tail = Tail {
            serial_consistency: self.serial_consistency,
            timestamp: self.timestamp,
            keyspace: self.keyspace,
            now_in_seconds: self.now_in_seconds,
        };
        write_flags(out, version, tail.flags(version));
        tail.encode(out, version);
    }
}

impl<'a> BatchStatement<'a> {
    fn decode(body: &mut &'a [u8]) -> Result<BatchStatement<'a>, NotationError> {
        let start = *body;
        let statement = match read_byte(body)? {
            0 => StatementRef::Text(read_long_string(body)?),
            1 => StatementRef::Prepared(read_short_bytes(body)?),
            code => {
                *body = start;
                return Err(NotationError::UnknownCode {
                    what: "kind of a batch's statement",
                    code: code.into(),
                });
            }
        };
        Ok(BatchStatement { statement, values: Values::decode(body, false)? })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        match self.statement {
            StatementRef::Text(text) => {
                write_byte(out, 0);
                write_long_string(out, text);
            }
            StatementRef::Prepared(id) => {
                write_byte(out, 1);
                write_short_bytes(out, id);
            }
        }
        self.values.encode(out);
    }
}

fn read_kind(body: &mut &[u8]) -> Result<BatchKind, NotationError> {
    let start = *body;
    match read_byte(body)? {
        0 => Ok(BatchKind::Logged),
        1 => Ok(BatchKind::Unlogged),
        2 => Ok(BatchKind::Counter),
        code => {
            *body = start;
            Err(NotationError::UnknownCode { what: "kind of batch", code: code.into() })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::primitive::RawValue;
    use crate::protocol::request::Request;
    use crate::protocol::tests::check_request;
    use crate::protocol::values::ValueList;

    /// Bytes from the Python driver's own encoder (3.30).
    #[test]
    fn bytes_of_another_encoder() {
        let mut values = ValueList::positional();
        values.push(RawValue::Bytes(b"x")).unwrap();
        let text =
            BatchStatement { statement: StatementRef::Text("I"), values: values.as_values() };
        let prepared =
            BatchStatement { statement: StatementRef::Prepared(&[0xAA]), values: Values::EMPTY };
        let batch = Batch {
            kind: BatchKind::Unlogged,
            statements: vec![text, prepared],
            consistency: Consistency::Quorum,
            serial_consistency: Some(Consistency::LocalSerial),
            timestamp: Some(7),
            keyspace: None,
            now_in_seconds: None,
        };
        let statements = "01 0002 00 0000000149 0001 0000000178 01 0001aa 0000";
        check_request(
            &Request::Batch(batch.clone()),
            Version::V4,
            &format!("{statements} 0004 30 0009 0000000000000007"),
        );
        let batch = Batch { keyspace: Some("k"), ..batch };
        check_request(
            &Request::Batch(batch),
            Version::V5,
            &format!("{statements} 0004 000000b0 0009 0000000000000007 00016b"),
        );
    }

    #[test]
    fn what_a_batch_can_t_have_is_refused() {
        let refused =
            |mut body: &[u8]| Batch::decode(&mut body, Version::V4).unwrap_err().to_string();
        assert_eq!(refused(&[3, 0, 0]), "0x0003 is no kind of batch");
        assert_eq!(refused(&[0, 0, 1, 2]), "0x0002 is no kind of a batch's statement");
        assert!(refused(&[0, 0, 0, 0, 1, 0x40]).starts_with("values in a batch can't have names"));
    }
}

//! What errors say about the operation that failed: which replicas and why, and what kind of write it was
//! (native protocol v5, section 8).

use std::fmt;
use std::net::IpAddr;

use crate::protocol::error::NotationError;
use crate::protocol::header::Version;
use crate::protocol::primitive::{
    read_inetaddr, read_int, read_short, read_string, write_inetaddr, write_int, write_length,
    write_short,
};

/// The replicas that failed an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failures {
    /// How many: all that v4 says.
    Count(i32),
    /// Each with its reason: what v5 says.
    Reasons(Vec<(IpAddr, FailureReason)>),
}

/// Why a replica failed: a code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FailureReason(pub u16);

/// What kind of write an error is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // each is the kind of that name
pub enum WriteType {
    Simple,
    Batch,
    UnloggedBatch,
    Counter,
    BatchLog,
    Cas,
    View,
    Cdc,
}

impl WriteType {
    /// All kinds.
    pub const ALL: [WriteType; 8] = [
        WriteType::Simple,
        WriteType::Batch,
        WriteType::UnloggedBatch,
        WriteType::Counter,
        WriteType::BatchLog,
        WriteType::Cas,
        WriteType::View,
        WriteType::Cdc,
    ];

    /// The name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            WriteType::Simple => "SIMPLE",
            WriteType::Batch => "BATCH",
            WriteType::UnloggedBatch => "UNLOGGED_BATCH",
            WriteType::Counter => "COUNTER",
            WriteType::BatchLog => "BATCH_LOG",
            WriteType::Cas => "CAS",
            WriteType::View => "VIEW",
            WriteType::Cdc => "CDC",
        }
    }

    pub(super) fn decode(body: &mut &[u8]) -> Result<WriteType, NotationError> {
        let start = *body;
        let name = read_string(body)?;
        WriteType::ALL.into_iter().find(|write_type| write_type.name() == name).ok_or_else(|| {
            *body = start;
            NotationError::UnknownName { what: "kind of write", name: name.to_string() }
        })
    }
}

impl fmt::Display for WriteType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FailureReason {
    /// Nothing more is known.
    pub const UNKNOWN: FailureReason = FailureReason(0x0000);
    /// The read met more tombstones than allowed.
    pub const READ_TOO_MANY_TOMBSTONES: FailureReason = FailureReason(0x0001);
    /// The replica did not answer in time.
    pub const TIMEOUT: FailureReason = FailureReason(0x0002);
    /// The replica speaks a version that has no such operation.
    pub const INCOMPATIBLE_SCHEMA: FailureReason = FailureReason(0x0003);
    /// The read met a larger row, or needs more memory, than allowed.
    pub const READ_SIZE: FailureReason = FailureReason(0x0004);
    /// The node is going down.
    pub const NODE_DOWN: FailureReason = FailureReason(0x0005);
    /// An index that the read needs is not built yet.
    pub const INDEX_NOT_AVAILABLE: FailureReason = FailureReason(0x0006);
}

impl Failures {
    /// How many replicas failed.
    pub fn count(&self) -> i32 {
        match self {
            Failures::Count(count) => *count,
            Failures::Reasons(reasons) => i32::try_from(reasons.len()).unwrap_or(i32::MAX),
        }
    }

    pub(super) fn decode(body: &mut &[u8], version: Version) -> Result<Failures, NotationError> {
        let count = read_int(body)?;
        if version < Version::V5 {
            return Ok(Failures::Count(count));
        }
        let reasons =
            (0..count).map(|_| Ok((read_inetaddr(body)?, FailureReason(read_short(body)?))));
        Ok(Failures::Reasons(reasons.collect::<Result<Vec<_>, NotationError>>()?))
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>, version: Version) {
        if version < Version::V5 {
            write_int(out, self.count());
            return;
        }
        let reasons = match self {
            Failures::Count(_) => [].as_slice(),
            Failures::Reasons(reasons) => reasons,
        };
        write_length(out, reasons.len());
        for (endpoint, reason) in reasons {
            write_inetaddr(out, *endpoint);
            write_short(out, reason.0);
        }
    }
}

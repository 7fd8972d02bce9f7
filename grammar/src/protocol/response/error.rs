//! ERROR (native protocol v5, sections 4.2.1 and 8): a code, a message, and fields of the code's own.

pub use super::failure::{FailureReason, Failures, WriteType};
use crate::consistency::Consistency;
use crate::protocol::error::NotationError;
use crate::protocol::header::Version;
use crate::protocol::primitive::{
    read_byte, read_consistency, read_int, read_short, read_short_bytes, read_string,
    read_string_list, write_byte, write_consistency, write_int, write_short, write_short_bytes,
    write_string, write_string_list,
};

/// ERROR.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ErrorMessage {
    /// What went wrong, for people.
    pub message: String,
    /// What went wrong, for programs.
    pub kind: ErrorKind,
}

/// What went wrong, with the fields that go with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// 0x0000: a defect of the server.
    Server,
    /// 0x000A: the client broke the protocol.
    Protocol,
    /// 0x0100: who the client says it is was not believed.
    BadCredentials,
    /// 0x1000: too few replicas are alive for the level.
    Unavailable {
        /// Level of the request.
        consistency: Consistency,
        /// Replicas the level needs.
        required: i32,
        /// Replicas known to be alive.
        alive: i32,
    },
    /// 0x1001: the coordinator has too much to do.
    Overloaded,
    /// 0x1002: the coordinator is still joining.
    Bootstrapping,
    /// 0x1003: TRUNCATE failed.
    Truncate,
    /// 0x1100: too few replicas acknowledged a write in time.
    WriteTimeout {
        /// Level of the request.
        consistency: Consistency,
        /// Replicas that did.
        received: i32,
        /// Replicas the level needs.
        required: i32,
        /// What kind of write.
        write_type: WriteType,
        /// Ballots lost to others, for a conditional write (v5; 0 elsewhere).
        contentions: u16,
    },
    /// 0x1200: too few replicas answered a read in time.
    ReadTimeout {
        /// Level of the request.
        consistency: Consistency,
        /// Replicas that did.
        received: i32,
        /// Replicas the level needs.
        required: i32,
        /// Whether the replica that was asked for data, not a digest, answered.
        data_present: bool,
    },
    /// 0x1300: a replica failed a read.
    ReadFailure {
        /// Level of the request.
        consistency: Consistency,
        /// Replicas that answered.
        received: i32,
        /// Replicas the level needs.
        required: i32,
        /// Replicas that failed.
        failures: Failures,
        /// Whether the replica that was asked for data, not a digest, answered.
        data_present: bool,
    },
    /// 0x1400: a user's function failed.
    FunctionFailure {
        /// Keyspace of the function.
        keyspace: String,
        /// Name of the function.
        function: String,
        /// Types of its arguments, as CQL.
        argument_types: Vec<String>,
    },
    /// 0x1500: a replica failed a write.
    WriteFailure {
        /// Level of the request.
        consistency: Consistency,
        /// Replicas that acknowledged.
        received: i32,
        /// Replicas the level needs.
        required: i32,
        /// Replicas that failed.
        failures: Failures,
        /// What kind of write.
        write_type: WriteType,
    },
    /// 0x1600: a write to a table under change data capture found no room for it.
    CdcWriteFailure,
    /// 0x1700: whether a conditional write took place is not known.
    CasWriteUnknown {
        /// Level of the request.
        consistency: Consistency,
        /// Replicas that accepted.
        received: i32,
        /// Replicas the level needs.
        required: i32,
    },
    /// 0x2000: the text is no CQL.
    Syntax,
    /// 0x2100: the role may not do that.
    Unauthorized,
    /// 0x2200: the statement makes no sense here.
    Invalid,
    /// 0x2300: the statement asks for a configuration that can't be.
    Config,
    /// 0x2400: the keyspace or table exists already.
    AlreadyExists {
        /// It, or that of the table.
        keyspace: String,
        /// The table; empty if it is the keyspace that exists.
        table: String,
    },
    /// 0x2500: no statement of that id is prepared on this node.
    Unprepared {
        /// As the client sent it.
        id: Vec<u8>,
    },
    /// A code that the spec does not have (seen by clients only).
    Other {
        /// As the server sent it.
        code: i32,
    },
}

impl ErrorKind {
    /// The code on the wire.
    pub const fn code(&self) -> i32 {
        match self {
            ErrorKind::Server => 0x0000,
            ErrorKind::Protocol => 0x000A,
            ErrorKind::BadCredentials => 0x0100,
            ErrorKind::Unavailable { .. } => 0x1000,
            ErrorKind::Overloaded => 0x1001,
            ErrorKind::Bootstrapping => 0x1002,
            ErrorKind::Truncate => 0x1003,
            ErrorKind::WriteTimeout { .. } => 0x1100,
            ErrorKind::ReadTimeout { .. } => 0x1200,
            ErrorKind::ReadFailure { .. } => 0x1300,
            ErrorKind::FunctionFailure { .. } => 0x1400,
            ErrorKind::WriteFailure { .. } => 0x1500,
            ErrorKind::CdcWriteFailure => 0x1600,
            ErrorKind::CasWriteUnknown { .. } => 0x1700,
            ErrorKind::Syntax => 0x2000,
            ErrorKind::Unauthorized => 0x2100,
            ErrorKind::Invalid => 0x2200,
            ErrorKind::Config => 0x2300,
            ErrorKind::AlreadyExists { .. } => 0x2400,
            ErrorKind::Unprepared { .. } => 0x2500,
            ErrorKind::Other { code } => *code,
        }
    }

    fn decode(code: i32, body: &mut &[u8], version: Version) -> Result<ErrorKind, NotationError> {
        Ok(match code {
            0x0000 => ErrorKind::Server,
            0x000A => ErrorKind::Protocol,
            0x0100 => ErrorKind::BadCredentials,
            0x1001 => ErrorKind::Overloaded,
            0x1002 => ErrorKind::Bootstrapping,
            0x1003 => ErrorKind::Truncate,
            0x1400 => ErrorKind::FunctionFailure {
                keyspace: read_string(body)?.to_string(),
                function: read_string(body)?.to_string(),
                argument_types: read_string_list(body)?.into_iter().map(str::to_string).collect(),
            },
            0x1600 => ErrorKind::CdcWriteFailure,
            0x2000 => ErrorKind::Syntax,
            0x2100 => ErrorKind::Unauthorized,
            0x2200 => ErrorKind::Invalid,
            0x2300 => ErrorKind::Config,
            0x2400 => ErrorKind::AlreadyExists {
                keyspace: read_string(body)?.to_string(),
                table: read_string(body)?.to_string(),
            },
            0x2500 => ErrorKind::Unprepared { id: read_short_bytes(body)?.to_vec() },
            0x1000 | 0x1100 | 0x1200 | 0x1300 | 0x1500 | 0x1700 => {
                ErrorKind::decode_replicas(code, body, version)?
            }
            code => ErrorKind::Other { code },
        })
    }

    /// Reads the fields of the codes that begin with a level and two counts of replicas.
    fn decode_replicas(
        code: i32,
        body: &mut &[u8],
        version: Version,
    ) -> Result<ErrorKind, NotationError> {
        let consistency = read_consistency(body)?;
        let first = read_int(body)?;
        let second = read_int(body)?;
        let (received, required) = (first, second);
        Ok(match code {
            0x1000 => ErrorKind::Unavailable { consistency, required: first, alive: second },
            0x1100 => {
                let write_type = WriteType::decode(body)?;
                let has_contentions = version >= Version::V5 && write_type == WriteType::Cas;
                let contentions = if has_contentions { read_short(body)? } else { 0 };
                ErrorKind::WriteTimeout { consistency, received, required, write_type, contentions }
            }
            0x1200 => {
                let data_present = read_byte(body)? != 0;
                ErrorKind::ReadTimeout { consistency, received, required, data_present }
            }
            0x1300 => {
                let failures = Failures::decode(body, version)?;
                let data_present = read_byte(body)? != 0;
                ErrorKind::ReadFailure { consistency, received, required, failures, data_present }
            }
            0x1500 => {
                let failures = Failures::decode(body, version)?;
                let write_type = WriteType::decode(body)?;
                ErrorKind::WriteFailure { consistency, received, required, failures, write_type }
            }
            _ => ErrorKind::CasWriteUnknown { consistency, received, required },
        })
    }

    fn encode(&self, out: &mut Vec<u8>, version: Version) {
        let replicas = |out: &mut Vec<u8>, consistency: Consistency, first: i32, second: i32| {
            write_consistency(out, consistency);
            write_int(out, first);
            write_int(out, second);
        };
        match self {
            ErrorKind::Unavailable { consistency, required, alive } => {
                replicas(out, *consistency, *required, *alive)
            }
            ErrorKind::WriteTimeout {
                consistency,
                received,
                required,
                write_type,
                contentions,
            } => {
                replicas(out, *consistency, *received, *required);
                write_string(out, write_type.name());
                if version >= Version::V5 && *write_type == WriteType::Cas {
                    write_short(out, *contentions);
                }
            }
            ErrorKind::ReadTimeout { consistency, received, required, data_present } => {
                replicas(out, *consistency, *received, *required);
                write_byte(out, u8::from(*data_present));
            }
            ErrorKind::ReadFailure { consistency, received, required, failures, data_present } => {
                replicas(out, *consistency, *received, *required);
                failures.encode(out, version);
                write_byte(out, u8::from(*data_present));
            }
            ErrorKind::FunctionFailure { keyspace, function, argument_types } => {
                write_string(out, keyspace);
                write_string(out, function);
                write_string_list(out, argument_types);
            }
            ErrorKind::WriteFailure { consistency, received, required, failures, write_type } => {
                replicas(out, *consistency, *received, *required);
                failures.encode(out, version);
                write_string(out, write_type.name());
            }
            ErrorKind::CasWriteUnknown { consistency, received, required } => {
                replicas(out, *consistency, *received, *required);
            }
            ErrorKind::AlreadyExists { keyspace, table } => {
                write_string(out, keyspace);
                write_string(out, table);
            }
            ErrorKind::Unprepared { id } => write_short_bytes(out, id),
            _ => {}
        }
    }
}

impl ErrorMessage {
    /// An error of that kind and message.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> ErrorMessage {
        ErrorMessage { message: message.into(), kind }
    }

    /// Reads the body.
    pub fn decode(body: &mut &[u8], version: Version) -> Result<ErrorMessage, NotationError> {
        let code = read_int(body)?;
        let message = read_string(body)?.to_string();
        let kind = ErrorKind::decode(code, body, version)?;
        Ok(ErrorMessage { message, kind })
    }

    /// Appends the body. A message beyond 65,535 bytes is cut.
    pub fn encode(&self, out: &mut Vec<u8>, version: Version) {
        write_int(out, self.kind.code());
        write_string(out, &self.message);
        self.kind.encode(out, version);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::response::Response;
    use crate::protocol::tests::check_response;

    fn check(kind: ErrorKind, version: Version, body: &str) {
        check_response(&Response::Error(ErrorMessage::new(kind, "m")), version, body);
    }

    #[test]
    fn bytes_of_the_spec() {
        for (kind, code) in [
            (ErrorKind::Server, "00000000"),
            (ErrorKind::Protocol, "0000000a"),
            (ErrorKind::BadCredentials, "00000100"),
            (ErrorKind::Overloaded, "00001001"),
            (ErrorKind::Bootstrapping, "00001002"),
            (ErrorKind::Truncate, "00001003"),
            (ErrorKind::CdcWriteFailure, "00001600"),
            (ErrorKind::Syntax, "00002000"),
            (ErrorKind::Unauthorized, "00002100"),
            (ErrorKind::Invalid, "00002200"),
            (ErrorKind::Config, "00002300"),
        ] {
            check(kind, Version::V4, &format!("{code} 00016d"));
        }
        let (consistency, received, required) = (Consistency::Quorum, 1, 2);
        let unavailable = ErrorKind::Unavailable { consistency, required: 2, alive: 1 };
        check(unavailable, Version::V4, "00001000 00016d 0004 00000002 00000001");
        let unknown = ErrorKind::CasWriteUnknown { consistency, received, required };
        check(unknown, Version::V5, "00001700 00016d 0004 00000001 00000002");
        let timeout =
            ErrorKind::ReadTimeout { consistency, received, required, data_present: true };
        check(timeout, Version::V4, "00001200 00016d 0004 00000001 00000002 01");
        let exists = ErrorKind::AlreadyExists { keyspace: "ks".into(), table: "t".into() };
        check(exists, Version::V5, "00002400 00016d 00026b73 000174");
        check(
            ErrorKind::Unprepared { id: vec![0xAA, 0xBB] },
            Version::V4,
            "00002500 00016d 0002aabb",
        );
        let function = "f".into();
        let failure = ErrorKind::FunctionFailure {
            keyspace: "ks".into(),
            function,
            argument_types: vec!["int".into()],
        };
        check(failure, Version::V4, "00001400 00016d 00026b73 000166 0001 0003696e74");
    }

    #[test]
    fn bytes_that_differ_by_version() {
        let (consistency, received, required) = (Consistency::Quorum, 1, 2);
        let timeout = |write_type, contentions| ErrorKind::WriteTimeout {
            consistency,
            received,
            required,
            write_type,
            contentions,
        };
        let counts = "00016d 0004 00000001 00000002";
        check(timeout(WriteType::Cas, 0), Version::V4, &format!("00001100 {counts} 0003434153"));
        check(
            timeout(WriteType::Cas, 7),
            Version::V5,
            &format!("00001100 {counts} 0003434153 0007"),
        );
        check(timeout(WriteType::View, 0), Version::V5, &format!("00001100 {counts} 000456494557"));

        let reasons = Failures::Reasons(vec![(
            [127, 0, 0, 1].into(),
            FailureReason::READ_TOO_MANY_TOMBSTONES,
        )]);
        for (failures, version, encoded) in [
            (Failures::Count(1), Version::V4, "00000001"),
            (reasons, Version::V5, "00000001 047f000001 0001"),
        ] {
            let data_present = false;
            let read = ErrorKind::ReadFailure {
                consistency,
                received,
                required,
                failures: failures.clone(),
                data_present,
            };
            check(read, version, &format!("00001300 {counts} {encoded} 00"));
            let write_type = WriteType::Simple;
            let write =
                ErrorKind::WriteFailure { consistency, received, required, failures, write_type };
            check(write, version, &format!("00001500 {counts} {encoded} 000653494d504c45"));
        }
    }

    #[test]
    fn a_message_beyond_what_fits_is_cut_at_a_character() {
        let message = format!("a{}", "é".repeat(40_000));
        let mut body = Vec::new();
        ErrorMessage::new(ErrorKind::Invalid, message.clone()).encode(&mut body, Version::V4);
        let read = ErrorMessage::decode(&mut body.as_slice(), Version::V4).unwrap();
        assert_eq!(read.message.len(), 65_535);
        assert!(message.starts_with(&read.message));
    }
}

//! The parameters that QUERY and EXECUTE share (native protocol v5, section 4.1.4).

use crate::consistency::Consistency;
use crate::protocol::error::NotationError;
use crate::protocol::header::Version;
use crate::protocol::primitive::{
    read_byte, read_bytes, read_consistency, read_int, read_long, read_string, write_byte,
    write_bytes, write_consistency, write_int, write_long, write_string,
};
use crate::protocol::values::Values;

/// Bits of the parameters' flags: a \[byte\] in v4, an \[int\] in v5.
pub(super) mod flag {
    pub(crate) const VALUES: u32 = 0x01;
    pub(crate) const SKIP_METADATA: u32 = 0x02;
    pub(crate) const PAGE_SIZE: u32 = 0x04;
    pub(crate) const PAGING_STATE: u32 = 0x08;
    pub(crate) const SERIAL_CONSISTENCY: u32 = 0x10;
    pub(crate) const DEFAULT_TIMESTAMP: u32 = 0x20;
    pub(crate) const NAMES: u32 = 0x40;
    pub(crate) const KEYSPACE: u32 = 0x80;
    pub(crate) const NOW_IN_SECONDS: u32 = 0x100;
}

/// What goes with the text or the id of a statement.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct QueryParameters<'a> {
    /// The consistency level.
    pub consistency: Consistency,
    /// Values for the markers.
    pub values: Values<'a>,
    /// Whether the answer may leave out the rows' metadata.
    pub skip_metadata: bool,
    /// Most rows in a page, as the client sent it; without it, or at 0 and below, the result is not paged.
    pub page_size: Option<i32>,
    /// Where to go on, from an earlier page.
    pub paging_state: Option<&'a [u8]>,
    /// SERIAL or LOCAL_SERIAL, for conditional statements.
    pub serial_consistency: Option<Consistency>,
    /// The timestamp of what the statement writes, in microseconds.
    pub timestamp: Option<i64>,
    /// The keyspace of unqualified names (v5).
    pub keyspace: Option<&'a str>,
    /// The time against which expiry is judged, in seconds since 1970 (v5).
    pub now_in_seconds: Option<i32>,
}

impl Default for QueryParameters<'_> {
    fn default() -> Self {
        QueryParameters {
            consistency: Consistency::One,
            values: Values::EMPTY,
            skip_metadata: false,
            page_size: None,
            paging_state: None,
            serial_consistency: None,
            timestamp: None,
            keyspace: None,
            now_in_seconds: None,
        }
    }
}

impl<'a> QueryParameters<'a> {
    /// Reads the parameters.
    pub fn decode(
        input: &mut &'a [u8],
        version: Version,
    ) -> Result<QueryParameters<'a>, NotationError> {
        let consistency = read_consistency(input)?;
        let flags = read_flags(input, version)?;
        let has = |flag: u32| flags & flag != 0;
        let mut parameters = QueryParameters {
            consistency,
            skip_metadata: has(flag::SKIP_METADATA),
            ..QueryParameters::default()
        };
        if has(flag::VALUES) {
            parameters.values = Values::decode(input, has(flag::NAMES))?;
        }
        if has(flag::PAGE_SIZE) {
            parameters.page_size = Some(read_int(input)?);
        }
        if has(flag::PAGING_STATE) {
            parameters.paging_state = read_bytes(input)?;
        }
        let tail = Tail::decode(input, version, flags)?;
        parameters.serial_consistency = tail.serial_consistency;
        parameters.timestamp = tail.timestamp;
        parameters.keyspace = tail.keyspace;
        parameters.now_in_seconds = tail.now_in_seconds;
        Ok(parameters)
    }

    /// Appends the parameters. A keyspace and a time of one's own are left out of v4, which has no place for them.
    pub fn encode(&self, out: &mut Vec<u8>, version: Version) {
        write_consistency(out, self.consistency);
        let tail = self.tail();
        let mut flags = tail.flags(version);
        let mut set = |flag: u32, condition: bool| flags |= if condition { flag } else { 0 };
        set(flag::VALUES, !self.values.is_empty());
        set(flag::NAMES, !self.values.is_empty() && self.values.are_named());
        set(flag::SKIP_METADATA, self.skip_metadata);
        set(flag::PAGE_SIZE, self.page_size.is_some());
        set(flag::PAGING_STATE, self.paging_state.is_some());
        write_flags(out, version, flags);
        if !self.values.is_empty() {
            self.values.encode(out);
        }
        if let Some(page_size) = self.page_size {
            write_int(out, page_size);
        }
        if self.paging_state.is_some() {
            write_bytes(out, self.paging_state);
        }
        tail.encode(out, version);
    }

    fn tail(&self) -> Tail<'a> {
        Tail {
            serial_consistency: self.serial_consistency,
            timestamp: self.timestamp,
            keyspace: self.keyspace,
            now_in_seconds: self.now_in_seconds,
        }
    }
}

/// Reads the flags in the width of the version.
pub(super) fn read_flags(input: &mut &[u8], version: Version) -> Result<u32, NotationError> {
    match version {
        // The upper bits of v5 have no place in a byte, and its keyspace bit no meaning in v4.
        Version::V4 => Ok(u32::from(read_byte(input)?) & !flag::KEYSPACE),
        Version::V5 => Ok(read_int(input)?.cast_unsigned()),
    }
}

/// Appends the flags in the width of the version.
pub(super) fn write_flags(out: &mut Vec<u8>, version: Version, flags: u32) {
    match version {
        Version::V4 => {
            write_byte(out, u8::try_from(flags).expect("flags above one byte are set for v5 only"))
        }
        Version::V5 => write_int(out, flags.cast_signed()),
    }
}

/// The last parameters, which BATCH has too.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Tail<'a> {
    pub(super) serial_consistency: Option<Consistency>,
    pub(super) timestamp: Option<i64>,
    pub(super) keyspace: Option<&'a str>,
    pub(super) now_in_seconds: Option<i32>,
}

impl<'a> Tail<'a> {
    pub(super) fn decode(
        input: &mut &'a [u8],
        version: Version,
        flags: u32,
    ) -> Result<Tail<'a>, NotationError> {
        let has = |flag: u32| flags & flag != 0;
        let serial_consistency =
            if has(flag::SERIAL_CONSISTENCY) { Some(read_serial(input)?) } else { None };
        let timestamp = if has(flag::DEFAULT_TIMESTAMP) { Some(read_long(input)?) } else { None };
        let v5 = version >= Version::V5;
        let keyspace = if v5 && has(flag::KEYSPACE) { Some(read_string(input)?) } else { None };
        let now_in_seconds =
            if v5 && has(flag::NOW_IN_SECONDS) { Some(read_int(input)?) } else { None };
        Ok(Tail { serial_consistency, timestamp, keyspace, now_in_seconds })
    }

    pub(super) fn flags(&self, version: Version) -> u32 {
        let v5 = version >= Version::V5;
        let bit = |flag: u32, condition: bool| if condition { flag } else { 0 };
        bit(flag::SERIAL_CONSISTENCY, self.serial_consistency.is_some())
            | bit(flag::DEFAULT_TIMESTAMP, self.timestamp.is_some())
            | bit(flag::KEYSPACE, v5 && self.keyspace.is_some())
            | bit(flag::NOW_IN_SECONDS, v5 && self.now_in_seconds.is_some())
    }

    pub(super) fn encode(&self, out: &mut Vec<u8>, version: Version) {
        if let Some(level) = self.serial_consistency {
            write_consistency(out, level);
        }
        if let Some(timestamp) = self.timestamp {
            write_long(out, timestamp);
        }
        if version < Version::V5 {
            return;
        }
        if let Some(keyspace) = self.keyspace {
            write_string(out, keyspace);
        }
        if let Some(now) = self.now_in_seconds {
            write_int(out, now);
        }
    }
}

/// Reads a serial consistency level: only SERIAL and LOCAL_SERIAL are.
fn read_serial(input: &mut &[u8]) -> Result<Consistency, NotationError> {
    let mut rest = *input;
    let level = read_consistency(&mut rest)?;
    if !level.is_serial() {
        return Err(NotationError::UnknownCode {
            what: "serial consistency level",
            code: u32::from(level.code()),
        });
    }
    *input = rest;
    Ok(level)
}

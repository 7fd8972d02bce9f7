//! Bound values: what a request brings for a statement's markers.

use smallvec::SmallVec;
use tholos_grammar::consistency::Consistency;

/// The value of one marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bound<'a> {
    /// Explicit null.
    Null,
    /// "Not set": leave the column as it is.
    Unset,
    /// The protocol's bytes.
    Bytes(&'a [u8]),
}

/// The values of a statement's markers, by marker position (values bound by name are put in order beforehand).
pub type BoundValues<'a> = SmallVec<[Bound<'a>; 16]>;

/// What a request says beside its statement and values.
#[derive(Clone, Copy, Debug)]
pub struct RequestOptions<'a> {
    /// Consistency level.
    pub consistency: Consistency,
    /// Consistency of the Paxos phase.
    pub serial_consistency: Consistency,
    /// Rows per page; none: unlimited.
    pub page_size: Option<i32>,
    /// Where to go on, as an earlier page said.
    pub paging_state: Option<&'a [u8]>,
    /// The client's timestamp, in microseconds.
    pub timestamp: Option<i64>,
    /// Seconds to take for "now" (protocol v5), for tests of expiry.
    pub now_in_seconds: Option<i32>,
    /// The client knows the result's metadata.
    pub skip_metadata: bool,
}

/// The time of one request: read once from the node's clock, used everywhere.
#[derive(Clone, Copy, Debug)]
pub struct RequestTime {
    /// Microseconds since 1970: the timestamp of writes that bring none.
    pub micros: i64,
    /// Seconds since 1970: what expiry is compared with.
    pub seconds: i64,
}

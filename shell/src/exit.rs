//! Exit codes.

/// All statements succeeded.
pub const OK: u8 = 0;
/// A statement failed.
pub const STATEMENT_FAILED: u8 = 1;
/// The command line, or a file it names, is wrong.
pub const USAGE: u8 = 2;
/// No connection to the server, or it was lost.
pub const CANNOT_CONNECT: u8 = 3;
/// A statement was not answered in time.
pub const TIMEOUT: u8 = 4;
/// Interrupted with Ctrl-C: 128 and the signal's number.
pub const INTERRUPTED: u8 = 130;

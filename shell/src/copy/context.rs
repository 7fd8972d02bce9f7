//! What COPY needs of the shell that it is a command of.

use tholos_grammar::consistency::Consistency;

use crate::line::LineReader;
use crate::session::Session;

/// What a COPY works with.
pub(crate) struct CopyContext<'a> {
    pub(crate) session: &'a mut Session,
    pub(crate) consistency: Consistency,
    pub(crate) input: StandardInput<'a>,
}

/// What standard input holds.
pub(crate) enum StandardInput<'a> {
    Rows,
    /// What a person types, at this prompt.
    Typed(&'a mut LineReader),
    /// The script that the COPY stands in, so that no rows can come from there.
    Script,
}

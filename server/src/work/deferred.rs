//! A request, kept as it came, that is to be carried out elsewhere or later. Nothing of it was done.

use std::time::Instant;

use tholos_grammar::name::Name;
use tholos_grammar::protocol::envelope::Envelope;
use tholos_grammar::protocol::header::{HEADER_LENGTH, Header};

use super::pool::Class;
use crate::budget::Credit;

/// A request, kept as it came.
#[derive(Debug)]
pub(crate) struct Deferred {
    /// Its header.
    pub(crate) header: Header,
    /// Room for a header, and the body.
    bytes: Vec<u8>,
    /// For the bytes above.
    credit: Credit,
    /// When it came.
    pub(crate) started: Instant,
    /// Which threads are to carry it out: those for long ones, unless it waits for the disk.
    pub(crate) class: Class,
    /// The keyspace that its client was in.
    pub(crate) keyspace: Option<Name>,
    /// There was no memory for it beside others of its client.
    pub(crate) alone: bool,
}

impl Deferred {
    /// A request whose first bytes are its header; `credit` is for them.
    pub(crate) fn new(
        header: Header,
        bytes: Vec<u8>,
        mut credit: Credit,
        started: Instant,
        keyspace: Option<Name>,
    ) -> Deferred {
        credit.set(bytes.capacity());
        Deferred { header, bytes, credit, started, class: Class::Long, keyspace, alone: false }
    }

    /// A copy of somebody else's.
    pub(crate) fn copy(
        envelope: &Envelope<'_>,
        credit: Credit,
        started: Instant,
        keyspace: Option<Name>,
    ) -> Deferred {
        let bytes = [&[0; HEADER_LENGTH], envelope.body].concat();
        Deferred::new(envelope.header, bytes, credit, started, keyspace)
    }

    /// The same, for threads of that class.
    pub(crate) fn for_class(self, class: Class) -> Deferred {
        Deferred { class, ..self }
    }

    /// The same, for when nothing else of its client runs.
    pub(crate) fn for_itself(self) -> Deferred {
        Deferred { alone: true, ..self }
    }

    /// The request.
    pub(crate) fn envelope(&self) -> Envelope<'_> {
        let body = self.bytes.get(HEADER_LENGTH..).unwrap_or(&[]);
        Envelope { header: self.header, body }
    }

    /// What it holds of the node's memory.
    pub(crate) fn bytes(&self) -> usize {
        self.credit.bytes()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::Arc;

    use tholos_grammar::protocol::header::{Direction, Flags, Opcode, Version};

    use super::*;
    use crate::budget::{Account, Budget};

    /// A QUERY without a body on that stream.
    pub(in crate::work) fn request(stream: i16, class: Class, started: Instant) -> Deferred {
        let budget = Arc::new(Budget::new(1 << 20));
        let header = Header {
            version: Version::V5,
            direction: Direction::Request,
            flags: Flags::default(),
            stream,
            opcode: Opcode::Query,
            length: 0,
        };
        let credit = Account::new(budget).nothing();
        Deferred::new(header, vec![0; HEADER_LENGTH], credit, started, None).for_class(class)
    }
}

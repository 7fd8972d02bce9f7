//! What nodes say to each other.
//!
//! - [`hello`]: what two nodes say first, and when one refuses the other; [`preference`]: which of two connections stays.
//! - [`frame`]: what a connection is made of from then on; [`wire`]: messages as frames, in the version both speak.
//! - [`codec`]: the bytes of a message.
//!
//! A coordinator numbers its requests; a replica answers each once, in any order. A request whose time is over before a
//! replica comes to it is not carried out: nobody waits for it any more. Time travels as what is left of it, because
//! nodes' clocks differ.
//!
//! ```text
//! coordinator                                             replica
//!   Request 7.0, 4,900,000 us left, Write [mutation]  ->  applies it, and waits for its log
//!                                                     <-  Response 7.0, Written
//! ```

pub mod codec;
pub mod frame;
pub mod hello;
pub mod preference;
pub mod wire;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use tholos_storage::model::mutation::Mutation;
use tholos_storage::model::read::ReadCommand;
use tholos_storage::read::page::Answer;

use crate::request::Refusal;
use crate::request::read::Part;

/// Which request of its coordinator it is, so that an answer finds what waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId {
    /// The operation, numbered by the coordinator since its start.
    pub operation: u64,
    /// What of the operation.
    pub part: Part,
}

/// One message of a node to another.
#[derive(Clone, Debug)]
pub enum Message {
    /// What a coordinator wants of a replica.
    Request {
        /// Which one it is.
        id: RequestId,
        /// Microseconds until nobody waits for it any more.
        time_left: u32,
        /// What is wanted.
        request: Request,
    },
    /// What a replica did.
    Response {
        /// To which request.
        id: RequestId,
        /// What it came to.
        response: Response,
    },
    /// What another protocol says, in bytes of its own: membership, the metadata log.
    Peer {
        /// Which protocol.
        kind: u8,
        /// What it says.
        bytes: Bytes,
    },
}

/// Two nodes have a connection for each class, so that what can't wait never stands behind what is large.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Signs of life, elections: small, and late is as bad as never.
    Urgent,
    /// Requests and answers.
    Normal,
    /// Hints, streams: large, and they can wait.
    Bulk,
}

impl Class {
    /// All of them.
    pub const ALL: [Class; 3] = [Class::Urgent, Class::Normal, Class::Bulk];
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Class::Urgent => "urgent",
            Class::Normal => "normal",
            Class::Bulk => "bulk",
        })
    }
}

/// What a coordinator wants of a replica.
#[derive(Clone, Debug)]
pub enum Request {
    /// That it writes these. Answered once, when all are durable as it keeps things.
    Write(Arc<[Mutation]>),
    /// What it has.
    Read(Arc<ReadCommand>),
}

/// What a replica did.
#[derive(Clone, Debug)]
pub enum Response {
    /// It has what it was to write.
    Written,
    /// What it has.
    Answer(Answer),
    /// Nothing of it was done, or it is not known how much.
    Refused(Refusal),
}

//! What two nodes say to each other first. Who opened the connection greets, the other one answers: with who it is, or with
//! why it refuses. Both sides check, and a refusal is a sentence that both can tell their operators.
//!
//! ```text
//! opened by 1                                          answers
//! Hello cluster "zoo" of id A, host 1, versions 1..=2
//!                                                  ->  is that my cluster? do we have a version in common?
//!                                                  <-  Welcome version 1; cluster "zoo" of id A, host 2
//!                                                  or  Refused "node 2 is of cluster "lab", and node 1 of "zoo": ..."
//! ```
//!
//! ```text
//! greeting = magic (8 bytes), u32 length of the body, u32 crc32 of magic, length and body, body
//! body     = 1, class, node             Hello
//!            2, u16 version, node       Welcome
//!            3, host id (16 bytes), code, slice sentence    Refused
//! node     = u16 least and greatest version, slice cluster name, 0 | 1 and cluster id (16 bytes), host id (16 bytes),
//!            u64 generation, slice address
//! ```
//! All little endian. These bytes are the same in every version, except that later ones may append to a body: what is behind
//! the fields that are known here is ignored.

use std::net::SocketAddr;

use bytes::{BufMut, Bytes};
use tholos_storage::varint::{decode_slice, encode_slice};
use uuid::Uuid;

use super::Class;
use super::wire::Versions;

/// The first bytes of every connection between nodes.
pub const MAGIC: [u8; 8] = *b"THOLpeer";

/// What is before the body.
const HEADER: usize = 16;

/// The longest body.
pub const MOST_BODY: usize = 4096;

/// The longest cluster name in bytes.
pub const MOST_NAME: usize = 256;

const MOST_SENTENCE: usize = 1024;

const HELLO: u8 = 1;
const WELCOME: u8 = 2;
const REFUSED: u8 = 3;

/// Who a node is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerIdentity {
    /// Which versions it speaks.
    pub versions: Versions,
    /// What its cluster is called. At most [`MOST_NAME`] bytes.
    pub cluster_name: String,
    /// Which cluster it is; `None` while the cluster is being formed, or the node is about to join.
    pub cluster_id: Option<Uuid>,
    /// Which node it is.
    pub host_id: Uuid,
    /// Grows with every start of the node.
    pub generation: u64,
    /// Where other nodes reach it.
    pub address: SocketAddr,
}

/// What is said first, in either direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Greeting {
    /// By who opened the connection.
    Hello {
        /// What the connection is for.
        class: Class,
        /// Who it is.
        node: PeerIdentity,
    },
    /// The answer; frames follow from both sides.
    Welcome {
        /// Of the messages.
        version: u16,
        /// Who answers.
        node: PeerIdentity,
    },
    /// The answer; nothing follows.
    Refused {
        /// Who answers.
        host_id: Uuid,
        /// Why.
        refused: Refused,
    },
}

/// Why a connection is refused, in a sentence that both sides tell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{sentence}")]
pub struct Refused {
    /// Why, for programs.
    pub reason: RefusedReason,
    /// Why, for people.
    pub sentence: String,
}

/// Why a connection is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusedReason {
    /// The clusters have different names.
    ClusterName,
    /// The clusters have one name and different ids.
    ClusterId,
    /// No version in common.
    Version,
    /// It is the node itself.
    Myself,
    /// There is a connection, and it is to stay.
    Connected,
    /// Too many nodes or connections.
    Busy,
    /// A later version's.
    Other,
}

/// Why bytes are no greeting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HelloError {
    /// Something else talks to this port, or this node to another port.
    #[error(
        "what came is no greeting of a node: does something other than a node of Tholos talk here?"
    )]
    Magic,
    /// Too long.
    #[error("a greeting of {0} bytes: at most {MOST_BODY} are allowed")]
    TooLong(usize),
    /// Damaged or malformed.
    #[error("a greeting is malformed: {0}")]
    Malformed(&'static str),
}

const ENDS_EARLY: HelloError = HelloError::Malformed("it ends early");

/// Whether two nodes may have a connection, and in which version. Both sides ask, and come to the same.
///
/// # Errors
/// Why not.
pub fn agree(own: &PeerIdentity, other: &PeerIdentity) -> Result<u16, Refused> {
    let refuse = |reason, sentence| Err(Refused { reason, sentence });
    // The same sentence on both sides, whoever greets.
    let (one, two) = if (own.host_id, own.address) <= (other.host_id, other.address) {
        (own, other)
    } else {
        (other, own)
    };
    let who = |node: &PeerIdentity| format!("node {} at {}", node.host_id, node.address);
    if own.cluster_name != other.cluster_name {
        let of =
            |node: &PeerIdentity| format!("{} is of cluster {:?}", who(node), node.cluster_name);
        return refuse(
            RefusedReason::ClusterName,
            format!(
                "{}, and {}: correct cluster_name or cluster.seeds of one of them",
                of(one),
                of(two)
            ),
        );
    }
    if let (Some(one_id), Some(two_id)) = (one.cluster_id, two.cluster_id)
        && one_id != two_id
    {
        return refuse(
            RefusedReason::ClusterId,
            format!(
                "{} is of cluster {one_id}, and {} of cluster {two_id}, both named {:?}: they were formed apart, so correct \
                 cluster.seeds of one of them, or give it an empty data directory to join the other cluster",
                who(one),
                who(two),
                one.cluster_name
            ),
        );
    }
    if own.host_id == other.host_id {
        if (own.address, own.generation) == (other.address, other.generation) {
            return refuse(RefusedReason::Myself, format!("{} is this node itself", who(own)));
        }
        let sentence = format!(
            "{} and the node at {} have one host id: is the data directory of one a copy of the other's? Give that one an \
             empty data directory",
            who(one),
            two.address
        );
        return refuse(RefusedReason::Other, sentence);
    }
    own.versions.common(other.versions).ok_or_else(|| Refused {
        reason: RefusedReason::Version,
        sentence: format!(
            "{} speaks versions {} to {} between nodes, and {} versions {} to {}: upgrade the older one, a release at a time",
            who(one),
            one.versions.least,
            one.versions.greatest,
            who(two),
            two.versions.least,
            two.versions.greatest
        ),
    })
}

impl Greeting {
    /// The greeting's bytes. A name or a sentence that is too long is cut.
    pub fn encode(&self) -> Bytes {
        let mut out = Vec::with_capacity(256);
        out.put_slice(&MAGIC);
        out.put_u64_le(0);
        match self {
            Greeting::Hello { class, node } => {
                out.extend_from_slice(&[HELLO, class_code(*class)]);
                encode_node(node, &mut out);
            }
            Greeting::Welcome { version, node } => {
                out.push(WELCOME);
                out.put_u16_le(*version);
                encode_node(node, &mut out);
            }
            Greeting::Refused { host_id, refused: Refused { reason, sentence } } => {
                out.push(REFUSED);
                out.extend_from_slice(host_id.as_bytes());
                out.push(reason_code(*reason));
                encode_slice(&mut out, cut(sentence, MOST_SENTENCE).as_bytes());
            }
        }
        let len = (out.len() - HEADER) as u32;
        out[8..12].copy_from_slice(&len.to_le_bytes());
        let sum = checksum(&out[..12], &out[HEADER..]);
        out[12..HEADER].copy_from_slice(&sum.to_le_bytes());
        Bytes::from(out)
    }

    /// The greeting at the beginning of what came, and how many bytes it has; `None` if it has not come whole.
    ///
    /// # Errors
    /// It is none. That is told with the first byte that is wrong.
    pub fn decode(input: &[u8]) -> Result<Option<(Greeting, usize)>, HelloError> {
        let common = input.len().min(MAGIC.len());
        if input[..common] != MAGIC[..common] {
            return Err(HelloError::Magic);
        }
        let Some((header, rest)) = input.split_first_chunk::<HEADER>() else { return Ok(None) };
        let (len, sum) = (u32_of(&header[8..12]), u32_of(&header[12..]));
        let len = len as usize;
        if len > MOST_BODY {
            return Err(HelloError::TooLong(len));
        }
        let Some(body) = rest.get(..len) else { return Ok(None) };
        if checksum(&header[..12], body) != sum {
            return Err(HelloError::Malformed("its checksum does not match"));
        }
        Ok(Some((decode_body(body)?, HEADER + len)))
    }
}

fn checksum(header: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(header);
    hasher.update(body);
    hasher.finalize()
}

fn decode_body(mut input: &[u8]) -> Result<Greeting, HelloError> {
    let input = &mut input;
    Ok(match take::<1>(input)? {
        [HELLO] => {
            let [code] = take(input)?;
            let class = Class::ALL.into_iter().find(|class| class_code(*class) == code);
            let class =
                class.ok_or(HelloError::Malformed("its connection is of no known class"))?;
            Greeting::Hello { class, node: decode_node(input)? }
        }
        [WELCOME] => Greeting::Welcome {
            version: u16::from_le_bytes(take(input)?),
            node: decode_node(input)?,
        },
        [REFUSED] => {
            let host_id = Uuid::from_bytes(take(input)?);
            let [code] = take(input)?;
            let sentence = text(input, MOST_SENTENCE)?;
            Greeting::Refused { host_id, refused: Refused { reason: reason_of(code), sentence } }
        }
        _ => return Err(HelloError::Malformed("it is of no known kind")),
    })
}

fn encode_node(node: &PeerIdentity, out: &mut Vec<u8>) {
    out.put_u16_le(node.versions.least);
    out.put_u16_le(node.versions.greatest);
    encode_slice(out, cut(&node.cluster_name, MOST_NAME).as_bytes());
    match node.cluster_id {
        Some(id) => {
            out.push(1);
            out.extend_from_slice(id.as_bytes());
        }
        None => out.push(0),
    }
    out.extend_from_slice(node.host_id.as_bytes());
    out.put_u64_le(node.generation);
    encode_slice(out, node.address.to_string().as_bytes());
}

fn decode_node(input: &mut &[u8]) -> Result<PeerIdentity, HelloError> {
    let least = u16::from_le_bytes(take(input)?);
    let greatest = u16::from_le_bytes(take(input)?);
    let cluster_name = text(input, MOST_NAME)?;
    let cluster_id = match take(input)? {
        [0] => None,
        [1] => Some(Uuid::from_bytes(take(input)?)),
        _ => return Err(HelloError::Malformed("it is not clear whether it has a cluster id")),
    };
    let host_id = Uuid::from_bytes(take(input)?);
    let generation = u64::from_le_bytes(take(input)?);
    let address = text(input, 64)?.parse();
    let address = address.map_err(|_| HelloError::Malformed("its address is none"))?;
    let versions = Versions { least, greatest };
    Ok(PeerIdentity { versions, cluster_name, cluster_id, host_id, generation, address })
}

fn take<const N: usize>(input: &mut &[u8]) -> Result<[u8; N], HelloError> {
    let (bytes, rest) = input.split_first_chunk::<N>().ok_or(ENDS_EARLY)?;
    *input = rest;
    Ok(*bytes)
}

fn text(input: &mut &[u8], most: usize) -> Result<String, HelloError> {
    let bytes = decode_slice(input).ok_or(ENDS_EARLY)?;
    if bytes.len() > most {
        return Err(HelloError::Malformed("a text in it is too long"));
    }
    let text = std::str::from_utf8(bytes);
    text.map(str::to_string).map_err(|_| HelloError::Malformed("a text in it is not UTF-8"))
}

/// As much of a text as so many bytes have room for.
fn cut(text: &str, most: usize) -> &str {
    &text[..text.floor_char_boundary(most)]
}

fn u32_of(bytes: &[u8]) -> u32 {
    bytes.first_chunk().map_or(0, |four| u32::from_le_bytes(*four))
}

fn class_code(class: Class) -> u8 {
    match class {
        Class::Urgent => 0,
        Class::Normal => 1,
        Class::Bulk => 2,
    }
}

fn reason_code(reason: RefusedReason) -> u8 {
    match reason {
        RefusedReason::Other => 0,
        RefusedReason::ClusterName => 1,
        RefusedReason::ClusterId => 2,
        RefusedReason::Version => 3,
        RefusedReason::Myself => 4,
        RefusedReason::Connected => 5,
        RefusedReason::Busy => 6,
    }
}

fn reason_of(code: u8) -> RefusedReason {
    match code {
        1 => RefusedReason::ClusterName,
        2 => RefusedReason::ClusterId,
        3 => RefusedReason::Version,
        4 => RefusedReason::Myself,
        5 => RefusedReason::Connected,
        6 => RefusedReason::Busy,
        _ => RefusedReason::Other,
    }
}

#[cfg(test)]
#[path = "hello_tests.rs"]
mod tests;

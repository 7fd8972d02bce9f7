//! What nodes say to each other about themselves.
//!
//! ```text
//! every 250 ms, to each                    each second, to three by chance
//! Heartbeat {sent, echo}  ->               Syn: what I know, as digests  ->
//! when one is suspected:                        <-  Ack: news for you; digests of what you know better
//! Ping {sent, echo}       ->               Ack2: news for you            ->
//!                  <- Pong {sent, echo}
//! ```
//!
//! The encoding begins with a byte for the kind. What follows the fields that this version knows is skipped: a later
//! one may add some.

use tholos_storage::varint::encode_u64;

use super::error::DecodeError;
use super::state::{Digest, Status, Update, byte, number};

/// The most bytes of one message. What does not fit comes in later rounds.
pub const MAX_BYTES: usize = 16 * 1024;

/// The fewest bytes of a digest: a host and two numbers.
pub(super) const MIN_DIGEST: usize = 18;

/// The most bytes of a digest.
pub(super) const MAX_DIGEST: usize = 16 + 2 * 10;

/// The fewest bytes of an update: a host, three numbers and the length of its content.
const MIN_UPDATE: usize = 20;

/// A sign of life, and the proof that the receiver's own get here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// The sender's generation.
    pub generation: u64,
    /// Whether it takes part.
    pub status: Status,
    /// When it was sent, in a time of the sender's own: grows with each of its beats.
    pub sent: u64,
    /// Of the receiver's beats, the last one that arrived.
    pub echo: Option<Echo>,
}

/// Which beat arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// Its sender's generation.
    pub generation: u64,
    /// Its `sent`.
    pub sent: u64,
}

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Comes every 250 ms.
    Heartbeat(Beat),
    /// A beat that is to be answered at once.
    Ping(Beat),
    /// The answer to a ping.
    Pong(Beat),
    /// What the sender knows, of every member that it knows of.
    Syn(Vec<Digest>),
    /// The answer to it.
    Ack {
        /// What the sender of the digests does not know.
        updates: Vec<Update>,
        /// What it knows better.
        wanted: Vec<Digest>,
    },
    /// The answer to that.
    Ack2(Vec<Update>),
}

impl Message {
    /// Whether it goes over the urgent connection: a beat is late if it waits behind others.
    pub fn is_urgent(&self) -> bool {
        matches!(self, Message::Heartbeat(_) | Message::Ping(_) | Message::Pong(_))
    }

    /// Appends its bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Message::Heartbeat(beat) => beat.encode(1, out),
            Message::Ping(beat) => beat.encode(2, out),
            Message::Pong(beat) => beat.encode(3, out),
            Message::Syn(digests) => {
                out.push(4);
                encode_list(digests, Digest::encode, out);
            }
            Message::Ack { updates, wanted } => {
                out.push(5);
                encode_list(updates, Update::encode, out);
                encode_list(wanted, Digest::encode, out);
            }
            Message::Ack2(updates) => {
                out.push(6);
                encode_list(updates, Update::encode, out);
            }
        }
    }

    /// The message of those bytes.
    ///
    /// # Errors
    /// They are damaged, too many, or of a kind that this version does not know.
    pub fn decode(mut bytes: &[u8]) -> Result<Message, DecodeError> {
        if bytes.len() > MAX_BYTES {
            let (what, is, limit) = ("a message", bytes.len(), MAX_BYTES);
            return Err(DecodeError::TooLong { what, is, limit });
        }
        let input = &mut bytes;
        Ok(match byte(input, "its kind")? {
            1 => Message::Heartbeat(Beat::decode(input)?),
            2 => Message::Ping(Beat::decode(input)?),
            3 => Message::Pong(Beat::decode(input)?),
            4 => Message::Syn(digests(input)?),
            5 => Message::Ack { updates: updates(input)?, wanted: digests(input)? },
            6 => Message::Ack2(updates(input)?),
            kind => return Err(DecodeError::Kind(kind)),
        })
    }
}

impl Beat {
    /// Kind, generation, status, sent, then what it echoes; generation 0 is no echo.
    fn encode(&self, kind: u8, out: &mut Vec<u8>) {
        out.push(kind);
        encode_u64(out, self.generation);
        out.push(self.status.code());
        encode_u64(out, self.sent);
        let echo = self.echo.unwrap_or(Echo { generation: 0, sent: 0 });
        encode_u64(out, echo.generation);
        encode_u64(out, echo.sent);
    }

    fn decode(input: &mut &[u8]) -> Result<Beat, DecodeError> {
        let generation = number(input, "a beat's generation")?;
        let status = Status::of_code(byte(input, "a beat's status")?);
        let sent = number(input, "a beat's time")?;
        let echo = Echo {
            generation: number(input, "an echo's generation")?,
            sent: number(input, "an echo's time")?,
        };
        let echo = (echo.generation > 0).then_some(echo);
        Ok(Beat { generation, status, sent, echo })
    }
}

fn encode_list<T>(items: &[T], encode: impl Fn(&T, &mut Vec<u8>), out: &mut Vec<u8>) {
    encode_u64(out, items.len() as u64);
    items.iter().for_each(|item| encode(item, out));
}

fn digests(input: &mut &[u8]) -> Result<Vec<Digest>, DecodeError> {
    list(input, "digests", MIN_DIGEST, Digest::decode)
}

fn updates(input: &mut &[u8]) -> Result<Vec<Update>, DecodeError> {
    list(input, "updates", MIN_UPDATE, Update::decode)
}

/// A number of items, each of at least so many bytes: what can't be there is refused before room is made for it.
fn list<T>(
    input: &mut &[u8],
    what: &'static str,
    min_bytes: usize,
    decode: impl Fn(&mut &[u8]) -> Result<T, DecodeError>,
) -> Result<Vec<T>, DecodeError> {
    let (announced, bytes) = (number(input, "the number of its items")?, input.len());
    if announced > (bytes / min_bytes) as u64 {
        return Err(DecodeError::TooMany { what, announced, bytes });
    }
    (0..announced).map(|_| decode(input)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::membership::state::NodeInfo;

    fn status() -> impl Strategy<Value = Status> {
        any::<u8>().prop_map(Status::of_code)
    }

    prop_compose! {
        fn beat()(
            generation: u64,
            status in status(),
            sent: u64,
            echo in proptest::option::of((1..=u64::MAX, any::<u64>())),
        ) -> Beat {
            let echo = echo.map(|(generation, sent)| Echo { generation, sent });
            Beat { generation, status, sent, echo }
        }
    }

    prop_compose! {
        fn digest()(host: u128, generation: u64, version: u64) -> Digest {
            Digest { host: Uuid::from_u128(host), generation, version }
        }
    }

    prop_compose! {
        fn info()(
            status in status(),
            numbers: [u64; 4],
            release in "[a-z0-9.ü-]{0,20}",
            wire_versions: (u32, u32),
            extension in vec(any::<u8>(), 0..20),
        ) -> NodeInfo {
            let [load_bytes, epoch, disk_free_bytes, disk_total_bytes] = numbers;
            NodeInfo {
                status, load_bytes, epoch, disk_free_bytes, disk_total_bytes, release,
                wire_versions, extension,
            }
        }
    }

    prop_compose! {
        fn update()(digest in digest(), changed: u64, info in proptest::option::of(info())) -> Update {
            let Digest { host, generation, version } = digest;
            Update { host, generation, version, changed, info }
        }
    }

    fn message() -> impl Strategy<Value = Message> {
        prop_oneof![
            beat().prop_map(Message::Heartbeat),
            beat().prop_map(Message::Ping),
            beat().prop_map(Message::Pong),
            vec(digest(), 0..8).prop_map(Message::Syn),
            (vec(update(), 0..8), vec(digest(), 0..8))
                .prop_map(|(updates, wanted)| Message::Ack { updates, wanted }),
            vec(update(), 0..8).prop_map(Message::Ack2),
        ]
    }

    fn bytes_of(message: &Message) -> Vec<u8> {
        let mut bytes = Vec::new();
        message.encode(&mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn a_message_is_read_as_it_was_written_whatever_a_later_version_appends(
            message in message(),
            later in vec(any::<u8>(), 0..20),
        ) {
            let mut bytes = bytes_of(&message);
            bytes.extend(later);
            prop_assert_eq!(Message::decode(&bytes), Ok(message));
        }

        #[test]
        fn a_message_that_is_cut_off_is_refused(message in message(), at: prop::sample::Index) {
            let bytes = bytes_of(&message);
            let cut = &bytes[..at.index(bytes.len())];
            prop_assert!(Message::decode(cut).is_err());
        }

        #[test]
        fn no_bytes_break_the_decoder(kind in 0..8_u8, bytes in vec(any::<u8>(), 0..200)) {
            let bytes = [vec![kind], bytes].concat();
            if let Ok(message) = Message::decode(&bytes) {
                prop_assert_eq!(Message::decode(&bytes_of(&message)), Ok(message));
            }
        }
    }

    /// Nodes of different releases talk to each other: what is here may be added to, and never changes.
    #[test]
    fn the_bytes_are_those_of_wire_version_1() {
        let echo = Some(Echo { generation: 2, sent: 300 });
        let beat = Beat { generation: 1, status: Status::Serving, sent: 128, echo };
        assert_eq!(bytes_of(&Message::Heartbeat(beat)), [1, 1, 1, 0x80, 1, 2, 0xac, 2]);
        let ping = Beat { echo: None, status: Status::Stopping, ..beat };
        assert_eq!(bytes_of(&Message::Ping(ping)), [2, 1, 2, 0x80, 1, 0, 0]);
        assert_eq!(bytes_of(&Message::Pong(beat))[0], 3);
        let host = Uuid::from_u128(9);
        let wanted = vec![Digest { host, generation: 5, version: 6 }];
        let digest = [&host.as_bytes()[..], &[5, 6]].concat();
        assert_eq!(bytes_of(&Message::Syn(wanted.clone())), [&[4, 1], &digest[..]].concat());
        let info = NodeInfo {
            status: Status::Serving,
            load_bytes: 10,
            epoch: 11,
            disk_free_bytes: 12,
            disk_total_bytes: 13,
            release: "1.2".to_string(),
            wire_versions: (1, 2),
            extension: vec![99],
        };
        let update = Update { host, generation: 5, version: 7, changed: 6, info: Some(info) };
        let content = [1, 10, 11, 12, 13, 3, b'1', b'.', b'2', 1, 2, 99];
        let expected = [&[6, 1], &host.as_bytes()[..], &[5, 7, 6, 12], &content].concat();
        assert_eq!(bytes_of(&Message::Ack2(vec![update])), expected);
        let ack = Message::Ack { updates: Vec::new(), wanted };
        assert_eq!(bytes_of(&ack), [&[5, 0, 1], &digest[..]].concat());
    }

    #[test]
    fn what_is_wrong_is_said() {
        let error = |bytes: &[u8]| Message::decode(bytes).unwrap_err().to_string();
        assert!(error(&[]).ends_with("cut off at its kind: the peer's bytes are damaged"));
        assert!(error(&[9]).starts_with("gossip message kind 9 is not known"));
        assert_eq!(
            error(&[4, 0xff, 0xff, 0xff, 0xff, 0x0f, 0]),
            "a gossip message announces 4294967295 digests in 1 bytes, which can't hold them"
        );
        assert!(error(&vec![1; MAX_BYTES + 1]).contains("16385 bytes of a message"));
        let long = NodeInfo { release: "é".repeat(MAX_BYTES / 4), ..NodeInfo::default() };
        let update =
            Update { host: Uuid::nil(), generation: 1, version: 1, changed: 1, info: Some(long) };
        let read = Message::decode(&bytes_of(&Message::Ack2(vec![update]))).unwrap();
        let Message::Ack2(updates) = read else { panic!("{read:?}") };
        assert_eq!(updates[0].info.as_ref().unwrap().release, "é".repeat(32));
    }
}

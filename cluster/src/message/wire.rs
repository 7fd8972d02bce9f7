//! Messages as frames, in the version that both ends of a connection speak.
//!
//! Each node says in its greeting from which version to which it speaks; a connection uses the greatest that both do. A
//! release may change what messages look like only in a new version, and speaks the one before too: so nodes can be
//! upgraded one after the other.
//!
//! ```text
//! release 1: 1..=1    release 2: 1..=2    release 3: 2..=3
//! 1 and 2 speak 1, 2 and 3 speak 2; 1 and 3 refuse each other
//! ```

use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use super::codec::{self, MessageError};
use super::frame::{self, FrameError};
use super::{Class, Message};

/// The version that this release speaks.
pub const WIRE_VERSION: u16 = 1;

/// The versions that a node speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Versions {
    /// The first.
    pub least: u16,
    /// The last.
    pub greatest: u16,
}

impl Versions {
    /// The greatest that both speak, if there is one.
    pub fn common(self, other: Versions) -> Option<u16> {
        let greatest = self.greatest.min(other.greatest);
        (greatest >= self.least.max(other.least)).then_some(greatest)
    }

    /// Whether it is one of them.
    pub fn contain(self, version: u16) -> bool {
        (self.least..=self.greatest).contains(&version)
    }
}

/// The versions that a node speaks, and how: functions of the version that a connection uses.
#[derive(Clone, Copy, Debug)]
pub struct Wire {
    /// Which versions.
    pub versions: Versions,
    /// Appends a message's bytes.
    pub encode: fn(version: u16, &Message, &mut Vec<u8>),
    /// The message that bytes are.
    pub decode: fn(version: u16, &[u8]) -> Result<Message, MessageError>,
}

impl Wire {
    /// What this release speaks.
    pub const CURRENT: Wire = Wire {
        versions: Versions { least: WIRE_VERSION, greatest: WIRE_VERSION },
        encode: |_, message, out| codec::encode(message, out),
        decode: |_, bytes| codec::decode(bytes),
    };
}

/// A message on its way to one or several nodes: it becomes a frame once for each version that they speak, and that frame
/// is shared.
#[derive(Debug)]
pub struct Outgoing<'a> {
    epoch: u64,
    class: Class,
    message: &'a Message,
    frames: SmallVec<[(u16, Bytes); 1]>,
}

impl<'a> Outgoing<'a> {
    /// A message that leaves on connections of that class, from a node whose metadata is of that epoch.
    pub fn new(epoch: u64, class: Class, message: &'a Message) -> Outgoing<'a> {
        Outgoing { epoch, class, message, frames: SmallVec::new() }
    }

    /// Which connections it leaves on.
    pub fn class(&self) -> Class {
        self.class
    }

    /// How long somebody waits for it; `None`: as long as it takes.
    pub fn time_left(&self) -> Option<Duration> {
        match self.message {
            Message::Request { time_left, .. } => Some(Duration::from_micros((*time_left).into())),
            Message::Response { .. } | Message::Peer { .. } => None,
        }
    }

    /// Its frame in one version.
    ///
    /// # Errors
    /// It is too long for a frame.
    pub fn frame(&mut self, wire: &Wire, version: u16) -> Result<Bytes, FrameError> {
        if let Some((_, frame)) = self.frames.iter().find(|(made, _)| *made == version) {
            return Ok(frame.clone());
        }
        let frame = frame::encode(self.epoch, |out| (wire.encode)(version, self.message, out))?;
        self.frames.push((version, frame.clone()));
        Ok(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_greatest_version_that_both_speak_is_used() {
        let of = |least, greatest| Versions { least, greatest };
        for (one, other, common) in [
            (of(1, 1), of(1, 1), Some(1)),
            (of(1, 1), of(1, 2), Some(1)),
            (of(1, 2), of(2, 3), Some(2)),
            (of(1, 3), of(1, 3), Some(3)),
            (of(1, 1), of(2, 3), None),
            // Garbage, the wrong way round.
            (of(1, 1), of(2, 1), None),
        ] {
            assert_eq!(one.common(other), common, "{one:?} {other:?}");
            assert_eq!(other.common(one), common, "{other:?} {one:?}");
        }
    }

    #[test]
    fn a_message_for_several_nodes_is_encoded_once_for_each_version() {
        let wire = Wire {
            versions: Versions { least: 1, greatest: 2 },
            encode: |version, message, out| {
                codec::encode(message, out);
                out.extend(std::iter::repeat_n(0, usize::from(version)));
            },
            ..Wire::CURRENT
        };
        let message = Message::Peer { kind: 1, bytes: Bytes::from_static(b"abc") };
        let mut outgoing = Outgoing::new(7, Class::Normal, &message);
        let frames = [1, 2, 1, 2].map(|version| outgoing.frame(&wire, version).unwrap());
        assert_eq!(frames[0].as_ptr(), frames[2].as_ptr());
        assert_eq!(frames[1].as_ptr(), frames[3].as_ptr());
        assert_eq!(frames[0].len() + 1, frames[1].len());
    }
}

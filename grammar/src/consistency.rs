//! Consistency levels, by name and by protocol code (native protocol v5, section 3, `[consistency]`).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A consistency level. What each demands of replicas is decided in one place, the cluster crate's `met`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs)] // each is the level of that name
#[repr(u16)]
pub enum Consistency {
    Any = 0x0000,
    One = 0x0001,
    Two = 0x0002,
    Three = 0x0003,
    Quorum = 0x0004,
    All = 0x0005,
    LocalQuorum = 0x0006,
    EachQuorum = 0x0007,
    Serial = 0x0008,
    LocalSerial = 0x0009,
    LocalOne = 0x000A,
}

impl Consistency {
    /// All levels, by protocol code.
    pub const ALL: [Consistency; 11] = [
        Consistency::Any,
        Consistency::One,
        Consistency::Two,
        Consistency::Three,
        Consistency::Quorum,
        Consistency::All,
        Consistency::LocalQuorum,
        Consistency::EachQuorum,
        Consistency::Serial,
        Consistency::LocalSerial,
        Consistency::LocalOne,
    ];

    /// The level's code on the wire.
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// The level of that code on the wire.
    pub fn from_code(code: u16) -> Option<Consistency> {
        Consistency::ALL.get(usize::from(code)).copied()
    }

    /// The name as CQL and cqlsh write it, such as `LOCAL_QUORUM`.
    pub const fn name(self) -> &'static str {
        match self {
            Consistency::Any => "ANY",
            Consistency::One => "ONE",
            Consistency::Two => "TWO",
            Consistency::Three => "THREE",
            Consistency::Quorum => "QUORUM",
            Consistency::All => "ALL",
            Consistency::LocalQuorum => "LOCAL_QUORUM",
            Consistency::EachQuorum => "EACH_QUORUM",
            Consistency::Serial => "SERIAL",
            Consistency::LocalSerial => "LOCAL_SERIAL",
            Consistency::LocalOne => "LOCAL_ONE",
        }
    }

    /// Whether this level belongs to the Paxos phase of a conditional statement: SERIAL or LOCAL_SERIAL.
    pub const fn is_serial(self) -> bool {
        matches!(self, Consistency::Serial | Consistency::LocalSerial)
    }
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The text is no consistency level.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "unknown consistency level {0:?}: use one of ANY, ONE, TWO, THREE, QUORUM, ALL, LOCAL_QUORUM, EACH_QUORUM, SERIAL, LOCAL_SERIAL, LOCAL_ONE"
)]
pub struct UnknownConsistency(pub String);

impl FromStr for Consistency {
    type Err = UnknownConsistency;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Consistency::ALL
            .into_iter()
            .find(|level| level.name().eq_ignore_ascii_case(text))
            .ok_or_else(|| UnknownConsistency(text.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_round_trip() {
        for level in Consistency::ALL {
            assert_eq!(Consistency::from_code(level.code()), Some(level));
            assert_eq!(level.name().to_lowercase().parse(), Ok(level));
        }
        assert_eq!(Consistency::from_code(11), None);
        assert!("MOST".parse::<Consistency>().is_err());
    }
}

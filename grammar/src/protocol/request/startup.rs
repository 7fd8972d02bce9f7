//! STARTUP (native protocol v5, section 4.1.1): opens a connection and names its options.

use crate::protocol::compression::Compression;
use crate::protocol::error::NotationError;
use crate::protocol::primitive::{read_string_map, write_string_map};

/// STARTUP: options by name. Names count in any case; those unknown are ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Startup<'a> {
    /// All options, in the order they came.
    pub options: Vec<(&'a str, &'a str)>,
}

impl<'a> Startup<'a> {
    /// The version of CQL to use; the one option that must be there.
    pub const CQL_VERSION: &'static str = "CQL_VERSION";
    /// The compression to use.
    pub const COMPRESSION: &'static str = "COMPRESSION";
    /// The driver's name.
    pub const DRIVER_NAME: &'static str = "DRIVER_NAME";
    /// The driver's version.
    pub const DRIVER_VERSION: &'static str = "DRIVER_VERSION";

    /// The value of an option.
    pub fn option(&self, name: &str) -> Option<&'a str> {
        self.options.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|&(_, value)| value)
    }

    /// The compression asked for: none, one that exists here, or the unknown name.
    pub fn compression(&self) -> Result<Option<Compression>, &'a str> {
        match self.option(Self::COMPRESSION) {
            None | Some("") => Ok(None),
            Some(name) => Compression::from_name(name).map(Some).ok_or(name),
        }
    }

    /// Reads the body.
    pub fn decode(body: &mut &'a [u8]) -> Result<Startup<'a>, NotationError> {
        Ok(Startup { options: read_string_map(body)? })
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        write_string_map(out, &self.options);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::header::Version;
    use crate::protocol::request::Request;
    use crate::protocol::tests::check_request;

    /// Bytes from the Python driver's own encoder (3.30).
    #[test]
    fn bytes_of_another_encoder() {
        let startup = Startup { options: vec![("COMPRESSION", "lz4"), ("CQL_VERSION", "3.4.7")] };
        let body =
            "0002 000b434f4d5052455353494f4e 00036c7a34 000b43514c5f56455253494f4e 0005332e342e37";
        check_request(&Request::Startup(startup.clone()), Version::V4, body);
        check_request(&Request::Startup(startup), Version::V5, body);
    }

    #[test]
    fn options_are_found_in_any_case() {
        let startup = Startup { options: vec![("Compression", "LZ4"), ("cql_version", "3.0.0")] };
        assert_eq!(startup.compression(), Ok(Some(Compression::Lz4)));
        assert_eq!(startup.option(Startup::CQL_VERSION), Some("3.0.0"));
        assert_eq!(startup.option(Startup::DRIVER_NAME), None);
        assert_eq!(
            Startup { options: vec![("COMPRESSION", "snappy")] }.compression(),
            Err("snappy")
        );
        assert_eq!(Startup::default().compression(), Ok(None));
    }
}

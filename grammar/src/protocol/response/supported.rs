//! SUPPORTED (native protocol v5, section 4.2.4): what STARTUP may ask for.

use crate::protocol::error::NotationError;
use crate::protocol::primitive::{read_string_multimap, write_string_multimap};

/// SUPPORTED: options by name, each with the values it may take.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Supported<'a> {
    /// All options, in the order they came.
    pub options: Vec<(&'a str, Vec<&'a str>)>,
}

impl<'a> Supported<'a> {
    /// The values an option may take; none if it is not supported.
    pub fn values(&self, name: &str) -> &[&'a str] {
        self.options
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map_or(&[], |(_, values)| values)
    }

    /// Reads the body.
    pub fn decode(body: &mut &'a [u8]) -> Result<Supported<'a>, NotationError> {
        Ok(Supported { options: read_string_multimap(body)? })
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        write_string_multimap(out, &self.options);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::header::Version;
    use crate::protocol::response::Response;
    use crate::protocol::tests::check_response;

    #[test]
    fn bytes_of_the_spec() {
        let supported = Supported { options: vec![("COMPRESSION", vec!["lz4"]), ("X", vec![])] };
        assert_eq!(supported.values("compression"), ["lz4"]);
        assert!(supported.values("Y").is_empty());
        let body = "0002 000b434f4d5052455353494f4e 0001 00036c7a34 000158 0000";
        check_response(&Response::Supported(supported), Version::V4, body);
    }
}

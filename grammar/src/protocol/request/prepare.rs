//! PREPARE (native protocol v5, section 4.1.5): a statement to be executed later by its id.

use crate::protocol::error::NotationError;
use crate::protocol::header::Version;
use crate::protocol::primitive::{
    read_int, read_long_string, read_string, write_int, write_long_string, write_string,
};

/// The keyspace flag of PREPARE, which has flags of its own.
const WITH_KEYSPACE: u32 = 0x01;

/// PREPARE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prepare<'a> {
    /// The statement.
    pub text: &'a str,
    /// The keyspace of unqualified names (v5).
    pub keyspace: Option<&'a str>,
}

impl<'a> Prepare<'a> {
    /// Reads the body.
    pub fn decode(body: &mut &'a [u8], version: Version) -> Result<Prepare<'a>, NotationError> {
        let text = read_long_string(body)?;
        let flags = if version >= Version::V5 { read_int(body)?.cast_unsigned() } else { 0 };
        let keyspace = if flags & WITH_KEYSPACE != 0 { Some(read_string(body)?) } else { None };
        Ok(Prepare { text, keyspace })
    }

    /// Appends the body. The keyspace is left out of v4, which has no place for it.
    pub fn encode(&self, out: &mut Vec<u8>, version: Version) {
        write_long_string(out, self.text);
        if version < Version::V5 {
            return;
        }
        write_int(out, i32::from(self.keyspace.is_some()));
        if let Some(keyspace) = self.keyspace {
            write_string(out, keyspace);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::request::Request;
    use crate::protocol::tests::check_request;

    /// Bytes from the Python driver's own encoder (3.30).
    #[test]
    fn bytes_of_another_encoder() {
        check_request(
            &Request::Prepare(Prepare { text: "P", keyspace: None }),
            Version::V4,
            "00000001 50",
        );
        check_request(
            &Request::Prepare(Prepare { text: "P", keyspace: None }),
            Version::V5,
            "00000001 50 00000000",
        );
        let prepare = Prepare { text: "P", keyspace: Some("ks") };
        check_request(&Request::Prepare(prepare), Version::V5, "00000001 50 00000001 00026b73");
    }
}

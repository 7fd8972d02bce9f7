//! EXECUTE (native protocol v5, section 4.1.6): a prepared statement by its id, with its parameters.

use super::parameters::QueryParameters;
use crate::protocol::error::NotationError;
use crate::protocol::header::Version;
use crate::protocol::primitive::{read_short_bytes, write_short_bytes};

/// EXECUTE.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Execute<'a> {
    /// The id that PREPARED gave.
    pub id: &'a [u8],
    /// The id of the result metadata that the client knows (v5; empty in v4).
    pub result_metadata_id: &'a [u8],
    /// Consistency, values, paging and the like.
    pub parameters: QueryParameters<'a>,
}

impl<'a> Execute<'a> {
    /// Reads the body.
    pub fn decode(body: &mut &'a [u8], version: Version) -> Result<Execute<'a>, NotationError> {
        let id = read_short_bytes(body)?;
        let result_metadata_id = if version >= Version::V5 { read_short_bytes(body)? } else { &[] };
        let parameters = QueryParameters::decode(body, version)?;
        Ok(Execute { id, result_metadata_id, parameters })
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>, version: Version) {
        write_short_bytes(out, self.id);
        if version >= Version::V5 {
            write_short_bytes(out, self.result_metadata_id);
        }
        self.parameters.encode(out, version);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consistency::Consistency;
    use crate::protocol::primitive::RawValue;
    use crate::protocol::request::Request;
    use crate::protocol::tests::check_request;
    use crate::protocol::values::ValueList;

    /// Bytes from the Python driver's own encoder (3.30).
    #[test]
    fn bytes_of_another_encoder() {
        let mut values = ValueList::positional();
        values.push(RawValue::Bytes(&[0, 0, 0, 1])).unwrap();
        let parameters = QueryParameters {
            consistency: Consistency::Two,
            values: values.as_values(),
            ..QueryParameters::default()
        };
        let execute = Execute { id: &[0xAA, 0xBB], result_metadata_id: &[], parameters };
        check_request(
            &Request::Execute(execute),
            Version::V4,
            "0002aabb 0002 01 0001 00000004 00000001",
        );
        let execute = Execute { result_metadata_id: &[0xCC], ..execute };
        check_request(
            &Request::Execute(execute),
            Version::V5,
            "0002aabb 0001cc 0002 00000001 0001 00000004 00000001",
        );
    }
}

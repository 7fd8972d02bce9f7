//! QUERY (native protocol v5, section 4.1.4): a statement as text, with its parameters.

use super::parameters::QueryParameters;
use crate::protocol::error::NotationError;
use crate::protocol::header::Version;
use crate::protocol::primitive::{read_long_string, write_long_string};

/// QUERY.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Query<'a> {
    /// The statement.
    pub text: &'a str,
    /// Consistency, values, paging and the like.
    pub parameters: QueryParameters<'a>,
}

impl<'a> Query<'a> {
    /// Reads the body.
    pub fn decode(body: &mut &'a [u8], version: Version) -> Result<Query<'a>, NotationError> {
        let text = read_long_string(body)?;
        let parameters = QueryParameters::decode(body, version)?;
        Ok(Query { text, parameters })
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>, version: Version) {
        write_long_string(out, self.text);
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
        let parameters =
            QueryParameters { consistency: Consistency::LocalQuorum, ..QueryParameters::default() };
        let plain = Request::Query(Query { text: "SELECT 1", parameters });
        check_request(&plain, Version::V4, "00000008 53454c4543542031 0006 00");
        check_request(&plain, Version::V5, "00000008 53454c4543542031 0006 00000000");

        let mut values = ValueList::positional();
        for value in [RawValue::Bytes(b"a"), RawValue::Null, RawValue::NotSet] {
            values.push(value).unwrap();
        }
        let parameters = QueryParameters {
            values: values.as_values(),
            page_size: Some(100),
            paging_state: Some(&[1, 2]),
            serial_consistency: Some(Consistency::Serial),
            timestamp: Some(12345),
            ..QueryParameters::default()
        };
        let full = Request::Query(Query { text: "Q", parameters });
        let tail = "0003 0000000161 ffffffff fffffffe 00000064 000000020102 0008 0000000000003039";
        check_request(&full, Version::V4, &format!("0000000151 0001 3d {tail}"));
        let parameters = QueryParameters { keyspace: Some("ks"), ..parameters };
        let full = Request::Query(Query { text: "Q", parameters });
        check_request(&full, Version::V5, &format!("0000000151 0001 000000bd {tail} 00026b73"));
    }

    #[test]
    fn named_values_and_a_time_of_one_s_own() {
        let mut values = ValueList::named();
        values.push_named("a", RawValue::Bytes(&[7])).unwrap();
        let parameters = QueryParameters {
            values: values.as_values(),
            skip_metadata: true,
            now_in_seconds: Some(-2),
            ..QueryParameters::default()
        };
        let query = Request::Query(Query { text: "Q", parameters });
        check_request(
            &query,
            Version::V5,
            "0000000151 0001 00000143 0001 000161 0000000107 fffffffe",
        );
    }

    #[test]
    fn errors_say_where() {
        let mut body: &[u8] = &[0, 0, 0, 1, b'Q', 0, 1, 0x10, 0, 1];
        let before = body.len();
        let error = Query::decode(&mut body, Version::V4).unwrap_err();
        assert_eq!(error.to_string(), "0x0001 is no serial consistency level");
        assert_eq!(before - body.len(), 8);
        let mut body: &[u8] = &[0, 0, 0, 1, 0xFF];
        let error = Query::decode(&mut body, Version::V4).unwrap_err();
        assert_eq!(error, NotationError::NotUtf8 { notation: "long string", valid_up_to: 0 });
    }
}

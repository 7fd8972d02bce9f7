//! REGISTER (native protocol v5, section 4.1.8): asks for events.

use crate::protocol::error::NotationError;
use crate::protocol::primitive::{read_string_list, write_string_list};
use crate::protocol::response::event::EventType;

/// REGISTER.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Register {
    /// The events asked for.
    pub events: Vec<EventType>,
}

impl Register {
    /// Reads the body.
    pub fn decode(body: &mut &[u8]) -> Result<Register, NotationError> {
        let mut rest = *body;
        let events = read_string_list(&mut rest)?
            .into_iter()
            .map(|name| {
                EventType::from_name(name).ok_or_else(|| NotationError::UnknownName {
                    what: "event type",
                    name: name.to_string(),
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        *body = rest;
        Ok(Register { events })
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let names: Vec<&str> = self.events.iter().map(|event| event.name()).collect();
        write_string_list(out, &names);
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
        let register = Register { events: vec![EventType::StatusChange, EventType::SchemaChange] };
        let body = "0002 000d5354415455535f4348414e4745 000d534348454d415f4348414e4745";
        check_request(&Request::Register(register), Version::V4, body);
    }

    #[test]
    fn unknown_events_are_refused() {
        let error = Register::decode(&mut [0, 1, 0, 1, b'X'].as_slice()).unwrap_err();
        assert_eq!(error.to_string(), "\"X\" is no event type");
    }
}

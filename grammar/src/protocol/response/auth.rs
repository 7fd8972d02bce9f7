//! AUTH_CHALLENGE and AUTH_SUCCESS (native protocol v5, sections 4.2.7 and 4.2.8): the server's side of a SASL exchange.

use crate::protocol::error::NotationError;
use crate::protocol::primitive::{read_bytes, write_bytes};

/// The token of a challenge or of success; what it means is up to the authenticator.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AuthToken<'a>(pub Option<&'a [u8]>);

impl<'a> AuthToken<'a> {
    /// Reads the body.
    pub fn decode(body: &mut &'a [u8]) -> Result<AuthToken<'a>, NotationError> {
        Ok(AuthToken(read_bytes(body)?))
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        write_bytes(out, self.0);
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
        check_response(&Response::AuthChallenge(AuthToken(Some(&[1]))), Version::V4, "00000001 01");
        check_response(&Response::AuthSuccess(AuthToken(None)), Version::V5, "ffffffff");
        check_response(&Response::Authenticate("A"), Version::V5, "000141");
        check_response(&Response::Ready, Version::V4, "");
    }
}

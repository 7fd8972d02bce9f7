//! AUTH_RESPONSE (native protocol v5, section 4.1.2): the client's side of a SASL exchange.

use std::fmt;

use crate::protocol::error::NotationError;
use crate::protocol::primitive::{read_bytes, write_bytes};

/// AUTH_RESPONSE. Its token may hold a password, so `Debug` does not show it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct AuthResponse<'a> {
    /// The token; what it means is up to the authenticator.
    pub token: Option<&'a [u8]>,
}

impl<'a> AuthResponse<'a> {
    /// Reads the body.
    pub fn decode(body: &mut &'a [u8]) -> Result<AuthResponse<'a>, NotationError> {
        Ok(AuthResponse { token: read_bytes(body)? })
    }

    /// Appends the body.
    pub fn encode(&self, out: &mut Vec<u8>) {
        write_bytes(out, self.token);
    }

    /// User and password of a SASL PLAIN token (RFC 4616): an identity to act as (ignored), user and password, each
    /// after a zero byte but the first. `None` if it is no such token.
    pub fn plain_credentials(&self) -> Option<(&'a str, &'a str)> {
        let mut parts = self.token?.splitn(3, |byte| *byte == 0);
        let (_identity, user, password) = (parts.next()?, parts.next()?, parts.next()?);
        Some((std::str::from_utf8(user).ok()?, std::str::from_utf8(password).ok()?))
    }

    /// The SASL PLAIN token for a user and password.
    pub fn plain_token(user: &str, password: &str) -> Vec<u8> {
        [b"\0", user.as_bytes(), b"\0", password.as_bytes()].concat()
    }
}

impl fmt::Debug for AuthResponse<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthResponse").finish_non_exhaustive()
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
        let token = AuthResponse::plain_token("u", "p");
        let response = AuthResponse { token: Some(&token) };
        check_request(&Request::AuthResponse(response), Version::V4, "00000004 00750070");
        assert_eq!(response.plain_credentials(), Some(("u", "p")));
    }

    #[test]
    fn a_password_is_not_shown_and_may_hold_anything() {
        let token = AuthResponse::plain_token("user", "se\u{0}cret");
        let response = AuthResponse { token: Some(&token) };
        assert_eq!(format!("{response:?}"), "AuthResponse { .. }");
        assert_eq!(response.plain_credentials(), Some(("user", "se\u{0}cret")));
        assert_eq!(AuthResponse { token: Some(b"user") }.plain_credentials(), None);
        assert_eq!(AuthResponse { token: None }.plain_credentials(), None);
    }
}

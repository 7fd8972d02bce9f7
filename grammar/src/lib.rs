//! What is said: the vocabulary that every other crate of Tholos shares.
//!
//! - [`name`]: identifiers, with CQL's case folding and quoting.
//! - [`types`]: CQL types, as text and as the native protocol's type codes.
//! - [`value`]: typed values, the one codec between them and the protocol's bytes, and CQL literals both ways.
//! - [`token`]: the Murmur3 token, equal to the drivers' own.
//! - [`ast`]: the syntax tree of CQL, with `Display` back to canonical text.
//! - [`span`]: where in a statement's text something stands.
//! - [`consistency`]: consistency levels by name and by protocol code.
//! - [`protocol`]: frames, envelopes and messages of native protocol v4 and v5, both directions.
//!
//! Invariant: there is no I/O, no clock, no randomness and no catalogue in this crate. It depends on no other crate of
//! the workspace.

pub mod ast;
pub mod consistency;
pub mod name;
pub mod protocol;
pub mod span;
pub mod token;
pub mod types;
pub mod value;

//! The load generator: many connections on one thread, with chosen depth or rate, and nothing but prepared statements.
//!
//! Closed loop keeps `depth` requests in flight on each connection. Open loop sends at a fixed rate whatever the server
//! does, and measures latency from the moment at which a request was *meant* to be sent, so a stall counts against every
//! request that it delayed.

pub mod connection;
pub mod echo;
pub mod overload;
pub mod run;
pub mod setup;
pub mod volume;
pub mod workload;

//! Versions and names that clients see.

/// This program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The product's name, beside the versions that say what it is compatible with.
pub const PRODUCT: &str = "Tholos";

/// The version of CQL.
pub const CQL_VERSION: &str = "3.4.7";

/// The version of Cassandra whose behaviour drivers may expect.
pub const RELEASE_VERSION: &str = "5.0.0";

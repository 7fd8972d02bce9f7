//! Whole-system tests, driver scenarios and benchmarks.
//!
//! - [`server`]: starts and stops `tholos serve` as a process of its own, on ports it picks, and kills it by pid.
//! - [`client`]: talks to one.
//! - [`load`]: the load generator behind the bench program.
//! - [`sim`]: a simulated node, behind the program `sim`.
//! - [`engine_bench`]: the storage engine beside its peers, behind the program `engine-bench`.
//!
//! The driver programs in other languages are in `tests/drivers`, fuzz targets in `tests/fuzz`.

pub mod client;
pub mod engine_bench;
pub mod load;
pub mod server;
pub mod sim;

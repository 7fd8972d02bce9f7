//! What keeps data safe beside reading and writing it: snapshots, ingested files, verification.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too

mod data;
mod snapshot;
mod verify;

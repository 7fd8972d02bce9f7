//! What keeps data safe beside reading and writing it: snapshots, ingested files, verification; and table options.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too

mod data;
mod disk;
mod health;
mod options;
mod snapshot;
mod verify;

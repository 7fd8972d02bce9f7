//! What an engine takes of the machine follows from its data and its options, however long it runs.

#![allow(clippy::unwrap_used)] // a test fails by panicking, its helpers too

mod data;
mod descriptors;
mod files;

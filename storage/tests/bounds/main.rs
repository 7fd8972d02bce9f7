//! What an engine takes of the machine follows from its data and its options, however long it runs.

mod data;
mod descriptors;
mod files;

//! The `tholos` program.

use std::process::ExitCode;

use clap::Parser;
use mimalloc::MiMalloc;
use tholos_server::cli::Cli;
use tholos_server::commands;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    commands::main(Cli::parse())
}

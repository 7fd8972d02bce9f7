//! `\!`: a command of the system's shell.

use std::env;
use std::process::Command;

use crate::error::ShellError;
use crate::shell::Shell;

impl Shell {
    /// Runs a command, or, if there is none, the shell itself, which SHELL names. What it prints goes where it likes.
    pub(super) fn system(&mut self, command: &str) -> Result<(), ShellError> {
        let shell = env::var("SHELL").unwrap_or_else(|_| "/bin/sh".to_string());
        let mut program = Command::new(&shell);
        if !command.is_empty() {
            program.args(["-c", command]);
        }
        let status = program.status().map_err(|source| ShellError::System {
            program: shell.clone(),
            reason: source.to_string(),
        })?;
        if status.success() {
            return Ok(());
        }
        let program = if command.is_empty() { shell } else { command.to_string() };
        Err(ShellError::System { program, reason: status.to_string() })
    }
}

//! `\e`: the last statement in an editor.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::{self, Command};

use crate::error::ShellError;
use crate::shell::{Flow, Shell, Source};

impl Shell {
    /// Opens the last statement in the editor that EDITOR or VISUAL names, and runs what it leaves behind.
    pub(super) fn edit(&mut self) -> Result<Flow, ShellError> {
        let path = env::temp_dir().join(format!("tholos-{}.cql", process::id()));
        let before = self.last_statement.clone().map(|text| text + ";\n").unwrap_or_default();
        let file_error = |action: &'static str| {
            let path = path.clone();
            move |source| ShellError::File { action, path, source }
        };
        write_private(&path, &before).map_err(file_error("write"))?;
        let edited =
            run_editor(&path).and_then(|()| fs::read_to_string(&path).map_err(file_error("read")));
        // What is left in the temporary directory is no reason to lose the statement.
        let _ = fs::remove_file(&path);
        let edited = edited?;
        if edited.trim().is_empty() {
            return Ok(Flow::Continue);
        }
        self.print(&format!("{}\n", edited.trim_end()))?;
        self.run_script(Source { name: "<editor>", text: &edited })
    }
}

/// Writes a file that only this user can read, and that nobody has put there before.
fn write_private(path: &PathBuf, text: &str) -> std::io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

fn run_editor(path: &PathBuf) -> Result<(), ShellError> {
    let editor = ["VISUAL", "EDITOR"]
        .into_iter()
        .find_map(|name| env::var(name).ok().filter(|value| !value.trim().is_empty()))
        .unwrap_or_else(|| "vi".to_string());
    // The variable may hold options, as in `code --wait`.
    let mut words = editor.split_whitespace();
    let program = words.next().unwrap_or("vi").to_string();
    let failed = |source| ShellError::Program { program: program.clone(), source };
    let status = Command::new(&program).args(words).arg(path).status().map_err(failed)?;
    if status.success() {
        Ok(())
    } else {
        Err(ShellError::Program { program, source: std::io::Error::other(status.to_string()) })
    }
}

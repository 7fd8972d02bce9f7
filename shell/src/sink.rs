//! Where results go: standard output, or a file that CAPTURE, `\o` or nothing else named.

use std::env;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::{Path, PathBuf};

use comfy_table::Table;

use crate::output::Style;

/// The place that results are written to.
#[derive(Debug)]
pub(crate) struct Sink {
    colour: bool,
    file: Option<(PathBuf, BufWriter<File>)>,
}

impl Sink {
    /// Standard output, in colours if it is a terminal and nobody minds (<https://no-color.org>).
    pub(crate) fn stdout(no_color: bool) -> Sink {
        let minds = env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Sink { colour: io::stdout().is_terminal() && !no_color && !minds, file: None }
    }

    /// Whether messages to people may have colours.
    pub(crate) fn has_colours(&self) -> bool {
        self.colour
    }

    /// Whether a person watches what is written.
    pub(crate) fn is_watched(&self) -> bool {
        self.file.is_none() && io::stdout().is_terminal()
    }

    /// The file that results go to.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_ref().map(|(path, _)| path.as_path())
    }

    /// From here on results go to the end of a file, which is made if it is not there.
    pub(crate) fn redirect(&mut self, path: &Path) -> io::Result<()> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        self.restore()?;
        self.file = Some((path.to_path_buf(), BufWriter::new(file)));
        Ok(())
    }

    /// From here on results go to standard output again.
    pub(crate) fn restore(&mut self) -> io::Result<()> {
        match self.file.take() {
            Some((_, mut file)) => file.flush(),
            None => Ok(()),
        }
    }

    /// How results are dressed.
    pub(crate) fn style(&self) -> Style {
        if !self.is_watched() {
            return Style::default();
        }
        // The table crate knows the terminal's width; a table without rows is a cheap way to ask it.
        let width = Table::new().width().filter(|&width| width > 0);
        Style { colour: self.colour, box_drawing: speaks_utf8(), width, is_terminal: true }
    }

    /// Lines of the terminal, if results go to one.
    pub(crate) fn height(&self) -> Option<usize> {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
        Some(usize::from(size.ws_row)).filter(|&height| height > 0 && self.is_watched())
    }

    /// Writes results.
    pub(crate) fn write(&mut self, text: &str) -> io::Result<()> {
        match &mut self.file {
            Some((_, file)) => {
                file.write_all(text.as_bytes())?;
                file.flush()
            }
            None => {
                let mut stdout = io::stdout().lock();
                stdout.write_all(text.as_bytes())?;
                stdout.flush()
            }
        }
    }
}

/// Whether the locale's characters are Unicode.
fn speaks_utf8() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| env::var(name).ok().filter(|value| !value.is_empty()));
    locale.is_some_and(|locale| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    })
}

/// Tells a person something that is no result.
pub(crate) fn note(text: &str) {
    // If standard error is closed there is nobody to tell.
    let _ = writeln!(io::stderr(), "{text}");
}

//! How far a COPY is, for whom watches: a bar where the size is known, a counter elsewhere, nothing in a script.

use std::io::{self, IsTerminal};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// The bar on standard error.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Progress over `bytes` of a file, or over rows where no size is known.
    pub(super) fn new(bytes: Option<u64>) -> Progress {
        if !io::stderr().is_terminal() {
            return Progress { bar: ProgressBar::hidden() };
        }
        let template = match bytes {
            Some(_) => "{bar:30} {percent:>3}% {msg}, {eta} left",
            None => "{spinner} {msg}, {elapsed}",
        };
        let bar = ProgressBar::with_draw_target(bytes, ProgressDrawTarget::stderr_with_hz(10));
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Progress { bar }
    }

    /// Does what writes to the terminal with the bar out of its way.
    pub(super) fn hidden(&self, write: impl FnOnce()) {
        self.bar.suspend(write);
    }

    /// So many rows are copied, so many bytes of the file read.
    pub(super) fn update(&self, rows: u64, bytes: u64, elapsed: Duration) {
        self.bar.set_position(bytes);
        self.bar.set_message(format!("{rows} rows, {} rows/s", rate(rows, elapsed)));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Rows a second.
pub(super) fn rate(rows: u64, elapsed: Duration) -> u64 {
    let seconds = elapsed.as_secs_f64();
    if seconds > 0.0 { (rows as f64 / seconds) as u64 } else { rows }
}

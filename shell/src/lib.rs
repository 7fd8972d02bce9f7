//! The interactive shell and script runner, and the client it talks through.
//!
//! [`interactive`] reads statements from a terminal, [`run_script`] from files, standard input or an argument. Both are
//! clients like any other: they speak the native protocol through [`client`] and know nothing of a server's inside.
//! Both answer with an exit code of [`exit`].
//!
//! Inside: `input` cuts text into CQL statements and shell commands; `command` parses the latter; `shell` carries out
//! either, with `session` for the connection, `output` for tables and other formats, `copy` for files of rows, `csv` for their form; `repl`,
//! `line`, `complete` and `highlight` are the terminal's side, `script` that of scripts.
//!
//! No async runtime here: the client blocks, and an interrupt closes its socket.

mod catalogue;
pub mod client;
mod command;
mod complete;
mod copy;
mod csv;
mod error;
pub mod exit;
mod help;
mod highlight;
mod input;
mod interrupt;
mod lex;
mod line;
mod options;
mod output;
mod repl;
mod script;
mod session;
mod settings;
mod shell;
mod sink;
mod suggest;
mod told;

pub use options::{OnError, ScriptSource, ShellOptions};
pub use output::Format;
pub use repl::interactive;
pub use script::run_script;

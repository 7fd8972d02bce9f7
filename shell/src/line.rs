//! Reading lines from the terminal: editing, history, colours, completion.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustyline::completion::{Completer, Pair};
use rustyline::config::{CompletionType, Config};
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::Hinter;
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{
    Cmd, ConditionalEventHandler, Editor, Event, EventContext, EventHandler, Helper, KeyCode,
    Modifiers, RepeatCount,
};
use tholos_parser::redact_passwords;

use crate::catalogue::Catalogue;
use crate::complete::{self, Context};
use crate::error::ShellError;
use crate::highlight::highlight;

/// Most statements that the history keeps.
const MAX_HISTORY: usize = 10_000;

/// What came of asking for a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    Text(String),
    /// Ctrl-C: what was typed is thrown away.
    Interrupted,
    /// Ctrl-D on an empty line.
    End,
}

/// Reads lines.
#[derive(Debug)]
pub(crate) struct LineReader {
    editor: Editor<Assistant, FileHistory>,
    history: Option<PathBuf>,
}

/// What the editor asks while a line is typed.
#[derive(Debug, Default)]
pub(crate) struct Assistant {
    colour: bool,
    /// The statement's lines so far.
    before: String,
    catalogue: Arc<Catalogue>,
    keyspace: Option<String>,
}

impl LineReader {
    /// A reader with the history of that file.
    pub(crate) fn new(history: Option<&Path>, colour: bool) -> Result<LineReader, ShellError> {
        let config = Config::builder()
            .max_history_size(MAX_HISTORY)
            .map_err(terminal)?
            .completion_type(CompletionType::List)
            .auto_add_history(false)
            .build();
        let mut editor = Editor::with_config(config).map_err(terminal)?;
        editor.set_helper(Some(Assistant { colour, ..Assistant::default() }));
        if let Some(path) = history {
            // The first shell of a user has no history yet.
            let _ = editor.load_history(path);
        }
        Ok(LineReader { editor, history: history.map(Path::to_path_buf) })
    }

    /// Tells the assistant what statement the next line belongs to, and what names there are.
    pub(crate) fn prepare(
        &mut self,
        before: &str,
        catalogue: Arc<Catalogue>,
        keyspace: Option<&str>,
    ) {
        if let Some(assistant) = self.editor.helper_mut() {
            assistant.before = before.to_string();
            assistant.catalogue = catalogue;
            assistant.keyspace = keyspace.map(str::to_string);
        }
    }

    /// Reads a line.
    pub(crate) fn read(&mut self, prompt: &str) -> Result<Line, ShellError> {
        match self.editor.readline(prompt) {
            Ok(line) => Ok(Line::Text(line)),
            Err(ReadlineError::Interrupted) => Ok(Line::Interrupted),
            Err(ReadlineError::Eof) => Ok(Line::End),
            Err(error) => Err(terminal(error)),
        }
    }

    /// Remembers a statement, unless it holds a password.
    pub(crate) fn remember(&mut self, statement: &str) {
        let statement = statement.trim();
        if statement.is_empty() || has_password(statement) {
            return;
        }
        // A history that can't be written is no reason to stop a statement.
        let _ = self.editor.add_history_entry(statement);
        if let Some(path) = &self.history {
            if let Some(directory) = path.parent() {
                let _ = fs::create_dir_all(directory);
            }
            let _ = self.editor.append_history(path);
        }
    }
}

/// Whether the text gives a password away.
pub(crate) fn has_password(text: &str) -> bool {
    let first = text.split_whitespace().next().unwrap_or_default();
    first.eq_ignore_ascii_case("LOGIN") || matches!(redact_passwords(text), Cow::Owned(_))
}

/// Asks a question; `None` for Ctrl-C and Ctrl-D.
pub(crate) fn ask(question: &str) -> Result<Option<String>, ShellError> {
    let mut editor: Editor<(), FileHistory> = Editor::new().map_err(terminal)?;
    match editor.readline(question) {
        Ok(answer) => Ok(Some(answer)),
        Err(ReadlineError::Interrupted | ReadlineError::Eof) => Ok(None),
        Err(error) => Err(terminal(error)),
    }
}

/// Asks a question that one key of `keys` answers, without Enter behind it; Enter, Page Down and Down are a blank.
/// `None` for Ctrl-C, Ctrl-D and Escape. Other keys do nothing. The question goes with its answer.
pub(crate) fn ask_key(question: &str, keys: &'static str) -> Result<Option<char>, ShellError> {
    let pressed = Arc::new(Mutex::new(None));
    let press = Press { keys, pressed: Arc::clone(&pressed) };
    let mut editor: Editor<(), FileHistory> = Editor::new().map_err(terminal)?;
    editor.bind_sequence(Event::Any, EventHandler::Conditional(Box::new(press)));
    let answer = match editor.readline(question) {
        Ok(typed) => {
            let key = pressed.lock().unwrap_or_else(PoisonError::into_inner).take();
            // A terminal that can't hand out single keys hands out lines.
            key.or_else(|| Some(typed.trim().chars().next().unwrap_or(' ')))
        }
        Err(ReadlineError::Interrupted | ReadlineError::Eof) => None,
        Err(error) => return Err(terminal(error)),
    };
    if std::env::var_os("TERM").is_some_and(|terminal| terminal != "dumb") {
        print!("\u{1b}[A\r\u{1b}[K");
    }
    Ok(answer)
}

/// Takes the first key that is an answer for one.
struct Press {
    keys: &'static str,
    pressed: Arc<Mutex<Option<char>>>,
}

impl ConditionalEventHandler for Press {
    fn handle(&self, event: &Event, _: RepeatCount, _: bool, _: &EventContext<'_>) -> Option<Cmd> {
        let key = event.get(0)?;
        let answer = match (key.0, key.1) {
            (KeyCode::Enter | KeyCode::PageDown | KeyCode::Down, _) => ' ',
            (KeyCode::Char('m' | 'j' | 'M' | 'J'), Modifiers::CTRL) => ' ',
            (KeyCode::Esc, _) => return Some(Cmd::Interrupt),
            (KeyCode::Char('c' | 'd' | 'C' | 'D'), Modifiers::CTRL) => return Some(Cmd::Interrupt),
            (KeyCode::Char(key), Modifiers::NONE | Modifiers::SHIFT) => key.to_ascii_lowercase(),
            _ => return Some(Cmd::Noop),
        };
        if !self.keys.contains(answer) {
            return Some(Cmd::Noop);
        }
        *self.pressed.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        Some(Cmd::AcceptLine)
    }
}

/// Asks for a user's password; what is typed is not shown.
pub(crate) fn ask_password(user: &str) -> Result<String, ShellError> {
    let mut editor: Editor<Hidden, FileHistory> = Editor::new().map_err(terminal)?;
    editor.set_helper(Some(Hidden { last: RefCell::default() }));
    match editor.readline(&format!("Password of {user}: ")) {
        Ok(password) => Ok(password),
        Err(ReadlineError::Interrupted | ReadlineError::Eof) => Err(ShellError::Interrupted),
        Err(error) => Err(terminal(error)),
    }
}

fn terminal(error: ReadlineError) -> ShellError {
    ShellError::Terminal(error.to_string())
}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &rustyline::Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let context = Context { catalogue: &self.catalogue, keyspace: self.keyspace.as_deref() };
        let typed = line.get(..position).unwrap_or(line);
        let (start, candidates) = complete::complete(&self.before, typed, context);
        let pairs = candidates.into_iter().map(|name| {
            // Behind a whole word a blank comes, but not behind `ks.`, `list<` or a directory.
            let is_whole = !name.ends_with(['.', '<', '/']);
            let replacement = if is_whole { format!("{name} ") } else { name.clone() };
            Pair { display: name, replacement }
        });
        Ok((start, pairs.collect()))
    }
}

impl Highlighter for Assistant {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        if self.colour { Cow::Owned(highlight(&self.before, line)) } else { Cow::Borrowed(line) }
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        if self.colour {
            Cow::Owned(format!("\u{1b}[1;32m{prompt}\u{1b}[0m"))
        } else {
            Cow::Borrowed(prompt)
        }
    }

    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        self.colour
    }
}

impl Hinter for Assistant {
    type Hint = String;
}

impl Validator for Assistant {}

impl Helper for Assistant {}

/// Hides what is typed.
#[derive(Debug)]
struct Hidden {
    last: RefCell<usize>,
}

impl Highlighter for Hidden {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        Cow::Owned(" ".repeat(line.chars().count()))
    }

    fn highlight_char(&self, line: &str, _: usize, _: CmdKind) -> bool {
        // Every change is drawn anew, or the editor would print the character itself.
        self.last.replace(line.len()) != usize::MAX
    }
}

impl Completer for Hidden {
    type Candidate = String;
}

impl Hinter for Hidden {
    type Hint = String;
}

impl Validator for Hidden {}

impl Helper for Hidden {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_noticed() {
        for text in [
            "CREATE ROLE a WITH PASSWORD = 'x' AND LOGIN = true",
            "alter user a with password 'x'",
            "CREATE ROL a WITH PASSWORD = 'unfinished",
            "login a b",
        ] {
            assert!(has_password(text), "{text}");
        }
        for text in ["SELECT password FROM t", "SELECT * FROM logins"] {
            assert!(!has_password(text), "{text}");
        }
    }

    #[test]
    fn a_history_keeps_statements_but_no_passwords() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("state/history");
        let mut reader = LineReader::new(Some(&path), false).expect("a reader");
        reader.remember("SELECT *\nFROM t;");
        reader.remember("CREATE ROLE a WITH PASSWORD = 'secret';");
        let text = fs::read_to_string(&path).expect("the history's file");
        assert!(text.contains("FROM t"), "{text}");
        assert!(!text.contains("secret"), "{text}");
        let again = LineReader::new(Some(&path), false).expect("a reader");
        assert_eq!(again.editor.history().iter().collect::<Vec<_>>(), ["SELECT *\nFROM t;"]);
    }
}

//! Reading lines from the terminal: editing, history, colours, completion.
//!
//! A shell has one [`LineReader`] and asks it everything: what is typed or pasted ahead waits in the reader, and another
//! one would not see it.

use std::borrow::Cow;
use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rustyline::completion::{Completer, Pair};
use rustyline::config::{CompletionType, Config};
use rustyline::error::ReadlineError;
use rustyline::highlight::{CmdKind, Highlighter};
use rustyline::hint::{Hint, Hinter};
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
    /// Lines that came where something else was asked for, and are still to be read.
    waiting: VecDeque<String>,
    /// The beginning of the next line, if its first key came where something else was asked for.
    begun: String,
}

/// What the editor asks while a line is typed.
#[derive(Debug, Default)]
pub(crate) struct Assistant {
    typing: Typing,
    colour: bool,
    /// The statement's lines so far.
    before: String,
    catalogue: Arc<Catalogue>,
    keyspace: Option<String>,
}

/// What is being typed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Typing {
    /// Statements and commands: coloured and completed.
    #[default]
    Statement,
    /// The answer to a question.
    Answer,
    /// An answer that nobody may see.
    Secret,
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
        let history = history.map(Path::to_path_buf);
        Ok(LineReader { editor, history, waiting: VecDeque::new(), begun: String::new() })
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
        if let Some(line) = self.waiting.pop_front() {
            println!("{prompt}{line}");
            return Ok(Line::Text(line));
        }
        let begun = std::mem::take(&mut self.begun);
        match self.editor.readline_with_initial(prompt, (&begun, "")) {
            Ok(line) => Ok(Line::Text(line)),
            Err(ReadlineError::Interrupted) => Ok(Line::Interrupted),
            Err(ReadlineError::Eof) => Ok(Line::End),
            Err(error) => Err(terminal(error)),
        }
    }

    /// Puts a line back that was read for something else: it is the next to be read.
    pub(crate) fn put_back(&mut self, line: String) {
        self.waiting.push_front(line);
    }

    /// Asks a question; `None` for Ctrl-C and Ctrl-D.
    pub(crate) fn ask(&mut self, question: &str) -> Result<Option<String>, ShellError> {
        Ok(match self.read_as(Typing::Answer, question)? {
            Line::Text(answer) => Some(answer),
            Line::Interrupted | Line::End => None,
        })
    }

    /// Asks for a user's password; what is typed is not shown.
    pub(crate) fn ask_password(&mut self, user: &str) -> Result<String, ShellError> {
        match self.read_as(Typing::Secret, &format!("Password of {user}: "))? {
            Line::Text(password) => Ok(password),
            Line::Interrupted | Line::End => Err(ShellError::Interrupted),
        }
    }

    /// Asks a question that one key of `keys` answers, without Enter behind it; Enter, Page Down and Down are a blank.
    /// `None` for Ctrl-C, Ctrl-D and Escape, and for any other character: that begins the next line, which was typed or
    /// pasted ahead. The question goes with its answer.
    pub(crate) fn ask_key(
        &mut self,
        question: &str,
        keys: &'static str,
    ) -> Result<Option<char>, ShellError> {
        let pressed = Arc::new(Mutex::new(None));
        let press = Press { pressed: Arc::clone(&pressed) };
        self.editor.bind_sequence(Event::Any, EventHandler::Conditional(Box::new(press)));
        let answer = self.read_as(Typing::Answer, question);
        self.editor.unbind_sequence(Event::Any);
        let answer = match answer? {
            Line::Text(typed) => {
                let key = pressed.lock().unwrap_or_else(PoisonError::into_inner).take();
                // A terminal that can't hand out single keys hands out lines.
                let key = key.unwrap_or_else(|| typed.trim().chars().next().unwrap_or(' '));
                let is_answer = keys.contains(key.to_ascii_lowercase());
                if !is_answer {
                    self.begun.push(key);
                }
                Some(key.to_ascii_lowercase()).filter(|_| is_answer)
            }
            Line::Interrupted | Line::End => None,
        };
        if std::env::var_os("TERM").is_some_and(|terminal| terminal != "dumb") {
            print!("\u{1b}[A\r\u{1b}[K");
        }
        Ok(answer)
    }

    fn read_as(&mut self, typing: Typing, prompt: &str) -> Result<Line, ShellError> {
        self.set_typing(typing);
        let line = self.read(prompt);
        self.set_typing(Typing::Statement);
        line
    }

    fn set_typing(&mut self, typing: Typing) {
        if let Some(assistant) = self.editor.helper_mut() {
            assistant.typing = typing;
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

/// Takes the first character for an answer.
struct Press {
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
            (KeyCode::Char(key), Modifiers::NONE | Modifiers::SHIFT) => key,
            _ => return Some(Cmd::Noop),
        };
        *self.pressed.lock().unwrap_or_else(PoisonError::into_inner) = Some(answer);
        Some(Cmd::AcceptLine)
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
        if self.typing != Typing::Statement {
            return Ok((position, Vec::new()));
        }
        let context = Context { catalogue: &self.catalogue, keyspace: self.keyspace.as_deref() };
        let typed = line.get(..position).unwrap_or(line);
        let (start, candidates) = complete::complete(&self.before, typed, context);
        let pairs = candidates.into_iter().map(|name| {
            // Behind a whole word a blank comes, but not behind `ks.`, `list<` or a directory.
            let is_whole = !name.ends_with(['.', '<', '/', '(', ' ', '\'']);
            let replacement = if is_whole { format!("{name} ") } else { name.clone() };
            Pair { display: name, replacement }
        });
        Ok((start, pairs.collect()))
    }
}

impl Highlighter for Assistant {
    fn highlight<'l>(&self, line: &'l str, _: usize) -> Cow<'l, str> {
        match self.typing {
            Typing::Statement if self.colour => Cow::Owned(highlight(&self.before, line)),
            Typing::Statement | Typing::Answer => Cow::Borrowed(line),
            Typing::Secret => Cow::Owned(" ".repeat(line.chars().count())),
        }
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        if self.colour {
            Cow::Owned(format!("\u{1b}[1;32m{prompt}\u{1b}[0m"))
        } else {
            Cow::Borrowed(prompt)
        }
    }

    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        if self.colour {
            Cow::Owned(format!("\u{1b}[2m{hint}\u{1b}[0m"))
        } else {
            Cow::Borrowed(hint)
        }
    }

    fn highlight_char(&self, _: &str, _: usize, _: CmdKind) -> bool {
        // Where this is false the editor prints the character itself that is typed.
        self.colour || self.typing == Typing::Secret
    }
}

/// What is shown behind the cursor and never typed.
pub(crate) struct Shown(String);

impl Hint for Shown {
    fn display(&self) -> &str {
        &self.0
    }

    fn completion(&self) -> Option<&str> {
        None
    }
}

impl Hinter for Assistant {
    type Hint = Shown;

    fn hint(&self, line: &str, position: usize, _: &rustyline::Context<'_>) -> Option<Shown> {
        if self.typing != Typing::Statement || position < line.len() {
            return None;
        }
        let context = Context { catalogue: &self.catalogue, keyspace: self.keyspace.as_deref() };
        complete::hint(&self.before, line, context).map(Shown)
    }
}

impl Validator for Assistant {}

impl Helper for Assistant {}

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

//! Completion of the shell's own commands.

use std::fs;
use std::path::{Path, PathBuf};

use tholos_grammar::consistency::Consistency;

use crate::command::backslash::FORMS;
use crate::command::words::path;
use crate::copy::OPTIONS;
use crate::help;
use crate::output::Format;

/// Words that a statement or command can begin with.
pub(super) fn first_words() -> impl Iterator<Item = String> {
    const WORDS: [&str; 35] = [
        "ALTER",
        "APPLY BATCH",
        "BEGIN BATCH",
        "CAPTURE",
        "CLEAR",
        "CONSISTENCY",
        "COPY",
        "CREATE",
        "DELETE FROM",
        "DESCRIBE",
        "DROP",
        "EXIT",
        "EXPAND",
        "FORMAT",
        "GRANT",
        "HELP",
        "INSERT INTO",
        "LIST",
        "LOGIN",
        "PAGING",
        "QUIT",
        "REVOKE",
        "SELECT",
        "SERIAL CONSISTENCY",
        "SHOW HOST",
        "SHOW SESSION",
        "SHOW VERSION",
        "SOURCE",
        "TIMING",
        "TRACING",
        "TRUNCATE",
        "UPDATE",
        "USE",
        "BEGIN UNLOGGED BATCH",
        "BEGIN COUNTER BATCH",
    ];
    WORDS.into_iter().map(str::to_string)
}

/// Completion of a command's line; `None` if it is none.
pub(super) fn complete(line: &str) -> Option<(usize, Vec<String>)> {
    let start = line.len() - line.trim_start().len();
    let text = line.get(start..)?;
    if let Some(name) = text.strip_prefix('\\')
        && !name.contains(char::is_whitespace)
    {
        let forms = FORMS.iter().filter(|(form, _, _)| form.starts_with(name));
        return Some((start, forms.map(|(form, _, _)| format!("\\{form}")).collect()));
    }
    let (first, rest) = text.split_once(char::is_whitespace)?;
    let word_start = line.len() - last_word(rest).len();
    let word = line.get(word_start..)?;
    let choices: Vec<String> = match first.to_ascii_uppercase().as_str() {
        "COPY" => return copy(line, rest),
        "SOURCE" | "CAPTURE" | "\\I" | "\\O" => return Some(files(line, rest)),
        "CONSISTENCY" => Consistency::ALL.iter().map(ToString::to_string).collect(),
        "SERIAL" if rest.trim_start().contains(char::is_whitespace) => {
            vec!["SERIAL".to_string(), "LOCAL_SERIAL".to_string()]
        }
        "SERIAL" => vec!["CONSISTENCY".to_string()],
        "EXPAND" | "\\X" => ["ON", "OFF", "AUTO"].map(str::to_string).to_vec(),
        "TRACING" | "PAGING" | "TIMING" | "\\TIMING" => ["ON", "OFF"].map(str::to_string).to_vec(),
        "FORMAT" | "\\F" => Format::ALL.map(|format| format.name().to_string()).to_vec(),
        "SHOW" => ["VERSION", "HOST", "SESSION"].map(str::to_string).to_vec(),
        "HELP" | "\\H" => {
            let typed = rest.trim_start();
            let start = line.len() - typed.len();
            let topics = help::topics().filter(|topic| super::starts_with(topic, typed));
            return Some((start, topics.map(str::to_string).collect()));
        }
        _ => return None,
    };
    let fitting = choices.into_iter().filter(|choice| super::starts_with(choice, word));
    Some((word_start, fitting.map(|choice| super::in_case_of(word, choice)).collect()))
}

/// Completion of COPY behind its table and columns; `None` for those, which [`statement`] is for.
fn copy(line: &str, rest: &str) -> Option<(usize, Vec<String>)> {
    if rest.matches('\'').count() % 2 == 1 {
        let (_, file) = rest.rsplit_once('\'')?;
        return Some(files(line, file));
    }
    let (_, behind) = rest.trim_start().split_once(char::is_whitespace)?;
    if behind.rfind('(') > behind.rfind(')') {
        return None;
    }
    let has_with = behind.split_whitespace().any(|word| word.eq_ignore_ascii_case("WITH"));
    let choices: Vec<&str> = if has_with {
        OPTIONS.iter().map(|(name, _, _)| *name).chain(["AND"]).collect()
    } else {
        vec!["TO", "FROM", "STDIN", "STDOUT", "WITH"]
    };
    let word = last_word(rest);
    let fitting = choices.into_iter().filter(|choice| super::starts_with(choice, word));
    let fitting = fitting.map(|choice| super::in_case_of(word, choice.to_string()));
    Some((line.len() - word.len(), fitting.collect()))
}

/// The statement that `\d`, `\dt`, `\c` or the beginning of COPY stands for, as far as it is typed, and where its name
/// begins in the line.
pub(super) fn statement(line: &str) -> Option<(String, usize)> {
    let (form, name) = line.trim_start().split_once(' ')?;
    let statement = match form {
        _ if form.eq_ignore_ascii_case("COPY") => "INSERT INTO ",
        "\\d" => "DESCRIBE TABLE ",
        "\\dt" | "\\c" => "USE ",
        _ => return None,
    };
    let name = name.trim_start();
    Some((format!("{statement}{name}"), line.len() - name.len()))
}

fn last_word(text: &str) -> &str {
    text.rsplit(char::is_whitespace).next().unwrap_or_default()
}

/// Files whose path begins as typed; directories end with `/`.
fn files(line: &str, rest: &str) -> (usize, Vec<String>) {
    let typed = rest.trim_start().trim_start_matches(['\'', '"']);
    let start = line.len() - typed.len();
    let (directory, name) = match typed.rfind('/') {
        Some(slash) => typed.split_at(slash + 1),
        None => ("", typed),
    };
    let place = if directory.is_empty() { PathBuf::from(".") } else { path(directory) };
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    let mut found: Vec<String> = entries
        .filter_map(|entry| {
            let file = entry.file_name().into_string().ok()?;
            let is_hidden = file.starts_with('.') && !name.starts_with('.');
            let slash = if is_directory(&entry.path()) { "/" } else { "" };
            (file.starts_with(name) && !is_hidden).then(|| format!("{directory}{file}{slash}"))
        })
        .collect();
    found.sort();
    (start, found)
}

fn is_directory(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

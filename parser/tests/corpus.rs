//! The corpus in `grammar/corpus`: what must parse, and what must not, with its error; and the grammar they cover.
//!
//! With `BLESS=1` in the environment the errors in `reject` are rewritten as they are now: read the difference.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use tholos_parser::{Class, parse_script, parse_statement};

const FEWEST: usize = 200;

fn grammar() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../grammar")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files of a part of the corpus, in order.
fn files(part: &str) -> Vec<(PathBuf, String)> {
    let directory = grammar().join("corpus").join(part);
    let entries = std::fs::read_dir(&directory)
        .unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), read(&path))).collect()
}

#[test]
fn accepted_statements_print_and_parse_to_the_same_tree() {
    let mut count = 0;
    for (path, text) in files("accept") {
        let name = path.display().to_string();
        for parsed in parse_script(&text) {
            let (span, statement) =
                parsed.unwrap_or_else(|error| panic!("{}", error.render(&text, &name)));
            let printed = statement.to_string();
            let again = parse_statement(&printed)
                .unwrap_or_else(|error| panic!("{}", error.render(&printed, &name)));
            assert_eq!(again, statement, "{name}: {} printed {printed}", &text[span]);
            assert_eq!(again.to_string(), printed);
            count += 1;
        }
    }
    assert!(count >= FEWEST, "{count} statements");
}

/// A block of a reject file: the comment's text, and the statement.
fn blocks(text: &str) -> Vec<(&str, &str)> {
    text.split("\n\n")
        .skip(1)
        .map(|block| {
            let (comment, statement) = block.split_once('\n').unwrap_or((block, ""));
            (comment.trim_start_matches("-- "), statement.trim_end_matches('\n'))
        })
        .collect()
}

#[test]
fn rejected_statements_give_their_errors() {
    let bless = std::env::var_os("BLESS").is_some();
    let mut count = 0;
    for (path, text) in files("reject") {
        let header = text.split("\n\n").next().unwrap_or_default();
        let mut blessed = format!("{header}\n");
        for (expected, statement) in blocks(&text) {
            let found = match parse_statement(statement) {
                Ok(parsed) => panic!("{}: {statement} parses, as {parsed}", path.display()),
                Err(error) if error.class == Class::Meaning => format!("(meaning) {error}"),
                Err(error) => error.to_string(),
            };
            assert!(
                bless || found == expected,
                "{}: {statement}\n  found    {found}\n  expected {expected}",
                path.display()
            );
            blessed.push_str(&format!("\n-- {found}\n{statement}\n"));
            count += 1;
        }
        if bless {
            std::fs::write(&path, blessed)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
    }
    assert!(count >= FEWEST, "{count} statements");
}

/// The productions of the grammar: name, and what is in quotes and what is named on the right.
fn productions(text: &str) -> BTreeMap<String, (BTreeSet<String>, BTreeSet<String>)> {
    let mut found = BTreeMap::new();
    let (mut name, mut body, mut in_body) =
        (String::new(), (BTreeSet::new(), BTreeSet::new()), false);
    let mut word = String::new();
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '(' if characters.peek() == Some(&'*') => {
                let mut previous = ' ';
                for character in characters.by_ref() {
                    if previous == '*' && character == ')' {
                        break;
                    }
                    previous = character;
                }
            }
            '"' => {
                body.0.insert(
                    characters
                        .by_ref()
                        .take_while(|&character| character != '"')
                        .collect::<String>(),
                );
            }
            '?' => {
                let _ = characters.by_ref().take_while(|&character| character != '?').count();
            }
            '=' if !in_body => {
                name = std::mem::take(&mut word).trim().to_string();
                in_body = true;
            }
            ';' | ',' | '|' | '[' | ']' | '{' | '}' | '(' | ')' => {
                let named = std::mem::take(&mut word).trim().to_string();
                if !named.is_empty() {
                    body.1.insert(named);
                }
                if character == ';' {
                    let previous =
                        found.insert(std::mem::take(&mut name), std::mem::take(&mut body));
                    assert!(previous.is_none(), "a production is defined twice");
                    in_body = false;
                }
            }
            _ => word.push(if character.is_whitespace() { ' ' } else { character }),
        }
    }
    found
}

#[test]
fn every_production_is_defined_and_reached() {
    let productions = productions(&read(&grammar().join("cql.ebnf")));
    let mut reached = BTreeSet::from(["script".to_string()]);
    let mut next = vec!["script".to_string()];
    while let Some(name) = next.pop() {
        let (_, named) = productions.get(&name).unwrap_or_else(|| panic!("{name} is not defined"));
        next.extend(named.iter().filter(|name| reached.insert(name.to_string())).cloned());
    }
    let unreached: Vec<_> = productions.keys().filter(|name| !reached.contains(*name)).collect();
    assert!(unreached.is_empty(), "not reached from script: {unreached:?}");
    assert!(productions.len() > 100, "{} productions", productions.len());
}

#[test]
fn every_word_and_mark_of_the_grammar_is_in_the_corpus() {
    let corpus: String =
        files("accept").into_iter().map(|(_, text)| text.to_ascii_uppercase()).collect();
    let words: BTreeSet<&str> =
        corpus.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').collect();
    for (name, (quoted, _)) in productions(&read(&grammar().join("cql.ebnf"))) {
        for terminal in quoted {
            let is_word = terminal.starts_with(|c: char| c.is_ascii_alphabetic());
            let found = if is_word {
                words.contains(terminal.as_str())
            } else {
                corpus.contains(&terminal)
            };
            assert!(found, "no accepted statement has {terminal}, of {name}");
        }
    }
}

//! Advice on a syntax error: a mistyped keyword, a reserved word, quotes of the wrong kind.

use tholos_grammar::name::is_reserved;

use crate::error::Expected;
use crate::foreign;
use crate::input::Input;
use crate::lexer::Kind;
use crate::statement::FIRST_WORDS;

/// What to do about the token here, `expected` being what could have stood in its place.
pub(crate) fn hint(found: &Input<'_>, expected: &[Expected]) -> Option<String> {
    let is_value = expects(expected, "value");
    match found.kind() {
        // What follows a number and `-` is the rest of a UUID or timestamp.
        Kind::Word if is_value && is_behind(found, "-") => None,
        Kind::Word => foreign::apostrophe(found)
            .or_else(|| foreign::word(found, expected))
            .or_else(|| word(found.text(), expected)),
        Kind::QuotedName if is_value || expects(expected, "constant") => {
            let text = found.text().trim_matches('"').replace('\'', "''");
            Some(format!("double quotes are for names; text goes in single quotes: '{text}'"))
        }
        Kind::Text if expected.iter().any(is_name) => {
            Some("single quotes are for text; a name goes in double quotes or none".to_string())
        }
        Kind::Symbol("=") if is_value && is_behind(found, "=") => {
            Some("equal is written =".to_string())
        }
        Kind::Symbol(">") if is_value && is_behind(found, "<") => {
            Some("not equal is written !=".to_string())
        }
        Kind::Symbol(_) => foreign::symbol(found, expected),
        _ => None,
    }
}

/// Whether the token stands directly behind this mark.
fn is_behind(found: &Input<'_>, mark: &str) -> bool {
    found.source.get(..found.token.start as usize).is_some_and(|before| before.ends_with(mark))
}

fn word(word: &str, expected: &[Expected]) -> Option<String> {
    mistyped(word, expected)
        .or_else(|| reserved(word, expected))
        .or_else(|| unquoted(word, expected))
}

/// A bare word where a value was expected.
fn unquoted(word: &str, expected: &[Expected]) -> Option<String> {
    let text = expects(expected, "value") && !is_reserved(word);
    text.then(|| format!("text goes in single quotes: '{word}'"))
}

fn expects(expected: &[Expected], word: &str) -> bool {
    expected.iter().any(|it| matches!(it, Expected::Thing(thing) if thing.ends_with(word)))
}

fn is_name(expected: &Expected) -> bool {
    matches!(expected, Expected::Thing(thing) if thing.ends_with("name") || *thing == "a column")
}

/// The keyword that was meant, if one of those expected is close to the word.
fn mistyped(word: &str, expected: &[Expected]) -> Option<String> {
    let word = word.to_ascii_uppercase();
    let keywords = expected.iter().filter_map(|it| match it {
        Expected::Keyword(keyword) => Some(*keyword),
        _ => None,
    });
    let first_words = FIRST_WORDS.into_iter().filter(|_| expected.contains(&Expected::Statement));
    let close = |keyword: &str| strsim::damerau_levenshtein(&word, keyword);
    let allowed = |keyword: &str| if keyword.len() <= 3 { 1 } else { 2 };
    // A longer word is never close to a keyword, and comparing takes the product of both lengths.
    const LONGEST: usize = 24;
    let begins_otherwise = |keyword: &str| keyword.get(..1) != word.get(..1);
    keywords
        .chain(first_words)
        .filter(|keyword| word.len() <= LONGEST && (1..=allowed(keyword)).contains(&close(keyword)))
        .min_by_key(|keyword| (close(keyword), begins_otherwise(keyword)))
        .map(|keyword| format!("did you mean `{keyword}`?"))
}

/// A reserved word where a name was expected. Words that join clauses are hardly ever meant as names: there the name
/// has been forgotten.
fn reserved(word: &str, expected: &[Expected]) -> Option<String> {
    const JOINTS: [&str; 12] =
        ["and", "by", "from", "if", "in", "into", "not", "on", "set", "to", "where", "with"];
    let lower = word.to_ascii_lowercase();
    let advice =
        format!("{word} is a reserved word: as a name it goes in double quotes, \"{lower}\"");
    (is_reserved(&lower) && !JOINTS.contains(&lower.as_str()) && expected.iter().any(is_name))
        .then_some(advice)
}

//! Options of WITH: read one by one by name and type; what is left over is unknown.

use std::collections::BTreeMap;
use std::str::FromStr;

use tholos_grammar::ast::ident::Ident;
use tholos_grammar::ast::schema::{OptionValue, Options};
use tholos_grammar::ast::term::Literal;

use crate::error::{At, QueryError};
use crate::query::suggest::nearest;

/// The options of one statement. Each is taken once; [`OptionReader::finish`] refuses those that nobody took.
#[derive(Debug)]
pub struct OptionReader<'a> {
    options: Vec<(&'a Ident, &'a OptionValue)>,
    known: Vec<&'static str>,
}

impl<'a> OptionReader<'a> {
    /// # Errors
    /// [`QueryError::Syntax`] for an option given twice.
    pub fn new(options: &'a Options) -> Result<Self, QueryError> {
        let mut seen: Vec<(&Ident, &OptionValue)> = Vec::with_capacity(options.len());
        for (name, value) in options {
            if seen.iter().any(|(earlier, _)| *earlier == name) {
                return Err(QueryError::Syntax(format!(
                    "option {name} is given twice: leave one out"
                )))
                .at(name.span);
            }
            seen.push((name, value));
        }
        Ok(OptionReader { options: seen, known: Vec::new() })
    }

    /// Whether the option was given and not taken yet.
    pub fn has(&self, name: &str) -> bool {
        self.options.iter().any(|(option, _)| option.as_str() == name)
    }

    fn take(&mut self, name: &'static str) -> Option<&'a OptionValue> {
        self.known.push(name);
        let at = self.options.iter().position(|(option, _)| option.as_str() == name)?;
        Some(self.options.swap_remove(at).1)
    }

    /// An option that is one constant, as text.
    ///
    /// # Errors
    /// [`QueryError::Syntax`] for a map.
    pub fn text(&mut self, name: &'static str) -> Result<Option<String>, QueryError> {
        match self.take(name) {
            None => Ok(None),
            Some(OptionValue::Literal(literal)) => Ok(Some(plain(name, literal)?)),
            Some(OptionValue::Map(_)) => {
                Err(QueryError::Syntax(format!("option {name} takes one value, not a map")))
            }
        }
    }

    /// An option of true and false (also 1, 0, yes, no).
    ///
    /// # Errors
    /// [`QueryError::Syntax`] for anything else.
    pub fn boolean(&mut self, name: &'static str) -> Result<Option<bool>, QueryError> {
        self.text(name)?.map(|text| boolean(name, &text).map_err(as_syntax)).transpose()
    }

    /// A number from `low` to `high`.
    ///
    /// # Errors
    /// [`QueryError::Syntax`] for what is no number, [`QueryError::Config`] for one that is out of range.
    pub fn number<T>(
        &mut self,
        name: &'static str,
        low: T,
        high: T,
    ) -> Result<Option<T>, QueryError>
    where
        T: FromStr + PartialOrd + std::fmt::Display,
    {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let is_number = text.trim().parse::<T>().is_ok();
        let read = number(name, &text, low, high);
        if is_number { read.map(Some) } else { read.map(Some).map_err(as_syntax) }
    }

    /// An option that is a map of constants, as text.
    ///
    /// # Errors
    /// [`QueryError::Syntax`] for what is no map, and for keys given twice.
    pub fn map(
        &mut self,
        name: &'static str,
    ) -> Result<Option<BTreeMap<String, String>>, QueryError> {
        match self.take(name) {
            None => Ok(None),
            Some(OptionValue::Map(entries)) => Ok(Some(text_map(name, entries)?)),
            Some(OptionValue::Literal(_)) => Err(QueryError::Syntax(format!(
                "option {name} takes a map, such as {{'class': '...'}}"
            ))),
        }
    }

    /// An option that is a map of text to blobs.
    ///
    /// # Errors
    /// [`QueryError::Config`] for anything else.
    pub fn blobs(
        &mut self,
        name: &'static str,
    ) -> Result<Option<BTreeMap<String, Vec<u8>>>, QueryError> {
        let entries = match self.take(name) {
            None => return Ok(None),
            Some(OptionValue::Map(entries)) => entries,
            Some(OptionValue::Literal(_)) => {
                return Err(QueryError::Syntax(format!(
                    "option {name} takes a map of text to blobs"
                )));
            }
        };
        let entries = entries.iter().map(|(key, value)| match value {
            Literal::Blob(bytes) => Ok((plain(name, key)?, bytes.clone())),
            _ => Err(QueryError::Config(format!(
                "the values of option {name} are blobs, such as 0xcafe"
            ))),
        });
        entries.collect::<Result<_, _>>().map(Some)
    }

    /// Refuses what was not taken.
    ///
    /// # Errors
    /// [`QueryError::Syntax`] that names the option and the one that was perhaps meant.
    pub fn finish(self) -> Result<(), QueryError> {
        match self.options.first() {
            None => Ok(()),
            Some((name, _)) => Err(QueryError::Syntax(format!(
                "unknown option {name}{}",
                nearest(name.as_str(), self.known.iter().copied())
            )))
            .at(name.span),
        }
    }
}

/// An option whose value has another form than it takes is no CQL to Cassandra; a value that is wrong otherwise, or one
/// inside a map, is a wrong configuration.
fn as_syntax(error: QueryError) -> QueryError {
    match error {
        QueryError::Config(message) => QueryError::Syntax(message),
        other => other,
    }
}

/// The text of a map's constants.
///
/// # Errors
/// [`QueryError::Config`] for null, [`QueryError::Syntax`] for keys given twice.
pub fn text_map(
    name: &str,
    entries: &[(Literal, Literal)],
) -> Result<BTreeMap<String, String>, QueryError> {
    let mut map = BTreeMap::new();
    for (key, value) in entries {
        let key = plain(name, key)?;
        let value = plain(name, value)?;
        if map.insert(key.clone(), value).is_some() {
            return Err(QueryError::Syntax(format!(
                "{name}: '{key}' is given twice, leave one out"
            )));
        }
    }
    Ok(map)
}

/// true and false as Cassandra takes them.
///
/// # Errors
/// [`QueryError::Config`] for anything else.
pub fn boolean(name: &str, text: &str) -> Result<bool, QueryError> {
    match text.to_lowercase().as_str() {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => Err(QueryError::Config(format!("{name} is true or false, not '{text}'"))),
    }
}

/// A number from `low` to `high`.
///
/// # Errors
/// [`QueryError::Config`] for what is no number, and out of range.
pub fn number<T>(name: &str, text: &str, low: T, high: T) -> Result<T, QueryError>
where
    T: FromStr + PartialOrd + std::fmt::Display,
{
    match text.trim().parse::<T>() {
        Ok(number) if low <= number && number <= high => Ok(number),
        Ok(number) => {
            Err(QueryError::Config(format!("{name} must be {low} to {high}, and is {number}")))
        }
        Err(_) => Err(QueryError::Config(format!(
            "{name} takes a number from {low} to {high}, not '{text}'"
        ))),
    }
}

/// A constant without quotes.
fn plain(name: &str, literal: &Literal) -> Result<String, QueryError> {
    match literal {
        Literal::Text(text) | Literal::Integer(text) | Literal::Float(text) => Ok(text.clone()),
        Literal::Boolean(value) => Ok(value.to_string()),
        Literal::Uuid(uuid) => Ok(uuid.to_string()),
        Literal::Blob(bytes) => {
            Ok(bytes.iter().fold("0x".to_owned(), |text, byte| format!("{text}{byte:02x}")))
        }
        Literal::Null | Literal::Duration(_) => {
            Err(QueryError::Config(format!("{name} takes text, numbers, true or false")))
        }
    }
}

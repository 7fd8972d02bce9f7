//! From a parse that failed to the error that tells why: place, what was found there, what was expected, and advice.

use crate::error::{Class, ParseError};
use crate::hint::hint;
use crate::input::{Input, Refusal, Trace};
use crate::lexer::{Flaw, Kind, Token};

impl ParseError {
    /// The error of a failed parse of `source`.
    pub(crate) fn of(source: &str, trace: &Trace) -> ParseError {
        if let Some(refusal) = trace.take_refusal() {
            return ParseError::refused(source, refusal);
        }
        let (offset, expected) = trace.furthest();
        let probe = Trace::default();
        let token = Input::new(source, offset, &probe);
        if let Kind::Bad(flaw) = token.kind() {
            return ParseError::flawed(source, token.token, flaw);
        }
        let hint = hint(&token, &expected);
        let mut error = ParseError::at(source, token.token);
        error.found = found(&token);
        error.expected = expected;
        error.hint = hint;
        error
    }

    /// The error of a text that is too long.
    pub(crate) fn too_long(source: &str, limit: usize) -> ParseError {
        let mut error = ParseError::at(source, Token { kind: Kind::End, start: 0, end: 0 });
        error.message = Some(format!("statement of {} bytes is longer than {limit}", source.len()));
        error.hint = Some("split it, or bind large values instead of writing them".to_string());
        error
    }

    fn refused(source: &str, refusal: Refusal) -> ParseError {
        let token = Token { kind: Kind::End, start: refusal.start, end: refusal.end };
        let mut error = ParseError::at(source, token);
        error.message = Some(refusal.message);
        error.hint = refusal.hint;
        error.class = refusal.class;
        error
    }

    fn flawed(source: &str, token: Token, flaw: Flaw) -> ParseError {
        let text = text_of(source, token);
        let mut error = ParseError::at(source, token);
        let (message, hint) = match flaw {
            Flaw::OpenText => (
                "this text has no closing '".to_string(),
                Some("a ' inside text is written twice: ''"),
            ),
            Flaw::OpenDollarText => ("this text has no closing $$".to_string(), None),
            Flaw::OpenName => ("this name has no closing \"".to_string(), None),
            Flaw::OpenComment => ("this comment has no closing */".to_string(), None),
            Flaw::Number => {
                let hint =
                    "a name that begins with a digit goes in double quotes, text in single quotes";
                (format!("{} is no number, duration or UUID", shortened(text)), Some(hint))
            }
            Flaw::Character => {
                (format!("{} has no meaning here", shortened(text)), character_hint(text))
            }
        };
        error.message = Some(message);
        error.hint = hint.map(str::to_string);
        error
    }

    fn at(source: &str, token: Token) -> ParseError {
        let offset = (token.start as usize).min(source.len());
        let before = source.get(..offset).unwrap_or_default();
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        ParseError {
            offset,
            length: token.end.saturating_sub(token.start),
            line: before.bytes().filter(|&byte| byte == b'\n').count() as u32 + 1,
            column: before[line_start..].chars().count() as u32 + 1,
            expected: Vec::new(),
            found: String::new(),
            message: None,
            hint: None,
            class: Class::Syntax,
        }
    }
}

fn character_hint(text: &str) -> Option<&'static str> {
    match text.chars().next()? {
        '\u{2018}' | '\u{2019}' | '\u{201c}' | '\u{201d}' | '`' | '\u{b4}' => {
            Some("quotes must be straight: 'text', \"name\"")
        }
        '\u{2013}' | '\u{2014}' | '\u{2212}' => Some("a minus is -"),
        '\u{a0}' | '\u{200b}' | '\u{2009}' | '\u{3000}' => {
            Some("it is a blank of another kind: use a plain space")
        }
        '!' => Some("not equal is written !="),
        '#' => Some("comments begin with -- or //, or stand between /* and */"),
        character if character.is_alphabetic() => {
            Some("a name with such letters goes in double quotes")
        }
        _ => None,
    }
}

fn text_of(source: &str, token: Token) -> &str {
    source.get(token.start as usize..token.end as usize).unwrap_or_default()
}

/// What stands at a token, in quotes.
fn found(input: &Input<'_>) -> String {
    if input.kind() == Kind::End { "the end".to_string() } else { shortened(input.text()) }
}

/// Text in quotes, on one line, and not too long.
fn shortened(text: &str) -> String {
    const MAX_CHARACTERS: usize = 40;
    let line = text.lines().next().unwrap_or_default();
    let head: String = line.chars().take(MAX_CHARACTERS).collect();
    let escaped = if head.chars().all(|c| !c.is_control()) {
        head.clone()
    } else {
        head.escape_debug().to_string()
    };
    if head.len() < text.len() { format!("'{escaped}...'") } else { format!("'{escaped}'") }
}

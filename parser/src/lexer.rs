//! Text to tokens, one at a time and on demand.
//!
//! A token is a kind and a byte range; nothing is copied and nothing allocated. Keywords are not told from identifiers
//! here: whether `list` is a keyword depends on where it stands. A number never includes its sign, since `a -1` is a
//! subtraction. What can't be a token becomes one of kind [`Kind::Bad`], so errors need no second channel.
//!
//! Invariant: every call consumes at least one byte or returns [`Kind::End`], and no byte is looked at more than a
//! constant number of times, so lexing is linear.

use nom::bytes::complete::{tag, take_until, take_while, take_while1};
use nom::character::complete::one_of;
use nom::combinator::{opt, recognize};
use nom::{IResult, Parser};

/// A token: its kind, and its bytes in the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    /// What it is.
    pub(crate) kind: Kind,
    /// Offset of its first byte.
    pub(crate) start: u32,
    /// Offset behind its last byte.
    pub(crate) end: u32,
}

/// Kinds of token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A keyword or bare identifier.
    Word,
    /// `"name"`
    QuotedName,
    /// `'text'`
    Text,
    /// `$$text$$`
    DollarText,
    /// Digits.
    Integer,
    /// `1.5`, `1.`, `1e10`
    Float,
    /// `1h30m`
    Duration,
    /// `P0001-02-03T04:05:06`
    DatedDuration,
    /// 8-4-4-4-12 hexadecimal digits.
    Uuid,
    /// `0x` and hexadecimal digits.
    Blob,
    /// One of [`SYMBOLS`], by its text.
    Symbol(&'static str),
    /// The end of the source.
    End,
    /// No token of CQL.
    Bad(Flaw),
}

/// Why something is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// `'text` without its end.
    OpenText,
    /// `$$text` without its end.
    OpenDollarText,
    /// `"name` without its end.
    OpenName,
    /// `/* comment` without its end.
    OpenComment,
    /// `12abc`
    Number,
    /// A character that begins no token.
    Character,
}

/// Punctuation; of two that begin alike the longer stands first.
const SYMBOLS: [&str; 25] = [
    "<=", ">=", "!=", "+=", "-=", "..", "(", ")", "[", "]", "{", "}", "<", ">", "=", "+", "-", "*",
    "/", "%", ",", ";", ":", ".", "?",
];

/// The token at or behind `offset`, which must be on a character boundary; blanks and comments before it are skipped.
pub(crate) fn token_at(source: &str, offset: u32) -> Token {
    let text = source.get(offset as usize..).unwrap_or_default();
    let (from, comment_closed) = skip_blanks(text);
    let start = offset + (text.len() - from.len()) as u32;
    if !comment_closed {
        return Token { kind: Kind::Bad(Flaw::OpenComment), start, end: source.len() as u32 };
    }
    let (kind, length) = scan(from);
    Token { kind, start, end: start + length as u32 }
}

/// Skips blanks and comments. False: there is a comment without an end, and the text returned begins with it.
fn skip_blanks(mut text: &str) -> (&str, bool) {
    loop {
        // A byte order mark is what some editors put at the start of a file.
        text = text.trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\u{feff}');
        if text.starts_with("--") || text.starts_with("//") {
            text = text.find('\n').map_or("", |end| &text[end..]);
        } else if let Some(comment) = text.strip_prefix("/*") {
            match comment.split_once("*/") {
                Some((_, behind)) => text = behind,
                None => return (text, false),
            }
        } else {
            return (text, true);
        }
    }
}

/// The kind and length of the token at the start of `text`.
fn scan(text: &str) -> (Kind, usize) {
    let Some(&first) = text.as_bytes().first() else { return (Kind::End, 0) };
    match first {
        b'\'' => closed(text, quoted(text, "'"), Kind::Text, Flaw::OpenText),
        b'"' => closed(text, quoted(text, "\""), Kind::QuotedName, Flaw::OpenName),
        b'$' if text.starts_with("$$") => {
            closed(text, dollars(text), Kind::DollarText, Flaw::OpenDollarText)
        }
        b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F' if is_uuid(text) => (Kind::Uuid, UUID_LENGTH),
        b'0'..=b'9' => number(text),
        b'P' if is_dated_duration(text) => (Kind::DatedDuration, DATED_DURATION_LENGTH),
        b'a'..=b'z' | b'A'..=b'Z' => (Kind::Word, word_length(text)),
        _ => match SYMBOLS.into_iter().find(|symbol| text.starts_with(symbol)) {
            Some(symbol) => (Kind::Symbol(symbol), symbol.len()),
            None => (Kind::Bad(Flaw::Character), text.chars().next().map_or(1, char::len_utf8)),
        },
    }
}

/// A token with an end of its own; without one it is the whole rest.
fn closed(text: &str, scanned: IResult<&str, &str>, kind: Kind, flaw: Flaw) -> (Kind, usize) {
    match scanned {
        Ok((_, token)) => (kind, token.len()),
        Err(_) => (Kind::Bad(flaw), text.len()),
    }
}

/// Text between two marks, in which the mark stands doubled.
fn quoted<'a>(text: &'a str, mark: &'static str) -> IResult<&'a str, &'a str> {
    let (mut behind, _) = (tag(mark), take_until(mark), tag(mark)).parse(text)?;
    while behind.starts_with(mark) {
        (behind, _) = (tag(mark), take_until(mark), tag(mark)).parse(behind)?;
    }
    Ok((behind, &text[..text.len() - behind.len()]))
}

fn dollars(text: &str) -> IResult<&str, &str> {
    recognize((tag("$$"), take_until("$$"), tag("$$"))).parse(text)
}

fn is_word_byte(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

fn word_length(text: &str) -> usize {
    text.find(|c| !is_word_byte(c)).unwrap_or(text.len())
}

const UUID_LENGTH: usize = 36;

/// Whether the text begins with a UUID, and not with a longer word that begins like one.
fn is_uuid(text: &str) -> bool {
    shaped(text, UUID_LENGTH, |i, byte| match i {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}

const DATED_DURATION_LENGTH: usize = "P0001-02-03T04:05:06".len();

/// Whether the text begins with a duration in ISO 8601's alternative form.
fn is_dated_duration(text: &str) -> bool {
    shaped(text, DATED_DURATION_LENGTH, |i, byte| match i {
        0 => byte == b'P',
        5 | 8 => byte == b'-',
        11 => byte == b'T',
        14 | 17 => byte == b':',
        _ => byte.is_ascii_digit(),
    })
}

/// Whether the first `length` bytes are as `fits` says, and no byte of a word comes behind them.
fn shaped(text: &str, length: usize, fits: impl Fn(usize, u8) -> bool) -> bool {
    let bytes = text.as_bytes();
    let head = bytes
        .get(..length)
        .is_some_and(|head| head.iter().enumerate().all(|(i, &byte)| fits(i, byte)));
    head && !bytes.get(length).is_some_and(|&byte| is_word_byte(char::from(byte)))
}

/// A number, duration or blob: what begins with a digit.
fn number(text: &str) -> (Kind, usize) {
    let (kind, length) = match blob(text).or_else(|_| numeral(text)) {
        Ok((_, (kind, token))) => (kind, token.len()),
        Err(_) => (Kind::Bad(Flaw::Number), 1),
    };
    let tail = run_length(&text[length..]);
    match (tail, kind) {
        (0, _) => (kind, length),
        (_, Kind::Integer) if is_duration(&text[..length + tail]) => {
            (Kind::Duration, length + tail)
        }
        _ => (Kind::Bad(Flaw::Number), length + tail),
    }
}

fn blob(text: &str) -> IResult<&str, (Kind, &str)> {
    let digits = take_while(|c: char| c.is_ascii_hexdigit());
    let (behind, token) = recognize((tag("0"), one_of("xX"), digits)).parse(text)?;
    Ok((behind, (Kind::Blob, token)))
}

/// Digits, with a fraction or an exponent when they are a float. `1..2` is a slice of
/// two integers, and `1...2` one that begins with the float `1.`.
fn numeral(text: &str) -> IResult<&str, (Kind, &str)> {
    let (behind, _) = digits(text)?;
    let is_slice = behind.starts_with("..") && !behind.starts_with("...");
    let (behind, fraction) =
        if is_slice { (behind, None) } else { opt((tag("."), digits0)).parse(behind)? };
    let (behind, exponent) = opt(exponent).parse(behind)?;
    let kind = if fraction.is_some() || exponent.is_some() { Kind::Float } else { Kind::Integer };
    Ok((behind, (kind, &text[..text.len() - behind.len()])))
}

fn digits(text: &str) -> IResult<&str, &str> {
    take_while1(|c: char| c.is_ascii_digit()).parse(text)
}

fn digits0(text: &str) -> IResult<&str, &str> {
    take_while(|c: char| c.is_ascii_digit()).parse(text)
}

fn exponent(text: &str) -> IResult<&str, &str> {
    recognize((one_of("eE"), opt(one_of("+-")), digits)).parse(text)
}

/// Bytes that stick to a number: letters, digits, and the sign of micro.
fn run_length(text: &str) -> usize {
    text.find(|c| !is_word_byte(c) && c != '\u{b5}').unwrap_or(text.len())
}

/// Whether the text is counts and units, such as `1h30m`.
fn is_duration(text: &str) -> bool {
    const UNITS: [&str; 11] = ["y", "mo", "w", "d", "h", "m", "s", "ms", "us", "\u{b5}s", "ns"];
    let mut rest = text;
    while !rest.is_empty() {
        let unit = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let behind = unit.trim_start_matches(|c: char| !c.is_ascii_digit());
        let name = &unit[..unit.len() - behind.len()];
        if unit.len() == rest.len() || !UNITS.iter().any(|known| name.to_lowercase() == *known) {
            return false;
        }
        rest = behind;
    }
    true
}

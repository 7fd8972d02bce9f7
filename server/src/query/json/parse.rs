//! JSON text to a tree (RFC 8259).
//!
//! Numbers stay text, so that a decimal keeps its digits. Of two members with one name both stay, in order: the later
//! one wins. Nothing is allocated beyond the text's own size.

use thiserror::Error;

/// How deep arrays and objects may be nested.
const MAX_DEPTH: usize = 64;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Json {
    Null,
    Boolean(bool),
    /// As it was written.
    Number(String),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

/// Text that is no JSON.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("expected {expected} at character {at}")]
pub(super) struct JsonError {
    /// What should stand there.
    pub(super) expected: &'static str,
    /// Where, counted from 1.
    pub(super) at: usize,
}

impl Json {
    /// What it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Json::Null => "null",
            Json::Boolean(_) => "a boolean",
            Json::Number(_) => "a number",
            Json::Text(_) => "a string",
            Json::Array(_) => "an array",
            Json::Object(_) => "an object",
        }
    }
}

/// Reads one value, which is all of the text.
pub(super) fn parse(text: &str) -> Result<Json, JsonError> {
    let mut parser = Parser { text, rest: text };
    let json = parser.value(0)?;
    parser.blanks();
    if parser.rest.is_empty() { Ok(json) } else { Err(parser.expected("nothing more")) }
}

struct Parser<'t> {
    text: &'t str,
    rest: &'t str,
}

impl<'t> Parser<'t> {
    fn expected(&self, expected: &'static str) -> JsonError {
        let before = self.text.len() - self.rest.len();
        let at = self.text.get(..before).unwrap_or_default().chars().count() + 1;
        JsonError { expected, at }
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    /// Takes a sign, if it comes next.
    fn sign(&mut self, sign: char) -> bool {
        self.blanks();
        let after = self.rest.strip_prefix(sign);
        self.rest = after.unwrap_or(self.rest);
        after.is_some()
    }

    fn value(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.blanks();
        if depth > MAX_DEPTH {
            return Err(self.expected("no more than 64 arrays and objects inside each other"));
        }
        for (word, json) in
            [("null", Json::Null), ("true", Json::Boolean(true)), ("false", Json::Boolean(false))]
        {
            if let Some(after) = self.rest.strip_prefix(word) {
                self.rest = after;
                return Ok(json);
            }
        }
        match self.rest.chars().next() {
            Some('"') => Ok(Json::Text(self.string()?)),
            Some('[') => self.array(depth),
            Some('{') => self.object(depth),
            Some('-' | '0'..='9') => self.number(),
            _ => Err(self.expected("a value")),
        }
    }

    fn array(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.sign('[');
        let mut items = Vec::new();
        if self.sign(']') {
            return Ok(Json::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.sign(']') {
                return Ok(Json::Array(items));
            }
            if !self.sign(',') {
                return Err(self.expected("',' or ']'"));
            }
        }
    }

    fn object(&mut self, depth: usize) -> Result<Json, JsonError> {
        self.sign('{');
        let mut members = Vec::new();
        if self.sign('}') {
            return Ok(Json::Object(members));
        }
        loop {
            self.blanks();
            if !self.rest.starts_with('"') {
                return Err(self.expected("a name in double quotes"));
            }
            let name = self.string()?;
            if !self.sign(':') {
                return Err(self.expected("':'"));
            }
            members.push((name, self.value(depth + 1)?));
            if self.sign('}') {
                return Ok(Json::Object(members));
            }
            if !self.sign(',') {
                return Err(self.expected("',' or '}'"));
            }
        }
    }

    fn number(&mut self) -> Result<Json, JsonError> {
        let start = self.rest;
        self.rest = self.rest.strip_prefix('-').unwrap_or(self.rest);
        let whole = self.digits()?;
        if whole.len() > 1 && whole.starts_with('0') {
            self.rest = start;
            return Err(self.expected("a number without needless zeros"));
        }
        if let Some(after) = self.rest.strip_prefix('.') {
            self.rest = after;
            self.digits()?;
        }
        if let Some(after) = self.rest.strip_prefix(['e', 'E']) {
            self.rest = after.strip_prefix(['+', '-']).unwrap_or(after);
            self.digits()?;
        }
        let length = start.len() - self.rest.len();
        Ok(Json::Number(start.get(..length).unwrap_or_default().to_owned()))
    }

    fn digits(&mut self) -> Result<&'t str, JsonError> {
        let end = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        if digits.is_empty() {
            return Err(self.expected("a digit"));
        }
        self.rest = rest;
        Ok(digits)
    }

    fn string(&mut self) -> Result<String, JsonError> {
        let mut string = String::new();
        self.rest = self.rest.strip_prefix('"').unwrap_or(self.rest);
        loop {
            let end = self.rest.find(|c: char| c == '"' || c == '\\' || c < ' ');
            let Some((plain, rest)) = end.and_then(|end| self.rest.split_at_checked(end)) else {
                self.rest = "";
                return Err(self.expected("'\"' at the string's end"));
            };
            string.push_str(plain);
            self.rest = rest;
            if let Some(after) = rest.strip_prefix('"') {
                self.rest = after;
                return Ok(string);
            }
            let Some(after) = rest.strip_prefix('\\') else {
                return Err(self.expected("an escape, such as \\n, for a control character"));
            };
            self.rest = after;
            string.push(self.escape()?);
        }
    }

    fn escape(&mut self) -> Result<char, JsonError> {
        let wrong = self.expected("one of \" \\ / b f n r t u after '\\'");
        let mut rest = self.rest.chars();
        let escaped = match rest.next() {
            Some(c @ ('"' | '\\' | '/')) => c,
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => {
                self.rest = rest.as_str();
                return self.unicode();
            }
            _ => return Err(wrong),
        };
        self.rest = rest.as_str();
        Ok(escaped)
    }

    /// `\uXXXX`, of which characters beyond 16 bits take two.
    fn unicode(&mut self) -> Result<char, JsonError> {
        let wrong = self.expected("the code of a character, in pairs beyond \\uFFFF");
        let mut code = self.code().ok_or_else(|| wrong.clone())?;
        if (0xd800..0xdc00).contains(&code) {
            let low = self.rest.strip_prefix("\\u").and_then(|after| {
                self.rest = after;
                self.code().filter(|low| (0xdc00..0xe000).contains(low))
            });
            let low = low.ok_or_else(|| wrong.clone())?;
            code = 0x1_0000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        }
        char::from_u32(code).ok_or(wrong)
    }

    fn code(&mut self) -> Option<u32> {
        let (digits, rest) = self.rest.split_at_checked(4)?;
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        self.rest = rest;
        u32::from_str_radix(digits, 16).ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(json: &str) -> Result<String, JsonError> {
        match parse(json)? {
            Json::Text(text) => Ok(text),
            other => panic!("{json} is {}", other.kind()),
        }
    }

    #[test]
    fn values_are_read_as_they_are() {
        let json = " { \"a\" : [ 1 , -2.50e+3 , true , null ] , \"b\" : { } , \"c\":[] } ";
        let items = ["1", "-2.50e+3"].map(|number| Json::Number(number.to_string()));
        let array = items.into_iter().chain([Json::Boolean(true), Json::Null]).collect();
        let expected = vec![
            ("a".to_string(), Json::Array(array)),
            ("b".to_string(), Json::Object(Vec::new())),
            ("c".to_string(), Json::Array(Vec::new())),
        ];
        assert_eq!(parse(json), Ok(Json::Object(expected)));
        assert_eq!(text(r#""\"\\\/\b\f\n\r\t""#).unwrap(), "\"\\/\u{8}\u{c}\n\r\t");
        assert_eq!(text(r#""\u00e9 \ud83d\ude00 é😀""#).unwrap(), "é 😀 é😀");
    }

    #[test]
    fn what_is_no_json_is_refused_where_it_goes_wrong() {
        let cases = [
            ("", 1, "a value"),
            ("{a: 1}", 2, "a name in double quotes"),
            ("{\"é\" 1}", 6, "':'"),
            ("[1 2]", 4, "',' or ']'"),
            ("[1,]", 4, "a value"),
            ("{\"a\": 1} x", 10, "nothing more"),
            ("01", 1, "a number without needless zeros"),
            ("1.", 3, "a digit"),
            ("-", 2, "a digit"),
            ("\"a", 3, "'\"' at the string's end"),
        ];
        for (json, at, expected) in cases {
            assert_eq!(parse(json), Err(JsonError { expected, at }), "{json}");
        }
        for json in [r#""\ud83d""#, r#""\ude00""#, r#""\ud83d\u0041""#, r#""\u12""#, r#""\u+123""#]
        {
            assert!(parse(json).is_err(), "{json}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
    }

    proptest! {
        #[test]
        fn serde_agrees(json in "[\\[\\]{}:,\"\\\\ab01.eE+ -]{0,12}|\\[[0-9.eE+-]{1,6}\\]|\"[a\\\\u0-9d/]{0,8}\"") {
            // serde refuses numbers that a double can't hold; here any number is one.
            match serde_json::from_str::<serde_json::Value>(&json) {
                Ok(_) => prop_assert!(parse(&json).is_ok()),
                Err(error) => prop_assert!(
                    parse(&json).is_err() || error.to_string().contains("out of range")
                ),
            }
        }
    }
}

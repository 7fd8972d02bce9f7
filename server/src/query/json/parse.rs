//! JSON text to a tree (RFC 8259).
//!
//! Numbers stay text, so that a decimal keeps its digits. Of two members with one name the later one wins.

use serde_json::Value;

/// A JSON value.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::query) enum Json {
    Null,
    Boolean(bool),
    /// As it was written.
    Number(String),
    Text(String),
    Array(Vec<Json>),
    Object(Vec<(String, Json)>),
}

impl Json {
    /// What it is, for messages.
    pub(in crate::query) fn kind(&self) -> &'static str {
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

impl From<Value> for Json {
    fn from(value: Value) -> Json {
        match value {
            Value::Null => Json::Null,
            Value::Bool(boolean) => Json::Boolean(boolean),
            Value::Number(number) => Json::Number(number.to_string()),
            Value::String(text) => Json::Text(text),
            Value::Array(items) => Json::Array(items.into_iter().map(Json::from).collect()),
            Value::Object(members) => {
                Json::Object(members.into_iter().map(|(name, of)| (name, Json::from(of))).collect())
            }
        }
    }
}

/// Reads one value, which is all of the text.
pub(in crate::query) fn parse(text: &str) -> Result<Json, serde_json::Error> {
    serde_json::from_str::<Value>(text).map(Json::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_their_digits() {
        let long = "-123456789012345678901234567890.12345678901234567890e+30";
        for number in ["1", "-2.50", "-2.50e+3", "0.10", "1e+400", long] {
            assert_eq!(parse(number).unwrap(), Json::Number(number.to_string()));
        }
    }

    #[test]
    fn the_later_of_two_members_wins_and_depth_is_bounded() {
        let object = parse("{\"a\": 1, \"a\": null}").unwrap();
        assert_eq!(object, Json::Object(vec![("a".to_string(), Json::Null)]));
        assert!(parse(&"[".repeat(100_000)).is_err());
        assert!(parse("[1] 2").is_err());
    }
}

//! What cqlsh does to text before it writes it as CSV: a backslash becomes two, and control characters become `\n`,
//! `\x1b` and the like, as Python writes them. It does not undo that when it reads; here it is undone.

use std::fmt::Write;

use tholos_grammar::value::Value;

/// The value with each text in it escaped.
pub(super) fn escaped(value: Value) -> Value {
    map_text(value, &escape)
}

/// The value with the escapes of each text in it undone.
pub(super) fn unescaped(value: Value) -> Value {
    map_text(value, &unescape)
}

fn map_text(value: Value, change: &impl Fn(String) -> String) -> Value {
    let each = |values: Vec<Value>| values.into_iter().map(|it| map_text(it, change)).collect();
    match value {
        Value::Text(text) => Value::Text(change(text)),
        Value::List(values) => Value::List(each(values)),
        Value::Set(values) => Value::Set(each(values)),
        Value::Vector(values) => Value::Vector(each(values)),
        Value::Map(entries) => Value::Map(
            entries.into_iter().map(|(k, v)| (map_text(k, change), map_text(v, change))).collect(),
        ),
        Value::Tuple(fields) => Value::Tuple(
            fields.into_iter().map(|field| field.map(|it| map_text(it, change))).collect(),
        ),
        Value::Udt(fields) => Value::Udt(
            fields
                .into_iter()
                .map(|(name, field)| (name, field.map(|it| map_text(it, change))))
                .collect(),
        ),
        other => other,
    }
}

fn escape(text: String) -> String {
    let is_plain = |c: char| c != '\\' && !c.is_control();
    if text.chars().all(is_plain) {
        return text;
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        // A String takes whatever is written to it.
        let _ = match c {
            '\\' => write!(out, "\\\\"),
            '\n' => write!(out, "\\n"),
            '\r' => write!(out, "\\r"),
            '\t' => write!(out, "\\t"),
            c if c.is_control() => write!(out, "\\x{:02x}", u32::from(c)),
            c => write!(out, "{c}"),
        };
    }
    out
}

/// What is no escape stays as it is.
fn unescape(text: String) -> String {
    if !text.contains('\\') {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some((before, behind)) = rest.split_once('\\') {
        out.push_str(before);
        let (c, length) = match behind.as_bytes().first() {
            Some(b'\\') => ('\\', 1),
            Some(b'n') => ('\n', 1),
            Some(b'r') => ('\r', 1),
            Some(b't') => ('\t', 1),
            Some(b'x') => match hexadecimal(behind.get(1..3)) {
                Some(c) => (c, 3),
                None => ('\\', 0),
            },
            _ => ('\\', 0),
        };
        out.push(c);
        rest = behind.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

fn hexadecimal(digits: Option<&str>) -> Option<char> {
    u8::from_str_radix(digits?, 16).ok().map(char::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_those_of_cqlsh() {
        for (text, written) in [
            ("two\nlines\ttab", "two\\nlines\\ttab"),
            ("back\\slash \\n", "back\\\\slash \\\\n"),
            ("\u{1b}[1m\r", "\\x1b[1m\\r"),
            ("plain", "plain"),
        ] {
            let value = Value::List(vec![Value::Tuple(vec![Some(Value::Text(text.to_string()))])]);
            let other =
                Value::List(vec![Value::Tuple(vec![Some(Value::Text(written.to_string()))])]);
            assert_eq!(escaped(value.clone()), other);
            assert_eq!(unescaped(other), value);
        }
        assert_eq!(unescape("C:\\dir \\xq \\".to_string()), "C:\\dir \\xq \\");
    }
}

//! Records, written one by one.

use super::Dialect;

/// Appends a record and its line end. `None` is written as `null` is, text that reads like it in quotes.
pub(crate) fn write_record<T: AsRef<str>>(
    fields: impl IntoIterator<Item = Option<T>>,
    dialect: Dialect,
    null: &str,
    out: &mut Vec<u8>,
) {
    for (index, field) in fields.into_iter().enumerate() {
        if index > 0 {
            out.push(dialect.delimiter);
        }
        match field {
            None => out.extend_from_slice(null.as_bytes()),
            Some(text) => write_field(text.as_ref(), dialect, null, out),
        }
    }
    out.push(b'\n');
}

fn write_field(text: &str, dialect: Dialect, null: &str, out: &mut Vec<u8>) {
    let Dialect { delimiter, quote, escape } = dialect;
    let is_special = |byte: u8| byte == delimiter || byte == quote || matches!(byte, b'\r' | b'\n');
    let in_quotes = text.is_empty() || text == null || text.bytes().any(is_special);
    if in_quotes {
        out.push(quote);
    }
    for byte in text.bytes() {
        if byte == quote || escape == Some(byte) {
            out.push(escape.unwrap_or(quote));
        }
        out.push(byte);
    }
    if in_quotes {
        out.push(quote);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Reader;
    use super::*;

    fn written(fields: &[Option<&str>], dialect: Dialect, null: &str) -> String {
        let mut out = Vec::new();
        write_record(fields.iter().copied(), dialect, null, &mut out);
        String::from_utf8(out).expect("UTF-8")
    }

    #[test]
    fn an_empty_text_is_told_from_nothing() {
        let rfc = Dialect::default();
        let fields = [Some("a,\"b\""), Some(""), None, Some("NULL"), Some("\\")];
        assert_eq!(written(&fields, rfc, ""), "\"a,\"\"b\"\"\",\"\",,NULL,\\\n");
        assert_eq!(written(&fields, rfc, "NULL"), "\"a,\"\"b\"\"\",\"\",NULL,\"NULL\",\\\n");
        let escaping = Dialect { escape: Some(b'\\'), ..rfc };
        assert_eq!(written(&fields, escaping, ""), "\"a,\\\"b\\\"\",\"\",,NULL,\\\\\n");
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_back(
            fields in proptest::collection::vec("[a,\"\\\\\r\n;é]{0,6}", 1..4),
            has_escape in proptest::bool::ANY,
        ) {
            let escape = has_escape.then_some(b'\\');
            let dialect = Dialect { escape, ..Dialect::default() };
            let mut out = Vec::new();
            write_record(fields.iter().map(Some), dialect, "NULL", &mut out);
            let mut reader = Reader::new(Box::new(std::io::Cursor::new(out)), dialect);
            let record = reader.read().expect("no I/O error").expect("a record");
            assert_eq!(record.flaw, None);
            let read: Vec<_> =
                record.fields.into_iter().map(|field| String::from_utf8(field.text)).collect();
            assert_eq!(read, fields.into_iter().map(Ok).collect::<Vec<_>>());
            assert_eq!(reader.read().expect("no I/O error"), None);
        }
    }
}

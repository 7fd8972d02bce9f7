//! A type as it travels, then a value of it: what can be read can be written, and is the same value then.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tholos_grammar::protocol::option::decode_type;
use tholos_grammar::value::Value;
use tholos_grammar::value::codec::validate;

fuzz_target!(|data: &[u8]| {
    let mut bytes = data;
    let Ok(cql_type) = decode_type(&mut bytes) else { return };
    let value = Value::decode(&cql_type, bytes);
    assert_eq!(validate(&cql_type, bytes).is_ok(), value.is_ok(), "{cql_type}: {value:?}");
    let Ok(value) = value else { return };
    let mut written = Vec::new();
    value.encode(&cql_type, &mut written).expect("a value that was read can be written");
    let again = Value::decode(&cql_type, &written).expect("a value that was written can be read");
    let mut rewritten = Vec::new();
    again.encode(&cql_type, &mut rewritten).expect("a value that was read can be written");
    assert_eq!(written, rewritten, "{cql_type}: {value:?}");
});

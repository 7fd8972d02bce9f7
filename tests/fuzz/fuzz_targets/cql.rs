//! CQL: any text parses or gives an error inside it; what parses is printed and parses to the same tree.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tholos_parser::{parse_script, parse_statement};

fuzz_target!(|source: &str| {
    match parse_statement(source) {
        Ok(statement) => {
            let printed = statement.to_string();
            match parse_statement(&printed) {
                Ok(again) => assert_eq!(again, statement, "printed as {printed}"),
                Err(error) => panic!("{printed} does not parse: {error}"),
            }
        }
        Err(error) => drop(error.to_string()),
    }
    for part in parse_script(source) {
        if let Ok((span, _)) = part {
            assert!(source.get(span.start..span.end).is_some());
        }
    }
});

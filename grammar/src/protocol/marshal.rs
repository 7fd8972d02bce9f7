//! Class names of types, as custom types travel: `org.apache.cassandra.db.marshal.VectorType(... , 3)`.
//!
//! The grammar, with `P` for the package, which may be left out when reading:
//!
//! ```text
//! class  = P "ListType(" class ")" | P "SetType(" class ")" | P "MapType(" class "," class ")"
//!        | P "TupleType(" class {"," class} ")" | P "FrozenType(" class ")" | P "ReversedType(" class ")"
//!        | P "VectorType(" class " , " dimensions ")"
//!        | P "UserType(" keyspace "," hex(name) {"," hex(field) ":" class} ")"
//!        | P native
//! ```
//!
//! A class that is none of these reads as `blob` ([`parse_class`]) or is refused ([`parse_known_class`]).
//!
//! `FrozenType` is written where the type says `frozen`, but not inside what is frozen already, nor inside a tuple: there
//! it goes without saying, and drivers look for the names without it.

use std::fmt::Write;
use std::sync::Arc;

use super::error::NotationError;
use crate::name::Name;
use crate::types::{CqlType, Native, UserType};

/// The deepest nesting of types that is read, as class names or as \[option\]s.
pub(super) const MAX_NOTATION_DEPTH: usize = 64;

const PACKAGE: &str = "org.apache.cassandra.db.marshal.";

const fn native_class(native: Native) -> &'static str {
    match native {
        Native::Ascii => "AsciiType",
        Native::Bigint => "LongType",
        Native::Blob => "BytesType",
        Native::Boolean => "BooleanType",
        Native::Counter => "CounterColumnType",
        Native::Date => "SimpleDateType",
        Native::Decimal => "DecimalType",
        Native::Double => "DoubleType",
        Native::Duration => "DurationType",
        Native::Float => "FloatType",
        Native::Inet => "InetAddressType",
        Native::Int => "Int32Type",
        Native::Smallint => "ShortType",
        Native::Text => "UTF8Type",
        Native::Time => "TimeType",
        Native::Timestamp => "TimestampType",
        Native::Timeuuid => "TimeUUIDType",
        Native::Tinyint => "ByteType",
        Native::Uuid => "UUIDType",
        Native::Varint => "IntegerType",
    }
}

/// The class name of a type.
pub fn class_name(cql_type: &CqlType) -> String {
    let mut text = String::new();
    print(cql_type, false, &mut text);
    text
}

/// Appends the class name of a type; `inside` something frozen `FrozenType` is left out.
fn print(cql_type: &CqlType, inside: bool, text: &mut String) {
    let is_frozen = matches!(
        cql_type,
        CqlType::List { frozen: true, .. }
            | CqlType::Set { frozen: true, .. }
            | CqlType::Map { frozen: true, .. }
            | CqlType::Udt { frozen: true, .. }
    );
    let frozen = is_frozen && !inside;
    let inside = inside || is_frozen || matches!(cql_type, CqlType::Tuple(_));
    if frozen {
        text.push_str(PACKAGE);
        text.push_str("FrozenType(");
    }
    text.push_str(PACKAGE);
    match cql_type {
        CqlType::Native(native) => text.push_str(native_class(*native)),
        CqlType::List { element, .. } => {
            print_parameters("ListType", [element.as_ref()], inside, text)
        }
        CqlType::Set { element, .. } => {
            print_parameters("SetType", [element.as_ref()], inside, text)
        }
        CqlType::Map { key, value, .. } => {
            print_parameters("MapType", [key.as_ref(), value.as_ref()], inside, text)
        }
        CqlType::Tuple(elements) => print_parameters("TupleType", elements, inside, text),
        CqlType::Udt { definition, .. } => print_user_type(definition, inside, text),
        CqlType::Vector { element, dimensions } => {
            text.push_str("VectorType(");
            print(element, inside, text);
            // Writing to a String can't fail.
            let _ = write!(text, " , {dimensions})");
        }
    }
    if frozen {
        text.push(')');
    }
}

fn print_parameters<'a>(
    class: &str,
    parameters: impl IntoIterator<Item = &'a CqlType>,
    inside: bool,
    text: &mut String,
) {
    text.push_str(class);
    for (i, parameter) in parameters.into_iter().enumerate() {
        text.push(if i == 0 { '(' } else { ',' });
        print(parameter, inside, text);
    }
    text.push(')');
}

fn print_user_type(definition: &UserType, inside: bool, text: &mut String) {
    text.push_str("UserType(");
    text.push_str(definition.keyspace.as_str());
    text.push(',');
    print_hex(&definition.name, text);
    for (name, field) in &definition.fields {
        text.push(',');
        print_hex(name, text);
        text.push(':');
        print(field, inside, text);
    }
    text.push(')');
}

fn print_hex(name: &Name, text: &mut String) {
    for byte in name.as_str().bytes() {
        let _ = write!(text, "{byte:02x}");
    }
}

/// Reads a class name. One that is none of CQL's types is `blob`.
pub fn parse_class(text: &str) -> Result<CqlType, NotationError> {
    parse(text, |_| Ok(Native::Blob.into()))
}

/// Reads a class name. One that is none of CQL's types is [`NotationError::UnknownName`].
pub fn parse_known_class(text: &str) -> Result<CqlType, NotationError> {
    parse(text, |name| {
        Err(NotationError::UnknownName { what: "class of a CQL type", name: name.to_owned() })
    })
}

/// Whether a class name is one of a column in descending order.
pub fn is_reversed(class: &str) -> bool {
    class.strip_prefix(PACKAGE).unwrap_or(class).starts_with("ReversedType(")
}

/// What a class that is not known is.
type Unknown = fn(&str) -> Result<CqlType, NotationError>;

/// Where in a class name a type stands.
#[derive(Clone, Copy)]
struct Place {
    depth: usize,
    /// Inside `FrozenType` or a tuple, where everything is frozen.
    inside: bool,
    unknown: Unknown,
}

impl Place {
    fn within(self) -> Place {
        Place { depth: self.depth + 1, ..self }
    }

    fn within_frozen(self) -> Place {
        Place { inside: true, ..self.within() }
    }
}

fn parse(text: &str, unknown: Unknown) -> Result<CqlType, NotationError> {
    let mut rest = text;
    let cql_type = class(&mut rest, Place { depth: 0, inside: false, unknown })?;
    if rest.trim().is_empty() { Ok(cql_type) } else { Err(MALFORMED) }
}

const MALFORMED: NotationError =
    NotationError::Forbidden("the class name of a custom type is malformed");

fn class(rest: &mut &str, place: Place) -> Result<CqlType, NotationError> {
    if place.depth >= MAX_NOTATION_DEPTH {
        return Err(NotationError::TooDeep { limit: MAX_NOTATION_DEPTH });
    }
    let full = word(rest);
    let frozen = place.inside;
    let boxed = |rest: &mut &str| class(rest, place.within()).map(Box::new);
    let parsed = match full.strip_prefix(PACKAGE).unwrap_or(full) {
        "ListType" => {
            in_parentheses(rest, |rest| Ok(CqlType::List { element: boxed(rest)?, frozen }))?
        }
        "SetType" => {
            in_parentheses(rest, |rest| Ok(CqlType::Set { element: boxed(rest)?, frozen }))?
        }
        "MapType" => in_parentheses(rest, |rest| {
            let key = boxed(rest)?;
            punctuation(rest, ',')?;
            Ok(CqlType::Map { key, value: boxed(rest)?, frozen })
        })?,
        "TupleType" => in_parentheses(rest, |rest| {
            let mut elements = vec![class(rest, place.within_frozen())?];
            while punctuation(rest, ',').is_ok() {
                elements.push(class(rest, place.within_frozen())?);
            }
            Ok(CqlType::Tuple(elements))
        })?,
        "FrozenType" => in_parentheses(rest, |rest| class(rest, place.within_frozen()))?,
        "ReversedType" => in_parentheses(rest, |rest| class(rest, place.within()))?,
        "VectorType" => in_parentheses(rest, |rest| {
            let element = boxed(rest)?;
            punctuation(rest, ',')?;
            let dimensions =
                word(rest).parse().ok().filter(|&dimensions| dimensions > 0).ok_or(MALFORMED)?;
            Ok(CqlType::Vector { element, dimensions })
        })?,
        "UserType" => in_parentheses(rest, |rest| user_type(rest, place))?,
        "" => return Err(MALFORMED),
        name => {
            let known = native_of(name).map(CqlType::Native);
            skip_parameters(rest)?;
            known.map_or_else(|| (place.unknown)(full), Ok)?
        }
    };
    Ok(parsed)
}

/// The type of a native class, older names among them.
fn native_of(class: &str) -> Option<Native> {
    match class {
        "DateType" => Some(Native::Timestamp),
        "LegacyTimeUUIDType" => Some(Native::Timeuuid),
        class => Native::ALL.into_iter().find(|&native| native_class(native) == class),
    }
}

fn user_type(rest: &mut &str, place: Place) -> Result<CqlType, NotationError> {
    let keyspace = Name::exact(word(rest));
    punctuation(rest, ',')?;
    let name = hex(word(rest))?;
    let mut fields = Vec::new();
    while punctuation(rest, ',').is_ok() {
        let field = hex(word(rest))?;
        punctuation(rest, ':')?;
        fields.push((field, class(rest, place.within())?));
    }
    let definition = Arc::new(UserType { keyspace, name, fields });
    Ok(CqlType::Udt { definition, frozen: place.inside })
}

/// Takes a word off the front: all up to punctuation, without spaces around it.
fn word<'a>(rest: &mut &'a str) -> &'a str {
    let end = rest.find(['(', ')', ',', ':']).unwrap_or(rest.len());
    let (word, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
    *rest = after;
    word.trim()
}

/// Takes a punctuation character off the front, with spaces before it.
fn punctuation(rest: &mut &str, expected: char) -> Result<(), NotationError> {
    *rest = rest.trim_start().strip_prefix(expected).ok_or(MALFORMED)?;
    Ok(())
}

fn in_parentheses<T>(
    rest: &mut &str,
    read: impl FnOnce(&mut &str) -> Result<T, NotationError>,
) -> Result<T, NotationError> {
    punctuation(rest, '(')?;
    let read = read(rest)?;
    punctuation(rest, ')')?;
    Ok(read)
}

/// Takes the parameters of an unknown class off the front, if it has any.
fn skip_parameters(rest: &mut &str) -> Result<(), NotationError> {
    if !rest.trim_start().starts_with('(') {
        return Ok(());
    }
    let mut depth = 0_usize;
    for (at, character) in rest.char_indices() {
        match character {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => continue,
        }
        if depth == 0 {
            *rest = rest.get(at + 1..).unwrap_or("");
            return Ok(());
        }
    }
    Err(MALFORMED)
}

fn hex(word: &str) -> Result<Name, NotationError> {
    let digits = word.as_bytes();
    let (pairs, odd) = digits.as_chunks::<2>();
    if !odd.is_empty() {
        return Err(MALFORMED);
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let bytes: Option<Vec<u8>> =
        pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?)).collect();
    let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(MALFORMED)?;
    Ok(Name::exact(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_s_class_name() {
        let vector = CqlType::Vector { element: Box::new(Native::Float.into()), dimensions: 3 };
        let name = "org.apache.cassandra.db.marshal.VectorType(org.apache.cassandra.db.marshal.FloatType , 3)";
        assert_eq!(class_name(&vector), name);
        assert_eq!(parse_class(name), Ok(vector.clone()));
        assert_eq!(parse_class("VectorType(FloatType, 3)"), Ok(vector));
    }

    #[test]
    fn a_user_type_s_class_name() {
        let fields = vec![(Name::exact("f"), Native::Int.into())];
        let definition = UserType { keyspace: Name::exact("ks"), name: Name::exact("t"), fields };
        let user_type = CqlType::Udt { definition: Arc::new(definition), frozen: true };
        assert_eq!(
            class_name(&user_type).replace(PACKAGE, ""),
            "FrozenType(UserType(ks,74,66:Int32Type))"
        );
        assert_eq!(parse_class(&class_name(&user_type)), Ok(user_type));
    }

    /// As Cassandra 5.0.9 announces them: `frozen` shows where it was written, and nowhere below.
    #[test]
    fn nested_types_in_vectors() {
        let boxed = |native: Native| Box::new(CqlType::from(native));
        let set = |frozen| CqlType::Set { element: boxed(Native::Float), frozen };
        let list = CqlType::List { element: boxed(Native::Int), frozen: true };
        let map =
            CqlType::Map { key: boxed(Native::Int), value: Box::new(list.clone()), frozen: false };
        let tuple = CqlType::Tuple(vec![Native::Int.into(), list.clone()]);
        let nested = CqlType::List { element: Box::new(list), frozen: true };
        for (element, name) in [
            (set(false), "SetType(FloatType)"),
            (set(true), "FrozenType(SetType(FloatType))"),
            (map, "MapType(Int32Type,FrozenType(ListType(Int32Type)))"),
            (tuple, "TupleType(Int32Type,ListType(Int32Type))"),
            (nested, "FrozenType(ListType(ListType(Int32Type)))"),
        ] {
            let vector = CqlType::Vector { element: Box::new(element), dimensions: 2 };
            let class = class_name(&vector).replace(PACKAGE, "");
            assert_eq!(class, format!("VectorType({name} , 2)"));
            assert_eq!(parse_class(&class), Ok(vector));
        }
    }

    #[test]
    fn classes_that_are_asked_for_must_be_known() {
        assert_eq!(parse_known_class("UTF8Type"), Ok(Native::Text.into()));
        assert_eq!(parse_known_class(&format!("{PACKAGE}DateType")), Ok(Native::Timestamp.into()));
        for class in ["FooType", "com.example.Int32Type", "CompositeType(Int32Type,UTF8Type)"] {
            let error = parse_known_class(&format!("ListType({class})")).unwrap_err();
            assert!(matches!(error, NotationError::UnknownName { .. }), "{error}");
        }
        assert_eq!(parse_known_class("ListType("), Err(MALFORMED));
        assert!(is_reversed("ReversedType(Int32Type)") && !is_reversed("Int32Type"));
    }

    #[test]
    fn unknown_classes_are_blobs_and_malformed_ones_errors() {
        assert_eq!(parse_class("com.example.Point(a=>b,(c))"), Ok(Native::Blob.into()));
        assert_eq!(parse_class("ReversedType(LongType)"), Ok(Native::Bigint.into()));
        for text in [
            "",
            "ListType",
            "ListType(",
            "ListType()",
            "Int32Type)",
            "VectorType(FloatType , 0)",
            "VectorType(FloatType , -1)",
            "UserType(ks,7,66:Int32Type)",
            "UserType(ks,74,66)",
            "X(",
            "MapType(UTF8Type)",
        ] {
            assert!(parse_class(text).is_err(), "{text}");
        }
        let deep = "ListType(".repeat(100_000);
        assert_eq!(parse_class(&deep), Err(NotationError::TooDeep { limit: MAX_NOTATION_DEPTH }));
    }
}

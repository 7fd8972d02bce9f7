//! Native scalar functions: found by name and argument types at planning, called with bytes at execution.
//!
//! A function has one name in `snake_case`; the older `camelCase` spellings find the same function. Functions are pure:
//! what they need beside their arguments (the request's time, random bits) comes in a [`CallContext`]. Aggregates,
//! `writetime`, `ttl` and `token` are no scalar functions: the SELECT planner knows them.
//!
//! - [`resolve`]: which function a call means, and the types of its arguments and result.
//! - [`clock`]: `now`, `current_*`, `to_date` and the like; [`blob`]: `*_as_blob` and back; [`cast`]: the CAST matrix;
//!   [`number`]: operators; [`math`]: `abs`, `round`, `exp`, ...; [`decimal`]: arithmetic of decimals; [`time`]: times
//!   moved by durations, `floor`; [`vector`]: `similarity_*`; [`mask`]: `mask_*`; [`collection`]: counts, sums, keys and
//!   extremes; [`json`]: `to_json`, `from_json`.

mod arguments;
mod blob;
mod cast;
mod clock;
mod collection;
mod decimal;
mod json;
mod mask;
mod math;
mod number;
mod resolve;
mod sum;
#[cfg(test)]
mod tests;
mod time;
mod vector;

use std::sync::Arc;

pub use self::resolve::resolve;
pub use self::sum::Sum;
use smallvec::SmallVec;
use tholos_grammar::types::{CqlType, Native};
use tholos_grammar::value::Value;

use crate::error::QueryError;
use crate::query::values::{RequestTime, TimestampWatch};

/// Where random bits come from: a node's generator, or a seeded one in tests.
pub trait Random: Sync {
    /// 64 bits that nobody can foresee.
    fn bits(&self) -> u64;
}

/// What a function may use beside its arguments.
#[derive(Clone, Copy)]
pub struct CallContext<'a> {
    /// The request's time.
    pub time: RequestTime,
    /// Random bits.
    pub random: &'a dyn Random,
    /// Which timestamps of clients are taken.
    pub timestamps: &'a TimestampWatch,
}

/// What planning knows of an argument's type before the function is chosen.
#[derive(Clone, Debug, PartialEq)]
pub enum ArgumentType {
    /// A column, a CAST, a type hint, the result of another call: it has this type.
    Known(CqlType),
    /// A literal: it fits the types that literals of its kind fit.
    Literal(LiteralKind),
    /// A literal of several values, in brackets: the type that it has where nothing says one, if there is one.
    Structured(Option<CqlType>),
    /// A marker or null: fits every type.
    Any,
}

/// Kinds of literals, for choosing among functions of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // each is the literal of that name
pub enum LiteralKind {
    Text,
    /// The smallest of `int`, `bigint` and `varint` that holds it.
    Integer(Native),
    Float,
    Boolean,
    Blob,
    Uuid,
    Duration,
}

impl LiteralKind {
    /// The type that a literal of this kind has where nothing says one.
    pub fn natural(self) -> Native {
        match self {
            LiteralKind::Text => Native::Text,
            LiteralKind::Integer(native) => native,
            LiteralKind::Float => Native::Double,
            LiteralKind::Boolean => Native::Boolean,
            LiteralKind::Blob => Native::Blob,
            LiteralKind::Uuid => Native::Uuid,
            LiteralKind::Duration => Native::Duration,
        }
    }

    /// What it is called in messages.
    pub fn name(self) -> &'static str {
        match self {
            LiteralKind::Text => "text",
            LiteralKind::Integer(_) => "integer",
            LiteralKind::Float => "float",
            LiteralKind::Boolean => "boolean",
            LiteralKind::Blob => "blob",
            LiteralKind::Uuid => "uuid",
            LiteralKind::Duration => "duration",
        }
    }
}

/// A function with its types settled: call it with values of `arguments`.
#[derive(Clone, Debug, PartialEq)]
pub struct Function {
    /// The name to show.
    pub name: &'static str,
    /// Types of the arguments, in order.
    pub arguments: Vec<CqlType>,
    /// Type of the result.
    pub returns: CqlType,
    /// Whether equal arguments give equal results: then a call with constant arguments can be folded.
    pub pure: bool,
    code: Code,
}

impl Function {
    /// Calls it. `None` is null, and any null argument makes null, but for those of JSON and `mask_*`. Arguments are valid
    /// values of [`Function::arguments`]: whoever bound them checked that.
    ///
    /// # Errors
    /// [`QueryError::Function`] when the function does not take this value.
    pub fn call(
        &self,
        arguments: &[Option<&[u8]>],
        context: CallContext<'_>,
    ) -> Result<Option<Vec<u8>>, QueryError> {
        match &self.code {
            Code::ToJson => {
                let argument = arguments.first().copied().flatten();
                return json::to_json(self.argument(0)?, argument).map(Some);
            }
            Code::ToJsonObject(names) => {
                return json::to_json_object(names, &self.arguments, arguments).map(Some);
            }
            Code::Mask(which) => return mask::call(*which, self, arguments),
            _ => {}
        }
        let mut present: SmallVec<[&[u8]; 2]> = SmallVec::new();
        for argument in arguments {
            let Some(bytes) = argument else { return Ok(None) };
            present.push(bytes);
        }
        let first = present.first().copied().unwrap_or_default();
        match &self.code {
            Code::Clock(which) => clock::call(*which, self, first, context),
            Code::AsBlob => Ok(Some(first.to_vec())),
            Code::FromBlob => blob::from_blob(self, first).map(Some),
            Code::Cast => cast::cast(self, first),
            Code::Operator(operator) => {
                let second = present.get(1).copied().unwrap_or_default();
                number::operate(*operator, self, first, second)
            }
            Code::Math(which) => math::call(*which, self, first),
            Code::Floor => time::floor(self, &present),
            Code::Similarity(which) => {
                vector::call(*which, first, present.get(1).copied().unwrap_or_default())
            }
            Code::Collection(which) => collection::call(*which, self, first),
            Code::FromJson => json::from_json(self, first),
            Code::ToJson | Code::ToJsonObject(_) | Code::Mask(_) => {
                Err(self.defect("it is called elsewhere"))
            }
        }
    }

    /// The function that SELECT JSON makes a row with: all its columns as one JSON object.
    pub fn to_json_object(names: Vec<Box<str>>, types: Vec<CqlType>) -> Function {
        Function {
            name: "to_json_object",
            arguments: types,
            returns: Native::Text.into(),
            pure: true,
            code: Code::ToJsonObject(names.into()),
        }
    }

    fn argument(&self, place: usize) -> Result<&CqlType, QueryError> {
        self.arguments.get(place).ok_or_else(|| self.defect("an argument is missing"))
    }

    /// The value of an argument.
    fn decode(&self, place: usize, bytes: &[u8]) -> Result<Value, QueryError> {
        Value::decode(self.argument(place)?, bytes).map_err(|error| self.refuse(&error.to_string()))
    }

    /// The bytes of a result.
    fn encode(&self, value: &Value) -> Result<Option<Vec<u8>>, QueryError> {
        let mut bytes = Vec::new();
        match value.encode(&self.returns, &mut bytes) {
            Ok(()) => Ok(Some(bytes)),
            Err(error) => Err(self.refuse(&error.to_string())),
        }
    }

    fn refuse(&self, what: &str) -> QueryError {
        QueryError::Function {
            function: self.native_name().to_string(),
            arguments: self.arguments.iter().map(CqlType::to_string).collect(),
            message: format!("{}(): {what}", self.name),
        }
    }

    /// The name that clients know it by: operators have names of words.
    pub fn native_name(&self) -> &'static str {
        native_name(self.name, self.arguments.len())
    }

    fn defect(&self, what: &str) -> QueryError {
        QueryError::Internal(format!("function {}: {what}", self.name))
    }
}

/// The name that clients know a function by: operators have names of words.
pub fn native_name(name: &'static str, arguments: usize) -> &'static str {
    match (name, arguments) {
        ("-", 1) => "_negate",
        ("+", _) => "_add",
        ("-", _) => "_subtract",
        ("*", _) => "_multiply",
        ("/", _) => "_divide",
        ("%", _) => "_modulo",
        (name, _) => name,
    }
}

/// What a function does.
#[derive(Clone, Debug, PartialEq)]
enum Code {
    Clock(clock::Clock),
    AsBlob,
    FromBlob,
    Cast,
    Operator(number::Operator),
    Math(math::Math),
    Floor,
    Similarity(vector::Similarity),
    Mask(mask::Mask),
    Collection(collection::Collection),
    ToJson,
    /// An object of the arguments, with these names.
    ToJsonObject(Arc<[Box<str>]>),
    FromJson,
}

//! Similarity of vectors of floats, from 0 (or less) to 1 for the same direction or place.
//!
//! | Function | Result |
//! |---|---|
//! | `similarity_cosine` | (1 + cosine of the angle) / 2 |
//! | `similarity_euclidean` | 1 / (1 + square of the distance) |
//! | `similarity_dot_product` | (1 + dot product) / 2: between 0 and 1 for vectors of length 1 |

use tholos_grammar::types::{CqlType, Native};

use super::arguments::wrong_arguments;
use super::{ArgumentType, Code, Function};
use crate::error::QueryError;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Similarity {
    Cosine,
    Euclidean,
    DotProduct,
}

/// Names of the functions, for near names too.
pub(super) const NAMES: [(&str, Similarity); 3] = [
    ("similarity_cosine", Similarity::Cosine),
    ("similarity_euclidean", Similarity::Euclidean),
    ("similarity_dot_product", Similarity::DotProduct),
];

/// The function of that name (without `_`), if it is one of these.
pub(super) fn resolve(
    plain: &str,
    arguments: &[ArgumentType],
) -> Option<Result<Function, QueryError>> {
    let (name, which) = NAMES.into_iter().find(|(name, _)| name.replace('_', "") == plain)?;
    let Some(ty) = common_type(arguments) else {
        return Some(Err(wrong_arguments(name, "two vectors of floats, of one length", arguments)));
    };
    Some(Ok(Function {
        name,
        arguments: vec![ty.clone(), ty],
        returns: Native::Float.into(),
        pure: true,
        code: Code::Similarity(which),
    }))
}

/// The vector type that both arguments are of; at least one must say it.
fn common_type(arguments: &[ArgumentType]) -> Option<CqlType> {
    let [a, b] = arguments else { return None };
    let known = |argument: &ArgumentType| match argument {
        ArgumentType::Known(ty @ CqlType::Vector { element, .. })
            if **element == CqlType::Native(Native::Float) =>
        {
            Some(ty.clone())
        }
        _ => None,
    };
    let ty = known(a).or_else(|| known(b))?;
    let fits = |argument: &ArgumentType| match argument {
        ArgumentType::Known(other) => *other == ty,
        ArgumentType::Literal(_) => false,
        ArgumentType::Structured(_) | ArgumentType::Any => true,
    };
    (fits(a) && fits(b)).then_some(ty)
}

pub(super) fn call(which: Similarity, a: &[u8], b: &[u8]) -> Result<Option<Vec<u8>>, QueryError> {
    let pairs = || floats(a).zip(floats(b));
    let dot = || pairs().map(|(a, b)| a * b).sum::<f64>();
    let similarity = match which {
        Similarity::Euclidean => 1.0 / (1.0 + pairs().map(|(a, b)| (a - b) * (a - b)).sum::<f64>()),
        Similarity::DotProduct => (1.0 + dot()) / 2.0,
        Similarity::Cosine => {
            let square = |of| floats(of).map(|number| number * number).sum::<f64>();
            let (square_a, square_b) = (square(a), square(b));
            if square_a == 0.0 || square_b == 0.0 {
                return Err(QueryError::invalid(
                    "similarity_cosine(): a vector of zeros has no direction: use similarity_euclidean() for it",
                ));
            }
            // The cosine is a float by itself, as in Cassandra: the same bits come out.
            f64::from((1.0 + (dot() / (square_a * square_b).sqrt()) as f32) / 2.0)
        }
    };
    Ok(Some((similarity as f32).to_be_bytes().to_vec()))
}

/// Summed up as doubles: sums of floats would depend on their order.
fn floats(bytes: &[u8]) -> impl Iterator<Item = f64> {
    bytes.as_chunks::<4>().0.iter().map(|bytes| f64::from(f32::from_be_bytes(*bytes)))
}

//! Functions of collections: how many, which keys and values, the least and the greatest, sums and averages. Nulls in
//! lists, which a select list may make of columns, count as elements and are otherwise left out.

use tholos_grammar::types::{CqlType, Native};
use tholos_grammar::value::codec::elements::{Entries, Nullable};
use tholos_grammar::value::codec::writer::CollectionWriter;
use tholos_grammar::value::compare::compare;

use super::Function;
use super::arguments::is_number;
use super::sum::Sum;
use crate::error::QueryError;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Collection {
    Count,
    Min,
    Max,
    Sum,
    Average,
    Keys,
    Values,
}

impl Collection {
    pub(super) fn parse(plain: &str) -> Option<(&'static str, Self)> {
        Some(match plain {
            "collectioncount" => ("collection_count", Collection::Count),
            "collectionmin" => ("collection_min", Collection::Min),
            "collectionmax" => ("collection_max", Collection::Max),
            "collectionsum" => ("collection_sum", Collection::Sum),
            "collectionavg" => ("collection_avg", Collection::Average),
            "mapkeys" => ("map_keys", Collection::Keys),
            "mapvalues" => ("map_values", Collection::Values),
            _ => return None,
        })
    }

    pub(super) fn takes(self) -> &'static str {
        match self {
            Collection::Count => "a list, set or map",
            Collection::Min | Collection::Max => "a list or set",
            Collection::Sum | Collection::Average => "a list or set of numbers",
            Collection::Keys | Collection::Values => "a map",
        }
    }

    /// The type of the result for a collection of that type; `None` if it does not take one.
    pub(super) fn returns(self, of: &CqlType) -> Option<CqlType> {
        match (self, of) {
            (Collection::Count, of) => of.is_collection().then(|| Native::Int.into()),
            (
                Collection::Min | Collection::Max,
                CqlType::List { element, .. } | CqlType::Set { element, .. },
            ) => Some((**element).clone()),
            (
                Collection::Sum | Collection::Average,
                CqlType::List { element, .. } | CqlType::Set { element, .. },
            ) => match **element {
                CqlType::Native(native) if is_number(native) => Some(native.into()),
                _ => None,
            },
            (Collection::Keys, CqlType::Map { key, .. }) => {
                Some(CqlType::Set { element: key.clone(), frozen: false })
            }
            (Collection::Values, CqlType::Map { value, .. }) => {
                Some(CqlType::List { element: value.clone(), frozen: false })
            }
            _ => None,
        }
    }
}

pub(super) fn call(
    which: Collection,
    function: &Function,
    bytes: &[u8],
) -> Result<Option<Vec<u8>>, QueryError> {
    let refuse = |error: &dyn std::fmt::Display| function.refuse(&error.to_string());
    match which {
        Collection::Count => {
            // Lists, sets and maps alike begin with the count.
            let count = bytes.first_chunk::<4>().copied().unwrap_or_default();
            Ok(Some(count.to_vec()))
        }
        Collection::Min | Collection::Max => {
            let elements = Nullable::elements(bytes, "collection").map_err(|e| refuse(&e))?;
            let elements = elements.flatten().flatten();
            let order = |a: &&[u8], b: &&[u8]| compare(&function.returns, a, b);
            let extreme = match which {
                Collection::Min => elements.min_by(order),
                _ => elements.max_by(order),
            };
            Ok(extreme.map(<[u8]>::to_vec))
        }
        Collection::Sum | Collection::Average => {
            let mut sum = Sum::new(&function.returns);
            for element in Nullable::elements(bytes, "collection").map_err(|e| refuse(&e))? {
                if let Some(element) = element.map_err(|e| refuse(&e))? {
                    sum.add(element, &function.returns)?;
                }
            }
            sum.finish(which == Collection::Average).map(Some)
        }
        Collection::Keys | Collection::Values => {
            let mut out = Vec::new();
            let mut writer = CollectionWriter::new(&mut out);
            for entry in Entries::new(bytes).map_err(|e| refuse(&e))? {
                let (key, value) = entry.map_err(|e| refuse(&e))?;
                let part = if which == Collection::Keys { key } else { value };
                writer.element(part).map_err(|e| refuse(&e))?;
            }
            writer.finish().map_err(|e| refuse(&e))?;
            Ok(Some(out))
        }
    }
}

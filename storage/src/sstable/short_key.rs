//! Keys without their token: where the partition key tells it, a block need not store it.
//!
//! The *short form* of a partition prefix (`token | components`) is what it is restored from: the protocol's bytes of a
//! key of one component, the encoded components of a key of several. Which types they have, the block says. A prefix is
//! shortened only after it was restored to the very same bytes: whatever can't be stays as it is.

use tholos_grammar::token::Token;
use tholos_grammar::types::{CqlType, Native};

use crate::key::{decode_component, encode_native_component};
use crate::model::position::token_prefix;

const MAX_COMPONENTS: usize = 8;

/// The types of a table's partition key, as far as blocks make use of them: none, or native ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyTypes {
    natives: [Native; MAX_COMPONENTS],
    len: usize,
}

impl KeyTypes {
    /// Nothing is known: no key is shortened.
    pub const NONE: KeyTypes = KeyTypes { natives: [Native::Blob; MAX_COMPONENTS], len: 0 };

    /// Those types; none if one of them is not native, or they are too many.
    pub fn of<'a>(types: impl IntoIterator<Item = &'a CqlType>) -> Self {
        let natives = types.into_iter().map(|ty| match ty {
            CqlType::Native(native) => Some(*native).filter(|native| code(*native) != 0),
            _ => None,
        });
        Self::collect(natives)
    }

    fn collect(natives: impl Iterator<Item = Option<Native>>) -> Self {
        let mut types = Self::NONE;
        for native in natives {
            let (Some(native), Some(slot)) = (native, types.natives.get_mut(types.len)) else {
                return Self::NONE;
            };
            *slot = native;
            types.len += 1;
        }
        types
    }

    /// How many are known.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Appends a byte for each type.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend(self.natives().iter().map(|native| code(*native)));
    }

    /// The types of that many bytes; `None` if one is not known.
    pub(super) fn decode(codes: &[u8]) -> Option<Self> {
        let types = Self::collect(codes.iter().map(|code| native_of(*code)));
        (types.len == codes.len()).then_some(types)
    }

    fn natives(&self) -> &[Native] {
        &self.natives[..self.len]
    }

    /// The short form of a partition prefix; false if it has none.
    pub(super) fn shorten(&self, prefix: &[u8], short: &mut ShortKey) -> bool {
        let ShortKey { bytes, restored, scratch } = short;
        bytes.clear();
        restored.clear();
        self.short_form(prefix, bytes).is_some()
            && !bytes.is_empty()
            && self.restore(bytes, scratch, restored).is_some()
            && restored == prefix
    }

    /// Appends what is the short form of a prefix, if it has one.
    pub(super) fn short_form(&self, prefix: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let (_, mut components) = prefix.split_at_checked(8)?;
        match self.natives() {
            [] => None,
            [only] => {
                let decoded =
                    decode_component(&CqlType::Native(*only), false, &mut components, out);
                decoded.ok().filter(|()| components.is_empty())
            }
            _ => {
                out.extend_from_slice(components);
                Some(())
            }
        }
    }

    /// Appends the prefix that a short form stands for; `None` if it is none, whatever was appended.
    pub(super) fn restore(
        &self,
        short: &[u8],
        scratch: &mut Vec<u8>,
        out: &mut Vec<u8>,
    ) -> Option<()> {
        match self.natives() {
            [] => None,
            [only] => {
                out.extend_from_slice(&token_prefix(Token::of(short).0));
                encode_native_component(*only, short, out).ok()
            }
            several => {
                scratch.clear();
                serialize(several, short, scratch)?;
                out.extend_from_slice(&token_prefix(Token::of(scratch).0));
                out.extend_from_slice(short);
                Some(())
            }
        }
    }
}

/// A prefix's short form, with the memory to find it.
#[derive(Debug, Default)]
pub(super) struct ShortKey {
    /// The short form.
    pub(super) bytes: Vec<u8>,
    restored: Vec<u8>,
    scratch: Vec<u8>,
}

/// Appends the serialized partition key, which the token is of: for each component its length, its bytes and 0.
fn serialize(natives: &[Native], mut components: &[u8], out: &mut Vec<u8>) -> Option<()> {
    for native in natives {
        let start = out.len();
        out.extend_from_slice(&[0, 0]);
        decode_component(&CqlType::Native(*native), false, &mut components, out).ok()?;
        let len = u16::try_from(out.len() - start - 2).ok()?;
        out[start..start + 2].copy_from_slice(&len.to_be_bytes());
        out.push(0);
    }
    components.is_empty().then_some(())
}

/// Part of the format: the protocol's numbers.
const CODES: [(Native, u8); 18] = [
    (Native::Ascii, 0x01),
    (Native::Bigint, 0x02),
    (Native::Blob, 0x03),
    (Native::Boolean, 0x04),
    (Native::Decimal, 0x06),
    (Native::Double, 0x07),
    (Native::Float, 0x08),
    (Native::Int, 0x09),
    (Native::Timestamp, 0x0B),
    (Native::Uuid, 0x0C),
    (Native::Text, 0x0D),
    (Native::Varint, 0x0E),
    (Native::Timeuuid, 0x0F),
    (Native::Inet, 0x10),
    (Native::Date, 0x11),
    (Native::Time, 0x12),
    (Native::Smallint, 0x13),
    (Native::Tinyint, 0x14),
];

/// 0 for types that no key has.
fn code(native: Native) -> u8 {
    CODES.iter().find(|(known, _)| *known == native).map_or(0, |(_, code)| *code)
}

fn native_of(code: u8) -> Option<Native> {
    CODES.iter().find(|(_, known)| *known == code).map(|(native, _)| *native)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::encode_component;
    use proptest::prelude::*;

    fn prefix(types: &[Native], values: &[&[u8]]) -> Vec<u8> {
        let mut serialized = Vec::new();
        tholos_grammar::token::encode_partition_key(values, &mut serialized).unwrap();
        let mut prefix = token_prefix(Token::of(&serialized).0).to_vec();
        for (native, value) in types.iter().zip(values) {
            encode_component(&CqlType::Native(*native), value, false, &mut prefix).unwrap();
        }
        prefix
    }

    fn types(natives: &[Native]) -> KeyTypes {
        KeyTypes::collect(natives.iter().copied().map(Some))
    }

    proptest! {
        #[test]
        fn prefixes_come_back_from_their_short_forms(
            text in "[a-c\\x00\\x01]{1,8}",
            int: i32,
            cut in 0usize..3,
        ) {
            for (natives, values) in [
                (&[Native::Text][..], &[text.as_bytes()][..]),
                (&[Native::Int], &[&int.to_be_bytes()]),
                (&[Native::Text, Native::Int], &[text.as_bytes(), &int.to_be_bytes()]),
            ] {
                let (types, prefix) = (types(natives), prefix(natives, values));
                let mut short = ShortKey::default();
                prop_assert!(types.shorten(&prefix, &mut short));
                prop_assert!(short.bytes.len() + 8 <= prefix.len());
                let (mut restored, mut scratch) = (Vec::new(), Vec::new());
                types.restore(&short.bytes, &mut scratch, &mut restored).unwrap();
                prop_assert_eq!(&restored, &prefix);
                // Another token, or bytes that are no such key: it stays as it is.
                let mut other = prefix.clone();
                other[7] ^= 1;
                prop_assert!(!types.shorten(&other, &mut short));
                prop_assert!(!types.shorten(&prefix[..prefix.len() - 1 - cut], &mut short));
            }
        }

        #[test]
        fn any_bytes_are_restored_or_refused(short in prop::collection::vec(any::<u8>(), 0..40)) {
            for (native, _) in CODES {
                for natives in [&[native][..], &[native, Native::Varint]] {
                    let _ = types(natives).restore(&short, &mut Vec::new(), &mut Vec::new());
                }
            }
        }
    }

    #[test]
    fn types_come_back_from_their_codes_and_others_are_refused() {
        for (native, _) in CODES {
            let types = types(&[native, Native::Text]);
            let mut codes = Vec::new();
            types.encode(&mut codes);
            assert_eq!(KeyTypes::decode(&codes), Some(types));
        }
        assert_eq!(KeyTypes::decode(&[]), Some(KeyTypes::NONE));
        assert_eq!(KeyTypes::decode(&[0x05]), None);
        assert_eq!(KeyTypes::decode(&[3; MAX_COMPONENTS + 1]), None);
        let frozen = CqlType::List { element: Box::new(Native::Int.into()), frozen: true };
        assert_eq!(KeyTypes::of([&Native::Int.into(), &frozen]), KeyTypes::NONE);
    }
}

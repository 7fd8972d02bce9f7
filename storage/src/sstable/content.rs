//! What an entry of a block says: a row, or deletions.

use super::block::Kind;
use super::block_cursor::BlockEntry;
use super::format::{Malformed, decode_deletion, encode_deletion};
use crate::model::entry::{Content, RowRef};
use crate::model::{Deletion, Timestamp};

/// The content of any entry of a data block. Rows are checked where they are taken apart.
pub(super) fn decode_content<'a>(
    entry: &BlockEntry<'a>,
    base: Timestamp,
) -> Result<Content<'a>, Malformed> {
    if entry.kind.has_row_head() {
        return Ok(Content::Row(RowRef { head: entry.row_head, body: entry.payload, base }));
    }
    decode_deletions(entry.kind, entry.payload, base)
}

/// Appends what a marker says, and names the kind of its entry.
pub(super) fn encode_marker(
    out: &mut Vec<u8>,
    before: Deletion,
    after: Deletion,
    base: Timestamp,
) -> Kind {
    for side in [before, after].into_iter().filter(|side| !side.is_none()) {
        encode_deletion(out, side, base);
    }
    match (before.is_none(), after.is_none()) {
        (true, _) => Kind::Open,
        (_, true) => Kind::Close,
        _ => Kind::Boundary,
    }
}

/// What a partition's header or a marker says.
pub(super) fn decode_deletions<'a>(
    kind: Kind,
    mut input: &'a [u8],
    base: Timestamp,
) -> Result<Content<'a>, Malformed> {
    let mut deletion =
        || decode_deletion(&mut input, base).ok_or(Malformed("a deletion is malformed"));
    let (before, after) = match kind {
        Kind::Row | Kind::StaticRow => return Err(Malformed("a row is no deletion")),
        Kind::Header => return Ok(Content::Partition(deletion()?)),
        Kind::Open => (Deletion::NONE, deletion()?),
        Kind::Close => (deletion()?, Deletion::NONE),
        Kind::Boundary => (deletion()?, deletion()?),
        Kind::Whole => return Err(Malformed("a data block holds an index entry")),
    };
    Ok(Content::Marker { before, after })
}

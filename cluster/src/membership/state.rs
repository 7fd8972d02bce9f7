//! What a node says of itself, and how it travels.
//!
//! A state is versioned by the generation of its node (grows with each start) and a version (grows while it runs): the
//! greater pair is newer. The version also grows when nothing else does, once a second, as a sign of life. So a state
//! remembers at which version its content changed: whoever knows that content is told the version alone.
//!
//! ```text
//! known:  generation 5, version 70, changed 60, load 1 GB
//! update: generation 5, version 75, changed 60                    the same content, 5 seconds later
//! update: generation 5, version 76, changed 76, load 2 GB         new content
//! ```

use tholos_storage::varint::{decode_slice, decode_u64, encode_slice, encode_u64};
use uuid::Uuid;

use super::error::DecodeError;

/// The most bytes of a release version's text; the rest is cut off.
pub const MAX_RELEASE: usize = 64;

/// The most bytes of what later versions add to a node's content.
const MAX_EXTENSION: usize = 512;

/// Whether a node takes part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// It reads its logs, or learns the metadata that it missed.
    #[default]
    Starting,
    /// It takes requests.
    Serving,
    /// It is about to end, and takes no more requests.
    Stopping,
    /// Something that a later version says; it does not take requests as far as this one knows.
    Other(u8),
}

impl Status {
    /// Whether it takes requests.
    pub fn is_serving(self) -> bool {
        self == Status::Serving
    }

    pub(super) fn code(self) -> u8 {
        match self {
            Status::Starting => 0,
            Status::Serving => 1,
            Status::Stopping => 2,
            Status::Other(code) => code,
        }
    }

    pub(super) fn of_code(code: u8) -> Status {
        match code {
            0 => Status::Starting,
            1 => Status::Serving,
            2 => Status::Stopping,
            code => Status::Other(code),
        }
    }
}

/// What a node says of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeInfo {
    /// Whether it takes part.
    pub status: Status,
    /// Bytes of live data on its disk.
    pub load_bytes: u64,
    /// The last metadata entry that it knows.
    pub epoch: u64,
    /// Bytes free where its data is.
    pub disk_free_bytes: u64,
    /// Bytes of that file system.
    pub disk_total_bytes: u64,
    /// The version of its program.
    pub release: String,
    /// The least and the greatest wire version that it speaks.
    pub wire_versions: (u32, u32),
    /// What a later version says beyond this: passed on, and not read.
    pub extension: Vec<u8>,
}

/// The state of a node, as of a version of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeState {
    /// Grows with each start of the node: at least its start time in microseconds.
    pub generation: u64,
    /// Grows once a second and with each change.
    pub version: u64,
    /// The version at which the content changed last.
    pub changed: u64,
    /// The content.
    pub info: NodeInfo,
}

/// How far a state is known; 0 and 0 if not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Digest {
    /// Whose state.
    pub host: Uuid,
    /// Its generation.
    pub generation: u64,
    /// Its version.
    pub version: u64,
}

/// News of a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    /// Whose state.
    pub host: Uuid,
    /// Its generation.
    pub generation: u64,
    /// Its version.
    pub version: u64,
    /// The version at which the content changed last.
    pub changed: u64,
    /// The content, unless the receiver is known to have it.
    pub info: Option<NodeInfo>,
}

impl NodeState {
    /// What a node that knows as much as the digest says does not know; `None` if it knows all.
    pub fn news_for(&self, known: &Digest) -> Option<Update> {
        let (generation, version, changed) = (self.generation, self.version, self.changed);
        let is_news = (generation, version) > (known.generation, known.version);
        let has_content = known.generation == generation && known.version >= changed;
        let info = (!has_content).then(|| self.info.clone());
        is_news.then_some(Update { host: known.host, generation, version, changed, info })
    }

    /// Takes news in. Old news, and news of a content that is not here, change nothing.
    pub fn apply(&mut self, update: Update) -> Applied {
        if (update.generation, update.version) <= (self.generation, self.version) {
            return Applied::Nothing;
        }
        let Update { generation, version, changed, info, .. } = update;
        match info {
            Some(info) => {
                let same = self.generation == generation && self.info == info;
                *self = NodeState { generation, version, changed, info };
                if same { Applied::Version } else { Applied::Content }
            }
            None if self.generation == generation && self.changed == changed => {
                self.version = version;
                Applied::Version
            }
            None => Applied::Nothing,
        }
    }
}

/// What news changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// Nothing.
    Nothing,
    /// The version alone.
    Version,
    /// What the node says of itself.
    Content,
}

impl Digest {
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.host.as_bytes());
        encode_u64(out, self.generation);
        encode_u64(out, self.version);
    }

    pub(super) fn decode(input: &mut &[u8]) -> Result<Digest, DecodeError> {
        let host = uuid(input, "a digest's host")?;
        let generation = number(input, "a digest's generation")?;
        let version = number(input, "a digest's version")?;
        Ok(Digest { host, generation, version })
    }
}

impl Update {
    /// Host, generation, version, changed, then the content with its length; an empty one is none.
    pub(super) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.host.as_bytes());
        encode_u64(out, self.generation);
        encode_u64(out, self.version);
        encode_u64(out, self.changed);
        let mut content = Vec::new();
        if let Some(info) = &self.info {
            info.encode(&mut content);
        }
        encode_slice(out, &content);
    }

    pub(super) fn decode(input: &mut &[u8]) -> Result<Update, DecodeError> {
        let host = uuid(input, "an update's host")?;
        let generation = number(input, "an update's generation")?;
        let version = number(input, "an update's version")?;
        let changed = number(input, "an update's version of change")?;
        let content = decode_slice(input).ok_or(DecodeError::Cut("a node's content"))?;
        let info = (!content.is_empty()).then(|| NodeInfo::decode(content)).transpose()?;
        Ok(Update { host, generation, version, changed, info })
    }
}

impl NodeInfo {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.status.code());
        encode_u64(out, self.load_bytes);
        encode_u64(out, self.epoch);
        encode_u64(out, self.disk_free_bytes);
        encode_u64(out, self.disk_total_bytes);
        let release = self.release.floor_char_boundary(MAX_RELEASE);
        encode_slice(out, &self.release.as_bytes()[..release]);
        encode_u64(out, u64::from(self.wire_versions.0));
        encode_u64(out, u64::from(self.wire_versions.1));
        out.extend_from_slice(&self.extension[..self.extension.len().min(MAX_EXTENSION)]);
    }

    fn decode(mut content: &[u8]) -> Result<NodeInfo, DecodeError> {
        let input = &mut content;
        let status = Status::of_code(byte(input, "a node's status")?);
        let load_bytes = number(input, "a node's load")?;
        let epoch = number(input, "a node's epoch")?;
        let disk_free_bytes = number(input, "a node's free disk space")?;
        let disk_total_bytes = number(input, "a node's disk space")?;
        let release = decode_slice(input).ok_or(DecodeError::Cut("a node's release version"))?;
        if release.len() > MAX_RELEASE {
            let (what, is, limit) = ("a node's release version", release.len(), MAX_RELEASE);
            return Err(DecodeError::TooLong { what, is, limit });
        }
        let release = std::str::from_utf8(release).map_err(|_| DecodeError::Release)?.to_string();
        let wire_versions = (wire_version(input)?, wire_version(input)?);
        if input.len() > MAX_EXTENSION {
            let (what, is, limit) = ("the rest of a node's content", input.len(), MAX_EXTENSION);
            return Err(DecodeError::TooLong { what, is, limit });
        }
        let extension = input.to_vec();
        Ok(NodeInfo {
            status,
            load_bytes,
            epoch,
            disk_free_bytes,
            disk_total_bytes,
            release,
            wire_versions,
            extension,
        })
    }
}

fn wire_version(input: &mut &[u8]) -> Result<u32, DecodeError> {
    let version = number(input, "a node's wire version")?;
    u32::try_from(version).map_err(|_| DecodeError::WireVersion(version))
}

pub(super) fn number(input: &mut &[u8], what: &'static str) -> Result<u64, DecodeError> {
    decode_u64(input).ok_or(DecodeError::Cut(what))
}

pub(super) fn byte(input: &mut &[u8], what: &'static str) -> Result<u8, DecodeError> {
    let (first, rest) = input.split_first().ok_or(DecodeError::Cut(what))?;
    *input = rest;
    Ok(*first)
}

fn uuid(input: &mut &[u8], what: &'static str) -> Result<Uuid, DecodeError> {
    let (bytes, rest) = input.split_first_chunk().ok_or(DecodeError::Cut(what))?;
    *input = rest;
    Ok(Uuid::from_bytes(*bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: Uuid = Uuid::from_u128(7);

    fn state(generation: u64, version: u64, changed: u64) -> NodeState {
        NodeState { generation, version, changed, info: info(changed) }
    }

    fn info(load_bytes: u64) -> NodeInfo {
        NodeInfo { load_bytes, ..NodeInfo::default() }
    }

    fn digest(generation: u64, version: u64) -> Digest {
        Digest { host: HOST, generation, version }
    }

    #[test]
    fn whoever_has_the_content_is_told_the_version_alone() {
        let state = state(5, 75, 60);
        let news = |known: Digest| {
            let update = state.news_for(&known);
            update.map(|update| update.info.is_some())
        };
        assert_eq!(news(digest(5, 75)), None);
        assert_eq!(news(digest(5, 99)), None);
        assert_eq!(news(digest(6, 1)), None, "a later start");
        assert_eq!(news(digest(5, 60)), Some(false));
        assert_eq!(news(digest(5, 59)), Some(true));
        assert_eq!(news(digest(4, 99)), Some(true), "an earlier start");
        assert_eq!(news(digest(0, 0)), Some(true));
    }

    #[test]
    fn news_of_a_content_that_is_not_here_wait_for_the_content() {
        let mut known = state(5, 59, 40);
        let late = state(5, 75, 60).news_for(&digest(5, 60)).unwrap();
        assert_eq!(known.apply(late), Applied::Nothing);
        let whole = state(5, 75, 60).news_for(&digest(5, 59)).unwrap();
        assert_eq!(known.apply(whole.clone()), Applied::Content);
        assert_eq!(known, state(5, 75, 60));
        assert_eq!(known.apply(whole), Applied::Nothing, "twice");
        let beat = state(5, 80, 60).news_for(&digest(5, 75)).unwrap();
        assert_eq!(known.apply(beat), Applied::Version);
        assert_eq!(known, state(5, 80, 60));
        let restarted = state(6, 1, 1).news_for(&digest(5, 80)).unwrap();
        assert_eq!(known.apply(restarted), Applied::Content);
        let older = state(5, 99, 99).news_for(&digest(0, 0)).unwrap();
        assert_eq!(known.apply(older), Applied::Nothing);
    }
}

//! Which line of its file a record begins at.
//!
//! The CSV reader takes the first half of a CR LF for a record's end and the second for the next record's beginning, so
//! its own count is one short in files with such lines. Here line ends are counted as the bytes go by.

use std::collections::VecDeque;
use std::io::{self, Read};

/// A reader that counts lines.
pub(super) struct Lines {
    inner: Box<dyn Read>,
    /// Bytes read.
    read: u64,
    /// Offset of each CR and LF that no record begins behind yet, and whether it is an LF, which alone ends a line.
    ends: VecDeque<(u64, bool)>,
    /// The line at the last place asked for, from 1.
    line: u64,
}

impl Lines {
    pub(super) fn new(inner: Box<dyn Read>) -> Lines {
        Lines { inner, read: 0, ends: VecDeque::new(), line: 1 }
    }

    /// The line of the first byte at or behind `offset` that ends no line. Offsets never go back.
    pub(super) fn line_at(&mut self, offset: u64) -> u64 {
        let mut at = offset;
        while let Some(&(end, is_feed)) = self.ends.front()
            && end <= at
        {
            at += u64::from(end == at);
            self.line += u64::from(is_feed);
            self.ends.pop_front();
        }
        self.line
    }
}

impl Read for Lines {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        for (&byte, offset) in buffer.iter().take(length).zip(self.read..) {
            if matches!(byte, b'\r' | b'\n') {
                self.ends.push_back((offset, byte == b'\n'));
            }
        }
        self.read += length as u64;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use csv::{ByteRecord, ReaderBuilder};

    use super::*;

    fn lines(text: &'static str) -> Vec<u64> {
        let lines = Lines::new(Box::new(text.as_bytes()));
        let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(lines);
        let mut record = ByteRecord::new();
        let mut found = Vec::new();
        while reader.read_byte_record(&mut record).expect("CSV") {
            let offset = record.position().expect("a position").byte();
            found.push(reader.get_mut().line_at(offset));
        }
        found
    }

    #[test]
    fn records_know_their_line_whatever_ends_it() {
        assert_eq!(lines("a,b\nc\nd\n"), [1, 2, 3]);
        assert_eq!(lines("a,b\r\nc\r\nd"), [1, 2, 3]);
        assert_eq!(lines("a\r\n\"b\r\nc\"\r\nd\r\n"), [1, 2, 4]);
        assert_eq!(lines("\n\na\n\n\r\nb"), [3, 6]);
    }
}

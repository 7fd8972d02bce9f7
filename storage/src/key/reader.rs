//! Reads encoded bytes from the front, inverting them where the component is descending.

/// A cursor over encoded bytes.
pub(super) struct Reader<'a> {
    rest: &'a [u8],
    mask: u8,
}

impl<'a> Reader<'a> {
    pub(super) fn new(input: &'a [u8], descending: bool) -> Self {
        Reader { rest: input, mask: if descending { 0xff } else { 0 } }
    }

    /// What has not been read, as it stands in the input.
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        let (&byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(byte ^ self.mask)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (bytes, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(bytes.map(|byte| byte ^ self.mask))
    }

    /// Appends the next `count` bytes to `out`.
    pub(super) fn copy(&mut self, count: usize, out: &mut Vec<u8>) -> Option<()> {
        let (bytes, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        self.append(bytes, out);
        Some(())
    }

    /// Appends the bytes before the first of `stop` or below to `out`, and returns the byte that stopped it, read.
    pub(super) fn copy_above(&mut self, stop: u8, out: &mut Vec<u8>) -> Option<u8> {
        let end = self.rest.iter().position(|byte| byte ^ self.mask <= stop)?;
        self.copy(end, out)?;
        self.byte()
    }

    /// From here on bytes are read inverted once more, or no longer: for parts that are stored inverted.
    pub(super) fn invert(&mut self) {
        self.mask = !self.mask;
    }

    fn append(&self, bytes: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(bytes);
        if self.mask != 0 {
            out.iter_mut().skip(start).for_each(|byte| *byte ^= self.mask);
        }
    }
}

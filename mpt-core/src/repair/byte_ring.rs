//! A ring of bytes in which packets lie in one piece each, the oldest first.

/// Bytes of a new ring; it doubles up to its limit where more is under way.
pub(super) const FIRST_BYTES: usize = 64 << 10;

/// The ring. Who put packets into it knows where they are, and says which of them is the oldest.
#[derive(Debug, Default)]
pub(super) struct ByteRing {
    bytes: Box<[u8]>,
    /// Where the next packet goes.
    head: usize,
    /// Where the oldest one begins.
    tail: Option<usize>,
    /// The most that was used at a time since that was asked.
    peak: usize,
}

impl ByteRing {
    /// Bytes of memory.
    pub(super) const fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it holds nothing.
    pub(super) const fn is_empty(&self) -> bool {
        self.tail.is_none()
    }

    /// The packet at `offset`.
    pub(super) fn get(&self, offset: usize, len: usize) -> &[u8] {
        &self.bytes[offset..][..len]
    }

    /// Puts `packet` behind the others, where there is room for it in one piece.
    #[inline]
    pub(super) fn push(&mut self, packet: &[u8]) -> Option<usize> {
        let offset = self.room(packet.len())?;
        self.bytes[offset..][..packet.len()].copy_from_slice(packet);
        self.head = offset + packet.len();
        self.tail.get_or_insert(offset);
        self.peak = self.peak.max(self.used());
        Some(offset)
    }

    /// The oldest packet that is left begins here; none is left.
    pub(super) fn release_to(&mut self, oldest: Option<usize>) {
        self.tail = oldest;
        if oldest.is_none() {
            self.head = 0;
        }
    }

    /// The most bytes that were used at a time since this was called last.
    pub(super) fn take_peak(&mut self) -> usize {
        let used = self.used();
        std::mem::replace(&mut self.peak, used)
    }

    /// Moves to `size` bytes of memory, of which there must be enough. `live` are the packets, the oldest
    /// first: where each begins, and its length.
    #[cold]
    pub(super) fn resize<'a>(
        &mut self,
        size: usize,
        live: impl Iterator<Item = (&'a mut u32, usize)>,
    ) {
        let mut bytes = vec![0; size].into_boxed_slice();
        let (mut head, mut tail) = (0, None);
        for (offset, len) in live {
            bytes[head..][..len].copy_from_slice(self.get(*offset as usize, len));
            *offset = head as u32;
            head += len;
            tail = Some(0);
        }
        *self = Self { bytes, head, tail, peak: head };
    }

    /// Bytes from the oldest packet to the newest one's end.
    pub(super) fn used(&self) -> usize {
        match self.tail {
            None => 0,
            Some(tail) if self.head > tail => self.head - tail,
            Some(tail) => self.bytes.len() - tail + self.head,
        }
    }

    fn room(&self, len: usize) -> Option<usize> {
        let Some(tail) = self.tail else { return (len <= self.bytes.len()).then_some(0) };
        // Between head and tail there stays a byte, or a full ring would look like an empty one.
        let (here, before) = match self.head > tail {
            true => (self.bytes.len() - self.head, tail.saturating_sub(1)),
            false => ((tail - self.head).saturating_sub(1), 0),
        };
        match () {
            () if len <= here => Some(self.head),
            () if len <= before => Some(0),
            () => None,
        }
    }
}

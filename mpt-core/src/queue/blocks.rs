//! Memory for packets of any size, without holes and without an allocation a packet.

/// Bytes of a block. Headers lie within the first one.
const BLOCK: usize = 256;

/// No block.
pub(super) const NONE: u32 = u32::MAX;

/// Packets in chains of blocks.
#[derive(Debug)]
pub(super) struct Blocks {
    bytes: Vec<u8>,
    /// By block: the one behind it, in its packet or among the free ones.
    next: Vec<u32>,
    free: u32,
    used: usize,
}

impl Blocks {
    /// No memory yet.
    pub(super) const fn new() -> Self {
        Self { bytes: Vec::new(), next: Vec::new(), free: NONE, used: 0 }
    }

    /// How many blocks a packet takes.
    pub(super) const fn needed(len: usize) -> usize {
        if len == 0 { 1 } else { len.div_ceil(BLOCK) }
    }

    /// Blocks in use.
    pub(super) const fn used(&self) -> usize {
        self.used
    }

    /// Blocks there are.
    pub(super) fn len(&self) -> usize {
        self.next.len()
    }

    /// A copy of `packet`; its first block.
    pub(super) fn put(&mut self, packet: &[u8]) -> u32 {
        let first = self.take();
        let mut at = first;
        for (i, piece) in packet.chunks(BLOCK).enumerate() {
            if i > 0 {
                let block = self.take();
                self.next[at as usize] = block;
                at = block;
            }
            self.bytes[at as usize * BLOCK..][..piece.len()].copy_from_slice(piece);
        }
        first
    }

    /// Writes the packet that begins with block `first` into `out`, which is as long as the packet.
    pub(super) fn copy(&self, first: u32, out: &mut [u8]) {
        let mut at = first;
        for piece in out.chunks_mut(BLOCK) {
            piece.copy_from_slice(&self.bytes[at as usize * BLOCK..][..piece.len()]);
            at = self.next[at as usize];
        }
    }

    /// The first bytes of a packet of `len` bytes.
    pub(super) fn head(&mut self, first: u32, len: usize) -> &mut [u8] {
        &mut self.bytes[first as usize * BLOCK..][..len.min(BLOCK)]
    }

    /// Forgets a packet.
    pub(super) fn release(&mut self, first: u32) {
        let (mut last, mut count) = (first, 1);
        while self.next[last as usize] != NONE {
            last = self.next[last as usize];
            count += 1;
        }
        self.next[last as usize] = self.free;
        self.free = first;
        self.used -= count;
    }

    fn take(&mut self) -> u32 {
        if self.free == NONE {
            self.grow();
        }
        let block = self.free;
        self.free = std::mem::replace(&mut self.next[block as usize], NONE);
        self.used += 1;
        block
    }

    /// Doubles.
    fn grow(&mut self) {
        let (len, more) = (self.next.len(), self.next.len().max(64));
        self.bytes.resize((len + more) * BLOCK, 0);
        self.next.extend((len + 1..len + more).map(|i| i as u32));
        self.next.push(NONE);
        self.free = len as u32;
    }
}

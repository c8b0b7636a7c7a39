//! Packets in one piece each, in chunks of memory that are used in turns, the oldest packets first.
//!
//! A chunk that became free is the next one to be filled. So what turns round is as much memory as is under way, and stays
//! in the processor's cache; a ring would go through all that it ever needed.

use std::collections::VecDeque;

/// Bytes of a chunk, where there is memory for some of them.
pub(super) const CHUNK: usize = 64 << 10;

/// Of the memory for packets a chunk is this part at most: what makes room is a chunk.
const PARTS: usize = 8;

/// Bits of a chunk's number.
const NUMBERS: u16 = 0x7fff;

/// Where a packet begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Spot {
    /// Its chunk's number, of 15 bits.
    pub(super) chunk: u16,
    /// Bytes before it in there.
    pub(super) offset: u16,
}

#[derive(Debug)]
struct Chunk {
    bytes: Box<[u8]>,
    /// Bytes of packets, freed ones too.
    used: usize,
    /// Packets that are not released.
    packets: usize,
}

/// The chunks, numbered as they are filled.
#[derive(Debug)]
pub(super) struct Chunks {
    /// Bytes of a chunk; one for a packet that is larger has that packet's length.
    size: usize,
    /// With packets, the last one being filled.
    live: VecDeque<Chunk>,
    /// Number of the first of them; the lower 15 bits count.
    first: u16,
    /// Free ones of `size` bytes, the last one used last.
    spare: Vec<Box<[u8]>>,
    /// The fewest spare ones since that was asked.
    least_spare: usize,
    /// Bytes of all of them.
    memory: usize,
}

impl Chunks {
    /// None, of which all together are to have up to `limit` bytes.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            size: (limit / PARTS).clamp(1, CHUNK),
            live: VecDeque::new(),
            first: 0,
            spare: Vec::new(),
            least_spare: 0,
            memory: 0,
        }
    }

    /// Bytes of memory.
    pub(super) const fn memory(&self) -> usize {
        self.memory
    }

    /// Bytes by which [`grow`](Self::grow) makes that more.
    pub(super) fn growth(&self, len: usize) -> usize {
        self.size.max(len)
    }

    /// Whether no packet is left.
    pub(super) fn is_empty(&self) -> bool {
        self.live.iter().all(|chunk| chunk.packets == 0)
    }

    /// The packet of `len` bytes at `spot`.
    pub(super) fn get(&self, spot: Spot, len: usize) -> Option<&[u8]> {
        let index = spot.chunk.wrapping_sub(self.first) & NUMBERS;
        self.live.get(usize::from(index))?.bytes.get(usize::from(spot.offset)..)?.get(..len)
    }

    /// Puts `packet` behind the others, where there is room for it.
    #[inline]
    pub(super) fn push(&mut self, packet: &[u8]) -> Option<Spot> {
        let fits = |chunk: &Chunk| packet.len() <= chunk.bytes.len() - chunk.used;
        if !self.live.back().is_some_and(fits) {
            let spare = if packet.len() <= self.size { self.spare.pop() } else { None };
            self.least_spare = self.least_spare.min(self.spare.len());
            self.begin(spare?);
        }
        let number = self.first.wrapping_add(self.live.len() as u16).wrapping_sub(1) & NUMBERS;
        let chunk = self.live.back_mut()?;
        let offset = chunk.used;
        chunk.bytes[offset..][..packet.len()].copy_from_slice(packet);
        chunk.used += packet.len();
        chunk.packets += 1;
        Some(Spot { chunk: number, offset: offset as u16 })
    }

    /// Makes room for a packet of `len` bytes by another chunk.
    #[cold]
    pub(super) fn grow(&mut self, len: usize) {
        let bytes = vec![0; self.growth(len)].into_boxed_slice();
        self.memory += bytes.len();
        self.begin(bytes);
    }

    /// Fills this one next.
    fn begin(&mut self, bytes: Box<[u8]>) {
        self.live.push_back(Chunk { bytes, used: 0, packets: 0 });
        // What was empty, and too small for a packet.
        self.retire();
    }

    /// `packets` in chunk `number`, the oldest that is left, are there no more.
    pub(super) fn release(&mut self, number: u16, packets: usize) {
        if number != self.first & NUMBERS {
            return;
        }
        let Some(chunk) = self.live.front_mut() else { return };
        chunk.packets = chunk.packets.saturating_sub(packets);
        if chunk.packets == 0 {
            chunk.used = 0;
            self.retire();
        }
    }

    /// Makes chunks spare that have no packet and are not being filled.
    fn retire(&mut self) {
        while self.live.len() > 1
            && self.live.front().is_some_and(|chunk| chunk.packets == 0)
            && let Some(chunk) = self.live.pop_front()
        {
            self.first = self.first.wrapping_add(1);
            if chunk.bytes.len() == self.size {
                self.spare.push(chunk.bytes);
            } else {
                self.memory -= chunk.bytes.len();
            }
        }
    }

    /// Gives a spare chunk back to the machine; false when there is none.
    pub(super) fn shrink(&mut self) -> bool {
        let Some(chunk) = self.spare.pop() else { return false };
        self.memory -= chunk.len();
        self.least_spare = self.least_spare.min(self.spare.len());
        true
    }

    /// Gives those back that were spare all the time since this was called last.
    pub(super) fn give_back(&mut self) {
        let unused = self.least_spare.min(self.spare.len());
        self.memory -= self.spare.drain(..unused).map(|chunk| chunk.len()).sum::<usize>();
        self.least_spare = self.spare.len();
    }

    /// Gives everything back. Nothing must be left.
    pub(super) fn clear(&mut self) {
        let taken = self.first.wrapping_add(self.live.len() as u16);
        self.live = VecDeque::new();
        self.spare = Vec::new();
        (self.first, self.least_spare, self.memory) = (taken, 0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_that_became_free_is_filled_next() {
        let mut chunks = Chunks::new(1 << 20);
        let mut spots = VecDeque::new();
        let mut push = |chunks: &mut Chunks, left: usize| {
            while spots.len() >= left {
                let spot: Spot = spots.pop_front().unwrap();
                chunks.release(spot.chunk, 1);
            }
            let spot = chunks.push(&[7; 10_000]).or_else(|| {
                chunks.grow(10_000);
                chunks.push(&[7; 10_000])
            });
            spots.push_back(spot.unwrap());
        };
        // Sixteen chunks are needed once, and then three.
        (0..96).for_each(|_| push(&mut chunks, 96));
        assert_eq!(chunks.memory(), 16 * CHUNK);
        (0..60).for_each(|_| push(&mut chunks, 12));
        assert_eq!((chunks.memory(), chunks.live.len() <= 3), (16 * CHUNK, true));
        let coldest = chunks.spare[..12].iter().map(|c| c.as_ptr()).collect::<Vec<_>>();
        (0..600).for_each(|_| push(&mut chunks, 12));
        let now = chunks.spare[..12].iter().map(|c| c.as_ptr()).collect::<Vec<_>>();
        assert_eq!(coldest, now, "chunks beyond those needed were touched");
        chunks.give_back();
        (0..600).for_each(|_| push(&mut chunks, 12));
        chunks.give_back();
        assert!(chunks.memory() <= 4 * CHUNK, "{}", chunks.memory());
    }

    #[test]
    fn a_packet_larger_than_a_chunk_has_one_of_its_own() {
        let mut chunks = Chunks::new(80_000);
        for len in [3_000, 9_000, 30_000, 4_000] {
            assert!(chunks.push(&vec![1; len]).is_none(), "{len}");
            let before = chunks.memory();
            chunks.grow(len);
            assert_eq!(chunks.memory() - before, len.max(10_000));
            let spot = chunks.push(&vec![len as u8; len]).unwrap();
            assert_eq!(chunks.get(spot, len), Some(&vec![len as u8; len][..]));
            if len == 3_000 {
                // The rest of the first one.
                chunks.push(&[1; 7_000]).unwrap();
                chunks.release(0, 1);
            }
        }
        for number in 0..3 {
            chunks.release(number, 1);
        }
        chunks.release(3, 1);
        assert!(chunks.is_empty());
        // The last one is kept, as are two of the common size.
        assert_eq!(chunks.memory(), 3 * 10_000);
    }
}

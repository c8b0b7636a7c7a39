//! Super-packets that were sent lately, in the buffers that TUN filled: not copied, but exchanged.

use crate::inner::Split;
use std::collections::VecDeque;

/// Bits of a super-packet's number.
const NUMBERS: u16 = 0x7fff;

/// A super-packet, and how it was cut.
#[derive(Debug)]
pub(super) struct Whole {
    buffer: Box<[u8]>,
    /// Where in the buffer it stands.
    start: usize,
    len: usize,
    split: Split,
    /// Bytes of payload in each segment but the last.
    size: usize,
    /// Segments that are remembered.
    segments: usize,
}

/// The super-packets, numbered as they came, and buffers to give away for the next ones.
#[derive(Debug, Default)]
pub(super) struct Wholes {
    kept: VecDeque<Whole>,
    /// Number of the first of them; the lower 15 bits count.
    first: u16,
    spare: Vec<Box<[u8]>>,
    /// Bytes of all buffers.
    memory: usize,
}

impl Wholes {
    /// Bytes of all buffers, used and spare.
    pub(super) const fn memory(&self) -> usize {
        self.memory
    }

    /// Whether none is kept.
    pub(super) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The bytes by which [`memory`](Self::memory) grows with another buffer of `len` bytes.
    pub(super) fn growth(&self, len: usize) -> usize {
        if self.spare.is_empty() { len } else { 0 }
    }

    /// The number that the next one will have.
    pub(super) fn next(&self) -> u16 {
        self.first.wrapping_add(self.kept.len() as u16) & NUMBERS
    }

    /// Keeps the packet of `len` bytes at `start` in `buffer`, `segments` of which were sent, and puts a spare
    /// buffer in its place.
    pub(super) fn keep(
        &mut self,
        buffer: &mut Box<[u8]>,
        (start, len): (usize, usize),
        (split, size): (Split, usize),
        segments: usize,
    ) {
        let spare = match self.spare.pop() {
            Some(spare) => spare,
            None => {
                self.memory += buffer.len();
                vec![0; buffer.len()].into_boxed_slice()
            }
        };
        let buffer = std::mem::replace(buffer, spare);
        self.kept.push_back(Whole { buffer, start, len, split, size, segments });
    }

    /// `segments` of super-packet `number`, the oldest one, are remembered no more.
    pub(super) fn release(&mut self, number: u16, segments: usize) {
        if number != self.first & NUMBERS {
            return;
        }
        let Some(whole) = self.kept.front_mut() else { return };
        whole.segments = whole.segments.saturating_sub(segments);
        if whole.segments == 0
            && let Some(whole) = self.kept.pop_front()
        {
            self.first = self.first.wrapping_add(1);
            self.spare.push(whole.buffer);
        }
    }

    /// The segment of super-packet `number` whose payload begins at `at`.
    pub(super) fn get(&self, number: u16, at: usize) -> Option<Segment<'_>> {
        let whole = self.kept.get(usize::from(number.wrapping_sub(self.first) & NUMBERS))?;
        let packet = &whole.buffer[whole.start..][..whole.len];
        Some(Segment { packet, split: &whole.split, size: whole.size, at })
    }

    /// Whether there are spare buffers.
    pub(super) fn has_spare(&self) -> bool {
        !self.spare.is_empty()
    }

    /// Gives spare buffers back to the machine.
    pub(super) fn trim(&mut self) {
        self.memory -= self.spare.iter().map(|b| b.len()).sum::<usize>();
        self.spare = Vec::new();
    }
}

/// A segment of a super-packet.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    packet: &'a [u8],
    split: &'a Split,
    size: usize,
    at: usize,
}

impl Segment<'_> {
    fn end(&self) -> usize {
        self.split.payload_len().min(self.at + self.size)
    }

    pub(super) fn len(&self) -> usize {
        self.split.header_len() + self.end() - self.at
    }

    pub(super) fn head(&self) -> &[u8] {
        self.packet
    }

    pub(super) fn write(&self, to: &mut [u8]) {
        let index = (self.at / self.size) as u16;
        self.split.write(self.packet, index, self.at..self.end(), to);
    }
}

//! A batch of received datagrams.

use super::MAX_BATCH;
use super::sys::{self, Slot};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::BorrowedFd;

/// Buffers for up to [`MAX_BATCH`] datagrams, or super-packets of several that the kernel joined (UDP GRO);
/// allocated once and filled again and again.
pub struct RecvBatch {
    buffer: Box<[u8]>,
    size: usize,
    slots: Box<[Slot]>,
    filled: usize,
    /// Buffers offered in the last call.
    offered: usize,
    /// Buffers filled in the last call that found something.
    before: usize,
    /// Bytes in each buffer, last time.
    mean: usize,
}

/// What one call is to take: it should still be in the processor's cache when it is delivered.
const TURN_BYTES: usize = 256 * 1024;

/// Buffers offered however full they were.
const LEAST_BUFFERS: usize = 4;

/// A received datagram.
#[derive(Debug)]
pub struct Datagram<'a> {
    /// The UDP payload; may be changed in place.
    pub data: &'a mut [u8],
    /// Who sent it.
    pub source: SocketAddr,
    /// Which of our addresses it was sent to.
    pub destination: Option<IpAddr>,
    /// Index of the interface it came in by; 0 when the kernel did not tell.
    pub interface: u32,
    /// The IPv4 TOS or IPv6 traffic class byte.
    pub tos: u8,
    /// Datagrams the kernel dropped so far because this socket's buffer was full; wraps at 2^32.
    /// `None` while there was none.
    pub kernel_drops: Option<u32>,
    /// It was larger than the buffer and its end is lost.
    pub truncated: bool,
}

impl Datagram<'_> {
    /// The ECN field: 0 not capable, 1 and 2 capable, 3 congestion experienced.
    #[must_use]
    pub const fn ecn(&self) -> u8 {
        self.tos & 3
    }
}

impl RecvBatch {
    /// Room for `count` (1 to [`MAX_BATCH`]) datagrams of up to `size` bytes. Pages that are never filled
    /// take no memory.
    #[must_use]
    pub fn new(count: usize, size: usize) -> Self {
        let count = count.clamp(1, MAX_BATCH);
        Self {
            buffer: vec![0; count * size].into_boxed_slice(),
            size,
            slots: vec![Slot::EMPTY; count].into_boxed_slice(),
            filled: 0,
            offered: 0,
            before: 0,
            mean: 0,
        }
    }

    /// How many datagrams fit.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }

    /// Whether the call took less than it offered room for: the socket is empty.
    #[must_use]
    pub const fn is_short(&self) -> bool {
        self.filled < self.offered
    }

    /// How many buffers are filled.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.filled
    }

    /// Whether it is empty.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.filled == 0
    }

    /// What was received last, in the order of arrival.
    pub fn datagrams(&mut self) -> impl Iterator<Item = Datagram<'_>> {
        let slots = &self.slots[..self.filled];
        slots.iter().zip(self.buffer.chunks_exact_mut(self.size)).flat_map(|(slot, data)| {
            let beside = slot.control.received();
            let data = &mut data[..slot.len];
            let segment = beside.segment.map_or(data.len(), usize::from).max(1);
            // An empty datagram is one too.
            let empty = data.is_empty().then_some(&mut [][..]);
            let source = slot.source.get();
            empty.into_iter().chain(data.chunks_mut(segment)).filter_map(move |data| {
                Some(Datagram {
                    data,
                    source: source?,
                    destination: beside.destination,
                    interface: beside.interface,
                    tos: beside.tos,
                    kernel_drops: beside.kernel_drops,
                    truncated: slot.truncated,
                })
            })
        })
    }

    /// All buffers, one after the other.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// The addresses of [`bytes`](Self::bytes).
    #[must_use]
    pub fn addresses(&self) -> std::ops::Range<usize> {
        let range = self.buffer.as_ptr_range();
        range.start as usize..range.end as usize
    }

    /// Forgets what was received.
    pub(super) fn clear(&mut self) {
        self.filled = 0;
    }

    /// Takes what the socket has: at most as many buffers as held [`TURN_BYTES`] last time.
    pub(super) fn fill(&mut self, fd: BorrowedFd<'_>) -> io::Result<usize> {
        self.filled = 0;
        // Each buffer offered costs a little: not many more than were filled last time.
        let wanted = (TURN_BYTES / self.mean.max(1)).min(2 * self.before);
        self.offered = wanted.clamp(LEAST_BUFFERS, self.slots.len());
        self.filled =
            sys::receive_many(fd, &mut self.buffer, self.size, &mut self.slots[..self.offered])?;
        let bytes: usize = self.slots[..self.filled].iter().map(|s| s.len).sum();
        self.mean = bytes.div_ceil(self.filled.max(1));
        self.before = self.filled;
        Ok(self.filled)
    }
}

impl std::fmt::Debug for RecvBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecvBatch")
            .field("capacity", &self.capacity())
            .field("size", &self.size)
            .field("filled", &self.filled)
            .finish_non_exhaustive()
    }
}

//! What is not sent again.

use super::{Reader, Writer};
use crate::{PacketNumber, WorkerId};

/// Packets in one message, at most: 1 001 bytes.
pub const MAX_ABANDONED: usize = 247;

/// Packets that were lost and are not sent again: nobody is to wait for them. Who waited for one of them
/// waits for its predecessor instead.
///
/// `worker u8 | first packet number u64 | count u16 | count × (step u16 | distance u16)`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Abandon {
    /// Whose packet numbers.
    pub worker: WorkerId,
    first: PacketNumber,
    count: u16,
    /// From the packet before, and the packet's own distance to its predecessor.
    packets: [(u16, u16); MAX_ABANDONED],
    last: u64,
}

impl Abandon {
    /// Without packets.
    #[must_use]
    pub const fn new(worker: WorkerId) -> Self {
        Self { worker, first: PacketNumber(0), count: 0, packets: [(0, 0); MAX_ABANDONED], last: 0 }
    }

    /// Adds a packet with its predecessor distance; numbers grow. Whether there was room.
    pub fn add(&mut self, pn: PacketNumber, distance: u16) -> bool {
        if self.count == 0 {
            (self.first, self.last) = (pn, pn.0);
        }
        let Some(Ok(step)) = pn.0.checked_sub(self.last).map(u16::try_from) else { return false };
        let Some(slot) = self.packets.get_mut(usize::from(self.count)) else { return false };
        *slot = (step, distance);
        self.count += 1;
        self.last = pn.0;
        true
    }

    /// The packets with their predecessor distances, in order.
    pub fn packets(&self) -> impl Iterator<Item = (PacketNumber, u16)> {
        self.packets[..usize::from(self.count)].iter().scan(
            self.first.0,
            |pn, &(step, distance)| {
                *pn = pn.checked_add(u64::from(step))?;
                Some((PacketNumber(*pn), distance))
            },
        )
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Writes it; the length, or `None` when there is no room.
    #[must_use]
    pub fn encode(&self, out: &mut [u8]) -> Option<usize> {
        let mut w = Writer::new(out);
        w.u8(self.worker.get())?;
        w.u64(self.first.0)?;
        w.u16(self.count)?;
        for &(step, distance) in &self.packets[..usize::from(self.count)] {
            w.u16(step)?;
            w.u16(distance)?;
        }
        Some(w.len())
    }

    /// Reads it.
    #[must_use]
    pub fn decode(message: &[u8]) -> Option<Self> {
        let mut r = Reader::new(message);
        let mut abandon = Self::new(WorkerId::new(r.u8()?)?);
        let first = r.u64()?;
        let count = r.u16()?;
        let mut pn = first;
        for i in 0..count {
            let (step, distance) = (r.u16()?, r.u16()?);
            pn = pn.checked_add(u64::from(step))?;
            if i == 0 && step != 0 || !abandon.add(PacketNumber(pn), distance) {
                return None;
            }
        }
        Some(abandon)
    }
}

//! Protected packets that came lately.

use super::spares::Spares;
use crate::wire::Beside;
use std::collections::VecDeque;

/// Most packets, and their bytes: at 50 Mbit/s those of 80 ms, by which paths may differ and a parity be late.
const MOST: usize = 1_024;
const MOST_BYTES: usize = 512 << 10;

/// The packets as they came; the oldest make room for the newest.
#[derive(Debug, Default)]
pub struct RecentPackets {
    /// Each in the place that the last digits of its number name; none before the first packet came.
    places: Vec<Recent>,
    /// In which order they came. Of what another one took the place of, only the number is left.
    order: VecDeque<u64>,
    bytes: usize,
    spares: Spares,
}

/// No packet has the number 0: nothing is there.
#[derive(Clone, Debug, Default)]
struct Recent {
    pn: u64,
    beside: Beside,
    packet: Vec<u8>,
}

impl RecentPackets {
    /// Keeps a packet.
    pub fn push(&mut self, pn: u64, beside: Beside, packet: &[u8]) {
        if self.places.is_empty() {
            self.places.resize(MOST, Recent::default());
        }
        self.remove(place(pn));
        while self.order.len() >= MOST || self.bytes + packet.len() > MOST_BYTES {
            let Some(oldest) = self.order.pop_front() else { break };
            if self.places[place(oldest)].pn == oldest {
                self.remove(place(oldest));
            }
        }
        let mut copy = self.spares.copy(packet);
        // As much as is held for it: many small packets in large buffers are not small.
        if copy.capacity() > 2 * packet.len().max(128) {
            copy.shrink_to(packet.len());
        }
        self.bytes += copy.capacity();
        self.order.push_back(pn);
        self.places[place(pn)] = Recent { pn, beside, packet: copy };
    }

    /// Packet `pn`, if it is here.
    #[must_use]
    pub fn get(&self, pn: u64) -> Option<(Beside, &[u8])> {
        let found = self.places.get(place(pn)).filter(|r| r.pn == pn && pn != 0)?;
        Some((found.beside, &found.packet))
    }

    /// Bytes of memory for them.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    fn remove(&mut self, place: usize) {
        let Recent { packet, .. } = std::mem::take(&mut self.places[place]);
        self.bytes -= packet.capacity();
        self.spares.give(packet);
    }
}

const fn place(pn: u64) -> usize {
    (pn % MOST as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_are_here_and_memory_is_bounded() {
        let mut recent = RecentPackets::default();
        assert_eq!(recent.get(0), None);
        let beside = |pn: u64| Beside { len: pn as u16, ..Beside::default() };
        for pn in 1..=5_000u64 {
            let packet = [pn as u8; 1_400];
            // The sizes change now and then; some numbers come late, and some never.
            let packet = &packet[..if pn % 1_000 < 500 { 1_400 } else { 60 }];
            if pn % 7 != 0 {
                // Out of order, too.
                let number = 4 + (pn ^ 2);
                recent.push(number, beside(pn), packet);
                assert!(recent.get(number) == Some((beside(pn), packet)));
            }
            assert!(recent.bytes() <= MOST_BYTES + 1_500 && recent.order.len() <= MOST);
            let held: usize = recent.places.iter().map(|r| r.packet.capacity()).sum();
            assert_eq!(held, recent.bytes());
        }
        assert!(recent.get(4_900).is_some() && recent.get(3_000).is_none());
        // What is larger than all that may be kept is kept alone.
        recent.push(9_000, Beside::default(), &vec![0; 65_000]);
        assert!(recent.get(9_000).is_some() && recent.bytes() <= MOST_BYTES);
    }
}

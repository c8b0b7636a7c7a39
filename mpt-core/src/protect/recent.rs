//! Protected packets that came lately.

use crate::wire::Beside;
use std::collections::VecDeque;

/// Most packets, and their bytes: eight blocks of full-sized ones are less.
const MOST: usize = 64;
const MOST_BYTES: usize = 64 << 10;

/// The packets as they came; the oldest make room for the newest.
#[derive(Debug, Default)]
pub struct RecentPackets {
    packets: VecDeque<Recent>,
    bytes: usize,
    spare: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Recent {
    pn: u64,
    beside: Beside,
    packet: Vec<u8>,
}

/// A buffer that is used again has room for no more than this.
const MOST_SPARE: usize = 2_048;

impl RecentPackets {
    /// Keeps a packet.
    pub fn push(&mut self, pn: u64, beside: Beside, packet: &[u8]) {
        while self.packets.len() >= MOST || self.bytes + packet.len() > MOST_BYTES {
            let Some(oldest) = self.packets.pop_front() else { break };
            self.bytes -= oldest.packet.len();
            // A few large packets must not leave large buffers behind for many small ones.
            if oldest.packet.capacity() <= MOST_SPARE && self.spare.len() < MOST {
                self.spare.push(oldest.packet);
            }
        }
        let mut copy = self.spare.pop().unwrap_or_default();
        copy.clear();
        copy.extend_from_slice(packet);
        self.bytes += copy.len();
        self.packets.push_back(Recent { pn, beside, packet: copy });
    }

    /// Packet `pn`, if it is here.
    #[must_use]
    pub fn get(&self, pn: u64) -> Option<(Beside, &[u8])> {
        // The newest are asked for.
        let found = self.packets.iter().rev().find(|r| r.pn == pn)?;
        Some((found.beside, &found.packet))
    }

    /// Bytes kept.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

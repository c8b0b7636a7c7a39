//! Inner packets that wait for a session and a path: the first ping should not be lost.

use crate::Time;
use std::collections::VecDeque;
use std::time::Duration;

/// Packets kept; a handshake takes a round trip, and more would be stale.
const MAX_PACKETS: usize = 32;

/// Bytes kept.
const MAX_BYTES: usize = 48 * 1024;

/// What waited longer is not wanted any more: whoever sent it has sent it again or given up.
const LIFETIME: Duration = Duration::from_secs(3);

/// A short queue; the newest packets stay.
#[derive(Debug, Default)]
pub struct Waiting {
    packets: VecDeque<(Time, u64, Vec<u8>)>,
    bytes: usize,
}

impl Waiting {
    /// Queues a copy of `packet` of `flow`; returns how many packets had to go for it.
    pub fn push(&mut self, now: Time, flow: u64, packet: &[u8]) -> u64 {
        self.packets.push_back((now, flow, packet.to_vec()));
        self.bytes += packet.len();
        let mut dropped = 0;
        while self.packets.len() > MAX_PACKETS || self.bytes > MAX_BYTES {
            dropped += u64::from(self.pop().is_some());
        }
        dropped
    }

    /// Drops what waited too long; returns how many packets that were.
    pub fn drop_stale(&mut self, now: Time) -> u64 {
        let mut dropped = 0;
        while self.packets.front().is_some_and(|(at, ..)| now.since(*at) >= LIFETIME) {
            dropped += u64::from(self.pop().is_some());
        }
        dropped
    }

    /// The oldest packet, with its flow.
    pub fn pop(&mut self) -> Option<(u64, Vec<u8>)> {
        let (_, flow, packet) = self.packets.pop_front()?;
        self.bytes -= packet.len();
        Some((flow, packet))
    }

    /// Whether something waits.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stay_within_the_caps() {
        let mut w = Waiting::default();
        let dropped: u64 = (0..100u8).map(|i| w.push(Time::ZERO, 7, &[i; 100])).sum();
        assert_eq!(dropped, 68);
        assert_eq!(w.pop().unwrap().1[0], 68);
        while w.pop().is_some() {}
        let dropped: u64 = (0..5).map(|_| w.push(Time::ZERO, 7, &[0; 20_000])).sum();
        assert_eq!((dropped, w.bytes), (3, 40_000));
    }
}

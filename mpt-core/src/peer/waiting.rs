//! Inner packets that wait for a session and a path: the first ping should not be lost.

use super::Outgoing;
use crate::Time;
use crate::inner::Offload;
use crate::policy::Class;
use std::collections::VecDeque;
use std::time::Duration;

/// Packets kept; a handshake takes a round trip, and more would be stale.
const MAX_PACKETS: usize = 32;

/// Bytes kept: one super-packet, or a few packets.
const MAX_BYTES: usize = 64 * 1024;

/// What waited longer is not wanted any more: whoever sent it has sent it again or given up.
const LIFETIME: Duration = Duration::from_secs(3);

/// A packet that waits.
#[derive(Debug)]
pub struct Waiter {
    /// The packet, or super-packet.
    pub packet: Vec<u8>,
    /// What TUN said beside it.
    pub offload: Offload,
    /// The hash of its flow.
    pub flow: u64,
    /// What is done with it.
    pub class: Class,
}

/// A short queue; the newest packets stay.
#[derive(Debug, Default)]
pub struct Waiting {
    packets: VecDeque<(Time, Waiter)>,
    bytes: usize,
}

impl Waiting {
    /// Queues a copy of a packet; returns how many packets had to go for it.
    pub fn push(&mut self, now: Time, packet: &Outgoing<'_>) -> u64 {
        let Outgoing { packet, offload, flow, class, .. } = *packet;
        let class = class.clone();
        self.packets.push_back((now, Waiter { packet: packet.to_vec(), offload, flow, class }));
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

    /// The oldest packet.
    pub fn pop(&mut self) -> Option<Waiter> {
        let (_, waiter) = self.packets.pop_front()?;
        self.bytes -= waiter.packet.len();
        Some(waiter)
    }

    /// Whether something waits.
    pub fn is_empty(&self) -> bool {
        self.packets.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inner::InnerPacket;

    #[test]
    fn the_newest_stay_within_the_caps() {
        let mut w = Waiting::default();
        let push = |w: &mut Waiting, len: usize, last: u8| {
            let mut packet = vec![0; len];
            packet[0] = 0x45;
            packet[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            packet[len - 1] = last;
            let inner = InnerPacket::parse(&packet).unwrap();
            let offload = Offload::default();
            let class = &Class::default();
            w.push(
                Time::ZERO,
                &Outgoing { packet: &packet, offload, inner, flow: 7, class, buffer: None },
            )
        };
        let dropped: u64 = (0..100u8).map(|i| push(&mut w, 100, i)).sum();
        assert_eq!(dropped, 68);
        assert_eq!(w.pop().unwrap().packet[99], 68);
        while w.pop().is_some() {}
        let dropped: u64 = (0..5).map(|_| push(&mut w, 20_000, 0)).sum();
        assert_eq!((dropped, w.bytes), (2, 60_000));
    }
}

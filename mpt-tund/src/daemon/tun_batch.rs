//! What is read from TUN in one round.

use crate::tun::{TunDevice, VNET_HEADER_LEN};
use mpt_core::inner::Offload;
use mpt_core::{Endpoint, Outbox, Time};
use std::io;
use std::ops::Range;

/// Packets in one batch.
const PACKETS: usize = 64;

/// Super-packets of these that each have a buffer of their own, which the endpoint may keep.
const WHOLES: usize = 2;

/// Bytes until they are sent: a super-packet. More would leave the processor's cache.
const BYTES: usize = 64 * 1024;

/// Largest packet that TUN can hand over, with its header.
const BUFFER: usize = 65_536 + VNET_HEADER_LEN;

/// Packets and super-packets, allocated once and filled again and again.
pub(super) struct TunBatch {
    /// Small packets, one after the other.
    small: Box<[u8]>,
    /// For a super-packet each.
    wholes: [Box<[u8]>; WHOLES],
    read: Vec<Read>,
}

/// A packet that was read.
struct Read {
    /// The buffer for super-packets that it stands in, or the one for small packets.
    whole: Option<usize>,
    range: Range<usize>,
    offload: Offload,
}

/// What a batch brought, and why it ended.
#[derive(Default)]
pub(super) struct Filled {
    /// Packets, those of super-packets counted one by one.
    pub(super) packets: u64,
    /// Bytes.
    pub(super) bytes: u64,
    /// What the kernel was not asked for, and was skipped.
    pub(super) bad: u64,
    /// There is nothing more to read.
    pub(super) drained: bool,
}

impl TunBatch {
    pub(super) fn new() -> Self {
        Self {
            small: vec![0; BYTES + BUFFER].into_boxed_slice(),
            wholes: std::array::from_fn(|_| vec![0; BUFFER].into_boxed_slice()),
            read: Vec::with_capacity(PACKETS),
        }
    }

    /// Whether nothing was read.
    pub(super) fn is_empty(&self) -> bool {
        self.read.is_empty()
    }

    /// Reads until it is full, or there is no more.
    ///
    /// # Errors
    /// When the device is of no use any more.
    pub(super) fn fill(&mut self, tun: &TunDevice) -> io::Result<Filled> {
        let mut filled = Filled::default();
        let (mut used, mut bytes) = (0, 0);
        // The next buffer for a super-packet; small packets come where the last packet was small too.
        let mut whole = tun.offloads().tso.then_some(0);
        self.read.clear();
        // Small packets take their headers' room besides; behind `used` there is room for the largest one.
        while bytes.max(used) < BYTES && self.read.len() < PACKETS {
            let now_at = whole;
            let buffer = match whole {
                Some(i) => &mut self.wholes[i][..],
                None => &mut self.small[used..][..BUFFER],
            };
            match tun.read(buffer) {
                Ok((packet, offload)) => {
                    let start = tun.header_len() + if whole.is_some() { 0 } else { used };
                    let range = start..start + packet.len();
                    bytes += packet.len();
                    filled.packets += offload.packets(packet);
                    let large = packet.len() >= BUFFER / 2;
                    match whole {
                        Some(i) => whole = Some(i + 1).filter(|&i| large && i < WHOLES),
                        None => used = range.end,
                    }
                    self.read.push(Read { whole: now_at, range, offload });
                }
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    filled.drained = true;
                    break;
                }
                Err(e) if e.kind() == io::ErrorKind::InvalidData => filled.bad += 1,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    let name = tun.name();
                    let text = format!("reading from {name}: {e} (was the interface deleted?)");
                    return Err(io::Error::new(e.kind(), text));
                }
            }
        }
        filled.bytes = bytes as u64;
        Ok(filled)
    }

    /// Hands all of it to the endpoint, which may exchange buffers.
    pub(super) fn hand_over(&mut self, now: Time, endpoint: &mut Endpoint, out: &mut Outbox) {
        for Read { whole, range, offload } in self.read.drain(..) {
            if let Some(buffer) = whole.map(|i| &mut self.wholes[i]) {
                endpoint.handle_buffer(now, buffer, range, &offload, out);
            } else {
                endpoint.handle_packet(now, &mut self.small[range], &offload, out);
            }
        }
    }
}

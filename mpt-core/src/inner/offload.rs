//! What the kernel says beside an inner packet, and is told: checksums and segments.

use super::InnerPacket;

/// What is known of an inner packet's transport checksum.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Checksum {
    /// It is complete, and nobody vouches for it.
    #[default]
    Full,
    /// Only the pseudo header is summed up in it, as the kernel leaves it to a network card.
    Partial,
    /// It is complete, and the sender's kernel has verified it or made the packet itself.
    Valid,
}

/// Whether a packet stands for several.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Segments {
    /// It is one packet.
    #[default]
    One,
    /// TCP, to be cut into segments of this many bytes of payload.
    Tcp {
        /// Bytes of payload in each segment but the last.
        size: u16,
    },
    /// UDP, to be cut into datagrams of this many bytes of payload.
    Udp {
        /// Bytes of payload in each datagram but the last.
        size: u16,
    },
}

/// What the kernel says beside an inner packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Offload {
    /// The transport checksum.
    pub checksum: Checksum,
    /// Whether it is one packet or several.
    pub segments: Segments,
    /// Offset of the transport header where the checksum is partial; else not looked at.
    pub transport: u16,
}

impl Offload {
    /// How many packets `packet` stands for.
    #[must_use]
    pub fn packets(&self, packet: &[u8]) -> u64 {
        let (Segments::Tcp { size } | Segments::Udp { size }) = self.segments else { return 1 };
        let payload = packet.len().saturating_sub(self.header_len(packet));
        payload.div_ceil(usize::from(size.max(1))).max(1) as u64
    }

    /// Bytes of all headers of the super-packet `packet`.
    #[must_use]
    pub fn header_len(&self, packet: &[u8]) -> usize {
        let transport = match self.checksum {
            Checksum::Partial => usize::from(self.transport),
            _ => InnerPacket::parse(packet).map_or(0, |inner| inner.transport()),
        };
        match self.segments {
            Segments::Udp { .. } => transport + 8,
            _ => transport + packet.get(transport + 12).map_or(5, |b| usize::from(b >> 4)) * 4,
        }
    }
}

//! The 20 bytes in front of an inner packet.

use super::MessageType;
use crate::WorkerId;
use crate::inner::Checksum;
pub use crate::session::DATA_HEADER_LEN;

/// Flags of a data packet: the high four bits of its first byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HeaderFlags(u8);

impl HeaderFlags {
    /// No flags.
    pub const NONE: Self = Self(0);
    /// The inner transport checksum is not filled in.
    pub const PARTIAL_CHECKSUM: Self = Self(0x10);
    /// The sender's TUN device vouches for the inner transport checksum.
    pub const DATA_VALID: Self = Self(0x20);

    /// The flag that tells of this checksum.
    #[must_use]
    pub const fn of(checksum: Checksum) -> Self {
        match checksum {
            Checksum::Full => Self::NONE,
            Checksum::Partial => Self::PARTIAL_CHECKSUM,
            Checksum::Valid => Self::DATA_VALID,
        }
    }

    /// What the flags tell of the inner transport checksum.
    #[must_use]
    pub const fn checksum(self) -> Checksum {
        if self.contains(Self::PARTIAL_CHECKSUM) {
            Checksum::Partial
        } else if self.contains(Self::DATA_VALID) {
            Checksum::Valid
        } else {
            Checksum::Full
        }
    }

    /// So much is lost that nothing is sent again for now.
    pub const UNREPAIRED: Self = Self(0x40);

    /// These flags and `other`.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all flags of `other` are set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The header of a data packet, all of it authenticated.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DataHeader {
    /// Flags.
    pub flags: HeaderFlags,
    /// The sending worker, whose packet-number space this is.
    pub worker: WorkerId,
    /// Which seal of this packet number it is, 0 for the first; at most 15.
    pub copy: u8,
    /// When it was sent, in units of 100 µs of the sender's clock, wrapping every 6.5 s.
    pub send_time: u16,
    /// Receiver index: names session and path.
    pub index: u32,
    /// Low half of the packet number.
    pub pn: u32,
    /// How far back its predecessor in the same flow is; 0: it has none, 65 535: at least that far.
    pub distance: u16,
    /// The sender's paths on which packets may be in flight.
    pub open_paths: u16,
    /// Counts what the sender put on this path, from 1.
    pub sequence: u32,
}

impl DataHeader {
    /// Writes the header.
    ///
    /// # Panics
    /// When `out` is shorter than [`DATA_HEADER_LEN`].
    pub fn encode(&self, out: &mut [u8]) {
        let out = &mut out[..DATA_HEADER_LEN];
        out[0] = MessageType::Data.byte() | self.flags.0 & 0xf0;
        out[1] = self.worker.get() << 4 | self.copy & 0x0f;
        out[2..4].copy_from_slice(&self.send_time.to_be_bytes());
        out[4..8].copy_from_slice(&self.index.to_be_bytes());
        out[8..12].copy_from_slice(&self.pn.to_be_bytes());
        out[12..14].copy_from_slice(&self.distance.to_be_bytes());
        out[14..16].copy_from_slice(&self.open_paths.to_be_bytes());
        out[16..20].copy_from_slice(&self.sequence.to_be_bytes());
    }

    /// Reads the header of a data packet; `None` when it is none, or too short.
    #[must_use]
    pub fn decode(datagram: &[u8]) -> Option<Self> {
        let h: &[u8; DATA_HEADER_LEN] = datagram.first_chunk()?;
        if h[0] & 0x0f != MessageType::Data.byte() {
            return None;
        }
        let u16_at = |i: usize| u16::from_be_bytes([h[i], h[i + 1]]);
        let u32_at = |i: usize| u32::from_be_bytes([h[i], h[i + 1], h[i + 2], h[i + 3]]);
        Some(Self {
            flags: HeaderFlags(h[0] & 0xf0),
            worker: WorkerId::new(h[1] >> 4)?,
            copy: h[1] & 0x0f,
            send_time: u16_at(2),
            index: u32_at(4),
            pn: u32_at(8),
            distance: u16_at(12),
            open_paths: u16_at(14),
            sequence: u32_at(16),
        })
    }
}

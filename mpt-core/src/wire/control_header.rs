//! The 16 bytes in front of a control message.

use super::MessageType;
use crate::WorkerId;
pub use crate::session::{CONTROL_HEADER_LEN, CONTROL_TAG_LEN};

/// The header of a control datagram, all of it authenticated. The session writes index and counter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ControlHeader {
    /// What follows.
    pub kind: MessageType,
    /// The sending worker whose packets it is about; the first one where it is about none.
    pub worker: WorkerId,
    /// Receiver index: names session and path.
    pub index: u32,
    /// Counts the control datagrams of this session and path, from 1.
    pub counter: u64,
}

impl ControlHeader {
    /// The first two bytes of a message of this kind; the session writes the others.
    #[must_use]
    pub const fn head(kind: MessageType, worker: WorkerId) -> [u8; 2] {
        [kind.byte(), if kind.is_ordered() { worker.get() << 4 } else { 0 }]
    }

    /// Reads the header; `None` when it is none, or too short.
    #[must_use]
    pub fn decode(datagram: &[u8]) -> Option<Self> {
        let h: &[u8; CONTROL_HEADER_LEN] = datagram.first_chunk()?;
        let kind = MessageType::of(datagram)?;
        let worker = WorkerId::new(h[1] >> 4)?;
        let known = !kind.is_handshake() && kind != MessageType::Data;
        if !known || Self::head(kind, worker) != h[..2] || h[2..4] != [0; 2] {
            return None;
        }
        let index = u32::from_be_bytes([h[4], h[5], h[6], h[7]]);
        let counter = u64::from_be_bytes([h[8], h[9], h[10], h[11], h[12], h[13], h[14], h[15]]);
        Some(Self { kind, worker, index, counter })
    }
}

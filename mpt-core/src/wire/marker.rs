//! Short control messages: marker, pause and close.

use super::{Reader, Writer};
use crate::{PacketNumber, WorkerId};

/// Nothing more comes by this path until a data packet opens it again.
///
/// `worker u8 | epoch u16 | last packet number u64 | path sequence u32`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Marker {
    /// Whose packet numbers.
    pub worker: WorkerId,
    /// Which opening of the path this ends.
    pub epoch: u16,
    /// The last packet number given out, on any path.
    pub last_pn: PacketNumber,
    /// Its place in the path sequence; repeats have the same.
    pub seq: u32,
}

impl Marker {
    /// Writes it; the length, or `None` when there is no room.
    #[must_use]
    pub fn encode(&self, out: &mut [u8]) -> Option<usize> {
        let mut w = Writer::new(out);
        w.u8(self.worker.get())?;
        w.u16(self.epoch)?;
        w.u64(self.last_pn.0)?;
        w.u32(self.seq)?;
        Some(w.len())
    }

    /// Reads it.
    #[must_use]
    pub fn decode(message: &[u8]) -> Option<Self> {
        let mut r = Reader::new(message);
        Some(Self {
            worker: WorkerId::new(r.u8()?)?,
            epoch: r.u16()?,
            last_pn: PacketNumber(r.u64()?),
            seq: r.u32()?,
        })
    }
}

/// Nothing follows on this path just now: what has not come by this number of the path sequence is lost.
///
/// `worker u8 | path sequence u32`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pause {
    /// Whose path sequence.
    pub worker: WorkerId,
    /// Its own place there.
    pub seq: u32,
}

impl Pause {
    /// Writes it; the length, or `None` when there is no room.
    #[must_use]
    pub fn encode(&self, out: &mut [u8]) -> Option<usize> {
        let mut w = Writer::new(out);
        w.u8(self.worker.get())?;
        w.u32(self.seq)?;
        Some(w.len())
    }

    /// Reads it.
    #[must_use]
    pub fn decode(message: &[u8]) -> Option<Self> {
        let mut r = Reader::new(message);
        Some(Self { worker: WorkerId::new(r.u8()?)?, seq: r.u32()? })
    }
}

/// Why a session ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum CloseReason {
    /// The daemon stops.
    Shutdown = 1,
    /// Anything a later version knows.
    Other = 255,
}

/// Goodbye: `reason u8`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Close {
    /// Why.
    pub reason: CloseReason,
}

impl Close {
    /// Writes it; the length, or `None` when there is no room.
    #[must_use]
    pub fn encode(&self, out: &mut [u8]) -> Option<usize> {
        let mut w = Writer::new(out);
        w.u8(self.reason as u8)?;
        Some(w.len())
    }

    /// Reads it.
    #[must_use]
    pub fn decode(message: &[u8]) -> Option<Self> {
        let reason = match Reader::new(message).u8()? {
            1 => CloseReason::Shutdown,
            _ => CloseReason::Other,
        };
        Some(Self { reason })
    }
}

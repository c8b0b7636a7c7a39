//! What a [`Reorder`](super::Reorder) is given, what it may take, and what it says.

use crate::PacketNumber;
use crate::inner::Checksum;
use crate::repair::Repair;
use std::time::Duration;

/// Bounds on what a [`Reorder`](super::Reorder) may take.
#[derive(Clone, Copy, Debug)]
pub struct ReorderLimits {
    /// No packet waits longer for an earlier one.
    pub max_hold: Duration,
    /// Most slots of the ring: packet numbers between the oldest missing one and the newest. Rounded
    /// up to a power of two, 1 024 to 65 536.
    pub slots: usize,
    /// Most bytes held, besides the budget shared with others.
    pub held_bytes: usize,
    /// Whether the sender sends again what was lost.
    pub repair: Repair,
}

impl Default for ReorderLimits {
    fn default() -> Self {
        Self {
            max_hold: Duration::from_millis(500),
            slots: 1 << 16,
            held_bytes: 4 << 20,
            repair: Repair::Off,
        }
    }
}

/// A data packet's header as far as order needs it.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// The packet number, expanded by [`Reorder::highest`](super::Reorder::highest).
    pub pn: PacketNumber,
    /// How far back the predecessor is.
    pub distance: u16,
    /// The paths that were open.
    pub bitmap: u16,
    /// The number in the path sequence.
    pub seq: u32,
    /// When it was sent, in units of 100 µs of the sender's clock, wrapping.
    pub send_time: u16,
    /// 0 for the original, else a duplicate or a packet sent again.
    pub copy: u8,
    /// A copy that was sent with the original.
    pub duplicate: bool,
    /// What is known of the inner transport checksum; kept with a packet that is held.
    pub checksum: Checksum,
}

/// A packet that did not come, but was made from others.
#[derive(Clone, Copy, Debug)]
pub struct Remade {
    /// Its packet number.
    pub pn: PacketNumber,
    /// How far back the predecessor is.
    pub distance: u16,
    /// What is known of the inner transport checksum.
    pub checksum: Checksum,
}

/// What became of a packet that came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[must_use]
pub enum Disposition {
    /// Delivered at once, and who waited for it after it.
    Delivered,
    /// Waits for an earlier packet of its flow.
    Held,
    /// Delivered although it had been given up: out of order.
    Late,
    /// Delivered or held before, or so old that this is not known; dropped.
    Duplicate,
}

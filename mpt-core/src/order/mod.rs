//! Order restored: packet numbers, predecessors and open paths at the sender; extents, the frontier
//! and the ring at the receiver. State is per peer and sending worker.
//!
//! # Sender
//! [`Predecessors`] numbers every packet of a worker and tells how far back the *predecessor* is: the
//! packet before it in the same inner flow (or in a flow of the same hash bucket). [`OpenPaths`] knows
//! on which paths packets may still be under way, and writes that into every packet as a bitmap. A path
//! that carries nothing for a moment while others are open is *closing*: a [`Marker`] follows its last
//! packet, and once the receiver has confirmed it, the path's bit goes out.
//!
//! # Receiver
//! [`Reorder`] delivers a packet as soon as its predecessor is *resolved*: delivered or given up.
//! Otherwise it is *held*, linked to its predecessor's slot in a ring of slots by packet number. So a
//! loss in one flow never delays another, and the receiver keeps nothing per flow.
//!
//! When is a missing packet lost? Every path is FIFO up to its *extent*: the time by which packets of
//! that path were seen to come after newer ones. So a path *vouches* for everything up to the highest
//! number it brought at least one extent ago. A path whose bit is 0 in some packet vouches up to the
//! packet before that one. The *frontier* is the lowest number vouched for by the paths that are open
//! in the newest packet: whatever is missing at or below it is lost, and nothing has to wait for it
//! (the idea of RFC 1990, section 4.1, carried to paths that reorder). Giving up the missing numbers
//! up to the frontier, lowest first, resolves all numbers up to it: a held packet's predecessor is
//! always a lower number. Hence the ring needs only a *base* (everything below is resolved), and the
//! frontier's rule is "raise the base above it".
//!
//! The frontier needs no timer but where a path has an extent: then the next number matures by time
//! alone. A path that stalls stops the frontier; for that alone held packets have a *deadline*, which
//! is generous, and is only judged when all that had arrived was taken in.
//!
//! With repair ([`repair`](crate::repair)) a lost number is not given up at once: it is waited for within the
//! sender's round trip, and no longer than [`Patience`](crate::repair::Patience) says. Where the sender
//! abandons it, whoever waits for it is linked to its predecessor instead, and so is it itself if it comes after all;
//! a stalled path is waited for up to the longest hold, since the sender will notice. While the sender says that
//! it repairs nothing, for congestion, all is as without.
//!
//! Nothing held is ever dropped: where the ring or the memory is full, the oldest missing numbers are
//! given up, which releases who waits for them. What comes after it was given up is delivered late.

mod checkpoints;
mod clock_offset;
mod deadlines;
mod extent;
mod frontier;
mod held;
mod lost;
mod open_paths;
mod path_progress;
mod predecessor;
mod reorder;
mod ring;
#[cfg(test)]
mod tests;

pub(crate) use clock_offset::ClockOffset;
pub use held::HeldBudget;
pub use open_paths::{Marker, OpenPaths};
pub use path_progress::PathProgress;
pub use predecessor::Predecessors;
pub use reorder::{Arrival, Disposition, Remade, Reorder, ReorderLimits};

/// A predecessor distance that saturated: the predecessor is at least this far back, and the packet
/// may be delivered once all numbers up to this far back are resolved.
pub const DISTANCE_SATURATED: u16 = u16::MAX;

/// The paths whose bits are set.
pub(crate) fn paths_in(mut bitmap: u16) -> impl Iterator<Item = crate::PathId> {
    std::iter::from_fn(move || {
        // 16 when no bit is left, which is no path.
        let path = crate::PathId::new(bitmap.trailing_zeros() as u8)?;
        bitmap &= bitmap - 1;
        Some(path)
    })
}

//! Nothing is lost with a path: what did not arrive is sent again while it is still worth something.
//!
//! # Receiver
//! Every datagram with data has its number in its path's sequence, copies and markers too. [`Gaps`] knows
//! which numbers of each path have not come. On a path that is FIFO up to its reordering extent, a gap that
//! is older than this extent is a loss, whatever the other paths do: no frontier and no timer. Reports tell
//! the gaps, at once when there is a new one and again for a while. (A list of packet numbers would have
//! a hole for every packet that is under way on a slower path.)
//!
//! A loss before a pause would be seen after it only: on paths that lose packets [`Pauses`] has something follow.
//!
//! # Sender
//! [`SentStore`] keeps what was sent as it was read: single packets in chunks of memory, super-packets in the very
//! buffers that TUN filled; a [`Flight`] for each path knows
//! which packet had which number of its sequence. A report settles the front of each flight, in order:
//! arrived, or lost. What is lost goes out again by the best other path with the next *copy* number, if it can
//! arrive within the receiver's patience and the [`Budget`] allows it, or is *abandoned*: the receiver is
//! told, with the packet's own distance, and whoever waits for it waits for its predecessor instead. The
//! copy is in a flight as well, so a lost copy is found as quickly.
//!
//! A path that is suspected, down or without a local end reports nothing more. All of its flight that is not
//! known to have arrived is *rescued*: small packets first, then the oldest, as that is who everybody waits for, at a pace
//! above that of all traffic, which the workers share, and apart from the budget, for it is no congestion; what is too old by its
//! turn is abandoned. While no other path works, it waits for one; and what reports find lost, when the path is heard again, of all that it was
//! sent until then, is rescued as well.
//!
//! While a long queue stands, losses are left to the flows, one at a time, so that those which slow down for losses
//! do: see [`Yielding`].
//!
//! *Missing*, *lost* and *given up* are three states at the receiver: see [`order`](crate::order).

mod budget;
mod chunks;
mod flight;
mod gaps;
mod handling;
mod large_loss;
mod pace;
mod patience;
mod pauses;
mod repairer;
mod sent;
mod sent_store;
mod stranded;
mod whole;
mod yielding;

pub use budget::Budget;
pub use flight::{Fate, Flight};
pub use gaps::{Gap, Gaps, Novelty};
pub use handling::Handling;
pub use large_loss::LargeLoss;
pub use pace::{Load, Pace};
pub use patience::Patience;
pub use pauses::Pauses;
pub use repairer::{Repairer, Step};
pub use sent::Sent;
pub use sent_store::{Content, Kept, SentStore, Stored};
pub use stranded::Stranded;
pub use whole::Segment;
pub use yielding::Yielding;

/// Whether what is lost is sent again.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Repair {
    /// Both ends do their part.
    On,
    /// It is given up.
    #[default]
    Off,
}

/// Packets of at most so many bytes are small: those of calls, games and queries.
pub const SMALL: usize = 400;

/// Both ends repair: a capability in the handshake's hello.
pub const CAPABILITY: u32 = 1;

/// Both ends know messages of pauses.
pub const PAUSES_CAPABILITY: u32 = 16;

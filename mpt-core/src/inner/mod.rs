//! The inner packets: their addresses, flows, ECN and DSCP fields and TCP MSS.
//!
//! Everything here works on bytes that somebody else made, so every length is checked before it is used,
//! and whatever does not look right is left as it is or refused.

mod candidate;
mod checksum;
mod ecn;
mod flow;
mod merge;
mod mss;
mod offload;
mod packet;
mod split;

pub use checksum::{NoChecksum, complete_checksum, transport_checksum_at};
pub use ecn::{Capability, decapsulate_ecn, mark_congestion};
pub use flow::{FlowHasher, answers_are_known};
pub use merge::{Emit, HEADROOM, Merger};
pub use mss::{MssLimit, clamp_mss};
pub use offload::{Checksum, Offload, Segments};
pub use packet::{InnerPacket, NotIp, Version};
pub use split::{BadSuperPacket, Split};

#[cfg(test)]
mod tests;

//! The inner packets: their addresses, flows, ECN and DSCP fields and TCP MSS.
//!
//! Everything here works on bytes that somebody else made, so every length is checked before it is used,
//! and whatever does not look right is left as it is or refused.

mod checksum;
mod ecn;
mod flow;
mod mss;
mod packet;

pub use ecn::decapsulate_ecn;
pub use flow::FlowHasher;
pub use mss::{MssLimit, clamp_mss};
pub use packet::{InnerPacket, NotIp, Version};

#[cfg(test)]
mod tests;

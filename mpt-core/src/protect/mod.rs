//! Forward error correction for packets that a policy protects, and for those of paths that lose some at random.
//!
//! # Sender
//! [`Protector`] gathers the protected packets of a worker in blocks of up to eight packets, or of what comes
//! within 20 ms. Of each block it sends one *parity*, the exclusive or of all of its packets, by another path than
//! most of them took. That costs an eighth more bytes, and no round trip when a packet is lost. One of packets that fill
//! the MTU goes in two pieces.
//!
//! # Receiver
//! [`Recoverer`] keeps the protected packets of the last moment as they came, 1 024 of them or 512 KiB a worker, and
//! the last few parities. As soon as all packets of a block but one are here, that one is made from them: it
//! may have been lost, or be under way on a slower path. It takes its place in the order like any other; if it
//! comes itself later, it is a duplicate.

mod block;
mod protector;
mod recent;
mod recoverer;
mod spares;

pub use block::{BLOCK_PACKETS, BLOCK_TIME, Block, Cost};
pub use protector::Protector;
pub use recent::RecentPackets;
pub use recoverer::{Recovered, Recoverer};

/// Both ends know parity: a capability in the handshake's hello.
pub const CAPABILITY: u32 = 2;

/// Both ends know pieces of it, and keep enough to make use of it at the rate of a path.
pub const PIECES_CAPABILITY: u32 = 8;

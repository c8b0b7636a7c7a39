//! A TCP in virtual time as a kernel's is: a window, clocked by ACKs, and nothing paced.
//!
//! Whatever an ACK frees leaves at once, in bursts, which quinn never does. [`Bulk`] is one such flow without end, [`Web`]
//! short connections one after another; both are [`Host`](super::world::Host)s. Their packets are IPv4 and TCP with the
//! options that Linux uses, so that the tunnel sees flows, answers and the MSS of a connection.
//!
//! The sender: CUBIC (RFC 9438) with an initial window of ten, slow start left when delay rises (HyStart, of Linux the half
//! that looks at delay), loss by SACK and time (RACK-TLP, RFC 8985), fast recovery at a proportional rate (PRR, RFC
//! 6937), retransmission timeouts (RFC 6298), and reductions undone that timestamps prove wrong (Eifel, RFC 4015). The
//! receiver: every second segment answered, or after 40 ms, at once around gaps, with three blocks of SACK. Its
//! window has no limit. Not there: segmentation offload and GRO, small queues, ECN.

mod bulk;
mod connection;
mod cubic;
mod hystart;
mod receiver;
mod round_trip;
mod scoreboard;
mod segment;
mod sender;
mod web;

#[cfg(test)]
mod tests;

pub use bulk::Bulk;
pub use web::{Fetched, Web};

//! A host behind the ends, with protocols of its own.

use mpt_core::Time;

/// Sends inner packets into the world and takes what comes out of it.
pub trait Host {
    /// A packet came out at `end`; whether it was for this host.
    fn receive(&mut self, now: Time, end: usize, packet: &[u8]) -> bool;

    /// When it wants to send, or to be asked.
    fn next(&mut self) -> Option<Time>;

    /// Writes a packet that is to be sent now; at which end.
    fn poll(&mut self, now: Time, packet: &mut Vec<u8>) -> Option<usize>;
}

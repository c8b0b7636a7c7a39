//! Where inner packets go.

use crate::PeerId;
use crate::inner::Checksum;

/// Takes the inner packets an [`Endpoint`](crate::Endpoint) gives back, in the order in which they
/// are to be written to the TUN device.
pub trait Deliver {
    /// One inner IP packet from `peer`. ECN marks of the outer packet are already folded in. The
    /// slice is only valid during the call. `checksum` says what is known of its transport checksum.
    fn deliver(&mut self, peer: PeerId, packet: &[u8], checksum: Checksum);
}

impl<F: FnMut(PeerId, &[u8])> Deliver for F {
    fn deliver(&mut self, peer: PeerId, packet: &[u8], _: Checksum) {
        self(peer, packet);
    }
}

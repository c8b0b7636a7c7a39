//! What is asked of all peers at once, side by side: a hub has a thousand, and a peer is kilobytes.

use crate::PeerId;
use crate::peer::Peer;

/// A glance at each peer, as it was at the end of the last batch that had to do with it.
#[derive(Debug, Default)]
pub(super) struct Glances {
    /// The largest inner packet that all its paths carry.
    inner_mtu: Vec<Option<u16>>,
    /// The index under which the response to its attempt comes.
    attempt: Vec<Option<u32>>,
}

impl Glances {
    /// Looks at a peer.
    pub(super) fn note(&mut self, peer: &Peer) {
        let i = peer.id().0 as usize;
        if self.attempt.len() <= i {
            self.inner_mtu.resize(i + 1, None);
            self.attempt.resize(i + 1, None);
        }
        self.inner_mtu[i] = peer.inner_mtu();
        self.attempt[i] = peer.attempt_index();
    }

    /// The largest inner packet that fits all paths of all peers.
    pub(super) fn least_mtu(&self) -> Option<u16> {
        self.inner_mtu.iter().flatten().copied().min()
    }

    /// Who waits for a response with this index, or waited for it.
    pub(super) fn attempt(&self, index: u32) -> Option<PeerId> {
        let i = self.attempt.iter().position(|&a| a == Some(index))?;
        Some(PeerId(i as u32))
    }
}

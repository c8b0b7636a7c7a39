//! Memory for packets that wait.

use crate::inner::Checksum;
use crate::{PathId, Time};

/// What held packets may take in total, over all peers; shared by passing it to every call.
#[derive(Clone, Copy, Debug)]
pub struct HeldBudget {
    limit: usize,
    used: usize,
}

impl HeldBudget {
    /// A budget of `limit` bytes, all free.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { limit, used: 0 }
    }

    /// Bytes held now.
    #[must_use]
    pub const fn used(&self) -> usize {
        self.used
    }

    const fn fits(&self, bytes: usize) -> bool {
        bytes <= self.limit.saturating_sub(self.used)
    }
}

/// The held packets of one ring, copied into buffers that are used again.
#[derive(Debug)]
pub(super) struct HeldStore {
    entries: Vec<Held>,
    free: Vec<u32>,
    budget: HeldBudget,
    peak: usize,
}

#[derive(Debug)]
pub(super) struct Held {
    pub(super) packet: Vec<u8>,
    pub(super) checksum: Checksum,
    pub(super) since: Time,
    pub(super) path: PathId,
}

impl HeldStore {
    pub(super) const fn new(limit: usize) -> Self {
        Self { entries: Vec::new(), free: Vec::new(), budget: HeldBudget::new(limit), peak: 0 }
    }

    /// Packets held now.
    pub(super) const fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Bytes held now.
    pub(super) const fn bytes(&self) -> usize {
        self.budget.used
    }

    /// Most bytes ever held.
    pub(super) const fn peak(&self) -> usize {
        self.peak
    }

    /// Whether buffers are kept for later.
    pub(super) const fn has_spare(&self) -> bool {
        !self.free.is_empty()
    }

    pub(super) const fn fits(&self, bytes: usize, total: &HeldBudget) -> bool {
        self.budget.fits(bytes) && total.fits(bytes)
    }

    /// Copies a packet that [fits](Self::fits); the number returned stands for it.
    pub(super) fn put(
        &mut self,
        since: Time,
        path: PathId,
        packet: &[u8],
        checksum: Checksum,
        total: &mut HeldBudget,
    ) -> u32 {
        self.budget.used += packet.len();
        total.used += packet.len();
        self.peak = self.peak.max(self.budget.used);
        if let Some(i) = self.free.pop() {
            let held = &mut self.entries[i as usize];
            held.packet.clear();
            held.packet.extend_from_slice(packet);
            (held.since, held.path, held.checksum) = (since, path, checksum);
            i
        } else {
            self.entries.push(Held { packet: packet.to_vec(), checksum, since, path });
            (self.entries.len() - 1) as u32
        }
    }

    pub(super) fn get(&self, i: u32) -> &Held {
        &self.entries[i as usize]
    }

    /// The packet is not needed any more; its buffer is kept.
    pub(super) fn release(&mut self, i: u32, total: &mut HeldBudget) {
        let bytes = self.entries[i as usize].packet.len();
        self.budget.used -= bytes;
        total.used = total.used.saturating_sub(bytes);
        self.free.push(i);
    }

    /// Gives back the buffers, when nothing is held.
    pub(super) fn trim(&mut self) {
        if self.len() == 0 {
            self.entries = Vec::new();
            self.free = Vec::new();
        }
    }
}

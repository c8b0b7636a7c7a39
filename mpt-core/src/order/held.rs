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
    /// Bytes of all buffers, the free ones too.
    buffers: usize,
    peak: usize,
}

/// What a packet counts for beside its bytes: however short it is, its place here takes as much.
const PLACE: usize = 64;
const _: () = assert!(size_of::<Held>() + size_of::<u32>() <= PLACE);

#[derive(Debug)]
pub(super) struct Held {
    pub(super) packet: Vec<u8>,
    pub(super) checksum: Checksum,
    pub(super) since: Time,
    pub(super) path: PathId,
}

impl HeldStore {
    pub(super) const fn new(limit: usize) -> Self {
        let budget = HeldBudget::new(limit);
        Self { entries: Vec::new(), free: Vec::new(), budget, buffers: 0, peak: 0 }
    }

    /// Not more than `limit` bytes are held from now on.
    pub(super) const fn set_limit(&mut self, limit: usize) {
        self.budget.limit = limit;
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
        self.budget.fits(bytes + PLACE) && total.fits(bytes + PLACE)
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
        let bytes = packet.len() + PLACE;
        self.budget.used += bytes;
        total.used += bytes;
        self.peak = self.peak.max(self.budget.used);
        if let Some(i) = self.free.pop() {
            let held = &mut self.entries[i as usize];
            let before = held.packet.capacity();
            held.packet.clear();
            held.packet.extend_from_slice(packet);
            (held.since, held.path, held.checksum) = (since, path, checksum);
            self.buffers += held.packet.capacity() - before;
            i
        } else {
            self.buffers += packet.len();
            self.entries.push(Held { packet: packet.to_vec(), checksum, since, path });
            (self.entries.len() - 1) as u32
        }
    }

    pub(super) fn get(&self, i: u32) -> &Held {
        &self.entries[i as usize]
    }

    /// The packet is not needed any more; its buffer is kept, unless all of them are larger than what may be held: a small packet may
    /// have the buffer of a large one.
    pub(super) fn release(&mut self, i: u32, total: &mut HeldBudget) {
        let packet = &mut self.entries[i as usize].packet;
        let bytes = packet.len() + PLACE;
        self.budget.used -= bytes;
        total.used = total.used.saturating_sub(bytes);
        if self.buffers > self.budget.limit {
            self.buffers -= packet.capacity();
            *packet = Vec::new();
        }
        self.free.push(i);
    }

    /// Gives back the buffers, when nothing is held.
    pub(super) fn trim(&mut self) {
        if self.len() == 0 {
            self.entries = Vec::new();
            self.free = Vec::new();
            self.buffers = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_that_grow_while_others_hold_small_packets_are_given_back() {
        const LIMIT: usize = 1 << 20;
        let (mut store, mut total) = (HeldStore::new(LIMIT), HeldBudget::new(4 * LIMIT));
        let put = |store: &mut HeldStore, total: &mut HeldBudget, len: usize| {
            let path = PathId::new(0).unwrap();
            store
                .fits(len, total)
                .then(|| store.put(Time::ZERO, path, &vec![0; len], Checksum::Full, total))
        };
        let mut small: Vec<u32> = Vec::new();
        while let Some(i) = put(&mut store, &mut total, 0) {
            small.push(i);
        }
        assert_eq!(small.len(), LIMIT / PLACE, "the emptiest packet counts");
        // One after the other makes room for a large one, and comes back into its buffer.
        for i in 0..small.len() {
            let freed: Vec<u32> = small.drain(..24 + i % 9).collect();
            freed.into_iter().for_each(|i| store.release(i, &mut total));
            let large = put(&mut store, &mut total, 1_400).unwrap();
            store.release(large, &mut total);
            while let Some(i) = put(&mut store, &mut total, 0) {
                small.push(i);
            }
            assert!(store.buffers <= 2 * LIMIT, "{}", store.buffers);
        }
        small.into_iter().for_each(|i| store.release(i, &mut total));
        assert_eq!((total.used(), store.bytes()), (0, 0));
    }
}

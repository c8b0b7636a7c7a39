//! Slots by packet number.

/// Slots of a new ring: 24 KiB.
const FIRST_SLOTS: usize = 1024;

const _: () = assert!(FIRST_SLOTS * size_of::<Slot>() <= 24 * 1_024);

/// Slots of the largest ring: 1.5 MiB.
const MOST_SLOTS: usize = 1 << 16;

const _: () = assert!(MOST_SLOTS * size_of::<Slot>() <= 1_536 * 1_024);

// Within a slot, distances in the ring are 16 bits.
const _: () = assert!(MOST_SLOTS - 1 <= u16::MAX as usize);

/// So many steps are taken to find the place of a packet that comes though it was skipped, or of one behind such. Late
/// packets of a FIFO path need one or two; nobody is to make us walk for each packet.
const MOST_STEPS: usize = 64;

/// What is known of a packet number in the ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum State {
    /// It has not come.
    #[default]
    Unseen,
    /// It waits, kept under this number in the store of held packets.
    Held(u32),
    Delivered,
    GivenUp,
    /// Given up on the sender's word, which told its predecessor: who waits for this one waits for that.
    Skipped,
}

/// The packet numbers from `base` (the lowest not resolved) to `head` (the highest that came), with
/// some memory of those below.
///
/// A slot belongs to the number that stands in it, so moving on needs no clearing. Packets that wait
/// for the same predecessor are a list: the predecessor's slot has the distance to the first, each
/// slot the distance from the predecessor to the next one. The lowest comes first: where several of a flow wait for
/// one, as packets between were skipped, they are delivered in their order.
#[derive(Debug)]
pub(super) struct Ring {
    slots: Box<[Slot]>,
    cap: usize,
    base: u64,
    head: u64,
    /// Numbers from here on were not overwritten.
    known_from: u64,
    /// Numbers between base and head that are unseen.
    gaps: u64,
    /// From the lowest to the highest of those that came though they had been skipped; none when the base is above.
    returned: (u64, u64),
}

/// Nobody came who had been skipped.
const NONE_RETURNED: (u64, u64) = (u64::MAX, 0);

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    pn: u64,
    state: State,
    /// How far back the predecessor is, of a held packet or one that is skipped.
    distance: u16,
    /// Of one that is skipped: how far back the first is that was not, when that was looked up.
    jump: u16,
    /// How far ahead the first packet is that waits for this one; 0 when none does.
    waiters: u16,
    /// How far ahead *of the predecessor* the next packet is that waits for it too.
    next: u16,
}

impl Ring {
    /// An empty ring of at most `cap` slots, rounded to a power of two from 1 024 to 65 536.
    pub(super) fn new(cap: usize) -> Self {
        let cap = cap.clamp(FIRST_SLOTS, MOST_SLOTS).next_power_of_two();
        Self {
            slots: vec![Slot::default(); FIRST_SLOTS].into_boxed_slice(),
            cap,
            base: 1,
            head: 0,
            known_from: 1,
            gaps: 0,
            returned: NONE_RETURNED,
        }
    }

    /// The lowest number that is not resolved.
    pub(super) const fn base(&self) -> u64 {
        self.base
    }

    /// The highest number that came; 0 before the first.
    pub(super) const fn head(&self) -> u64 {
        self.head
    }

    pub(super) const fn cap(&self) -> u64 {
        self.cap as u64
    }

    pub(super) const fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Numbers that are missing so far.
    pub(super) const fn gaps(&self) -> u64 {
        self.gaps
    }

    pub(super) fn state(&self, pn: u64) -> State {
        let slot = &self.slots[self.index(pn)];
        if slot.pn == pn { slot.state } else { State::Unseen }
    }

    pub(super) fn is_resolved(&self, pn: u64) -> bool {
        let pn = self.behind_skipped(pn);
        pn < self.base || matches!(self.state(pn), State::Delivered | State::GivenUp)
    }

    /// The number that stands for `pn`: itself, or the predecessor of those that are skipped; 0 when they
    /// have none.
    pub(super) fn behind_skipped(&self, mut pn: u64) -> u64 {
        let (lowest, highest) = self.returned;
        let mut steps = 0;
        while pn >= self.base && self.state(pn) == State::Skipped {
            let slot = &self.slots[self.index(pn)];
            let far = pn.saturating_sub(u64::from(slot.jump));
            // Who came in between may be who it has to wait for.
            let careful = pn > lowest && far < highest && steps < MOST_STEPS;
            pn = match slot.distance {
                0 => 0,
                distance if careful => pn.saturating_sub(u64::from(distance)),
                _ => far,
            };
            steps += usize::from(careful);
        }
        pn
    }

    /// Whether a number that is resolved was delivered; nothing when that is forgotten.
    pub(super) fn was_delivered(&self, pn: u64) -> Option<bool> {
        let known = pn >= self.known_from;
        // A slot still unseen below the base: the base went past it.
        known.then(|| self.state(pn) == State::Delivered)
    }

    /// `pn`, not below the base and less than `cap` above it, came for the first time.
    pub(super) fn on_arrival(&mut self, pn: u64) {
        if pn <= self.head {
            self.gaps -= 1;
            return;
        }
        self.grow(pn);
        let end = self.head.max(self.base - 1);
        self.gaps += pn - end - 1;
        self.head = pn;
        let forgotten = (pn + 1).saturating_sub(self.slots.len() as u64);
        self.known_from = self.known_from.max(forgotten);
    }

    /// Sets what is known of `pn`; who waits for it stays.
    pub(super) fn set(&mut self, pn: u64, state: State) {
        self.slot(pn).state = state;
    }

    /// An unseen number is given up.
    pub(super) fn give_up(&mut self, pn: u64) {
        self.gaps -= 1;
        self.set(pn, State::GivenUp);
    }

    /// The unseen `pn` is given up, and whoever waits for it waits for the number `distance` before it, if
    /// that is still to come; else says so, and who waits may be taken.
    pub(super) fn skip(&mut self, pn: u64, distance: u16) -> bool {
        self.gaps -= 1;
        let slot = self.slot(pn);
        slot.state = State::Skipped;
        (slot.distance, slot.jump) = (distance, distance);
        let instead = self.behind_skipped(pn);
        // Past those skipped before it: chains would be walked again and again. Out of the ring: whatever is there is
        // resolved, as far back as it says now.
        if let Ok(distance) = u16::try_from(pn - instead)
            && instead > 0
        {
            self.slot(pn).jump = distance;
        }
        if self.is_resolved(instead) {
            return true;
        }
        while let Some(waiter) = self.take_waiter(pn) {
            let State::Held(held) = self.state(waiter) else { continue };
            // Within the ring, so 16 bits are enough.
            self.wait(waiter, (waiter - instead) as u16, held);
        }
        false
    }

    /// `pn`, which was skipped, came after all, and is to wait.
    pub(super) fn unskip(&mut self, pn: u64) {
        debug_assert_eq!(self.state(pn), State::Skipped);
        self.gaps += 1;
        self.set(pn, State::Unseen);
        let (lowest, highest) = self.returned;
        self.returned = (lowest.min(pn), highest.max(pn));
    }

    /// `pn` waits for the number `distance` before it.
    pub(super) fn wait(&mut self, pn: u64, distance: u16, held: u32) {
        let predecessor = pn - u64::from(distance);
        let mut next = self.slot(predecessor).waiters;
        let mut before = None;
        for _ in 0..MOST_STEPS {
            if next == 0 || next > distance {
                break;
            }
            let lower = predecessor + u64::from(next);
            next = self.slots[self.index(lower)].next;
            before = Some(lower);
        }
        match before {
            None => self.slot(predecessor).waiters = distance,
            Some(lower) => self.slot(lower).next = distance,
        }
        let slot = self.slot(pn);
        slot.state = State::Held(held);
        slot.distance = distance;
        slot.next = next;
    }

    /// Takes a packet out of those that wait for `pn`.
    pub(super) fn take_waiter(&mut self, pn: u64) -> Option<u64> {
        let slot = &self.slots[self.index(pn)];
        if slot.pn != pn || slot.waiters == 0 {
            return None;
        }
        let waiter = pn + u64::from(slot.waiters);
        let next = std::mem::take(&mut self.slot(waiter).next);
        self.slot(pn).waiters = next;
        Some(waiter)
    }

    /// For what `pn`, which is or was held, waits or waited.
    pub(super) fn predecessor(&self, pn: u64) -> u64 {
        pn - u64::from(self.slots[self.index(pn)].distance)
    }

    /// Moves the base over what is resolved.
    pub(super) fn advance(&mut self) {
        while self.base <= self.head && self.is_resolved(self.base) {
            self.base += 1;
        }
        if self.base > self.returned.1 {
            self.returned = NONE_RETURNED;
        }
    }

    /// Resolves all numbers below `base`, of which none is held.
    pub(super) fn jump(&mut self, base: u64) {
        self.base = base;
        self.head = self.head.max(base - 1);
        self.gaps = 0;
        self.returned = NONE_RETURNED;
    }

    const fn index(&self, pn: u64) -> usize {
        pn as usize & (self.slots.len() - 1)
    }

    fn slot(&mut self, pn: u64) -> &mut Slot {
        let slot = &mut self.slots[pn as usize & (self.slots.len() - 1)];
        if slot.pn != pn {
            *slot = Slot { pn, ..Slot::default() };
        }
        slot
    }

    /// Doubles the slots until the ring reaches from its base to `pn`.
    fn grow(&mut self, pn: u64) {
        let wanted = (pn - self.base + 1) as usize;
        if wanted <= self.slots.len() {
            return;
        }
        let size = wanted.next_power_of_two().min(self.cap);
        let old = std::mem::replace(&mut self.slots, vec![Slot::default(); size].into());
        for slot in old {
            let new = &mut self.slots[slot.pn as usize & (size - 1)];
            // Where an outdated slot falls on a newer one, the newer one counts.
            if slot.pn > new.pn {
                *new = slot;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiters_survive_growth() {
        let mut ring = Ring::new(4096);
        for pn in [10, 20, 30] {
            ring.on_arrival(pn);
            ring.wait(pn, (pn - 5) as u16, pn as u32);
        }
        assert_eq!(ring.gaps(), 27);
        ring.on_arrival(3_000);
        assert_eq!(ring.slots(), 4096);
        let mut got: Vec<_> = std::iter::from_fn(|| ring.take_waiter(5)).collect();
        got.sort_unstable();
        assert_eq!(got, [10, 20, 30]);
        assert_eq!(ring.state(20), State::Held(20));
        assert_eq!(ring.predecessor(20), 5);
    }

    #[test]
    fn who_waits_for_a_skipped_number_waits_for_its_predecessor() {
        let mut ring = Ring::new(1024);
        for pn in [10, 11] {
            ring.on_arrival(pn);
            ring.wait(pn, (pn - 8) as u16, pn as u32);
        }
        assert!(!ring.skip(8, 3), "5 is missing");
        assert!(!ring.is_resolved(8) && ring.take_waiter(8).is_none());
        assert_eq!((ring.predecessor(10), ring.predecessor(11), ring.gaps()), (5, 5, 8));
        assert!(!ring.skip(5, 3), "2 is missing");
        assert_eq!((ring.behind_skipped(8), ring.predecessor(11)), (2, 2));
        assert!(ring.skip(2, 0), "it has no predecessor");
        assert!(ring.is_resolved(8) && ring.is_resolved(5) && ring.is_resolved(2));
        let mut got: Vec<_> = std::iter::from_fn(|| ring.take_waiter(2)).collect();
        got.sort_unstable();
        assert_eq!(got, [10, 11]);
    }

    #[test]
    fn remembers_what_was_delivered_as_long_as_it_was_not_overwritten() {
        let mut ring = Ring::new(1024);
        for pn in 1..=2_000 {
            ring.on_arrival(pn);
            ring.set(pn, State::Delivered);
            ring.advance();
        }
        assert_eq!(ring.base(), 2_001);
        assert_eq!(ring.was_delivered(2_000), Some(true));
        assert_eq!(ring.was_delivered(977), Some(true));
        assert_eq!(ring.was_delivered(976), None);
        ring.jump(2_003);
        assert_eq!(ring.was_delivered(2_002), Some(false));
    }
}

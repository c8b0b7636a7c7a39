//! Where a packet goes that came: on to its flow, among the held ones, or nowhere.

use super::{Arrival, Cause, Disposition, Exit, PATIENCE, Reorder};
use crate::inner::Checksum;
use crate::order::held::HeldBudget;
use crate::order::ring::State;
use crate::repair::Repair;
use crate::{PathId, Time};
use std::time::Duration;

impl Reorder {
    /// Delivers the packet, and who waited for it, or holds it.
    pub(super) fn place(
        &mut self,
        now: Time,
        path: PathId,
        arrival: Arrival,
        packet: &[u8],
        budget: &mut HeldBudget,
        deliver: &mut dyn FnMut(&[u8], Checksum),
    ) -> Disposition {
        let pn = arrival.pn.0;
        if self.ring.is_resolved(pn) {
            return self.on_resolved(arrival, packet, deliver);
        }
        if matches!(self.ring.state(pn), State::Held(_)) {
            return self.on_duplicate();
        }
        let mut exit = Exit { now, budget, deliver };
        self.make_room(pn, &mut exit);
        let skipped = self.ring.state(pn) == State::Skipped;
        if skipped {
            // It comes after all, while its flow waits for its predecessor: it has its place there.
            self.ring.unskip(pn);
            self.stats.given_up = self.stats.given_up.saturating_sub(1);
        }
        self.note_repair(now, arrival);
        self.ring.on_arrival(pn);

        if let Some(distance) = self.must_wait(pn, arrival.distance, packet.len(), &mut exit) {
            self.hold(path, Arrival { distance, ..arrival }, packet, &mut exit);
            return Disposition::Held;
        }
        if skipped {
            // Room was made by giving up who it was to wait for, and its flow has gone on.
            self.stats.given_up += 1;
            self.ring.set(pn, State::GivenUp);
            let disposition = self.on_resolved(arrival, packet, exit.deliver);
            self.ring.advance();
            return disposition;
        }
        (exit.deliver)(packet, arrival.checksum);
        self.stats.direct += 1;
        self.ring.set(pn, State::Delivered);
        self.release_waiters(pn, None, &mut exit);
        self.ring.advance();
        Disposition::Delivered
    }

    fn on_resolved(
        &mut self,
        arrival: Arrival,
        packet: &[u8],
        deliver: &mut dyn FnMut(&[u8], Checksum),
    ) -> Disposition {
        let pn = arrival.pn.0;
        match self.ring.was_delivered(pn) {
            Some(true) => return self.on_duplicate(),
            // Given up because it took too long: by now its flow has gone on. It did not wait for a duplicate,
            // which is as late as its path, nor does a packet without order.
            Some(false) if arrival.copy > 0 && !arrival.duplicate && arrival.distance != 0 => {
                self.stats.repaired_late += 1;
                return self.on_duplicate();
            }
            Some(false) => self.ring.set(pn, State::Delivered),
            // Forgotten. An original comes once; when copies are about, one may have been delivered.
            None if self.copies || arrival.copy != 0 => return self.on_duplicate(),
            None => {}
        }
        deliver(packet, arrival.checksum);
        self.stats.late += 1;
        Disposition::Late
    }

    /// Raises the base until the ring reaches up to `pn`.
    fn make_room(&mut self, pn: u64, exit: &mut Exit<'_>) {
        let (head, cap) = (self.ring.head(), self.ring.cap());
        if pn - self.ring.base() < cap {
            return;
        }
        self.give_up_through(head.min(pn - cap), Cause::Full, exit);
        if pn - head > cap {
            // So many at once are not late but gone.
            self.stats.given_up += pn - head - 1;
            self.ring.jump(pn);
        }
    }

    /// How far back the packet is that `pn` has to wait for, if it has to. Raises the base until the packet
    /// may be held; where all memory is with others it must not wait.
    fn must_wait(
        &mut self,
        pn: u64,
        distance: u16,
        bytes: usize,
        exit: &mut Exit<'_>,
    ) -> Option<u16> {
        let predecessor = pn.saturating_sub(u64::from(distance));
        if distance == 0 || predecessor == 0 {
            return None;
        }
        while !self.ring.is_resolved(predecessor) {
            if self.held.fits(bytes, exit.budget) {
                return Some((pn - self.ring.behind_skipped(predecessor)) as u16);
            }
            if self.held.len() == 0 {
                self.stats.released_full += 1;
                return None;
            }
            self.give_up_through(self.ring.base(), Cause::Full, exit);
        }
        None
    }

    fn hold(&mut self, path: PathId, arrival: Arrival, packet: &[u8], exit: &mut Exit<'_>) {
        let (pn, distance) = (arrival.pn.0, arrival.distance);
        let held = self.held.put(exit.now, path, packet, arrival.checksum, exit.budget);
        self.ring.wait(pn, distance, held);
        self.deadlines.push(path, exit.now + self.hold_limit(path), pn);
        self.last_held = exit.now;
        self.stats.held += 1;
    }

    /// With repair a stalled path is waited for as long as may be: the sender notices and sends what was
    /// under way there by another one, or says that it does not.
    fn hold_limit(&self, path: PathId) -> Duration {
        if self.limits.repair == Repair::On {
            return self.limits.max_hold;
        }
        let own = &self.paths[path.index()];
        let behind = (self.slowest - own.relative_delay()).clamp(0.0, 1e9);
        let wait = Duration::from_micros(behind as u64).max(own.extent()) + PATIENCE;
        wait.min(self.limits.max_hold)
    }
}

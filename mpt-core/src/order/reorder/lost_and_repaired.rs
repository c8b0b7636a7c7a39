//! What is lost and waited for, what came by repair, and what the sender abandoned.

use super::{Arrival, Cause, Exit, Reorder};
use crate::order::ring::State;
use crate::repair::Repair;
use crate::{PacketNumber, Time};

impl Reorder {
    /// The sender does not send the lost packet `pn` again; its predecessor is `distance` before it.
    /// [`on_batch_end`](Self::on_batch_end) takes it up.
    pub fn on_abandoned(&mut self, pn: PacketNumber, distance: u16) {
        let repairs = self.limits.repair == Repair::On;
        if repairs && self.abandoned.len() < self.limits.slots && !self.ring.is_resolved(pn.0) {
            self.abandoned.push((pn.0, distance));
            self.abandoned_from = self.abandoned_from.min(pn.0);
        }
    }

    /// Whether the sender sends nothing again for now, as its newest packet says.
    pub const fn set_unrepaired(&mut self, unrepaired: bool) {
        self.unrepaired = unrepaired;
    }

    /// A packet that was missing has come as a copy.
    pub(super) fn note_repair(&mut self, now: Time, arrival: Arrival) {
        if arrival.copy == 0 || arrival.duplicate {
            return;
        }
        self.stats.repaired += 1;
        if let Some(since) = self.lost.since(arrival.pn.0).filter(|_| arrival.copy == 1) {
            self.patience.on_repaired(now.since(since));
        }
    }

    /// Notes what the frontier passed, and gives up what was waited for in vain.
    pub(super) fn judge_lost(&mut self, exit: &mut Exit<'_>) {
        let (base, now) = (self.ring.base(), exit.now);
        let through = self.frontier_at(now).min(self.ring.head());
        let give_up_at = now + self.patience();
        let ring = &self.ring;
        self.lost.note(now, base, through, give_up_at, |pn| ring.state(pn) == State::Unseen);
        if self.abandoned_from <= self.ring.head() {
            self.skip_abandoned(exit);
        }
        self.lost.prune(self.ring.base());
        let expired = self.lost.expired(now);
        let given_up = if self.unrepaired { Some(through) } else { expired };
        if let Some(through) = given_up {
            self.give_up_through(through, Cause::Lost, exit);
        }
    }

    fn skip_abandoned(&mut self, exit: &mut Exit<'_>) {
        let mut abandoned = std::mem::take(&mut self.abandoned);
        // From the oldest on, so that each finds its predecessors skipped, and waiters move once.
        abandoned.sort_unstable();
        let head = self.ring.head();
        let to_come = abandoned.partition_point(|&(pn, _)| pn <= head);
        for &(pn, distance) in &abandoned[..to_come] {
            let unseen = pn >= self.ring.base() && self.ring.state(pn) == State::Unseen;
            if !unseen {
                continue;
            }
            self.stats.given_up += 1;
            if self.ring.skip(pn, distance) {
                self.release_waiters(pn, Some(Cause::Lost), exit);
            }
        }
        self.ring.advance();
        // Those above the head come when something after them does, of which the sender knew already.
        abandoned.drain(..to_come);
        self.abandoned_from = abandoned.first().map_or(u64::MAX, |&(pn, _)| pn);
        self.abandoned = abandoned;
    }
}

//! Who is delivered when something is resolved, and who waits no more.

use super::{Cause, Exit, Reorder};
use crate::order::ring::State;

impl Reorder {
    /// Gives up what is missing up to `through`, lowest first, and so resolves all up to there.
    pub(super) fn give_up_through(&mut self, through: u64, cause: Cause, exit: &mut Exit<'_>) {
        let through = through.min(self.ring.head());
        if self.held.len() == 0 && through == self.ring.head() && through >= self.ring.base() {
            self.stats.given_up += self.ring.gaps();
            self.ring.jump(through + 1);
            return;
        }
        while self.ring.base() <= through {
            let pn = self.ring.base();
            self.ring.give_up(pn);
            self.stats.given_up += 1;
            self.release_waiters(pn, Some(cause), exit);
            self.ring.advance();
        }
    }

    /// `resolved` is: delivers who waits for it, then who waits for those, along the links and back.
    pub(super) fn release_waiters(
        &mut self,
        resolved: u64,
        cause: Option<Cause>,
        exit: &mut Exit<'_>,
    ) {
        let mut at = resolved;
        loop {
            if let Some(waiter) = self.ring.take_waiter(at) {
                self.release(waiter, cause, exit);
                at = waiter;
            } else if at == resolved {
                return;
            } else {
                at = self.ring.predecessor(at);
            }
        }
    }

    pub(super) fn release(&mut self, pn: u64, cause: Option<Cause>, exit: &mut Exit<'_>) {
        let State::Held(i) = self.ring.state(pn) else { return };
        let held = self.held.get(i);
        (exit.deliver)(&held.packet, held.checksum);
        let micros = exit.now.since(held.since).as_micros() as u64;
        self.holds.saturating_record(micros);
        self.held.release(i, exit.budget);
        self.ring.set(pn, State::Delivered);
        match cause {
            None => {}
            Some(Cause::Lost) => self.stats.released_lost += 1,
            Some(Cause::Deadline) => self.stats.released_deadline += 1,
            Some(Cause::Full) => self.stats.released_full += 1,
        }
    }
}

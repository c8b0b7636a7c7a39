//! Whether a batch needs the whole [`tick`](super::tick), or brought nothing but data.
//!
//! A tick looks at all timers of all paths, which costs more than a packet does. Data makes nothing due at once, save
//! reports and markers, which are asked for each time; every other timer that it starts ([`SHORTEST`]) runs longer than a
//! tick is put off. So no timer is late, and under traffic there is a tick a millisecond.

use super::Peer;
use crate::Time;
use std::time::Duration;

/// Under traffic there is a tick this often.
const INTERVAL: Duration = Duration::from_millis(1);

/// When traffic stops after a tick was left out, it is made up for within this: no timer that data starts is shorter, save
/// those of reports and markers. (A block of parity takes 20 ms, a path is silent for 60 ms before it is suspected.)
const SHORTEST: Duration = Duration::from_millis(10);

const _: () = assert!(INTERVAL.as_nanos() < SHORTEST.as_nanos());

/// When the last tick was, and what came since.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TickDue {
    /// The last tick that followed data.
    under_traffic: Option<Time>,
    /// Something else than data came, or data that has consequences.
    whole: bool,
}

impl TickDue {
    /// The next batch end is to be followed by a tick.
    pub(super) fn ask(&mut self) {
        self.whole = true;
    }

    /// There is a tick now.
    pub(super) fn on_tick(&mut self, now: Time, traffic: bool) {
        *self = Self { under_traffic: traffic.then_some(now), whole: false };
    }
}

impl Peer {
    /// Something else than data came from the peer, or from the daemon.
    pub fn ask_tick(&mut self) {
        self.tick_due.ask();
    }

    /// Whether [`tick`](Self::tick) has nothing to do after the batch that ends `now`; then
    /// [`next_deadline`](Self::next_deadline) says when it has.
    #[must_use]
    pub fn skip_tick(&mut self, now: Time) -> bool {
        let Some(last) = self.tick_due.under_traffic.filter(|&last| now.since(last) < INTERVAL)
        else {
            return false;
        };
        let waits = !self.waiting.is_empty() || self.shaper.is_active() || self.views_dirty;
        if self.tick_due.whole || waits {
            return false;
        }
        let markers = self.send_workers.iter().filter_map(|w| w.open_paths.poll_timeout());
        let next = [self.next_deadline, self.report_deadline(), Some(last + SHORTEST)];
        let next = next.into_iter().flatten().chain(markers).min();
        self.next_deadline = next;
        next.is_some_and(|at| at > now)
    }
}

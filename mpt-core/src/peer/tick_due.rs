//! Whether a batch needs the whole [`tick`](super::tick), or brought nothing but data.
//!
//! A tick sees to every timer of every path, which costs as much as a packet does. Data by itself makes nothing due: it
//! starts timers and moves some. So after a batch of data alone only those are asked that data moves, reports and markers
//! above all, and under traffic there is a tick a millisecond. Any other timer that data starts ([`LEAST_TIMER`]) runs longer
//! than a tick is put off, so none is late; where something that was lost was noticed, the tick follows at once.
//!
//! That is for peers with a single path and no rate limit. With several paths, simulated CUBIC flows and calls with `adaptive`
//! did a little worse so, for a reason that was not found: there a tick follows each batch.

use super::Peer;
use crate::Time;
use std::time::Duration;

/// Under traffic there is a tick this often.
const INTERVAL: Duration = Duration::from_millis(1);

/// A tick that was left out is made up for within this time after the last one, if traffic stops meanwhile. Nothing that
/// data starts is due earlier, save what is asked each time: a path is silent for 60 ms before it is suspected, and
/// probes that traffic makes more frequent already are so, since the last tick followed data too.
const LEAST_TIMER: Duration = Duration::from_millis(50);

const _: () = assert!(INTERVAL.as_nanos() < LEAST_TIMER.as_nanos());

/// When the last tick was, and what came since.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct TickDue {
    /// The last tick that followed data.
    under_traffic: Option<Time>,
    /// Something else than data came, or data that has consequences.
    whole: bool,
    /// The timers that data does not move, as of the last tick.
    rest: Option<Time>,
}

impl TickDue {
    /// The next batch end is to be followed by a tick.
    pub(super) fn ask(&mut self) {
        self.whole = true;
    }

    /// There is a tick now.
    pub(super) fn on_tick(&mut self, now: Time, traffic: bool) {
        *self = Self { under_traffic: traffic.then_some(now), whole: false, rest: None };
    }

    /// The earliest of the timers that data does not move.
    pub(super) fn set_rest(&mut self, rest: Option<Time>) {
        self.rest = rest;
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
        let lately = self.tick_due.under_traffic.filter(|&at| now.since(at) < INTERVAL);
        let Some(last) = lately.filter(|_| !self.tick_due.whole) else { return false };
        if self.paths.iter().flatten().nth(1).is_some() || self.views.len() != 1 {
            return false;
        }
        if !self.waiting.is_empty() || self.shaper.is_active() || self.views_dirty {
            return false;
        }
        let rest = self.tick_due.rest.into_iter().chain([last + LEAST_TIMER]);
        self.next_deadline = rest.chain(self.data_deadline()).min();
        self.next_deadline.is_some_and(|at| at > now)
    }
}

//! Losses that a loss-driven flow is to see, so that it leaves the queue short.

use crate::Time;
use std::time::Duration;

/// A flow is seen to react this many reaction times after a loss was told.
const REACTIONS: u32 = 2;

/// What a rescue queued has left after this time.
const RESCUE: Duration = Duration::from_secs(1);

/// Whether losses are left to the flows for now.
///
/// Where all losses were repaired, a flow that only slows down for losses would fill any queue, and then lose hundreds
/// of packets at once, of which some are repaired: it would stall, burst and slow down several times in a row.
/// So while a long queue stands nothing is repaired, until one loss was told. That is one congestion event, as each
/// of these controls counts one a round trip; then repair goes on for the time that the flow takes to react.
/// (An active queue management that marks by what would be lost anyhow, with the interval of CoDel, RFC 8289.)
#[derive(Clone, Copy, Debug, Default)]
pub struct Yielding {
    on: bool,
    reaction: Duration,
    again_at: Time,
    /// A queue that stood is taken to stand until then: with bursts it does not in every report.
    until: Time,
}

impl Yielding {
    /// A report came. A queue stands that is long, with a flow's reaction time, or none.
    pub fn on_report(&mut self, now: Time, long_queue: Option<Duration>) {
        match long_queue {
            Some(reaction) if now >= self.again_at => {
                (self.on, self.reaction, self.until) = (true, reaction, now + reaction);
            }
            Some(_) => {}
            None => self.on &= now < self.until,
        }
    }

    /// A packet was lost that is not sent again.
    pub fn on_lost(&mut self, now: Time) {
        if self.on || now >= self.again_at {
            self.on = false;
            self.again_at = now + self.reaction * REACTIONS;
        }
    }

    /// Packets of a failed path go out by another one: the queue there is our doing.
    pub fn on_rescue(&mut self, now: Time) {
        self.on = false;
        self.again_at = now + RESCUE;
    }

    /// Whether what is sent now is not sent again when it is lost.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.on
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_loss_each_time_that_a_flow_takes_to_react() {
        let (mut y, reaction) = (Yielding::default(), Duration::from_millis(50));
        let at = Time::from_millis;
        y.on_lost(at(0));
        assert!(!y.is_on());
        y.on_report(at(10), Some(reaction));
        assert!(y.is_on());
        y.on_lost(at(20));
        y.on_report(at(119), Some(reaction));
        assert!(!y.is_on());
        y.on_report(at(120), Some(reaction));
        assert!(y.is_on());
        y.on_report(at(130), None);
        assert!(y.is_on());
        y.on_report(at(170), None);
        assert!(!y.is_on());
    }
}

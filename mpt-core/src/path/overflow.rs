//! A queue that overflows.

use crate::Time;
use std::time::Duration;

/// Loss is averaged over this long.
const MEMORY: Duration = Duration::from_millis(200);

/// More than this is lost, …
const BEGINS: f64 = 0.03;

/// … and less than this when it is over.
const ENDS: f64 = 0.015;

/// … and at least this waits.
const FULL: Duration = Duration::from_millis(25);

/// Since when packets have been lost to a long queue.
#[derive(Clone, Copy, Debug, Default)]
pub struct Overflow {
    sent: f64,
    lost: f64,
    updated: Time,
    since: Option<Time>,
}

impl Overflow {
    /// Of so many packets so many were lost, and so much stands in the queue. Fewer than none: so many had been counted that came
    /// after all.
    pub fn on_report(&mut self, now: Time, (sent, lost): (f64, f64), standing: Duration) {
        let keep = (-now.since(self.updated).as_secs_f64() / MEMORY.as_secs_f64()).exp();
        self.updated = now;
        self.sent = self.sent * keep + sent;
        self.lost = (self.lost * keep + lost).max(0.0);
        let share = self.lost / self.sent.max(1.0);
        if standing >= FULL && share > BEGINS {
            self.since.get_or_insert(now);
        } else if share < ENDS || standing < FULL {
            self.since = None;
        }
    }

    /// Since when; nothing when it does not.
    #[must_use]
    pub fn since(&self) -> Option<Time> {
        self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_with_a_long_queue_is_overflow_until_either_ends() {
        let mut o = Overflow::default();
        let ms = Duration::from_millis;
        let mut run = |from: u64, to: u64, lost: f64, queue: u64| {
            for t in (from..to).step_by(20) {
                o.on_report(Time::from_millis(t), (100.0, lost), ms(queue));
            }
            o.since()
        };
        assert_eq!(run(0, 1_000, 5.0, 0), None, "random loss");
        assert_eq!(run(1_000, 2_000, 0.0, 100), None, "a long queue");
        let since = run(2_000, 3_000, 20.0, 100);
        assert!(since.is_some_and(|t| t < Time::from_millis(2_100)));
        assert_eq!(run(3_000, 4_000, 0.0, 100), None);
    }
}

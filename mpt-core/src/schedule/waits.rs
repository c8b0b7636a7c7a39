//! How long packets wait here for a path without tokens.

use crate::Time;
use std::time::Duration;

/// The longest wait is that of so long.
const WINDOW: Duration = Duration::from_millis(100);

/// What waited for less than this found tokens at once.
const AT_ONCE: Duration = Duration::from_millis(2);

/// The longest that one waited of late.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Waits {
    at: Time,
    longest: Duration,
    /// The last one told, and when.
    last: (Time, Duration),
    /// Since when packets that came found no tokens left on the fastest path.
    spent_since: Option<Time>,
}

impl Waits {
    /// A packet whose turn it is has been waiting for so long. `spread`: for any path, not for a certain one.
    #[inline]
    pub(super) fn on_wait(&mut self, now: Time, waited: Duration, spread: bool) {
        self.last = (now, waited);
        if spread && (waited >= self.longest || now.since(self.at) >= WINDOW) {
            (self.at, self.longest) = (now, waited);
        }
    }

    /// The fastest path has tokens, or none: for how long it has had none without a break. While less than that
    /// waits, it is a burst that comes and goes.
    pub(super) fn on_tokens(&mut self, now: Time, left: bool) -> Duration {
        if !left {
            return now.since(*self.spent_since.get_or_insert(now));
        }
        if self.of_this(now) < AT_ONCE {
            self.spent_since = None;
        }
        Duration::ZERO
    }

    /// How long the packet has been waiting whose turn it is.
    pub(super) fn of_this(&self, now: Time) -> Duration {
        if self.last.0 == now { self.last.1 } else { Duration::ZERO }
    }

    /// The longest wait.
    pub(super) fn longest(&self, now: Time) -> Duration {
        if now.since(self.at) < WINDOW { self.longest } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_wait_is_known_for_a_moment() {
        let ms = Duration::from_millis;
        let mut waits = Waits::default();
        let at = Time::from_millis;
        assert_eq!(waits.longest(at(5)), Duration::ZERO);
        waits.on_wait(at(1_000), ms(30), true);
        waits.on_wait(at(1_010), ms(20), true);
        assert_eq!((waits.longest(at(1_050)), waits.of_this(at(1_010))), (ms(30), ms(20)));
        assert_eq!(waits.of_this(at(1_011)), Duration::ZERO);
        waits.on_wait(at(1_100), ms(10), true);
        waits.on_wait(at(1_101), ms(90), false);
        assert_eq!(waits.longest(at(1_150)), ms(10), "what was longer is over");
        assert_eq!(waits.longest(at(1_200)), Duration::ZERO, "nothing waits any more");
    }
}

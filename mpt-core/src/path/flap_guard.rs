//! How long a path that keeps failing is ranked last when it is back.

use crate::Time;
use std::time::Duration;

/// A path that stayed up this long has a clean record again.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);

/// The hold-down after the second failure; it doubles with each further one.
const FIRST_HOLD: Duration = Duration::from_secs(1);

/// It grows no further.
const MAX_HOLD: Duration = Duration::from_secs(30);

/// A path that stays up for so long is worth having while it does: …
const WORTH_HAVING: Duration = Duration::from_secs(2);

/// … it is held for no more than this part of how long it was up the last time.
const MOST_OF_IT: u32 = 4;

/// Counts failures and tells the hold-down: none after the first, then 1 s, 2 s, 4 s … 30 s, unless that is most of the time until
/// the next one.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct FlapGuard {
    failures: u32,
    /// For how long it was up before it failed last.
    up_for: Duration,
    up_since: Option<Time>,
}

impl FlapGuard {
    /// The path failed.
    pub(super) fn on_down(&mut self, now: Time) {
        self.up_for = self.up_since.map_or(Duration::ZERO, |up| now.since(up));
        if self.up_for >= FORGIVEN_AFTER {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
    }

    /// The path is back. Returns for how long it is to be ranked last.
    pub(super) fn on_up(&mut self, now: Time) -> Duration {
        self.up_since = Some(now);
        let most = if self.up_for < WORTH_HAVING { MAX_HOLD } else { self.up_for / MOST_OF_IT };
        match self.failures {
            0 | 1 => Duration::ZERO,
            n => (FIRST_HOLD * (1 << (n - 2).min(5))).min(MAX_HOLD).min(most),
        }
    }

    /// Failures that are not forgiven yet.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_grow_to_a_cap_and_are_forgiven() {
        let mut guard = FlapGuard::default();
        let mut now = Time::ZERO;
        assert_eq!(guard.on_up(now), Duration::ZERO, "never failed");
        let mut flap = |up_for: u64| {
            now += Duration::from_secs(up_for);
            guard.on_down(now);
            guard.on_up(now).as_secs()
        };
        let holds: Vec<_> = (0..9).map(|_| flap(1)).collect();
        assert_eq!(holds, [0, 1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(flap(60), 0);
        assert_eq!(flap(1), 1);
    }

    #[test]
    fn a_path_that_stays_for_seconds_is_not_held_for_most_of_them() {
        let mut guard = FlapGuard::default();
        let mut now = Time::ZERO;
        let mut flap = |up_for: u64| {
            now += Duration::from_millis(up_for);
            guard.on_down(now);
            guard.on_up(now).as_millis()
        };
        let holds: Vec<_> = (0..5).map(|_| flap(5_000)).collect();
        assert_eq!(holds, [0, 1_000, 1_250, 1_250, 1_250]);
        assert_eq!([flap(2_000), flap(1_999), flap(59_000)], [500, 30_000, 14_750]);
    }
}

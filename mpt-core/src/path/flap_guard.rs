//! How long a path that keeps failing is ranked last when it is back.

use crate::Time;
use std::time::Duration;

/// A path that stayed up this long has a clean record again.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);

/// The hold-down after the second failure; it doubles with each further one.
const FIRST_HOLD: Duration = Duration::from_secs(1);

/// It grows no further.
const MAX_HOLD: Duration = Duration::from_secs(30);

/// Counts failures and tells the hold-down: none after the first, then 1 s, 2 s, 4 s … 30 s.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct FlapGuard {
    failures: u32,
    up_since: Option<Time>,
}

impl FlapGuard {
    /// The path failed.
    pub(super) fn on_down(&mut self, now: Time) {
        if self.up_since.is_some_and(|up| now.since(up) >= FORGIVEN_AFTER) {
            self.failures = 0;
        }
        self.failures = self.failures.saturating_add(1);
    }

    /// The path is back. Returns for how long it is to be ranked last.
    pub(super) fn on_up(&mut self, now: Time) -> Duration {
        self.up_since = Some(now);
        match self.failures {
            0 | 1 => Duration::ZERO,
            n => (FIRST_HOLD * (1 << (n - 2).min(5))).min(MAX_HOLD),
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
        let holds: Vec<_> = (0..9).map(|_| flap(59)).collect();
        assert_eq!(holds, [0, 1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(flap(60), 0);
        assert_eq!(flap(1), 1);
    }
}

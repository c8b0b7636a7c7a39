//! The floor: spreading is never to bring less than the best path alone.

use crate::Time;
use std::time::Duration;

/// What was delivered is compared over this long: a flow that is spread needs a few round trips to use what it is offered,
/// and one that waits for a slow path comes in bursts.
const WINDOW: Duration = Duration::from_secs(3);

/// Spreading costs when less than this share of the best path's rate arrives.
const SHARE: f64 = 0.95;

/// A path is left alone for this long at first, twice as long each time, …
const FIRST_REST: Duration = Duration::from_secs(4);

/// … and for no longer than this.
const LONGEST_REST: Duration = Duration::from_secs(64);

/// Having helped for this long a path is trusted again.
const TRUST: Duration = Duration::from_secs(20);

/// Watches over what all paths deliver together while they are spread over.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Floor {
    from: Option<(Time, u64)>,
}

/// The rest of one path.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rest {
    until: Time,
    last: Duration,
}

impl Floor {
    /// So many bytes arrived in all by now; `alone`: what the best path delivers, bytes a second. Whether a path is to
    /// rest.
    pub(super) fn costs(&mut self, now: Time, delivered: u64, spread: bool, alone: f64) -> bool {
        if !spread {
            *self = Self::default();
            return false;
        }
        let (from, before) = *self.from.get_or_insert((now, delivered));
        let span = now.since(from);
        if span < WINDOW {
            return false;
        }
        self.from = Some((now, delivered));
        let rate = delivered.saturating_sub(before) as f64 / span.as_secs_f64();
        rate < alone * SHARE
    }
}

impl Rest {
    /// It cost more than it brought.
    pub(super) fn begin(&mut self, now: Time) {
        let trusted = now.since(self.until) >= TRUST;
        let pause = if trusted { FIRST_REST } else { self.last * 2 };
        self.last = pause.clamp(FIRST_REST, LONGEST_REST);
        self.until = now + self.last;
    }

    pub(super) fn is_over(&self, now: Time) -> bool {
        now >= self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first time at which spreading at `rate` is found to cost, against 1 MB/s alone.
    fn found(rate: u64) -> Option<u64> {
        let mut floor = Floor::default();
        (0..20_000u64)
            .step_by(20)
            .find(|ms| floor.costs(Time::from_millis(*ms), rate * ms / 1_000, true, 1e6))
    }

    #[test]
    fn what_brings_less_than_the_best_path_is_found_and_nothing_else() {
        assert_eq!(found(1_000_000), None);
        assert_eq!(found(1_900_000), None);
        assert!(found(900_000).is_some_and(|ms| (3_000..3_700).contains(&ms)));
    }

    #[test]
    fn rests_grow_and_are_forgotten() {
        let mut rest = Rest::default();
        assert!(rest.is_over(Time::ZERO));
        let mut now = Time::from_millis(100_000);
        for seconds in [4, 8, 16, 32, 64, 64] {
            rest.begin(now);
            assert!(!rest.is_over(now + Duration::from_secs(seconds - 1)));
            now += Duration::from_secs(seconds);
            assert!(rest.is_over(now));
        }
        rest.begin(now + TRUST);
        assert!(rest.is_over(now + TRUST + FIRST_REST));
    }
}

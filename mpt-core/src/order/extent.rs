//! How far a path reorders, as a time.

use crate::Time;
use std::time::Duration;

/// What was seen once is expected to happen again, and a little worse.
const MARGIN: f64 = 1.25;

/// A path that stopped reordering is trusted again within minutes.
const HALF_LIFE: Duration = Duration::from_secs(30);

/// Below this a path's reordering is a matter of queues and cores, not of jitter.
const JITTER_COUNTS_FROM: Duration = Duration::from_micros(500);

/// On a path that reorders by jitter, the tail not yet seen: 5 mean deviations are 4 standard
/// deviations of a normal distribution.
const JITTERS: u32 = 5;

/// Longer reordering is not waited for.
const CAP: Duration = Duration::from_millis(300);

/// How much later than newer packets of the same path a packet may come: the highest lateness seen,
/// with a margin, fading with a half-life of 30 s. Zero on a path that never reordered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extent {
    learned: Duration,
    since: Time,
}

impl Extent {
    /// A packet came this much later than the first newer one of its path.
    pub(super) fn on_late(&mut self, now: Time, lateness: Duration) {
        self.learned = self.faded(now).max(lateness.min(CAP).mul_f64(MARGIN));
        self.since = now;
    }

    /// The extent at `now`, on a path whose one-way delay has this mean deviation.
    pub(super) fn at(&self, now: Time, jitter: Duration) -> Duration {
        if self.learned.is_zero() {
            return Duration::ZERO;
        }
        let faded = self.faded(now);
        let floor = if faded > JITTER_COUNTS_FROM { jitter * JITTERS } else { Duration::ZERO };
        faded.max(floor).min(CAP)
    }

    fn faded(&self, now: Time) -> Duration {
        let half_lives = now.since(self.since).as_secs_f64() / HALF_LIFE.as_secs_f64();
        self.learned.mul_f64((-half_lives).exp2())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn the_worst_counts_and_fades() {
        let mut e = Extent::default();
        assert_eq!(e.at(Time::ZERO, 9 * MS), Duration::ZERO, "jitter alone is not reordering");
        e.on_late(Time::ZERO, 8 * MS);
        e.on_late(Time::ZERO, 4 * MS);
        assert_eq!(e.at(Time::ZERO, Duration::ZERO), 10 * MS);
        let later = e.at(Time::from_millis(30_000), Duration::ZERO);
        assert!(later > 5 * MS - MS / 100 && later < 5 * MS + MS / 100, "{later:?}");
    }

    #[test]
    fn jitter_counts_once_the_path_reorders_and_there_is_a_cap() {
        let mut e = Extent::default();
        e.on_late(Time::ZERO, MS / 10);
        assert_eq!(e.at(Time::ZERO, 9 * MS), MS / 8);
        e.on_late(Time::ZERO, MS);
        assert_eq!(e.at(Time::ZERO, 9 * MS), 45 * MS);
        e.on_late(Time::ZERO, Duration::MAX);
        assert_eq!(e.at(Time::ZERO, 9 * MS), 300 * MS);
    }
}

//! How long a lost packet is waited for, at the receiver.

use std::time::Duration;

/// A patience below one repair's round trip only turns losses into reordering; one much above it makes
/// what cannot be repaired delay the rest.
const ROUND_TRIPS: f64 = 3.5;

/// Not less: the sender may be busy.
const LEAST: Duration = Duration::from_millis(30);

/// Not more. It is time for a second try where a repair takes 120 ms, and it is seldom used up: the sender
/// says when it does not try again.
const MOST: Duration = Duration::from_millis(300);

/// Nor less than so many round trips of the path by which a repair comes: some are quicker, as they were told of
/// before the others found them missing; those that are not were hopeless.
const LEAST_TRIPS: f64 = 1.5;

/// Before anything was repaired; and as much for round trips.
const INITIAL: Duration = Duration::from_millis(150);

/// The time from knowing a loss to its repair, smoothed as RFC 6298 does, and what follows from it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Patience {
    /// Seconds: mean and mean deviation.
    estimate: Option<(f64, f64)>,
    round_trip: Duration,
}

impl Patience {
    /// A loss was repaired with the first try after this time.
    pub fn on_repaired(&mut self, after: Duration) {
        let s = after.as_secs_f64();
        self.estimate = Some(match self.estimate {
            None => (s, s / 2.0),
            Some((mean, deviation)) => {
                (mean + (s - mean) / 8.0, deviation + ((s - mean).abs() - deviation) / 4.0)
            }
        });
    }

    /// How long a packet is waited for that is known to be lost.
    #[must_use]
    pub fn get(&self) -> Duration {
        let Some((mean, deviation)) = self.estimate else { return INITIAL };
        let timeout = Duration::from_secs_f64(mean + 4.0 * deviation);
        let least = self.round_trip.min(INITIAL).mul_f64(LEAST_TRIPS).clamp(LEAST, INITIAL);
        timeout.mul_f64(ROUND_TRIPS).clamp(least, MOST)
    }

    /// The round trip of the path by which what is lost is likely to come.
    pub const fn set_round_trip(&mut self, round_trip: Duration) {
        self.round_trip = round_trip;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn some_round_trips_within_bounds() {
        let steady = |ms: u32| {
            let mut p = Patience::default();
            (0..100).for_each(|_| p.on_repaired(ms * MS));
            p.get().as_secs_f64() * 1e3
        };
        assert_eq!(Patience::default().get(), INITIAL);
        assert_eq!(steady(2), 30.0);
        assert!((70.0..71.0).contains(&steady(20)));
        assert_eq!((steady(100), steady(700)), (300.0, 300.0));
    }

    #[test]
    fn a_repair_by_another_path_is_waited_for() {
        let mut p = Patience::default();
        (0..100).for_each(|_| p.on_repaired(2 * MS));
        for (round_trip, patience) in [(10, 30), (60, 90), (700, 150)] {
            p.set_round_trip(round_trip * MS);
            assert_eq!(p.get(), patience * MS);
        }
    }
}

//! What a path is given at most.

use crate::Time;
use std::time::Duration;

/// So much more than it was seen to deliver while no queue stands; the longer none did, the more.
const TRIED: f64 = 1.1;
const TRIED_LONG: f64 = 1.25;
const LONG: Duration = Duration::from_millis(500);

/// So much less while one does, that it is gone after this time; but not less than this part.
const DRAINED_WITHIN: Duration = Duration::from_millis(300);
const LEAST_DRAINING: f64 = 0.7;

/// A queue is gone long before it stood for this.
const SUSPECT: Duration = Duration::from_secs(1);

/// It has left when it is to, or what is read is none; so much later, beyond a round trip, it would have been told.
const TOLD: Duration = Duration::from_millis(100);

/// What arrived is all that was given, but for what counting over a short time gets wrong.
const ALL: f64 = 0.85;

/// What reports say of a path, just now.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// What it can do, bytes a second.
    pub capacity: f64,
    /// What it did last.
    pub latest: f64,
    /// What stands in its queue, and how much of that may be none.
    pub standing: Duration,
    /// See `standing`.
    pub uncertain: Duration,
    /// Its round-trip time.
    pub srtt: Duration,
}

/// Keeps a path to what it delivers, so that what waits waits here and not in the path.
///
/// While a queue stands, what arrives is what the path can do, and less is given until the queue is gone. But a path that
/// became longer looks the same, and what arrives is then what was given: giving less each time would starve it. The
/// two are told apart by an experiment: when something has been standing for a second, the path is given
/// [`LEAST_DRAINING`] of what arrives for as long as the queue takes to be gone. If it does not shrink, and all that was
/// given arrived, it is none: [`Finding::Longer`]. So an estimate falls by no more than a second's error, and then recovers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bottleneck {
    given: Option<f64>,
    /// Since when something has been standing, and what the path could do then.
    stood: Option<(Time, f64)>,
    /// Since when all that was given came, and nothing stood.
    free: Option<Time>,
    trial: Option<Trial>,
}

#[derive(Clone, Copy, Debug)]
struct Trial {
    until: Time,
    rate: f64,
    standing: Duration,
}

/// What an experiment showed.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Finding {
    /// What stands is no queue. The path could do this, bytes a second.
    Longer(f64),
}

impl Bottleneck {
    /// What the path is given at most now, bytes a second.
    #[must_use]
    pub fn given(&self) -> Option<f64> {
        self.given
    }

    /// Whether what arrives now says nothing of what the path can do, since it is given less.
    #[must_use]
    pub fn is_trial(&self) -> bool {
        self.trial.is_some()
    }

    /// It is not kept to anything.
    pub fn release(&mut self) {
        *self = Self::default();
    }

    /// A report came.
    pub fn follow(&mut self, now: Time, seen: &Seen) -> Option<Finding> {
        let finding = self.judge(now, seen);
        let queue = seen.standing.checked_sub(seen.uncertain).filter(|_| finding.is_none());
        let all = self.given.is_none_or(|given| seen.latest > given * ALL);
        self.free = if queue.is_none() && all { self.free.or(Some(now)) } else { None };
        let long = self.free.map_or(Duration::ZERO, |since| now.since(since));
        self.given = Some(match (self.trial, queue) {
            (Some(trial), _) => trial.rate,
            (None, None) if long > LONG => seen.capacity * TRIED_LONG,
            (None, None) => seen.capacity * TRIED,
            (None, Some(queue)) => {
                let drained = queue.as_secs_f64() / DRAINED_WITHIN.as_secs_f64();
                seen.capacity * (1.0 - drained).max(LEAST_DRAINING)
            }
        });
        finding
    }

    fn judge(&mut self, now: Time, seen: &Seen) -> Option<Finding> {
        if seen.standing < seen.uncertain {
            (self.stood, self.trial) = (None, None);
            return None;
        }
        let (since, could) = *self.stood.get_or_insert((now, seen.capacity));
        let Some(trial) = self.trial else {
            if now.since(since) >= SUSPECT {
                let rate = seen.latest.min(seen.capacity) * LEAST_DRAINING;
                let gone = seen.standing.div_f64(1.0 - LEAST_DRAINING);
                let until = now + gone + seen.srtt + TOLD;
                self.trial = Some(Trial { until, rate, standing: seen.standing });
            }
            return None;
        };
        let shrunk = seen.standing < (trial.standing + seen.uncertain) / 2;
        if now < trial.until && !shrunk {
            return None;
        }
        (self.stood, self.trial) = (None, None);
        let all = seen.latest > trial.rate * ALL;
        (all && !shrunk).then_some(Finding::Longer(could.max(seen.capacity)))
    }
}

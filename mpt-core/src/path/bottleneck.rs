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

/// A path in which nothing stood for so long is not kept to anything: it is not full, or can do more.
const FORGOTTEN: Duration = Duration::from_secs(1);

/// A path of which nothing is told for so long is not kept to anything either.
const SILENT: Duration = Duration::from_secs(10);

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
/// seven tenths of what arrives for as long as the queue takes to be gone. If it does not shrink, and all that was
/// given arrived, it is none: [`Finding::Longer`]. So an estimate falls by no more than a second's error, and then recovers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bottleneck {
    given: Option<f64>,
    /// Since when something has been standing, and what the path could do then.
    stood: Option<(Time, f64)>,
    /// When something stood last.
    queued: Option<Time>,
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

    /// Time has passed, perhaps without a report. Of a path that carries nothing none tells that its queue is gone.
    pub fn expire(&mut self, now: Time, capacity: f64) {
        let quiet = self.queued.map_or(Duration::ZERO, |at| now.since(at));
        if quiet >= SILENT {
            self.release();
        } else if quiet >= FORGOTTEN {
            (self.stood, self.trial) = (None, None);
            self.given = self.given.map(|given| given.max(capacity));
        }
    }

    /// A report came.
    pub fn follow(&mut self, now: Time, seen: &Seen) -> Option<Finding> {
        let finding = self.judge(now, seen);
        let queue = seen.standing.checked_sub(seen.uncertain).filter(|_| finding.is_none());
        let all = self.given.is_none_or(|given| seen.latest > given * ALL);
        self.free = if queue.is_none() && all { self.free.or(Some(now)) } else { None };
        let long = self.free.map_or(Duration::ZERO, |since| now.since(since));
        if queue.is_some() {
            self.queued = Some(now);
        }
        if self.queued.is_none_or(|at| now.since(at) >= FORGOTTEN) {
            self.given = None;
            return finding;
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A link of a rate and an extra delay, given what it may be given at most; a report each 20 ms.
    struct Link {
        b: Bottleneck,
        now: u64,
        rate: f64,
        /// Seconds of queue, and of delay that is none.
        queue: f64,
        longer: f64,
        /// As the estimators would follow it.
        capacity: f64,
    }

    impl Link {
        fn new(rate: f64, queue: f64, longer: f64) -> Self {
            Self { b: Bottleneck::default(), now: 0, rate, queue, longer, capacity: rate }
        }

        /// A flow that would send `wanted`, for so many milliseconds; the findings.
        fn run(&mut self, wanted: f64, millis: u64) -> Vec<Finding> {
            let mut findings = Vec::new();
            for _ in 0..millis / 20 {
                self.now += 20;
                let sent = self.b.given().unwrap_or(f64::MAX).min(wanted);
                let latest = if self.queue > 0.0 { self.rate } else { sent.min(self.rate) };
                self.queue = (self.queue + (sent / self.rate - 1.0) * 0.02).clamp(0.0, 0.1);
                let standing = Duration::from_secs_f64(self.queue + self.longer);
                if standing > Duration::from_millis(10) && !self.b.is_trial() {
                    self.capacity += (latest - self.capacity) / 9.0;
                }
                self.capacity = self.capacity.max(latest);
                let seen = Seen {
                    capacity: self.capacity,
                    latest,
                    standing,
                    uncertain: Duration::from_millis(5),
                    srtt: Duration::from_millis(50),
                };
                if let Some(Finding::Longer(rate)) =
                    self.b.follow(Time::from_millis(self.now), &seen)
                {
                    self.longer = 0.0;
                    self.capacity = self.capacity.max(rate);
                    findings.push(Finding::Longer(rate));
                }
            }
            findings
        }
    }

    #[test]
    fn a_full_queue_is_drained_and_stays_short_at_the_whole_rate() {
        let mut link = Link::new(1e6, 0.1, 0.0);
        assert_eq!(link.run(3e6, 2_000), []);
        let mut sum = 0.0;
        for _ in 0..100 {
            assert_eq!(link.run(3e6, 20), []);
            assert!(link.queue < 0.02, "{}", link.queue);
            sum += link.b.given().unwrap().min(1.2e6);
        }
        assert!(sum > 0.97e8, "{sum}");
    }

    #[test]
    fn a_path_that_became_longer_is_found_out_and_gets_back_what_it_lost() {
        let mut link = Link::new(1e6, 0.0, 0.02);
        let findings = link.run(3e6, 3_000);
        assert_eq!(findings.len(), 1, "{findings:?}");
        link.run(3e6, 1_000);
        assert!(link.capacity > 0.95e6, "{}", link.capacity);
    }

    #[test]
    fn a_path_that_fell_silent_is_drained_no_more_and_then_kept_to_nothing() {
        let mut link = Link::new(1e6, 0.1, 0.0);
        link.run(3e6, 100);
        let drained = link.b.given().unwrap();
        assert!(drained < 0.95e6, "{drained}");
        let mut given = |ms| {
            link.b.expire(Time::from_millis(link.now + ms), 1e6);
            link.b.given()
        };
        assert_eq!(given(900), Some(drained), "its queue may stand still");
        assert_eq!(given(1_000), Some(1e6));
        assert_eq!((given(9_900), given(10_000)), (Some(1e6), None));
    }

    #[test]
    fn a_rate_that_falls_is_no_longer_path() {
        let mut link = Link::new(1e6, 0.0, 0.0);
        link.run(3e6, 1_000);
        link.rate = 0.4e6;
        assert_eq!(link.run(3e6, 4_000), []);
        assert!(link.queue < 0.02 && link.capacity < 0.5e6, "{} {}", link.queue, link.capacity);
    }

    #[test]
    fn nothing_is_held_back_where_nothing_stands() {
        let mut link = Link::new(1e6, 0.02, 0.0);
        link.run(0.3e6, 500);
        assert!(link.b.given().is_some());
        link.run(0.3e6, 1_500);
        assert_eq!(link.b.given(), None);
        link.run(3e6, 200);
        assert!(link.b.given().is_some());
    }
}

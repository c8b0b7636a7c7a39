//! The floor: spreading is never to bring less than the best path alone.
//!
//! What a path *could* deliver is known, but not what a certain flow would get there: one that slows down for each loss gets
//! little of the strongest path, if that loses. So when spreading brings less than the fastest path could, that is tried: the
//! costliest of the others rests for a moment. It goes on resting if more arrives meanwhile; else spreading is trusted for a while.

use crate::Time;
use std::time::Duration;

/// What was delivered is compared over this long: a flow that is spread needs a few round trips to use what it is offered,
/// and one that waits for a slow path comes in bursts.
const WINDOW: Duration = Duration::from_secs(2);

/// … unless it is clear: less than this share comes of what came while a path rested, …
const CLEARLY: f64 = 0.75;

/// … for so long.
const CLEAR_WINDOW: Duration = Duration::from_secs(1);

/// Spreading costs when less than this share of the best path's rate arrives.
const SHARE: f64 = 0.95;

/// Where a flow comes in bursts it is less than this, and very much more is to come in a trial: the flow may have no more to send in between,
/// or not yet.
const SHARE_OF_BURSTS: f64 = 0.65;

/// What was under way when a path was given a rest comes within this time, …
const SETTLES: Duration = Duration::from_millis(500);

/// … and after so long it is known whether that helped.
const TRIAL: Duration = Duration::from_secs(2);

/// It did if so much more arrives, …
const BETTER: f64 = 1.03;

/// … and very much so with this.
const MUCH_BETTER: f64 = 1.5;

/// If it did not, nobody asks again for so long, …
const TRUSTED: Duration = Duration::from_secs(30);

/// … unless no more than this part comes of what came then: something changed.
const WORSE: f64 = 0.85;

/// A path is left alone for this long at first, twice as long each time,
const FIRST_REST: Duration = Duration::from_secs(4);

/// … so long at least when very much more arrives, …
const LONG_REST: Duration = Duration::from_secs(16);

/// … and for no longer than this.
const LONGEST_REST: Duration = Duration::from_secs(64);

/// Having helped for this long a path is trusted again.
const TRUST: Duration = Duration::from_secs(20);

/// Watches over what all paths deliver together while they are spread over.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Floor {
    from: Option<(Time, u64)>,
    /// Since then nothing was spread for a moment.
    lulls: bool,
    /// That was so when it was found last that spreading costs.
    bursts: bool,
    /// What came last when packets were spread, bytes a second.
    spread: f64,
    /// What came while a path rested, if that was more.
    resting: f64,
    trial: Option<Trial>,
    trusted_until: Time,
}

/// A path rests, to see what comes then.
#[derive(Clone, Copy, Debug)]
struct Trial {
    began: Time,
    /// When it had settled, and what had been delivered by then.
    from: Option<(Time, u64)>,
}

/// How a trial ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tried {
    /// More came.
    Better,
    /// Very much more.
    MuchBetter,
    /// It did not.
    NoBetter,
}

/// The rest of one path.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Rest {
    until: Time,
    last: Duration,
    /// Whether it is not known yet if this helps.
    on_trial: bool,
}

/// How packets are spread now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Spread {
    /// They are.
    Now,
    /// They were a moment ago, and may be again.
    Lately,
    /// They are not.
    No,
}

/// Which path alone would do better.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Cost {
    /// The fastest: all others are in its way, the strongest too.
    Fastest,
    /// The one that delivers most; whether a flow would get that alone is not known, so one that is neither is to rest.
    Strongest,
}

impl Floor {
    /// So many bytes arrived in all by now; what the fastest and the strongest path deliver alone, bytes a second. Whether
    /// a path is to rest.
    pub(super) fn costs(
        &mut self,
        now: Time,
        delivered: u64,
        spread: Spread,
        (fastest, strongest): (f64, f64),
    ) -> Option<Cost> {
        if spread == Spread::No || self.trial.is_some() {
            self.from = None;
            return None;
        }
        self.lulls = spread == Spread::Lately || self.lulls && self.from.is_some();
        let (from, before) = *self.from.get_or_insert((now, delivered));
        let span = now.since(from);
        if span < CLEAR_WINDOW {
            return None;
        }
        let rate = delivered.saturating_sub(before) as f64 / span.as_secs_f64();
        if span < WINDOW && rate > self.resting * CLEARLY {
            return None;
        }
        self.from = Some((now, delivered));
        let lulls = std::mem::take(&mut self.lulls);
        let cost = if rate < fastest * if lulls { SHARE_OF_BURSTS } else { SHARE } {
            Cost::Fastest
        } else if rate < strongest * SHARE && !lulls {
            Cost::Strongest
        } else {
            return None;
        };
        if now < self.trusted_until && rate > self.spread * WORSE {
            return None;
        }
        (self.spread, self.bursts) = (rate, lulls);
        Some(cost)
    }

    /// A path rests from now on.
    pub(super) fn begin_trial(&mut self, now: Time) {
        self.trial = Some(Trial { began: now, from: None });
    }

    /// A trial would tell nothing any more.
    pub(super) fn call_off(&mut self) {
        (self.trial, self.from) = (None, None);
    }

    /// Whether a trial is over.
    pub(super) fn tried(&mut self, now: Time, delivered: u64) -> Option<Tried> {
        let trial = self.trial.as_mut().filter(|t| now.since(t.began) >= SETTLES)?;
        let (from, before) = *trial.from.get_or_insert((now, delivered));
        if now.since(trial.began) < TRIAL {
            return None;
        }
        let span = now.since(from).as_secs_f64().max(1e-3);
        let rate = delivered.saturating_sub(before) as f64 / span;
        self.trial = None;
        if rate > self.spread * if self.bursts { MUCH_BETTER } else { BETTER } {
            (self.resting, self.trusted_until) = (rate, Time::ZERO);
            let much = rate > self.spread * MUCH_BETTER;
            return Some(if much { Tried::MuchBetter } else { Tried::Better });
        }
        (self.resting, self.trusted_until) = (0.0, now + TRUSTED);
        Some(Tried::NoBetter)
    }
}

impl Rest {
    /// It may cost more than it brings.
    pub(super) fn begin(&mut self, now: Time) {
        let trusted = now.since(self.until) >= TRUST;
        let pause = if trusted { FIRST_REST } else { self.last * 2 };
        self.last = pause.clamp(FIRST_REST, LONGEST_REST);
        self.until = now + self.last;
        self.on_trial = true;
    }

    /// The trial is over.
    pub(super) fn on_tried(&mut self, now: Time, tried: Tried) {
        if !std::mem::take(&mut self.on_trial) {
            return;
        }
        match tried {
            Tried::NoBetter => (self.until, self.last) = (now, Duration::ZERO),
            Tried::MuchBetter if self.last < LONG_REST => {
                (self.until, self.last) = (now + LONG_REST, LONG_REST);
            }
            Tried::Better | Tried::MuchBetter => {}
        }
    }

    /// There is reason not to wait for its end. What a trial had not told yet does not make the next one longer.
    pub(super) fn end(&mut self, now: Time) {
        if self.on_trial {
            self.last /= 2;
        }
        (self.until, self.on_trial) = (now, false);
    }

    /// The trial was called off.
    pub(super) fn forget_trial(&mut self) {
        self.on_trial = false;
    }

    pub(super) fn is_over(&self, now: Time) -> bool {
        now >= self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first time at which spreading at `rate` is found to cost, against 1 MB/s of the fastest and 2 of the strongest.
    fn found(rate: u64) -> Option<(u64, Cost)> {
        let mut floor = Floor::default();
        (0..20_000u64).step_by(20).find_map(|ms| {
            let cost =
                floor.costs(Time::from_millis(ms), rate * ms / 1_000, Spread::Now, (1e6, 2e6))?;
            Some((ms, cost))
        })
    }

    fn now_if(spread: bool) -> Spread {
        if spread { Spread::Now } else { Spread::No }
    }

    /// Spread for 300 of 500 ms, and lately in between.
    #[test]
    fn a_flow_in_bursts_is_to_have_two_thirds_of_the_best_path() {
        for (rate, costs) in [(300_000u64, true), (600_000, true), (750_000, false)] {
            let mut floor = Floor::default();
            let found = (0..20_000u64).step_by(20).find(|ms| {
                let spread = if ms % 500 < 300 { Spread::Now } else { Spread::Lately };
                let delivered = rate * (ms / 500) / 2;
                floor.costs(Time::from_millis(*ms), delivered, spread, (1e6, 9e6)).is_some()
            });
            assert_eq!(found.is_some_and(|ms| ms < 2_700), costs, "{rate}: {found:?}");
        }
    }

    #[test]
    fn what_brings_less_than_the_best_path_is_found_and_nothing_else() {
        assert_eq!(found(2_000_000), None);
        assert_eq!(found(1_920_000), None);
        for (rate, cost) in [(1_800_000, Cost::Strongest), (900_000, Cost::Fastest)] {
            assert!(found(rate).is_some_and(|(ms, c)| ms < 2_700 && c == cost), "{rate}");
        }
    }

    #[test]
    fn a_rest_that_does_not_help_ends_and_is_not_tried_again_soon() {
        for (alone, helps) in [(900, Tried::Better), (700, Tried::NoBetter)] {
            let (mut floor, mut rest, mut delivered) = (Floor::default(), Rest::default(), 0);
            let mut rests = Vec::new();
            for ms in (20..20_000u64).step_by(20) {
                let now = Time::from_millis(ms + 100_000);
                delivered += 20 * if rest.is_over(now) { 800 } else { alone };
                if let Some(tried) = floor.tried(now, delivered) {
                    assert_eq!(tried, helps);
                    rest.on_tried(now, tried);
                }
                let spread = rest.is_over(now);
                if floor.costs(now, delivered, now_if(spread), (1e6, 1e6)).is_some() {
                    floor.begin_trial(now);
                    rest.begin(now);
                    rests.push(ms);
                }
            }
            // After 4 and 8 s of rest and two seconds of being spread each; or one, of a trial's length.
            let again: &[u64] = &[2_020, 8_020, 18_020];
            assert_eq!(rests, again[..if helps == Tried::Better { 3 } else { 1 }]);
        }
    }

    #[test]
    fn what_helped_very_much_lasts_and_its_end_is_judged_sooner() {
        let (mut floor, mut rest, mut delivered) = (Floor::default(), Rest::default(), 0);
        let mut rests = Vec::new();
        for ms in (20..60_000u64).step_by(20) {
            let now = Time::from_millis(ms + 100_000);
            delivered += 20 * if rest.is_over(now) { 400 } else { 900 };
            if let Some(tried) = floor.tried(now, delivered) {
                assert_eq!(tried, Tried::MuchBetter);
                rest.on_tried(now, tried);
            }
            if floor.costs(now, delivered, now_if(rest.is_over(now)), (1e6, 1e6)).is_some() {
                floor.begin_trial(now);
                rest.begin(now);
                rests.push(ms);
            }
        }
        // Two seconds the first time; after a trial's two and sixteen of rest one.
        assert_eq!(rests, [2_020, 21_020, 54_020]);
    }

    #[test]
    fn a_trial_that_helped_ends_the_trust_in_spreading() {
        let (mut floor, mut delivered, mut asked) = (Floor::default(), 0u64, Vec::<u64>::new());
        for ms in (20..14_000u64).step_by(20) {
            let now = Time::from_millis(ms + 100_000);
            let trial = asked.last().is_some_and(|at| ms < at + 2_100);
            // The first trial is of no use. Then something changes, and the second is.
            let rate = match (ms < 4_200, trial) {
                (true, _) => 800,
                (false, true) => 600,
                (false, false) => 500,
            };
            delivered += 20 * rate;
            let _ = floor.tried(now, delivered);
            if floor.costs(now, delivered, now_if(!trial), (1e6, 1e6)).is_some() {
                floor.begin_trial(now);
                asked.push(ms);
            }
        }
        assert_eq!(asked, [2_020, 6_120, 10_220]);
    }

    #[test]
    fn what_became_worse_is_asked_about_again() {
        let (mut floor, mut delivered, mut asked) = (Floor::default(), 0, Vec::new());
        for ms in (20..20_000u64).step_by(20) {
            let now = Time::from_millis(ms + 100_000);
            delivered += 20 * if ms < 10_000 { 800 } else { 600 };
            let _ = floor.tried(now, delivered);
            if floor.costs(now, delivered, Spread::Now, (1e6, 1e6)).is_some() {
                floor.begin_trial(now);
                asked.push(ms / 1_000);
            }
        }
        assert_eq!(asked, [2, 12]);
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

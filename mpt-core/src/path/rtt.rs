//! Round-trip times of one path.

use crate::Time;
use hdrhistogram::Histogram;
use std::time::Duration;

/// How long an answer may take before the first sample.
const INITIAL_TIMEOUT: Duration = Duration::from_secs(1);

/// Longest round trip that is told apart, microseconds.
const MAX_MICROS: u64 = 60_000_000;

/// One of the two windows is started afresh this often, so that quantiles speak of the last 30 to
/// 60 s.
const ROTATE_AFTER: Duration = Duration::from_secs(30);

/// Smoothed round-trip time and its variation by RFC 6298, and the distribution of the last 30 to
/// 60 s. About 10 kB.
#[derive(Clone, Debug)]
pub struct Rtt {
    estimate: Option<Estimate>,
    recent: Window,
    older: Window,
    recent_since: Time,
}

#[derive(Clone, Copy, Debug)]
struct Estimate {
    smoothed: Duration,
    variation: Duration,
    latest: Duration,
}

#[derive(Clone, Debug)]
struct Window {
    /// Microseconds, two significant digits.
    histogram: Histogram<u16>,
    min: Option<Duration>,
}

impl Default for Rtt {
    fn default() -> Self {
        Self::new()
    }
}

impl Rtt {
    /// Nothing known.
    #[must_use]
    pub fn new() -> Self {
        let recent = Window::new();
        Self { estimate: None, older: recent.clone(), recent, recent_since: Time::ZERO }
    }

    /// Takes in a round trip that ended at `now`.
    pub fn sample(&mut self, now: Time, rtt: Duration) {
        let rtt = rtt.clamp(Duration::from_micros(1), Duration::from_micros(MAX_MICROS));
        self.estimate = Some(match self.estimate {
            None => Estimate { smoothed: rtt, variation: rtt / 2, latest: rtt },
            Some(Estimate { smoothed, variation, .. }) => Estimate {
                smoothed: (smoothed * 7 + rtt) / 8,
                variation: (variation * 3 + smoothed.abs_diff(rtt)) / 4,
                latest: rtt,
            },
        });
        if now.since(self.recent_since) >= ROTATE_AFTER {
            std::mem::swap(&mut self.recent, &mut self.older);
            self.recent.clear();
            self.recent_since = now;
        }
        self.recent.record(rtt);
    }

    /// The smoothed round-trip time.
    #[must_use]
    pub fn smoothed(&self) -> Option<Duration> {
        self.estimate.map(|e| e.smoothed)
    }

    /// The smoothed deviation from it; zero before the first sample.
    #[must_use]
    pub fn variation(&self) -> Duration {
        self.estimate.map_or(Duration::ZERO, |e| e.variation)
    }

    /// The latest sample.
    #[must_use]
    pub fn latest(&self) -> Option<Duration> {
        self.estimate.map(|e| e.latest)
    }

    /// The least of the last 30 to 60 s.
    #[must_use]
    pub fn min(&self) -> Option<Duration> {
        [self.recent.min, self.older.min].into_iter().flatten().min()
    }

    /// How long an answer may reasonably take: srtt + 4·rttvar, 1 s before the first sample.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        self.estimate.map_or(INITIAL_TIMEOUT, |e| e.smoothed + 4 * e.variation)
    }

    /// The round-trip time that a share of `q` (0 to 1) of the last samples did not exceed, to two
    /// digits. For the status: it allocates.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let mut all = self.recent.histogram.clone();
        // Same bounds: it cannot fail.
        all.add(&self.older.histogram).ok()?;
        (!all.is_empty()).then(|| Duration::from_micros(all.value_at_quantile(q)))
    }
}

impl Window {
    fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, MAX_MICROS, 2)
            .expect("constant bounds: 1 is at least 1, the high end twice the low one, 2 digits");
        Self { histogram, min: None }
    }

    fn clear(&mut self) {
        self.histogram.reset();
        self.min = None;
    }

    fn record(&mut self, rtt: Duration) {
        self.histogram.saturating_record(u64::try_from(rtt.as_micros()).unwrap_or(MAX_MICROS));
        self.min = Some(self.min.map_or(rtt, |m| m.min(rtt)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    #[test]
    fn follows_rfc_6298() {
        let mut rtt = Rtt::new();
        assert_eq!(rtt.timeout(), INITIAL_TIMEOUT);
        rtt.sample(Time::ZERO, ms(80));
        assert_eq!((rtt.smoothed(), rtt.variation()), (Some(ms(80)), ms(40)));
        rtt.sample(Time::ZERO, ms(160));
        assert_eq!((rtt.smoothed(), rtt.variation()), (Some(ms(90)), ms(50)));
        assert_eq!(rtt.timeout(), ms(290));
        assert_eq!((rtt.latest(), rtt.min()), (Some(ms(160)), Some(ms(80))));
    }

    #[test]
    fn quantiles_forget_after_a_minute() {
        let mut rtt = Rtt::new();
        assert_eq!(rtt.quantile(0.5), None);
        for i in 0..100 {
            rtt.sample(Time::from_millis(i * 10), if i < 95 { ms(10) } else { ms(200) });
        }
        let near = |got: Option<Duration>, want: u64| {
            let got = got.unwrap().as_micros() as f64 / 1e3;
            assert!((got / want as f64 - 1.0).abs() < 0.02, "{got} is not {want}");
        };
        near(rtt.quantile(0.5), 10);
        near(rtt.quantile(0.99), 200);
        for i in 0..100 {
            rtt.sample(Time::from_millis(31_000 + i * 300), ms(20));
        }
        near(rtt.quantile(0.99), 200);
        rtt.sample(Time::from_millis(62_000), ms(20));
        near(rtt.quantile(0.99), 20);
        assert_eq!(rtt.min(), Some(ms(20)));
    }

    #[test]
    fn absurd_samples_are_bounded() {
        let mut rtt = Rtt::new();
        rtt.sample(Time::ZERO, Duration::MAX);
        rtt.sample(Time::ZERO, Duration::ZERO);
        assert!(rtt.timeout() <= Duration::from_secs(300));
    }
}

//! What a path delivers, and what it could.

use std::time::Duration;

/// Arrivals are counted over at least this long: jitter moves a few packets in or out at both ends.
const LEAST_SPAN: u32 = 400;

/// Of so much jitter the edges of a sample are uncertain by it, and this many times as long is added: what is left is 2 to 4 %
/// on the paths of `tests/src/sim/profiles`. With less a sample is exact.
const SPAN_JITTERS: u128 = 4;
const STEADY: Duration = Duration::from_micros(800);

/// A gap in the reports longer than this is none of the path's doing. Both in units of 100 µs.
const MOST_SPAN: u32 = 10_000;

/// What arrived is all that was given, but for what counting over a short time gets wrong.
const ALL: f64 = 0.96;

/// A path's delivery rate.
///
/// While something stands in the queue for a whole sample, what arrives is what the path can do, neither more
/// nor less, and the estimate follows it both ways. Any other sample is limited by what was sent, and
/// only says that the path can do so much: it may raise the estimate, not lower it. (BBR draws
/// the same distinction by marking samples application-limited, draft-cheng-iccrg-delivery-rate-estimation §3; it
/// takes the largest of ten round trips, which on a path with jitter is too much by several per cent. Our
/// queue readings make the windowed maximum unnecessary where it would be wrong.)
#[derive(Clone, Copy, Debug, Default)]
pub struct DeliveryRate {
    from: Option<Mark>,
    /// The least queue seen since then: whether it stood.
    stood: bool,
    /// Bytes a second.
    rate: Option<f64>,
    latest: f64,
    measured: bool,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    /// The receiver's clock in units of 100 µs, wrapping.
    at: u32,
    bytes: u64,
}

impl DeliveryRate {
    /// By `at` (the receiver's clock in units of 100 µs) `bytes` had arrived in all; `stands`: something stands in
    /// the queue; `given`: the path was given no more than this, so that as much arriving says nothing against it.
    pub fn on_arrived(
        &mut self,
        at: u32,
        bytes: u64,
        stands: bool,
        given: Option<f64>,
        jitter: Duration,
    ) {
        let Some(from) = self.from else {
            self.begin(at, bytes, stands);
            return;
        };
        self.stood &= stands;
        let span = at.wrapping_sub(from.at);
        let uncertain = u32::try_from(jitter.as_micros() / 100 * SPAN_JITTERS).unwrap_or(MOST_SPAN);
        if span < LEAST_SPAN + uncertain.min(MOST_SPAN / 2) {
            return;
        }
        if span > MOST_SPAN || bytes < from.bytes {
            self.begin(at, bytes, stands);
            return;
        }
        let sample = (bytes - from.bytes) as f64 * 10_000.0 / f64::from(span);
        self.latest = sample;
        self.rate = Some(match self.rate {
            Some(rate) if jitter > STEADY => {
                let part = if self.stood {
                    self.measured = true;
                    1.0 / 3.0
                } else if sample > rate {
                    0.5
                } else {
                    0.0
                };
                rate + (sample - rate) * part
            }
            Some(rate) if self.stood && given.is_some_and(|g| sample > g * ALL) => rate.max(sample),
            Some(rate) if self.stood => {
                self.measured = true;
                rate + (sample - rate) / 3.0
            }
            Some(rate) => rate.max(sample),
            None => sample,
        });
        self.begin(at, bytes, stands);
    }

    /// It can do so much all the same.
    pub fn restore(&mut self, rate: f64) {
        self.rate = self.rate.map(|r| r.max(rate));
    }

    fn begin(&mut self, at: u32, bytes: u64, stands: bool) {
        self.from = Some(Mark { at, bytes });
        self.stood = stands;
    }

    /// What it can do as far as known, bytes a second.
    #[must_use]
    pub fn capacity(&self) -> Option<f64> {
        self.rate
    }

    /// What it did last, bytes a second.
    #[must_use]
    pub fn latest(&self) -> f64 {
        self.latest
    }

    /// Whether its limit has been seen.
    #[must_use]
    pub fn is_measured(&self) -> bool {
        self.measured
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reports every 20 ms of so many bytes a second, for so many milliseconds.
    fn run(d: &mut DeliveryRate, from: &mut (u32, u64), rate: u64, millis: u32, stands: bool) {
        for _ in 0..millis / 20 {
            from.0 = from.0.wrapping_add(200);
            from.1 += rate / 50;
            d.on_arrived(from.0, from.1, stands, None, Duration::ZERO);
        }
    }

    #[test]
    fn follows_both_ways_with_a_queue_and_only_up_without() {
        let (mut d, mut at) = (DeliveryRate::default(), (u32::MAX - 500, 0));
        d.on_arrived(at.0, at.1, false, None, Duration::ZERO);
        run(&mut d, &mut at, 1_000_000, 200, false);
        assert!((d.capacity().unwrap() - 1e6).abs() < 1e4);
        assert!(!d.is_measured());
        run(&mut d, &mut at, 500_000, 1_000, false);
        assert!((d.capacity().unwrap() - 1e6).abs() < 1e4);
        assert!((d.latest() - 5e5).abs() < 5e3);
        run(&mut d, &mut at, 3_000_000, 1_000, true);
        assert!((d.capacity().unwrap() - 3e6).abs() < 3e4, "{:?}", d.capacity());
        run(&mut d, &mut at, 1_500_000, 1_000, true);
        assert!((d.capacity().unwrap() - 1.5e6).abs() < 5e4, "{:?}", d.capacity());
        assert!(d.is_measured());
    }

    #[test]
    fn a_pause_and_a_restart_are_no_samples() {
        let (mut d, mut at) = (DeliveryRate::default(), (0, 0));
        run(&mut d, &mut at, 1_000_000, 400, true);
        at.0 += 50_000;
        run(&mut d, &mut at, 1_000_000, 400, true);
        assert!((d.capacity().unwrap() - 1e6).abs() < 1e4);
        d.on_arrived(at.0 + 1_000, 0, true, None, Duration::ZERO);
        assert!((d.capacity().unwrap() - 1e6).abs() < 1e4);
    }
}

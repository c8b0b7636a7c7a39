//! How much passed during the last second.

use crate::Time;

/// A bucket, nanoseconds.
const BUCKET: u64 = 100_000_000;

/// One second of full buckets, and the one being filled.
const BUCKETS: usize = 11;

/// Bytes and packets per second over the last second of full tenths.
#[derive(Clone, Copy, Default, Debug)]
pub struct RateMeter {
    buckets: [Rate; BUCKETS],
    /// Number of the bucket being filled, in tenths of a second since the clock's origin.
    filling: u64,
}

/// A rate.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Bytes per second.
    pub bytes: u64,
    /// Packets per second.
    pub packets: u64,
}

impl RateMeter {
    /// Nothing passed.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A packet of `bytes` passed.
    pub fn add(&mut self, now: Time, bytes: u64) {
        let bucket = now.as_nanos() / BUCKET;
        if bucket > self.filling {
            self.open(bucket);
        }
        let rate = &mut self.buckets[slot(self.filling)];
        rate.bytes += bytes;
        rate.packets += 1;
    }

    /// The rate over the last ten full tenths of a second before `now`.
    #[must_use]
    pub fn rate(&self, now: Time) -> Rate {
        let end = now.as_nanos() / BUCKET;
        let kept = (self.filling + 1).saturating_sub(BUCKETS as u64);
        let from = end.saturating_sub(BUCKETS as u64 - 1).max(kept);
        (from..end.min(self.filling + 1)).map(|b| self.buckets[slot(b)]).fold(
            Rate::default(),
            |sum, r| Rate { bytes: sum.bytes + r.bytes, packets: sum.packets + r.packets },
        )
    }

    fn open(&mut self, bucket: u64) {
        let first = (self.filling + 1).max((bucket + 1).saturating_sub(BUCKETS as u64));
        for b in first..=bucket {
            self.buckets[slot(b)] = Rate::default();
        }
        self.filling = bucket;
    }
}

const fn slot(bucket: u64) -> usize {
    (bucket % BUCKETS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_steady_stream_reads_as_its_rate() {
        let mut meter = RateMeter::new();
        for i in 0..3_000u64 {
            meter.add(Time::from_millis(i), 100);
        }
        assert_eq!(meter.rate(Time::from_millis(3_000)), Rate { bytes: 100_000, packets: 1_000 });
        assert_eq!(meter.rate(Time::from_millis(3_500)), Rate { bytes: 50_000, packets: 500 });
        assert_eq!(meter.rate(Time::from_millis(5_000)), Rate::default());
    }

    proptest! {
        #[test]
        fn equals_counting_by_hand(gaps in prop::collection::vec(0u64..400, 0..60), wait in 0u64..1500) {
            let mut meter = RateMeter::new();
            let (mut now, mut all) = (0, Vec::new());
            for gap in gaps {
                now += gap;
                all.push(now);
                meter.add(Time::from_millis(now), 7);
            }
            now += wait;
            let end = now / 100 * 100;
            let packets =
                all.iter().filter(|&&t| t < end && t + 1_000 >= end).count() as u64;
            prop_assert_eq!(meter.rate(Time::from_millis(now)), Rate { bytes: 7 * packets, packets });
        }
    }
}

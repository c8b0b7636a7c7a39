//! One-way delay without synchronised clocks: its base, its jitter, and what stands in the queue.

use super::windowed_min::WindowedMin;
use crate::Time;
use std::time::Duration;

/// The base is the least of the last 50 to 60 s: a flow that never lets the queue run dry must not
/// become the path's normal state soon (BBR looks back 10 s, and drains the queue itself to see it).
const BASE_WINDOW: Duration = Duration::from_secs(60);

/// Jitter is the least that was told within this time: bursts in a queue may add to it, but not always.
const JITTER_WINDOW: Duration = Duration::from_secs(1);

/// With less jitter than this each report's least delay counts as it is, microseconds.
const STEADY: i64 = 500;

/// Jitter of this much moves the base when it is seen first, microseconds.
const MATTERS: i64 = 2_000;

/// With more, the mean of so many packets at least.
const ENOUGH: u32 = 16;

/// Then the mean is taken over as many packets as give it this error, microseconds and a part of the deviation …
const ERROR: f64 = 500.0;
const ERROR_PART: f64 = 0.04;

/// … if that is so much more than was told, whose least counts.
const DEVIATION: f64 = 1.4;

/// The base is the least of some hundred such means, which lies so many errors below the middle; and what is read now has its own.
const ERRORS: f64 = 4.5;

/// Without jitter a reading is uncertain by so much, and with it by so much more: a burst's queue.
const BURST: Duration = Duration::from_millis(2);

/// Fewer packets in this time make no queue.
const THIN: Duration = Duration::from_millis(500);

/// A path that carries little and is late all the same for this long has become longer.
const STEP_AFTER: Duration = Duration::from_millis(400);

/// Half a turn of the send times: no longer queue can be told from a shorter one in another turn, and probes would not come back through it.
const MOST: Duration = Duration::from_millis(3_276);

/// One report's word on a path's one-way delays: microseconds from the sender's clock to the receiver's, which have
/// nothing in common. Only differences mean something, between the paths of a peer as well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DelaySample {
    /// The least of the packets reported.
    pub least: i64,
    /// The mean of them.
    pub mean: i64,
    /// How many they were.
    pub packets: u32,
    /// The mean difference of two packets that were sent one after the other beyond what a queue makes of it, microseconds.
    pub jitter: i64,
    /// What they were expected to wait in the queue on average, microseconds, by an [`OwnQueue`](super::own_queue::OwnQueue).
    pub own: i64,
}

/// A path's one-way delay.
///
/// On a steady path each report's least delay counts: a burst of ours waits behind itself and is no standing queue. (RFC 6817
/// §3.3 takes such minima of one-way delays; N. Cardwell et al., "BBR Congestion Control", ACM Queue 2016, of round trips.)
///
/// With jitter the mean counts. The least of n packets moves with n, by 0.57·σ·ln n for normal jitter of deviation σ, and has itself a
/// deviation of about σ/2; the mean of n has one of σ/√n, whatever n is. It is averaged over as many packets, by count, as
/// make it good to a millisecond or two, which takes 20 to 150 ms on paths that carry a bulk flow.
#[derive(Clone, Debug, Default)]
pub struct OneWayDelay {
    /// What came since the last reading.
    gathered: Option<Gathered>,
    smoothed: Option<i64>,
    /// The smoothed delay without what the packets were expected to wait, which needs no smoothing.
    rest: i64,
    /// What the last ones were expected to wait.
    own: i64,
    /// So few packets come that they make no queue.
    thin: bool,
    /// Packets that made it, where there is jitter.
    averaged: f64,
    base: WindowedMin,
    jitter: WindowedMin,
    /// Jitter was seen that matters.
    jittery: bool,
    /// Late without load since.
    late_since: Option<Time>,
}

#[derive(Clone, Copy, Debug)]
struct Gathered {
    since: Time,
    least: i64,
    mean: i64,
    own: i64,
    packets: u32,
}

impl Gathered {
    fn add(&mut self, sample: &DelaySample) {
        self.least = self.least.min(sample.least);
        self.packets = self.packets.saturating_add(sample.packets);
        let part = f64::from(sample.packets) / f64::from(self.packets.max(1));
        self.mean += ((sample.mean - self.mean) as f64 * part) as i64;
        self.own += ((sample.own - self.own) as f64 * part) as i64;
    }
}

impl OneWayDelay {
    /// A report came. `busy`: the path carries enough for a queue to stand there.
    pub fn on_sample(&mut self, now: Time, sample: DelaySample, busy: bool) {
        self.jitter.update(now, sample.jitter, JITTER_WINDOW);
        let DelaySample { least, mean, own, .. } = sample;
        let mut gathered =
            self.gathered.unwrap_or(Gathered { since: now, least, mean, own, packets: 0 });
        gathered.add(&sample);
        self.gathered = Some(gathered);
        let jitter = self.jitter_micros();
        if jitter > MATTERS && !self.jittery {
            // What was read before jitter was known was the least.
            self.jittery = true;
            self.base = WindowedMin::default();
            (self.smoothed, self.averaged) = (None, 0.0);
        }
        if jitter > STEADY && gathered.packets < ENOUGH {
            if now.since(gathered.since) > THIN {
                self.gathered = None;
                // Nothing stands there.
                self.smoothed = self.base.get().or(Some(gathered.mean));
                (self.rest, self.own, self.thin) = (self.smoothed.unwrap_or(0), 0, true);
                if self.base.get().is_none() {
                    self.base.update(now, gathered.mean, BASE_WINDOW);
                }
            }
            return;
        }
        (self.gathered, self.thin) = (None, false);
        let reading = if jitter > STEADY { gathered.mean } else { gathered.least };
        let mut good = true;
        let smoothed = match self.smoothed {
            Some(before) if jitter > STEADY => {
                let packets = f64::from(gathered.packets);
                let enough = averaged(sigma(jitter));
                self.averaged = (self.averaged + packets).min(enough + packets);
                good = self.averaged >= enough;
                let part = packets / self.averaged;
                self.rest += ((reading - gathered.own - self.rest) as f64 * part) as i64;
                before + ((reading - before) as f64 * part) as i64
            }
            _ => {
                self.averaged = 0.0;
                self.rest = reading - gathered.own;
                reading
            }
        };
        self.own = gathered.own;
        self.smoothed = Some(smoothed);
        if good || self.base.get().is_none() {
            self.base.update(now, smoothed, BASE_WINDOW);
        }
        if self.standing() > MOST {
            self.smoothed = Some(reading);
            self.rebase(now);
        }
        self.follow_step(now, busy);
    }

    /// What stands is the path's, not a queue.
    pub fn rebase(&mut self, now: Time) {
        self.late_since = None;
        self.base = WindowedMin::default();
        if let Some(smoothed) = self.smoothed {
            self.base.update(now, smoothed, BASE_WINDOW);
            self.rest = smoothed - self.own;
        }
    }

    /// The queue of a path that carries little empties itself: what stays is the path.
    fn follow_step(&mut self, now: Time, busy: bool) {
        if busy || self.standing() < Duration::from_millis(5) {
            self.late_since = None;
            return;
        }
        let since = *self.late_since.get_or_insert(now);
        if now.since(since) >= STEP_AFTER {
            self.rebase(now);
        }
    }

    /// The mean delay of the empty path, microseconds; comparable among the paths of one peer only.
    #[must_use]
    pub fn base_micros(&self) -> Option<i64> {
        self.base.get()
    }

    /// What stands in the queue; with jitter it is an average, and what it speaks of may be gone.
    #[must_use]
    pub fn standing(&self) -> Duration {
        self.smoothed.map_or(Duration::ZERO, |delay| self.above_base(delay))
    }

    /// What stands there now, where as much is expected to by an [`OwnQueue`](super::own_queue::OwnQueue).
    #[must_use]
    pub fn predicted(&self, own: Duration) -> Duration {
        let own = if self.thin { 0 } else { own.as_micros() as i64 };
        self.above_base(self.rest + own)
    }

    fn above_base(&self, delay: i64) -> Duration {
        let above = self.base.get().map_or(0, |base| delay - base);
        Duration::from_micros(u64::try_from(above).unwrap_or(0))
    }

    /// How much of what stands may be none.
    #[must_use]
    pub fn uncertain(&self) -> Duration {
        let jitter = self.jitter_micros();
        if jitter <= STEADY {
            return BURST;
        }
        BURST + Duration::from_micros((ERRORS * error(sigma(jitter))) as u64)
    }

    /// The standard deviation of normal jitter.
    #[must_use]
    pub fn jitter(&self) -> Duration {
        Duration::from_micros(sigma(self.jitter_micros()) as u64)
    }

    fn jitter_micros(&self) -> i64 {
        self.jitter.get().unwrap_or(0).max(0)
    }
}

/// The deviation, from the mean difference of two: 2/√π times as much.
fn sigma(difference: i64) -> f64 {
    difference as f64 * 0.886
}

/// The error that is aimed at.
fn error(sigma: f64) -> f64 {
    ERROR + ERROR_PART * sigma
}

/// Over how many packets to average: half their variance by their number is left in a moving average.
fn averaged(sigma: f64) -> f64 {
    (DEVIATION * sigma / error(sigma)).powi(2) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000;

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    fn sample(least: i64, jitter: i64) -> DelaySample {
        DelaySample { least, mean: least, jitter, packets: 40, own: 0 }
    }

    #[test]
    fn a_queue_reads_as_its_length_at_once_where_there_is_no_jitter() {
        let mut d = OneWayDelay::default();
        let clocks = -7_000_000;
        d.on_sample(at(0), sample(clocks + 20 * MS, 0), true);
        d.on_sample(at(20), sample(clocks + 32 * MS, 0), true);
        assert_eq!(d.standing(), Duration::from_millis(12));
        d.on_sample(at(40), sample(clocks + 21 * MS, 0), true);
        assert_eq!(d.standing(), Duration::from_millis(1));
        assert_eq!(d.base_micros(), Some(clocks + 20 * MS));
    }

    /// A normal number from a sum of twelve, deviation 1.
    fn normal(x: &mut u64) -> f64 {
        (0..12)
            .map(|_| {
                *x = x
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (*x >> 11) as f64 / (1u64 << 53) as f64 - 0.5
            })
            .sum()
    }

    #[test]
    fn jitter_does_not_read_as_queue_at_any_load() {
        let mut d = OneWayDelay::default();
        let mut x = 12_345;
        let mut run = |d: &mut OneWayDelay, from: u64, to: u64, packets: u32, delay: f64| {
            let mut worst = Duration::ZERO;
            for t in (from..to).step_by(20) {
                let delays = (0..packets).map(|_| (delay + 8e3 * normal(&mut x)) as i64);
                let delays: Vec<i64> = delays.collect();
                let least = *delays.iter().min().unwrap();
                let mean = delays.iter().sum::<i64>() / i64::from(packets);
                d.on_sample(
                    at(t),
                    DelaySample { least, mean, packets, jitter: 9 * MS, own: 0 },
                    true,
                );
                if t > from + 2_000 {
                    worst = worst.max(d.standing());
                }
            }
            worst
        };
        for packets in [1, 4, 40, 150, 3] {
            let from = u64::from(packets) * 60_000;
            let worst = run(&mut d, from, from + 30_000, packets, 45e3);
            assert!(worst < Duration::from_millis(6), "{packets}: {worst:?}");
        }
        run(&mut d, 9_040_000, 9_043_000, 40, 85e3);
        assert!(d.standing() > Duration::from_millis(36), "{:?}", d.standing());
    }

    #[test]
    fn what_was_sent_shows_a_queue_before_the_average_does() {
        let mut d = OneWayDelay::default();
        let mut x = 99;
        let (mut behind, mut off) = (0, 0);
        for t in (0..6_000u64).step_by(20) {
            // From 3 s on it grows by half a millisecond in each, and is drained as fast.
            let queue = if t < 3_000 { 0 } else { (50 - (t % 200) as i64 / 2).abs() * MS };
            // What was expected is 30 ms too much: the rate was not known well.
            let own = queue + 30 * MS;
            let mean =
                (0..40).map(|_| 45 * MS + queue + (8e3 * normal(&mut x)) as i64).sum::<i64>() / 40;
            let least = mean - 15 * MS;
            d.on_sample(at(t), DelaySample { least, mean, packets: 40, jitter: 9 * MS, own }, true);
            if t > 3_400 {
                let error = |read: Duration| (read.as_micros() as i64 - queue).abs();
                behind = behind.max(error(d.standing()));
                off = off.max(error(d.predicted(Duration::from_micros(own as u64))));
            }
        }
        assert!(behind > 15 * MS && off < 7 * MS, "{behind} {off}");
    }

    #[test]
    fn no_queue_is_longer_than_half_a_turn() {
        for jitter in [0, 4 * MS] {
            let mut d = OneWayDelay::default();
            for i in 0..100u64 {
                d.on_sample(at(i * 20), sample(20 * MS, jitter), true);
            }
            // Five turns of the send times.
            for i in 100..200u64 {
                d.on_sample(at(i * 20), sample(20 * MS + 32_768 * MS, jitter), true);
                assert!(d.standing() <= MOST, "{:?}", d.standing());
            }
            assert_eq!(d.standing(), Duration::ZERO);
        }
    }

    #[test]
    fn a_longer_path_is_told_from_a_queue_when_it_carries_little() {
        let mut d = OneWayDelay::default();
        d.on_sample(at(0), sample(20 * MS, 0), true);
        for i in 0..50u64 {
            d.on_sample(at(20 + i * 20), sample(70 * MS, 0), true);
        }
        assert_eq!(d.standing(), Duration::from_millis(50));
        for i in 50..75u64 {
            d.on_sample(at(20 + i * 20), sample(70 * MS, 0), false);
        }
        assert_eq!(d.standing(), Duration::ZERO);
    }
}

//! How far a path has come, at the receiver.

use super::checkpoints::Checkpoints;
use super::extent::Extent;
use super::open_paths::Marker;
use crate::{PacketNumber, Time};
use std::time::Duration;

/// One-way delay and jitter are averaged over this time.
const AVERAGE_OVER: Duration = Duration::from_millis(100);

/// A single packet makes no more than this part of the jitter, however long nothing came before it.
const MOST_WEIGHT: f64 = 0.125;

/// After a pause like this the delay begins anew: clocks drift, and paths change.
const ANEW_AFTER: Duration = Duration::from_secs(2);

/// What the receiver knows of a path from the packets that came on it.
#[derive(Debug, Default)]
pub struct PathProgress {
    /// The highest number that came, and when anything came last.
    highest: u64,
    last_arrival: Option<Time>,
    /// The highest number the path is known to have come to: `highest`, or what a marker told.
    reached: u64,
    checkpoints: Checkpoints,
    delay: Delay,
    extent: Extent,
    /// The extent when [`refresh`](Self::refresh) was called last.
    extent_now: Duration,
    sequence: Sequence,
    marker: Option<PendingMarker>,
    acknowledged: Option<u16>,
}

/// A marker that came before all that had been sent before it.
#[derive(Clone, Copy, Debug)]
struct PendingMarker {
    epoch: u16,
    seq: u32,
    since: Time,
}

impl PathProgress {
    /// The highest packet number that came on the path as an original; 0 before the first.
    #[must_use]
    pub const fn highest(&self) -> PacketNumber {
        PacketNumber(self.highest)
    }

    /// When a data packet or marker came last.
    #[must_use]
    pub const fn last_arrival(&self) -> Option<Time> {
        self.last_arrival
    }

    /// One-way delay in microseconds, averaged over 100 ms, relative to an origin that all paths of the
    /// same [`Reorder`](super::Reorder) share (the two ends' clocks are not).
    #[must_use]
    pub const fn relative_delay(&self) -> f64 {
        self.delay.mean
    }

    /// Mean deviation of the one-way delay, averaged over 100 ms.
    #[must_use]
    pub fn jitter(&self) -> Duration {
        Duration::from_nanos((self.delay.deviation * 1e3) as u64)
    }

    /// How much later than newer packets of this path one may come.
    #[must_use]
    pub const fn extent(&self) -> Duration {
        self.extent_now
    }

    /// Numbers of the path sequence that have not come so far: lost, late, or lost markers.
    #[must_use]
    pub const fn missing(&self) -> u64 {
        self.sequence.lost + self.sequence.missing() as u64
    }

    /// An original came. `delay` is the one-way delay in microseconds.
    pub(super) fn on_original(&mut self, now: Time, pn: u64, seq: u32, delay: i64) {
        self.sequence.on_number(seq);
        self.delay.on_sample(now, delay as f64);
        self.last_arrival = Some(now);
        self.highest = self.highest.max(pn);
        if pn > self.reached {
            self.reached = pn;
            self.checkpoints.record(now, pn, self.extent_now);
        } else if let Some(passed) = self.checkpoints.passed_at(pn) {
            self.extent.on_late(now, now.since(passed));
            self.refresh(now);
        }
    }

    /// A packet sent again or as a duplicate came, or word of a pause: a sign of life, but none of progress.
    pub(super) fn on_copy(&mut self, now: Time, seq: u32) {
        self.sequence.on_number(seq);
        self.last_arrival = Some(now);
    }

    pub(super) fn on_marker(&mut self, now: Time, marker: Marker) {
        self.last_arrival = Some(now);
        if marker.last_pn.0 > self.reached {
            self.reached = marker.last_pn.0;
            self.checkpoints.record(now, self.reached, self.extent_now);
        }
        let known = self.marker.map(|m| m.epoch).or(self.acknowledged);
        if known.is_none_or(|known| marker.epoch.wrapping_sub(known) as i16 > 0) {
            self.sequence.on_number(marker.seq);
            self.marker = Some(PendingMarker { epoch: marker.epoch, seq: marker.seq, since: now });
        }
    }

    /// Brings the extent up to date.
    pub(super) fn refresh(&mut self, now: Time) {
        self.extent_now = self.extent.at(now, self.jitter());
    }

    /// Confirms the marker that came, once all before it has come or will not come any more.
    pub(super) fn settle_marker(&mut self, now: Time) {
        if let Some(m) = self.marker
            && (self.sequence.is_complete_through(m.seq) || m.since + self.extent_now <= now)
        {
            self.sequence.settle(m.seq);
            self.acknowledged = Some(m.epoch);
            self.marker = None;
        }
    }

    /// The newest epoch of which everything has come that will come.
    pub(super) const fn acknowledged(&self) -> Option<u16> {
        self.acknowledged
    }

    pub(super) fn marker_settles_at(&self) -> Option<Time> {
        self.marker.map(|m| m.since + self.extent_now)
    }

    /// The highest number up to which the path has brought all it will bring.
    pub(super) fn vouched(&self, now: Time) -> u64 {
        if self.extent_now.is_zero() {
            self.reached
        } else {
            self.checkpoints.vouched(now, self.extent_now)
        }
    }

    /// When [`vouched`](Self::vouched) rises though nothing comes.
    pub(super) fn next_vouched_at(&self, now: Time) -> Option<Time> {
        if self.extent_now.is_zero() {
            None
        } else {
            self.checkpoints.next_vouched_at(now, self.extent_now)
        }
    }
}

/// Exponentially weighted averages over time, in microseconds.
#[derive(Clone, Copy, Debug, Default)]
struct Delay {
    mean: f64,
    deviation: f64,
    last: Option<Time>,
}

impl Delay {
    fn on_sample(&mut self, now: Time, sample: f64) {
        let after = self.last.replace(now).map(|last| now.since(last));
        let Some(after) = after.filter(|&after| after < ANEW_AFTER) else {
            self.mean = sample;
            return;
        };
        let (dt, over) = (after.as_secs_f64(), AVERAGE_OVER.as_secs_f64());
        let weight = dt / (dt + over);
        let error = sample - self.mean;
        self.mean += weight * error;
        self.deviation += weight.min(MOST_WEIGHT) * (error.abs() - self.deviation);
    }
}

/// What is further behind than this is expected no more.
const FARTHEST: u32 = 1 << 20;

/// Which numbers of the path sequence have come, as counts.
#[derive(Clone, Copy, Debug, Default)]
struct Sequence {
    /// Up to here nothing is expected any more; `lost` counts what never came.
    settled: u32,
    lost: u64,
    highest: u32,
    /// Numbers above `settled` that came.
    came: u32,
}

impl Sequence {
    const fn on_number(&mut self, seq: u32) {
        if (seq.wrapping_sub(self.settled) as i32) <= 0 {
            self.lost = self.lost.saturating_sub(1);
            return;
        }
        self.came = self.came.saturating_add(1);
        if seq.wrapping_sub(self.highest) as i32 > 0 {
            self.highest = seq;
        }
        // A path that is never closed has no markers, and numbers wrap.
        if self.highest.wrapping_sub(self.settled) > FARTHEST {
            self.settle(self.highest.wrapping_sub(FARTHEST / 2));
        }
    }

    const fn missing(&self) -> u32 {
        self.highest.wrapping_sub(self.settled).saturating_sub(self.came)
    }

    /// Whether all up to `seq` came for sure: what came may be numbers behind it, as far as there are such.
    const fn is_complete_through(&self, seq: u32) -> bool {
        let behind = self.highest.wrapping_sub(seq);
        let behind = if behind as i32 > 0 { behind } else { 0 };
        self.came.saturating_sub(behind) >= seq.wrapping_sub(self.settled)
    }

    const fn settle(&mut self, seq: u32) {
        let expected = seq.wrapping_sub(self.settled);
        if expected as i32 <= 0 {
            return;
        }
        self.lost += expected.saturating_sub(self.came) as u64;
        self.came = self.came.saturating_sub(expected);
        self.settled = seq;
        if (self.highest.wrapping_sub(seq) as i32) < 0 {
            self.highest = seq;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(t: u64) -> Time {
        Time::from_millis(t)
    }

    fn marker(epoch: u16, seq: u32) -> Marker {
        Marker { epoch, last_pn: PacketNumber(100), seq }
    }

    /// A path that was late by 8 ms, so its extent is 10 ms; 4 numbers of its sequence came.
    fn reordering() -> PathProgress {
        let mut p = PathProgress::default();
        for (t, pn, seq) in [(0, 10, 1), (1, 30, 3), (9, 20, 2), (10, 40, 4)] {
            p.on_original(ms(t), pn, seq, 0);
        }
        assert_eq!(p.extent().as_millis(), 10);
        p
    }

    #[test]
    fn numbers_may_wrap_on_a_path_that_is_never_closed() {
        let mut s = Sequence::default();
        let mut seq = 0u32;
        for i in 0..1u64 << 14 {
            // As if all of half a million had come, but three of the first ones.
            seq = seq.wrapping_add(1 << 19);
            s.came += (1 << 19) - if i == 0 { 4 } else { 1 };
            s.on_number(seq);
            assert_eq!((s.missing(), s.is_complete_through(seq)), (3, false), "{i}");
        }
    }

    #[test]
    fn a_marker_is_confirmed_when_all_before_it_came() {
        let mut p = reordering();
        p.on_marker(ms(11), marker(1, 6));
        p.settle_marker(ms(11));
        assert_eq!(p.acknowledged(), None, "5 is missing");
        p.on_original(ms(12), 50, 5, 0);
        p.settle_marker(ms(12));
        assert_eq!((p.acknowledged(), p.missing()), (Some(1), 0));
    }

    #[test]
    fn a_copy_behind_the_marker_does_not_stand_for_what_is_missing_before_it() {
        let mut p = reordering();
        p.on_copy(ms(11), 7);
        p.on_marker(ms(11), marker(1, 6));
        p.settle_marker(ms(11));
        assert_eq!(p.acknowledged(), None, "5 is missing");
        p.on_original(ms(12), 50, 5, 0);
        p.settle_marker(ms(12));
        assert_eq!(p.acknowledged(), Some(1));
    }

    #[test]
    fn a_marker_is_confirmed_when_nothing_can_come_any_more() {
        let mut p = reordering();
        p.on_marker(ms(11), marker(1, 6));
        p.on_marker(ms(18), marker(1, 6));
        p.settle_marker(ms(20));
        assert_eq!(p.acknowledged(), None);
        p.settle_marker(ms(21));
        assert_eq!((p.acknowledged(), p.missing()), (Some(1), 1));
        assert_eq!(p.vouched(ms(21)), 100);

        // A path that never reordered has nothing to wait for.
        let mut p = PathProgress::default();
        p.on_original(ms(0), 1, 1, 0);
        p.on_marker(ms(1), marker(1, 3));
        p.settle_marker(ms(1));
        assert_eq!(p.acknowledged(), Some(1));
        p.on_marker(ms(2), marker(0, 3));
        p.settle_marker(ms(2));
        assert_eq!(p.acknowledged(), Some(1), "an older one");
    }

    /// The origin of delays is anywhere, and clocks drift.
    #[test]
    fn neither_a_marker_nor_a_pause_before_a_packet_makes_jitter() {
        let mut p = PathProgress::default();
        p.on_marker(ms(0), marker(1, 1));
        for i in 0..50 {
            p.on_original(ms(10 + i), 101 + i, 2 + i as u32, 5_000_000 + i as i64 % 2 * 1_000);
        }
        assert!(p.jitter() <= Duration::from_millis(1), "{:?}", p.jitter());
        p.on_original(ms(3_600_000), 200, 60, 5_360_000);
        assert!(p.jitter() <= Duration::from_millis(1), "{:?}", p.jitter());
        // One of the packets of a thin stream is very late.
        p.on_original(ms(3_601_000), 201, 61, 5_560_000);
        assert!(p.jitter() <= Duration::from_millis(26), "{:?}", p.jitter());
    }

    #[test]
    fn delay_and_jitter_are_averages() {
        let mut p = PathProgress::default();
        for i in 0..2_000 {
            p.on_original(ms(i), i, i as u32, if i % 2 == 0 { 3_000 } else { 5_000 });
        }
        assert!((p.relative_delay() - 4_000.0).abs() < 50.0);
        assert!((p.jitter().as_secs_f64() - 0.001).abs() < 0.000_05);
    }
}

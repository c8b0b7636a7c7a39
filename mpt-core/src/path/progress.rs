//! Whether what is sent over a path arrives, as the peer's reports tell.

use super::Rtt;
use crate::Time;
use std::collections::VecDeque;
use std::time::Duration;

/// Packets sent within this time share a checkpoint.
const SPACING: Duration = Duration::from_millis(10);

/// Checkpoints kept: 320 ms. When they are used up the last one stands for all that follow, which
/// only makes what they left at seem older than it is; the last progress still counts.
const MAX_CHECKPOINTS: usize = 32;

/// The interval of reports before the peer told its own.
const DEFAULT_REPORT_INTERVAL: Duration = Duration::from_millis(100);

/// More than this is not believed: it would blind us.
const MAX_REPORT_INTERVAL: Duration = Duration::from_millis(200);

/// A busy router with two cores may not get round to a packet for this long.
const LEAST_PATIENCE: Duration = Duration::from_millis(60);

/// Remembers roughly when packets were sent, by path sequence, and what of it arrived.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    /// The first sequence of a group of packets and when it was sent, oldest first; all that is
    /// not known to have arrived lies in these groups.
    checkpoints: VecDeque<Checkpoint>,
    last_sent: Option<u32>,
    arrived: Option<u32>,
    last_progress: Time,
    report_interval: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Checkpoint {
    first: u32,
    at: Time,
}

impl Progress {
    /// Nothing sent yet.
    pub(super) fn new() -> Self {
        Self {
            checkpoints: VecDeque::with_capacity(MAX_CHECKPOINTS),
            last_sent: None,
            arrived: None,
            last_progress: Time::ZERO,
            report_interval: DEFAULT_REPORT_INTERVAL,
        }
    }

    /// A packet was sent.
    pub(super) fn on_sent(&mut self, now: Time, seq: u32) {
        self.last_sent = Some(seq);
        let wanted = match self.checkpoints.back() {
            Some(last) => now.since(last.at) >= SPACING,
            None => true,
        };
        if wanted && self.checkpoints.len() < MAX_CHECKPOINTS {
            self.checkpoints.push_back(Checkpoint { first: seq, at: now });
        }
    }

    /// The peer has received up to `highest`, and reports every `interval`. If that is news, returns
    /// a time at or after which the newest arrived packet was sent.
    pub(super) fn on_report(
        &mut self,
        now: Time,
        highest: u32,
        interval: Duration,
    ) -> Option<Time> {
        self.report_interval = interval.min(MAX_REPORT_INTERVAL);
        let sent = self.last_sent?;
        if newer(highest, sent) || self.arrived.is_some_and(|arrived| !newer(highest, arrived)) {
            return None;
        }
        self.arrived = Some(highest);
        self.last_progress = now;
        let mut alive = Time::ZERO;
        while let Some(first) = self.checkpoints.front() {
            if newer(first.first, highest) {
                break;
            }
            alive = first.at;
            // A group stays as long as one of its packets may be under way.
            match self.checkpoints.get(1) {
                Some(second) if newer(second.first, highest.wrapping_add(1)) => break,
                None if highest != sent => break,
                _ => self.checkpoints.pop_front(),
            };
        }
        Some(alive)
    }

    /// The path is known to have been alive at `when`: what was sent before and did not arrive is
    /// lost, and no reason for suspicion any more.
    pub(super) fn write_off(&mut self, when: Time) {
        while self.checkpoints.front().is_some_and(|c| c.at < when) {
            self.checkpoints.pop_front();
        }
    }

    /// Everything starts afresh: the peer counts from nothing.
    pub(super) fn reset(&mut self) {
        self.checkpoints.clear();
        self.last_sent = None;
        self.arrived = None;
        self.report_interval = DEFAULT_REPORT_INTERVAL;
    }

    /// Whether something was sent that is not known to have arrived.
    pub(super) fn outstanding(&self) -> bool {
        !self.checkpoints.is_empty()
    }

    /// When the lack of progress becomes suspicious, if nothing more is heard.
    pub(super) fn suspicious_at(&self, rtt: &Rtt) -> Option<Time> {
        let oldest = self.checkpoints.front()?.at;
        let srtt = rtt.smoothed()?;
        let patience = srtt / 4 + 4 * rtt.variation() + 2 * self.report_interval;
        Some((oldest + srtt).max(self.last_progress) + patience.max(LEAST_PATIENCE))
    }
}

/// Whether sequence `a` is after `b`, around the wrap.
const fn newer(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) as i32 > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_millis(25);

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    fn rtt() -> Rtt {
        let mut rtt = Rtt::new();
        for _ in 0..64 {
            rtt.sample(Time::ZERO, Duration::from_millis(40));
        }
        rtt
    }

    #[test]
    fn suspicion_follows_the_oldest_unreported_and_the_last_progress() {
        let (mut p, rtt) = (Progress::new(), rtt());
        assert_eq!(p.suspicious_at(&rtt), None);
        for i in 0..100u32 {
            p.on_sent(at(1_000 + u64::from(i)), i);
        }
        let near = |got: Option<Time>, want: u64| {
            let got = got.unwrap().as_micros() as i64 - want as i64 * 1_000;
            assert!(got.abs() < 100, "{got} µs off");
        };
        // 40 ms round trip, a quarter of it, two intervals of 100 ms.
        near(p.suspicious_at(&rtt), 1_000 + 40 + 10 + 200);
        assert_eq!(p.on_report(at(1_080), 35, INTERVAL), Some(at(1_030)));
        near(p.suspicious_at(&rtt), 1_080 + 60);
        assert_eq!(p.on_report(at(1_090), 35, INTERVAL), None, "nothing new");
        assert_eq!(p.on_report(at(1_090), 12, INTERVAL), None, "overtaken report");
        near(p.suspicious_at(&rtt), 1_080 + 60);
        assert_eq!(p.on_report(at(1_190), 99, INTERVAL), Some(at(1_090)));
        assert_eq!((p.suspicious_at(&rtt), p.outstanding()), (None, false));
        // Idle, then one packet: the last progress is long ago and does not count.
        p.on_sent(at(5_000), 100);
        near(p.suspicious_at(&rtt), 5_000 + 40 + 60);
    }

    #[test]
    fn the_group_of_the_first_unreported_packet_stays() {
        let mut p = Progress::new();
        for i in 0..30u32 {
            p.on_sent(at(u64::from(i)), i);
        }
        p.on_report(at(50), 19, INTERVAL);
        assert_eq!(p.checkpoints.front().map(|c| c.first), Some(20));
        p.on_report(at(51), 28, INTERVAL);
        assert!(p.outstanding());
        p.on_report(at(52), 29, INTERVAL);
        assert!(!p.outstanding());
    }

    #[test]
    fn sequences_wrap_and_lies_are_ignored() {
        let mut p = Progress::new();
        p.on_sent(at(0), u32::MAX);
        assert_eq!(p.on_report(at(1), 7, INTERVAL), None, "never sent");
        p.on_sent(at(20), 0);
        p.on_sent(at(40), 1);
        assert_eq!(p.on_report(at(41), 0, Duration::MAX), Some(at(20)));
        assert_eq!(p.report_interval, MAX_REPORT_INTERVAL);
        assert_eq!(p.on_report(at(42), u32::MAX, INTERVAL), None);
        assert!(p.outstanding());
    }

    #[test]
    fn checkpoints_are_bounded_and_can_be_written_off() {
        let (mut p, rtt) = (Progress::new(), rtt());
        for i in 0..10_000u32 {
            p.on_sent(at(u64::from(i)), i);
        }
        assert_eq!(p.checkpoints.len(), MAX_CHECKPOINTS);
        p.write_off(at(400));
        assert_eq!(p.suspicious_at(&rtt), None);
        p.on_sent(at(10_000), 10_000);
        assert!(p.suspicious_at(&rtt).is_some());
    }
}

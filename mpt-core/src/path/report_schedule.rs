//! When the receiving end owes the sender a report.

use crate::Time;
use std::time::Duration;

/// Reports are not closer together than this, save for urgent ones.
const LEAST_INTERVAL: Duration = Duration::from_millis(10);

/// Under traffic they are not further apart than this.
const MOST_INTERVAL: Duration = Duration::from_millis(100);

/// Urgent reports (a hole, a marker) are not closer together than this.
const LEAST_URGENT: Duration = Duration::from_millis(1);

/// So many bytes are reported on as soon as urgent reports may be: the sender keeps all that no report spoke of,
/// and that should fit its cache, and always its memory.
const MOST_BYTES: u64 = 512 << 10;

/// Reports take at most one byte in so many.
const SHARE: u64 = 100;

/// The schedule of the reports to one peer.
///
/// Each report states the interval within which the next will follow what arrives; the sender's
/// suspicion of a silent path is built on that, so it is kept even if the traffic becomes too thin
/// for it meanwhile. The next report then states a longer one.
#[derive(Clone, Debug)]
pub struct ReportSchedule {
    /// When the first packet came that no report speaks of.
    unreported_since: Option<Time>,
    urgent: bool,
    /// Bytes that no report speaks of.
    unreported: u64,
    last_sent: Option<Time>,
    /// Bytes received, and the time that took: what counted for the last report counts three
    /// quarters for the next, so that a moment's jitter does not read as thin traffic.
    received: u64,
    elapsed: Duration,
    /// Bytes of the last report, all its copies.
    size: u64,
    /// Promised in the last report, or about to be in the next.
    interval: Duration,
}

impl Default for ReportSchedule {
    fn default() -> Self {
        Self::new()
    }
}

impl ReportSchedule {
    /// Nothing received.
    #[must_use]
    pub fn new() -> Self {
        Self {
            unreported_since: None,
            urgent: false,
            unreported: 0,
            last_sent: None,
            received: 0,
            elapsed: Duration::ZERO,
            size: 0,
            interval: LEAST_INTERVAL,
        }
    }

    /// A data packet of `bytes` came.
    pub fn on_received(&mut self, now: Time, bytes: usize) {
        self.received += bytes as u64;
        self.unreported += bytes as u64;
        self.urgent |= self.unreported >= MOST_BYTES;
        self.unreported_since.get_or_insert(now);
    }

    /// Something came up that the sender should know at once.
    pub fn urgent(&mut self, now: Time) {
        self.urgent = true;
        self.unreported_since.get_or_insert(now);
    }

    /// Whether a report is to be sent now. If so, [`interval`](Self::interval) is what it has to
    /// state, and [`on_sent`](Self::on_sent) must follow, with 0 bytes if there was no way to send.
    /// `srtt` is the round-trip time of the path that reports take.
    #[must_use]
    pub fn due(&mut self, now: Time, srtt: Option<Duration>) -> bool {
        let due = self.poll_timeout().is_some_and(|at| at <= now);
        if due {
            self.interval = self.next_interval(now, srtt);
        }
        due
    }

    /// The time from a packet's arrival within which a report speaks of it.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// A report of `bytes` was sent. A copy on a second path, at the same time, is added to it.
    pub fn on_sent(&mut self, now: Time, bytes: usize) {
        if self.last_sent == Some(now) {
            self.size += bytes as u64;
        } else {
            self.size = bytes as u64;
            self.elapsed = self.elapsed_at(now) * 3 / 4;
            self.received = self.received * 3 / 4;
        }
        self.last_sent = Some(now);
        self.unreported_since = None;
        self.unreported = 0;
        self.urgent = false;
    }

    /// When [`due`](Self::due) will say yes, if nothing urgent comes up.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Time> {
        let regular = self.unreported_since? + self.interval;
        Some(match self.last_sent {
            _ if !self.urgent => regular,
            Some(last) => regular.min(last + LEAST_URGENT),
            None => Time::ZERO,
        })
    }

    /// A quarter of the round trip, longer where reports of the last size would take too much of
    /// what comes at the present rate.
    fn next_interval(&self, now: Time, srtt: Option<Duration>) -> Duration {
        let wanted = srtt.map_or(LEAST_INTERVAL, |srtt| srtt / 4);
        let elapsed = u64::try_from(self.elapsed_at(now).as_nanos()).unwrap_or(u64::MAX);
        let affordable = elapsed.saturating_mul(self.size * SHARE) / self.received.max(1);
        wanted.max(Duration::from_nanos(affordable)).clamp(LEAST_INTERVAL, MOST_INTERVAL)
    }

    fn elapsed_at(&self, now: Time) -> Duration {
        // A longer silence is no slower traffic, it is none.
        self.elapsed
            + self.last_sent.map_or(Duration::ZERO, |last| now.since(last)).min(MOST_INTERVAL)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTT: Option<Duration> = Some(Duration::from_millis(80));
    const REPORT: usize = 100;

    fn at(micros: u64) -> Time {
        Time::from_micros(micros)
    }

    /// Reports sent during a minute of packets of `bytes` every `gap` µs, and their intervals.
    fn run(bytes: usize, gap: u64) -> (usize, Vec<Duration>) {
        let mut schedule = ReportSchedule::new();
        let (mut reports, mut waits, mut first) = (0, Vec::new(), None);
        for t in (0..60_000_000u64).step_by(500) {
            if t % gap == 0 {
                schedule.on_received(at(t), bytes);
                first.get_or_insert(at(t));
            }
            let promised = schedule.interval();
            if schedule.due(at(t), RTT) {
                let waited = at(t).since(first.take().unwrap());
                assert!(waited <= promised + Duration::from_micros(500), "{waited:?} {promised:?}");
                schedule.on_sent(at(t), REPORT);
                reports += REPORT;
                waits.push(schedule.interval());
            }
        }
        (reports, waits)
    }

    #[test]
    fn a_quarter_of_the_round_trip_under_load() {
        let (_, intervals) = run(1_200, 500);
        assert!(intervals[25..].iter().all(|i| *i == Duration::from_millis(20)));
    }

    #[test]
    fn thin_traffic_is_reported_on_more_rarely_but_each_100_ms() {
        // 200 kB/s: 100 bytes each 50 ms are 1 %.
        let (bytes, intervals) = run(1_000, 5_000);
        let share = bytes as f64 / (60.0 * 200_000.0);
        assert!((0.008..0.0105).contains(&share), "{share}");
        assert!(intervals[25..].iter().all(|i| (45..=55).contains(&i.as_millis())));
        let (_, intervals) = run(100, 40_000);
        assert!(intervals[25..].iter().all(|i| *i == MOST_INTERVAL));
    }

    #[test]
    fn a_silence_is_not_thin_traffic() {
        let mut schedule = ReportSchedule::new();
        let mut stated = Vec::new();
        for t in (0..500).chain(60_000..61_000) {
            schedule.on_received(at(t * 1_000), 1_200);
            if schedule.due(at(t * 1_000), RTT) {
                schedule.on_sent(at(t * 1_000), REPORT);
                stated.push((t, schedule.interval()));
            }
        }
        let settled = stated.iter().filter(|(t, _)| *t >= 60_250);
        assert!(settled.clone().count() > 30);
        assert!(settled.into_iter().all(|(_, i)| *i == Duration::from_millis(20)), "{stated:?}");
    }

    #[test]
    fn urgent_ones_go_at_once_but_one_a_millisecond() {
        let mut schedule = ReportSchedule::new();
        assert!(!schedule.due(at(0), RTT) && schedule.poll_timeout().is_none());
        let mut sent = 0;
        for t in (0..100_000).step_by(50) {
            schedule.on_received(at(t), 1_000);
            schedule.urgent(at(t));
            if schedule.due(at(t), RTT) {
                schedule.on_sent(at(t), REPORT);
                sent += 1;
            }
        }
        assert_eq!(sent, 100);
    }

    #[test]
    fn much_at_once_is_reported_on_soon() {
        // A gigabyte a second: each millisecond. A hundred megabytes: each 512 KiB.
        for (bytes, reports) in [(50_000, 990..=1_000), (5_000, 185..=195)] {
            let mut schedule = ReportSchedule::new();
            let mut sent = 0;
            for t in (0..1_000_000).step_by(50) {
                schedule.on_received(at(t), bytes);
                if schedule.due(at(t), RTT) {
                    schedule.on_sent(at(t), REPORT);
                    sent += 1;
                }
            }
            assert!(reports.contains(&sent), "{sent}");
        }
    }

    #[test]
    fn copies_at_the_same_time_count_as_one_report() {
        let mut schedule = ReportSchedule::new();
        for t in 0..10_000 {
            schedule.on_received(at(t * 1_000), 1_200);
            if schedule.due(at(t * 1_000), RTT) {
                // None so far, one, and another by a second path.
                schedule.on_sent(at(t * 1_000), 0);
                schedule.on_sent(at(t * 1_000), REPORT);
                schedule.on_sent(at(t * 1_000), REPORT);
            }
        }
        assert_eq!((schedule.size, schedule.interval()), (200, Duration::from_millis(20)));
    }

    #[test]
    fn nothing_received_means_nothing_to_report() {
        let mut schedule = ReportSchedule::new();
        schedule.on_received(at(0), 1_000);
        assert!(!schedule.due(at(9_999), RTT));
        assert!(schedule.due(at(10_000), RTT));
        schedule.on_sent(at(10_000), 0);
        assert!(!schedule.due(at(10_000_000), RTT));
        assert_eq!(schedule.poll_timeout(), None);
    }
}

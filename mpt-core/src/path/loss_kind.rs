//! Random loss, told from that of a full queue.

use crate::Time;
use std::time::Duration;

/// What was counted loses half its weight in this time.
const HALF_LIFE: Duration = Duration::from_secs(5);

/// A pause between two reports of a kind counts as no more than this.
const AGES: Duration = Duration::from_millis(100);

/// Fewer packets say nothing.
const LEAST_PACKETS: f64 = 200.0;

/// A late packet is missing for a while; what still is after so many reports is lost.
const SETTLED: usize = 8;

/// What was lost becomes known a while after the queue stood that it was lost to.
const LINGERS: Duration = Duration::from_millis(600);

/// The share of packets a path loses while nothing stands in its queue. What is lost
/// beyond that when something does is the queue's. (Distinguishing the two by the delay at the time of the loss: S. Biaz,
/// N. Vaidya, "Discriminating congestion losses from wireless losses", ASSET 1999; TCP Veno, JSAC 2003.)
#[derive(Clone, Copy, Debug, Default)]
pub struct LossKind {
    random: Count,
    congestive: Count,
    highest: Option<u32>,
    /// Packets missing in all by the last reports: a ring.
    missing: [i64; SETTLED],
    next: usize,
    lost: i64,
    sent: i64,
    base: i64,
    stood: Option<Time>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    sent: f64,
    lost: f64,
    aged: Time,
}

impl Count {
    fn share(&self) -> Option<f64> {
        (self.sent >= LEAST_PACKETS).then(|| (self.lost / self.sent).clamp(0.0, 1.0))
    }
}

impl LossKind {
    /// The highest sequence that arrived, and how many packets in all; `stands`: a queue stands. Gives packets sent, and
    /// those found lost, since the report before.
    pub fn on_report(&mut self, now: Time, highest: u32, packets: u64, stands: bool) -> (f64, f64) {
        let packets = packets as i64;
        let Some(before) = self.highest else {
            (self.highest, self.base) = (Some(highest), packets);
            return (0.0, 0.0);
        };
        let sent = i64::from(highest.wrapping_sub(before) as i32);
        if sent < 0 {
            return (0.0, 0.0);
        }
        self.highest = Some(highest);
        self.sent += sent;
        self.missing[self.next] = self.sent - (packets - self.base);
        self.next = (self.next + 1) % SETTLED;
        let settled = self.missing.iter().min().copied().unwrap_or(0);
        let lost = (settled - self.lost).max(0);
        self.lost = self.lost.max(settled);
        if stands {
            self.stood = Some(now);
        }
        let stood = self.stood.is_some_and(|at| now.since(at) < LINGERS);
        let count = if stood { &mut self.congestive } else { &mut self.random };
        // What is known of one kind stays known while only the other is seen.
        let age = now.since(count.aged).min(AGES);
        let keep = 0.5f64.powf(age.as_secs_f64() / HALF_LIFE.as_secs_f64());
        count.aged = now;
        count.sent = count.sent * keep + sent as f64;
        count.lost = count.lost * keep + lost as f64;
        (sent as f64, lost as f64)
    }

    /// The share lost whatever is sent, 0 to 1; the least of both, for congestion comes on top.
    #[must_use]
    pub fn random(&self) -> f64 {
        match (self.random.share(), self.congestive.share()) {
            (Some(a), Some(b)) => a.min(b),
            (Some(a), None) => a,
            // All of it may be the queue's.
            (None, _) => 0.0,
        }
    }

    /// The share lost while a queue stands, beyond that.
    #[must_use]
    pub fn congestive(&self) -> f64 {
        (self.congestive.share().unwrap_or(0.0) - self.random()).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loss_without_a_queue_is_random_and_lateness_is_no_loss() {
        let mut l = LossKind::default();
        let (mut highest, mut packets) = (u32::MAX - 3_000, 0);
        let mut step = |l: &mut LossKind, i: u64, sent: u32, came: u64, stands: bool| {
            highest = highest.wrapping_add(sent);
            packets += came;
            l.on_report(Time::from_millis(i * 20), highest, packets, stands);
        };
        for i in 0..100 {
            // Fifty are late at any time.
            step(&mut l, i, 100, if i == 1 { 50 } else { 100 }, false);
        }
        assert!(l.random() < 0.006, "{}", l.random());
        let mut l = LossKind::default();
        for i in 100..300 {
            step(&mut l, i, 100, 99, false);
        }
        assert!((l.random() - 0.01).abs() < 0.001, "{}", l.random());
        for i in 300..400 {
            step(&mut l, i, 100, 94, true);
        }
        assert!((l.random() - 0.01).abs() < 0.001, "{}", l.random());
        assert!((l.congestive() - 0.05).abs() < 0.006, "{}", l.congestive());
    }
}

//! The share of packets that did not arrive during the last ten seconds.

use crate::{Time, WorkerId};
use std::time::Duration;

/// Counters are remembered this often.
const SPACING: Duration = Duration::from_secs(1);

/// So many of them: the window is 10 to 11 s.
const SNAPSHOTS: usize = 11;

/// Loss over the last ten seconds, from two counters that only grow: the highest sequence, which
/// tells what was sent, and the number of packets that arrived. When the counters start over (the
/// peer was restarted), a new meter is taken.
#[derive(Clone, Copy, Default, Debug)]
pub struct LossMeter {
    /// Oldest first.
    snapshots: [Snapshot; SNAPSHOTS],
    used: usize,
    latest: Snapshot,
}

#[derive(Clone, Copy, Default, Debug)]
struct Snapshot {
    at: Time,
    sent: u32,
    received: u64,
}

impl LossMeter {
    /// Nothing known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// At `now` the highest path sequence was `sent` (it may wrap) and `received` packets had
    /// arrived in all. What is older than the latest word is ignored: reports overtake one another.
    pub fn update(&mut self, now: Time, sent: u32, received: u64) {
        let new = Snapshot { at: now, sent, received };
        let older =
            (sent.wrapping_sub(self.latest.sent) as i32) < 0 || received < self.latest.received;
        if self.used > 0 && older {
            return;
        }
        self.latest = new;
        if self.used == 0 || now.since(self.snapshots[self.used - 1].at) >= SPACING {
            if self.used == SNAPSHOTS {
                self.snapshots.rotate_left(1);
                self.used -= 1;
            }
            self.snapshots[self.used] = new;
            self.used += 1;
        }
    }

    /// The share that was lost, 0 to 1; `None` when nothing was sent.
    #[must_use]
    pub fn loss(&self, now: Time) -> Option<f64> {
        let (sent, received) = self.window(now)?;
        (sent > 0).then(|| (1.0 - received as f64 / sent as f64).max(0.0))
    }

    /// Packets sent, and those received, within the window.
    fn window(&self, now: Time) -> Option<(u64, u64)> {
        let window = SPACING * SNAPSHOTS as u32;
        let known = &self.snapshots[..self.used];
        let from = known.iter().find(|s| now.since(s.at) <= window)?;
        let sent = self.latest.sent.wrapping_sub(from.sent);
        let received = self.latest.received - from.received;
        Some((u64::from(sent), received))
    }
}

/// The loss of all sending workers on a path: each counts a path sequence of its own.
#[derive(Clone, Default, Debug)]
pub struct WorkersLoss(Vec<LossMeter>);

impl WorkersLoss {
    /// See [`LossMeter::update`].
    pub fn update(&mut self, now: Time, worker: WorkerId, sent: u32, received: u64) {
        let i = usize::from(worker.get());
        if self.0.len() <= i {
            self.0.resize(i + 1, LossMeter::new());
        }
        self.0[i].update(now, sent, received);
    }

    /// Packets that were lost, or are late.
    #[must_use]
    pub fn lost(&self, now: Time) -> u64 {
        let windows = self.0.iter().filter_map(|m| m.window(now));
        windows.map(|(sent, received)| sent.saturating_sub(received)).sum()
    }

    /// The share that was lost, 0 to 1; `None` when nothing was sent.
    #[must_use]
    pub fn loss(&self, now: Time) -> Option<f64> {
        let windows = self.0.iter().filter_map(|m| m.window(now));
        let (sent, received) = windows.fold((0, 0), |(s, r), w| (s + w.0, r + w.1));
        (sent > 0).then(|| (1.0 - received as f64 / sent as f64).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Time {
        Time::from_millis(millis)
    }

    #[test]
    fn loss_of_the_last_ten_seconds_across_the_wrap() {
        let mut meter = LossMeter::new();
        assert_eq!(meter.loss(at(0)), None);
        let start = u32::MAX - 5_000;
        let (mut sent, mut received) = (start, 0);
        for i in 0..400u64 {
            // 20 s in which every tenth packet is lost, 20 s in which none is.
            let lost = if i < 200 { 10 } else { 0 };
            sent = sent.wrapping_add(100);
            received += 100 - lost;
            meter.update(at(i * 100), sent, received);
            if i == 199 {
                assert!((meter.loss(at(i * 100)).unwrap() - 0.1).abs() < 1e-9);
            }
        }
        assert_eq!(meter.loss(at(39_900)), Some(0.0));
        assert_eq!(meter.loss(at(60_000)), None, "nothing was sent for long");
    }

    #[test]
    fn an_overtaken_report_is_ignored_and_a_restart_is_told() {
        let mut meter = LossMeter::new();
        meter.update(at(0), 1_000, 900);
        meter.update(at(100), 2_000, 1_800);
        meter.update(at(110), 1_500, 1_350);
        assert!((meter.loss(at(110)).unwrap() - 0.1).abs() < 1e-9);
        meter = LossMeter::new();
        meter.update(at(200), 1, 1);
        assert_eq!(meter.loss(at(200)), None);
        meter.update(at(300), 101, 51);
        assert_eq!(meter.loss(at(300)), Some(0.5));
    }
}

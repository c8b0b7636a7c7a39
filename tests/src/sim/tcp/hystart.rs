//! Leaves slow start before the queue overflows: when even the quickest round trips of a round have become longer. As
//! `HYSTART_DELAY` in Linux's `tcp_cubic.c`.

use std::time::Duration;

/// Smaller windows do not look, segments.
const LEAST_WINDOW: f64 = 16.0;

/// Samples of a round before it is judged.
const SAMPLES: u32 = 8;

/// An eighth of the least delay, within these.
const LEAST_RISE: Duration = Duration::from_millis(4);
const MOST_RISE: Duration = Duration::from_millis(16);

#[derive(Clone, Copy, Default, Debug)]
pub(super) struct HyStart {
    least: Option<Duration>,
    /// The round ends when this segment is acknowledged.
    ends: u64,
    least_of_round: Option<Duration>,
    samples: u32,
}

impl HyStart {
    /// `una` and `next` as after the ACK that gave the sample. Whether slow start is over.
    pub(super) fn on_sample(&mut self, rtt: Duration, window: f64, una: u64, next: u64) -> bool {
        let least = self.least.map_or(rtt, |l| l.min(rtt));
        self.least = Some(least);
        if una > self.ends {
            (self.ends, self.least_of_round, self.samples) = (next, None, 0);
        }
        if window < LEAST_WINDOW {
            return false;
        }
        let of_round = self.least_of_round.map_or(rtt, |l| l.min(rtt));
        self.least_of_round = Some(of_round);
        if self.samples < SAMPLES {
            self.samples += 1;
            return false;
        }
        of_round > least + (least / 8).clamp(LEAST_RISE, MOST_RISE)
    }
}

//! What is estimated of a path, as a scheduler sees it.

use crate::Time;
use std::time::Duration;

/// Estimates of one path at a moment; written when a report comes.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Estimate {
    /// When this was written. Zero: nothing is known.
    pub at: Time,
    /// When the path will have sent all that it was given until then.
    pub idle_at: Time,
    /// What it may take, bytes a second: somewhat more than it did where nothing waits, so that more is found.
    pub rate: u64,
    /// What it was seen to take, bytes a second.
    pub capacity: u64,
    /// Whether that is its limit; else it may be more.
    pub measured: bool,
    /// Mean one-way delay when empty, microseconds plus a constant that all paths of a peer share.
    pub delay: Option<i64>,
    /// What stands in its queue.
    pub standing: Duration,
    /// A queue beyond this is no jitter.
    pub threshold: Duration,
    /// Whether its packets come at uneven times, so that what is read of its queue is an average.
    pub jittery: bool,
    /// The standard deviation of its packets' delays.
    pub jitter: Duration,
    /// Since when its queue has been overflowing.
    pub overflowing_since: Option<Time>,
    /// Bytes that arrived by it in all.
    pub delivered: u64,
    /// The share of packets it loses whatever it carries, …
    pub random_loss: f32,
    /// … until when that is believed. Nothing: for ever.
    pub loss_until: Option<Time>,
    /// When the last probe left that was answered, and how much longer that took than the shortest.
    pub probed: Option<(Time, Duration)>,
}

impl Estimate {
    /// What it brings, bytes a second: where that is known it does not change with what waits.
    pub(super) const fn brings(&self) -> u64 {
        if self.measured { self.capacity } else { self.rate }
    }

    /// Whether it was found to lose packets, so long ago that nobody knows.
    pub(super) fn is_loss_doubted(&self, now: Time) -> bool {
        self.loss_until.is_some_and(|until| now >= until)
    }

    /// The share of packets it loses, as far as that is known.
    pub(super) fn loss(&self, now: Time) -> f32 {
        if self.is_loss_doubted(now) { 0.0 } else { self.random_loss }
    }
}

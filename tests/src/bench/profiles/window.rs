//! When a run begins to count, and when it ends.

use mpt_core::Time;
use std::time::Duration;

/// The time of a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) counts: Time,
    pub(super) end: Time,
}

impl Window {
    /// One that begins now.
    pub(super) fn begin(length: Duration, warm_up: Duration) -> Self {
        let start = crate::now();
        Self { counts: start + warm_up, end: start + length }
    }

    /// Whether what comes at `at` counts.
    pub(super) fn contains(&self, at: Time) -> bool {
        self.counts <= at && at < self.end
    }

    /// What is left of it.
    pub(super) fn left(&self) -> Duration {
        self.end.since(crate::now())
    }

    /// The rate of `bytes` that counted, bits a second.
    pub(super) fn rate(&self, bytes: u64) -> f64 {
        bytes as f64 * 8.0 / self.end.since(self.counts).as_secs_f64()
    }
}

//! The daemon's clock, as the core reads time.

use mpt_core::Time;
use std::time::Instant;

/// Monotonic time since the daemon started.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
}

impl Clock {
    /// A clock that starts now. It begins at one second, so that "a while before now" exists.
    pub fn start() -> Self {
        Self { origin: Instant::now() }
    }

    /// What it shows.
    pub fn now(&self) -> Time {
        let nanos = self.origin.elapsed().as_nanos();
        Time::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX).saturating_add(1_000_000_000))
    }

    /// How long the daemon has been running.
    pub fn uptime(&self) -> std::time::Duration {
        self.origin.elapsed()
    }
}

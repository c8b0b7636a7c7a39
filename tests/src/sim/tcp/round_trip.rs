//! Round-trip times and the retransmission timeout (RFC 6298).

use std::time::Duration;

/// Of Linux; the RFC has a second.
const LEAST_TIMEOUT: Duration = Duration::from_millis(200);

/// Before anything was measured.
pub(super) const FIRST_TIMEOUT: Duration = Duration::from_secs(1);

const MOST_TIMEOUT: Duration = Duration::from_secs(120);

#[derive(Clone, Copy, Default, Debug)]
pub(super) struct RoundTrip {
    smoothed: Option<Duration>,
    deviation: Duration,
    /// The least ever.
    pub least: Option<Duration>,
}

impl RoundTrip {
    pub(super) fn on_sample(&mut self, rtt: Duration) {
        self.least = Some(self.least.map_or(rtt, |l| l.min(rtt)));
        let Some(smoothed) = self.smoothed else {
            (self.smoothed, self.deviation) = (Some(rtt), rtt / 2);
            return;
        };
        self.deviation = (self.deviation * 3 + smoothed.abs_diff(rtt)) / 4;
        self.smoothed = Some((smoothed * 7 + rtt) / 8);
    }

    /// Nothing is zero.
    pub(super) fn smoothed(&self) -> Duration {
        self.smoothed.unwrap_or_default()
    }

    /// The timeout after so many in a row.
    pub(super) fn timeout(&self, doubled: u32) -> Duration {
        let once = self
            .smoothed
            .map_or(FIRST_TIMEOUT, |smoothed| (smoothed + 4 * self.deviation).max(LEAST_TIMEOUT));
        (once * 2u32.pow(doubled.min(10))).min(MOST_TIMEOUT)
    }
}

//! How long packets are that a path carries.

use crate::Time;
use std::time::Duration;

/// What came counts for about this long.
const LATELY: Duration = Duration::from_secs(1);

/// Bytes: headers of 28 are half of the least, and a fifty-fourth of the most.
const SIZES: (f64, f64) = (56.0, 1_500.0);

/// The mean UDP payload of the packets that came lately, whichever workers sent them: what headers, which reports do not count, are
/// a share of. Not since the beginning, for a path of long packets may carry acknowledgements next.
#[derive(Clone, Copy, Debug, Default)]
pub struct PacketSize {
    packets: f64,
    bytes: f64,
    at: Time,
}

impl PacketSize {
    /// So many came since the worker's report before.
    pub fn on_arrived(&mut self, now: Time, packets: u64, bytes: u64) {
        let kept = (-now.since(self.at).as_secs_f64() / LATELY.as_secs_f64()).exp();
        self.packets = self.packets * kept + packets as f64;
        self.bytes = self.bytes * kept + bytes as f64;
        self.at = now;
    }

    /// The part that `headers` bytes a packet add to them.
    #[must_use]
    pub fn share_of(&self, headers: u16) -> f64 {
        let mean = if self.packets < 1.0 { SIZES.1 } else { self.bytes / self.packets };
        f64::from(headers) / mean.clamp(SIZES.0, SIZES.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the headers make of a second's reports, each 20 ms, on so many packets of such a size by each worker.
    fn run(size: &mut PacketSize, from: u64, workers: &[(u64, u64)]) -> f64 {
        for ms in (from..from + 1_000).step_by(20) {
            for &(packets, bytes) in workers {
                size.on_arrived(Time::from_millis(ms), packets, packets * bytes);
            }
        }
        size.share_of(28)
    }

    #[test]
    fn a_long_download_says_nothing_of_the_acknowledgements_behind_it() {
        let mut size = PacketSize::default();
        assert!(size.share_of(28) < 0.019);
        let long = run(&mut size, 0, &[(100, 1_450)]);
        assert!((long - 28.0 / 1_450.0).abs() < 1e-6, "{long}");
        (1..6).for_each(|s| {
            run(&mut size, s * 1_000, &[(100, 88)]);
        });
        let short = size.share_of(28);
        assert!((1.28..1.318).contains(&(1.0 + short)), "{short}");
    }

    #[test]
    fn what_cannot_be_is_not_believed() {
        let mut size = PacketSize::default();
        size.on_arrived(Time::ZERO, 1_000, 10);
        assert_eq!(size.share_of(28), 0.5);
        size.on_arrived(Time::ZERO, 1, u64::MAX);
        assert_eq!(size.share_of(28), 28.0 / 1_500.0);
    }
}

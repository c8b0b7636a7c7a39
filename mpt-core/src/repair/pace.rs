//! How fast what a failed path left behind goes out again.

use crate::Time;
use std::time::Duration;

/// Of the traffic's own rate. The survivor carries the traffic besides, so its queue grows, but by no more
/// than was under way; slower would keep everybody waiting, faster would overrun short queues.
const TIMES_TRAFFIC: f64 = 1.5;

/// Bytes per second at least: a megabit.
const LEAST_RATE: f64 = 125_000.0;

/// This much may go at once: a few packets, or what two milliseconds bring.
const LEAST_BURST: f64 = 16_384.0;
const BURST: Duration = Duration::from_millis(2);

/// A bucket of bytes.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Bytes per second.
    rate: f64,
    bytes: f64,
    at: Time,
}

impl Default for Pace {
    fn default() -> Self {
        Self { rate: LEAST_RATE, bytes: LEAST_BURST, at: Time::ZERO }
    }
}

impl Pace {
    /// All traffic is so many bytes per second, and where the paths that work have limits, they carry `most`.
    pub fn set_traffic(&mut self, bytes_per_second: u64, most: Option<u64>) {
        let rate = (bytes_per_second as f64 * TIMES_TRAFFIC).max(LEAST_RATE);
        self.rate = most.map_or(rate, |most| rate.min(most as f64)).max(1.0);
    }

    /// Whether a packet of `len` bytes may go; it is paid for then.
    pub fn spend(&mut self, now: Time, len: usize) -> bool {
        self.refill(now);
        // In debt by one packet at most.
        let may = self.bytes > 0.0;
        if may {
            self.bytes -= len as f64;
        }
        may
    }

    /// When the next packet may go.
    #[must_use]
    pub fn next(&self) -> Time {
        self.at + Duration::from_secs_f64((1.0 - self.bytes).max(0.0) / self.rate)
    }

    fn refill(&mut self, now: Time) {
        let burst = LEAST_BURST.max(self.rate * BURST.as_secs_f64());
        let earned = now.since(self.at).as_secs_f64() * self.rate;
        self.bytes = (self.bytes + earned).min(burst);
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_as_fast_again_as_the_traffic() {
        let mut p = Pace::default();
        p.set_traffic(1_000_000, Some(8_000_000));
        let (mut now, mut sent) = (Time::from_millis(10), 0u32);
        let end = now + Duration::from_millis(100);
        while now <= end {
            if p.spend(now, 1_000) {
                sent += 1;
            } else {
                assert!(p.next() > now);
                now = p.next() + Duration::from_nanos(1);
            }
        }
        assert!((150 + 16..150 + 19).contains(&sent), "{sent}");
    }
}

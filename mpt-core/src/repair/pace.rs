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

/// Nor of less than this part of what the paths that work are known to carry: the traffic may have stalled with the path.
const OF_CAPACITY: f64 = 0.5;

/// What goes where a path failed, bytes per second.
#[derive(Clone, Copy, Default, Debug)]
pub struct Load {
    /// All traffic.
    pub traffic: u64,
    /// What the paths that work carry, as far as that was measured.
    pub capacity: u64,
    /// The same at most, where all of them have limits.
    pub most: Option<u64>,
}

/// A bucket of bytes.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Bytes per second, of all workers.
    rate: f64,
    /// How many of them rescue something.
    workers: f64,
    bytes: f64,
    at: Time,
}

impl Default for Pace {
    fn default() -> Self {
        Self { rate: LEAST_RATE, workers: 1.0, bytes: LEAST_BURST, at: Time::ZERO }
    }
}

impl Pace {
    /// When the path failed there was this load.
    pub fn set_load(&mut self, load: Load) {
        let (traffic, capacity) = (load.traffic as f64, load.capacity as f64);
        let rate = (traffic * TIMES_TRAFFIC).max(capacity * OF_CAPACITY).max(LEAST_RATE);
        self.rate = load.most.map_or(rate, |most| rate.min(most as f64));
    }

    /// So many workers have something to rescue now: the load is that of all of them.
    pub fn share_among(&mut self, workers: usize) {
        self.workers = workers.max(1) as f64;
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
        self.at + Duration::from_secs_f64((1.0 - self.bytes).max(0.0) / self.rate())
    }

    fn rate(&self) -> f64 {
        (self.rate / self.workers).max(1.0)
    }

    fn refill(&mut self, now: Time) {
        let rate = self.rate();
        let burst = (LEAST_BURST / self.workers).max(rate * BURST.as_secs_f64());
        let earned = now.since(self.at).as_secs_f64() * rate;
        self.bytes = (self.bytes + earned).min(burst);
        self.at = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes that go in 100 ms, by all of so many workers.
    fn rescued(load: Load, workers: usize) -> u32 {
        let mut p = Pace::default();
        p.set_load(load);
        p.share_among(workers);
        let (mut now, mut sent) = (Time::from_millis(10), 0u32);
        let end = now + Duration::from_millis(100);
        while now <= end {
            if p.spend(now, 1_000) {
                sent += 1_000;
            } else {
                assert!(p.next() > now);
                now = p.next() + Duration::from_nanos(1);
            }
        }
        sent * workers as u32
    }

    #[test]
    fn half_as_fast_again_as_the_traffic_however_many_workers() {
        let load = Load { traffic: 1_000_000, capacity: 0, most: Some(8_000_000) };
        for workers in [1, 4] {
            let sent = rescued(load, workers);
            assert!((150_000 + 16_000..150_000 + 21_000).contains(&sent), "{workers}: {sent}");
        }
    }

    #[test]
    fn half_of_what_works_where_the_traffic_had_stalled() {
        let stalled = Load { traffic: 0, capacity: 4_000_000, most: None };
        let sent = rescued(stalled, 1);
        assert!((200_000 + 16_000..200_000 + 19_000).contains(&sent), "{sent}");
        let sent = rescued(Load { most: Some(500_000), ..stalled }, 1);
        assert!((50_000 + 16_000..50_000 + 19_000).contains(&sent), "{sent}");
    }
}

//! What stands in a path's queue by what was sent, without asking the peer.

use crate::Time;
use std::time::Duration;

/// What is wrong with it is forgotten so fast: the rate is an estimate, and somebody else may use the path as well.
const FORGOTTEN: Duration = Duration::from_secs(1);

/// It holds no more than this.
const MOST: Duration = Duration::from_millis(200);
const MOST_NANOS: u64 = MOST.as_nanos() as u64;

/// A queue that is filled by what is sent and emptied at the path's rate. Where jitter makes a reading of the real one an average of
/// the past, this tells how it went on since.
#[derive(Clone, Copy, Debug, Default)]
pub struct OwnQueue {
    /// Nanoseconds for a byte, times 256; zero: not known.
    byte: u64,
    /// When it is empty, nanoseconds.
    idle_at: u64,
    judged: Time,
}

impl OwnQueue {
    /// A packet leaves; how long it will wait, microseconds.
    #[inline]
    pub fn on_sent(&mut self, now: Time, bytes: usize) -> u64 {
        let now = now.as_nanos();
        let wait = self.idle_at.saturating_sub(now);
        let takes = (bytes as u64).saturating_mul(self.byte) >> 8;
        self.idle_at = now + (wait + takes).min(MOST_NANOS);
        wait / 1_000
    }

    /// A report came: the path takes so many bytes a second.
    pub fn on_report(&mut self, now: Time, rate: f64) {
        let byte = (256e9 / rate.max(1.0)) as u64;
        let passed = now.since(std::mem::replace(&mut self.judged, now));
        let left = 1.0 - (passed.as_secs_f64() / FORGOTTEN.as_secs_f64()).min(1.0);
        // As many bytes as before, but for what is forgotten.
        let longer = if self.byte == 0 { 0.0 } else { byte as f64 / self.byte as f64 };
        self.idle_at = (now + self.at(now).mul_f64(left * longer).min(MOST)).as_nanos();
        self.byte = byte;
    }

    /// What stands in it.
    #[must_use]
    pub fn at(&self, now: Time) -> Duration {
        Time::from_nanos(self.idle_at).since(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_fills_and_drains_at_the_rate_and_what_is_wrong_is_forgotten() {
        let mut q = OwnQueue::default();
        let at = Time::from_millis;
        assert_eq!(q.on_sent(at(1), 1_000_000), 0, "nothing is known of the rate");
        assert_eq!(q.at(at(1)), Duration::ZERO);
        q.on_report(at(10), 1e6);
        let waits: Vec<u64> = (0..50).map(|_| q.on_sent(at(10), 1_000)).collect();
        assert!(waits.iter().zip(0..).all(|(&wait, i)| wait.abs_diff(i * 1_000) < 50), "{waits:?}");
        assert!(q.at(at(30)).as_micros().abs_diff(30_000) < 100, "{:?}", q.at(at(30)));
        assert_eq!(q.on_sent(at(100), 1_000), 0);

        // Twice the rate for ever: it grows no longer.
        for t in 100..3_000u64 {
            (0..2).for_each(|_| _ = q.on_sent(at(t), 1_000));
            if t % 20 == 0 {
                q.on_report(at(t), 1e6);
            }
        }
        assert!(q.at(at(2_999)) <= MOST, "{:?}", q.at(at(2_999)));
        // As much as the path takes: what stands there by mistake is gone after some seconds.
        for t in 3_000..8_000u64 {
            q.on_sent(at(t), 1_000);
            if t % 20 == 0 {
                q.on_report(at(t), 1e6);
            }
        }
        assert!(q.at(at(8_000)) < Duration::from_millis(5), "{:?}", q.at(at(8_000)));
    }

    #[test]
    fn nothing_is_expected_to_wait_for_long_whatever_the_rate() {
        let mut q = OwnQueue::default();
        let now = Time::from_millis(10);
        for rate in [0.0, 200.0, 1e4] {
            q.on_report(now, rate);
            q.on_sent(now, 1_400);
            assert!(q.at(now) <= MOST, "{rate}: {:?}", q.at(now));
        }
        // The same bytes leave sooner where more is known to pass.
        q.on_report(now, 1e6);
        assert!(q.at(now) <= Duration::from_millis(2), "{:?}", q.at(now));
    }
}

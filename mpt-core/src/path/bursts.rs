//! How long packets wait for those of their own burst.

use crate::Time;

/// A path of so many times the rate that it delivers is not full.
const HEADROOM: f64 = 2.0;

/// What is left of what was counted with each report.
const KEPT: f64 = 0.7;

/// The mean wait of packets behind those sent just before, if the path could do twice what it does. Delays that this
/// explains are no standing queue, and what arrives is not what the path can do: a flow whose packets come in bursts, as
/// they do behind a receiver that restores order, is late on average on a path that is idle most of the time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Bursts {
    /// Bytes a second at which they drain here.
    rate: f64,
    backlog: f64,
    at: Time,
    sum: f64,
    packets: f64,
}

impl Bursts {
    /// A packet leaves.
    #[inline]
    pub fn on_sent(&mut self, now: Time, bytes: usize) {
        let drained = now.since(self.at).as_secs_f64() * self.rate;
        self.backlog = (self.backlog - drained).max(0.0);
        self.at = now;
        self.sum += self.backlog;
        self.packets += 1.0;
        self.backlog += bytes as f64;
    }

    /// A report came: the path delivers so many bytes a second. The mean wait lately, seconds.
    pub fn on_report(&mut self, delivers: f64) -> f64 {
        self.rate = delivers * HEADROOM;
        let mean = self.sum / self.packets.max(1.0) / self.rate.max(1.0);
        self.sum *= KEPT;
        self.packets *= KEPT;
        mean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets of 1 000 bytes, so many at once each 100 ms, for two seconds.
    fn wait(at_once: u64) -> f64 {
        let mut bursts = Bursts::default();
        let mut wait = 0.0;
        for tick in 0..2_000u64 {
            let now = Time::from_millis(tick);
            let sent = if at_once == 1 { 1 } else { u64::from(tick % 100 == 0) * at_once };
            (0..sent).for_each(|_| bursts.on_sent(now, 1_000));
            if tick % 20 == 0 {
                wait = bursts.on_report(1e6);
            }
        }
        wait
    }

    #[test]
    fn a_burst_waits_for_itself_and_an_even_stream_does_not() {
        assert!(wait(1) < 0.001, "{}", wait(1));
        // 100 packets are gone after 50 ms.
        assert!((wait(100) - 0.025).abs() < 0.003, "{}", wait(100));
    }
}

//! How long packets wait for those of their own burst.

use crate::Time;

/// A path of so many times the rate that it delivers is not full.
const HEADROOM: f64 = 2.0;

/// What is left of what was counted with each round of reports.
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
    /// When the peer made the last reports, by its clock.
    told: Option<u32>,
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

    /// A report came that was made `at` a time of the peer's clock, one of a round of them with several workers: the path delivers so many
    /// bytes a second. The mean wait lately, seconds.
    pub fn on_report(&mut self, at: u32, delivers: f64) -> f64 {
        self.rate = delivers * HEADROOM;
        let mean = self.sum / self.packets.max(1.0) / self.rate.max(1.0);
        if self.told.replace(at) != Some(at) {
            self.sum *= KEPT;
            self.packets *= KEPT;
        }
        mean
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets of 1 000 bytes, so many at once each 100 ms, for two seconds, and one each millisecond if `stream`.
    fn wait(at_once: u64, workers: usize, stream: u64) -> f64 {
        let mut bursts = Bursts::default();
        let mut wait = 0.0;
        for tick in 0..2_000u64 {
            let now = Time::from_millis(tick);
            let sent = stream + u64::from(tick % 100 == 0) * at_once;
            (0..sent).for_each(|_| bursts.on_sent(now, 1_000));
            if tick % 20 == 0 {
                (0..workers).for_each(|_| wait = bursts.on_report(tick as u32, 1e6));
            }
        }
        wait
    }

    #[test]
    fn a_burst_waits_for_itself_and_an_even_stream_does_not() {
        assert!(wait(0, 1, 1) < 0.001, "{}", wait(0, 1, 1));
        // 100 packets are gone after 50 ms.
        assert!((wait(100, 1, 0) - 0.025).abs() < 0.003, "{}", wait(100, 1, 0));
    }

    #[test]
    fn reports_of_several_workers_are_one_round() {
        assert_eq!(wait(40, 4, 1), wait(40, 1, 1));
    }
}

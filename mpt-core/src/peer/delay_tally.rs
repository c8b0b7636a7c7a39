//! One-way delays of the packets that a report speaks of.

use crate::Time;
use crate::order::ClockOffset;
use crate::wire::DelayReport;

/// What came by a path since the last report: how many packets, the least delay and the mean; and the jitter, which goes on.
#[derive(Clone, Copy, Default, Debug)]
pub struct DelayTally {
    clocks: ClockOffset,
    /// Microseconds from the sender's clock to ours.
    least: i64,
    packets: u32,
    /// Of all of them, above the first one's.
    sum: i64,
    first: i64,
    last: Option<i64>,
    /// 64ths of a microsecond: the mean difference of two packets that follow one another (RFC 3550 §6.4.1, over four
    /// times as many packets: the least of a hundred means of 16 is less than half of what it should be). A queue that
    /// grows or shrinks makes little of it.
    jitter: i64,
}

impl DelayTally {
    /// A packet that left at `send_time` came.
    pub fn on_packet(&mut self, now: Time, send_time: u16) {
        let delay = self.clocks.delay(now, send_time);
        if let Some(last) = self.last.replace(delay) {
            let step = (delay - last).abs();
            // As RFC 6298 begins: from nothing it would take a hundred packets to be believed.
            self.jitter += if self.jitter == 0 { step * 64 } else { step - self.jitter / 64 };
        }
        if self.packets == 0 {
            (self.least, self.first, self.sum) = (delay, delay, 0);
        }
        self.least = self.least.min(delay);
        self.sum += delay - self.first;
        self.packets += 1;
    }

    /// As it is told at `at`, the time in units of 100 µs; nothing when nothing came.
    pub fn get(&self, at: u32) -> Option<DelayReport> {
        let mean = self.first + self.sum / i64::from(self.packets.max(1));
        let units = |micros: i64| u16::try_from(micros / 100).unwrap_or(u16::MAX);
        (self.packets > 0).then(|| DelayReport {
            least: self.least.div_euclid(100) as u32,
            jitter: units(self.jitter / 64),
            mean: units(mean - self.least),
            packets: u16::try_from(self.packets).unwrap_or(u16::MAX),
            at,
        })
    }

    /// It was told.
    pub fn begin(&mut self) {
        self.packets = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_is_the_mean_step_and_least_and_mean_are_of_one_report() {
        let mut tally = DelayTally::default();
        assert_eq!(tally.get(0), None);
        for i in 0..400u64 {
            let late = if i % 2 == 0 { 0 } else { 8_000 };
            tally.on_packet(Time::from_micros(1_000_000 + i * 1_000 + late), (i * 10) as u16);
        }
        let told = tally.get(5).unwrap();
        assert_eq!((told.packets, told.least, told.mean, told.at), (400, 10_000, 40, 5));
        assert!((79..=80).contains(&told.jitter), "{}", told.jitter);
        tally.begin();
        assert_eq!(tally.get(0), None);
        tally.on_packet(Time::from_micros(1_401_500), 4_000);
        let told = tally.get(0).unwrap();
        assert_eq!((told.packets, told.least, told.mean), (1, 10_015, 0));
    }
}

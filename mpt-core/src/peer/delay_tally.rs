//! One-way delays of the packets that a report speaks of.

use crate::Time;
use crate::order::ClockOffset;

/// What came by a path since the last report: how many packets, and the least delay; and the jitter, which goes on.
#[derive(Clone, Copy, Default, Debug)]
pub struct DelayTally {
    clocks: ClockOffset,
    /// Microseconds from the sender's clock to ours.
    least: i64,
    packets: u32,
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
        self.least = if self.packets == 0 { delay } else { self.least.min(delay) };
        self.packets += 1;
    }

    /// Packets, the least delay and the jitter in units of 100 µs, the former wrapping; nothing when nothing
    /// came.
    pub fn get(&self) -> Option<(u16, u32, u16)> {
        let least = self.least.div_euclid(100) as u32;
        let jitter = u16::try_from(self.jitter / 6_400).unwrap_or(u16::MAX);
        let packets = u16::try_from(self.packets).unwrap_or(u16::MAX);
        (packets > 0).then_some((packets, least, jitter))
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
    fn jitter_is_the_mean_step_and_the_least_is_of_one_report() {
        let mut tally = DelayTally::default();
        assert_eq!(tally.get(), None);
        for i in 0..400u64 {
            let late = if i % 2 == 0 { 0 } else { 8_000 };
            tally.on_packet(Time::from_micros(1_000_000 + i * 1_000 + late), (i * 10) as u16);
        }
        let (packets, least, jitter) = tally.get().unwrap();
        assert_eq!((packets, least), (400, 10_000));
        assert!((79..=80).contains(&jitter), "{jitter}");
        tally.begin();
        assert_eq!(tally.get(), None);
        tally.on_packet(Time::from_micros(1_401_500), 4_000);
        assert_eq!(tally.get().map(|(n, least, _)| (n, least)), Some((1, 10_015)));
    }
}

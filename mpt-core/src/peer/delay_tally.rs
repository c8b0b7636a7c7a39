//! One-way delays of the packets that a report speaks of.

use crate::Time;
use crate::order::ClockOffset;
use crate::wire::DelayReport;

/// Packets remembered by their sequence. With 20 ms of jitter at 100 Mbit/s neighbours come some 200 packets apart.
const RECENT: usize = 256;

/// The jitter is a mean over about so many steps.
const STEPS: i64 = 64;

/// A packet that came.
#[derive(Clone, Copy, Debug)]
struct Recent {
    /// The higher bits of its sequence.
    turn: u16,
    /// Microseconds, wrapping.
    delay: i32,
}

/// What came by a path since the last report: how many packets, the least delay and the mean; and the jitter, which goes on.
#[derive(Clone, Default, Debug)]
pub struct DelayTally {
    clocks: ClockOffset,
    /// Microseconds from the sender's clock to ours.
    least: i64,
    packets: u32,
    /// Of all of them, above the first one's.
    sum: i64,
    first: i64,
    /// By sequence. Taken with the first packet of a path.
    recent: Vec<Option<Recent>>,
    /// 64ths of a microsecond: the mean difference of two packets that were *sent* one after the other (RFC 3550 §6.4.1, over four
    /// times as many packets: the least of a hundred means of 16 is less than half of what it should be). A queue that
    /// grows or shrinks makes little of it. Of a burst that is reordered the packets that *come* one after the other differ little: they
    /// come sorted by their delays.
    jitter: i64,
    /// Of so many steps, [`STEPS`] at most.
    steps: i64,
}

impl DelayTally {
    /// Packet `sequence` of the path, which left at `send_time`, came.
    pub fn on_packet(&mut self, now: Time, sequence: u32, send_time: u16) {
        let delay = self.clocks.delay(now, send_time);
        self.follow_jitter(sequence, delay as i32);
        if self.packets == 0 {
            (self.least, self.first, self.sum) = (delay, delay, 0);
        }
        self.least = self.least.min(delay);
        self.sum += delay - self.first;
        self.packets += 1;
    }

    /// By the difference from a neighbour that has come; over a marker, which has a number and no delay, from the one behind it.
    fn follow_jitter(&mut self, sequence: u32, delay: i32) {
        if self.recent.is_empty() {
            self.recent = vec![None; RECENT];
        }
        let turn = |number: u32| (number / RECENT as u32) as u16;
        let neighbour = [1, u32::MAX, 2, u32::MAX - 1].into_iter().find_map(|before| {
            let number = sequence.wrapping_sub(before);
            self.recent[number as usize % RECENT].filter(|r| r.turn == turn(number))
        });
        if let Some(Recent { delay: other, .. }) = neighbour {
            let step = i64::from(delay.wrapping_sub(other)).abs();
            self.steps = (self.steps + 1).min(STEPS);
            self.jitter += (step * 64 - self.jitter) / self.steps;
        }
        self.recent[sequence as usize % RECENT] = Some(Recent { turn: turn(sequence), delay });
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
            let at = Time::from_micros(1_000_000 + i * 1_000 + late);
            tally.on_packet(at, i as u32, (i * 10) as u16);
        }
        let told = tally.get(5).unwrap();
        assert_eq!((told.packets, told.least, told.mean, told.at), (400, 10_000, 40, 5));
        assert!((79..=80).contains(&told.jitter), "{}", told.jitter);
        tally.begin();
        assert_eq!(tally.get(0), None);
        tally.on_packet(Time::from_micros(1_401_500), 400, 4_000);
        let told = tally.get(0).unwrap();
        assert_eq!((told.packets, told.least, told.mean), (1, 10_015, 0));
    }
    /// Forty packets leave at once, ten times a second, and each is late by its own: they come sorted by their delays.
    #[test]
    fn jitter_of_bursts_that_are_reordered_is_no_less() {
        let (mut tally, mut x, mut sequence) = (DelayTally::default(), 12_345u64, 0);
        for burst in 1..=20u64 {
            let mut arrivals: Vec<(u64, u32)> = (0..40)
                .map(|_| {
                    x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    sequence += 1;
                    ((x >> 33) % 20_000, sequence)
                })
                .collect();
            arrivals.sort_unstable();
            for (late, sequence) in arrivals {
                let at = Time::from_micros(burst * 100_000 + 30_000 + late);
                tally.on_packet(at, sequence, (burst * 1_000) as u16);
            }
        }
        // Two even numbers below 20 ms differ by a third of that in the mean.
        let jitter = tally.get(0).unwrap().jitter;
        assert!((50..90).contains(&jitter), "{jitter} of 67");
    }

    #[test]
    fn the_first_steps_count_alike() {
        let mut tally = DelayTally::default();
        for (sequence, late) in [0u64, 0, 9_000, 9_000].into_iter().enumerate() {
            tally.on_packet(Time::from_micros(1_000_000 + late), sequence as u32, 0);
        }
        assert_eq!(tally.get(0).unwrap().jitter, 30);
    }

    /// A call beside a bulk flow that takes the other path: each pause ends with a marker.
    #[test]
    fn jitter_shows_where_every_other_number_is_a_markers() {
        let mut tally = DelayTally::default();
        for i in 0..100u64 {
            let late = if i % 2 == 0 { 0 } else { 8_000 };
            let at = Time::from_micros(1_000_000 + i * 20_000 + late);
            // Numbers wrap.
            tally.on_packet(at, (u32::MAX - 99).wrapping_add(i as u32 * 2), (i * 200) as u16);
        }
        assert!((79..=80).contains(&tally.get(0).unwrap().jitter));
    }
}

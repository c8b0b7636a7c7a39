//! One-way delays of the packets that a report speaks of.

use crate::Time;
use crate::order::ClockOffset;
use crate::wire::DelayReport;

/// Packets remembered by their sequence. With 20 ms of jitter at 100 Mbit/s three neighbours come some 300 packets apart.
const RECENT: usize = 512;

/// Where a pause of so much lies between, a neighbour is looked for among so many numbers: each pause ends with a marker, which has a number and no
/// delay. Elsewhere what is missing is under way, and those that came before it are alike: they were early.
const REACH: u32 = 3;
const MARKED: u16 = 50;

/// The jitter is a mean over about so many steps.
const STEPS: i64 = 64;

/// Of two intervals the one that is longer than twice the other by this is a pause, microseconds, …
const PAUSE: i64 = 2_000;

/// … unless both are so long that a queue of ours hardly stands in either.
const APART: i64 = 10_000;

/// A packet that came.
#[derive(Clone, Copy, Debug)]
struct Recent {
    /// The higher bits of its sequence.
    turn: u16,
    /// When it left, 100 µs, wrapping.
    sent: u16,
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
    /// 64ths of a microsecond: the mean of what [`unevenness`] says of three packets that were *sent* one after the other (the difference of
    /// RFC 3550 §6.4.1, over four times as many packets: the least of a hundred means of 16 is less than half of what it should
    /// be). Of a burst that is reordered the packets that *come* one after the other differ little: they come sorted by their
    /// delays.
    jitter: i64,
    /// Of so many steps, [`STEPS`] at most.
    steps: i64,
}

impl DelayTally {
    /// Packet `sequence` of the path, which left at `send_time`, came.
    pub fn on_packet(&mut self, now: Time, sequence: u32, send_time: u16) {
        let delay = self.clocks.delay(now, send_time);
        self.follow_jitter(sequence, send_time, delay as i32);
        if self.packets == 0 {
            (self.least, self.first, self.sum) = (delay, delay, 0);
        }
        self.least = self.least.min(delay);
        self.sum += delay - self.first;
        self.packets += 1;
    }

    /// By three neighbours of which this one came last.
    fn follow_jitter(&mut self, sequence: u32, sent: u16, delay: i32) {
        if self.recent.is_empty() {
            self.recent = vec![None; RECENT];
        }
        let this = Recent { turn: turn(sequence), sent, delay };
        self.recent[sequence as usize % RECENT] = Some(this);
        let this = (sequence, this);
        let before = self.next(this, u32::wrapping_sub);
        let step = before.and_then(|b| {
            self.next(b, u32::wrapping_sub).and_then(|a| unevenness([a.1, b.1, this.1]))
        });
        let step = step.or_else(|| {
            let c = self.next(this, u32::wrapping_add)?;
            before.and_then(|a| unevenness([a.1, this.1, c.1])).or_else(|| {
                self.next(c, u32::wrapping_add).and_then(|d| unevenness([this.1, c.1, d.1]))
            })
        });
        if let Some(step) = step {
            self.steps = (self.steps + 1).min(STEPS);
            self.jitter += (step * 64 - self.jitter) / self.steps;
        }
    }

    /// The neighbour to one side of this packet, if it has come.
    fn next(&self, (from, of): (u32, Recent), side: fn(u32, u32) -> u32) -> Option<(u32, Recent)> {
        let far = |r: &Recent| {
            let apart = of.sent.wrapping_sub(r.sent);
            apart.min(apart.wrapping_neg()) >= MARKED
        };
        (1..=REACH).find_map(|distance| {
            let number = side(from, distance);
            let recent = self.recent[number as usize % RECENT].filter(|r| r.turn == turn(number));
            recent.filter(|r| distance == 1 || far(r)).map(|r| (number, r))
        })
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

/// The higher bits of a sequence.
fn turn(number: u32) -> u16 {
    (number / RECENT as u32) as u16
}

/// By how much two packets' delays differ beyond what a queue makes of it, microseconds, from a third: while a queue
/// grows or shrinks each is later than the one before by about as much; while it does not run dry, they come in equal intervals,
/// in whatever intervals they were sent, as far as they are of one size. A slow path on which nothing but its own queue is uneven would
/// look jittery otherwise. Nothing where one interval is a pause beside the other, as between bursts: a queue may have run dry in it.
fn unevenness([a, b, c]: [Recent; 3]) -> Option<i64> {
    let micros = |from: Recent, to: Recent| i64::from(to.sent.wrapping_sub(from.sent) as i16) * 100;
    let later = |from: Recent, to: Recent| i64::from(to.delay.wrapping_sub(from.delay));
    let (first, second) = (micros(a, b), micros(b, c));
    let (short, long) = (first.min(second), first.max(second));
    if long > short * 2 + PAUSE && short < APART {
        return None;
    }
    let bend = later(b, c) - later(a, b);
    let least = bend.abs().min((bend + second - first).abs());
    // Of independent delays the variance of this is three times that of the difference of two.
    Some(least * 1_000 / 1_732)
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
        // Twice the difference of two, by the square root of three.
        assert!((91..=93).contains(&told.jitter), "{}", told.jitter);
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
        assert_eq!(tally.get(0).unwrap().jitter, 51);
    }

    /// A call beside a bulk flow that takes the other path: each pause ends with a marker, behind one packet or behind two.
    #[test]
    fn jitter_shows_where_some_numbers_are_markers() {
        for in_a_row in [1, 2] {
            let mut tally = DelayTally::default();
            for i in 0..100u64 {
                let late = if i % 2 == 0 { 0 } else { 8_000 };
                let at = Time::from_micros(1_000_000 + i * 20_000 + late);
                // Numbers wrap.
                let sequence = (u32::MAX - 99).wrapping_add((i + i / in_a_row) as u32);
                tally.on_packet(at, sequence, (i * 200) as u16);
            }
            let jitter = tally.get(0).unwrap().jitter;
            assert!((91..=93).contains(&jitter), "{in_a_row}: {jitter}");
        }
    }

    /// What is sent again now and then: it must not take hundreds of packets to see that the path's delays differ.
    #[test]
    fn jitter_shows_in_packets_at_uneven_intervals() {
        let (mut tally, mut at) = (DelayTally::default(), 1_000_000u64);
        for i in 0..40u64 {
            at += [20_000, 150_000, 35_000, 90_000][i as usize % 4];
            let late = if i % 2 == 0 { 0 } else { 8_000 };
            tally.on_packet(Time::from_micros(at + late), i as u32, (at / 100) as u16);
        }
        assert!((91..=93).contains(&tally.get(0).unwrap().jitter));
    }

    /// A path of 2 Mbit/s whose packets take 5.6 ms each, in bursts that it carries before the next one, and without a pause.
    #[test]
    fn a_slow_path_is_not_jittery_for_its_own_queue() {
        for (burst, every) in [(4u64, 50_000u64), (20, 200_000), (20, 100_000)] {
            let (mut tally, mut free, mut sequence) = (DelayTally::default(), 0, 0);
            for sent in 0..400u64 {
                // The first of each burst leave at once, the others in uneven intervals.
                let at = 1_000_000 + sent / burst * every + (sent % burst).pow(2) * 100;
                free = at.max(free) + 5_600;
                sequence += 1;
                tally.on_packet(Time::from_micros(free + 30_000), sequence, (at / 100) as u16);
            }
            let jitter = tally.get(0).unwrap().jitter;
            assert!(jitter <= 3, "{burst} each {every} µs: {jitter}");
        }
    }
}

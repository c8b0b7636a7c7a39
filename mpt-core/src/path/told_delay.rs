//! Delays as the peer tells them, made comparable between its paths and workers.

use crate::Time;
use std::time::Duration;

/// The clocks' drift is followed by what comes in between, not over a longer silence: 100 ppm make 6 ms of this.
const CONTINUES: Duration = Duration::from_secs(60);

/// Send times wrap after so many units of 100 µs; a delay is told up to a multiple of this.
const TURN: i64 = 1 << 16;

/// The turn in which the delays of a peer's paths are counted. The peer's first packet by a path, whenever that is, decides
/// in which one it tells of that path; so a path that is used for the first time 7 s after another would seem 6.5 s slower.
#[derive(Clone, Copy, Debug, Default)]
pub struct CommonTurn {
    /// What was told last by any path, units of 100 µs.
    last: Option<i64>,
}

/// What was told last of one worker's packets by one path.
#[derive(Clone, Copy, Debug, Default)]
pub struct ToldDelay {
    last: Option<Last>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    at: Time,
    told: u32,
    unwrapped: i64,
}

impl ToldDelay {
    /// The delay in microseconds. The first of a path, or the first for long, is in the turn that is nearest to what
    /// the others told; those that follow are in the one that is nearest to the one before, so that a delay may grow beyond a turn.
    /// (The peer takes each packet's from the turn nearest to the packet before: where few packets come and those late, it may be wrong by several.)
    pub fn unwrap(&mut self, now: Time, told: u32, common: &mut CommonTurn) -> i64 {
        let unwrapped = match self.last.filter(|last| now.since(last.at) < CONTINUES) {
            Some(last) => {
                last.unwrapped + within_turn(i64::from(told.wrapping_sub(last.told) as i32))
            }
            None => {
                let units = i64::from(told as i32);
                let near = common.last.unwrap_or(units);
                near + within_turn(units - near)
            }
        };
        self.last = Some(Last { at: now, told, unwrapped });
        common.last = Some(unwrapped);
        unwrapped * 100
    }
}

/// By how much one path's delay is more than another's, both in microseconds, as reports told them, each with its round-trip time
/// (none: unknown). A path whose packets were held up, by whatever, may be in another turn from then on, and its least delay
/// be none that it ever had; but no way is longer than there and back.
#[must_use]
pub fn difference((delay, rtt): (i64, Duration), (other, others): (i64, Duration)) -> i64 {
    let (units, rest) = ((delay - other).div_euclid(100), (delay - other).rem_euclid(100));
    let most = |rtt: Duration| if rtt.is_zero() { i64::MAX } else { rtt.as_micros() as i64 };
    (within_turn(units) * 100 + rest).clamp(-most(others), most(rtt))
}

/// Up to half a turn more or less.
fn within_turn(units: i64) -> i64 {
    (units + TURN / 2).rem_euclid(TURN) - TURN / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_told_of_in_another_turn_is_as_slow_as_it_is() {
        let mut common = CommonTurn::default();
        let (mut a, mut b) = (ToldDelay::default(), ToldDelay::default());
        let at = |seconds: u64| Time::from_micros(seconds * 1_000_000);
        for clocks in [0u32, 40_000, 1 << 31, u32::MAX - 100] {
            for turns in [0u32, 1, 9, 65_535] {
                let fast = a.unwrap(at(1_000), clocks.wrapping_add(50), &mut common);
                let told = clocks.wrapping_add(350).wrapping_add(turns << 16);
                assert_eq!(b.unwrap(at(1_000), told, &mut common) - fast, 30_000, "{turns}");
                // It grows beyond half a turn, step by step, and stays where it belongs.
                for step in 1..=5 {
                    let told = told.wrapping_add(step * 10_000);
                    let slow = b.unwrap(at(1_001), told, &mut common) - fast;
                    assert_eq!(slow, 30_000 + i64::from(step) * 1_000_000);
                }
                (a, b, common) = Default::default();
            }
        }
    }

    #[test]
    fn after_a_long_silence_drift_does_not_part_the_paths() {
        let mut common = CommonTurn::default();
        let (mut a, mut b) = (ToldDelay::default(), ToldDelay::default());
        b.unwrap(Time::ZERO, 300, &mut common);
        let mut fast = 0;
        // A hundred hours at 100 ppm: 36 s, five turns and a half.
        for second in (0..360_000).step_by(10) {
            fast = a.unwrap(Time::from_micros(second * 1_000_000), second as u32, &mut common);
        }
        // As the receiver tells it: in the turn nearest to the one it told before.
        let told = 359_990 + 300 - 5 * (1 << 16);
        let slow = b.unwrap(Time::from_micros(359_990_000_000), told, &mut common);
        assert_eq!(slow - fast, 30_000);
    }

    #[test]
    fn a_peer_that_took_packets_for_turns_older_than_they_are_changes_nothing() {
        let mut common = CommonTurn::default();
        let (mut a, mut b) = (ToldDelay::default(), ToldDelay::default());
        let at = |seconds: u64| Time::from_micros(seconds * 1_000_000);
        let fast = a.unwrap(at(1), 50, &mut common);
        let slow = b.unwrap(at(1), 350, &mut common);
        // It was stopped for a while: its clock went on, what waited is taken for later and later.
        for turns in [5u32, 4, 9, 0u32.wrapping_sub(3)] {
            let told = 50u32.wrapping_add(turns << 16);
            assert_eq!(a.unwrap(at(2), told, &mut common), fast);
        }
        // One by one they may go astray, but never far from the others.
        a.unwrap(at(3), 50 + 30_000, &mut common);
        a.unwrap(at(3), 50 + 60_000, &mut common);
        let astray = a.unwrap(at(3), 50 + (1 << 16), &mut common);
        assert_eq!(astray - fast, 6_553_600);
        let unknown = Duration::ZERO;
        assert_eq!(difference((slow, unknown), (astray, unknown)), 30_000);
        assert_eq!(difference((astray, unknown), (slow, unknown)), -30_000);
        let short = Duration::from_millis(20);
        assert_eq!(difference((slow, short), (astray, unknown)), 20_000);
        assert_eq!(difference((astray, unknown), (slow, short)), -20_000);
    }
}

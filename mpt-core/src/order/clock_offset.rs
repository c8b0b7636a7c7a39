//! One-way delays between clocks that have nothing in common.

use crate::Time;

/// One-way delays from send times that wrap every 6.55 s, on clocks that have nothing in common.
/// The delay that was seen last picks the turn; it follows the clocks' drift.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ClockOffset {
    last: Option<i64>,
}

impl ClockOffset {
    /// One-way delay in microseconds plus a constant.
    pub(crate) fn delay(&mut self, now: Time, send_time: u16) -> i64 {
        const TURN: i64 = 100 << 16;
        let raw = now.as_micros() as i64 - 100 * i64::from(send_time);
        let last = self.last.unwrap_or(raw);
        let delay = last + (raw - last + TURN / 2).rem_euclid(TURN) - TURN / 2;
        self.last = Some(delay);
        delay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_compare_across_turns_and_drift() {
        let mut c = ClockOffset::default();
        let send_time = |at: u64| ((at + 123_456_789) / 100) as u16;
        let base = c.delay(Time::from_micros(10_000), send_time(5_000));
        // Nine hours at 100 ppm are 3.24 s, half a turn: the origin moves along with the clocks.
        for second in 1..40_000 {
            let (sent, drift) = (second * 1_000_000, second * 100);
            let a = c.delay(Time::from_micros(sent + drift + 5_000), send_time(sent));
            let b = c.delay(Time::from_micros(sent + drift + 125_000), send_time(sent));
            assert_eq!(b - a, 120_000);
            assert!((a - base - drift as i64).abs() <= 100, "{second}: {a}");
        }
    }
}

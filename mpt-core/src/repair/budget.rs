//! How much may be sent again, so that repair does not feed congestion.

use crate::Time;
use std::time::Duration;

/// Parts of a token that each packet earns, of [`WHOLE`]: one packet in ten may be sent again. That is
/// above the loss of any path worth using; what is lost beyond it is lost to congestion.
const EARNED: u32 = 10;

/// A packet sent again costs this much.
const WHOLE: u32 = 100;

/// Packets that may be sent again at once: a burst of losses, or what a short stall swallowed.
const BURST: u32 = 200;

/// While congested, losses are counted over this time; when fewer are lost than this of a hundred, it is over.
const WINDOW: Duration = Duration::from_millis(200);
const CLEARED: u64 = 8;

/// … but not over fewer packets than these, which would be chance, …
const LEAST_COUNTED: u64 = 100;

/// … or this time: whoever sends so little congests nothing.
const LONGEST: Duration = Duration::from_secs(2);

/// A bucket of tokens that fills with what is sent. When it is empty there is congestion: then nothing is sent
/// again until the losses became few. A bucket that is always nearly empty would repair one loss in two,
/// at random, and make everybody wait for all of them.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    tokens: u32,
    congested: bool,
    began: Time,
    sent: u64,
    lost: u64,
}

impl Default for Budget {
    fn default() -> Self {
        Self { tokens: BURST * WHOLE, congested: false, began: Time::ZERO, sent: 0, lost: 0 }
    }
}

impl Budget {
    /// A packet was sent for the first time.
    #[inline]
    pub fn earn(&mut self, now: Time) {
        self.tokens = (self.tokens + EARNED).min(BURST * WHOLE);
        if self.congested {
            self.sent += 1;
            self.judge(now);
        }
    }

    /// A packet was lost while congested.
    pub const fn on_lost(&mut self) {
        self.lost += 1;
    }

    /// Whether a lost packet may be sent again; it is paid for then.
    pub fn spend(&mut self, now: Time) -> bool {
        if self.congested {
            return false;
        }
        match self.tokens.checked_sub(WHOLE) {
            Some(left) => self.tokens = left,
            None => {
                self.congested = true;
                self.begin(now);
            }
        }
        !self.congested
    }

    /// Whether nothing is sent again for now.
    #[must_use]
    pub const fn is_congested(&self) -> bool {
        self.congested
    }

    fn judge(&mut self, now: Time) {
        let took = now.since(self.began);
        if took >= LONGEST {
            self.tokens = self.tokens.max(BURST / 2 * WHOLE);
        }
        if took >= LONGEST || took >= WINDOW && self.sent >= LEAST_COUNTED {
            self.congested = self.lost * 100 >= self.sent * CLEARED;
            self.begin(now);
        }
    }

    const fn begin(&mut self, now: Time) {
        self.began = now;
        self.sent = 0;
        self.lost = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of `packets` a millisecond apart each `every`th is lost; how many are sent again, and whether there is
    /// congestion in the end.
    fn run(b: &mut Budget, from: u64, packets: u64, every: u64) -> (usize, bool) {
        let again = (from..from + packets).filter(|&i| {
            b.earn(Time::from_millis(i));
            let lost = i % every == 0;
            if lost && b.is_congested() {
                b.on_lost();
            }
            lost && b.spend(Time::from_millis(i))
        });
        (again.count(), b.is_congested())
    }

    #[test]
    fn a_burst_at_once() {
        let mut b = Budget::default();
        assert_eq!((0..1_000).filter(|_| b.spend(Time::ZERO)).count(), 200);
    }

    #[test]
    fn congestion_is_over_for_who_sends_a_packet_a_second() {
        let mut b = Budget::default();
        while b.spend(Time::ZERO) {}
        for s in 1..=3 {
            assert_eq!(b.is_congested(), s <= 2, "{s}");
            b.earn(Time::from_millis(s * 1_000));
        }
        assert!(b.spend(Time::from_millis(3_000)) && b.spend(Time::from_millis(3_001)));
    }

    #[test]
    fn losses_of_paths_are_repaired_and_congestion_is_not() {
        let mut b = Budget::default();
        assert_eq!(run(&mut b, 0, 10_000, 15), (667, false));
        let (again, congested) = run(&mut b, 10_000, 20_000, 6);
        assert!(again < 600 && congested, "{again}");
        assert_eq!(run(&mut b, 30_000, 3_000, 6), (0, true));
        assert!(!run(&mut b, 33_000, 1_000, 20).1, "it is over");
        assert_eq!(run(&mut b, 34_000, 1_000, 20), (50, false));
    }
}

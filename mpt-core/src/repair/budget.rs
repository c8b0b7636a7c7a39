//! How much may be sent again, so that repair does not feed congestion.

use super::SMALL;
use crate::Time;
use std::time::Duration;

/// Parts of a token that each packet earns, of [`WHOLE`]: one packet in ten may be sent again. That is
/// above the loss of any path worth using; what is lost beyond it is lost to congestion.
const EARNED: u32 = 10;

/// A packet sent again costs this much.
const WHOLE: u32 = 100;

/// Packets that may be sent again at once: a burst of losses, or what a short stall swallowed.
const BURST: u32 = 200;

/// So many small packets may be besides, of their own: whoever sends nothing else is not to suffer from what others lost.
const SMALL_BURST: u32 = 100;

/// While congested, losses are counted over this time; when fewer are lost than this of a hundred, it is over.
const WINDOW: Duration = Duration::from_millis(200);
const CLEARED: u64 = 8;

/// … but not over fewer packets than these, which would be chance, …
const LEAST_COUNTED: u64 = 100;

/// … or this time: whoever sends so little congests nothing.
const LONGEST: Duration = Duration::from_secs(2);

/// A bucket of tokens that fills with what is sent. When it is empty there is congestion: then nothing is sent
/// again until the losses became few. A bucket that is always nearly empty would repair one loss in two,
/// at random, and make everybody wait for all of them. Small packets have a bucket of their own for that time.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    tokens: u32,
    small: u32,
    congested: bool,
    began: Time,
    sent: u64,
    lost: u64,
}

impl Default for Budget {
    fn default() -> Self {
        let (tokens, small) = (BURST * WHOLE, SMALL_BURST * WHOLE);
        Self { tokens, small, congested: false, began: Time::ZERO, sent: 0, lost: 0 }
    }
}

impl Budget {
    /// A packet of `len` bytes was sent for the first time.
    #[inline]
    pub fn earn(&mut self, now: Time, len: usize) {
        self.tokens = (self.tokens + EARNED).min(BURST * WHOLE);
        if len <= SMALL {
            self.small = (self.small + EARNED).min(SMALL_BURST * WHOLE);
        }
        if self.congested {
            self.sent += 1;
            self.judge(now);
        }
    }

    /// A packet was lost while congested.
    pub const fn on_lost(&mut self) {
        self.lost += 1;
    }

    /// Whether a lost packet of `len` bytes may be sent again; it is paid for then.
    pub fn spend(&mut self, now: Time, len: usize) -> bool {
        if self.charge(now) {
            return true;
        }
        let may = self.is_left_to(len);
        if may {
            self.small -= WHOLE;
            self.on_lost();
        }
        may
    }

    /// A lost packet is paid for, whether it is sent again or not. Whether there was something to pay with.
    pub fn charge(&mut self, now: Time) -> bool {
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

    /// Whether a packet of `len` bytes is not sent again for now.
    #[must_use]
    pub const fn is_congested_for(&self, len: usize) -> bool {
        self.congested && !self.is_left_to(len)
    }

    const fn is_left_to(&self, len: usize) -> bool {
        len <= SMALL && self.small >= WHOLE
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

    const LARGE: usize = SMALL + 1;

    /// Of `packets` a millisecond apart each `every`th is lost; how many are sent again, and whether there is
    /// congestion in the end.
    fn run(b: &mut Budget, from: u64, packets: u64, every: u64) -> (usize, bool) {
        let again = (from..from + packets).filter(|&i| {
            b.earn(Time::from_millis(i), LARGE);
            let lost = i % every == 0;
            if lost && b.is_congested() {
                b.on_lost();
            }
            lost && b.spend(Time::from_millis(i), LARGE)
        });
        (again.count(), b.is_congested())
    }

    #[test]
    fn a_burst_at_once() {
        let mut b = Budget::default();
        assert_eq!((0..1_000).filter(|_| b.spend(Time::ZERO, LARGE)).count(), 200);
    }

    #[test]
    fn what_others_lost_leaves_something_for_small_packets() {
        let mut b = Budget::default();
        while b.charge(Time::ZERO) {}
        assert!(b.is_congested_for(LARGE) && !b.is_congested_for(SMALL));
        assert_eq!((0..1_000).filter(|_| b.spend(Time::ZERO, SMALL)).count(), 100);
        assert!(b.is_congested_for(SMALL));
        (0..10).for_each(|_| b.earn(Time::ZERO, SMALL));
        assert!(!b.spend(Time::ZERO, LARGE) && b.spend(Time::ZERO, SMALL));
    }

    #[test]
    fn congestion_is_over_for_who_sends_a_packet_a_second() {
        let mut b = Budget::default();
        while b.spend(Time::ZERO, LARGE) {}
        for s in 1..=3 {
            assert_eq!(b.is_congested(), s <= 2, "{s}");
            b.earn(Time::from_millis(s * 1_000), LARGE);
        }
        assert!(b.spend(Time::from_millis(3_000), LARGE) && b.charge(Time::from_millis(3_001)));
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

//! Waiting a moment for company.
//!
//! Being woken for a packet costs many times what a packet costs that is there already, and what leaves together travels as
//! one super-packet. So where packets come one by one but close together the loop naps, instead of sleeping until the next
//! one comes, as network cards moderate their interrupts. Whether naps gather anything is seen by trying: in a
//! closed loop, where the next packet answers this one, they gather nothing, and are not tried again soon.

use mpt_core::Time;
use std::time::Duration;

/// What a nap must gather in the mean.
const WORTH: u32 = 2;

/// What good naps save up for bad ones, packets.
const MOST_CREDIT: u32 = 8;

/// Turns until the next attempt after one that gathered nothing; with each more of them twice as many.
const PAUSE: u32 = 1 << 10;

/// See [`PAUSE`].
const LONGEST_PAUSE: u32 = 1 << 15;

/// After so many good naps in a row [`PAUSE`] begins anew.
const PROVEN: u32 = 64;

/// The mean interval between turns is over about so many.
const MEAN_OVER: u32 = 16;

/// Decides when to nap, and for how long.
#[derive(Debug)]
pub(super) struct Coalescing {
    /// How long a nap is; zero: never.
    nap: Duration,
    /// The last turn that something woke us for.
    woken: Time,
    /// Mean time between such turns.
    interval: Duration,
    /// Such turns until the next attempt.
    pause: u32,
    next_pause: u32,
    /// Packets gathered beyond [`WORTH`] a nap: while there are some, naps go on.
    credit: u32,
    /// Good naps in a row.
    good: u32,
    napped: bool,
}

impl Coalescing {
    /// Naps of length `nap`; none where it is zero.
    pub(super) fn new(nap: Duration) -> Self {
        Self {
            nap,
            woken: Time::from_nanos(0),
            interval: nap,
            pause: 0,
            next_pause: PAUSE,
            credit: 0,
            good: 0,
            napped: false,
        }
    }

    /// Whether there are no naps at all.
    pub(super) const fn is_off(&self) -> bool {
        self.nap.is_zero()
    }

    /// A turn took `packets` from the kernel, and all there were; something is due at `deadline`. How long to nap before the next
    /// turn, if that is better than to sleep until something comes.
    pub(super) fn after_turn(
        &mut self,
        now: Time,
        packets: u32,
        deadline: Option<Time>,
    ) -> Option<Duration> {
        if self.is_off() {
            return None;
        }
        let napped = std::mem::take(&mut self.napped);
        if !(if napped { self.was_worth_it(packets) } else { self.is_worth_trying(now) }) {
            return None;
        }
        let nap = deadline.map_or(self.nap, |d| self.nap.min(d.since(now)));
        // Less would gather little, which would say nothing.
        self.napped = nap >= self.nap / 2;
        self.napped.then_some(nap)
    }

    fn was_worth_it(&mut self, packets: u32) -> bool {
        self.credit = (self.credit + packets).saturating_sub(WORTH).min(MOST_CREDIT);
        if packets > 0 && self.credit > 0 {
            self.good = self.good.saturating_add(1);
            if self.good == PROVEN {
                self.next_pause = PAUSE;
            }
            return true;
        }
        if self.good < PROVEN {
            self.pause = self.next_pause;
            self.next_pause = (self.next_pause * 2).min(LONGEST_PAUSE);
        }
        self.good = 0;
        false
    }

    fn is_worth_trying(&mut self, now: Time) -> bool {
        let since = now.since(self.woken).min(self.nap * 2);
        self.woken = now;
        self.interval = self.interval - self.interval / MEAN_OVER + since / MEAN_OVER;
        self.pause = self.pause.saturating_sub(1);
        self.credit = WORTH;
        self.pause == 0 && self.interval <= self.nap / WORTH
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Duration = Duration::from_micros(1);
    const NAP: Duration = Duration::from_micros(250);

    /// A loop that is woken by a packet each `interval`, or by the answer to the last one that much later, for ten
    /// seconds; how often it was woken and napped.
    fn run(mut coalescing: Coalescing, interval: Duration, answers: bool) -> (u32, u32) {
        let (mut now, mut woken, mut naps) = (Time::from_millis(1_000), 0, 0);
        let end = now + Duration::from_secs(10);
        let mut next = now;
        while now < end {
            now = now.max(next);
            woken += 1;
            let mut packets = 1;
            next += interval;
            while now < end
                && let Some(nap) = coalescing.after_turn(now, packets, None)
            {
                naps += 1;
                now += nap;
                packets = 0;
                while next <= now && !(answers && packets == 1) {
                    packets += 1;
                    next += interval;
                }
                if answers {
                    next = now + interval;
                }
            }
        }
        (woken, naps)
    }

    #[test]
    fn a_stream_is_gathered() {
        let (woken, naps) = run(Coalescing::new(NAP), US * 96, false);
        assert!(woken < 100, "woken {woken} times");
        assert!((39_000..=40_001).contains(&naps), "{naps} naps in ten seconds");
    }

    #[test]
    fn a_slow_stream_is_left_alone() {
        let (woken, naps) = run(Coalescing::new(NAP), US * 130, false);
        assert!((76_000..=77_000).contains(&woken));
        assert_eq!(naps, 0);
    }

    #[test]
    fn who_waits_for_answers_is_not_kept_waiting() {
        let (woken, naps) = run(Coalescing::new(NAP), US * 50, true);
        assert!(woken > 190_000);
        assert!((2..=24).contains(&naps), "{naps} naps for {woken} packets");
    }

    #[test]
    fn a_stream_that_begins_after_answers_is_found_soon() {
        let mut coalescing = Coalescing::new(NAP);
        let mut now = Time::from_millis(1_000);
        let mut turn = |coalescing: &mut Coalescing, packets, after| {
            now += after;
            coalescing.after_turn(now, packets, None)
        };
        for _ in 0..200_000 {
            if turn(&mut coalescing, 1, US * 50).is_some() {
                while turn(&mut coalescing, 1, NAP).is_some() {}
            }
        }
        let until = (0..).find(|_| turn(&mut coalescing, 1, US * 50).is_some());
        assert!(until.is_some_and(|n| n <= LONGEST_PAUSE), "{until:?}");
    }

    #[test]
    fn what_is_due_is_not_overslept() {
        let mut coalescing = Coalescing::new(NAP);
        let mut now = Time::from_millis(1_000);
        let mut nap = |due: Duration| {
            for _ in 0..100 {
                now += US * 50;
                if let Some(nap) = coalescing.after_turn(now, 3, Some(now + due)) {
                    return Some(nap);
                }
            }
            None
        };
        assert_eq!(nap(US * 100), None);
        assert_eq!(nap(US * 200), Some(US * 200));
        assert_eq!(nap(US * 900), Some(NAP));
    }

    #[test]
    fn it_can_be_off() {
        assert_eq!(run(Coalescing::new(Duration::ZERO), US * 50, false).1, 0);
    }
}

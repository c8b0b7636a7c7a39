//! Waiting a moment for company.
//!
//! Being woken for a packet costs many times what a packet costs that is there already, and what leaves together travels as
//! one super-packet. So where packets come one by one but close together the loop naps, instead of sleeping until the next
//! one comes, as network cards moderate their interrupts. Whether naps gather what would have come anyhow is seen by trying:
//! in a closed loop, where the next packets answer these, they gather less, and are not tried again soon.

use mpt_core::Time;
use std::time::Duration;

/// What a nap must gather in the mean.
const WORTH: f64 = 2.0;

/// And this share of what came in as long a time before there were naps.
const SHARE: f64 = 0.8;

/// More is near what a processor can do at all, and comes in batches by itself; or the nap took longer than it should have (timers of
/// some routers know nothing below 10 ms).
const MOST: f64 = 32.0;

/// What good naps save up for bad ones, packets.
const MOST_CREDIT: f64 = 8.0;

/// Turns until the next attempt after one that gathered too little; with each more of them twice as many, …
const PAUSE: u32 = 1 << 10;

/// … up to this: less than half a second of what is fast enough to be napped on.
const LONGEST_PAUSE: u32 = 1 << 12;

/// After so many good naps in a row [`PAUSE`] begins anew.
const PROVEN: u32 = 64;

/// After so many there is a pause to see what comes without: a closed loop that was slow when naps began may have become
/// one that they hold up.
const TRUSTED: u32 = 1 << 12;

/// Means are over about so many turns, and known after four times as many.
const MEAN_OVER: f64 = 16.0;
const KNOWN_AFTER: u32 = 64;

/// Decides when to nap, and for how long.
#[derive(Debug)]
pub(super) struct Coalescing {
    /// How long a nap is; zero: never.
    nap: Duration,
    /// The last turn.
    at: Time,
    /// Means of the turns that something woke us for: seconds since the one before, and packets.
    interval: f64,
    packets: f64,
    /// Such turns in a row of which the mean was close enough.
    close: u32,
    /// Such turns until the next attempt.
    pause: u32,
    next_pause: u32,
    /// Packets gathered beyond what makes naps worth it: while there are some, they go on.
    credit: f64,
    /// Good naps in a row.
    good: u32,
    napped: bool,
}

impl Coalescing {
    /// Naps of length `nap`; none where it is zero.
    pub(super) fn new(nap: Duration) -> Self {
        Self {
            nap,
            at: Time::from_nanos(0),
            interval: nap.as_secs_f64(),
            packets: 1.0,
            close: 0,
            pause: 0,
            next_pause: PAUSE,
            credit: 0.0,
            good: 0,
            napped: false,
        }
    }

    /// Whether there are no naps at all.
    pub(super) const fn is_off(&self) -> bool {
        self.nap.is_zero()
    }

    /// Since it was asked last `packets` came from the kernel, and there are no more; something is due at `deadline`. How long to
    /// nap before the next turn, if that is better than to sleep until something comes.
    pub(super) fn after_turn(
        &mut self,
        now: Time,
        packets: u32,
        deadline: Option<Time>,
    ) -> Option<Duration> {
        if self.is_off() {
            return None;
        }
        let since = now.since(std::mem::replace(&mut self.at, now));
        let go_on = match std::mem::take(&mut self.napped) {
            true => self.was_worth_it(since, packets),
            false => self.is_worth_trying(since, packets),
        };
        if !go_on {
            return None;
        }
        let nap = deadline.map_or(self.nap, |d| self.nap.min(d.since(now)));
        // Less would gather little, which would say nothing.
        self.napped = nap >= self.nap / 2;
        self.napped.then_some(nap)
    }

    fn was_worth_it(&mut self, since: Duration, packets: u32) -> bool {
        let before = self.packets / self.interval.max(1e-9) * since.as_secs_f64();
        let gained = f64::from(packets) - WORTH.max(before * SHARE);
        self.credit = (self.credit + gained).min(MOST_CREDIT);
        if packets > 0 && self.credit > 0.0 && f64::from(packets) <= MOST {
            self.good += 1;
            if self.good == PROVEN {
                self.next_pause = PAUSE;
            }
            if self.good < TRUSTED {
                return true;
            }
        }
        if self.good < PROVEN {
            self.pause = self.next_pause;
            self.next_pause = (self.next_pause * 2).min(LONGEST_PAUSE);
        }
        (self.good, self.close) = (0, 0);
        false
    }

    fn is_worth_trying(&mut self, since: Duration, packets: u32) -> bool {
        let since = since.min(self.nap * 2).as_secs_f64();
        self.interval += (since - self.interval) / MEAN_OVER;
        self.packets += (f64::from(packets) - self.packets) / MEAN_OVER;
        self.pause = self.pause.saturating_sub(1);
        self.credit = WORTH;
        let nap = self.nap.as_secs_f64();
        let close = self.interval * WORTH <= nap && self.packets * nap <= MOST * self.interval;
        self.close = if close { self.close.saturating_add(1) } else { 0 };
        self.pause == 0 && self.close >= KNOWN_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Duration = Duration::from_micros(1);
    const NAP: Duration = Duration::from_micros(250);

    /// What comes: a packet each `every`, or from each of so many who send the next one so long after the last was handled.
    #[derive(Clone, Copy)]
    enum Load {
        Stream(Duration),
        Answers(usize, Duration),
    }

    /// A loop under that load for ten seconds: how often it was woken and napped, and packets.
    fn run(mut coalescing: Coalescing, load: Load) -> (u32, u32, u32) {
        run_on(&mut coalescing, load)
    }

    fn run_on(coalescing: &mut Coalescing, load: Load) -> (u32, u32, u32) {
        let begin = coalescing.at.max(Time::from_millis(1_000));
        let (mut now, mut woken, mut naps, mut all) = (begin, 0, 0, 0);
        let end = now + Duration::from_secs(10);
        let senders = if let Load::Answers(n, _) = load { n } else { 1 };
        let mut next: Vec<Time> = (0..senders).map(|i| now + US * 7 * i as u32).collect();
        let take = |next: &mut Vec<Time>, now: Time| {
            let mut packets = 0;
            for at in next.iter_mut() {
                while *at <= now {
                    packets += 1;
                    *at = match load {
                        Load::Stream(every) => *at + every,
                        Load::Answers(_, after) => now + after,
                    };
                }
            }
            packets
        };
        while now < end {
            now = now.max(next.iter().copied().min().unwrap());
            woken += 1;
            let mut packets = take(&mut next, now);
            all += packets;
            while now < end
                && let Some(nap) = coalescing.after_turn(now, packets, None)
            {
                naps += 1;
                now += nap;
                packets = take(&mut next, now);
                all += packets;
            }
        }
        (woken, naps, all)
    }

    #[test]
    fn a_stream_is_gathered() {
        for every in [10, 50, 96] {
            let (woken, naps, _) = run(Coalescing::new(NAP), Load::Stream(US * every));
            assert!(woken < 700, "woken {woken} times");
            assert!((39_000..=40_001).contains(&naps), "{naps} naps in ten seconds");
        }
    }

    #[test]
    fn a_slow_stream_is_left_alone() {
        let (woken, naps, _) = run(Coalescing::new(NAP), Load::Stream(US * 130));
        assert!((76_000..=77_000).contains(&woken));
        assert_eq!(naps, 0);
    }

    #[test]
    fn so_is_one_that_comes_in_batches_by_itself() {
        let (_, naps, _) = run(Coalescing::new(NAP), Load::Stream(US * 4));
        assert!(naps < 10, "{naps}");
    }

    #[test]
    fn who_waits_for_answers_is_not_kept_waiting() {
        for (senders, after) in [(1, 50), (1, 100), (2, 60), (4, 50), (4, 100), (8, 100), (16, 150)]
        {
            let load = Load::Answers(senders, US * after);
            let (_, naps, packets) = run(Coalescing::new(NAP), load);
            let (.., without) = run(Coalescing::new(Duration::ZERO), load);
            let said = format!("{senders}, {after}: {naps} naps, {packets} packets of {without}");
            assert!(packets > without / 100 * 96, "{said}");
        }
    }

    #[test]
    fn nor_when_it_was_slow_at_first() {
        for (senders, after) in [(8, 50), (12, 60), (20, 100)] {
            let mut coalescing = Coalescing::new(NAP);
            let (_, naps, _) = run_on(&mut coalescing, Load::Stream(US * 96));
            assert!(naps > 30_000, "{naps}");
            let load = Load::Answers(senders, US * after);
            let (_, naps, packets) = run_on(&mut coalescing, load);
            let (.., without) = run(Coalescing::new(Duration::ZERO), load);
            let said = format!("{senders}, {after}: {naps} naps, {packets} packets of {without}");
            assert!(packets > without / 100 * 85, "{said}");
        }
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
    fn naps_that_take_too_long_end() {
        let mut coalescing = Coalescing::new(NAP);
        let (mut now, mut naps) = (Time::from_millis(1_000), 0);
        for _ in 0..100_000 {
            now += US * 50;
            let mut packets = 1;
            while coalescing.after_turn(now, packets, None).is_some() {
                naps += 1;
                now += Duration::from_millis(10);
                packets = 200;
            }
        }
        assert!((1..40).contains(&naps), "{naps} naps of 10 ms in five seconds");
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
        assert_eq!(run(Coalescing::new(Duration::ZERO), Load::Stream(US * 50)).1, 0);
    }
}

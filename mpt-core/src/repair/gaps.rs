//! Which numbers of a path's sequence have not come, at the receiver.

use crate::Time;
use crate::wire::MAX_GAPS;
use std::time::Duration;

/// Gaps remembered of one path. A path that reorders by 20 ms at 4 000 packets a second has some 40
/// open at a time.
const MOST: usize = 256;

/// A gap is told for so long, in every report: ten reports or more. By then its packets were sent again or
/// given up.
const KEEP: Duration = Duration::from_millis(400);

/// A jump this far is not loss but a sender that counts anew.
const FARTHEST: u32 = 1 << 16;

/// A run of numbers that have not come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Gap {
    /// The first number.
    pub first: u32,
    /// The last one.
    pub last: u32,
    /// When a later one came.
    pub since: Time,
}

/// What a number was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Novelty {
    /// The next one, or one that had been missing.
    Expected,
    /// Numbers before it are missing.
    OpensGap,
    /// It came before, or is so old that this is not known.
    Known,
}

/// The gaps in one path's sequence, the oldest first. Numbers wrap.
///
/// A gap is *mature* once nothing will come any more that fills it: one reordering extent after it was
/// seen. Up to [`settled`](Self::settled) it is known of every number whether it came.
#[derive(Debug, Default)]
pub struct Gaps {
    highest: u32,
    /// Below this nothing is known any more.
    floor: u32,
    gaps: Vec<Gap>,
    /// Mature gaps up to here were told of.
    told: u32,
}

impl Gaps {
    /// A number came. Copies and markers count as well.
    pub fn on_number(&mut self, now: Time, number: u32) -> Novelty {
        let ahead = number.wrapping_sub(self.highest);
        if ahead as i32 > 0 {
            let missing = self.highest.wrapping_add(1);
            self.highest = number;
            if ahead == 1 {
                return Novelty::Expected;
            }
            if ahead > FARTHEST {
                self.gaps.clear();
                self.floor = number;
                return Novelty::Expected;
            }
            if self.gaps.len() == MOST {
                self.forget(1);
            }
            self.gaps.push(Gap { first: missing, last: number.wrapping_sub(1), since: now });
            return Novelty::OpensGap;
        }
        let Some(i) = self.find(number) else { return Novelty::Known };
        let gap = self.gaps[i];
        match (gap.first == number, gap.last == number) {
            (true, true) => {
                self.gaps.remove(i);
            }
            (true, false) => self.gaps[i].first = number.wrapping_add(1),
            (false, true) => self.gaps[i].last = number.wrapping_sub(1),
            (false, false) => {
                self.gaps[i].last = number.wrapping_sub(1);
                let rest = Gap { first: number.wrapping_add(1), ..gap };
                if self.gaps.len() == MOST {
                    // Rather one packet too few sent again than no bound.
                    self.gaps[i] = rest;
                    self.floor = if i == 0 { rest.first } else { self.floor };
                } else {
                    self.gaps.insert(i + 1, rest);
                }
            }
        }
        Novelty::Expected
    }

    /// Whether this number has not come yet, as far as that is known.
    #[must_use]
    pub fn is_new(&self, number: u32) -> bool {
        after(number, self.highest) || self.find(number).is_some()
    }

    /// Forgets what was told for long enough.
    pub fn expire(&mut self, now: Time) {
        let old = self.gaps.iter().take_while(|g| now.since(g.since) >= KEEP).count();
        if old > 0 {
            self.forget(old);
        }
    }

    /// How many a report could tell, on a path that reorders by `extent`.
    #[must_use]
    pub fn wanted(&self, now: Time, extent: Duration) -> usize {
        self.mature(now, extent).min(MAX_GAPS)
    }

    /// The highest number up to which it is known what came, on a path that reorders by `extent`, as far as a report with `room` for
    /// so many gaps can tell.
    #[must_use]
    pub fn settled(&self, now: Time, extent: Duration, room: usize) -> u32 {
        match self.tellable(now, extent, room) {
            n if n == self.gaps.len() => self.highest,
            n => self.gaps[n].first.wrapping_sub(1),
        }
    }

    /// Whether nothing is missing.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.gaps.is_empty()
    }

    /// Whether anything came.
    #[must_use]
    pub const fn is_used(&self) -> bool {
        self.highest != 0 || self.floor != 0
    }

    /// From where on [`told`](Self::newest) gaps are all there are.
    #[must_use]
    pub const fn floor(&self) -> u32 {
        self.floor
    }

    /// The mature gaps up to [`settled`](Self::settled), the newest first.
    pub fn newest(&self, now: Time, extent: Duration, room: usize) -> impl Iterator<Item = Gap> {
        self.gaps[..self.tellable(now, extent, room)].iter().rev().copied()
    }

    /// Whether gaps are mature that [`mark_told`](Self::mark_told) does not know.
    #[must_use]
    pub fn has_news(&self, now: Time, extent: Duration) -> bool {
        self.gaps[..self.mature(now, extent)].last().is_some_and(|g| after(g.last, self.told))
    }

    /// When there will be news, though nothing comes.
    #[must_use]
    pub fn next_news(&self, extent: Duration) -> Option<Time> {
        let first = self.gaps.partition_point(|g| !after(g.last, self.told));
        self.gaps.get(first).map(|g| g.since + extent)
    }

    /// A report went out, with `room` for so many gaps.
    pub fn mark_told(&mut self, now: Time, extent: Duration, room: usize) {
        // Also where there is no gap: numbers wrap, and what is told must not fall half of them behind.
        let settled = self.settled(now, extent, room);
        if after(settled, self.told) {
            self.told = settled;
        }
        if self.gaps.is_empty() {
            let floor = self.highest.wrapping_sub(FARTHEST);
            if after(floor, self.floor) {
                self.floor = floor;
            }
        }
    }

    /// Mature ones, and of those that were not told no more than a report has room for: the others have their turn in
    /// the next one.
    fn tellable(&self, now: Time, extent: Duration, room: usize) -> usize {
        let first = self.gaps.partition_point(|g| !after(g.last, self.told));
        self.mature(now, extent).min(first + room)
    }

    fn mature(&self, now: Time, extent: Duration) -> usize {
        // The usual case, without a gap, costs nothing.
        self.gaps.partition_point(|g| g.since + extent <= now)
    }

    fn find(&self, number: u32) -> Option<usize> {
        let i = self.gaps.partition_point(|g| after(number, g.last));
        self.gaps.get(i).filter(|g| !after(g.first, number)).map(|_| i)
    }

    fn forget(&mut self, count: usize) {
        if let Some(last) = self.gaps[..count].last() {
            self.floor = last.last.wrapping_add(1);
        }
        self.gaps.drain(..count);
    }
}

/// Whether `a` comes after `b`, around the wrap.
const fn after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) as i32 > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MS: Duration = Duration::from_millis(1);

    fn runs(g: &Gaps, at: u64, extent: Duration) -> Vec<(u32, u32)> {
        g.newest(Time::from_millis(at), extent, MAX_GAPS).map(|g| (g.first, g.last)).collect()
    }

    #[test]
    fn gaps_open_mature_and_close() {
        let mut g = Gaps::default();
        let at = Time::from_millis;
        assert_eq!(g.on_number(at(0), 1), Novelty::Expected);
        assert_eq!(g.on_number(at(1), 5), Novelty::OpensGap);
        assert_eq!(
            (g.settled(at(1), Duration::ZERO, MAX_GAPS), g.settled(at(1), 3 * MS, MAX_GAPS)),
            (5, 1)
        );
        assert!(g.has_news(at(1), Duration::ZERO) && !g.has_news(at(1), 3 * MS));
        assert_eq!(g.next_news(3 * MS), Some(at(4)));
        assert_eq!(g.on_number(at(2), 3), Novelty::Expected);
        assert_eq!(g.on_number(at(2), 3), Novelty::Known);
        assert!(g.is_new(2) && g.is_new(6) && !g.is_new(5));
        g.on_number(at(3), 9);
        assert_eq!(runs(&g, 3, Duration::ZERO), [(6, 8), (4, 4), (2, 2)]);
        assert_eq!(runs(&g, 4, 3 * MS), [(4, 4), (2, 2)]);
        g.mark_told(at(4), 3 * MS, MAX_GAPS);
        assert_eq!((g.has_news(at(5), 3 * MS), g.has_news(at(6), 3 * MS)), (false, true));
        g.expire(at(402));
        assert_eq!((runs(&g, 402, Duration::ZERO), g.floor()), (vec![(6, 8)], 5));
    }

    #[test]
    fn a_sender_that_counts_anew_is_no_loss() {
        let mut g = Gaps::default();
        assert_eq!(g.on_number(Time::ZERO, 1 << 20), Novelty::Expected);
        assert_eq!(
            (runs(&g, 0, Duration::ZERO), g.settled(Time::ZERO, Duration::ZERO, MAX_GAPS)),
            (vec![], 1 << 20)
        );
    }

    #[test]
    fn half_of_all_numbers_without_a_gap() {
        let mut g = Gaps::default();
        let mut n = 1u32;
        while n < 0x9000_0000 {
            g.on_number(Time::ZERO, n);
            g.mark_told(Time::ZERO, Duration::ZERO, MAX_GAPS);
            n += 50_000;
        }
        // As if all numbers had come: jumps are no gaps here.
        g.gaps.clear();
        g.mark_told(Time::ZERO, Duration::ZERO, MAX_GAPS);
        g.on_number(Time::ZERO, g.highest + 5);
        assert!(g.has_news(Time::ZERO, Duration::ZERO) && !after(g.floor(), g.highest));
    }

    #[test]
    fn more_gaps_than_a_report_has_room_for_are_told_one_report_after_the_other() {
        let mut g = Gaps::default();
        for i in 0..=2 * MAX_GAPS as u32 + 10 {
            g.on_number(Time::ZERO, 1 + 2 * i);
        }
        let mut told = std::collections::BTreeSet::new();
        let mut settled = 0;
        while g.has_news(Time::ZERO, Duration::ZERO) {
            assert!(
                g.settled(Time::ZERO, Duration::ZERO, MAX_GAPS) > settled,
                "each report goes on"
            );
            settled = g.settled(Time::ZERO, Duration::ZERO, MAX_GAPS);
            told.extend(runs(&g, 0, Duration::ZERO).into_iter().take(MAX_GAPS));
            g.mark_told(Time::ZERO, Duration::ZERO, MAX_GAPS);
        }
        assert_eq!(told.len(), 2 * MAX_GAPS + 10);
    }

    proptest! {
        /// As a set of numbers would have it, around the wrap, while there is room.
        #[test]
        fn agrees_with_a_set(start in any::<u32>(), steps in prop::collection::vec(0u32..12, 1..200)) {
            let mut gaps = Gaps { highest: start, floor: start, told: start, ..Gaps::default() };
            let mut seen = std::collections::BTreeSet::from([0u32]);
            let mut highest = 0u32;
            for step in steps {
                // Mostly forwards, at times back.
                let n = if step < 9 { highest + step / 2 } else { highest.saturating_sub(step - 8) };
                let new = seen.insert(n);
                let got = gaps.on_number(Time::ZERO, start.wrapping_add(n));
                prop_assert_eq!(got != Novelty::Known, new);
                prop_assert_eq!(got == Novelty::OpensGap, n > highest + 1);
                highest = highest.max(n);
            }
            let missing: Vec<u32> = (0..highest).filter(|n| !seen.contains(n)).collect();
            let mut told: Vec<u32> = gaps
                .gaps
                .iter()
                .flat_map(|g| g.first.wrapping_sub(start)..=g.last.wrapping_sub(start))
                .collect();
            told.sort_unstable();
            prop_assert_eq!(told, missing);
        }
    }
}

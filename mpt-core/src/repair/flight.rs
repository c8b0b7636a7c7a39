//! What was sent on a path and is not known to have arrived there.

use crate::wire::PathGaps;
use std::collections::VecDeque;

/// Rows of packets that are remembered of one path, and packets of a row: as many as the largest reordering ring has.
const MOST: usize = 1 << 16;

/// What became of a seal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It arrived.
    Arrived,
    /// It did not, and will not.
    Lost,
    /// Nor this one, as the path was out of use when it was sent, or before it was known to have arrived.
    Swallowed,
    /// The report reaches back less far than this.
    Unknown,
}

/// The seals of one path in the order of its sequence.
#[derive(Debug, Default)]
pub struct Flight {
    seals: VecDeque<Seals>,
    outage: Outage,
}

/// Which seals an outage of the path may have swallowed.
#[derive(Clone, Copy, Debug, Default)]
enum Outage {
    #[default]
    None,
    /// All of them.
    Lasts,
    /// Up to and with this number of the sequence.
    Until(u32),
}

/// Consecutive numbers of the path sequence, and the packets, of consecutive numbers as well, that they carried.
#[derive(Clone, Copy, Debug)]
struct Seals {
    /// The first ones.
    seq: u32,
    pn: u64,
    count: u32,
}

impl Seals {
    const fn last(&self) -> u32 {
        self.seq.wrapping_add(self.count - 1)
    }

    /// The first `count` are taken away.
    const fn take(&mut self, count: u32) {
        self.seq = self.seq.wrapping_add(count);
        self.pn += count as u64;
        self.count -= count;
    }
}

impl Flight {
    /// Packet `pn` was sealed with the number `seq` of the path sequence.
    #[inline]
    pub fn push(&mut self, seq: u32, pn: u64) {
        if let Some(seals) = self.seals.back_mut()
            && seq == seals.last().wrapping_add(1)
            && pn == seals.pn + u64::from(seals.count)
            && seals.count < MOST as u32
        {
            seals.count += 1;
            return;
        }
        if self.seals.len() == MOST {
            self.seals.pop_front();
        }
        self.seals.push_back(Seals { seq, pn, count: 1 });
    }

    /// The path is out of use.
    pub const fn begin_outage(&mut self) {
        self.outage = Outage::Lasts;
    }

    /// It works, as far as is known.
    pub fn end_outage(&mut self) {
        if matches!(self.outage, Outage::Lasts) {
            let last = self.seals.back().map(Seals::last);
            self.outage = last.map_or(Outage::None, Outage::Until);
        }
    }

    /// Takes what a report settles, in order: `each` gets the first of some packets, how many they are, and the fate they share.
    pub fn settle(&mut self, gaps: &PathGaps, mut each: impl FnMut(u64, u32, Fate)) {
        let Some(newest) = self.seals.back().map(Seals::last) else { return };
        if after(gaps.settled, newest) && gaps.settled.wrapping_sub(newest) > MOST as u32 {
            // Never sent: markers at most are beyond the last packet.
            return;
        }
        while let Some(seals) = self.seals.front_mut() {
            if after(seals.seq, gaps.settled) {
                break;
            }
            let settled = gaps.settled.wrapping_sub(seals.seq).saturating_add(1);
            let (mut fate, mut alike) = fate(gaps, seals.seq);
            match self.outage {
                Outage::Until(last) if after(seals.seq, last) => self.outage = Outage::None,
                Outage::Until(last) if fate == Fate::Lost => {
                    fate = Fate::Swallowed;
                    alike = alike.min(last.wrapping_sub(seals.seq).saturating_add(1));
                }
                Outage::Lasts if fate == Fate::Lost => fate = Fate::Swallowed,
                _ => {}
            }
            let count = seals.count.min(settled).min(alike);
            each(seals.pn, count, fate);
            seals.take(count);
            if seals.count == 0 {
                self.seals.pop_front();
            }
        }
    }

    /// Takes the oldest packets of consecutive numbers, whatever became of them: the first one, and how many they are.
    pub fn pop(&mut self) -> Option<(u64, u32)> {
        self.seals.pop_front().map(|s| (s.pn, s.count))
    }

    /// Forgets packets before `pn` at the front.
    pub fn forget_before(&mut self, pn: u64) {
        while let Some(seals) = self.seals.front_mut().filter(|s| s.pn < pn) {
            let count = pn - seals.pn;
            if count < u64::from(seals.count) {
                seals.take(count as u32);
                break;
            }
            self.seals.pop_front();
        }
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seals.is_empty()
    }
}

/// What became of the number `seq`, and how many from it on, itself among them, share that.
fn fate(gaps: &PathGaps, seq: u32) -> (Fate, u32) {
    let gap = gaps.gap_from(seq);
    match gap {
        Some((first, last)) if !after(first, seq) => (Fate::Lost, last.wrapping_sub(seq) + 1),
        _ => {
            let before = gap.map_or(u32::MAX, |(first, _)| first.wrapping_sub(seq));
            match after(gaps.floor, seq) {
                true => (Fate::Unknown, before.min(gaps.floor.wrapping_sub(seq))),
                false => (Fate::Arrived, before),
            }
        }
    }
}

const fn after(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) as i32 > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::PathId;

    #[test]
    fn a_report_settles_in_order() {
        let mut f = Flight::default();
        for i in 0..10 {
            f.push(u32::MAX.wrapping_add(i), 100 + u64::from(i));
        }
        let mut gaps = PathGaps::new(PathId::new(0).unwrap(), 6, 0);
        assert!(gaps.add(5, 5) && gaps.add(1, 2));
        let mut got = Vec::new();
        f.settle(&gaps, |pn, count, fate| {
            got.extend((pn..pn + u64::from(count)).map(|pn| (pn, fate)));
        });
        use Fate::{Arrived, Lost, Unknown};
        let fates = [Unknown, Arrived, Lost, Lost, Arrived, Arrived, Lost, Arrived];
        assert_eq!(got, (100..).zip(fates).collect::<Vec<_>>());
        assert_eq!((f.pop(), f.pop()), (Some((108, 2)), None));
        f.settle(&gaps, |_, _, _| panic!("nothing is left"));
    }

    #[test]
    fn what_was_sent_in_a_row_has_one_fate_while_it_can() {
        let mut f = Flight::default();
        // One path's: packets 1 to 100, with ten of another path between.
        (1..=50).for_each(|n| f.push(n, u64::from(n)));
        (51..=90).for_each(|n| f.push(n, u64::from(n) + 10));
        assert_eq!(f.seals.len(), 2);
        let mut gaps = PathGaps::new(PathId::new(0).unwrap(), 70, 5);
        assert!(gaps.add(48, 52) && gaps.add(20, 20));
        let mut got = Vec::new();
        f.settle(&gaps, |pn, count, fate| got.push((pn, count, fate)));
        use Fate::{Arrived, Lost, Unknown};
        let expected = [
            (1, 4, Unknown),
            (5, 15, Arrived),
            (20, 1, Lost),
            (21, 27, Arrived),
            (48, 3, Lost),
            (61, 2, Lost),
            (63, 18, Arrived),
        ];
        assert_eq!(got, expected);
        f.forget_before(95);
        assert_eq!(f.seals.len(), 1);
        assert_eq!(f.pop(), Some((95, 6)));
        assert!(f.is_empty());
    }

    #[test]
    fn what_was_sent_until_the_path_is_back_is_swallowed() {
        let mut f = Flight::default();
        (1..=10).for_each(|n| f.push(n, 100 + u64::from(n)));
        f.begin_outage();
        (11..=20).for_each(|n| f.push(n, 100 + u64::from(n)));
        let lost = |f: &mut Flight, settled, first, last| {
            let mut gaps = PathGaps::new(PathId::new(0).unwrap(), settled, 0);
            assert!(gaps.add(first, last));
            let mut got = Vec::new();
            f.settle(&gaps, |pn, count, fate| got.push((pn, count, fate)));
            got
        };
        use Fate::{Arrived, Lost, Swallowed};
        assert_eq!(lost(&mut f, 6, 5, 6), [(101, 4, Arrived), (105, 2, Swallowed)]);
        f.end_outage();
        (21..=40).for_each(|n| f.push(n, 100 + u64::from(n)));
        let expected = [(107, 1, Arrived), (108, 13, Swallowed), (121, 4, Lost), (125, 6, Arrived)];
        assert_eq!(lost(&mut f, 30, 8, 24), expected);
        f.end_outage();
        assert_eq!(lost(&mut f, 40, 31, 40), [(131, 10, Lost)]);
    }

    #[test]
    fn a_row_does_not_grow_for_ever() {
        let mut f = Flight::default();
        (0..2 * MOST as u32 + 1).for_each(|n| f.push(n, u64::from(n)));
        assert_eq!((f.pop(), f.pop()), (Some((0, MOST as u32)), Some((1 << 16, MOST as u32))));
        assert_eq!((f.pop(), f.pop()), (Some((1 << 17, 1)), None));
    }

    #[test]
    fn what_was_never_sent_settles_nothing() {
        let mut f = Flight::default();
        f.push(1, 1);
        f.settle(&PathGaps::new(PathId::new(0).unwrap(), 1 << 20, 0), |_, _, _| panic!("a lie"));
    }
}

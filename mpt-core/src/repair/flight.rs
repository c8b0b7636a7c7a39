//! What was sent on a path and is not known to have arrived there.

use crate::wire::PathGaps;
use std::collections::VecDeque;

/// Packets remembered of one path: as many as the largest reordering ring.
const MOST: usize = 1 << 16;

/// What became of a seal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It arrived.
    Arrived,
    /// It did not, and will not.
    Lost,
    /// The report reaches back less far than this.
    Unknown,
}

/// The seals of one path in the order of its sequence.
#[derive(Debug, Default)]
pub struct Flight {
    seals: VecDeque<Seal>,
}

/// One number of the path sequence, and the packet that it carried.
#[derive(Clone, Copy, Debug)]
struct Seal {
    seq: u32,
    pn: u64,
}

impl Flight {
    /// Packet `pn` was sealed with the number `seq` of the path sequence.
    #[inline]
    pub fn push(&mut self, seq: u32, pn: u64) {
        if self.seals.len() == MOST {
            self.seals.pop_front();
        }
        self.seals.push_back(Seal { seq, pn });
    }

    /// Takes what a report settles, in order.
    pub fn settle(&mut self, gaps: &PathGaps, mut each: impl FnMut(u64, Fate)) {
        let Some(newest) = self.seals.back() else { return };
        if after(gaps.settled, newest.seq) && gaps.settled.wrapping_sub(newest.seq) > MOST as u32 {
            // Never sent: markers at most are beyond the last packet.
            return;
        }
        while let Some(seal) = self.seals.front() {
            if after(seal.seq, gaps.settled) {
                break;
            }
            let fate = match () {
                () if gaps.contains(seal.seq) => Fate::Lost,
                () if after(gaps.floor, seal.seq) => Fate::Unknown,
                () => Fate::Arrived,
            };
            each(seal.pn, fate);
            self.seals.pop_front();
        }
    }

    /// Takes the oldest packet, whatever became of it.
    pub fn pop(&mut self) -> Option<u64> {
        self.seals.pop_front().map(|s| s.pn)
    }

    /// Forgets packets before `pn` at the front.
    pub fn forget_before(&mut self, pn: u64) {
        while self.seals.front().is_some_and(|s| s.pn < pn) {
            self.seals.pop_front();
        }
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.seals.is_empty()
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
        f.settle(&gaps, |pn, fate| got.push((pn, fate)));
        use Fate::{Arrived, Lost, Unknown};
        let fates = [Unknown, Arrived, Lost, Lost, Arrived, Arrived, Lost, Arrived];
        assert_eq!(got, (100..).zip(fates).collect::<Vec<_>>());
        assert_eq!((f.pop(), f.pop(), f.pop()), (Some(108), Some(109), None));
        f.settle(&gaps, |_, _| panic!("nothing is left"));
    }

    #[test]
    fn what_was_never_sent_settles_nothing() {
        let mut f = Flight::default();
        f.push(1, 1);
        f.settle(&PathGaps::new(PathId::new(0).unwrap(), 1 << 20, 0), |_, _| panic!("a lie"));
    }
}

//! What paths that failed have left behind.

use super::SMALL;
use std::collections::VecDeque;

/// Packets to be rescued, in the order in which they are: small ones first, which are calls and what others wait for, and
/// take next to nothing; of the same kind the oldest first, whichever path they were on.
#[derive(Debug, Default)]
pub struct Stranded {
    kinds: [Numbers; 2],
}

#[derive(Debug, Default)]
struct Numbers {
    numbers: VecDeque<u64>,
    /// Some came behind later ones.
    mixed: bool,
}

impl Stranded {
    /// `count` packets from number `pn` on, of `len` bytes each.
    pub fn add(&mut self, pn: u64, count: u16, len: usize) {
        let kind = &mut self.kinds[usize::from(len > SMALL)];
        kind.mixed |= kind.numbers.back().is_some_and(|&last| last > pn);
        kind.numbers.extend(pn..pn + u64::from(count));
    }

    /// Whose turn it is.
    pub fn front(&mut self) -> Option<u64> {
        self.first().and_then(|kind| kind.numbers.front().copied())
    }

    /// That one is taken care of.
    pub fn pop_front(&mut self) {
        if let Some(kind) = self.first() {
            kind.numbers.pop_front();
        }
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.kinds.iter().all(|kind| kind.numbers.is_empty())
    }

    fn first(&mut self) -> Option<&mut Numbers> {
        let kind = self.kinds.iter_mut().find(|kind| !kind.numbers.is_empty())?;
        if std::mem::take(&mut kind.mixed) {
            kind.numbers.make_contiguous().sort_unstable();
        }
        Some(kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_ones_and_old_ones_first() {
        let mut s = Stranded::default();
        s.add(10, 2, 1_000);
        s.add(20, 1, SMALL);
        // Of another path.
        s.add(5, 1, 1_000);
        s.add(12, 2, 60);
        let order: Vec<_> = std::iter::from_fn(|| {
            let pn = s.front();
            s.pop_front();
            pn
        })
        .collect();
        assert_eq!(order, [12, 13, 20, 5, 10, 11]);
        assert!(s.is_empty());
    }
}

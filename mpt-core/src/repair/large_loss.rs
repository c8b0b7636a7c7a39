//! A path that swallows what is longer than some size, while shorter packets pass.

use crate::Time;
use std::time::Duration;

/// So many longer ones in a row are lost, …
const LOST: u32 = 16;

/// … and so many shorter ones sent between them arrive: …
const ARRIVED: u32 = 2;

/// … over this time, as a queue that overflows at once drops what does not fit any more, and takes what does.
const LASTS: Duration = Duration::from_millis(10);

/// What became of a path's packets, in the order in which they were sent, by their lengths. Where all are lost others notice; where
/// shorter ones arrive the path seems to work.
#[derive(Clone, Copy, Debug, Default)]
pub struct LargeLoss {
    /// The first of those lost left then, none as long as any of which arrived since.
    since: Option<Time>,
    /// The shortest of them, bytes.
    least: usize,
    lost: u32,
    /// Shorter ones that arrived meanwhile.
    arrived: u32,
    lasts: bool,
}

impl LargeLoss {
    /// `count` packets of `len` bytes that left at `at` were lost.
    pub fn on_lost(&mut self, at: Time, len: usize, count: u32) {
        let since = *self.since.get_or_insert(at);
        self.least = if self.lost == 0 { len } else { self.least.min(len) };
        self.lost = self.lost.saturating_add(count);
        self.lasts |= at.since(since) >= LASTS;
    }

    /// `count` packets of `len` bytes arrived.
    #[inline]
    pub fn on_arrived(&mut self, len: usize, count: u32) {
        if self.lost == 0 {
            return;
        }
        if len >= self.least {
            *self = Self::default();
        } else {
            self.arrived = self.arrived.saturating_add(count);
        }
    }

    /// What is as long as this does not seem to pass, bytes; told once.
    pub fn poll(&mut self) -> Option<usize> {
        if self.lost < LOST || self.arrived < ARRIVED || !self.lasts {
            return None;
        }
        Some(std::mem::take(self).least)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn long_ones_that_are_lost_between_short_ones_that_arrive() {
        let mut l = LargeLoss::default();
        let mut now = Time::from_millis(10);
        for n in 0..20u32 {
            now += MS * 3;
            l.on_lost(now, 1_400 + n as usize % 2 * 80, 1);
            if n % 4 == 0 {
                l.on_arrived(1_300, 1);
            }
            assert_eq!(l.poll(), (n == 15).then_some(1_400), "{n}");
        }
    }

    #[test]
    fn loss_of_another_kind_says_nothing() {
        let at = |ms| Time::from_millis(10 + ms);
        // All is lost.
        let mut l = LargeLoss::default();
        (0..100).for_each(|ms| l.on_lost(at(ms), 1_400, 1));
        assert_eq!(l.poll(), None);
        // A burst that overflows a queue.
        let mut l = LargeLoss::default();
        for n in 0..100 {
            l.on_lost(at(n / 20), 1_400, 1);
            l.on_arrived(200, 1);
        }
        assert_eq!(l.poll(), None);
        // One in three, of all lengths.
        let mut l = LargeLoss::default();
        for n in 0..3_000u64 {
            let len = 200 + (n as usize * 7) % 1_200;
            if n * n % 3 == 1 && n % 2 == 0 {
                l.on_lost(at(n), len, 1)
            } else {
                l.on_arrived(len, 1)
            }
            assert_eq!(l.poll(), None, "{n}");
        }
    }
}

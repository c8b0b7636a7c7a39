//! A path that swallows what is longer than some size, while shorter packets pass.

use crate::Time;
use std::time::Duration;

/// So many longer ones in a row are lost, …
const LOST: u32 = 16;

/// … and so many of those sent between them that are shorter arrive: …
const ARRIVED: u32 = 1;

/// … over this time, as a queue that overflows at once drops what does not fit any more, and takes what does.
const LASTS: Duration = Duration::from_millis(10);

/// What is older says nothing of now.
const FORGOTTEN: Duration = Duration::from_secs(1);

/// What became of a path's packets, in the order in which they were sent, by their lengths. Where all are lost others notice; where
/// shorter ones arrive the path seems to work.
#[derive(Clone, Copy, Debug, Default)]
pub struct LargeLoss {
    /// When the first of those was found to be lost. Nothing as long as any of them has arrived since.
    since: Time,
    /// The shortest of them, bytes.
    least: usize,
    lost: u32,
    /// Shorter ones that arrived between them, …
    between: u32,
    /// … and since the last of them.
    after: u32,
    lasts: bool,
}

impl LargeLoss {
    /// `count` packets of `len` bytes were found to be lost.
    pub fn on_lost(&mut self, now: Time, len: usize, count: u32) {
        if self.lost == 0 || now.since(self.since) >= FORGOTTEN {
            *self = Self { since: now, least: len, ..Self::default() };
        }
        self.least = self.least.min(len);
        self.lost = self.lost.saturating_add(count);
        self.between = self.between.saturating_add(std::mem::take(&mut self.after));
        self.lasts |= now.since(self.since) >= LASTS;
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
            self.after = self.after.saturating_add(count);
        }
    }

    /// What is as long as this does not seem to pass, bytes; told once.
    pub fn poll(&mut self) -> Option<usize> {
        if self.lost < LOST || self.between < ARRIVED || !self.lasts {
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
        // An outage, and what comes behind it.
        let mut l = LargeLoss::default();
        (0..40).for_each(|ms| l.on_lost(at(ms), 1_400, 1));
        l.on_arrived(200, 9);
        assert_eq!(l.poll(), None);
        // A few now and then.
        let mut l = LargeLoss::default();
        for n in 0..100 {
            l.on_lost(at(n * 200), 1_400, 1);
            l.on_arrived(200, 1);
            assert_eq!(l.poll(), None, "{n}");
        }
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

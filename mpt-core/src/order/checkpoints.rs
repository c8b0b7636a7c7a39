//! When a path had come how far.

use crate::Time;
use std::collections::VecDeque;
use std::time::Duration;

/// Most checkpoints of a path: 6 KiB.
const MOST: usize = 256;

const _: () = assert!(MOST * size_of::<Entry>() <= 6 * 1_024);

/// One extent spans about this many checkpoints, so vouching comes at most 3 % of it late.
const PER_EXTENT: u32 = 32;

/// Checkpoints are not closer than this: with [`MOST`] of them, lateness can be measured over the last
/// 13 ms at least even at the highest rates, and then over eight times the extent.
const FINEST: Duration = Duration::from_micros(50);

/// A bounded record of a path's progress: which number was its highest at what time.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    entries: VecDeque<Entry>,
    /// The number of the last entry that was forgotten.
    forgotten: u64,
}

/// The path's highest number was raised between `first` and `last`, in the end to `pn`.
#[derive(Clone, Copy, Debug)]
struct Entry {
    first: Time,
    last: Time,
    pn: u64,
}

impl Checkpoints {
    /// The path's highest number was raised to `pn`.
    pub(super) fn record(&mut self, now: Time, pn: u64, extent: Duration) {
        let full = self.entries.len() == MOST;
        let spacing = (extent / PER_EXTENT).max(FINEST);
        let oldest_matters = self.entries.front().is_some_and(|e| now.since(e.last) < extent);
        if let Some(newest) = self.entries.back_mut()
            && (now.since(newest.first) < spacing || full && oldest_matters)
        {
            newest.last = now;
            newest.pn = pn;
            return;
        }
        if full && let Some(oldest) = self.entries.pop_front() {
            self.forgotten = oldest.pn;
        }
        self.entries.push_back(Entry { first: now, last: now, pn });
    }

    /// The highest number the path had come to at least `extent` ago; 0 when unknown.
    pub(super) fn vouched(&self, now: Time, extent: Duration) -> u64 {
        match self.mature(now, extent) {
            0 => self.forgotten,
            n => self.entries[n - 1].pn,
        }
    }

    /// When [`vouched`](Self::vouched) rises by time alone.
    pub(super) fn next_vouched_at(&self, now: Time, extent: Duration) -> Option<Time> {
        self.entries.get(self.mature(now, extent)).map(|e| e.last + extent)
    }

    /// When the path first came to `pn` or beyond; the earliest time known when that is forgotten.
    pub(super) fn passed_at(&self, pn: u64) -> Option<Time> {
        let i = self.entries.partition_point(|e| e.pn < pn);
        self.entries.get(i).map(|e| e.first)
    }

    fn mature(&self, now: Time, extent: Duration) -> usize {
        self.entries.partition_point(|e| e.last + extent <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn vouches_one_extent_later() {
        let mut c = Checkpoints::default();
        for i in 1..=50u64 {
            c.record(Time::from_millis(i), i, 10 * MS);
        }
        assert_eq!(c.vouched(Time::from_millis(50), 10 * MS), 40);
        assert_eq!(c.next_vouched_at(Time::from_millis(50), 10 * MS), Some(Time::from_millis(51)));
        assert_eq!(c.vouched(Time::from_millis(60), 10 * MS), 50);
        assert_eq!(c.next_vouched_at(Time::from_millis(60), 10 * MS), None);
        assert_eq!(c.passed_at(30), Some(Time::from_millis(30)));
        assert_eq!(c.passed_at(51), None);
    }

    #[test]
    fn stays_bounded_and_never_vouches_early_at_any_rate() {
        // A packet every microsecond, and an extent that grows at once.
        let mut c = Checkpoints::default();
        for i in 1..=400_000u64 {
            let extent = if i < 10_000 { Duration::ZERO } else { 20 * MS };
            let now = Time::from_micros(i);
            c.record(now, i, extent);
            if i % 97 == 0 {
                let vouched = c.vouched(now, extent);
                let mature = i.saturating_sub(extent.as_micros() as u64);
                assert!(vouched <= mature, "at {i}: {vouched}");
                assert!(i < 60_000 || vouched + 1_300 > mature, "at {i}: {vouched}");
            }
        }
        assert!(c.entries.len() <= MOST);
    }
}

//! When packets left, and how many bytes had left by then: by path sequence.

use crate::Time;

/// Entries kept, 32 KiB: the newest of them a millisecond of sending apart, the others seven. Together they reach back four
/// seconds, so that much may stand in a path's queue before nothing is learned of it any more.
const ENTRIES: [usize; 2] = [512, 512];

/// Packets sent within this time share an entry, nanoseconds.
const SPACING: [u64; 2] = [1_000_000, 7_000_000];

/// What one worker sent over a path.
#[derive(Clone, Debug)]
pub(super) struct SentLog {
    /// What leaves the first goes to the second.
    rings: [Ring; 2],
    /// Packets and bytes so far.
    latest: Entry,
}

#[derive(Clone, Debug)]
struct Ring {
    entries: Vec<Entry>,
    next: usize,
}

#[derive(Clone, Copy, Default, Debug)]
struct Entry {
    sequence: u32,
    at: u64,
    /// Up to and with this sequence.
    bytes: u64,
    /// What they wait, microseconds, summed up.
    waits: u64,
}

/// Where a packet stands in the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Found {
    /// When it left.
    pub(super) at: Time,
    /// Bytes that had left with it.
    pub(super) bytes: u64,
    /// What was expected of all until then to wait in the path's queue, microseconds.
    pub(super) waits: u64,
}

impl SentLog {
    pub(super) fn new() -> Self {
        let ring = |n| Ring { entries: Vec::with_capacity(n), next: 0 };
        Self { rings: ENTRIES.map(ring), latest: Entry::default() }
    }

    /// Packet `sequence` of `bytes` leaves, and is expected to wait so many microseconds.
    #[inline]
    pub(super) fn on_sent(&mut self, now: Time, sequence: u32, bytes: usize, wait: u64) {
        let total = self.latest.bytes + bytes as u64;
        let waits = self.latest.waits + wait;
        self.latest = Entry { sequence, at: now.as_nanos(), bytes: total, waits };
        let mut entry = self.latest;
        for (i, ring) in self.rings.iter_mut().enumerate() {
            match ring.push(entry, ENTRIES[i], SPACING[i]) {
                Some(oldest) => entry = oldest,
                None => return,
            }
        }
    }

    /// Whether nothing was sent yet.
    pub(super) fn is_empty(&self) -> bool {
        self.rings[0].entries.is_empty()
    }

    /// All bytes so far.
    pub(super) fn bytes(&self) -> u64 {
        self.latest.bytes
    }

    /// When the last packet left.
    pub(super) fn last_sent(&self) -> Time {
        Time::from_nanos(self.latest.at)
    }

    /// Packet `sequence`, to a millisecond's accuracy, or, of half a second ago and more, to seven.
    pub(super) fn find(&self, sequence: u32) -> Option<Found> {
        if self.is_empty() || (self.latest.sequence.wrapping_sub(sequence) as i32) < 0 {
            return None;
        }
        // From the newest back: reports speak of the last round trip.
        let mut after = self.latest;
        for e in self.rings.iter().flat_map(Ring::newest) {
            let ahead = sequence.wrapping_sub(e.sequence) as i32;
            if ahead >= 0 {
                let span = u64::from(after.sequence.wrapping_sub(e.sequence)).max(1);
                let part = |from: u64, to: u64| from + (to - from) * ahead as u64 / span;
                return Some(Found {
                    at: Time::from_nanos(part(e.at, after.at)),
                    bytes: part(e.bytes, after.bytes),
                    waits: part(e.waits, after.waits),
                });
            }
            after = *e;
        }
        None
    }
}

impl Ring {
    /// Keeps the entry, unless it is too close to the last one; gives what made room for it.
    fn push(&mut self, entry: Entry, most: usize, spacing: u64) -> Option<Entry> {
        let last = self.entries.get((self.next + most - 1) % most);
        if last.is_some_and(|last| entry.at - last.at < spacing) {
            return None;
        }
        let at = self.next;
        self.next = (at + 1) % most;
        if self.entries.len() < most {
            self.entries.push(entry);
            return None;
        }
        Some(std::mem::replace(&mut self.entries[at], entry))
    }

    /// The newest first.
    fn newest(&self) -> impl Iterator<Item = &Entry> {
        let (newer, older) = self.entries.split_at(self.next.min(self.entries.len()));
        newer.iter().rev().chain(older.iter().rev())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_when_and_how_much_for_four_seconds() {
        let mut log = SentLog::new();
        assert_eq!(log.find(1), None);
        for i in 0..20_000u64 {
            log.on_sent(Time::from_micros(i * 300), (i as u32).wrapping_sub(10_000), 1_000, 3);
        }
        assert_eq!(log.bytes(), 20_000_000);
        for i in [19_999u64, 19_998, 19_500, 18_700] {
            let found = log.find((i as u32).wrapping_sub(10_000)).unwrap();
            assert!(found.at.as_micros().abs_diff(i * 300) <= 1_200, "{i}: {found:?}");
            assert!(found.bytes.abs_diff((i + 1) * 1_000) <= 4_000, "{i}: {found:?}");
            assert!(found.waits.abs_diff((i + 1) * 3) <= 12, "{i}: {found:?}");
        }
        for i in [17_500u64, 12_345, 7_000] {
            let found = log.find((i as u32).wrapping_sub(10_000)).unwrap();
            assert!(found.at.as_micros().abs_diff(i * 300) <= 7_200, "{i}: {found:?}");
            assert!(found.bytes.abs_diff((i + 1) * 1_000) <= 24_000, "{i}: {found:?}");
        }
        assert_eq!(log.find(0u32.wrapping_sub(10_000)), None, "too long ago");
        assert_eq!(log.find(10_000), None, "never sent");
    }

    #[test]
    fn the_ring_turns() {
        let mut log = SentLog::new();
        for i in 1..5_000u32 {
            log.on_sent(Time::from_millis(u64::from(i) * 2), i, 100, 1);
        }
        for n in [4_900, 4_999] {
            let at = Time::from_millis(n * 2);
            assert_eq!(log.find(n as u32), Some(Found { at, bytes: n * 100, waits: n }));
        }
    }
}

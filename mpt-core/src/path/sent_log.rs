//! When packets left, and how many bytes had left by then: by path sequence.

use crate::Time;

/// Entries kept, 24 KiB. With one each millisecond of sending they reach back a second.
const ENTRIES: usize = 1_024;

/// Packets sent within this time share an entry, nanoseconds.
const SPACING: u64 = 1_000_000;

/// What one worker sent over a path.
#[derive(Clone, Debug)]
pub(super) struct SentLog {
    /// A ring.
    entries: Vec<Entry>,
    next: usize,
    /// Packets and bytes so far.
    latest: Entry,
}

#[derive(Clone, Copy, Default, Debug)]
struct Entry {
    sequence: u32,
    at: u64,
    /// Up to and with this sequence.
    bytes: u64,
}

impl SentLog {
    pub(super) fn new() -> Self {
        Self { entries: Vec::with_capacity(ENTRIES), next: 0, latest: Entry::default() }
    }

    /// Packet `sequence` of `bytes` leaves.
    #[inline]
    pub(super) fn on_sent(&mut self, now: Time, sequence: u32, bytes: usize) {
        let total = self.latest.bytes + bytes as u64;
        self.latest = Entry { sequence, at: now.as_nanos(), bytes: total };
        let last = self.entries.get((self.next + ENTRIES - 1) % ENTRIES);
        if last.is_some_and(|last| self.latest.at - last.at < SPACING) {
            return;
        }
        if self.entries.len() < ENTRIES {
            self.entries.push(self.latest);
        } else {
            self.entries[self.next] = self.latest;
        }
        self.next = (self.next + 1) % ENTRIES;
    }

    /// All bytes so far.
    pub(super) fn bytes(&self) -> u64 {
        self.latest.bytes
    }

    /// When packet `sequence` left, and the bytes that had left with it, to a millisecond's accuracy.
    pub(super) fn find(&self, sequence: u32) -> Option<(Time, u64)> {
        if self.entries.is_empty() || (self.latest.sequence.wrapping_sub(sequence) as i32) < 0 {
            return None;
        }
        // From the newest back: reports speak of the last round trip.
        let len = self.entries.len();
        let mut after = self.latest;
        for i in 1..=len {
            let e = self.entries[(self.next + len - i) % len];
            let ahead = sequence.wrapping_sub(e.sequence) as i32;
            if ahead >= 0 {
                let span = u64::from(after.sequence.wrapping_sub(e.sequence)).max(1);
                let part = |from: u64, to: u64| from + (to - from) * ahead as u64 / span;
                return Some((Time::from_nanos(part(e.at, after.at)), part(e.bytes, after.bytes)));
            }
            after = e;
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_when_and_how_much_within_a_millisecond() {
        let mut log = SentLog::new();
        assert_eq!(log.find(1), None);
        for i in 0..20_000u64 {
            log.on_sent(Time::from_micros(i * 300), (i as u32).wrapping_sub(10_000), 1_000);
        }
        assert_eq!(log.bytes(), 20_000_000);
        for i in [19_999u64, 19_998, 19_500, 18_700] {
            let (at, bytes) = log.find((i as u32).wrapping_sub(10_000)).unwrap();
            assert!(at.as_micros().abs_diff(i * 300) <= 1_200, "{i}: {at:?}");
            assert!(bytes.abs_diff((i + 1) * 1_000) <= 4_000, "{i}: {bytes}");
        }
        assert_eq!(log.find(0u32.wrapping_sub(10_000)), None, "too long ago");
        assert_eq!(log.find(10_000), None, "never sent");
    }

    #[test]
    fn the_ring_turns() {
        let mut log = SentLog::new();
        for i in 1..5_000u32 {
            log.on_sent(Time::from_millis(u64::from(i) * 2), i, 100);
        }
        assert_eq!(log.find(4_900), Some((Time::from_millis(9_800), 490_000)));
        assert_eq!(log.find(4_999), Some((Time::from_millis(9_998), 499_900)));
    }
}

//! Which flows are sparse.

use crate::Time;

/// Flows that share an entry count as one. 4 KiB, within any cache.
const ENTRIES: usize = 512;

/// A flow that stays below this many bytes a second (1 Mbit/s) …
const RATE: u64 = 125_000;

/// … after its first so many is sparse: calls, games, DNS, and the beginning of everything.
const BURST: u32 = 16_000;

/// Leaky buckets.
#[derive(Clone, Debug)]
pub(super) struct FlowTable {
    buckets: Box<[Bucket; ENTRIES]>,
}

#[derive(Clone, Copy, Default, Debug)]
struct Bucket {
    /// In units of 2^20 ns, about a millisecond, wrapping after 52 days.
    at: u32,
    /// Not drained yet, bytes.
    level: u32,
}

/// Beyond this a bucket does not fill: a flow that ends being busy is sparse again after half a second.
const MOST: u32 = BURST + 62_500;

impl Default for FlowTable {
    fn default() -> Self {
        Self { buckets: Box::new([Bucket::default(); ENTRIES]) }
    }
}

impl FlowTable {
    /// Counts a packet; whether its flow is sparse.
    #[inline]
    pub(super) fn is_sparse(&mut self, now: Time, flow: u64, bytes: usize) -> bool {
        // The high bits: the low ones choose the predecessor's bucket.
        let bucket = &mut self.buckets[(flow >> 55) as usize % ENTRIES];
        let tick = (now.as_nanos() >> 20) as u32;
        let drained = u64::from(tick.wrapping_sub(bucket.at)) * (RATE << 20) / 1_000_000_000;
        bucket.at = tick;
        bucket.level = bucket
            .level
            .saturating_sub(u32::try_from(drained).unwrap_or(u32::MAX))
            .saturating_add(bytes as u32)
            .min(MOST);
        bucket.level <= BURST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_sparse_and_a_download_is_not_but_for_its_start() {
        let mut t = FlowTable::default();
        for i in 0..2_000u64 {
            let now = Time::from_millis(i);
            if i % 20 == 0 {
                assert!(t.is_sparse(now, 0, 200));
            }
            assert_eq!(t.is_sparse(now, u64::MAX, 1_400), i < 11 || i < 12 && i > 10, "{i}");
        }
        assert!(!t.is_sparse(Time::from_millis(2_300), u64::MAX, 1_400));
        assert!(t.is_sparse(Time::from_millis(2_700), u64::MAX, 1_400));
    }
}

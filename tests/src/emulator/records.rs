//! What an emulated link tells of the packets it was offered.

use crate::link::Cause;
use mpt_core::Time;
use serde::Serialize;
use std::time::Duration;

/// What one direction of a link did since it was made. Bytes are IP bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct WireCounters {
    /// Packets that came to the link.
    pub offered_packets: u64,
    /// Their bytes.
    pub offered_bytes: u64,
    /// Packets that left it.
    pub delivered_packets: u64,
    /// Their bytes.
    pub delivered_bytes: u64,
    /// Packets lost at random.
    pub lost: u64,
    /// Packets dropped at the full queue.
    pub queue_dropped: u64,
    /// Packets swallowed by the black hole.
    pub blackholed: u64,
    /// Packets that came while it was unplugged.
    pub unplugged: u64,
    /// Packets that were on it when it was unplugged.
    pub lost_in_flight: u64,
    /// Packets the NAT did not let in.
    pub nat_refused: u64,
    /// Packets the emulator itself failed to take or to hand on: not to be trusted when not zero.
    pub missed: u64,
}

/// Bytes in buckets of equal length.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Timeline {
    /// When the first bucket begins.
    #[serde(skip)]
    pub start: Time,
    /// Length of a bucket.
    pub bucket: Duration,
    /// IP bytes a bucket; those after the last are zero.
    pub bytes: Vec<u64>,
}

impl Timeline {
    pub(crate) fn new(start: Time, bucket: Duration) -> Self {
        Self { start, bucket, bytes: Vec::new() }
    }

    /// Adds `bytes` to the bucket of `at`.
    pub(crate) fn add(&mut self, at: Time, bytes: u64) {
        let index = (at.since(self.start).as_nanos() / self.bucket.as_nanos()) as usize;
        if self.bytes.len() <= index {
            self.bytes.resize(index + 1, 0);
        }
        self.bytes[index] += bytes;
    }

    /// Mean rate from `from` to `to`, in bits a second, of the whole buckets between them.
    #[must_use]
    pub fn rate(&self, from: Time, to: Time) -> f64 {
        let nanos = self.bucket.as_nanos();
        let first = from.since(self.start).as_nanos().div_ceil(nanos) as usize;
        let last = (to.since(self.start).as_nanos() / nanos) as usize;
        if last <= first {
            return 0.0;
        }
        let bytes: u64 = self.bytes.iter().take(last).skip(first).sum();
        bytes as f64 * 8.0 / (self.bucket.as_secs_f64() * (last - first) as f64)
    }
}

/// What became of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It left the link then.
    Delivered(Time),
    /// The link model dropped it.
    Dropped(Cause),
    /// The link was unplugged.
    Unplugged,
    /// It was on the link when that was unplugged.
    LostInFlight,
}

/// One packet that came to a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRecord {
    /// When it came.
    pub offered: Time,
    /// IP bytes.
    pub bytes: u32,
    /// What became of it.
    pub fate: Fate,
}

impl FrameRecord {
    /// How long it was on the link, if it left it.
    #[must_use]
    pub fn latency(&self) -> Option<Duration> {
        match self.fate {
            Fate::Delivered(at) => Some(at.since(self.offered)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rate_counts_whole_buckets_only() {
        let mut t = Timeline::new(Time::from_millis(1000), Duration::from_millis(50));
        for (at, bytes) in [(1000, 10), (1049, 20), (1050, 500), (1149, 500), (1150, 7)] {
            t.add(Time::from_millis(at), bytes);
        }
        assert_eq!(t.bytes, [30, 500, 500, 7]);
        let rate = t.rate(Time::from_millis(1001), Time::from_millis(1155));
        assert!((rate - 1000.0 * 8.0 / 0.1).abs() < 1e-6, "{rate}");
        assert!(t.rate(Time::from_millis(1001), Time::from_millis(1060)) < 1e-9);
    }
}

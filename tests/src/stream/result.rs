//! What came of a stream.

use mpt_core::Time;
use serde::Serialize;

/// What came of a stream. Times are in seconds, offsets count from the stream's start.
#[derive(Clone, Debug, Serialize)]
pub struct StreamResult {
    /// When the first packet was due.
    #[serde(skip)]
    pub start: Time,
    /// Packets sent.
    pub sent: u64,
    /// Packets the sender's kernel did not take; not among those sent.
    pub refused: u64,
    /// Packets received, duplicates not counted.
    pub received: u64,
    /// Packets sent and not received.
    pub lost: u64,
    /// Packets received before.
    pub duplicates: u64,
    /// Packets received after one of the same flow that was sent later (RFC 4737, 4.1).
    pub out_of_order: u64,
    /// Packets that were not as they were sent.
    pub corrupt: u64,
    /// Packets the receiving socket had no room for: the receiver's fault, not the network's.
    pub receiver_dropped: u64,
    /// One-way latency.
    pub latency: Latency,
    /// The longest time without an arrival, of all flows together.
    pub longest_gap: f64,
    /// When that gap began.
    pub longest_gap_at: f64,
    /// The most a packet was sent after it was due; the sender waited for the CPU, or was blocked.
    pub sender_lag_max: f64,
    /// Length of a timeline's bucket.
    pub bucket: f64,
    /// What was sent and received over time.
    pub timeline: Vec<Bucket>,
    /// Every arrival in order, when asked for.
    #[serde(skip)]
    pub arrivals: Vec<Arrival>,
}

/// One-way latency, seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Least.
    pub min: f64,
    /// Median.
    pub p50: f64,
    /// 90th percentile.
    pub p90: f64,
    /// 99th percentile.
    pub p99: f64,
    /// 99.9th percentile.
    pub p999: f64,
    /// Most.
    pub max: f64,
}

/// What was sent and received in a short time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Bucket {
    /// Packets sent in it.
    pub sent: u64,
    /// How many of those arrived, whenever.
    pub arrived: u64,
    /// Packets received in it.
    pub received: u64,
    /// Their UDP payload in bytes.
    pub bytes: u64,
    /// How many of those were out of order.
    pub out_of_order: u64,
    /// Their greatest latency, seconds.
    pub latency_max: f64,
}

/// A packet that arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// Its flow.
    pub flow: u32,
    /// Its number in the flow, from 0.
    pub sequence: u64,
    /// Its number in the stream, from 0.
    pub number: u64,
    /// When it was sent.
    pub sent: Time,
    /// When it came.
    pub at: Time,
}

impl StreamResult {
    /// Share of the packets sent that were lost, 0 to 1.
    #[must_use]
    pub fn loss(&self) -> f64 {
        self.lost as f64 / self.sent.max(1) as f64
    }

    /// Bits a second of UDP payload received between two offsets, seconds, in whole buckets.
    #[must_use]
    pub fn rate(&self, from: f64, to: f64) -> f64 {
        let buckets = self.buckets(from, to);
        let bytes: u64 = buckets.iter().map(|b| b.bytes).sum();
        // The buckets asked for, also those behind the last arrival.
        let count = self.index(to).saturating_sub(self.index(from));
        bytes as f64 * 8.0 / (count.max(1) as f64 * self.bucket)
    }

    /// Packets sent between two offsets, seconds, and lost.
    #[must_use]
    pub fn lost_between(&self, from: f64, to: f64) -> u64 {
        self.buckets(from, to).iter().map(|b| b.sent - b.arrived.min(b.sent)).sum()
    }

    /// Packets received out of order between two offsets, seconds.
    #[must_use]
    pub fn out_of_order_between(&self, from: f64, to: f64) -> u64 {
        self.buckets(from, to).iter().map(|b| b.out_of_order).sum()
    }

    /// The buckets between two offsets, seconds, rounded to the nearest bucket's edge.
    #[must_use]
    pub fn buckets(&self, from: f64, to: f64) -> &[Bucket] {
        let last = self.index(to).min(self.timeline.len());
        &self.timeline[self.index(from).min(last)..last]
    }

    fn index(&self, offset: f64) -> usize {
        (offset / self.bucket).round().max(0.0) as usize
    }
}

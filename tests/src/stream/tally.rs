//! The books of a stream.

use super::StreamConfig;
use super::packet::{HEADER, Header, blank};
use super::result::{Arrival, Bucket, Latency, StreamResult};
use crate::sys::batch::Received;
use crate::sys::time::now;
use hdrhistogram::Histogram;
use mpt_core::Time;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Tally {
    pub(super) timeline: Vec<Bucket>,
    start: Time,
    bucket: Duration,
    /// What a packet looks like behind its header.
    pattern: Vec<u8>,
    ended: Option<Time>,
    refused: u64,
    lag_max: Duration,
    sent: u64,
    received: u64,
    duplicates: u64,
    out_of_order: u64,
    corrupt: u64,
    overflow: u32,
    flows: Vec<Flow>,
    /// Microseconds.
    latency: Histogram<u64>,
    first: Option<Time>,
    last: Option<Time>,
    longest_gap: Duration,
    longest_gap_at: Time,
    arrivals: Option<Vec<Arrival>>,
}

#[derive(Clone, Debug, Default)]
struct Flow {
    /// One more than the highest number that came.
    next: u64,
    /// A bit for each number.
    seen: Vec<u64>,
}

impl Tally {
    pub(super) fn new(config: &StreamConfig, start: Time) -> Self {
        // Cannot fail: the bounds are in order and the precision is one of those allowed.
        #[allow(clippy::unwrap_used)]
        let latency = Histogram::new_with_bounds(1, 60_000_000, 3).unwrap();
        Self {
            timeline: Vec::new(),
            start,
            bucket: config.bucket,
            pattern: blank(config.size),
            ended: None,
            refused: 0,
            lag_max: Duration::ZERO,
            sent: 0,
            received: 0,
            duplicates: 0,
            out_of_order: 0,
            corrupt: 0,
            overflow: 0,
            flows: vec![Flow::default(); config.flows as usize],
            latency,
            first: None,
            last: None,
            longest_gap: Duration::ZERO,
            longest_gap_at: start,
            arrivals: config.record.then(Vec::new),
        }
    }

    /// A packet was sent, `lag` after it was due.
    pub(super) fn sent(&mut self, at: Time, lag: Duration) {
        self.sent += 1;
        self.lag_max = self.lag_max.max(lag);
        self.bucket_of(at).sent += 1;
    }

    /// The kernel did not take a packet.
    pub(super) fn refused(&mut self) {
        self.refused += 1;
    }

    pub(super) fn sending_ended(&mut self) {
        self.ended = Some(now());
    }

    /// When sending ended.
    pub(super) fn ended(&self) -> Option<Time> {
        self.ended
    }

    /// Whether all that was sent is here.
    pub(super) fn is_complete(&self) -> bool {
        self.ended.is_some() && self.received >= self.sent
    }

    /// A packet came.
    pub(super) fn received(&mut self, received: &Received<'_>) {
        if let Some(overflow) = received.overflow {
            self.overflow = overflow;
        }
        let header = Header::read(received.data).filter(|h| {
            received.data.len() == self.pattern.len()
                && received.data[HEADER..] == self.pattern[HEADER..]
                && (h.flow as usize) < self.flows.len()
        });
        let Some(header) = header else {
            self.corrupt += 1;
            return;
        };
        let flow = &mut self.flows[header.flow as usize];
        if flow.note(header.sequence) {
            self.duplicates += 1;
            return;
        }
        let out_of_order = header.sequence < flow.next;
        flow.next = flow.next.max(header.sequence + 1);

        let at = received.at;
        let latency = at.since(header.sent);
        self.latency.saturating_record(latency.as_micros().try_into().unwrap_or(u64::MAX));
        self.received += 1;
        self.out_of_order += u64::from(out_of_order);
        self.bucket_of(header.sent).arrived += 1;
        let bytes = received.data.len() as u64;
        let bucket = self.bucket_of(at);
        bucket.received += 1;
        bucket.bytes += bytes;
        bucket.out_of_order += u64::from(out_of_order);
        bucket.latency_max = bucket.latency_max.max(latency.as_secs_f64());
        self.first.get_or_insert(at);
        if let Some(last) = self.last
            && at.since(last) > self.longest_gap
        {
            self.longest_gap = at.since(last);
            self.longest_gap_at = last;
        }
        self.last = Some(at);
        if let Some(arrivals) = &mut self.arrivals {
            let Header { flow, sequence, number, sent } = header;
            arrivals.push(Arrival { flow, sequence, number, sent, at });
        }
    }

    pub(super) fn result(&mut self) -> StreamResult {
        let quantile = |q| self.latency.value_at_quantile(q) as f64 / 1e6;
        StreamResult {
            start: self.start,
            sent: self.sent,
            refused: self.refused,
            received: self.received,
            lost: self.sent.saturating_sub(self.received),
            duplicates: self.duplicates,
            out_of_order: self.out_of_order,
            corrupt: self.corrupt,
            receiver_dropped: u64::from(self.overflow),
            latency: Latency {
                min: self.latency.min() as f64 / 1e6,
                p50: quantile(0.5),
                p90: quantile(0.9),
                p99: quantile(0.99),
                p999: quantile(0.999),
                max: self.latency.max() as f64 / 1e6,
            },
            longest_gap: self.longest_gap.as_secs_f64(),
            longest_gap_at: self.longest_gap_at.since(self.start).as_secs_f64(),
            sender_lag_max: self.lag_max.as_secs_f64(),
            bucket: self.bucket.as_secs_f64(),
            timeline: std::mem::take(&mut self.timeline),
            arrivals: self.arrivals.take().unwrap_or_default(),
        }
    }

    fn bucket_of(&mut self, at: Time) -> &mut Bucket {
        let index = (at.since(self.start).as_nanos() / self.bucket.as_nanos()) as usize;
        // A packet that claims to be sent an hour ahead is broken; it must not fill the memory.
        let index = index.min(1 << 20);
        if self.timeline.len() <= index {
            self.timeline.resize(index + 1, Bucket::default());
        }
        &mut self.timeline[index]
    }
}

impl Flow {
    /// Notes that a number came; tells whether it had come before.
    fn note(&mut self, sequence: u64) -> bool {
        let word = (sequence / 64) as usize;
        let bit = 1 << (sequence % 64);
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        let before = self.seen[word] & bit != 0;
        self.seen[word] |= bit;
        before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrive(tally: &mut Tally, flow: u32, sequence: u64, sent_ms: u64, at_ms: u64) {
        let mut data = blank(64);
        let sent = Time::from_millis(sent_ms);
        Header { flow, sequence, number: 0, sent }.write(&mut data);
        tally.received(&Received { data: &data, at: Time::from_millis(at_ms), overflow: None });
    }

    #[test]
    fn order_duplicates_gaps_and_losses_are_told_apart() {
        let mut config = StreamConfig::new(([127, 0, 0, 1], 1).into(), 1);
        config.size = 64;
        config.flows = 2;
        let mut tally = Tally::new(&config, Time::from_millis(0));
        for ms in 0..6 {
            tally.sent(Time::from_millis(ms), Duration::ZERO);
        }
        arrive(&mut tally, 0, 0, 0, 5);
        arrive(&mut tally, 0, 2, 1, 6);
        // Another flow's numbers do not matter.
        arrive(&mut tally, 1, 0, 2, 7);
        arrive(&mut tally, 0, 1, 3, 60);
        arrive(&mut tally, 0, 1, 3, 61);
        let mut broken = blank(64);
        broken[40] ^= 1;
        tally.received(&Received { data: &broken, at: Time::from_millis(62), overflow: None });
        let r = tally.result();
        assert_eq!((r.sent, r.received, r.lost), (6, 4, 2));
        assert_eq!((r.out_of_order, r.duplicates, r.corrupt), (1, 1, 1));
        assert_eq!((r.longest_gap, r.longest_gap_at), (0.053, 0.007));
        assert_eq!(r.timeline[0].arrived, 4);
        assert_eq!((r.timeline[0].received, r.timeline[1].received), (3, 1));
        assert_eq!(r.timeline[1].out_of_order, 1);
    }
}

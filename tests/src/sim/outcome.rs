//! What a simulation shows.

use hdrhistogram::Histogram;
use mpt_core::control::ReorderStatus;
use mpt_core::order::{Disposition, Reorder};
use mpt_core::{PathId, Time};
use std::time::Duration;

/// What is learned by then does not count as out of order on links that reorder.
pub const WARM_UP: Duration = Duration::from_secs(2);

/// What was seen.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Packets sent.
    pub sent: u64,
    /// Packets that arrived at the receiver.
    pub arrived: u64,
    /// Packets delivered.
    pub delivered: u64,
    /// Delivered after a later one of the same flow.
    pub out_of_order: u64,
    /// The same among packets sent after the first [`WARM_UP`].
    pub out_of_order_warm: u64,
    /// Packets sent after the first [`WARM_UP`] that were delivered.
    pub delivered_warm: u64,
    /// Held although the packet before it in its own flow, or a later one, was delivered.
    pub held_for_others: u64,
    /// Packets held.
    pub held: u64,
    /// Markers sent.
    pub markers: u64,
    /// 99th percentile of the time between arrival and delivery, over all packets.
    pub wait_p99: Duration,
    /// Longest time between arrival and delivery.
    pub wait_max: Duration,
    /// 99th percentile of the one-way delay as delivered.
    pub delay_p99: Duration,
    /// Median one-way delay as delivered.
    pub delay_p50: Duration,
    /// The greatest of the paths' own 99th percentiles.
    pub slowest_p99: Duration,
    /// Greatest extent at the end.
    pub extent: Duration,
    /// The ring's own account.
    pub stats: ReorderStatus,
}

/// Keeps the account while a simulation runs.
pub(super) struct Account {
    arrived_at: Vec<Time>,
    delivered: Vec<bool>,
    flow_delivered: Vec<u64>,
    waits: Histogram<u64>,
    delays: Histogram<u64>,
    path_delays: Vec<Histogram<u64>>,
    out: Outcome,
}

impl Account {
    pub(super) fn new(flows: usize, paths: usize) -> Self {
        // The bounds are constants that fit: a microsecond to a minute.
        let histogram = || Histogram::new_with_bounds(1, 60_000_000, 3).expect("bounds fit");
        Self {
            arrived_at: vec![Time::ZERO],
            delivered: vec![false],
            flow_delivered: vec![0; flows],
            waits: histogram(),
            delays: histogram(),
            path_delays: (0..paths).map(|_| histogram()).collect(),
            out: Outcome::default(),
        }
    }

    pub(super) fn on_sent(&mut self) {
        self.out.sent += 1;
        self.arrived_at.push(Time::ZERO);
        self.delivered.push(false);
    }

    pub(super) fn on_marker_sent(&mut self) {
        self.out.markers += 1;
    }

    pub(super) fn on_arrived(&mut self, at: Time, path: usize, note: Note) {
        self.out.arrived += 1;
        self.arrived_at[note.pn as usize] = at;
        self.path_delays[path].saturating_record(at.since(note.sent).as_micros() as u64);
    }

    pub(super) fn on_disposition(&mut self, disposition: Disposition, note: Note) {
        if disposition == Disposition::Held {
            self.out.held += 1;
            let done = note.before <= self.flow_delivered[note.flow];
            self.out.held_for_others += u64::from(done);
        }
        assert_ne!(disposition, Disposition::Duplicate, "packet {}", note.pn);
    }

    pub(super) fn on_delivered(&mut self, now: Time, packet: &[u8]) {
        let note = Note::decode(packet);
        let out = &mut self.out;
        assert!(!std::mem::replace(&mut self.delivered[note.pn as usize], true), "delivered twice");
        out.delivered += 1;
        let last = &mut self.flow_delivered[note.flow];
        let out_of_order = note.pn < *last;
        *last = note.pn.max(*last);
        out.out_of_order += u64::from(out_of_order);
        if note.sent.since(Time::ZERO) >= WARM_UP {
            out.delivered_warm += 1;
            out.out_of_order_warm += u64::from(out_of_order);
        }
        let waited = now.since(self.arrived_at[note.pn as usize]);
        self.waits.saturating_record(waited.as_micros() as u64);
        self.delays.saturating_record(now.since(note.sent).as_micros() as u64);
    }

    pub(super) fn finish(self, reorder: &Reorder) -> Outcome {
        let p = |h: &Histogram<u64>, q| Duration::from_micros(h.value_at_quantile(q));
        let out = self.out;
        assert_eq!(out.delivered, out.arrived, "what arrives is delivered, once");
        Outcome {
            wait_p99: p(&self.waits, 0.99),
            wait_max: Duration::from_micros(self.waits.max()),
            delay_p50: p(&self.delays, 0.5),
            delay_p99: p(&self.delays, 0.99),
            slowest_p99: self.path_delays.iter().map(|h| p(h, 0.99)).max().unwrap_or_default(),
            extent: PathId::all().map(|path| reorder.extent(path)).max().unwrap_or_default(),
            stats: reorder.stats(),
            ..out
        }
    }
}

/// A packet's content: what the simulation wants to know of it again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Note {
    pub(super) pn: u64,
    pub(super) flow: usize,
    /// The flow's packet before; 0 for the first.
    pub(super) before: u64,
    pub(super) sent: Time,
}

impl Note {
    pub(super) fn encode(&self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let words = [self.pn, self.flow as u64, self.before, self.sent.as_nanos()];
        for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
            chunk.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Self {
        let word = |i: usize| {
            let mut w = [0; 8];
            w.copy_from_slice(&bytes[8 * i..8 * i + 8]);
            u64::from_le_bytes(w)
        };
        Self {
            pn: word(0),
            flow: word(1) as usize,
            before: word(2),
            sent: Time::from_nanos(word(3)),
        }
    }
}

//! Traffic: numbered packets of many flows from one end to another, and what became of them.

use super::packet::Note;
use hdrhistogram::Histogram;
use mpt_core::Time;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::collections::HashSet;
use std::time::Duration;

/// A stream as it is asked for. Packets come at random (Poisson).
#[derive(Clone, Copy, Debug)]
pub struct Traffic {
    /// Sending end.
    pub from: usize,
    /// Receiving end.
    pub to: usize,
    /// Flows, each as busy as the others.
    pub flows: u16,
    /// Inner bits a second of all flows together, while traffic is on.
    pub rate_bps: f64,
    /// Inner bytes of a packet.
    pub bytes: usize,
    /// Traffic comes for the first of these times, pauses for the second; both vary by half.
    pub on_off: Option<(Duration, Duration)>,
    /// TOS of the inner packets.
    pub tos: u8,
}

impl Traffic {
    /// Eight flows of 1 000-byte packets.
    #[must_use]
    pub const fn new(from: usize, to: usize, rate_bps: f64) -> Self {
        Self { from, to, flows: 8, rate_bps, bytes: 1_000, on_off: None, tos: 0 }
    }

    /// In bursts, with pauses between.
    #[must_use]
    pub const fn on_off(self, on: Duration, off: Duration) -> Self {
        Self { on_off: Some((on, off)), ..self }
    }
}

/// What became of a stream.
#[derive(Clone, Debug)]
pub struct Stream {
    /// As asked for.
    pub traffic: Traffic,
    /// Packets handed to the sending end.
    pub sent: u64,
    /// Different packets that came out.
    pub delivered: u64,
    /// Packets that came out again.
    pub duplicates: u64,
    /// Packets that came out after a later one of their flow.
    pub out_of_order: u64,
    /// Longest time between being handed in and coming out.
    pub delay_max: Duration,
    /// Times between being handed in and coming out, in microseconds.
    pub delays: Histogram<u32>,
    /// Longest time in which nothing came out, between two packets.
    pub longest_gap: Duration,
    /// When the first packet came out.
    pub first_delivery: Option<Time>,
    /// When the last packet came out.
    pub last_delivery: Option<Time>,
    /// Packets that came out with "congestion experienced".
    pub ce: u64,
    flows: Vec<Flow>,
    rng: ChaCha8Rng,
    next: Option<Time>,
    phase_ends: Time,
}

#[derive(Clone, Debug, Default)]
struct Flow {
    sent: u64,
    /// One more than the highest number that came out.
    reached: u64,
    /// Numbers below that which did not.
    missing: HashSet<u64>,
}

impl Stream {
    pub(super) fn new(traffic: Traffic, now: Time, seed: u64) -> Self {
        Self {
            traffic,
            sent: 0,
            delivered: 0,
            duplicates: 0,
            out_of_order: 0,
            delay_max: Duration::ZERO,
            delays: Histogram::new_with_bounds(1, 60_000_000, 2).expect("bounds that fit"),
            longest_gap: Duration::ZERO,
            first_delivery: None,
            last_delivery: None,
            ce: 0,
            flows: vec![Flow::default(); usize::from(traffic.flows)],
            rng: ChaCha8Rng::seed_from_u64(seed),
            next: Some(now),
            phase_ends: now,
        }
    }

    /// Packets that did not come out (yet).
    #[must_use]
    pub const fn missing(&self) -> u64 {
        self.sent - self.delivered
    }

    /// Begins the account of gaps and delays afresh.
    pub fn reset_extremes(&mut self) {
        self.delay_max = Duration::ZERO;
        self.delays.reset();
        self.longest_gap = Duration::ZERO;
    }

    pub(super) const fn next(&self) -> Option<Time> {
        self.next
    }

    pub(super) fn stop(&mut self) {
        self.next = None;
    }

    /// The packet that is due at `now`.
    pub(super) fn poll(&mut self, now: Time, stream: u16) -> Option<Note> {
        let at = self.next.filter(|&at| at <= now)?;
        let gap = -self.uniform().ln() * self.traffic.bytes as f64 * 8.0 / self.traffic.rate_bps;
        let mut next = at + Duration::from_secs_f64(gap);
        if let Some((on, off)) = self.traffic.on_off
            && next > self.phase_ends
        {
            next = self.phase_ends.max(at) + off.mul_f64(0.5 + self.uniform());
            self.phase_ends = next + on.mul_f64(0.5 + self.uniform());
        }
        self.next = Some(next);
        let flow = (self.rng.next_u64() % u64::from(self.traffic.flows)) as u16;
        let number = self.flows[usize::from(flow)].sent;
        self.flows[usize::from(flow)].sent += 1;
        self.sent += 1;
        Some(Note { stream, flow, number, sent: now })
    }

    pub(super) fn on_delivered(&mut self, now: Time, note: Note, tos: u8) {
        let flow = &mut self.flows[usize::from(note.flow)];
        assert!(note.number < flow.sent, "a packet came out that was never sent: {note:?}");
        if note.number >= flow.reached {
            flow.missing.extend(flow.reached..note.number);
            flow.reached = note.number + 1;
        } else if flow.missing.remove(&note.number) {
            self.out_of_order += 1;
        } else {
            self.duplicates += 1;
            return;
        }
        self.delivered += 1;
        self.ce += u64::from(tos & 3 == 3);
        let delay = now.since(note.sent);
        self.delay_max = self.delay_max.max(delay);
        self.delays.saturating_record(delay.as_micros() as u64);
        if let Some(last) = self.last_delivery {
            self.longest_gap = self.longest_gap.max(now.since(last));
        }
        self.first_delivery.get_or_insert(now);
        self.last_delivery = Some(now);
    }

    /// Uniform over (0, 1].
    fn uniform(&mut self) -> f64 {
        ((self.rng.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }
}

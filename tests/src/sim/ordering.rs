//! Ordering alone: predecessors and open paths at one end, the reordering ring at the other, links of
//! any profile between. No cryptography, no probes, no repair.
//!
//! Packets of many flows come at random (Poisson), leave by smooth weighted round robin in bytes, and
//! arrive one by one or in batches. Markers travel as data does; their acknowledgements travel back on
//! a link of the same profile, so they come late, out of order, or not at all.

use super::outcome::{Account, Note, Outcome};
use crate::link::{Link, LinkProfile, Verdict};
use mpt_core::inner::Checksum;
use mpt_core::order::{
    Arrival, HeldBudget, Marker, OpenPaths, Predecessors, Reorder, ReorderLimits,
};
use mpt_core::{PathId, Time};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Bytes of a data packet on the link.
const DATA_BYTES: usize = 1_200;

/// Bytes of a marker or acknowledgement on the link.
const CONTROL_BYTES: usize = 80;

/// What is simulated.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Stands in the table.
    pub name: &'static str,
    /// The paths with their weights.
    pub paths: Vec<(LinkProfile, u32)>,
    /// Number of flows, each as busy as the others.
    pub flows: usize,
    /// Bits a second of all flows together, while traffic is on.
    pub rate_bps: f64,
    /// Traffic comes for the first of these times, pauses for the second; both vary by half.
    pub on_off: Option<(Duration, Duration)>,
    /// A path that is cut and comes back.
    pub unplugged: Option<Unplugged>,
    /// The second path pauses so often and so long, and then brings all it kept.
    pub pauses: Option<(Duration, Duration)>,
    /// What has arrived is taken in this often, path by path; zero: at once.
    pub batch: Duration,
    /// Virtual time for which packets are sent.
    pub duration: Duration,
}

/// A path that swallows everything for a time, both ways.
#[derive(Clone, Copy, Debug)]
pub struct Unplugged {
    /// Which.
    pub path: usize,
    /// From then …
    pub from: Time,
    /// … to then.
    pub to: Time,
    /// The sender takes it out of use, and into use again, so much later.
    pub noticed_after: Duration,
}

/// Runs `scenario` with all chance taken from `seed`.
///
/// # Panics
/// When packets appear twice or go missing in the ring.
#[must_use]
pub fn run(scenario: &Scenario, seed: u64) -> Outcome {
    Simulation::new(scenario, seed).run()
}

/// What travels.
#[derive(Clone, Copy, Debug)]
enum Flight {
    Data { path: usize, arrival: Arrival, note: Note },
    Marker { path: usize, marker: Marker },
    Ack { path: usize, epoch: u16 },
}

struct Simulation<'a> {
    scenario: &'a Scenario,
    rng: ChaCha8Rng,
    now: Time,
    forth: Vec<Link>,
    back: Vec<Link>,
    flights: BinaryHeap<Reverse<(Time, u64, usize)>>,
    /// What the numbers in `flights` stand for, and slots that are free.
    cargo: Vec<Flight>,
    free: Vec<usize>,
    order: u64,
    predecessors: Predecessors,
    open_paths: OpenPaths,
    credits: Vec<f64>,
    down: Option<usize>,
    flow_hashes: Vec<u64>,
    flow_last: Vec<u64>,
    next_packet: Option<Time>,
    /// When the present burst or pause ends.
    phase_ends: Time,
    clock_ahead: u64,
    reorder: Reorder,
    budget: HeldBudget,
    next_batch: Option<Time>,
    acked: Vec<Option<u16>>,
    account: Account,
}

impl<'a> Simulation<'a> {
    fn new(scenario: &'a Scenario, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let links = |rng: &mut ChaCha8Rng| -> Vec<Link> {
            scenario.paths.iter().map(|(p, _)| Link::new(*p, rng.next_u64())).collect()
        };
        let n = scenario.paths.len();
        let hash_seed = rng.next_u64();
        Self {
            scenario,
            now: Time::ZERO,
            forth: links(&mut rng),
            back: links(&mut rng),
            flights: BinaryHeap::new(),
            cargo: Vec::new(),
            free: Vec::new(),
            order: 0,
            predecessors: Predecessors::new(hash_seed),
            open_paths: OpenPaths::new(),
            credits: vec![0.0; n],
            down: None,
            flow_hashes: flows_apart(scenario.flows, hash_seed),
            flow_last: vec![0; scenario.flows],
            next_packet: Some(Time::ZERO),
            phase_ends: Time::ZERO,
            clock_ahead: rng.next_u64() >> 40,
            reorder: Reorder::new(ReorderLimits::default()),
            budget: HeldBudget::new(16 << 20),
            next_batch: None,
            acked: vec![None; n],
            account: Account::new(scenario.flows, n),
            rng,
        }
    }

    fn run(mut self) -> Outcome {
        while let Some(at) = self.next_event() {
            debug_assert!(at >= self.now, "time went back");
            self.now = at;
            self.plug();
            self.send_packets();
            self.send_markers();
            let batching = !self.scenario.batch.is_zero();
            if !batching || self.next_batch.is_some_and(|t| t <= at) {
                self.next_batch = None;
                self.receive();
            }
            if self.reorder.poll_timeout().is_some_and(|t| t <= at) {
                self.end_batch();
            }
        }
        let (account, now) = (&mut self.account, self.now);
        self.reorder.flush(now, &mut self.budget, &mut |p, _| account.on_delivered(now, p));
        assert_eq!(self.budget.used(), 0, "memory of held packets is accounted for");
        self.account.finish(&self.reorder)
    }

    fn next_event(&mut self) -> Option<Time> {
        let mut first = self.flights.peek().map(|f| f.0.0);
        let batch = self.scenario.batch;
        if !batch.is_zero()
            && let Some(at) = first
        {
            let ends = *self.next_batch.get_or_insert(at.max(self.now) + batch);
            first = Some(ends);
        }
        let running = self.next_packet.is_some();
        // When all is sent and received, only repeats of unanswered markers would be left.
        let idle = !running && self.flights.is_empty();
        let markers = if idle { None } else { self.open_paths.poll_timeout() };
        [first, self.next_packet, markers, self.reorder.poll_timeout()].into_iter().flatten().min()
    }

    /// Cuts the link and joins it, and lets the sender notice.
    fn plug(&mut self) {
        self.pause();
        let Some(u) = self.scenario.unplugged else { return };
        let within = |after| u.from + after <= self.now && self.now < u.to + after;
        for link in [&mut self.forth[u.path], &mut self.back[u.path]] {
            let blackhole = within(Duration::ZERO);
            if link.profile().blackhole != blackhole {
                link.set_profile(LinkProfile { blackhole, ..*link.profile() });
            }
        }
        let down = within(u.noticed_after).then_some(u.path);
        if down != self.down {
            self.down = down;
            self.open_paths.on_path_down(path_id(u.path));
            self.credits.fill(0.0);
        }
    }

    /// Whatever is sent during a pause comes when it is over.
    fn pause(&mut self) {
        let Some((every, length)) = self.scenario.pauses else { return };
        let base = self.scenario.paths[1].0;
        let since = self.now.as_nanos() % every.as_nanos() as u64;
        let delay = base.delay + length.saturating_sub(Duration::from_nanos(since));
        if self.forth[1].profile().delay != delay {
            self.forth[1].set_profile(LinkProfile { delay, ..base });
        }
    }

    fn send_packets(&mut self) {
        while let Some(at) = self.next_packet.filter(|&t| t <= self.now) {
            self.send_packet();
            let gap = -self.uniform().ln() * DATA_BYTES as f64 * 8.0 / self.scenario.rate_bps;
            let mut next = at + Duration::from_secs_f64(gap);
            if let Some((on, off)) = self.scenario.on_off
                && next > self.phase_ends
            {
                next = self.phase_ends.max(at) + off.mul_f64(0.5 + self.uniform());
                self.phase_ends = next + on.mul_f64(0.5 + self.uniform());
            }
            self.next_packet = (next.since(Time::ZERO) < self.scenario.duration).then_some(next);
        }
    }

    fn send_packet(&mut self) {
        let now = self.now;
        let flow = (self.rng.next_u64() % self.flow_hashes.len() as u64) as usize;
        let path = self.pick_path();
        let id = path_id(path);
        let (pn, distance) = self.predecessors.next(self.flow_hashes[flow]);
        let seq = self.open_paths.on_data(now, id, pn);
        let before = std::mem::replace(&mut self.flow_last[flow], pn.0);
        let note = Note { pn: pn.0, flow, before, sent: now };
        let arrival = Arrival {
            pn,
            distance,
            bitmap: self.open_paths.bitmap(),
            seq,
            send_time: ((now.as_micros() + self.clock_ahead) / 100) as u16,
            copy: 0,
            duplicate: false,
            checksum: Checksum::Full,
        };
        self.account.on_sent();
        self.launch(Direction::Forth, path, DATA_BYTES, Flight::Data { path, arrival, note });
    }

    /// Smooth weighted round robin; all packets are of one size.
    fn pick_path(&mut self) -> usize {
        let mut best = None;
        let mut total = 0.0;
        for (i, (_, weight)) in self.scenario.paths.iter().enumerate() {
            if self.down == Some(i) {
                continue;
            }
            self.credits[i] += f64::from(*weight);
            total += f64::from(*weight);
            if best.is_none_or(|b: usize| self.credits[i] > self.credits[b]) {
                best = Some(i);
            }
        }
        let best = best.unwrap_or(0);
        self.credits[best] -= total;
        best
    }

    fn send_markers(&mut self) {
        while let Some((id, marker)) = self.open_paths.poll_marker(self.now) {
            self.account.on_marker_sent();
            let path = id.index();
            self.launch(Direction::Forth, path, CONTROL_BYTES, Flight::Marker { path, marker });
        }
    }

    fn launch(&mut self, direction: Direction, path: usize, bytes: usize, flight: Flight) {
        let link = match direction {
            Direction::Forth => &mut self.forth[path],
            Direction::Back => &mut self.back[path],
        };
        if let Verdict::Deliver(at) = link.send(self.now, bytes) {
            let slot = self.free.pop().unwrap_or(self.cargo.len());
            if slot == self.cargo.len() {
                self.cargo.push(flight);
            } else {
                self.cargo[slot] = flight;
            }
            self.order += 1;
            self.flights.push(Reverse((at, self.order, slot)));
        }
    }

    fn receive(&mut self) {
        let mut landed = Vec::new();
        while let Some(&Reverse((at, _, slot))) = self.flights.peek() {
            if at > self.now {
                break;
            }
            self.flights.pop();
            self.free.push(slot);
            landed.push((at, self.cargo[slot]));
        }
        // A batch is taken in socket by socket.
        if !self.scenario.batch.is_zero() {
            landed.sort_by_key(|(_, f)| match f {
                Flight::Data { path, .. } | Flight::Marker { path, .. } => *path,
                Flight::Ack { .. } => 0,
            });
        }
        for (at, flight) in landed {
            self.land(at, flight);
        }
        self.end_batch();
    }

    fn land(&mut self, at: Time, flight: Flight) {
        let now = self.now;
        match flight {
            Flight::Data { path, arrival, note } => {
                let account = &mut self.account;
                account.on_arrived(at, path, note);
                let packet = note.encode();
                let disposition = self.reorder.on_data(
                    now,
                    path_id(path),
                    arrival,
                    &packet,
                    &mut self.budget,
                    &mut |p, _| account.on_delivered(now, p),
                );
                account.on_disposition(disposition, note);
            }
            Flight::Marker { path, marker } => {
                self.reorder.on_marker(now, path_id(path), marker);
                // A marker that comes again asks again.
                self.acked[path] = None;
            }
            Flight::Ack { path, epoch } => self.open_paths.on_marker_ack(path_id(path), epoch),
        }
    }

    fn end_batch(&mut self) {
        let (account, now) = (&mut self.account, self.now);
        self.reorder.on_batch_end(now, &mut self.budget, &mut |p, _| account.on_delivered(now, p));
        for path in 0..self.acked.len() {
            let acked = self.reorder.marker_ack(path_id(path));
            if let Some(epoch) = acked.filter(|_| acked != self.acked[path]) {
                self.acked[path] = acked;
                self.launch(Direction::Back, path, CONTROL_BYTES, Flight::Ack { path, epoch });
            }
        }
    }

    /// Uniform over (0, 1].
    fn uniform(&mut self) -> f64 {
        ((self.rng.next_u64() >> 11) + 1) as f64 / (1u64 << 53) as f64
    }
}

#[derive(Clone, Copy, Debug)]
enum Direction {
    Forth,
    Back,
}

/// Hashes of flows that share no bucket: coupling by collision is wanted, but not what is measured.
fn flows_apart(n: usize, seed: u64) -> Vec<u64> {
    let mut trial = Predecessors::new(seed);
    (1..).filter(|&flow| trial.next(flow).1 == 0).take(n).collect()
}

fn path_id(i: usize) -> PathId {
    PathId::all().nth(i).expect("at most 16 paths")
}

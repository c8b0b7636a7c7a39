//! One path in virtual time: a sender, a link, and a peer that echoes and reports.

use crate::Time;
use crate::config::ProbeIntervals;
use crate::path::{Change, PathHealth, ReportSchedule, TokenSource, Usability};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore, SeedableRng};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

pub(super) const REPORT_BYTES: usize = 100;

pub(super) fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub(super) fn at(millis: u64) -> Time {
    Time::from_millis(millis)
}

/// Which way back the reports take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ReportsOver {
    SamePath,
    OtherPath,
}

/// What the link does, changeable while the simulation runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Link {
    /// Round-trip time without jitter.
    pub rtt: Duration,
    /// Mean of the delay added in each direction, exponential; order is kept.
    pub jitter: Duration,
    /// Loss in each direction, 0 to 1.
    pub loss: f64,
    /// Nothing passes towards the peer.
    pub forward_dead: bool,
    /// Nothing passes back.
    pub back_dead: bool,
    /// Data does not pass towards the peer, probes do.
    pub data_dead: bool,
}

impl Link {
    pub(super) fn of(rtt: Duration) -> Self {
        Self {
            rtt,
            jitter: Duration::ZERO,
            loss: 0.0,
            forward_dead: false,
            back_dead: false,
            data_dead: false,
        }
    }
}

/// Data offered to the tunnel. It goes over the path while that is preferred, else elsewhere.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traffic {
    pub gap: Duration,
    pub bytes: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Packet {
    Data(u32),
    Probe(u64),
    Echo(u64),
    Report { highest: u32, interval: Duration },
}

pub(super) struct Simulation {
    pub now: Time,
    pub health: PathHealth,
    pub link: Link,
    pub traffic: Option<Traffic>,
    pub reports_over: ReportsOver,
    /// Round-trip time of the other path.
    pub other_rtt: Duration,
    /// Until then the link lets nothing out, but keeps it.
    pub stalled_until: Time,
    pub changes: Vec<(Time, Change)>,
    /// Each change of usability.
    pub ranks: Vec<(Time, Usability)>,
    /// When probes were sent.
    pub probes: Vec<Time>,
    pub large_losses: Vec<Time>,
    /// How often something was due.
    pub wakeups: usize,
    schedule: ReportSchedule,
    highest: Option<u32>,
    next_seq: u32,
    next_data: Time,
    in_flight: BinaryHeap<Reverse<(Time, u64, Packet)>>,
    count: u64,
    last_arrival: [Time; 2],
    random: ChaCha8Rng,
}

impl Simulation {
    pub(super) fn new(seed: u64, link: Link) -> Self {
        Self {
            now: at(1_000),
            health: PathHealth::new(
                at(1_000),
                ProbeIntervals::default(),
                TokenSource::new([5; 16]),
            ),
            link,
            traffic: None,
            reports_over: ReportsOver::OtherPath,
            other_rtt: link.rtt,
            stalled_until: Time::ZERO,
            changes: Vec::new(),
            ranks: Vec::new(),
            probes: Vec::new(),
            large_losses: Vec::new(),
            wakeups: 0,
            schedule: ReportSchedule::new(),
            highest: None,
            next_seq: 1,
            next_data: at(1_000),
            in_flight: BinaryHeap::new(),
            count: 0,
            last_arrival: [Time::ZERO; 2],
            random: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    pub(super) fn run_for(&mut self, duration: Duration) -> &mut Self {
        let end = self.now + duration;
        self.next_data = self.next_data.max(self.now);
        let mut same_time = 0;
        loop {
            self.settle();
            let next = [
                self.in_flight.peek().map(|Reverse((t, ..))| *t),
                self.health.poll_timeout(self.now),
                self.schedule.poll_timeout(),
                self.traffic.map(|_| self.next_data),
            ];
            let next = next.into_iter().flatten().min().unwrap_or(end).max(self.now);
            if next >= end {
                self.now = end;
                return self;
            }
            same_time = if next == self.now { same_time + 1 } else { 0 };
            assert!(same_time < 100, "a timeout that never passes, at {next:?}");
            self.now = next;
            self.wakeups += 1;
            self.step();
        }
    }

    /// When the path stopped being preferred, at or after `from`.
    pub(super) fn out_of_use(&self, from: Time) -> Option<Time> {
        self.ranks.iter().find(|&&(t, r)| t >= from && r != Usability::Preferred).map(|&(t, _)| t)
    }

    /// When it was preferred again, at or after `from`.
    pub(super) fn in_use(&self, from: Time) -> Option<Time> {
        self.ranks.iter().find(|&&(t, r)| t >= from && r == Usability::Preferred).map(|&(t, _)| t)
    }

    fn step(&mut self) {
        while let Some(Reverse((t, _, packet))) = self.in_flight.peek().copied()
            && t <= self.now
        {
            self.in_flight.pop();
            self.arrive(packet);
        }
        if let Some(traffic) = self.traffic
            && self.next_data <= self.now
        {
            self.next_data += traffic.gap;
            self.health.on_traffic(self.now);
            if self.health.usability(self.now) == Usability::Preferred {
                self.health.on_sent_data(
                    self.now,
                    crate::WorkerId::default(),
                    self.next_seq,
                    1_000,
                );
                self.transmit(Packet::Data(self.next_seq));
                self.next_seq = self.next_seq.wrapping_add(1);
            }
        }
        if self.schedule.due(self.now, Some(self.link.rtt)) {
            let interval = self.schedule.interval();
            self.schedule.on_sent(self.now, REPORT_BYTES);
            let report = Packet::Report { highest: self.highest.unwrap_or(0), interval };
            match self.reports_over {
                ReportsOver::SamePath => self.transmit(report),
                ReportsOver::OtherPath => self.post(self.now + self.other_rtt / 2, report),
            }
        }
    }

    fn arrive(&mut self, packet: Packet) {
        match packet {
            Packet::Data(seq) => {
                self.highest = self.highest.max(Some(seq));
                self.schedule.on_received(self.now, self.traffic.map_or(0, |t| t.bytes));
            }
            Packet::Probe(token) => self.transmit(Packet::Echo(token)),
            Packet::Echo(token) => {
                self.health.on_echo(self.now, token);
            }
            Packet::Report { highest, interval } => {
                self.health.on_report(self.now, crate::WorkerId::default(), highest, interval);
            }
        }
    }

    /// What the glue does after each batch.
    fn settle(&mut self) {
        self.health.handle_timeout(self.now);
        while let Some(probe) = self.health.poll_probe(self.now) {
            self.probes.push(self.now);
            self.transmit(Packet::Probe(probe.token));
        }
        while let Some(change) = self.health.poll_change() {
            self.changes.push((self.now, change));
            let rank = self.health.usability(self.now);
            if self.ranks.last().is_none_or(|&(_, last)| last != rank) {
                self.ranks.push((self.now, rank));
            }
        }
        let told = self.ranks.last().map_or(Usability::No, |&(_, rank)| rank);
        assert_eq!(told, self.health.usability(self.now), "a rank changed without a word");
        if self.health.poll_large_loss() == Some(1_000) {
            self.large_losses.push(self.now);
        }
    }

    fn transmit(&mut self, packet: Packet) {
        let forward = matches!(packet, Packet::Data(_) | Packet::Probe(_));
        let dead = if forward { self.link.forward_dead } else { self.link.back_dead };
        let lost = self.uniform() < self.link.loss;
        let jitter = self.link.jitter.mul_f64(-(1.0 - self.uniform()).ln());
        if dead || lost || self.link.data_dead && matches!(packet, Packet::Data(_)) {
            return;
        }
        let last = &mut self.last_arrival[usize::from(forward)];
        let leaves = self.now.max(self.stalled_until);
        let arrival = (leaves + self.link.rtt / 2 + jitter).max(*last);
        *last = arrival;
        self.post(arrival, packet);
    }

    fn post(&mut self, arrival: Time, packet: Packet) {
        self.count += 1;
        self.in_flight.push(Reverse((arrival, self.count, packet)));
    }

    fn uniform(&mut self) -> f64 {
        (self.random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
    }
}

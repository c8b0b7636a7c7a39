//! What the demonstration showed.

use super::{DemoOptions, Seen};
use crate::emulator::{Direction, Fate, FrameRecord};
use crate::link::Cause;
use crate::stream::{Latency, StreamResult};
use crate::testbed::Testbed;
use mpt_core::Time;
use mpt_core::control::Status;
use serde::Serialize;
use std::fmt;

/// Share of what the bridges can carry, or of what was sent if that is less, that must arrive.
const GOAL_RATE: f64 = 0.97;
/// Seconds until the unplugged path is out of use.
const GOAL_OUT: f64 = 0.3;
/// Seconds until it is in use again.
const GOAL_BACK: f64 = 1.0;

/// What the demonstration showed. Times are in seconds from the stream's start, rates in bits a
/// second of UDP payload.
#[derive(Clone, Debug, Serialize)]
pub struct DemoReport {
    /// Bridges there were.
    pub paths: usize,
    /// What was sent.
    pub offered: f64,
    /// When bridge 1 was unplugged.
    pub unplugged_at: f64,
    /// When it came back.
    pub plugged_at: f64,
    /// All bridges, all but one, all again.
    pub phases: [Phase; 3],
    /// Packets sent.
    pub sent: u64,
    /// Packets received.
    pub received: u64,
    /// Packets lost.
    pub lost: u64,
    /// Data packets that were on bridge 1 when it was unplugged.
    pub in_flight_on_bridge: u64,
    /// Data packets given to bridge 1 while it was away.
    pub sent_into_the_dark: u64,
    /// Data packets dropped because a bridge was given more than it carries.
    pub dropped_at_full_queues: u64,
    /// Packets delivered out of order.
    pub out_of_order: u64,
    /// Packets delivered twice.
    pub duplicates: u64,
    /// Packets that were not as they were sent.
    pub corrupt: u64,
    /// Longest time without an arrival.
    pub longest_gap: f64,
    /// When that was.
    pub longest_gap_at: f64,
    /// From the unplugging to the last data packet given to bridge 1; nothing without a tunnel.
    pub out_of_use_after: Option<f64>,
    /// From the return to the first data packet that came over bridge 1.
    pub in_use_again_after: Option<f64>,
    /// From the unplugging until the sending daemon's status said so.
    pub status_out_of_use_after: Option<f64>,
    /// From the return until the sending daemon's status said so.
    pub status_in_use_again_after: Option<f64>,
    /// One-way latency, all phases.
    pub latency: Latency,
    /// The most the sending host was behind its own schedule: the machine was busy.
    pub sender_lag_max: f64,
    /// Packets the lab itself failed to carry; the other figures are not to be trusted when not 0.
    pub lab_missed: u64,
    /// What was to be shown, and whether it was.
    pub goals: Vec<Goal>,
    /// Everything about the stream.
    pub stream: StreamResult,
    /// What mpt sent again, and what became of it; of the stream's way.
    pub repair: Option<Repaired>,
    /// The sending daemon's last status.
    pub status: Option<Status>,
    /// The receiving daemon's.
    pub receiver_status: Option<Status>,
}

/// Packets that were sent again, and what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Repaired {
    /// Sent again because their path failed.
    pub rescued: u64,
    /// Sent again because they were lost.
    pub sent_again: u64,
    /// Came in time to be delivered in order.
    pub in_time: u64,
    /// Came after they had been given up.
    pub late: u64,
    /// Not sent again: too late, or too many.
    pub abandoned: u64,
    /// Came twice, and were removed.
    pub duplicates_removed: u64,
    /// Made again from parity.
    pub recovered: u64,
}

impl Repaired {
    fn of(sender: &Status, receiver: &Status) -> Self {
        let mut sum = Self::default();
        for peer in &sender.peers {
            sum.rescued += peer.repair.rescued;
            sum.sent_again += peer.repair.sent_again;
            sum.abandoned += peer.repair.abandoned;
        }
        for peer in &receiver.peers {
            sum.in_time += peer.reordering.repaired;
            sum.late += peer.reordering.repaired_late;
            sum.duplicates_removed += peer.copies.removed;
            sum.recovered += peer.copies.recovered;
        }
        sum
    }
}

/// A part of the demonstration.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Phase {
    /// Begin.
    pub from: f64,
    /// End.
    pub to: f64,
    /// Bridges there were.
    pub bridges: usize,
    /// What those can carry of this stream.
    pub capacity: f64,
    /// What arrived.
    pub rate: f64,
    /// What arrived as a share of what they can carry.
    pub share: f64,
    /// Packets delivered out of order.
    pub out_of_order: u64,
    /// Packets sent in this phase that were lost.
    pub lost: u64,
}

/// Something that was to be shown.
#[derive(Clone, Debug, Serialize)]
pub struct Goal {
    /// What.
    pub what: String,
    /// Whether it was.
    pub met: bool,
}

impl DemoReport {
    pub(super) fn new(options: &DemoOptions, testbed: &Testbed, seen: Seen) -> Self {
        let Seen { unplugged_at, plugged_at, stream, observation, receiver } = seen;
        let both = observation.last.as_ref().zip(receiver.as_ref());
        let repair = both.map(|(sender, receiver)| Repaired::of(sender, receiver));
        let after = |t: Time, origin: Time| t.since(origin).as_secs_f64();
        let phases = phases(options, &stream);
        let records: Vec<Vec<FrameRecord>> = (1..=options.paths)
            .map(|number| {
                let mut records = testbed.link(number).records(Direction::Forward);
                records.retain(|r| carries_data(options, r));
                records
            })
            .collect();
        let count = |fate: Fate| records.iter().flatten().filter(|r| r.fate == fate).count() as u64;
        let bridge = &records[0];
        let dark = unplugged_at..plugged_at;
        let last_in = bridge.iter().rfind(|r| dark.contains(&r.offered));
        let first_out = bridge
            .iter()
            .filter(|r| r.offered >= plugged_at)
            .find_map(|r| if let Fate::Delivered(at) = r.fate { Some(at) } else { None });
        let lab_missed = (1..=options.paths)
            .flat_map(|number| Direction::BOTH.map(|d| testbed.link(number).counters(d).missed))
            .sum::<u64>()
            + stream.receiver_dropped;
        let tunnel = !options.without_tunnel;
        let mut report = Self {
            paths: options.paths,
            offered: options.rate() as f64,
            unplugged_at: after(unplugged_at, stream.start),
            plugged_at: after(plugged_at, stream.start),
            phases,
            sent: stream.sent,
            received: stream.received,
            lost: stream.lost,
            in_flight_on_bridge: count(Fate::LostInFlight),
            sent_into_the_dark: count(Fate::Unplugged),
            dropped_at_full_queues: count(Fate::Dropped(Cause::Queue)),
            out_of_order: stream.out_of_order,
            duplicates: stream.duplicates,
            corrupt: stream.corrupt,
            longest_gap: stream.longest_gap,
            longest_gap_at: stream.longest_gap_at,
            // The path is out of use at once when nothing at all was given to it.
            out_of_use_after: tunnel
                .then(|| last_in.map_or(0.0, |r| after(r.offered, unplugged_at))),
            in_use_again_after: first_out.map(|at| after(at, plugged_at)),
            status_out_of_use_after: observation
                .first(false, unplugged_at)
                .map(|at| after(at, unplugged_at)),
            status_in_use_again_after: observation
                .first(true, plugged_at)
                .map(|at| after(at, plugged_at)),
            latency: stream.latency,
            sender_lag_max: stream.sender_lag_max,
            lab_missed,
            goals: Vec::new(),
            stream,
            repair,
            status: observation.last,
            receiver_status: receiver,
        };
        report.goals = report.judge();
        report
    }

    fn judge(&self) -> Vec<Goal> {
        let mut goals = Vec::new();
        let mut add = |what: String, met: bool| goals.push(Goal { what, met });
        for phase in [self.phases[0], self.phases[2]] {
            let possible = phase.capacity.min(self.offered);
            let percent = 100.0 * GOAL_RATE;
            add(
                format!("{:.1}–{:.1} s: at least {percent:.0} %", phase.from, phase.to),
                phase.rate >= GOAL_RATE * possible,
            );
        }
        add("nothing out of order".into(), self.out_of_order == 0);
        add("nothing twice, nothing damaged".into(), self.duplicates + self.corrupt == 0);
        if let Some(out) = self.out_of_use_after {
            add(format!("unplugged path out of use within {GOAL_OUT} s"), out <= GOAL_OUT);
        }
        add(
            format!("path in use again within {GOAL_BACK} s"),
            self.in_use_again_after.is_some_and(|t| t <= GOAL_BACK),
        );
        goals
    }
}

/// Before the unplugging, without bridge 1, and after its return; each leaves out the second in
/// which things change (of twelve).
fn phases(options: &DemoOptions, stream: &StreamResult) -> [Phase; 3] {
    let part = options.seconds / 12.0;
    let all = options.paths;
    [(1.0, 4.0, all), (5.0, 8.0, all - 1), (9.5, 12.0, all)].map(|(from, to, bridges)| {
        let (from, to) = (from * part, to * part);
        let capacity = options.capacity(bridges);
        let rate = stream.rate(from, to);
        Phase {
            from,
            to,
            bridges,
            capacity,
            rate,
            share: if capacity > 0.0 { rate / capacity } else { 0.0 },
            out_of_order: stream.out_of_order_between(from, to),
            lost: stream.lost_between(from, to),
        }
    })
}

/// Whether a packet on a bridge carries one of the stream, by its size: probes and reports are
/// smaller or, when they search for the MTU, larger.
fn carries_data(options: &DemoOptions, record: &FrameRecord) -> bool {
    let expected = options.packet_on_bridge();
    (expected - 8..=expected + 8).contains(&(record.bytes as usize))
}

impl fmt::Display for DemoReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        for phase in &self.phases {
            let Phase { from, to, rate, capacity, share, bridges, .. } = phase;
            let bridges = match bridges {
                1 => "1 bridge".to_owned(),
                n => format!("{n} bridges"),
            };
            writeln!(
                f,
                "{from:4.1}–{to:4.1} s  {:6.2} Mbit/s, {:5.1} % of the {:.2} that {bridges} can carry",
                rate / 1e6,
                share * 100.0,
                capacity / 1e6,
            )?;
        }
        writeln!(
            f,
            "packets      {} sent, {} received, {} lost, {} out of order, {} twice",
            self.sent, self.received, self.lost, self.out_of_order, self.duplicates
        )?;
        writeln!(
            f,
            "on bridges   {} in flight when bridge 1 was unplugged, {} sent into the dark, \
             {} too many for a queue",
            self.in_flight_on_bridge, self.sent_into_the_dark, self.dropped_at_full_queues
        )?;
        if let Some(r) = self.repair {
            writeln!(
                f,
                "sent again   {} rescued from a failed path, {} lost ones; {} came in time, {} late; {} abandoned",
                r.rescued, r.sent_again, r.in_time, r.late, r.abandoned
            )?;
            if r.duplicates_removed + r.recovered > 0 {
                writeln!(
                    f,
                    "copies       {} removed, {} packets made from parity",
                    r.duplicates_removed, r.recovered
                )?;
            }
        }
        let ms = |seconds: f64| seconds * 1e3;
        writeln!(
            f,
            "latency      {:.1} ms median, {:.1} ms 99th percentile, {:.1} ms most; longest gap \
             {:.1} ms, at {:.2} s",
            ms(self.latency.p50),
            ms(self.latency.p99),
            ms(self.latency.max),
            ms(self.longest_gap),
            self.longest_gap_at
        )?;
        let say = |t: Option<f64>| t.map_or("never".to_owned(), |t| format!("{:.0} ms", ms(t)));
        if let Some(out) = self.out_of_use_after {
            writeln!(
                f,
                "unplugged    out of use after {:.0} ms (status: {})",
                ms(out),
                say(self.status_out_of_use_after)
            )?;
        }
        writeln!(
            f,
            "back         in use again after {} (status: {})",
            say(self.in_use_again_after),
            say(self.status_in_use_again_after)
        )?;
        if self.lab_missed > 0 {
            writeln!(
                f,
                "The lab itself lost {} packets: this machine is too busy or too slow for these \
                 figures.",
                self.lab_missed
            )?;
        }
        writeln!(f)?;
        for Goal { what, met } in &self.goals {
            writeln!(f, "{} {what}", if *met { '✓' } else { '✗' })?;
        }
        Ok(())
    }
}

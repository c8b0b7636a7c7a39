//! What came of a row.

use super::Row;
use crate::measure::peer;
use crate::stream::StreamResult;
use anyhow::Result;
use mpt_core::Time;
use mpt_core::control::Status;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// What came of a row, beside its goal.
#[derive(Clone, Debug, Serialize)]
pub struct Outcome {
    /// The row's name.
    pub name: &'static str,
    /// Packets sent.
    pub sent: u64,
    /// Packets that did not arrive.
    pub lost: u64,
    /// Packets that came after a later one.
    pub out_of_order: u64,
    /// Packets that came twice.
    pub duplicates: u64,
    /// The longest time without an arrival, seconds.
    pub longest_gap: f64,
    /// One-way delay, seconds.
    pub p50: f64,
    /// The same.
    pub p99: f64,
    /// How often a link stopped working.
    pub failures: usize,
    /// Packets sent again because they were lost, at the sending end.
    pub sent_again: u64,
    /// Packets sent again because their path had failed.
    pub rescued: u64,
    /// Packets that were not sent again any more.
    pub abandoned: u64,
    /// Packets that arrived though they had been lost, and in time.
    pub repaired: u64,
    /// The same, but too late for their place.
    pub repaired_late: u64,
    /// Packets dropped at either end, by reason.
    pub drops: BTreeMap<String, u64>,
    /// When packets were sent that did not arrive: seconds after the last failure before, and how many.
    pub lost_after: Vec<(f64, u64)>,
    /// What is not as it should be.
    pub missed: Vec<String>,
}

impl Outcome {
    /// The columns.
    pub(super) const HEADING: &'static str = "                                 sent    lost  out of order  longest gap  delay p50    p99  sent again  rescued  abandoned";

    pub(super) fn new(
        name: &'static str,
        stream: &StreamResult,
        sender: &Status,
        receiver: &Status,
        failures: &[Time],
    ) -> Result<Self> {
        let repair = peer(sender)?.repair;
        let order = peer(receiver)?.reordering;
        Ok(Self {
            name,
            sent: stream.sent,
            lost: stream.lost,
            out_of_order: stream.out_of_order,
            duplicates: stream.duplicates,
            longest_gap: stream.longest_gap,
            p50: stream.latency.p50,
            p99: stream.latency.p99,
            failures: failures.len(),
            sent_again: repair.sent_again,
            rescued: repair.rescued,
            abandoned: repair.abandoned,
            repaired: order.repaired,
            repaired_late: order.repaired_late,
            drops: drops([sender, receiver]),
            lost_after: lost_after(stream, failures),
            missed: Vec::new(),
        })
    }

    /// This row's runs so far and one more: sums, and the worst.
    pub(super) fn and(mut self, other: Self) -> Self {
        self.sent += other.sent;
        self.lost += other.lost;
        self.out_of_order += other.out_of_order;
        self.duplicates += other.duplicates;
        self.longest_gap = self.longest_gap.max(other.longest_gap);
        self.p50 = self.p50.max(other.p50);
        self.p99 = self.p99.max(other.p99);
        self.failures += other.failures;
        self.sent_again += other.sent_again;
        self.rescued += other.rescued;
        self.abandoned += other.abandoned;
        self.repaired += other.repaired;
        self.repaired_late += other.repaired_late;
        for (reason, count) in other.drops {
            *self.drops.entry(reason).or_default() += count;
        }
        self.lost_after.extend(other.lost_after);
        self
    }

    /// Notes which goals were missed.
    pub(super) fn judge(&mut self, row: &Row) {
        let goal = row.goal;
        let part = |count: u64| count as f64 / self.sent.max(1) as f64;
        let mut missed = Vec::new();
        let mut check = |good: bool, what: String| {
            if !good {
                missed.push(what);
            }
        };
        check(part(self.lost) <= goal.lost, format!("{:.4} % lost at most", goal.lost * 100.0));
        check(
            part(self.out_of_order) <= goal.out_of_order,
            format!("{:.3} % out of order at most", goal.out_of_order * 100.0),
        );
        check(self.duplicates == 0, "nothing twice".to_owned());
        if let Some(gap) = goal.gap {
            check(self.longest_gap <= gap.as_secs_f64(), format!("a gap of {gap:?} at most"));
        }
        if let Some(p99) = goal.p99 {
            check(self.p99 <= p99.as_secs_f64(), format!("99 % within {p99:?}"));
        }
        self.missed = missed;
    }
}

fn drops(ends: [&Status; 2]) -> BTreeMap<String, u64> {
    let mut all = BTreeMap::new();
    for end in ends {
        for drop in end.drops.iter().chain(end.peers.iter().flat_map(|p| &p.drops)) {
            *all.entry(drop.reason.to_string()).or_default() += drop.count;
        }
    }
    all
}

fn lost_after(stream: &StreamResult, failures: &[Time]) -> Vec<(f64, u64)> {
    let at =
        |i: usize| stream.start + Duration::from_secs_f64(stream.bucket).saturating_mul(i as u32);
    let buckets = stream.timeline.iter().enumerate().filter(|(_, b)| b.arrived < b.sent);
    buckets
        .map(|(i, b)| {
            let end = at(i + 1);
            let failure = failures.iter().rev().find(|&&f| f <= end).copied();
            let after =
                at(i).as_micros() as f64 - failure.unwrap_or(stream.start).as_micros() as f64;
            (after / 1e6, b.sent - b.arrived)
        })
        .collect()
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.missed.is_empty() { '✓' } else { '✗' };
        let ms = |s: f64| format!("{:.1} ms", s * 1e3);
        write!(
            f,
            "{mark} {:28} {:7} {:7} {:13} {:>12} {:>10} {:>6} {:11} {:8} {:10}",
            self.name,
            self.sent,
            self.lost,
            self.out_of_order,
            ms(self.longest_gap),
            ms(self.p50),
            ms(self.p99),
            self.sent_again,
            self.rescued,
            self.abandoned
        )?;
        for goal in &self.missed {
            write!(f, "\n    goal: {goal}")?;
        }
        if !self.missed.is_empty() && self.lost > 0 {
            let reasons: Vec<String> = self.drops.iter().map(|(r, n)| format!("{r} {n}")).collect();
            write!(f, "\n    dropped at the ends: {}", reasons.join(", "))?;
            for (after, count) in self.lost_after.iter().take(10) {
                write!(
                    f,
                    "\n    {count} lost of those sent {:.0} ms after a failure",
                    after * 1e3
                )?;
            }
        }
        Ok(())
    }
}

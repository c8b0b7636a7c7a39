//! What measurements of a running tunnel share: what links can carry through it, and goals that are
//! printed with their figures and may be tried again on a busy machine.

use crate::emulator::{Direction, FrameRecord, LinkHandle};
use crate::testbed::Testbed;
use anyhow::{Context as _, Result};
use mpt_core::control::{PathStatus, PeerStatus, Status};
use std::time::Duration;

/// IPv4 and UDP headers, inner or outer.
const HEADERS: usize = 28;

/// Our header and the authentication tag.
const TUNNEL: usize = 36;

/// How often a measurement is tried.
const ATTEMPTS: usize = 3;

/// Bytes of the IPv4 packet on a link that carries `payload` bytes of a stream over IPv4.
#[must_use]
pub fn packet_on_link(payload: usize) -> usize {
    payload + HEADERS + TUNNEL + HEADERS
}

/// What links of `rate_bps` bits a second together carry of a stream's payload, through the tunnel.
#[must_use]
pub fn goodput(rate_bps: u64, payload: usize) -> f64 {
    rate_bps as f64 * payload as f64 / packet_on_link(payload) as f64
}

/// The records of those packets on a link, in one direction, that carry `payload` bytes of a stream:
/// probes and reports are smaller or, when they search for the MTU, larger.
#[must_use]
pub fn data_records(link: &LinkHandle, direction: Direction, payload: usize) -> Vec<FrameRecord> {
    let mut records = link.records(direction);
    records.retain(|r| r.bytes as usize == packet_on_link(payload));
    records
}

/// The smallest value that the share `q` of `values` does not exceed; sorts them.
///
/// # Panics
/// When there are none.
#[must_use]
pub fn quantile(values: &mut [Duration], q: f64) -> Duration {
    values.sort_unstable();
    let rank = (values.len() as f64 * q).ceil() as usize;
    values[rank.clamp(1, values.len()) - 1]
}

/// The only peer in `status`.
///
/// # Errors
/// When there is none.
pub fn peer(status: &Status) -> Result<&PeerStatus> {
    status.peers.first().context("no peer")
}

/// The statuses of the paths of a site of a pair, in the order of the links.
///
/// # Errors
/// When the daemon does not answer, or lacks a path.
pub fn paths(testbed: &mut Testbed, site: usize) -> Result<Vec<PathStatus>> {
    let count = testbed.link_count();
    let status = testbed.site_mut(site).daemon()?.status()?;
    let path = |number| {
        let name = format!("bridge{number}");
        let found = status.paths_named(&name).next().map(|(_, path)| path.clone());
        found.with_context(|| format!("no path {name}"))
    };
    (1..=count).map(path).collect()
}

/// What a measurement was to show, and whether it did.
#[derive(Debug, Default)]
pub struct Goals {
    missed: Vec<String>,
}

impl Goals {
    /// Prints a figure and notes whether it is as it should be.
    pub fn check(&mut self, met: bool, what: impl Into<String>) {
        let what = what.into();
        println!("  {} {what}", if met { '✓' } else { '✗' });
        if !met {
            self.missed.push(what);
        }
    }
}

/// Measures until all goals are met, up to three times: what else the machine does shows in latencies
/// and rates. What may not happen however busy it is, is to be asserted in `measure` itself.
///
/// # Panics
/// When goals were missed each time, or `measure` returned an error.
pub fn measure(name: &str, mut measure: impl FnMut(&mut Goals) -> Result<()>) {
    let mut goals = Goals::default();
    for attempt in 1..=ATTEMPTS {
        println!("{name}{}", if attempt > 1 { ", again" } else { "" });
        goals = Goals::default();
        measure(&mut goals).unwrap_or_else(|error| panic!("{name}: {error:#}"));
        if goals.missed.is_empty() {
            return;
        }
    }
    panic!("{name}: missed {ATTEMPTS} times, at last:\n{}", goals.missed.join("\n"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_ranks() {
        let mut values: Vec<_> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(quantile(&mut values, 0.99), Duration::from_millis(99));
        assert_eq!(quantile(&mut values, 1.0), Duration::from_millis(100));
        assert_eq!(quantile(&mut values[..1], 0.5), Duration::from_millis(1));
    }

    #[test]
    fn a_goal_met_at_last_is_met() {
        let mut runs = 0;
        measure("third time lucky", |goals| {
            runs += 1;
            goals.check(runs == 3, "three");
            Ok(())
        });
        assert_eq!(runs, 3);
    }

    #[test]
    #[should_panic(expected = "missed 3 times, at last:\nnever")]
    fn a_goal_never_met_is_told() {
        measure("never", |goals| {
            goals.check(false, "never");
            Ok(())
        });
    }
}

//! The rows.

use super::{Accident, FailuresOptions};
use crate::link::{BurstLoss, LinkProfile, QueueLimit};
use crate::testbed::LinkSpec;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

/// A stream with one failure.
const ONE_FAILURE: Duration = Duration::from_secs(6);

/// What a row has to show.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Goal {
    /// Share of packets that may be lost.
    pub lost: f64,
    /// Share of packets that may come out of order.
    pub out_of_order: f64,
    /// The longest time without an arrival.
    pub gap: Option<Duration>,
    /// The 99th percentile of the one-way delay.
    pub p99: Option<Duration>,
}

impl Goal {
    const NOTHING: Self = Self { lost: 0.0, out_of_order: 0.0, gap: None, p99: None };
}

/// A stream, the links it goes over, and what happens to them.
#[derive(Clone, Debug)]
pub struct Row {
    /// What it is called.
    pub name: &'static str,
    /// The links.
    pub links: Vec<LinkSpec>,
    /// The stream's part of what all links carry after headers.
    pub share: f64,
    /// How long it lasts.
    pub duration: Duration,
    /// What happens.
    pub accident: Accident,
    /// What it has to show.
    pub goal: Goal,
    /// How many times it is run, each time with a tunnel that knows of no failures before: a path that failed
    /// often is left alone for longer.
    pub times: u32,
    /// Decides the accidents.
    pub seed: u64,
}

impl Row {
    /// What each link carries, bits a second.
    #[must_use]
    pub fn rates(&self) -> Vec<u64> {
        self.links.iter().filter_map(|link| link.profile?.rate_bps).collect()
    }
}

/// A FIFO link.
fn bridge(mbit: u64, delay: u32) -> LinkProfile {
    LinkProfile {
        rate_bps: Some(mbit * 1_000_000),
        delay: MS * delay,
        queue: QueueLimit::Time(MS * 100),
        ..Default::default()
    }
}

/// A link whose jitter reorders, and that loses.
fn radio(mbit: u64, delay: u32, jitter: u32, loss: f64) -> LinkProfile {
    LinkProfile { jitter: MS * jitter, reorder: true, loss, ..bridge(mbit, delay) }
}

/// Name, links, share, duration, accident, goal.
type Line = (&'static str, [LinkProfile; 2], f64, Duration, Accident, Goal);

/// All rows.
#[must_use]
pub fn rows(options: &FailuresOptions) -> Vec<Row> {
    let long = S * options.seconds as u32;
    let two = |profile: LinkProfile| [bridge(20, 10), profile];
    let lossy = Goal { p99: Some(MS * 10 + MS * 30), ..Goal::NOTHING };
    let table: [Line; 8] = [
        (
            "a path swallows everything",
            [bridge(20, 3); 2],
            0.45,
            ONE_FAILURE,
            Accident::Blackhole { away: S * 3 / 2, every: S * 4 },
            Goal { gap: Some(MS * 150), ..Goal::NOTHING },
        ),
        (
            "its interface is taken down",
            [bridge(20, 3); 2],
            0.45,
            ONE_FAILURE,
            Accident::InterfaceDown { away: S * 3 / 2, every: S * 4 },
            Goal { gap: Some(MS * 30), ..Goal::NOTHING },
        ),
        (
            "paths flap in turn",
            [bridge(20, 3); 2],
            0.45,
            long,
            Accident::Flapping { away: S * 2, both: S },
            Goal::NOTHING,
        ),
        (
            "1 % loss on one path",
            two(LinkProfile { loss: 0.01, ..bridge(20, 10) }),
            0.6,
            long,
            Accident::Nothing,
            lossy,
        ),
        (
            "5 % loss on one path",
            two(LinkProfile { loss: 0.05, ..bridge(20, 10) }),
            0.6,
            long,
            Accident::Nothing,
            lossy,
        ),
        (
            "bursts of 10 on one path",
            two(LinkProfile {
                burst: Some(BurstLoss { mean_length: 10.0, loss: 0.01 }),
                ..bridge(20, 10)
            }),
            0.6,
            long,
            Accident::Nothing,
            lossy,
        ),
        (
            "two LTE links (dual_lte)",
            [radio(40, 30, 5, 0.005), radio(25, 45, 8, 0.005)],
            0.8,
            long,
            Accident::Nothing,
            Goal { lost: 1e-5, out_of_order: 1e-4, gap: None, p99: None },
        ),
        (
            "two bad links (congested)",
            [radio(20, 50, 20, 0.02), radio(15, 60, 25, 0.02)],
            0.8,
            long,
            Accident::Nothing,
            Goal { lost: 1e-3, out_of_order: 1e-3, gap: None, p99: None },
        ),
    ];
    table
        .into_iter()
        .map(|(name, links, share, duration, accident, goal)| Row {
            name,
            links: links.map(spec).to_vec(),
            share,
            duration,
            accident,
            goal,
            times: if duration == ONE_FAILURE { options.times } else { 1 },
            seed: options.seed,
        })
        .collect()
}

/// Weights as the rates.
fn spec(profile: LinkProfile) -> LinkSpec {
    let mbit = profile.rate_bps.unwrap_or_default() / 1_000_000;
    LinkSpec::emulated(profile).weight(u16::try_from(mbit).unwrap_or(u16::MAX).max(1))
}

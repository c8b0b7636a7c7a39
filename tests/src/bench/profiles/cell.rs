//! One measurement: a traffic over a carrier in a profile's network.

use super::carrier::Carrier;
use super::figure::Figure;
use super::network::{Ends, Network};
use super::options::ProfilesOptions;
use super::quic::QuicFlow;
use super::tcp::TcpFlow;
use super::traffic::{Bulk, Traffic, Transport};
use super::window::Window;
use crate::bench::check_interrupt;
use crate::bench::process::POLL;
use crate::measure;
use crate::sim::profiles::Profile;
use crate::stream::{Stream, StreamConfig, StreamResult};
use anyhow::{Context as _, Result, ensure};
use socket2::Protocol;
use std::time::Duration;

/// Payload of the constant stream's packets.
const STEADY_BYTES: usize = 1_200;

/// Its share of what the links carry.
const STEADY_SHARE: f64 = 0.8;

/// Payload of a call's packets, and how many there are a second.
const CALL: (usize, u64) = (160, 50);

/// Where what we send goes to.
const STEADY_PORT: u16 = 5_006;
const CALL_PORT: u16 = 5_004;

/// How long stragglers are waited for: the longest delay, queue and hold time.
const LINGER: Duration = Duration::from_millis(1_500);

/// How late a packet of ours may be sent, seconds: after that the machine was elsewhere.
const LAG: f64 = 0.25;

/// What a measurement found.
pub(super) type Samples = Vec<(Figure, f64)>;

/// What is measured.
pub(super) struct Cell<'a> {
    pub(super) profile: &'a Profile,
    pub(super) traffic: Traffic,
    pub(super) carrier: &'a Carrier,
}

impl Cell<'_> {
    /// Builds its network, measures, and takes it down.
    pub(super) fn measure(&self, options: &ProfilesOptions, round: u32) -> Result<Samples> {
        let seed = options.seed + u64::from(round) - 1;
        let mut network = Network::start(self.profile, self.carrier, seed)?;
        let window = Window::begin(Duration::from_secs_f64(options.seconds), options.warm_up());
        let mut samples = match self.traffic.bulk(options.beside) {
            None => self.steady(&network.ends(), window)?,
            Some(bulk) => {
                let ends = network.ends();
                let flow = self.bulk(&ends, bulk, window)?;
                let call = match self.traffic {
                    Traffic::Call => Some(stream(&ends, CALL_PORT, CALL.0, call_rate(), window)?),
                    _ => None,
                };
                // The flow ends first; then the last packets of the call are waited for.
                let mut samples = flow.finish()?;
                if let Some(call) = call {
                    samples.extend(figures(finish(call)?, window)?);
                }
                samples
            }
        };
        network.check()?;
        samples.push((Figure::LostOnLinks, network.lost_on_links()));
        samples.retain(|(figure, _)| self.traffic.figures().contains(figure));
        Ok(samples)
    }

    fn bulk(&self, ends: &Ends<'_>, bulk: Bulk, window: Window) -> Result<Flow> {
        let protocol = match self.carrier {
            Carrier::Mptcp => Protocol::MPTCP,
            _ => Protocol::TCP,
        };
        Ok(match bulk.transport {
            Transport::Quic => Flow::Quic(QuicFlow::start(ends, bulk.control, window)?),
            Transport::Tcp => Flow::Tcp(TcpFlow::start(ends, protocol, bulk.control, window)?),
        })
    }

    /// A constant stream.
    fn steady(&self, ends: &Ends<'_>, window: Window) -> Result<Samples> {
        let links = self.carrier.links().iter();
        let rate: u64 = links.filter_map(|&link| self.profile.links[link].rate_bps).sum();
        let rate = (measure::goodput(rate, STEADY_BYTES) * STEADY_SHARE) as u64;
        figures(finish(stream(ends, STEADY_PORT, STEADY_BYTES, rate, window)?)?, window)
    }
}

fn call_rate() -> u64 {
    CALL.0 as u64 * 8 * CALL.1
}

/// A bulk flow under way.
enum Flow {
    Quic(QuicFlow),
    Tcp(TcpFlow),
}

impl Flow {
    fn finish(self) -> Result<Samples> {
        Ok(match self {
            Self::Quic(flow) => {
                let achieved = flow.finish()?;
                vec![
                    (Figure::Goodput, achieved.goodput),
                    (Figure::TakenForLost, achieved.taken_for_lost),
                ]
            }
            Self::Tcp(flow) => vec![(Figure::Goodput, flow.finish()?)],
        })
    }
}

fn stream(ends: &Ends<'_>, port: u16, size: usize, rate: u64, window: Window) -> Result<Stream> {
    let config = StreamConfig {
        size,
        duration: window.left(),
        linger: LINGER,
        record: true,
        ..StreamConfig::new(ends.destination(port), rate)
    };
    Stream::start(ends.from, ends.to, &config)
}

/// Waits for its end; looks out for Ctrl-C meanwhile.
fn finish(stream: Stream) -> Result<StreamResult> {
    while !stream.is_finished() {
        if let Err(interrupted) = check_interrupt() {
            stream.stop();
            return Err(interrupted);
        }
        std::thread::sleep(POLL);
    }
    Ok(stream.finish())
}

/// What became of the packets that were sent while it counted.
fn figures(result: StreamResult, window: Window) -> Result<Samples> {
    ensure!(result.corrupt == 0, "{} packets came changed", result.corrupt);
    ensure!(
        result.receiver_dropped == 0,
        "the lab's own socket dropped {} packets",
        result.receiver_dropped
    );
    ensure!(
        result.sender_lag_max < LAG,
        "the lab's own sender waited {:.1} s for the CPU",
        result.sender_lag_max
    );
    // In whole buckets, by when packets were sent.
    let first = (window.counts.since(result.start).as_secs_f64() / result.bucket).ceil() as usize;
    let buckets = result.timeline.get(first..).context("nothing was sent")?;
    let sent: u64 = buckets.iter().map(|bucket| bucket.sent).sum();
    let arrived: u64 = buckets.iter().map(|bucket| bucket.arrived).sum();
    let counts = result.start + Duration::from_secs_f64(first as f64 * result.bucket);
    let mut next = 0;
    let (mut late, mut delays) = (0u64, Vec::new());
    for arrival in &result.arrivals {
        if arrival.sent >= counts {
            late += u64::from(arrival.sequence < next);
            delays.push(arrival.at.since(arrival.sent));
        }
        next = next.max(arrival.sequence + 1);
    }
    ensure!(sent > 0 && !delays.is_empty(), "nothing arrived of {sent} packets");
    Ok(vec![
        (Figure::Loss, sent.saturating_sub(arrived) as f64 / sent as f64),
        (Figure::OutOfOrder, late as f64 / delays.len() as f64),
        (Figure::DelayP50, measure::quantile(&mut delays, 0.5).as_secs_f64()),
        (Figure::DelayP99, measure::quantile(&mut delays, 0.99).as_secs_f64()),
    ])
}

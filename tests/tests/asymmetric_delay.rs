//! Paths of different delay, with jitter and with losses. Needs root or user namespaces.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_lab::emulator::Direction;
use mpt_lab::link::LinkProfile;
use mpt_lab::measure::{data_records, goodput, measure, peer, quantile};
use mpt_lab::stream::{Arrival, Stream, StreamConfig, StreamResult};
use mpt_lab::testbed::{LinkSpec, Testbed};
use serde_json::{Value, json};
use std::time::Duration;

mpt_lab::kernel_tests!();

const PROGRAM: &str = env!("CARGO_BIN_EXE_mpt-lab");
const MS: Duration = Duration::from_millis(1);
const RATE: u64 = 20_000_000;

fn profile(delay: Duration, jitter: Duration, reorder: bool) -> LinkProfile {
    LinkProfile { rate_bps: Some(RATE), delay, jitter, reorder, ..LinkProfile::default() }
}

/// 32 flows at 80 % load over links of these profiles, the first forward from a to b; also the
/// status of the receiver and each link's own 99th percentile.
fn run(
    links: &[LinkProfile],
    duration: Duration,
    seed: u64,
) -> anyhow::Result<(StreamResult, mpt_core::control::PeerStatus, Vec<Duration>)> {
    let specs = links.iter().map(|&link| LinkSpec::emulated(link));
    // What order alone does: with repair nothing would be lost, and nobody would be seen to wait for it.
    let off = |yaml: &mut Value| yaml["repair"] = json!("off");
    let builder = Testbed::builder(PROGRAM).links(specs).seed(seed);
    let mut testbed = builder.configure(0, off).configure(1, off).build()?;
    testbed.start(Duration::from_secs(10))?;
    (1..=links.len()).for_each(|number| testbed.link(number).record());
    let config = StreamConfig::new(testbed.b().host_port(5000), 1);
    let config = StreamConfig {
        rate_bps: (goodput(RATE * links.len() as u64, config.size) * 0.8) as u64,
        flows: 32,
        duration,
        record: true,
        seed,
        ..config
    };
    let result = Stream::run(testbed.a().host(), testbed.b().host(), &config)?;
    let status = testbed.site_mut(1).daemon()?.status()?;
    let own = (1..=links.len()).map(|number| {
        let records = data_records(testbed.link(number), Direction::Forward, config.size);
        let mut latencies: Vec<_> = records.iter().filter_map(|r| r.latency()).collect();
        quantile(&mut latencies, 0.99)
    });
    let own = own.collect();
    for number in 1..=links.len() {
        let counters = testbed.link(number).counters(Direction::Forward);
        assert_eq!(counters.missed, 0, "the emulator lost frames: {counters:?}");
    }
    assert_eq!((result.duplicates, result.corrupt, result.receiver_dropped), (0, 0, 0));
    Ok((result, peer(&status)?.clone(), own))
}

fn ms(seconds: f64) -> String {
    format!("{:.1} ms", seconds * 1e3)
}

/// 5 and 25 ms with this jitter: at most this share out of order after two seconds.
fn unequal(name: &str, jitter: Duration, reorder: bool, out_of_order: f64) {
    measure(name, |goals| {
        let links = [5, 25].map(|delay| profile(MS * delay, jitter, reorder));
        let (result, peer, own) = run(&links, Duration::from_secs(10), 1)?;
        let late = result.out_of_order_between(2.0, 20.0);
        let share = late as f64 / result.received as f64;
        println!(
            "  {} packets, {} lost, {}+{late} out of order, own p99 {own:?}, hold p99 {}",
            result.sent,
            result.lost,
            result.out_of_order - late,
            ms(peer.reordering.hold_p99)
        );
        println!("  {:?}", peer.reordering);
        if out_of_order == 0.0 {
            assert_eq!(result.out_of_order, 0, "on FIFO links");
        }
        goals.check(share <= out_of_order, format!("{:.4} % out of order after 2 s", share * 1e2));
        let slowest = own.into_iter().max().unwrap_or_default().as_secs_f64();
        goals.check(
            result.latency.p99 <= slowest + 0.002,
            format!("p99 {}, the slower path's own {}", ms(result.latency.p99), ms(slowest)),
        );
        goals.check(result.lost == 0, format!("{} lost", result.lost));
        Ok(())
    });
}

#[test]
fn links_without_jitter() {
    unequal("5 and 25 ms", Duration::ZERO, false, 0.0);
}

#[test]
fn links_with_jitter_that_stay_in_order() {
    unequal("5 and 25 ms, jitter 5 ms, FIFO", MS * 5, false, 0.0);
}

#[test]
fn links_with_jitter_that_reorder() {
    unequal("5 and 25 ms, jitter 5 ms, reordering", MS * 5, true, 0.0001);
}

/// The latencies of packets that came within `after` of a loss in their own flow, and of all others.
fn by_own_loss(arrivals: &[Arrival], flows: u32, after: Duration) -> [Vec<Duration>; 2] {
    let mut latencies = [Vec::new(), Vec::new()];
    for flow in 0..flows {
        let mut own: Vec<_> = arrivals.iter().filter(|a| a.flow == flow).collect();
        own.sort_unstable_by_key(|a| a.sequence);
        let mut lost_at = None;
        for pair in own.windows(2) {
            if pair[1].sequence > pair[0].sequence + 1 {
                // It was sent after the one before it.
                lost_at = Some(pair[0].sent);
            }
            let own_loss = lost_at.is_some_and(|at| pair[1].sent.since(at) <= after);
            latencies[usize::from(!own_loss)].push(pair[1].at.since(pair[1].sent));
        }
    }
    latencies
}

#[test]
fn a_lost_packet_delays_only_its_own_flow() {
    measure("15 ms, jitter 5 ms, reordering, 1 % loss on one link", |goals| {
        let link = profile(MS * 15, MS * 5, true);
        let lossy = LinkProfile { loss: 0.01, ..link };
        // A loss is known when nothing overtakes by that much any more, 20 to 30 ms later here.
        let whole = Duration::from_millis(150);
        let (clean, ..) = run(&[link, link], Duration::from_secs(6), 2)?;
        let (result, peer, _) = run(&[lossy, link], Duration::from_secs(6), 2)?;
        let [mut own, mut others] = by_own_loss(&result.arrivals, 32, whole);
        // Just behind the loss, to show that there is something to see.
        let [mut behind, _] = by_own_loss(&result.arrivals, 32, MS * 12);
        let [_, mut clean] = by_own_loss(&clean.arrivals, 32, whole);
        println!("  {} lost of {}, {} out of order", result.lost, result.sent, result.out_of_order);
        println!("  {:?}", peer.reordering);
        for q in [0.5, 0.9, 0.99, 0.999] {
            let [own, behind, others, clean] =
                [&mut own, &mut behind, &mut others, &mut clean].map(|l| quantile(l, q));
            println!(
                "  p{}: other flows {others:?}, without loss {clean:?}, own flow {own:?}, just behind {behind:?}",
                q * 100.0
            );
            if q < 0.999 {
                goals.check(others <= clean + MS * 2, "other flows as without loss");
            }
        }
        let (behind, others) = (quantile(&mut behind, 0.5), quantile(&mut others, 0.5));
        goals.check(behind > others + MS * 5, "the own flow waits");
        Ok(())
    });
}

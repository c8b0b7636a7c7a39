//! Paths that idle and open again all the time, and paths without any limit. Needs root or user
//! namespaces.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_lab::link::LinkProfile;
use mpt_lab::measure::{goodput, measure, paths, peer};
use mpt_lab::stream::{Stream, StreamConfig};
use mpt_lab::testbed::{LinkSpec, Testbed};
use std::time::Duration;

mpt_lab::kernel_tests!();

const PROGRAM: &str = env!("CARGO_BIN_EXE_mpt-lab");
const UP: Duration = Duration::from_secs(10);
const MS: Duration = Duration::from_millis(1);
const RATE: u64 = 20_000_000;

/// 5 and 25 ms, with jitter on FIFO links; `load` of what they carry while it is on.
fn sparse(name: &str, load: f64, flows: u32, pattern: Option<(Duration, Duration)>) {
    measure(name, |goals| {
        let links = [5, 25].map(|delay| {
            LinkSpec::emulated(LinkProfile {
                rate_bps: Some(RATE),
                delay: MS * delay,
                jitter: MS * 5,
                ..LinkProfile::default()
            })
        });
        let mut testbed = Testbed::builder(PROGRAM).links(links).build()?;
        testbed.start(UP)?;
        let config = StreamConfig::new(testbed.b().host_port(5000), 1);
        let config = StreamConfig {
            rate_bps: (goodput(2 * RATE, config.size) * load) as u64,
            flows,
            pattern,
            duration: Duration::from_secs(8),
            ..config
        };
        let before = paths(&mut testbed, 0)?;
        let result = Stream::run(testbed.a().host(), testbed.b().host(), &config)?;
        let after = paths(&mut testbed, 0)?;
        let status = testbed.site_mut(1).daemon()?.status()?;
        // Markers, reports, probes; markers are the most by far when paths close all the time.
        let control: u64 = after
            .iter()
            .zip(&before)
            .map(|(a, b)| (a.tx_packets - a.tx_data_packets) - (b.tx_packets - b.tx_data_packets))
            .sum();
        println!("  {} packets, {} lost, {control} of control", result.sent, result.lost);
        println!("  {:?}", peer(&status)?.reordering);
        goals.check(control > 8 * 2 * 10, "paths closed all the time");
        goals.check(result.lost == 0, format!("{} lost", result.lost));
        println!("  {} out of order", result.out_of_order);
        assert_eq!((result.out_of_order, result.duplicates), (0, 0));
        Ok(())
    });
}

#[test]
fn a_trickle_in_one_flow() {
    sparse("5 % load, one flow", 0.05, 1, None);
}

#[test]
fn bursts_in_many_flows() {
    sparse("20 % load for 20 ms, then 60 ms nothing, 8 flows", 0.2, 8, Some((MS * 20, MS * 60)));
}

#[test]
fn two_paths_without_limits_stay_in_order() {
    measure("two plain paths", |goals| {
        let mut testbed = Testbed::builder(PROGRAM).links([LinkSpec::plain(); 2]).build()?;
        testbed.start(UP)?;
        for (port, flows, mbit) in [(5000, 1, 100), (5001, 32, 100), (5002, 1, 200)] {
            let config = StreamConfig {
                flows,
                duration: Duration::from_secs(3),
                ..StreamConfig::new(testbed.b().host_port(port), mbit * 1_000_000)
            };
            let result = Stream::run(testbed.a().host(), testbed.b().host(), &config)?;
            let rate = result.rate(0.5, 2.9) / 1e6;
            println!(
                "  {flows} flows, {} packets, {} lost, {} refused, {} dropped by the receiver, sender late by {:.1} ms",
                result.sent,
                result.lost,
                result.refused,
                result.receiver_dropped,
                result.sender_lag_max * 1e3
            );
            println!(
                "  {} out of order, p99 {:.2} ms",
                result.out_of_order,
                result.latency.p99 * 1e3
            );
            assert_eq!((result.out_of_order, result.duplicates), (0, 0));
            // The rate is the CPU's matter, and that is shared with who knows what.
            goals.check(rate > 80.0, format!("{rate:.1} Mbit/s of {mbit}"));
        }
        let status = testbed.site_mut(1).daemon()?.status()?;
        println!("  {:?}", peer(&status)?.reordering);
        Ok(())
    });
}

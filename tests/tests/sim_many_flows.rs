//! Many flows, each of which is small: cameras, an office's calls, users of a VPN. Together they fill more than the fastest path.
//! Whole endpoints in virtual time.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_lab::link::{LinkProfile, QueueLimit};
use mpt_lab::sim::profiles::{Profile, Tunnel, world};
use mpt_lab::sim::sweep::sweep;
use mpt_lab::sim::world::Traffic;
use std::time::Duration;

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

fn link(mbit: u64, ms: u32) -> LinkProfile {
    LinkProfile {
        rate_bps: Some(mbit * 1_000_000),
        delay: ms * MS,
        queue: QueueLimit::Time(100 * MS),
        ..Default::default()
    }
}

/// `flows` of `bytes` and together so many Mbit/s, from their start; the share that is lost.
fn run(links: [LinkProfile; 2], flows: u16, bytes: usize, mbit: f64, seed: u64) -> f64 {
    let mut w = world(&Profile { name: "many", links }, Tunnel::Adaptive, seed);
    let traffic = Traffic { flows, bytes, even: true, ..Traffic::new(0, 1, mbit * 1e6) };
    let s = w.stream(traffic);
    w.run(8 * S);
    w.stop_streams();
    w.run(S);
    let s = &w.streams[s];
    let lost = s.missing() as f64 / s.sent as f64;
    println!(
        "{flows} flows of {bytes} B, {mbit} Mbit/s: lost {:.2} %, {} out of order, p50 {} p99 {} ms; {:?}",
        lost * 100.0,
        s.out_of_order,
        s.delays.value_at_quantile(0.5) / 1_000,
        s.delays.value_at_quantile(0.99) / 1_000,
        w.ends[0]
            .peer(w.now)
            .paths
            .iter()
            .map(|p| (p.tx_data_bytes >> 10, p.rate_limit.map(|r| (r * 8e-6) as u32)))
            .collect::<Vec<_>>(),
    );
    assert_eq!(s.out_of_order, 0);
    lost
}

#[test]
fn what_one_path_cannot_take_goes_by_the_other() {
    sweep("many flows", 3, |seed| {
        for (flows, bytes) in [(30, 1_000), (60, 160), (12, 1_000), (4, 1_000)] {
            let mbit = if bytes == 160 { 15.0 } else { 24.0 };
            let lost = run([link(20, 15), link(10, 30)], flows, bytes, mbit, seed);
            assert!(lost < 0.005, "{flows} flows: {lost}");
        }
        let lost = run([link(2, 20), link(2, 30)], 30, 160, 2.38, seed);
        assert!(lost < 0.005, "slow links: {lost}");
    });
}

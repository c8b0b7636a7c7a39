//! What the daemon takes of memory. Needs root or user namespaces.
//!
//! The daemon measured is `mpt-lab internal-tund`: the same library as `mpt-tund`, in a larger file.
//! `MPT_LAB_PROGRAM=target/release/mpt-lab` measures another build of it.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use anyhow::Result;
use mpt_lab::link::{LinkProfile, QueueLimit};
use mpt_lab::measure::{measure, peer};
use mpt_lab::netns::Namespace;
use mpt_lab::stream::{Stream, StreamConfig};
use mpt_lab::testbed::{LinkSpec, PORT, Testbed, TestbedBuilder};
use serde_json::json;
use std::ffi::OsString;
use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

mpt_lab::kernel_tests!();

const UP: Duration = Duration::from_secs(10);
const MS: Duration = Duration::from_millis(1);
const MIB: f64 = 1048576.0;

/// Resident bytes when idle with two paths.
const IDLE: f64 = 12e6;
/// What may be held for one peer.
const HELD: u64 = 4 << 20;
/// What load may add: held packets with some slack, a ring of 65 536 slots of 24 bytes with the one it
/// replaces while it grows, and batches.
const GROWTH: f64 = 12.0 * MIB;

fn program() -> OsString {
    std::env::var_os("MPT_LAB_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_mpt-lab").into())
}

fn resident(testbed: &mut Testbed, site: usize) -> Result<f64> {
    Ok(testbed.site_mut(site).daemon()?.resident_bytes()? as f64)
}

/// As on a router.
fn capped(builder: TestbedBuilder) -> TestbedBuilder {
    (0..2).fold(builder, |b, site| b.configure(site, |yaml| yaml["hold_memory"] = json!("4MiB")))
}

fn fast(delay: u32) -> LinkSpec {
    LinkSpec::emulated(LinkProfile {
        rate_bps: Some(200_000_000),
        delay: MS * delay,
        queue: QueueLimit::Time(MS * 100),
        ..LinkProfile::default()
    })
}

#[test]
fn an_idle_daemon_is_small() {
    let link = LinkSpec::new(20_000_000, MS * 3);
    let mut testbed = Testbed::builder(program()).links([link; 2]).build().unwrap();
    testbed.start(UP).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    for site in 0..2 {
        let fresh = resident(&mut testbed, site).unwrap();
        let pid = testbed.site_mut(site).daemon().unwrap().pid();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let parts: Vec<&str> =
            status.lines().filter(|l| l.starts_with("Rss") || l.starts_with("VmHWM")).collect();
        println!("site {site}: {:.1} MB resident, {parts:?}", fresh / 1e6);
        assert!(fresh < IDLE, "{fresh} bytes resident");
    }
    let config = StreamConfig::new(testbed.b().host_port(5000), 30_000_000);
    let config = StreamConfig { duration: Duration::from_secs(2), ..config };
    let result = Stream::run(testbed.a().host(), testbed.b().host(), &config).unwrap();
    std::thread::sleep(Duration::from_secs(2));
    for site in 0..2 {
        let after = resident(&mut testbed, site).unwrap();
        println!("site {site}: {:.1} MB after {} packets", after / 1e6, result.received);
        assert!(after < IDLE, "{after} bytes resident after traffic");
    }
}

#[test]
fn a_stalled_path_does_not_fill_memory() {
    measure("one of two fast paths stalls again and again", |goals| {
        let mut testbed = capped(Testbed::builder(program()).links([fast(3); 2])).build()?;
        testbed.start(UP)?;
        let idle = resident(&mut testbed, 1)?;
        let config = StreamConfig {
            flows: 32,
            duration: Duration::from_secs(6),
            ..StreamConfig::new(testbed.b().host_port(5000), 120_000_000)
        };
        let stream = Stream::start(testbed.a().host(), testbed.b().host(), &config)?;
        let mut most = [0.0f64; 2];
        let mut round = 0;
        while !stream.is_finished() {
            // Dark for 100 ms every 500 ms: too short to be noticed but by those who wait.
            testbed.link(1).blackhole(round % 5 == 1);
            round += 1;
            std::thread::sleep(MS * 100);
            for (site, most) in most.iter_mut().enumerate() {
                *most = most.max(resident(&mut testbed, site)?);
            }
        }
        let result = stream.finish();
        let status = testbed.site_mut(1).daemon()?.status()?;
        let reordering = peer(&status)?.reordering;
        println!("  {} lost of {}, {reordering:?}", result.lost, result.sent);
        println!(
            "  {:.1} MB idle, {:.1} and {:.1} at most",
            idle / 1e6,
            most[0] / 1e6,
            most[1] / 1e6
        );
        assert_eq!((result.out_of_order, result.duplicates), (0, 0));
        assert!(reordering.held_bytes_peak <= HELD, "{reordering:?}");
        goals.check(reordering.held_bytes_peak > 50_000, "something was held");
        assert!(most[1] <= idle + GROWTH, "{idle} bytes grew to {}", most[1]);
        assert!(most[0] <= idle + GROWTH, "{idle} bytes grew to {}", most[0]);
        Ok(())
    });
}

#[test]
fn a_peer_that_floods_does_not_fill_memory() {
    measure("a flood over paths of 3 and 450 ms", |goals| {
        // Everything that comes over the first waits for the second: 130 Mbit/s for 450 ms is more
        // than may be held.
        let links = [fast(3).weight(9), fast(450)];
        let mut testbed = capped(Testbed::builder(program()).links(links)).build()?;
        testbed.start(UP)?;
        let idle = resident(&mut testbed, 1)?;
        let config = StreamConfig {
            flows: 256,
            duration: Duration::from_secs(5),
            ..StreamConfig::new(testbed.b().host_port(5000), 160_000_000)
        };
        let stream = Stream::start(testbed.a().host(), testbed.b().host(), &config)?;
        let mut most = 0.0f64;
        while !stream.is_finished() {
            std::thread::sleep(MS * 50);
            most = most.max(resident(&mut testbed, 1)?);
        }
        let result = stream.finish();
        let reordering = peer(&testbed.site_mut(1).daemon()?.status()?)?.reordering;
        println!("  {} lost of {}, {} out of order", result.lost, result.sent, result.out_of_order);
        println!("  {reordering:?}");
        println!("  {:.1} MB idle, {:.1} at most", idle / 1e6, most / 1e6);
        goals.check(
            reordering.released_full > 0 && reordering.held_bytes_peak > HELD - (64 << 10),
            "the cap was reached",
        );
        assert!(reordering.held_bytes_peak <= HELD, "{reordering:?}");
        assert!(most <= idle + GROWTH, "{idle} bytes grew to {most}");
        std::thread::sleep(Duration::from_secs(2));
        println!("  {:.1} MB afterwards", resident(&mut testbed, 1)? / 1e6);
        Ok(())
    });
}

/// Datagrams from ever new ports, for two seconds: of the shape of handshakes, of data, and noise.
fn flood(from: &Namespace, destination: IpAddr) -> u64 {
    from.run(|| {
        let until = mpt_lab::now() + Duration::from_secs(2);
        let mut sent = 0u64;
        let mut datagram = [0u8; 1200];
        let lengths = [148, 160, 200, 92, 36, 1200, 64, 96];
        while mpt_lab::now() < until {
            let Ok(socket) = UdpSocket::bind("0.0.0.0:0") else { continue };
            for length in lengths {
                sent += 1;
                datagram[0] = 1 + (sent % 9) as u8;
                datagram[4..12].copy_from_slice(&sent.wrapping_mul(0x9e37_79b9).to_le_bytes());
                // A full queue is what a flood meets.
                let _ = socket.send_to(&datagram[..length], (destination, PORT));
            }
        }
        sent
    })
}

#[test]
fn strangers_that_flood_do_not_fill_memory() {
    let mut testbed = Testbed::builder(program()).links([LinkSpec::plain(); 2]).build().unwrap();
    testbed.start(UP).unwrap();
    let idle = resident(&mut testbed, 1).unwrap();
    let sent = flood(testbed.a().router(), "10.1.0.2".parse().unwrap());
    let most = resident(&mut testbed, 1).unwrap();
    let status = testbed.site_mut(1).daemon().unwrap().status().unwrap();
    let dropped: u64 = status.drops.iter().map(|d| d.count).sum();
    println!("{sent} datagrams, {:.1} MB before, {:.1} after", idle / 1e6, most / 1e6);
    println!("{:?}", status.drops);
    assert!(dropped > sent / 2, "of {sent}");
    assert!(most <= idle + 2.0 * MIB, "{idle} bytes grew to {most}");
    assert!(peer(&status).unwrap().paths.iter().all(|p| p.in_use));
}

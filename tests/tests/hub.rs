//! A hub with three clients. Needs root or user namespaces.

#![allow(clippy::unwrap_used, reason = "tests and what they share")]

mod support;

use mpt_lab::emulator::Direction;
use mpt_lab::stream::StreamResult;
use mpt_lab::testbed::{Testbed, TestbedBuilder};
use std::net::{IpAddr, UdpSocket};
use std::time::Duration;
use support::*;

mpt_lab::kernel_tests!();

const CLIENTS: usize = 3;

fn hub() -> TestbedBuilder {
    testbed().hub().links([bridge(); CLIENTS])
}

/// Streams of all clients to the hub and back, for a while.
fn all_with_hub(testbed: &Testbed, time: Duration) -> Vec<StreamResult> {
    // The hub's host has one port for each.
    let start = |client: usize| Traffic::start_at(testbed.site(client), testbed.site(0), client);
    let traffic: Vec<Traffic> = (1..=CLIENTS).map(start).collect();
    sleep(time);
    traffic.into_iter().flat_map(Traffic::finish).collect()
}

#[test]
fn every_client_talks_with_the_hub_both_ways() {
    attempts(|| {
        let mut testbed = running(hub());
        let configuration = testbed.site(0).configuration().unwrap();
        for peer in configuration["peers"].as_array().unwrap() {
            assert_eq!(peer["paths"], serde_json::json!([]), "the hub is to know no paths");
        }
        let streams = all_with_hub(&testbed, ms(1500));
        let sent: u64 = streams.iter().map(|s| s.sent).sum();
        let p99 = streams.iter().map(|s| s.latency.p99).fold(0.0, f64::max);
        let status = testbed.site_mut(0).daemon().unwrap().status().unwrap();
        println!("hub: {sent} packets in six streams, slowest p99 {:.1} ms", p99 * 1e3);
        for peer in &status.peers {
            let paths = peer.paths.iter().map(|p| p.remote.as_deref().unwrap_or("?"));
            println!(
                "hub: {} from {:?}, {} packets in, {} out",
                peer.name,
                paths.collect::<Vec<_>>(),
                peer.rx_packets,
                peer.tx_packets
            );
            assert_eq!(peer.paths.len(), 1);
        }
        for stream in &streams {
            assert_eq!((stream.out_of_order, stream.duplicates), (0, 0));
            expect(stream.lost == 0, format!("{} of {} lost", stream.lost, stream.sent))?;
        }
        Ok(())
    });
}

#[test]
fn clients_reach_each_other_by_way_of_the_hub() {
    attempts(|| {
        let testbed = running(hub());
        let traffic = [(1, 2), (2, 3), (3, 1)]
            .map(|(one, other)| Traffic::start_at(testbed.site(one), testbed.site(other), one));
        sleep(ms(1200));
        for [there, back] in traffic.map(Traffic::finish) {
            println!(
                "between clients: {} + {} sent, {} + {} lost, latency {:.1} ms",
                there.sent,
                back.sent,
                there.lost,
                back.lost,
                there.latency.p50 * 1e3
            );
            for stream in [there, back] {
                assert_eq!((stream.out_of_order, stream.duplicates), (0, 0));
                expect(stream.lost == 0, format!("{} of {} lost", stream.lost, stream.sent))?;
                assert!(stream.latency.min >= 0.006, "two bridges of 3 ms lie between");
            }
        }
        Ok(())
    });
}

#[test]
fn a_source_outside_allowed_ips_is_dropped_and_counted() {
    let mut testbed = running(hub());
    let hub_host = testbed.site(0).host();
    let receiver = hub_host.run(|| UdpSocket::bind("192.168.11.2:7000")).unwrap();
    receiver.set_read_timeout(Some(ms(400))).unwrap();
    let count = |testbed: &mut Testbed| {
        let status = testbed.site_mut(0).daemon().unwrap().status().unwrap();
        status
            .peers
            .iter()
            .map(|p| {
                let drop = p.drops.iter().find(|d| d.reason == "not-allowed");
                drop.map_or(0, |d| d.count)
            })
            .collect::<Vec<u64>>()
    };
    // Of nobody; of another client; of the hub's own LAN.
    let sources = ["10.99.0.1", "192.168.13.77", "192.168.11.77"];
    for (i, source) in sources.iter().enumerate() {
        let router = testbed.site(1).router();
        router.add_address("lo", source.parse::<IpAddr>().unwrap(), 32).unwrap();
        let before = count(&mut testbed);
        let socket = testbed.site(1).router().run(|| UdpSocket::bind((*source, 0))).unwrap();
        for _ in 0..50 {
            socket.send_to(b"not mine", "192.168.11.2:7000").unwrap();
        }
        assert!(receiver.recv(&mut [0; 64]).is_err(), "a packet from {source} came through");
        let after = count(&mut testbed);
        println!("50 packets of client 1 from {source}: not-allowed {before:?} → {after:?}");
        assert_eq!(after[0] - before[0], 50, "source {i}");
        assert_eq!(after[1..], before[1..]);
    }
    // Its own are welcome still, and nothing waits for those that were dropped.
    let own = testbed.site(1).host().run(|| UdpSocket::bind("192.168.12.2:0")).unwrap();
    own.send_to(b"mine", "192.168.11.2:7000").unwrap();
    let mut buffer = [0; 64];
    assert_eq!(receiver.recv(&mut buffer).unwrap(), 4);
}

#[test]
fn a_restarted_hub_is_found_again_by_all() {
    attempts(|| {
        let mut testbed = running(hub());
        let traffic: Vec<Traffic> = (1..=CLIENTS)
            .map(|client| Traffic::start_at(testbed.site(client), testbed.site(0), client))
            .collect();
        sleep(ms(500));
        testbed.site_mut(0).kill().unwrap();
        sleep(ms(300));
        testbed.site_mut(0).start().unwrap();
        let started = mpt_lab::now();
        sleep(ms(2800));
        for (client, streams) in (1..).zip(traffic.into_iter().map(Traffic::finish)) {
            for (way, stream) in Direction::BOTH.into_iter().zip(&streams) {
                let again = again_after(stream, started);
                println!("hub killed and started, client {client}, {way:?}: again {again:?} after");
                assert_eq!((stream.out_of_order, stream.duplicates), (0, 0));
                expect(again <= AGAIN_WITHIN, format!("{client} {way:?}: {again:?}"))?;
            }
        }
        Ok(())
    });
}

//! A path that fails is left in time, and taken up again when it works. Needs root or user namespaces.

#![allow(clippy::unwrap_used, reason = "part of tests")]

mod support;

use mpt_core::Time;
use mpt_lab::emulator::{Direction, Fate, FrameRecord};
use mpt_lab::netlink::{Offloads, VethEnd, add_veth};
use mpt_lab::stream::{Stream, StreamConfig};
use mpt_lab::testbed::{LinkSpec, Testbed};
use serde_json::json;
use std::net::IpAddr;
use std::time::Duration;
use support::*;

mpt_lab::kernel_tests!();

const OUT_WITHIN: Duration = ms_const(300);
const BACK_WITHIN: Duration = ms_const(1000);

const fn ms_const(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Whether a packet on a bridge carries one of the streams': 1000 bytes, two UDP and IP headers and
/// the tunnel's own.
fn carries_data(record: &&FrameRecord) -> bool {
    (1080..=1100).contains(&record.bytes)
}

/// For how long after `event` data was still given to link 1, and when it was first after `back`.
fn use_of_link(testbed: &Testbed, way: Direction, event: Time, back: Time) -> (Duration, Duration) {
    let records = testbed.link(1).records(way);
    let data = || records.iter().filter(carries_data);
    let last = data().rfind(|r| (event..back).contains(&r.offered));
    let first = data().find(|r| r.offered >= back && matches!(r.fate, Fate::Delivered(_)));
    (
        last.map_or(Duration::ZERO, |r| r.offered.since(event)),
        first.map_or(Duration::MAX, |r| r.offered.since(back)),
    )
}

#[test]
fn a_silent_black_hole_under_traffic_is_left_and_taken_up_again() {
    attempts(|| {
        let testbed = running_pair(2);
        testbed.link(1).record();
        let traffic = Traffic::at_rates(testbed.a(), testbed.b(), [14_000_000, 4_000_000]);
        sleep(ms(1500));
        testbed.link(1).blackhole(true);
        let event = mpt_lab::now();
        sleep(ms(2000));
        testbed.link(1).blackhole(false);
        let back = mpt_lab::now();
        sleep(ms(1800));
        let streams = traffic.finish();
        for (way, stream) in Direction::BOTH.into_iter().zip(&streams) {
            let (out, again) = use_of_link(&testbed, way, event, back);
            let swallowed = testbed
                .link(1)
                .records(way)
                .iter()
                .filter(carries_data)
                .filter(|r| matches!(r.fate, Fate::Dropped(_)))
                .count() as u64;
            println!(
                "black hole, {way:?}: out of use after {out:?}, in use again after {again:?}; \
                 {} sent, {} lost ({swallowed} swallowed), {} out of order, longest gap {:.0} ms",
                stream.sent,
                stream.lost,
                stream.out_of_order,
                stream.longest_gap * 1e3
            );
            assert_eq!((stream.out_of_order, stream.duplicates), (0, 0));
            expect(stream.lost == 0, "what the black hole took was not sent again")?;
            expect(out <= OUT_WITHIN, format!("{way:?}: in use for {out:?}"))?;
            expect(again <= BACK_WITHIN, format!("{way:?}: not in use for {again:?}"))?;
        }
        Ok(())
    });
}

#[test]
fn a_lost_carrier_is_acted_on_at_once() {
    attempts(|| {
        let mut testbed = running_pair(2);
        let watches = [0, 1].map(|site| Watch::start(testbed.site_mut(site)));
        let traffic = Traffic::start(testbed.a(), testbed.b());
        sleep(ms(800));
        testbed.link(1).set_carrier(false).unwrap();
        let event = mpt_lab::now();
        sleep(ms(1000));
        testbed.link(1).set_carrier(true).unwrap();
        let back = mpt_lab::now();
        sleep(ms(2000));
        judge_outage("carrier", traffic, watches, event, back)
    });
}

#[test]
fn an_interface_taken_down_at_one_end_is_told_to_the_other() {
    attempts(|| {
        let mut testbed = running_pair(2);
        let watches = [0, 1].map(|site| Watch::start(testbed.site_mut(site)));
        let traffic = Traffic::start(testbed.a(), testbed.b());
        sleep(ms(800));
        testbed.a().router().set_down("wan1").unwrap();
        let event = mpt_lab::now();
        sleep(ms(1000));
        testbed.a().router().set_up("wan1").unwrap();
        let back = mpt_lab::now();
        sleep(ms(2000));
        judge_outage("interface down at a", traffic, watches, event, back)
    });
}

#[test]
fn an_interface_deleted_and_made_again_is_used_again() {
    attempts(|| {
        // A deleted end of a veth pair takes the other with it.
        let mut testbed = running(testbed().links([LinkSpec::plain(); 2]));
        let watches = [0, 1].map(|site| Watch::start(testbed.site_mut(site)));
        let traffic = Traffic::start(testbed.a(), testbed.b());
        sleep(ms(800));
        testbed.a().router().delete_interface("wan1").unwrap();
        let event = mpt_lab::now();
        sleep(ms(1000));
        let ends = [testbed.a().router(), testbed.b().router()];
        let [a, b] = ends.map(|namespace| VethEnd { namespace, interface: "wan1" });
        add_veth(a, b, 1500, Offloads::On).unwrap();
        for (end, host) in ends.into_iter().zip([1, 2]) {
            end.add_address("wan1", IpAddr::from([10, 1, 0, host]), 24).unwrap();
        }
        let back = mpt_lab::now();
        sleep(ms(2000));
        judge_outage("interface deleted", traffic, watches, event, back)
    });
}

/// Path 1 went at `event`, both ends could know, and came back at `back`.
fn judge_outage(
    what: &str,
    traffic: Traffic,
    watches: [Watch; 2],
    event: Time,
    back: Time,
) -> Result<(), String> {
    let streams = traffic.finish();
    for (site, watch) in ["a", "b"].into_iter().zip(watches) {
        let seen = watch.finish();
        let out = seen.in_use("bridge1", false, event).unwrap_or(Duration::MAX);
        let again = seen.in_use("bridge1", true, back).unwrap_or(Duration::MAX);
        let why = seen.values(|s| path_of(s, "bridge1").map(|p| p.why.clone()));
        println!("{what}, {site}: out of use after {out:?}, again after {again:?}; {why:?}");
        expect(out <= OUT_WITHIN, format!("{site}: in use for {out:?}"))?;
        expect(again <= AGAIN_WITHIN, format!("{site}: not in use for {again:?}"))?;
    }
    for (way, stream) in Direction::BOTH.into_iter().zip(&streams) {
        println!(
            "{what}, {way:?}: {} sent, {} lost, {} out of order, longest gap {:.0} ms",
            stream.sent,
            stream.lost,
            stream.out_of_order,
            stream.longest_gap * 1e3
        );
        assert_eq!((stream.out_of_order, stream.duplicates), (0, 0));
        let late = lost_between(stream, event + OUT_WITHIN, back);
        expect(late == 0, format!("{way:?}: {late} lost long after the path was left"))?;
    }
    Ok(())
}

#[test]
fn the_peer_follows_when_an_address_changes() {
    attempts(|| {
        let mut testbed = running_pair(1);
        let watches = [0, 1].map(|site| Watch::start(testbed.site_mut(site)));
        let traffic = Traffic::start(testbed.a(), testbed.b());
        sleep(ms(800));
        let router = testbed.a().router();
        router.delete_address("wan1", IpAddr::from([10, 1, 0, 1]), 24).unwrap();
        // What a DHCP client does between the two is short.
        sleep(ms(100));
        router.add_address("wan1", IpAddr::from([10, 1, 0, 77]), 24).unwrap();
        let event = mpt_lab::now();
        sleep(ms(3000));
        let streams = traffic.finish();
        for (way, stream) in Direction::BOTH.into_iter().zip(&streams) {
            let again = again_after(stream, event);
            println!(
                "address changed at a, {way:?}: traffic again after {again:?}; {} lost, {} out of order",
                stream.lost, stream.out_of_order
            );
            assert_eq!((stream.out_of_order, stream.duplicates), (0, 0));
            expect(again <= AGAIN_WITHIN, format!("{way:?}: no traffic for {again:?}"))?;
        }
        let [_, b] = watches.map(Watch::finish);
        let remotes = b.values(|s| path_of(s, "bridge1").and_then(|p| p.remote.clone()));
        println!("address changed at a: b sends to {remotes:?}");
        let last = remotes.last().cloned().flatten();
        expect(last.as_deref() == Some("10.1.0.77:4511"), format!("b sends to {last:?}"))
    });
}

#[test]
fn with_two_paths_an_address_change_costs_little() {
    attempts(|| {
        let testbed = running_pair(2);
        let traffic = Traffic::start(testbed.a(), testbed.b());
        sleep(ms(800));
        let router = testbed.a().router();
        router.delete_address("wan1", IpAddr::from([10, 1, 0, 1]), 24).unwrap();
        sleep(ms(100));
        router.add_address("wan1", IpAddr::from([10, 1, 0, 77]), 24).unwrap();
        let event = mpt_lab::now();
        sleep(ms(2500));
        for (way, stream) in Direction::BOTH.into_iter().zip(&traffic.finish()) {
            println!(
                "address changed beside another path, {way:?}: {} lost, longest gap {:.0} ms",
                stream.lost,
                stream.longest_gap * 1e3
            );
            assert_eq!((stream.out_of_order, stream.duplicates), (0, 0));
            let late = lost_between(stream, event + OUT_WITHIN, event + ms(2400));
            expect(late == 0, format!("{way:?}: {late} lost late"))?;
        }
        Ok(())
    });
}

/// A pair whose tunnel has link 1 only; link 2 is another way between the LANs.
fn with_a_way_around(when_down: &'static str) -> Testbed {
    let edit = move |yaml: &mut serde_json::Value| {
        yaml["peers"][0]["paths"].as_array_mut().unwrap().truncate(1);
        for route in yaml["routes"].as_array_mut().unwrap() {
            route["when_down"] = json!(when_down);
        }
    };
    let testbed =
        testbed().links([bridge(); 2]).configure(0, edit).configure(1, edit).build().unwrap();
    testbed.route_without_tunnel(2).unwrap();
    testbed
}

/// Packets of a short stream that came, and how many of them by the way around the tunnel.
fn send_some(testbed: &Testbed) -> (u64, u64) {
    let around = || testbed.link(2).counters(Direction::Forward).delivered_packets;
    let before = around();
    let config = StreamConfig {
        duration: ms(400),
        linger: ms(300),
        ..StreamConfig::new(testbed.b().host_port(5000), 4_000_000)
    };
    let result = Stream::run(testbed.a().host(), testbed.b().host(), &config).unwrap();
    assert!(result.sent >= 190, "{result:?}");
    (result.received, around() - before)
}

#[test]
fn bypass_sends_around_a_tunnel_that_is_down() {
    let mut testbed = with_a_way_around("bypass");
    assert_eq!(send_some(&testbed), (200, 200), "before the tunnel is there");
    testbed.start(UP_WITHIN).unwrap();
    assert_eq!(send_some(&testbed), (200, 0), "through the tunnel");
    testbed.link(1).blackhole(true);
    let out = wait_for_paths(&mut testbed, false);
    assert_eq!(send_some(&testbed), (200, 200), "around the tunnel");
    testbed.link(1).blackhole(false);
    let back = wait_for_paths(&mut testbed, true);
    assert_eq!(send_some(&testbed), (200, 0), "through the tunnel again");
    println!("bypass: tunnel left after {out:?} without traffic, used again after {back:?}");
    testbed.site_mut(0).stop().unwrap();
    assert_eq!(send_some(&testbed), (200, 200), "after the end");
}

#[test]
fn keep_drops_what_a_tunnel_that_is_down_would_carry() {
    let mut testbed = with_a_way_around("keep");
    testbed.start(UP_WITHIN).unwrap();
    assert_eq!(send_some(&testbed), (200, 0), "through the tunnel");
    testbed.link(1).blackhole(true);
    wait_for_paths(&mut testbed, false);
    let swallowed = |testbed: &Testbed| testbed.link(1).counters(Direction::Forward).blackholed;
    let before = swallowed(&testbed);
    assert_eq!(send_some(&testbed), (0, 0), "nowhere");
    // On a path that does not answer, as a last resort, or nowhere at all.
    let dropped = drops(&testbed.site_mut(0).daemon().unwrap().status().unwrap());
    let tried = swallowed(&testbed) - before;
    println!("keep: 200 packets sent; {tried} datagrams into the black hole, dropped {dropped:?}");
    assert!(tried + dropped.get("no-path").copied().unwrap_or(0) >= 200);
    testbed.link(1).blackhole(false);
    wait_for_paths(&mut testbed, true);
    assert_eq!(send_some(&testbed), (200, 0), "through the tunnel again");
}

/// Waits until both ends have the only path in use, or have it not.
fn wait_for_paths(testbed: &mut Testbed, in_use: bool) -> Duration {
    let start = mpt_lab::now();
    for site in 0..2 {
        let what = if in_use { "path in use" } else { "path out of use" };
        let daemon = testbed.site_mut(site).daemon().unwrap();
        daemon
            .wait_until(what, Duration::from_secs(8), |s| {
                path_of(s, "bridge1").is_some_and(|p| p.in_use == in_use)
            })
            .unwrap_or_else(|e| panic!("{e:#}"));
    }
    mpt_lab::now().since(start)
}

//! Testbeds have the shape and the configurations they should. Needs root or user namespaces.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_lab::emulator::Direction;
use mpt_lab::netns::Namespace;
use mpt_lab::stream::{Stream, StreamConfig};
use mpt_lab::testbed::{Family, LinkSpec, Testbed};
use serde_json::{Value, json};
use std::net::IpAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::time::Duration;

mpt_lab::kernel_tests!();

const PROGRAM: &str = env!("CARGO_BIN_EXE_mpt-lab");

fn bridge() -> LinkSpec {
    LinkSpec::new(20_000_000, Duration::from_millis(3))
}

#[test]
fn hosts_reach_each_other_over_a_link_of_both_families() {
    let testbed = Testbed::builder(PROGRAM).link(LinkSpec::plain()).link(bridge()).build().unwrap();
    let reach = |destination| {
        let config = StreamConfig {
            duration: Duration::from_millis(300),
            ..StreamConfig::new(destination, 8_000_000)
        };
        Stream::run(testbed.a().host(), testbed.b().host(), &config).unwrap()
    };
    let lan = (testbed.b().host_v4(), 5000).into();
    assert_eq!(reach(lan).received, 0, "there is a way without tunnel or route");
    testbed.route_without_tunnel(2).unwrap();
    for address in [testbed.b().host_v4(), testbed.b().host_v6()] {
        let result = reach((address, 5001).into());
        assert_eq!((result.lost, result.out_of_order), (0, 0), "to {address}");
        assert!(result.latency.min >= 0.003);
    }
    assert!(testbed.link(2).counters(Direction::Forward).delivered_packets >= 600);
}

#[test]
fn a_pair_configures_every_path_at_both_ends() {
    let testbed = Testbed::builder(PROGRAM)
        .link(bridge().weight(4))
        .link(bridge().family(Family::V6))
        .configure(1, |yaml| yaml["scheduler"] = json!("failover"))
        .build()
        .unwrap();
    let [a, b] = [0, 1].map(|site| testbed.site(site).configuration().unwrap());
    assert_eq!(a["scheduler"], Value::Null);
    assert_eq!(b["scheduler"], "failover");
    assert_eq!(a["interface"]["address"], json!(["10.77.0.1/24", "fd77::1/64"]));
    let path = |yaml: &Value, index: usize| yaml["peers"][0]["paths"][index].clone();
    assert_eq!(
        path(&a, 0),
        json!({"name": "bridge1", "interface": "wan1", "remote": "10.1.0.2:4511", "weight": 4})
    );
    assert_eq!(path(&a, 1)["remote"], "[fd00:2::2]:4511");
    assert_eq!(path(&b, 1)["remote"], "[fd00:2::1]:4511");
    assert_eq!(b["routes"], json!([{"to": "192.168.11.0/24"}, {"to": "fd01::/64"}]));
    let key = std::fs::metadata(testbed.a().key_file()).unwrap();
    assert_eq!(key.permissions().mode() & 0o777, 0o600);
}

#[test]
fn clients_of_a_hub_reach_only_the_hub() {
    let testbed = Testbed::builder(PROGRAM).hub().links([bridge(); 3]).build().unwrap();
    for client in 1..=3 {
        let hub_end = format!("10.{client}.0.1");
        let reach = |site: &Namespace, address: &str| {
            let destination = (address.parse::<IpAddr>().unwrap(), 6000).into();
            let config = StreamConfig {
                duration: Duration::from_millis(100),
                ..StreamConfig::new(destination, 1_000_000)
            };
            let result = Stream::run(testbed.site(client).router(), site, &config).unwrap();
            result.received > 0
        };
        assert!(reach(testbed.site(0).router(), &hub_end));
        assert!(!reach(testbed.site(0).host(), "192.168.11.2"), "without a tunnel");
        let yaml = testbed.site(client).configuration().unwrap();
        assert_eq!(yaml["peers"][0]["paths"][0]["remote"], format!("{hub_end}:4511"));
        assert_eq!(yaml["peers"].as_array().unwrap().len(), 1);
    }
    let hub = testbed.site(0).configuration().unwrap();
    let peers = hub["peers"].as_array().unwrap();
    assert_eq!(peers.len(), 3);
    assert!(peers.iter().all(|p| p["paths"] == json!([])));
    assert_eq!(peers[2]["allowed_ips"][0], "10.77.0.4/32");
}

#[test]
fn the_demo_prints_one_object_for_scripts() {
    let _alone = mpt_lab::exclusive();
    let output = Command::new(PROGRAM)
        .args(["demo", "--without-tunnel", "--paths", "1", "--seconds", "6", "--json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |pointer: &str| report.pointer(pointer).and_then(Value::as_f64).unwrap();
    // 18 of the 19.46 Mbit/s that a bridge carries in packets of 1028 bytes.
    assert!((17.6e6..18.4e6).contains(&number("/phases/0/rate")), "{report:#}");
    assert!(number("/phases/1/rate") < 1.0);
    assert!((17.6e6..18.4e6).contains(&number("/phases/2/rate")));
    assert!((1.9..2.2).contains(&number("/longest_gap")));
    assert!(number("/in_use_again_after") < 0.1);
    assert_eq!(number("/lab_missed"), 0.0);
}

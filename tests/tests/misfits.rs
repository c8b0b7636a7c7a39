//! What is wrong with a tunnel that runs, because the other end, a network or a name does not fit: nothing ends, and the status and
//! the log say what and what to do. Mistakes that a file shows: `bad_input.rs`. Needs root or user namespaces.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_core::control::Status;
use mpt_lab::netlink::{Offloads, VethEnd, add_veth};
use mpt_lab::testbed::{LinkSpec, Testbed, TestbedBuilder};
use serde_json::{Value, json};
use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::process::Stdio;
use std::time::Duration;

mpt_lab::kernel_tests!();

/// What the daemon is given to come up, or to say what is wrong.
const SOON: Duration = Duration::from_secs(8);

/// The daemons' ends of a tunnel over two plain links; none is started.
fn builder() -> TestbedBuilder {
    Testbed::builder(env!("CARGO_BIN_EXE_mpt-lab")).links([LinkSpec::plain(); 2])
}

/// The path called `name`.
fn path<'a>(status: &'a Status, name: &'a str) -> &'a mpt_core::control::PathStatus {
    status.paths_named(name).next().unwrap().1
}

#[test]
fn a_path_waits_for_its_interface_and_the_tunnel_does_not() {
    let mut testbed = builder()
        .configure(0, |yaml| {
            yaml["peers"][0]["paths"][1]["interface"] = json!("wan9");
            yaml["peers"][0]["paths"][1]["remote"] = json!("10.9.0.2:4511");
        })
        .build()
        .unwrap();
    for site in 0..2 {
        testbed.site_mut(site).start().unwrap();
    }
    let a = testbed.site_mut(0).daemon().unwrap();
    let up = |status: &Status| path(status, "bridge1").in_use;
    let status = a.wait_until("bridge1 in use", SOON, up).unwrap();
    let waiting = path(&status, "bridge2");
    assert_eq!(waiting.state, "down");
    assert!(waiting.why.contains("interface wan9 does not exist (waiting for it)"), "{waiting:?}");
    assert!(a.log().contains("path waits: interface wan9 does not exist"));

    let [here, there] = [0, 1].map(|site| testbed.site(site).router().clone());
    let ends = [
        VethEnd { namespace: &here, interface: "wan9" },
        VethEnd { namespace: &there, interface: "wan9" },
    ];
    add_veth(ends[0], ends[1], 1500, Offloads::On).unwrap();
    for (router, address) in [(&here, "10.9.0.1"), (&there, "10.9.0.2")] {
        router.add_address("wan9", address.parse().unwrap(), 24).unwrap();
    }
    let a = testbed.site_mut(0).daemon().unwrap();
    a.wait_until("bridge2 in use", SOON, |status| path(status, "bridge2").in_use).unwrap();
}

/// Site `a`'s status and log, once `condition` is true of both.
fn told(testbed: &mut Testbed, site: usize, what: &str, words: &str) -> (Status, String) {
    let daemon = testbed.site_mut(site).daemon().unwrap();
    let told =
        |status: &Status| status.peers[0].why.as_ref().is_some_and(|why| why.contains(words));
    let status = daemon.wait_until(what, SOON, told).unwrap();
    (status, daemon.log())
}

fn start(testbed: &mut Testbed) {
    for site in 0..2 {
        testbed.site_mut(site).start().unwrap();
    }
}

#[test]
fn a_peer_that_is_away_is_waited_for() {
    let mut testbed = builder().build().unwrap();
    testbed.site_mut(0).start().unwrap();
    let (status, _) = told(&mut testbed, 0, "waiting", "no answer yet");
    assert_eq!(status.peers[0].state, "connecting");
    assert_eq!(path(&status, "bridge1").state, "probing");
    let up = Duration::from_secs_f64((5.2 - status.uptime).max(0.0));
    std::thread::sleep(up);
    let shown = testbed.a().cli(&["status"]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("is it running, does it know our public key"), "{shown}");
    testbed.site_mut(1).start().unwrap();
    testbed.site_mut(0).daemon().unwrap().wait_up(SOON).unwrap();
}

#[test]
fn ciphers_that_exclude_each_other_are_named_at_both_ends() {
    let mut testbed =
        builder().configure(1, |yaml| yaml["cipher"] = json!("none")).build().unwrap();
    start(&mut testbed);
    for (site, theirs, ours) in [(0, "none", "auto"), (1, "auto", "none")] {
        let words = format!("peer is configured for cipher {theirs}, this end for {ours}");
        let (status, log) = told(&mut testbed, site, "refused", &words);
        assert_eq!(status.peers[0].state, "refused");
        assert!(status.peers[0].paths.iter().all(|path| !path.in_use));
        assert_eq!(log.matches(&words).count(), 1, "{log}");
    }
}

#[test]
fn pre_shared_keys_that_differ_are_suspected() {
    let mut testbed = builder()
        .configure(0, |yaml| yaml["peers"][0]["preshared_key_file"] = json!("b.psk"))
        .build()
        .unwrap();
    let file = testbed.a().configuration_file().with_file_name("b.psk");
    let psk = testbed.a().cli(&["genpsk"]).output().unwrap();
    fs::write(&file, psk.stdout).unwrap();
    fs::set_permissions(&file, Permissions::from_mode(0o600)).unwrap();
    start(&mut testbed);
    for site in 0..2 {
        let words = "pre-shared keys differ";
        let (_, log) = told(&mut testbed, site, "the pre-shared key suspected", words);
        assert_eq!(log.matches(words).count(), 1, "{log}");
    }
}

#[test]
fn a_peer_with_another_public_key_is_named_as_a_stranger() {
    const OTHER: &str = "p7UMOzRN1IJ74V/nbSQgw7LWHMsm3AEKGYUKjIlhWh8=";
    let mut testbed = builder()
        .configure(0, |yaml| yaml["peers"][0]["public_key"] = json!(OTHER))
        .build()
        .unwrap();
    let key = testbed.a().configuration().unwrap()["peers"][0]["public_key"].clone();
    assert_eq!(key, Value::from(OTHER));
    start(&mut testbed);
    let theirs = testbed.site_mut(1).daemon().unwrap();
    let theirs = theirs.wait_until("up", SOON, |_| true).unwrap().public_key;
    let words = format!("a stranger calls with the public key {theirs}");
    let a = testbed.site_mut(0).daemon().unwrap();
    a.wait_until("a stranger", SOON, |status| {
        status.drops.iter().any(|drop| drop.reason == "bad-handshake")
    })
    .unwrap();
    assert_eq!(a.log().matches(&words).count(), 1, "{}", a.log());
}

#[test]
fn a_name_without_an_address_is_shown_and_its_path_waits() {
    let mut testbed = builder()
        .configure(0, |yaml| yaml["peers"][0]["paths"][1]["remote"] = json!("nothing.invalid:4511"))
        .configure(1, |yaml| {
            yaml["peers"][0]["paths"].as_array_mut().unwrap().truncate(1);
        })
        .build()
        .unwrap();
    start(&mut testbed);
    let unresolved = "cannot resolve nothing.invalid";
    let a = testbed.site_mut(0).daemon().unwrap();
    let told = |status: &Status| {
        path(status, "bridge1").in_use && path(status, "bridge2").why.contains(unresolved)
    };
    a.wait_until("bridge1 in use, bridge2 unresolved", SOON, told).unwrap();
    std::thread::sleep(Duration::from_millis(2500));
    let a = testbed.site_mut(0).daemon().unwrap();
    assert_eq!(a.log().matches(unresolved).count(), 1, "once is enough: {}", a.log());
    let mut check = testbed.a().tund(&["check"]);
    let output = check.arg(testbed.a().configuration_file()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "it may resolve later: {text}");
    assert!(text.contains("warning: nothing.invalid does not resolve now"), "{text}");
}

#[test]
fn a_tunnel_whose_device_was_deleted_ends() {
    let mut testbed = builder().build().unwrap();
    testbed.start(SOON).unwrap();
    testbed.site(0).router().delete_interface("mpt0").unwrap();
    let a = testbed.site_mut(0).daemon().unwrap();
    let deadline = std::time::Instant::now() + SOON;
    let ended = loop {
        if let Some(status) = a.ended().unwrap() {
            break status;
        }
        assert!(std::time::Instant::now() < deadline, "it goes on without a device: {}", a.log());
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!(ended.code(), Some(1), "so that a supervisor starts it again");
    assert!(a.log().contains("interface mpt0 was deleted"), "{}", a.log());
}

#[test]
fn addresses_that_somebody_took_from_the_device_come_back() {
    let mut testbed = builder().build().unwrap();
    testbed.start(SOON).unwrap();
    let router = testbed.site(0).router().clone();
    let addresses = || {
        let output = router.command("ip").args(["-o", "addr", "show", "dev", "mpt0"]).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    };
    let is_whole = || ["10.77.0.1/24", "fd77::1/64"].iter().all(|a| addresses().contains(a));
    assert!(is_whole(), "{}", addresses());
    // IPv6 addresses go with the first of them, all with the second.
    let takes: [&[&str]; 2] = [&["link", "set", "mpt0", "down"], &["addr", "flush", "dev", "mpt0"]];
    for (round, what) in takes.into_iter().enumerate() {
        assert!(router.command("ip").args(what).status().unwrap().success());
        router.set_up("mpt0").unwrap();
        let a = testbed.site_mut(0).daemon().unwrap();
        let deadline = std::time::Instant::now() + SOON;
        while !is_whole() || a.log().matches("mpt0 has its addresses again").count() <= round {
            assert!(std::time::Instant::now() < deadline, "{what:?}: {}{}", addresses(), a.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn rules_and_routes_that_somebody_removed_come_back() {
    let mut testbed = builder().build().unwrap();
    testbed.start(SOON).unwrap();
    let router = testbed.site(0).router().clone();
    let ip = |what: &[&str]| router.command("ip").args(what).output().unwrap();
    let way = |to: &str| String::from_utf8(ip(&["route", "get", to]).stdout).unwrap();
    let is_whole = || ["192.168.12.7", "fd01:1::7"].iter().all(|to| way(to).contains("dev mpt0"));
    assert!(is_whole(), "{}{}", way("192.168.12.7"), way("fd01:1::7"));
    let rules = || String::from_utf8(ip(&["-6", "rule"]).stdout).unwrap();
    let into = rules().lines().find(|l| l.starts_with("28")).unwrap().to_owned();
    let takes: [&[&str]; 3] = [
        &["rule", "flush"],
        &["-6", "rule", "del", "pref", into.split(':').next().unwrap()],
        &["route", "flush", "table", "all", "proto", "109"],
    ];
    for (what, words) in takes.into_iter().zip(["policy rule", "policy rule", "route"]) {
        let words = format!("a {words} of ours was removed; adding it again");
        let told = testbed.site_mut(0).daemon().unwrap().log().matches(&words).count();
        assert!(ip(what).status.success(), "{what:?}");
        if what == ["rule", "flush"] {
            assert!(ip(&["rule", "add", "pref", "32766", "lookup", "main"]).status.success());
        }
        let a = testbed.site_mut(0).daemon().unwrap();
        let deadline = std::time::Instant::now() + SOON;
        let is_back = || is_whole() && rules().contains(&into);
        while a.log().matches(&words).count() == told || !is_back() {
            assert!(std::time::Instant::now() < deadline, "{what:?}: {}", a.log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn a_log_that_nobody_reads_any_more_is_no_reason_to_end() {
    let mut testbed = builder().build().unwrap();
    testbed.site_mut(1).start().unwrap();
    let site = testbed.site(0);
    let mut command = site.tund(&["up"]);
    command.arg(site.configuration_file()).stderr(Stdio::piped());
    let mut daemon = command.spawn().unwrap();
    let mut log = BufReader::new(daemon.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("mpt-tund is up") {
        line.clear();
        assert!(log.read_line(&mut line).unwrap() > 0, "it ended before it was up");
    }
    drop(log);
    // Each is worth a line.
    site.router().set_down("wan1").unwrap();
    std::thread::sleep(Duration::from_millis(500));
    site.router().set_up("wan1").unwrap();
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(daemon.try_wait().unwrap(), None, "it ended");
    let status = site.cli(&["status", "mpt0"]).output().unwrap();
    assert!(status.status.success(), "{status:?}");
    assert!(site.tund(&["down", "mpt0"]).status().unwrap().success());
    assert!(daemon.wait().unwrap().success());
}

/// The LAN of the site itself where the peer's is wanted, and a tunnel address from the LAN.
#[test]
fn what_this_machine_has_itself_is_warned_of() {
    let mut testbed = builder()
        .configure(0, |yaml| {
            yaml["routes"] = json!([{"to": "192.168.11.0/24"}, {"to": "fd01::/64"}]);
            yaml["interface"]["address"] = json!("192.168.11.1/24");
        })
        .build()
        .unwrap();
    let mut check = testbed.a().tund(&["check"]);
    let output = check.arg(testbed.a().configuration_file()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let warnings = [
        "interface mpt0: 192.168.11.1 lies within 192.168.11.0/24, the network of interface lan0",
        "route 192.168.11.0/24: that is the network of interface lan0 here",
        "route fd01::/64: that is the network of interface lan0 here",
    ];
    for warning in warnings {
        assert!(text.contains(&format!("warning: {warning}")), "{text}");
    }
    testbed.site_mut(0).start().unwrap();
    let status = testbed.site_mut(0).daemon().unwrap().wait_until("up", SOON, |_| true).unwrap();
    for warning in warnings {
        assert!(status.warnings.iter().any(|w| w.starts_with(warning)), "{:?}", status.warnings);
    }
}

#[test]
fn an_interface_without_a_route_to_the_far_end_is_told() {
    let mut testbed = builder()
        .configure(0, |yaml| yaml["peers"][0]["paths"][1]["remote"] = json!("198.51.100.1:4511"))
        .build()
        .unwrap();
    start(&mut testbed);
    let words = "path bridge2: interface wan2 has no route to 198.51.100.1; write the next hop";
    let a = testbed.site_mut(0).daemon().unwrap();
    let told = |status: &Status| status.warnings.iter().any(|warning| warning.contains(words));
    a.wait_until("the missing route told", SOON, told).unwrap();
    let mut check = testbed.a().tund(&["check"]);
    let output = check.arg(testbed.a().configuration_file()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(words), "{text}");
}

#[test]
fn a_gateway_out_of_reach_is_told_once_and_shown() {
    let mut testbed = builder()
        .configure(0, |yaml| yaml["peers"][0]["paths"][1]["gateway"] = json!("10.99.0.1"))
        .build()
        .unwrap();
    start(&mut testbed);
    let words =
        "gateway 10.99.0.1 on interface wan2 (a gateway must be in a network of its interface)";
    let a = testbed.site_mut(0).daemon().unwrap();
    let told = |status: &Status| status.warnings.iter().any(|warning| warning.contains(words));
    a.wait_until("the gateway told", SOON, told).unwrap();
    let status = a.wait_up(SOON).unwrap();
    assert!(told(&status), "{:?}", status.warnings);
    assert_eq!(a.log().matches(words).count(), 1, "{}", a.log());
}

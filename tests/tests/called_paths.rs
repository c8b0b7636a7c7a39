//! Paths whose remote is left out: they go where the peer calls from, by IPv4 or IPv6, and from the address that it called. Needs
//! root or user namespaces.

#![allow(clippy::unwrap_used, reason = "part of tests")]

mod support;

use mpt_core::control::{PathStatus, Status};
use mpt_lab::testbed::{LinkSpec, Testbed};
use serde_json::{Value, json};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use support::*;

mpt_lab::kernel_tests!();

const SOON: Duration = Duration::from_secs(8);

/// A second address of site `b` on the first link.
const SECOND: &str = "10.1.0.9";

/// Of an address with a port or without.
fn ip(text: &str) -> IpAddr {
    text.parse::<SocketAddr>().map_or_else(|_| text.parse().unwrap(), |a| a.ip())
}

/// Site `a` calls these; site `b` has these entries. Both paths are to be in use, at `a` by the address called, at `b` from that.
fn called(remotes: [&str; 2], listen: Value, entries: [Value; 2]) {
    println!("{remotes:?}, listen {listen}, paths {entries:?}");
    let to = remotes.map(|r| format!("{r}:4511"));
    let calls = to.clone();
    let mut testbed = Testbed::builder(env!("CARGO_BIN_EXE_mpt-lab"))
        .links([LinkSpec::plain(); 2])
        .configure(0, move |yaml| {
            for (i, remote) in calls.iter().enumerate() {
                yaml["peers"][0]["paths"][i]["remote"] = json!(remote);
            }
        })
        .configure(1, move |yaml| {
            yaml["listen"] = listen;
            yaml["peers"][0]["paths"] = json!(entries);
        })
        .build()
        .unwrap();
    testbed.b().router().add_address("wan1", SECOND.parse().unwrap(), 24).unwrap();
    for site in 0..2 {
        testbed.site_mut(site).start().unwrap();
    }
    let path = |status: &Status, i: usize| -> Option<PathStatus> {
        path_of(status, &format!("bridge{}", i + 1)).cloned()
    };
    let in_use = |status: &Status| (0..2).all(|i| path(status, i).is_some_and(|p| p.in_use));
    for site in 0..2 {
        testbed.site_mut(site).daemon().unwrap().wait_until("both in use", SOON, in_use).unwrap();
    }
    let traffic = Traffic::start(testbed.a(), testbed.b());
    sleep(ms(700));
    let [there, back] = traffic.finish();
    assert_eq!((there.lost, back.lost), (0, 0));
    for site in 0..2 {
        let status = testbed.site_mut(site).daemon().unwrap().status().unwrap();
        assert!(in_use(&status), "{}", paths_in_words(&status));
        for (i, called) in to.iter().enumerate() {
            let path = path(&status, i).unwrap();
            let address = if site == 0 { path.remote } else { path.local }.unwrap();
            assert_eq!(ip(&address), ip(called), "site {site}: {address} for {called}");
        }
        assert!(!drops(&status).contains_key("send-failed"), "{:?}", drops(&status));
    }
}

#[test]
fn an_entry_of_a_name_alone_goes_where_the_peer_calls() {
    let names = || [json!({"name": "bridge1", "weight": 2}), json!({"name": "bridge2"})];
    called([SECOND, "[fd00:2::2]"], json!(4511), names());
    called([SECOND, "10.2.0.2"], json!([format!("{SECOND}:4511"), "10.2.0.2:4511"]), names());
}

#[test]
fn so_does_one_that_is_bound_to_an_interface() {
    let names = || {
        [
            json!({"name": "bridge1", "interface": "wan1"}),
            json!({"name": "bridge2", "interface": "wan2"}),
        ]
    };
    called([SECOND, "[fd00:2::2]"], json!(4511), names());
    called([SECOND, "10.2.0.2"], json!([format!("{SECOND}:4511"), "10.2.0.2:4511"]), names());
}

/// The peer calls by IPv4, then by IPv6, then by IPv4 again: its name's addresses had their turns.
#[test]
fn the_peer_may_call_by_the_other_family() {
    let mut testbed = Testbed::builder(env!("CARGO_BIN_EXE_mpt-lab"))
        .links([LinkSpec::plain(); 2])
        .configure(1, |yaml| {
            yaml["peers"][0]["paths"] =
                json!([{"name": "bridge1"}, {"name": "bridge2", "interface": "wan2"}]);
        })
        .build()
        .unwrap();
    testbed.site_mut(1).start().unwrap();
    let families = [["10.1.0.2", "10.2.0.2"], ["[fd00:1::2]", "[fd00:2::2]"]];
    for (turn, remotes) in [families[0], families[1], families[0]].into_iter().enumerate() {
        let mut configuration = testbed.a().configuration().unwrap();
        for (i, remote) in remotes.iter().enumerate() {
            configuration["peers"][0]["paths"][i]["remote"] = json!(format!("{remote}:4511"));
        }
        testbed.a().write_configuration(&configuration).unwrap();
        // Without a word, so that the hub has to find out.
        if turn > 0 {
            testbed.site_mut(0).kill().unwrap();
        }
        testbed.site_mut(0).start().unwrap();
        for site in [0, 1] {
            let answers = |status: &Status| {
                (0..2).all(|i| {
                    let path = path_of(status, &format!("bridge{}", i + 1));
                    path.is_some_and(|p| {
                        let far = if site == 0 { p.remote.as_ref() } else { p.local.as_ref() };
                        p.in_use
                            && far.is_some_and(|a| ip(a) == ip(&format!("{}:4511", remotes[i])))
                    })
                })
            };
            let daemon = testbed.site_mut(site).daemon().unwrap();
            daemon.wait_until("both in use", SOON, answers).unwrap();
        }
    }
}

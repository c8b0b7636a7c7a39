//! Ciphers are agreed on, and what the ends disagree on is told. Needs root or user namespaces.

#![allow(clippy::unwrap_used, reason = "tests and what they share")]

mod support;

use mpt_lab::testbed::{Testbed, TestbedBuilder};
use serde_json::json;
use std::time::Duration;
use support::*;

mpt_lab::kernel_tests!();

fn with_ciphers(ciphers: [&'static str; 2]) -> TestbedBuilder {
    testbed()
        .links([bridge(); 2])
        .configure(0, move |yaml| yaml["cipher"] = json!(ciphers[0]))
        .configure(1, move |yaml| yaml["cipher"] = json!(ciphers[1]))
}

/// The tunnel comes up with `cipher`, and carries a stream each way.
fn works(ciphers: [&'static str; 2], cipher: &str) {
    let mut testbed = running(with_ciphers(ciphers));
    let traffic = Traffic::start(testbed.a(), testbed.b());
    sleep(ms(500));
    let streams = traffic.finish();
    let agreed = [0, 1].map(|site| {
        let status = testbed.site_mut(site).daemon().unwrap().status().unwrap();
        status.peers[0].cipher.clone().unwrap_or_default()
    });
    println!("{ciphers:?}: agreed on {agreed:?}, {} + {} lost", streams[0].lost, streams[1].lost);
    assert_eq!(agreed, [cipher, cipher]);
    for stream in &streams {
        assert_eq!((stream.lost, stream.out_of_order, stream.duplicates), (0, 0, 0));
    }
}

#[test]
fn each_cipher_works_when_both_ends_want_it() {
    works(["none", "none"], "none");
    works(["aes-256-gcm", "aes-256-gcm"], "aes-256-gcm");
    works(["chacha20-poly1305", "chacha20-poly1305"], "chacha20-poly1305");
}

#[test]
fn auto_takes_what_the_other_end_insists_on() {
    works(["auto", "chacha20-poly1305"], "chacha20-poly1305");
    works(["aes-256-gcm", "auto"], "aes-256-gcm");
}

#[test]
fn plain_inner_packets_really_are_plain_and_others_are_not() {
    for (cipher, plain) in [("none", true), ("auto", false)] {
        let testbed = running(with_ciphers([cipher, cipher]));
        let link = testbed.link(1);
        link.capture(mpt_lab::emulator::Direction::Forward, 200);
        let traffic = Traffic::start(testbed.a(), testbed.b());
        sleep(ms(300));
        let _ = traffic.finish();
        // The streams' packets have 32 bytes of header, then count up.
        let pattern: Vec<u8> = (40..140).collect();
        let frames = link.captured(mpt_lab::emulator::Direction::Forward);
        let seen = frames.iter().filter(|f| f.windows(100).any(|w| w == pattern)).count();
        println!("cipher {cipher}: {seen} of {} frames readable", frames.len());
        assert_eq!(seen > 0, plain, "cipher {cipher}");
    }
}

/// Both statuses come to hold one of these texts, and no path is in use.
fn refused(what: &str, testbed: &mut Testbed, state: &str, says: [&str; 2], within: Duration) {
    for site in 0..2 {
        testbed.site_mut(site).start().unwrap();
    }
    let start = mpt_lab::now();
    for (site, text) in says.into_iter().enumerate() {
        let daemon = testbed.site_mut(site).daemon().unwrap();
        let left = within.saturating_sub(mpt_lab::now().since(start));
        let status = daemon
            .wait_until(&format!("saying {text:?}"), left, |s| {
                s.peers[0].why.as_deref().is_some_and(|why| why.contains(text))
            })
            .unwrap_or_else(|e| panic!("{e:#}"));
        let peer = &status.peers[0];
        println!("{what}, site {site}: {}: {:?}", peer.state, peer.why);
        assert_eq!(peer.state, state);
        for path in &peer.paths {
            assert!(!path.in_use, "{path:?}");
            assert!(path.why.contains(text), "the path says {:?}", path.why);
        }
    }
    let traffic = Traffic::start(testbed.a(), testbed.b());
    sleep(ms(300));
    for stream in traffic.finish() {
        assert_eq!(stream.received, 0);
    }
}

#[test]
fn none_at_one_end_only_is_refused_and_both_say_why() {
    for ciphers in [["none", "auto"], ["aes-256-gcm", "none"]] {
        let mut testbed = with_ciphers(ciphers).build().unwrap();
        let says = ["cipher", "cipher"];
        refused(&format!("{ciphers:?}"), &mut testbed, "refused", says, ms(3000));
        // Put right at one end, it comes up by itself.
        let mut yaml = testbed.site(1).configuration().unwrap();
        yaml["cipher"] = json!(ciphers[0]);
        testbed.site(1).write_configuration(&yaml).unwrap();
        testbed.site_mut(1).restart().unwrap();
        let start = mpt_lab::now();
        for site in 0..2 {
            let daemon = testbed.site_mut(site).daemon().unwrap();
            daemon.wait_up(Duration::from_secs(6)).unwrap_or_else(|e| panic!("{e:#}"));
        }
        println!("{ciphers:?} put right: up after {:?}", mpt_lab::now().since(start));
    }
}

#[test]
fn different_ciphers_are_refused_and_both_say_why() {
    let ciphers = ["aes-256-gcm", "chacha20-poly1305"];
    let mut testbed = with_ciphers(ciphers).build().unwrap();
    refused(&format!("{ciphers:?}"), &mut testbed, "refused", ["cipher"; 2], ms(3000));
}

/// Different pre-shared keys at the two sites.
fn with_preshared_keys(keys: [u8; 2], builder: TestbedBuilder) -> TestbedBuilder {
    [0, 1].into_iter().fold(builder, |builder, site| {
        let key = keys[site];
        builder.configure(site, move |yaml| {
            // 32 bytes alike, in base64.
            let text = mpt_core::keys::PrivateKey::from_random([key; 32]).public_key().to_string();
            let file = yaml["private_key_file"].as_str().unwrap().replace(".key", ".psk");
            std::fs::write(&file, text).unwrap();
            let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
            std::fs::set_permissions(&file, mode).unwrap();
            yaml["peers"][0]["preshared_key_file"] = json!(file);
        })
    })
}

#[test]
fn a_preshared_key_has_to_be_the_same() {
    let builder = testbed().links([bridge(); 2]);
    let _ = running(with_preshared_keys([7, 7], builder));
    let mut testbed = with_preshared_keys([7, 8], testbed().links([bridge(); 2])).build().unwrap();
    let says = ["pre-shared keys differ"; 2];
    refused("pre-shared keys differ", &mut testbed, "connecting", says, Duration::from_secs(3));
}

#[test]
fn a_hub_hears_of_a_wrong_preshared_key_too() {
    let builder = testbed().links([bridge()]).configure(0, |yaml| {
        yaml["peers"][0]["paths"] = json!([]);
    });
    let mut testbed = with_preshared_keys([7, 8], builder).build().unwrap();
    let says = ["pre-shared keys differ"; 2];
    refused("seen by a hub", &mut testbed, "connecting", says, Duration::from_secs(8));
}

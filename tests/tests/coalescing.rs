//! Packets that come close together are waited for, to be handled together; others are not. Needs root or user
//! namespaces.

#![allow(clippy::unwrap_used, reason = "part of tests")]

mod support;

use mpt_lab::stream::{Stream, StreamConfig};
use mpt_lab::testbed::LinkSpec;
use serde_json::{Value, json};
use std::time::Duration;
use support::{running, testbed};

mpt_lab::kernel_tests!();

/// Sends so many packets of 200 bytes a second; how often the sending end waited meanwhile.
fn naps(coalesce: Value, rate: u64) -> u64 {
    let set = move |yaml: &mut Value| yaml["coalesce"] = coalesce.clone();
    let mut testbed = running(testbed().links(vec![LinkSpec::plain()]).configure(0, set));
    let mut told = || testbed.site_mut(0).daemon().unwrap().status().unwrap().tun.naps;
    let before = told();
    let (a, b) = (testbed.a(), testbed.b());
    let config = StreamConfig {
        size: 200,
        duration: Duration::from_secs(2),
        ..StreamConfig::new(b.host_port(5000), rate * 200 * 8)
    };
    let result = Stream::start(a.host(), b.host(), &config).unwrap().finish();
    assert_eq!((result.lost, result.out_of_order, result.duplicates), (0, 0, 0));
    let naps = testbed.site_mut(0).daemon().unwrap().status().unwrap().tun.naps - before;
    println!("{rate} packets a second: {} sent, {naps} naps", result.sent);
    naps
}

#[test]
fn a_fast_stream_is_gathered() {
    let naps = naps(json!("1ms"), 10_000);
    assert!(naps > 20, "{naps}");
}

#[test]
fn a_slow_one_is_not() {
    assert_eq!(naps(json!("1ms"), 500), 0);
}

#[test]
fn nor_any_where_it_is_off() {
    assert_eq!(naps(json!("off"), 10_000), 0);
}

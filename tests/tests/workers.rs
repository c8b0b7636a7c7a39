//! Several workers: flows keep their order whatever the numbers of workers at the two ends, and each
//! worker carries its part. Needs root or user namespaces.

#![allow(clippy::unwrap_used, reason = "part of tests")]

mod support;

use mpt_lab::emulator::Direction;
use mpt_lab::measure::peer;
use mpt_lab::stream::{Stream, StreamConfig};
use mpt_lab::testbed::{LinkSpec, Testbed};
use serde_json::{Value, json};
use std::time::Duration;
use support::{ms, running, testbed};

mpt_lab::kernel_tests!();

fn workers(links: Vec<LinkSpec>, counts: [u8; 2]) -> Testbed {
    let set = |count: u8| move |yaml: &mut Value| yaml["workers"] = json!(count);
    running(testbed().links(links).configure(0, set(counts[0])).configure(1, set(counts[1])))
}

/// Sixteen flows each way at once, over these links.
fn in_order(links: Vec<LinkSpec>, counts: [u8; 2], rate: u64) {
    let mut testbed = workers(links, counts);
    let config = |port, to: &mpt_lab::testbed::Site| StreamConfig {
        flows: 16,
        duration: Duration::from_secs(3),
        ..StreamConfig::new(to.host_port(port), rate)
    };
    let (a, b) = (testbed.a(), testbed.b());
    let there = Stream::start(a.host(), b.host(), &config(5000, b)).unwrap();
    let back = Stream::start(b.host(), a.host(), &config(5001, a)).unwrap();
    for (result, way) in [(there.finish(), "there"), (back.finish(), "back")] {
        println!(
            "{counts:?} {way}: {} sent, {} lost, {} out of order",
            result.sent, result.lost, result.out_of_order
        );
        assert!(result.sent > 1_000);
        assert_eq!(
            (result.lost, result.out_of_order, result.duplicates, result.corrupt),
            (0, 0, 0, 0)
        );
    }
    for (site, count) in counts.into_iter().enumerate() {
        let status = testbed.site_mut(site).daemon().unwrap().status().unwrap();
        assert_eq!(status.workers, u32::from(count));
        let peer = peer(&status).unwrap();
        assert_eq!((peer.reordering.late, peer.reordering.given_up), (0, 0));
    }
}

#[test]
fn as_many_at_both_ends() {
    in_order(vec![LinkSpec::plain(), LinkSpec::plain()], [2, 2], 60_000_000);
}

#[test]
fn one_against_three_over_unequal_delays() {
    let links = [3, 15].map(|delay| LinkSpec::new(40_000_000, ms(delay)));
    in_order(links.to_vec(), [1, 3], 20_000_000);
}

#[test]
fn more_than_processors() {
    in_order(vec![LinkSpec::plain()], [4, 2], 60_000_000);
}

/// Markers are for the worker that restores the order of the one that sent them: they are acknowledged at once, and an
/// idle tunnel is quiet.
#[test]
fn an_idle_tunnel_repeats_no_markers() {
    // A marker on a link: IPv4, UDP, control header, message, tag.
    const MARKER: u32 = 28 + 16 + 15 + 16;
    let links = vec![LinkSpec::new(20_000_000, ms(3)).weight(1); 2];
    let testbed = workers(links, [2, 2]);
    [1, 2].into_iter().for_each(|link| testbed.link(link).record());
    let (a, b) = (testbed.a(), testbed.b());
    let config = StreamConfig {
        flows: 16,
        duration: Duration::from_secs(1),
        ..StreamConfig::new(b.host_port(5000), 4_000_000)
    };
    let there = Stream::start(a.host(), b.host(), &config).unwrap();
    let destination = a.host_port(5001);
    let back =
        Stream::start(b.host(), a.host(), &StreamConfig { destination, ..config.clone() }).unwrap();
    assert_eq!((there.finish().lost, back.finish().lost), (0, 0));
    support::sleep(ms(1_500));
    let markers = |testbed: &Testbed| -> usize {
        let ways = [Direction::Forward, Direction::Backward];
        let on = |link| ways.map(|way| testbed.link(link).records(way));
        let all = [1, 2].into_iter().flat_map(on).flatten();
        all.filter(|record| record.bytes == MARKER).count()
    };
    let before = markers(&testbed);
    support::sleep(ms(3_000));
    let since = markers(&testbed) - before;
    println!("{before} markers, and {since} in 3 s without traffic");
    // The kernel itself may send a packet now and then.
    assert!(before >= 2, "both ends had two paths open");
    assert!(since <= 6, "{since} markers in 3 s without traffic");
}

/// A path that dies and returns under the traffic of both workers.
#[test]
fn a_path_fails_for_all_workers() {
    let links = vec![support::bridge(), support::bridge()];
    let mut testbed = workers(links, [2, 2]);
    let config = StreamConfig {
        flows: 8,
        duration: Duration::from_secs(5),
        ..StreamConfig::new(testbed.b().host_port(5000), 8_000_000)
    };
    let stream = Stream::start(testbed.a().host(), testbed.b().host(), &config).unwrap();
    std::thread::sleep(Duration::from_secs(1));
    testbed.link(1).unplug();
    std::thread::sleep(Duration::from_secs(2));
    testbed.link(1).plug();
    let result = stream.finish();
    println!(
        "{} sent, {} lost, {} out of order, gap {:.0} ms",
        result.sent,
        result.lost,
        result.out_of_order,
        result.longest_gap * 1e3
    );
    assert_eq!(result.out_of_order, 0);
    assert!(result.longest_gap < 1.0);
    let status = testbed.site_mut(0).daemon().unwrap().status().unwrap();
    let path = &peer(&status).unwrap().paths[0];
    assert!(path.downs >= 1 && path.in_use, "{path:?}");
}

//! Outages of both paths that overlap, with a bulk flow and calls: whole endpoints in virtual time.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_lab::link::{LinkProfile, QueueLimit};
use mpt_lab::sim::sweep::sweep;
use mpt_lab::sim::world::{Far, Traffic, Way, World};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

const LINK: LinkProfile = LinkProfile {
    rate_bps: Some(20_000_000),
    delay: Duration::from_millis(10),
    jitter: Duration::ZERO,
    jitter_correlation: Duration::ZERO,
    reorder: false,
    loss: 0.0,
    burst: None,
    queue: QueueLimit::Time(Duration::from_millis(100)),
    policer: None,
    blackhole: false,
};

/// Ten calls, and a bulk flow that one of the links can carry, for `time`; the calls' stream.
fn phase(w: &mut World, time: Duration) -> usize {
    w.stop_streams();
    w.stream(Traffic { flows: 1, bytes: 1_200, ..Traffic::new(0, 1, 15e6) });
    let calls = Traffic { flows: 10, bytes: 160, even: true, ..Traffic::new(0, 1, 640e3) };
    let calls = w.stream(calls);
    w.run(time);
    calls
}

/// The first path is dead until `a`, the second from `b` to `end`. Packets of the calls that were lost, of those sent while only
/// the first one was dead, both, only the second one, and just after; and how many of all that were lost a little later were not
/// sent again.
fn lost(seed: u64, b: Duration, a: Duration, end: Duration) -> ([u64; 4], u64) {
    let mut w = World::pair(seed, &[LINK; 2], Far::Configured);
    w.run_until_up(3 * S).unwrap();
    phase(&mut w, 2 * S);
    let some = w.any(100 * MS);
    w.run(some);
    w.lines[0].cut(Way::Both);
    let first = phase(&mut w, b);
    w.lines[1].cut(Way::Both);
    let both = phase(&mut w, a - b);
    w.lines[0].mend();
    let second = phase(&mut w, end - a);
    w.lines[1].mend();
    let after = phase(&mut w, 300 * MS);
    let before = w.ends[0].peer(w.now).repair.abandoned;
    // Then one in a hundred is lost by the way.
    w.lines[0].change(Way::Up, |p| p.loss = 0.01);
    phase(&mut w, S);
    w.lines[0].change(Way::Up, |p| p.loss = 0.0);
    phase(&mut w, S);
    let abandoned = w.ends[0].peer(w.now).repair.abandoned - before;
    ([first, both, second, after].map(|s| w.streams[s].missing()), abandoned)
}

#[test]
fn calls_survive_two_freezes_that_overlap() {
    sweep("dead: the first path for 450 ms, the second from 200 to 650 ms", 20, |seed| {
        let ([first, both, second, after], abandoned) = lost(seed, MS * 200, MS * 450, MS * 650);
        let all = format!("{first}, {both}, {second}, {after} lost, {abandoned} abandoned");
        // Of some 350. What is rescued may overflow the link that is back first.
        assert!(first == 0 && both + second <= 10 && after <= 20, "{all}");
        // With congestion none of some 25 is repaired.
        assert!(abandoned <= 5, "{all}");
    });
}

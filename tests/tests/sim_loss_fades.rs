//! A path that lost much is used again when it does no more: whole endpoints in virtual time.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_lab::link::{LinkProfile, QueueLimit};
use mpt_lab::sim::profiles::{Profile, Tunnel, world};
use mpt_lab::sim::quic::{Bulk, Control};
use mpt_lab::sim::sweep::sweep;
use mpt_lab::sim::world::{Traffic, Way, World};
use std::time::Duration;

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// In use again within this time of load, once its hold-down is over.
const BACK: Duration = Duration::from_secs(3);

/// A thin flow had few packets from which to learn how much was lost, and is as well off on the other path.
const BACK_LIGHT: Duration = Duration::from_secs(6);

/// The better path is the one that fails.
fn two() -> Profile {
    let link = |delay: u32| LinkProfile {
        rate_bps: Some(20_000_000),
        delay: delay * MS,
        queue: QueueLimit::Time(100 * MS),
        ..Default::default()
    };
    Profile { name: "two", links: [link(10), link(30)] }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Load {
    /// 50 packets a second.
    Light,
    /// A CUBIC flow.
    Bulk,
    /// More than either path takes.
    Constant,
}

impl Load {
    fn begin(self, w: &mut World, number: u16, seed: u64) {
        let one = Traffic { flows: 1, ..Traffic::new(0, 1, 28e6) };
        match self {
            Self::Light => {
                w.stream(Traffic { bytes: 200, even: true, rate_bps: 80e3, ..one });
            }
            Self::Constant => {
                w.stream(one);
            }
            Self::Bulk => {
                let (flow, _) = Bulk::new(w.now, (0, 1), number, Control::Cubic, seed);
                w.hosts.push(Box::new(flow));
            }
        }
    }
}

/// Under one load path A fails for 10 s; then, maybe after a pause, there is another.
fn fails(seed: u64, fail: impl Fn(&mut World), loads: (Load, Load), pause: Duration) {
    let mut w = world(&two(), Tunnel::Adaptive, seed);
    loads.0.begin(&mut w, 0, seed);
    w.run(5 * S);
    fail(&mut w);
    w.run(10 * S);
    w.lines[0].mend();
    w.lines[0].change(Way::Both, |p| p.loss = 0.0);
    w.stop_streams();
    w.hosts.clear();
    w.run(pause);
    loads.1.begin(&mut w, 1, seed);
    w.run_until(40 * S, |w| w.ends[0].path(w.now, 0).in_use)
        .expect("it is held down for 30 s at most");
    w.run(if loads.1 == Load::Light { BACK_LIGHT } else { BACK });
    let from = w.now;
    w.run(S);
    let packets = w.lines[0].data(Way::Up).iter().filter(|at| **at >= from).count();
    let path = w.ends[0].path(w.now, 0);
    let said =
        format!("{loads:?} after {pause:?}: {packets} packets, {}, {:?}", path.why, path.estimate);
    assert!(packets >= if loads.1 == Load::Light { 40 } else { 500 }, "{said}");
    // What is believed beside a load that is too much for one path follows slowly; from here on it keeps nothing away.
    let gone = |w: &World| w.ends[0].path(w.now, 0).estimate.unwrap().loss_random < 0.04;
    assert!(w.run_until(10 * S, gone).is_some(), "{said}");
}

const LOADS: [Load; 3] = [Load::Light, Load::Bulk, Load::Constant];

#[test]
fn after_a_burst_of_loss() {
    sweep("60 % lost for 10 s", 3, |seed| {
        for loads in LOADS.into_iter().flat_map(|a| LOADS.map(|b| (a, b))) {
            for pause in [Duration::ZERO, 60 * S] {
                fails(seed, |w| w.lines[0].change(Way::Both, |p| p.loss = 0.6), loads, pause);
            }
        }
    });
}

#[test]
fn after_an_outage() {
    sweep("an outage of 10 s", 2, |seed| {
        for way in [Way::Both, Way::Up] {
            for loads in LOADS.into_iter().flat_map(|a| LOADS.map(|b| (a, b))) {
                fails(seed, |w| w.lines[0].cut(way), loads, Duration::ZERO);
            }
        }
    });
}

/// What is lost all the time is no reason for a thin flow to try again and again.
#[test]
fn a_path_that_goes_on_losing_is_left_alone() {
    sweep("20 % lost for ever", 3, |seed| {
        let mut w = world(&two(), Tunnel::Adaptive, seed);
        w.lines[0].change(Way::Up, |p| p.loss = 0.2);
        Load::Light.begin(&mut w, 0, seed);
        w.run(20 * S);
        let before = w.ends[0].peer(w.now).paths;
        w.run(60 * S);
        let after = w.ends[0].peer(w.now).paths;
        let sent = |i: usize| after[i].tx_data_packets - before[i].tx_data_packets;
        let share = sent(0) as f64 / (sent(0) + sent(1)) as f64;
        println!("seed {seed}: {share:.3} by the path that loses");
        assert!(share < 0.2, "{share} by the path that loses");
    });
}

/// Nothing is lost, but much is late, markers among it: they come behind what was sent after them.
#[test]
fn what_is_late_is_not_lost() {
    sweep("two paths that reorder", 5, |seed| {
        let mut profile = two();
        for link in &mut profile.links {
            (link.jitter, link.reorder) = (5 * MS, true);
        }
        let mut w = world(&profile, Tunnel::Adaptive, seed);
        // Each pause of a path ends with a marker.
        let bursts = Traffic { flows: 1, ..Traffic::new(0, 1, 30e6) }.on_off(30 * MS, 60 * MS);
        w.stream(bursts);
        w.run(20 * S);
        w.stop_streams();
        w.run(S);
        for i in 0..2 {
            let path = w.ends[0].path(w.now, i);
            let (loss, random) = (path.loss_up.unwrap_or(0.0), path.estimate.unwrap().loss_random);
            println!("seed {seed}, path {i}: {loss}, {random}; {} packets", path.tx_data_packets);
            assert!(loss < 0.002 && random < 0.002, "seed {seed}, path {i}: {loss}, {random}");
        }
    });
}

/// Loss of minutes ago is not shown as if it were now.
#[test]
fn the_status_forgets() {
    let mut w = world(&two(), Tunnel::Adaptive, 5);
    Load::Constant.begin(&mut w, 0, 5);
    w.lines[0].change(Way::Both, |p| p.loss = 0.6);
    w.run(5 * S);
    let shown = |w: &World| {
        let path = w.ends[0].path(w.now, 0);
        let estimate = path.estimate.unwrap();
        (path.loss_up.unwrap_or(0.0), estimate.loss_random, estimate.queue)
    };
    let (up, ..) = shown(&w);
    assert!(up > 0.4, "{up}");
    w.lines[0].change(Way::Both, |p| p.loss = 0.0);
    w.stop_streams();
    w.run(60 * S);
    assert_eq!(shown(&w), (0.0, 0.0, 0.0));
}

//! Links that carry more one way than the other, as DSL, cable and LTE do: reports and acknowledgements share the narrow way
//! with what goes there.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_lab::link::{LinkProfile, QueueLimit};
use mpt_lab::sim::profiles::{Profile, Tunnel, world};
use mpt_lab::sim::quic::{Bulk, Control};
use mpt_lab::sim::steady::{Arrived, Steady};
use mpt_lab::sim::sweep::sweep;
use mpt_lab::sim::world::{Way, World};
use std::time::Duration;

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// Mbit/s down and up, delay and jitter in milliseconds, loss in per cent.
type Access = (f64, f64, u64, u64, f64);

const DSL_AND_LTE: [Access; 2] = [(50.0, 5.0, 10, 0, 0.0), (40.0, 10.0, 35, 8, 0.3)];
const CABLE_AND_LTE: [Access; 2] = [(200.0, 10.0, 12, 0, 0.0), (30.0, 8.0, 40, 8, 0.3)];

fn link(mbit: f64, (_, _, delay, jitter, loss): Access) -> LinkProfile {
    LinkProfile {
        rate_bps: Some((mbit * 1e6) as u64),
        delay: MS * delay as u32,
        jitter: MS * jitter as u32,
        reorder: true,
        loss: loss / 100.0,
        queue: QueueLimit::Time(MS * 100),
        ..LinkProfile::default()
    }
}

/// The way from end 0 to end 1 is down.
fn network(access: [Access; 2], tunnel: Tunnel, seed: u64) -> World {
    let profile = Profile { name: "asymmetric", links: access.map(|a| link(a.0, a)) };
    let mut world = world(&profile, tunnel, seed);
    let used = match tunnel {
        Tunnel::Alone(path) => vec![access[path]],
        Tunnel::Adaptive | Tunnel::Weighted => access.to_vec(),
    };
    for (line, a) in world.lines.iter_mut().zip(used) {
        line.change(Way::Down, |profile| *profile = link(a.1, a));
    }
    world
}

/// Mbit/s of a flow from second 4 on, and a call beside it the same way.
fn run(
    access: [Access; 2],
    tunnel: Tunnel,
    control: Control,
    down: bool,
    seed: u64,
) -> (f64, Arrived) {
    let mut world = network(access, tunnel, seed);
    let ends = if down { (0, 1) } else { (1, 0) };
    let (flow, achieved) = Bulk::new(world.now, ends, 0, control, seed);
    let at = (world.now, world.now + S * 4, world.now + S * 12);
    let (call, arrived) = Steady::new(ends, 5_004, 160, MS * 20, at);
    world.hosts.push(Box::new(flow));
    world.hosts.push(Box::new(call));
    world.run(S * 4);
    let before = achieved.borrow().bytes;
    world.run(S * 8);
    let rate = (achieved.borrow().bytes - before) as f64 * 8e-6 / 8.0;
    world.run(S);
    let arrived = arrived.borrow().clone();
    (rate, arrived)
}

#[test]
fn both_ways_of_both_links_are_used_and_calls_pass_by() {
    sweep("asymmetric", 1, |seed| {
        for (name, access) in [("DSL and LTE", DSL_AND_LTE), ("cable and LTE", CABLE_AND_LTE)] {
            for (control, down) in
                Control::ALL.into_iter().flat_map(|c| [true, false].map(|down| (c, down)))
            {
                let go = |tunnel| run(access, tunnel, control, down, seed);
                let [(a, _), (b, _)] = [0, 1].map(|path| go(Tunnel::Alone(path)));
                let (both, call) = go(Tunnel::Adaptive);
                let (way, p99) = (if down { "down" } else { "up" }, call.delay(0.99));
                let said = format!("{name}, {way}, {control}: {a:.1}, {b:.1}, {both:.1}; {p99:?}");
                // What the other link adds where it is a sixth of the first is not much to expect.
                let least = if a.min(b) > a.max(b) / 4.0 { 0.8 * (a + b) } else { 0.0 };
                assert!(both > (0.97 * a.max(b)).max(least), "{said}");
                // The faster link's own is 10 and 12 ms; with all of its queue before it, it would be 110.
                assert!(p99 < MS * 60 && call.loss() < 0.005, "{said}, {} lost", call.loss());
            }
        }
    });
}

//! Two paths that are one: both go through the same queue, as two SIMs of one operator or two bridges on one channel do.
//! Whole endpoints in virtual time, a bulk flow and a call beside it.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_lab::link::{Link, LinkProfile, QueueLimit};
use mpt_lab::sim::profiles::{Profile, Tunnel, world};
use mpt_lab::sim::quic::{Bulk, Control};
use mpt_lab::sim::steady::Steady;
use mpt_lab::sim::sweep::sweep;
use mpt_lab::sim::world::World;
use std::time::Duration;

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// Both paths through 20 Mbit/s with a queue of 100 ms, and behind that these delays.
fn shared(tunnel: Tunnel, delays: [u32; 2], seed: u64) -> World {
    let links = delays.map(|ms| LinkProfile { delay: ms * MS, ..Default::default() });
    let mut w = world(&Profile { name: "shared", links }, tunnel, seed);
    let narrow = LinkProfile {
        rate_bps: Some(20_000_000),
        queue: QueueLimit::Time(100 * MS),
        ..Default::default()
    };
    w.bottleneck = Some([seed, !seed].map(|seed| Link::new(narrow, seed)));
    w
}

/// Mbit/s of the flow; the share of the call that is lost, and its p99.
fn run(tunnel: Tunnel, delays: [u32; 2], control: Control, seed: u64) -> (f64, f64, Duration) {
    let mut w = shared(tunnel, delays, seed);
    let (flow, achieved) = Bulk::new(w.now, (0, 1), 0, control, seed);
    w.hosts.push(Box::new(flow));
    let at = (w.now + 7 * MS, w.now + 3 * S, w.now + 20 * S);
    let (call, arrived) = Steady::new((0, 1), 5_004, 160, 20 * MS, at);
    w.hosts.push(Box::new(call));
    w.run(5 * S);
    let before = achieved.borrow().bytes;
    w.run(15 * S);
    let rate = (achieved.borrow().bytes - before) as f64 * 8e-6 / 15.0;
    w.run(S);
    let call = arrived.borrow();
    (rate, call.loss(), call.delay(0.99))
}

#[test]
fn two_paths_through_one_queue_are_as_good_as_one() {
    sweep("shared bottleneck", 3, |seed| {
        for control in [Control::Cubic, Control::Bbr] {
            for delays in [[15, 15], [15, 20], [15, 40]] {
                let alone = run(Tunnel::Alone(0), delays, control, seed);
                let both = run(Tunnel::Adaptive, delays, control, seed);
                let said =
                    format!("{control:?}, {delays:?} ms: alone {alone:.3?}, both {both:.3?}");
                println!("{said}");
                assert!(both.0 > 0.95 * alone.0, "{said}");
                assert!(both.1 <= alone.1 + 0.002, "{said}");
                assert!(both.2 < alone.2 + 30 * MS, "{said}");
            }
        }
    });
}

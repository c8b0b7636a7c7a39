//! Name look-ups beside a bulk flow: a packet whose policy says `fastest` waits for a token of the fastest path rather than take a far one at
//! once. Whole endpoints in virtual time.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_lab::link::{LinkProfile, QueueLimit};
use mpt_lab::sim::profiles::{Profile, Tunnel, world};
use mpt_lab::sim::quic::{Bulk, Control};
use mpt_lab::sim::steady::Steady;
use mpt_lab::sim::sweep::sweep;
use std::time::Duration;

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

const DNS: u16 = 53;

fn link(mbit: u64, ms: u32) -> LinkProfile {
    LinkProfile {
        rate_bps: Some(mbit * 1_000_000),
        delay: ms * MS,
        queue: QueueLimit::Time(100 * MS),
        ..Default::default()
    }
}

#[test]
fn look_ups_beside_a_bulk_flow_go_by_the_near_path() {
    sweep("look-ups beside a bulk flow", 3, |seed| {
        for control in [Control::Cubic, Control::Bbr] {
            let profile = Profile { name: "near and far", links: [link(50, 10), link(20, 120)] };
            let mut w = world(&profile, Tunnel::Adaptive, seed);
            let (flow, _) = Bulk::new(w.now, (0, 1), 0, control, seed);
            w.hosts.push(Box::new(flow));
            let at = (w.now + 7 * MS, w.now + 5 * S, w.now + 20 * S);
            let (asks, arrived) = Steady::new((0, 1), DNS, 100, 50 * MS, at);
            w.hosts.push(Box::new(asks));
            w.run(21 * S);
            let (loss, p99) = (arrived.borrow().loss(), arrived.borrow().delay(0.99));
            println!("{control:?}: lost {loss}, p99 {p99:?}");
            assert!(loss == 0.0 && p99 < 40 * MS, "{control:?}: lost {loss}, p99 {p99:?}");
        }
    });
}

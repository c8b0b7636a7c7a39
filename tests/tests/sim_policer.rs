//! A path that drops what exceeds a rate, without a queue, beside one with a queue: whole endpoints in virtual time.
//! Says what comes, and holds it to what is reached today: such loss is not told from random loss.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_lab::link::{LinkProfile, Policer, QueueLimit};
use mpt_lab::sim::profiles::{Profile, Tunnel, world};
use mpt_lab::sim::quic::{Bulk, Control};
use mpt_lab::sim::steady::Steady;
use mpt_lab::sim::sweep::sweep;
use std::time::Duration;

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// Inner bytes of a constant stream's packet, and its headers on a link.
const BYTES: (usize, usize) = (1_200, 56);

/// 20 Mbit/s policed, and 10 with a queue, of these delays.
fn policed(delays: [u32; 2]) -> Profile {
    let [a, b] = delays.map(|ms| LinkProfile {
        delay: ms * MS,
        queue: QueueLimit::Time(100 * MS),
        ..Default::default()
    });
    let policer = Some(Policer { rate_bps: 20_000_000, burst: 60_000 });
    let links = [
        LinkProfile { rate_bps: Some(1_000_000_000), policer, ..a },
        LinkProfile { rate_bps: Some(10_000_000), ..b },
    ];
    Profile { name: "policed", links }
}

/// Mbit/s that the application reads.
fn bulk(profile: &Profile, tunnel: Tunnel, control: Control, seed: u64) -> f64 {
    let mut w = world(profile, tunnel, seed);
    let (flow, achieved) = Bulk::new(w.now, (0, 1), 0, control, seed);
    w.hosts.push(Box::new(flow));
    w.run(5 * S);
    let before = achieved.borrow().bytes;
    w.run(15 * S);
    (achieved.borrow().bytes - before) as f64 * 8e-6 / 15.0
}

/// The share of a constant stream of so many Mbit/s that is lost.
fn constant(profile: &Profile, mbit: f64, seed: u64) -> f64 {
    let mut w = world(profile, Tunnel::Adaptive, seed);
    let gap = Duration::from_secs_f64((BYTES.0 + BYTES.1) as f64 * 8e-6 / mbit);
    let at = (w.now, w.now + 5 * S, w.now + 20 * S);
    let (stream, arrived) = Steady::new((0, 1), 5_006, BYTES.0, gap, at);
    w.hosts.push(Box::new(stream));
    w.run(22 * S);
    arrived.borrow().loss()
}

#[test]
fn a_policed_path_beside_a_queue() {
    sweep("policed", 2, |seed| {
        for delays in [[20, 20], [5, 40]] {
            let profile = policed(delays);
            let udp = [18.0, 22.0, 26.0].map(|mbit| constant(&profile, mbit, seed));
            let flow = |control| {
                let through = |tunnel| bulk(&profile, tunnel, control, seed);
                [Tunnel::Alone(0), Tunnel::Alone(1), Tunnel::Adaptive].map(through)
            };
            let (cubic, bbr) = (flow(Control::Cubic), flow(Control::Bbr));
            let said = format!(
                "{delays:?} ms: of UDP at 18, 22 and 26 Mbit/s lost {udp:.3?}; A, B and both: CUBIC {cubic:.1?}, BBR {bbr:.1?}"
            );
            println!("{said}");
            assert!(udp.iter().all(|lost| *lost < 0.15), "{said}");
            assert!(cubic[2] > 9.0 && bbr[2] > 24.0, "{said}");
        }
    });
}

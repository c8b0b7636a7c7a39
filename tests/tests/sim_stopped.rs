//! An end whose peer's process is stopped for a while believes in no queue that cannot be: whole endpoints in virtual time.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_lab::link::{LinkProfile, QueueLimit};
use mpt_lab::sim::profiles::{Profile, Tunnel, world};
use mpt_lab::sim::quic::{Bulk, Control};
use mpt_lab::sim::sweep::sweep;
use mpt_lab::sim::world::{Traffic, World};
use std::time::Duration;

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

fn two(jitter: u32) -> Profile {
    let link = |delay: u32| LinkProfile {
        rate_bps: Some(10_000_000),
        delay: delay * MS,
        jitter: jitter * MS,
        reorder: true,
        queue: QueueLimit::Time(100 * MS),
        ..Default::default()
    };
    Profile { name: "two", links: [link(10), link(30)] }
}

/// Seconds of queue and of extra delay that the sending end believes in, at most.
fn believed(w: &World) -> (f64, f64) {
    let estimates = w.ends[0].peer(w.now).paths.into_iter().filter_map(|p| p.estimate);
    estimates.fold((0.0, 0.0), |(q, d), e| (e.queue.max(q), e.extra_delay.abs().max(d)))
}

/// Packets every so often, or a bulk flow.
fn load(w: &mut World, gap: Option<Duration>, seed: u64) {
    match gap {
        Some(gap) => {
            let rate_bps = 200.0 * 8.0 / gap.as_secs_f64();
            w.stream(Traffic { flows: 1, bytes: 200, ..Traffic::new(0, 1, rate_bps) });
        }
        None => {
            let (flow, _) = Bulk::new(w.now, (0, 1), 0, Control::Bbr, seed);
            w.hosts.push(Box::new(flow));
        }
    }
}

/// What cannot be is believed for no longer than this: the base delay would remember it for a minute.
const DISPELLED: Duration = Duration::from_secs(20);

/// Half a turn of the send times, seconds.
const HALF_A_TURN: f64 = 3.28;

/// Longer than any queue of the links, and than either path.
const MUCH: f64 = 0.25;

#[test]
fn a_stopped_receiver_leaves_no_queue_behind() {
    sweep("stopped", 2, |seed| {
        for (jitter, gap) in [0, 5].into_iter().flat_map(|j| GAPS.map(|g| (j, g))) {
            for stop in [2, 5, 20, 110] {
                let mut w = world(&two(jitter), Tunnel::Adaptive, seed);
                load(&mut w, gap, seed);
                w.run(30 * S);
                w.stop(1);
                w.run(stop * S);
                w.go_on(1);
                let (mut worst, mut after) = (believed(&w), Duration::ZERO);
                for i in 1..=200u32 {
                    w.run(100 * MS);
                    let now = believed(&w);
                    worst = (worst.0.max(now.0), worst.1.max(now.1));
                    if now.0 > MUCH || now.1 > MUCH {
                        after = i * 100 * MS;
                    }
                }
                let said = format!("jitter {jitter} gap {gap:?} stop {stop}: {worst:?}, {after:?}");
                let possible = worst.0 < HALF_A_TURN && worst.1 < HALF_A_TURN;
                assert!(possible && after <= DISPELLED, "{said}");
            }
        }
    });
}

/// Of a bulk flow, and of thin ones.
const GAPS: [Option<Duration>; 4] =
    [None, Some(Duration::from_millis(20)), Some(S), Some(Duration::from_secs(5))];

/// Both ends call and answer calls meanwhile, and old calls wait in the sockets of the one that is stopped.
#[test]
fn an_end_that_was_stopped_for_long_is_back_in_both_directions() {
    sweep("back", 4, |seed| {
        for (stopped, stop) in [0, 1].into_iter().flat_map(|e| STOPS.map(|s| (e, s))) {
            let mut w = world(&two(0), Tunnel::Adaptive, seed);
            for (from, to) in [(0, 1), (1, 0)] {
                w.stream(Traffic { flows: 1, bytes: 200, ..Traffic::new(from, to, 80e3) });
            }
            w.run(5 * S);
            w.stop(stopped);
            w.run(stop * S + 300 * MS);
            w.go_on(stopped);
            w.run(3 * S);
            let missing = |w: &World| [0, 1].map(|i: usize| w.streams[i].missing());
            let before = missing(&w);
            w.run(20 * S);
            let lost = [0, 1].map(|i: usize| missing(&w)[i].saturating_sub(before[i]));
            assert!(lost.iter().all(|&n| n < 5), "end {stopped}, {stop} s: {lost:?} of 1 000");
        }
    });
}

const STOPS: [u32; 9] = [3, 12, 20, 25, 30, 40, 60, 150, 200];

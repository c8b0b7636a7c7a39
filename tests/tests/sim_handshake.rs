//! Sessions that begin, change keys and end: whole endpoints in virtual time.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_core::{DropReason, Event};
use mpt_lab::link::{LinkProfile, QueueLimit};
use mpt_lab::sim::sweep::sweep;
use mpt_lab::sim::world::{Far, Traffic, Way, World};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

fn link(delay: u32) -> LinkProfile {
    LinkProfile {
        rate_bps: Some(20_000_000),
        delay: MS * delay,
        queue: QueueLimit::Time(MS * 100),
        ..Default::default()
    }
}

fn lossy(delay: u32, loss: f64) -> LinkProfile {
    LinkProfile { loss, ..link(delay) }
}

/// Until both ends can send to each other.
fn up(w: &World) -> bool {
    w.ends.iter().all(|end| {
        let changes = end.events.iter().rev();
        let last =
            changes.map(|(_, e)| e).find(|e| matches!(e, Event::PeerUp(_) | Event::PeerDown(_)));
        matches!(last, Some(Event::PeerUp(_)))
    })
}

#[test]
fn one_of_two_paths_is_dead_at_the_start() {
    for far in [Far::Configured, Far::Waits, Far::Hub] {
        sweep(&format!("dead path at the start, {far:?}"), 15, |seed| {
            let mut w = World::pair(seed, &[link(5), link(25)], far);
            let dead = w.below(2);
            w.lines[dead].cut(Way::Both);
            let later = w.any(S);
            w.run(later);
            let began = w.now;
            w.start(0);
            w.start(1);
            let stream = w.stream(Traffic::new(0, 1, 1e5));
            let at = w.run_until(1500 * MS, up).expect("up within 1.5 s");
            assert!(at.since(began) < 500 * MS, "{:?}", at.since(began));
            w.run(S);
            assert_eq!(w.streams[stream].out_of_order, 0);
            w.stop_streams();
            w.run(S);
            assert_eq!(w.streams[stream].missing(), 0, "the first packets wait for the session");
        });
    }
}

#[test]
fn both_begin_at_once() {
    for delays in [[5, 25], [25, 25], [0, 0], [600, 600], [3, 600]] {
        sweep(&format!("both begin at once, {delays:?} ms"), 15, |seed| {
            let mut w = World::pair(seed, &delays.map(link), Far::Configured);
            let apart = w.any(MS * delays[0] * 3);
            w.kill(1);
            w.run(apart);
            w.start(1);
            let began = w.now;
            let slow = MS * delays[0].min(delays[1]) * 8;
            let at = w.run_until(5 * S, up).expect("a session");
            assert!(at.since(began) < 600 * MS + slow, "up after {:?}", at.since(began));
            // And stays: no second session pulls the first from under it.
            w.run(10 * S);
            assert!(up(&w));
            let sessions = w.ends.iter().map(|e| e.peer(w.now).session_age.unwrap());
            let age = w.now.since(at).as_secs_f64();
            for own in sessions {
                assert!(own >= age - 3.0, "session of {own} s, up for {age} s");
            }
        });
    }
}

#[test]
fn links_lose_a_fifth() {
    sweep("20 % loss", 40, |seed| {
        let mut w = World::pair(seed, &[lossy(10, 0.2), lossy(40, 0.2)], Far::Waits);
        let at = w.run_until(10 * S, up).expect("a session");
        assert!(at.as_nanos() < 5_000_000_000, "up after {at:?}");
        // Handshake and confirmation may be lost; traffic must flow within 2 s of the first session.
        w.stream(Traffic::new(0, 1, 2e5));
        w.stream(Traffic::new(1, 0, 2e5));
        w.run(5 * S);
        for s in &w.streams {
            assert!(s.delivered > s.sent / 2, "{} of {} arrived", s.delivered, s.sent);
            // Lost several times over, a packet may outlast the patience for it and come late: 2 of 200 seeds.
            assert!(s.out_of_order <= 1, "{} out of order", s.out_of_order);
        }
    });
}

#[test]
fn only_a_very_slow_link() {
    sweep("600 ms and 5 % loss", 40, |seed| {
        let mut w = World::pair(seed, &[lossy(600, 0.05)], Far::Waits);
        let stream = w.stream(Traffic::new(0, 1, 1e5));
        let at = w.run_until(15 * S, up).expect("a session");
        assert!(at.as_nanos() < 10_000_000_000, "{at:?}");
        w.run(10 * S);
        let from = w.now;
        w.run(20 * S);
        // Losses are no failure, neither are 1.2 s without an answer.
        let pause = w.lines[0].longest_pause(Way::Up, from, w.now);
        assert!(pause < S, "nothing was sent for {pause:?}");
        assert_eq!(w.streams[stream].out_of_order, 0);
    });
}

/// Traffic both ways, and a restart of end `which`; returns how long nothing came out anywhere.
fn restart(w: &mut World, which: usize, with_close: bool, dead: Duration) -> Duration {
    w.run_until(3 * S, up).expect("a session");
    w.stream(Traffic::new(0, 1, 5e5));
    w.stream(Traffic::new(1, 0, 5e5));
    let settled = S + w.any(S);
    w.run(settled);
    if with_close {
        w.close(which);
    } else {
        w.kill(which);
    }
    w.run(dead);
    w.start(which);
    let began = w.now;
    // Numbers go on, so that what comes twice or late would be seen.
    for s in &mut w.streams {
        s.reset_extremes();
    }
    let back = w
        .run_until(5 * S, |w| w.streams.iter().all(|s| s.last_delivery.is_some_and(|t| t > began)))
        .expect("traffic again, both ways");
    w.run(2 * S);
    for s in &w.streams {
        assert_eq!((s.out_of_order, s.duplicates), (0, 0));
        assert!(w.now.since(s.last_delivery.unwrap()) < 100 * MS, "and it goes on");
    }
    back.since(began)
}

#[test]
fn a_peer_is_restarted() {
    for far in [Far::Configured, Far::Waits, Far::Hub] {
        for with_close in [true, false] {
            for which in [0, 1] {
                let name = format!("restart of end {which}, {far:?}, said goodbye: {with_close}");
                sweep(&name, 10, |seed| {
                    let mut w = World::pair(seed, &[link(5), link(25)], far);
                    let dead = w.any(3 * S);
                    let back = restart(&mut w, which, with_close, dead);
                    assert!(back < 2 * S, "traffic again after {back:?}");
                });
            }
        }
    }
}

#[test]
fn a_restart_after_an_hour() {
    sweep("an hour's absence", 1, |seed| {
        let mut w = World::pair(seed, &[link(5), link(25)], Far::Hub);
        let back = restart(&mut w, 1, false, 3600 * S);
        // Copies have become rare by then: one in 5 s.
        assert!(back < 6 * S, "traffic again after {back:?}");
    });
}

#[test]
fn keys_change_under_traffic_and_nobody_notices() {
    sweep("rekey under traffic", 2, |seed| {
        let mut w = World::pair(seed, &[link(5), link(25)], Far::Waits);
        w.run_until_up(3 * S).expect("up");
        w.run(S);
        w.stream(Traffic::new(0, 1, 4e5));
        w.stream(Traffic::new(1, 0, 4e5));
        let mut ages = Vec::new();
        for _ in 0..40 {
            w.run(10 * S);
            ages.push(w.ends[0].peer(w.now).session_age.unwrap());
        }
        assert!(ages.iter().all(|age| *age < 135.0), "{ages:?}");
        assert!(ages.windows(2).filter(|a| a[1] < a[0]).count() >= 3, "three changes: {ages:?}");
        w.stop_streams();
        w.run(S);
        for s in &w.streams {
            assert_eq!((s.missing(), s.out_of_order, s.duplicates), (0, 0, 0), "of {}", s.sent);
            assert!(s.delay_max < 40 * MS, "{:?}", s.delay_max);
            assert!(s.longest_gap < 300 * MS, "{:?}", s.longest_gap);
        }
        for (i, end) in w.ends.iter().enumerate() {
            // The copy of an initiation that comes by the slower path is known by then.
            let mut drops = end.status(w.now).peers.swap_remove(0).drops;
            drops.retain(|d| d.reason != "replayed" || d.count > 8);
            assert!(drops.is_empty(), "end {i}: {drops:?}");
            assert!(end.events.iter().all(|(_, e)| !matches!(e, Event::PeerDown(_))));
        }
    });
}

#[test]
fn keys_change_on_lossy_links() {
    sweep("rekey, 20 % loss", 2, |seed| {
        let mut w = World::pair(seed, &[lossy(10, 0.2), lossy(40, 0.2)], Far::Waits);
        w.run_until(10 * S, up).expect("a session");
        w.run(S);
        w.stream(Traffic::new(0, 1, 3e5));
        w.stream(Traffic::new(1, 0, 3e5));
        w.run(S);
        for s in &mut w.streams {
            s.reset_extremes();
        }
        w.run(400 * S);
        for s in &w.streams {
            assert_eq!(s.out_of_order, 0);
            assert!(s.longest_gap < S, "{:?}", s.longest_gap);
            let share = s.missing() as f64 / s.sent as f64;
            // So much loss is taken for congestion most of the time, and not repaired.
            assert!(share < 0.23, "{share}");
        }
    });
}

#[test]
fn an_idle_tunnel_keeps_its_session() {
    sweep("idle for an hour", 2, |seed| {
        let mut w = World::pair(seed, &[link(5), link(25)], Far::Hub);
        w.run_until(3 * S, up).expect("a session");
        w.run(3600 * S);
        assert!(up(&w));
        let goes_down = |(_, e): &(_, Event)| matches!(e, Event::PathDown(..) | Event::PeerDown(_));
        for end in &w.ends {
            assert_eq!(end.events.iter().find(|e| goes_down(e)), None);
        }
        let stream = w.stream(Traffic::new(1, 0, 1e5));
        w.run(S);
        w.stop_streams();
        w.run(S);
        assert_eq!(w.streams[stream].missing(), 0);
    });
}

#[test]
fn a_session_that_cannot_be_renewed_expires() {
    sweep("expiry", 5, |seed| {
        let mut w = World::pair(seed, &[link(5)], Far::Waits);
        w.run_until(3 * S, up).expect("a session");
        // Only handshakes are swallowed: the path works, new keys cannot be agreed on.
        let handshakes_not = || Some(Box::new(|_, d: &[u8]| d[0] > 3) as _);
        w.lines[0].filter(Way::Up, handshakes_not());
        let stream = w.stream(Traffic::new(0, 1, 1e5));
        w.run(170 * S);
        assert!(up(&w) && w.streams[stream].missing() < 3);
        w.run(20 * S);
        for end in &w.ends {
            assert_eq!(end.peer(w.now).state, "connecting");
        }
        let last = w.streams[stream].last_delivery.unwrap();
        assert!(w.now.since(last) > 5 * S);
        w.lines[0].filter(Way::Up, None);
        w.run(3 * S);
        assert!(up(&w), "and begins anew");
        assert_eq!(w.streams[stream].out_of_order, 0);
        assert_eq!(w.ends[1].drops(w.now, DropReason::BadTag), 0);
    });
}

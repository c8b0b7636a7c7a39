//! Order through whole endpoints: whatever paths do, a flow's packets come out as they went in.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_core::wire::MessageType;
use mpt_core::{PathId, Weight};
use mpt_lab::link::{LinkProfile, QueueLimit};
use mpt_lab::sim::sweep::sweep;
use mpt_lab::sim::world::{Far, Traffic, Way, World, packet};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

fn link(delay: u32, jitter: u32) -> LinkProfile {
    LinkProfile {
        rate_bps: Some(4_000_000),
        delay: MS * delay,
        jitter: MS * jitter,
        queue: QueueLimit::Time(MS * 100),
        ..Default::default()
    }
}

fn up(seed: u64, paths: &[LinkProfile]) -> World {
    let mut w = World::pair(seed, paths, Far::Configured);
    w.run_until_up(5 * S).expect("all paths answer");
    w.run(S);
    w
}

fn weight(w: &mut World, end: usize, path: usize, weight: u64) {
    let (path, weight) = (PathId::new(path as u8).unwrap(), Weight::new(weight).unwrap());
    w.operate(end, |endpoint, _, peer| endpoint.set_weight(peer, path, weight));
}

fn enable(w: &mut World, end: usize, path: usize, enabled: bool) {
    let path = PathId::new(path as u8).unwrap();
    w.operate(end, |endpoint, now, peer| endpoint.set_enabled(now, peer, path, enabled));
}

/// No packet of any stream came out of order or twice.
fn assert_order(w: &World) {
    for (i, s) in w.streams.iter().enumerate() {
        assert_eq!((s.out_of_order, s.duplicates), (0, 0), "stream {i}, {} packets", s.delivered);
        assert!(s.delivered > 100, "only {} packets", s.delivered);
    }
}

#[test]
fn steady_and_on_off_traffic_on_fifo_links() {
    let pairs = [
        [link(3, 0), link(3, 0)],
        [link(5, 5), link(25, 5)],
        [link(20, 5), link(120, 5)],
        [
            LinkProfile { rate_bps: None, ..link(0, 0) },
            LinkProfile { rate_bps: None, ..link(0, 0) },
        ],
    ];
    for paths in pairs {
        let name =
            format!("{:?}/{:?}, jitter {:?}", paths[0].delay, paths[1].delay, paths[1].jitter);
        sweep(&name, 3, |seed| {
            let mut w = up(seed, &paths);
            w.stream(Traffic::new(0, 1, 5.5e6));
            w.stream(Traffic::new(1, 0, 6e6).on_off(100 * MS, 100 * MS));
            w.stream(Traffic::new(1, 0, 4e5).on_off(30 * MS, 30 * MS));
            w.run(5 * S);
            w.stop_streams();
            w.run(S);
            assert_order(&w);
        });
    }
}

#[test]
fn sparse_traffic_that_opens_and_closes_paths_all_the_time() {
    sweep("5 % load, on/off", 4, |seed| {
        let mut w = up(seed, &[link(5, 5), link(25, 5)]);
        w.stream(Traffic::new(0, 1, 4e5).on_off(50 * MS, 50 * MS));
        w.run(30 * S);
        assert_order(&w);
    });
}

#[test]
fn weights_change_all_the_time() {
    sweep("weights", 4, |seed| {
        let mut w = up(seed, &[link(5, 0), link(25, 0), link(15, 3)]);
        w.stream(Traffic::new(0, 1, 4e6));
        w.stream(Traffic::new(1, 0, 4e6));
        for _ in 0..40 {
            let (end, path, new) = (w.below(2), w.below(3), 1 + w.below(9) as u64);
            weight(&mut w, end, path, new);
            let pause = w.any(300 * MS);
            w.run(pause);
        }
        assert_order(&w);
    });
}

#[test]
fn weights_count_from_the_next_packet() {
    sweep("weights in bytes", 5, |seed| {
        let free = LinkProfile { rate_bps: None, ..link(5, 0) };
        let mut w = up(seed, &[free, free]);
        w.stream(Traffic::new(0, 1, 8e6));
        for (a, b) in [(1, 1), (4, 1), (1, 3), (10_000, 1), (7, 9)] {
            weight(&mut w, 0, 0, a);
            weight(&mut w, 0, 1, b);
            let from = w.now;
            w.run(3 * S);
            let of = |i: usize| {
                let data = w.lines[i].data(Way::Up);
                (data.len() - data.partition_point(|&t| t < from)) as f64
            };
            let (want, got) = (a as f64 / (a + b) as f64, of(0) / (of(0) + of(1)));
            assert!((got - want).abs() < 0.005, "{a}:{b} gave {got}");
        }
        assert_order(&w);
    });
}

#[test]
fn paths_fail_and_return_under_traffic() {
    sweep("failing paths of 5, 25 and 60 ms", 5, |seed| {
        let mut w = up(seed, &[link(5, 2), link(25, 2), link(60, 2)]);
        w.stream(Traffic::new(0, 1, 5e6));
        w.stream(Traffic::new(1, 0, 2e6).on_off(200 * MS, 100 * MS));
        for _ in 0..4 {
            let line = w.below(3);
            let way = [Way::Both, Way::Up, Way::Down][w.below(3)];
            w.lines[line].cut(way);
            let time = w.any(2 * S);
            w.run(time);
            w.lines[line].mend();
            let time = w.any(2 * S);
            w.run(time);
        }
        w.stop_streams();
        w.run(S);
        assert_order(&w);
    });
}

#[test]
fn paths_are_taken_out_of_use_and_back_under_traffic() {
    sweep("paths disabled and enabled", 5, |seed| {
        let mut w = up(seed, &[link(5, 0), link(60, 0)]);
        w.stream(Traffic::new(0, 1, 5e6));
        w.stream(Traffic::new(1, 0, 3e6));
        for _ in 0..4 {
            let (end, path) = (w.below(2), w.below(2));
            enable(&mut w, end, path, false);
            let time = 500 * MS + w.any(S);
            w.run(time);
            enable(&mut w, end, path, true);
            let time = 3 * S + w.any(S);
            w.run(time);
        }
        w.stop_streams();
        w.run(S);
        assert_order(&w);
        // Nothing is lost by it either: both links carried what was under way, and the queue of one
        // is the only place where anything may be dropped.
    });
}

#[test]
fn links_that_reorder_are_learned() {
    let reordering = |delay, jitter| LinkProfile { reorder: true, ..link(delay, jitter) };
    let mut delivered = 0;
    let mut out_of_order = 0;
    sweep("5/25 ms, jitter 5 reorders", 6, |seed| {
        let mut w = up(seed, &[reordering(5, 5), reordering(25, 5)]);
        w.stream(Traffic::new(0, 1, 5e6));
        w.run(2 * S);
        let (d, o) = (w.streams[0].delivered, w.streams[0].out_of_order);
        w.run(10 * S);
        delivered += w.streams[0].delivered - d;
        out_of_order += w.streams[0].out_of_order - o;
        assert_eq!(w.streams[0].duplicates, 0);
    });
    println!("{out_of_order} of {delivered} out of order");
    assert!(out_of_order as f64 <= delivered as f64 * 0.000_1, "{out_of_order} of {delivered}");
}

#[test]
fn congestion_marked_outside_shows_inside() {
    sweep("CE", 3, |seed| {
        let mut w = up(seed, &[link(5, 0), link(25, 0)]);
        let capable = w.stream(Traffic { tos: 0b10, ..Traffic::new(0, 1, 1e6) });
        let not = w.stream(Traffic::new(0, 1, 1e6));
        w.run(S);
        w.lines[1].marks = true;
        w.run(4 * S);
        w.stop_streams();
        w.run(S);
        let (c, n) = (&w.streams[capable], &w.streams[not]);
        // Half of the last four of five seconds.
        let share = c.ce as f64 / c.delivered as f64;
        assert!((0.33..0.47).contains(&share), "{share}");
        assert_eq!((n.ce, c.missing(), n.missing()), (0, 0, 0));
        assert_order(&w);
    });
}

#[test]
fn the_mss_of_a_syn_is_lowered_to_what_fits() {
    let mut w = World::pair(1, &[link(5, 0), link(25, 0)], Far::Configured);
    w.lines[1].mtu = 1_400;
    w.run(30 * S);
    let mut syn = vec![0; 44];
    packet::write(
        &mut syn,
        packet::Note { stream: 9, flow: 0, number: 0, sent: w.now },
        0,
        1,
        0,
        48,
    );
    syn.truncate(44);
    syn[2..4].copy_from_slice(&44u16.to_be_bytes());
    syn[9] = 6;
    syn[20..44].fill(0);
    syn[32] = 6 << 4;
    syn[33] = 2;
    syn[40..44].copy_from_slice(&[2, 4, 0x05, 0xb4]);
    w.send_packet(0, &mut syn);
    w.run(S);
    let (end, got) = w.strays.pop().expect("it comes out");
    let mss = u16::from_be_bytes([got[42], got[43]]);
    assert_eq!(end, 1);
    let fits = w.ends[0].endpoint.mtu();
    assert!((1_280..=1_400 - 28 - 36).contains(&fits), "tunnel MTU {fits}");
    assert_eq!(mss, fits - 40);
}

#[test]
fn data_packets_are_what_the_lines_count() {
    // The tests above trust `Line::data`; this one counts for itself.
    let mut w = up(3, &[link(5, 0)]);
    w.recording = Some(Vec::new());
    let before = w.lines[0].data(Way::Up).len();
    w.stream(Traffic::new(0, 1, 1e6));
    w.run(S);
    let recorded = w.recording.take().unwrap();
    let data = |d: &&[u8]| MessageType::of(d) == Some(MessageType::Data);
    let count = recorded.iter().map(|r| r.bytes.as_slice()).filter(data).count();
    assert_eq!(count, w.lines[0].data(Way::Up).len() - before);
    assert_eq!(count as u64, w.streams[0].sent);
}

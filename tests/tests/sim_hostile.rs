//! What a stranger, a relay or a malicious peer can do: nothing, or little.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_core::control::Status;
use mpt_core::wire::MessageType;
use mpt_core::{DatagramMeta, DropReason, SocketId};
use mpt_lab::link::LinkProfile;
use mpt_lab::sim::sweep::sweep;
use mpt_lab::sim::world::{Far, Recorded, Traffic, Way, World};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

fn link(delay: u32) -> LinkProfile {
    LinkProfile { rate_bps: Some(20_000_000), delay: MS * delay, ..Default::default() }
}

/// Everything an end says of itself but its drops.
fn state(w: &World, end: usize) -> Status {
    let mut status = w.ends[end].status(w.now);
    status.drops.clear();
    status.peers.iter_mut().for_each(|p| p.drops.clear());
    status
}

fn drops(w: &World, end: usize) -> u64 {
    DropReason::ALL.iter().map(|&r| w.ends[end].drops(w.now, r)).sum()
}

/// Datagrams to end 1 of every kind, all of them received.
fn overheard(seed: u64) -> (World, Vec<Recorded>) {
    let mut w = World::new(seed);
    w.recording = Some(Vec::new());
    w.add_end();
    w.add_end();
    w.connect(0, 1, &[link(5), link(25)], Far::Configured);
    w.run(2 * S);
    w.stream(Traffic::new(0, 1, 4e5));
    w.stream(Traffic::new(1, 0, 4e5).on_off(50 * MS, 50 * MS));
    w.run(2 * S);
    w.stop_streams();
    w.run(S);
    let recorded = w.recording.take().unwrap();
    // What was sent last has to arrive.
    w.run(200 * MS);
    (w, recorded.into_iter().filter(|r| r.to == 1).collect())
}

fn kinds(recorded: &[Recorded]) -> BTreeMap<u8, usize> {
    let mut kinds = BTreeMap::new();
    for r in recorded {
        *kinds.entry(r.bytes[0] & 0x0f).or_default() += 1;
    }
    kinds
}

#[test]
fn what_was_recorded_and_is_sent_again_is_dropped_and_counted() {
    sweep("replay", 5, |seed| {
        let (mut w, recorded) = overheard(seed);
        let seen = kinds(&recorded);
        for kind in [1, 4, 5, 6, 7, 9] {
            assert!(seen.contains_key(&kind), "no datagram of type {kind} in {seen:?}");
        }
        let before = state(&w, 1);
        let known = w.ends[1].drops(w.now, DropReason::Replayed);
        let streams: Vec<_> = w.streams.iter().map(|s| (s.delivered, s.duplicates)).collect();
        let mut again = 0;
        for r in &recorded {
            if r.bytes[0] & 0x0f > 3 {
                w.inject(1, r.meta, &r.bytes);
                again += 1;
            }
        }
        assert_eq!(state(&w, 1), before);
        let counted = w.ends[1].drops(w.now, DropReason::Replayed) - known;
        assert_eq!(counted, again, "each one counted as what it is");
        // Handshakes are answered or dropped, and change nothing that works.
        for r in recorded.iter().filter(|r| r.bytes[0] & 0x0f <= 3) {
            w.inject(1, r.meta, &r.bytes);
        }
        let mut after = state(&w, 1);
        after.peers[0].session_age = before.peers[0].session_age;
        assert_eq!(after, before);
        w.run(5 * S);
        let now: Vec<_> = w.streams.iter().map(|s| (s.delivered, s.duplicates)).collect();
        assert_eq!(now, streams);
        assert_works(&mut w);
    });
}

/// Packets pass both ways.
fn assert_works(w: &mut World) {
    let first = w.stream(Traffic::new(0, 1, 2e5));
    w.stream(Traffic::new(1, 0, 2e5));
    w.run(S);
    w.stop_streams();
    w.run(S);
    for s in &w.streams[first..] {
        assert_eq!((s.missing(), s.duplicates, s.out_of_order), (0, 0, 0));
    }
}

#[test]
fn a_flipped_bit_is_noticed_in_every_kind_of_datagram() {
    sweep("bit flips", 5, |seed| {
        let (mut w, recorded) = overheard(seed);
        let before = state(&w, 1);
        let dropped = drops(&w, 1);
        let mut flipped = 0;
        for r in &recorded {
            for _ in 0..4 {
                let mut bytes = r.bytes.clone();
                // The second MAC of a handshake message counts under load only.
                let len = if bytes[0] & 0x0f <= 2 { bytes.len() - 16 } else { bytes.len() };
                let bit = w.below(len * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
                w.inject(1, r.meta, &bytes);
                flipped += 1;
            }
        }
        assert_eq!(drops(&w, 1), dropped + flipped);
        assert_eq!(state(&w, 1), before);
        assert_works(&mut w);
    });
}

#[test]
fn datagrams_damaged_on_the_way_before_the_true_ones_come() {
    // Not replays: the true datagram is still under way, and must count when it comes.
    sweep("damaged copies first", 5, |seed| {
        let mut w = World::pair(seed, &[link(5), link(25)], Far::Configured);
        w.run_until_up(3 * S).unwrap();
        w.stream(Traffic::new(0, 1, 4e5));
        w.stream(Traffic::new(1, 0, 4e5));
        w.recording = Some(Vec::new());
        let end = w.now + 3 * S;
        let mut damaged = [drops(&w, 0), drops(&w, 1)];
        while w.now < end {
            w.run(2 * MS);
            for r in w.recording.replace(Vec::new()).unwrap() {
                let mut bytes = r.bytes;
                let bit = w.below(bytes.len() * 8);
                bytes[bit / 8] ^= 1 << (bit % 8);
                w.inject(r.to, r.meta, &bytes);
                damaged[r.to] += 1;
            }
        }
        w.recording = None;
        assert_eq!([drops(&w, 0), drops(&w, 1)], damaged);
        w.stop_streams();
        w.run(S);
        for s in &w.streams {
            assert_eq!((s.missing(), s.duplicates, s.out_of_order), (0, 0, 0));
        }
    });
}

#[test]
fn noise_is_dropped() {
    sweep("random bytes", 5, |seed| {
        let (mut w, recorded) = overheard(seed);
        let before = state(&w, 1);
        let dropped = drops(&w, 1);
        let mut count = 0;
        for _ in 0..2_000 {
            let len = w.below(300);
            let mut bytes: Vec<u8> = (0..len).map(|_| w.below(256) as u8).collect();
            // Half of them look right at first sight: a known type, and a true index.
            let like = &recorded[w.below(recorded.len())];
            if count % 2 == 0 && len > 8 {
                bytes[..8].copy_from_slice(&like.bytes[..8]);
            }
            w.inject(1, like.meta, &bytes);
            count += 1;
        }
        assert_eq!(state(&w, 1), before);
        assert_eq!(drops(&w, 1), dropped + count);
        assert_works(&mut w);
    });
}

#[test]
fn a_flood_of_initiations_costs_cookies_and_no_sessions() {
    sweep("flood of initiations", 5, |seed| {
        let (mut w, recorded) = overheard(seed);
        let before = state(&w, 1);
        let initiation = |r: &&Recorded| MessageType::of(&r.bytes) == Some(MessageType::Initiation);
        let one = recorded.iter().find(initiation).unwrap().clone();
        w.stream(Traffic::new(0, 1, 4e5));
        w.stream(Traffic::new(1, 0, 4e5));
        for i in 0..5_000u32 {
            let source = SocketAddr::from(([192, 0, (i >> 8) as u8, i as u8], 1_000));
            w.inject(1, DatagramMeta { source, ..one.meta }, &one.bytes);
            if i % 5 == 0 {
                w.run(MS);
            }
        }
        let answered: usize = w.astray.iter().map(|(_, bytes)| bytes).sum();
        let flood = 5_000 * one.bytes.len();
        assert!(answered < flood / 2, "{answered} bytes of answers to {flood}");
        let full = w.astray.iter().filter(|(_, bytes)| *bytes > 64).count();
        assert!(full <= 160, "{full} of 5 000 were worth an answer");
        w.stop_streams();
        w.run(S);
        for s in &w.streams[2..] {
            assert_eq!((s.missing(), s.duplicates, s.out_of_order), (0, 0, 0));
        }
        assert_eq!(state(&w, 1).peers[0].state, before.peers[0].state);
        assert!(w.ends[1].path_went_down(0, mpt_core::Time::ZERO).is_none());
    });
}

#[test]
fn a_true_peer_comes_through_a_flood_of_initiations() {
    sweep("handshake under a flood", 5, |seed| {
        let (mut w, recorded) = overheard(seed);
        let initiation = |r: &&Recorded| MessageType::of(&r.bytes) == Some(MessageType::Initiation);
        let one = recorded.iter().find(initiation).unwrap().clone();
        w.kill(0);
        w.start(0);
        let began = w.now;
        let stream = w.stream(Traffic::new(0, 1, 1e5));
        for i in 0..2_000u32 {
            let source = SocketAddr::from(([192, 0, (i >> 8) as u8, i as u8], 1_000));
            w.inject(1, DatagramMeta { source, ..one.meta }, &one.bytes);
            w.run(MS);
        }
        let first = w.streams[stream].first_delivery.expect("a session under load");
        assert!(first.since(began) < 1500 * MS, "after {:?}", first.since(began));
    });
}

/// The most an end held at any time.
fn held_peak(w: &World, end: usize) -> u64 {
    w.ends[end].status(w.now).peers.iter().map(|p| p.reordering.held_bytes_peak).sum()
}

#[test]
fn a_peer_that_holds_back_a_packet_again_and_again() {
    sweep("held back", 2, |seed| {
        let fast = LinkProfile { rate_bps: None, ..link(5) };
        let mut w = World::pair(seed, &[fast, fast], Far::Configured);
        w.run_until_up(3 * S).unwrap();
        // Path 1 sends on, so that it counts as alive, but nothing of its data comes until much later.
        let mut n = 0u32;
        w.lines[1].filter(
            Way::Up,
            Some(Box::new(move |_, d| {
                n += 1;
                d[0] & 0x0f != 4 || n.is_multiple_of(40)
            })),
        );
        w.stream(Traffic { flows: 1, bytes: 1_400, ..Traffic::new(0, 1, 150e6) });
        w.run(3 * S);
        w.stop_streams();
        w.run(2 * S);
        let r = w.ends[1].reordering(w.now);
        assert!(r.held > 500, "{r:?}");
        assert!(r.held_bytes_peak <= 4 << 20, "{} bytes held", r.held_bytes_peak);
        assert_eq!((r.held_now, r.held_bytes), (0, 0));
        assert_eq!(w.streams[0].out_of_order, 0);
        let came = w.ends[1].peer(w.now).rx_packets;
        assert_eq!(came, w.streams[0].delivered, "what came is delivered");
    });
}

#[test]
fn a_path_that_stalls_under_a_flood_holds_no_more_than_the_cap() {
    sweep("stall at 300 Mbit/s", 2, |seed| {
        let fast = LinkProfile { rate_bps: None, ..link(5) };
        let mut w = World::pair(
            seed,
            &[fast, LinkProfile { rate_bps: None, ..link(400) }],
            Far::Configured,
        );
        w.run_until_up(5 * S).unwrap();
        w.stream(Traffic { flows: 4, bytes: 1_400, ..Traffic::new(0, 1, 300e6) });
        w.run(S);
        w.lines[1].cut(Way::Up);
        w.run(S);
        w.stop_streams();
        w.run(2 * S);
        let r = w.ends[1].reordering(w.now);
        assert!(r.held_bytes_peak > 3 << 20, "the cap was reached: {}", r.held_bytes_peak);
        assert!(r.held_bytes_peak <= 4 << 20, "{} bytes held", r.held_bytes_peak);
        assert_eq!((r.held_now, r.held_bytes), (0, 0));
        assert_eq!(w.streams[0].duplicates, 0);
    });
}

#[test]
fn many_peers_together_hold_no_more_than_the_total() {
    sweep("six peers stall", 1, |seed| {
        let mut w = World::new(seed);
        let hub = w.add_end();
        let fast = |delay| LinkProfile { rate_bps: None, ..link(delay) };
        for _ in 0..6 {
            let spoke = w.add_end();
            w.connect(spoke, hub, &[fast(5), fast(400)], Far::Hub);
        }
        w.run(3 * S);
        for spoke in 1..=6 {
            let flood = Traffic { flows: 1, bytes: 1_400, ..Traffic::new(spoke, hub, 150e6) };
            w.stream(flood);
        }
        let mut most = 0;
        for _ in 0..100 {
            w.run(10 * MS);
            let status = w.ends[hub].status(w.now);
            most = most.max(status.peers.iter().map(|p| p.reordering.held_bytes).sum::<u64>());
        }
        w.stop_streams();
        w.run(2 * S);
        assert!(most > 15 << 20, "the cap was reached: {most}");
        assert!(most <= 16 << 20, "{most} bytes held at once");
        let status = w.ends[hub].status(w.now);
        assert!(status.peers.iter().all(|p| p.reordering.held_bytes == 0));
        assert!(held_peak(&w, hub) >= most);
        for s in &w.streams {
            assert_eq!((s.missing(), s.duplicates), (0, 0), "all delivered, if not in order");
        }
    });
}

#[test]
fn sources_outside_allowed_ips_are_dropped_and_counted() {
    let mut w = World::new(1);
    let hub = w.add_end();
    for _ in 0..2 {
        let spoke = w.add_end();
        w.connect(spoke, hub, &[link(5)], Far::Hub);
    }
    w.run(2 * S);
    // Spoke 1 speaks as spoke 2.
    let mut packet = Vec::new();
    let note = mpt_lab::sim::world::packet::Note { stream: 0, flow: 0, number: 0, sent: w.now };
    mpt_lab::sim::world::packet::write(&mut packet, note, 2, hub, 0, 100);
    w.send_packet(1, &mut packet);
    w.run(S);
    assert_eq!(w.ends[hub].drops(w.now, DropReason::NotAllowed), 1);
    assert!(w.strays.is_empty());
    // And one to nobody is dropped where it comes from.
    mpt_lab::sim::world::packet::write(&mut packet, note, 1, 200, 0, 100);
    w.send_packet(1, &mut packet);
    assert_eq!(w.ends[1].drops(w.now, DropReason::NoPeer), 1);
}

#[test]
fn datagrams_to_another_socket_or_from_nowhere_change_nothing() {
    let (mut w, recorded) = overheard(1);
    let before = state(&w, 1);
    for r in recorded.iter().filter(|r| r.bytes[0] & 0x0f > 3) {
        let source = SocketAddr::from(([0, 0, 0, 0], 0));
        w.inject(1, DatagramMeta { socket: SocketId(77), source, ..r.meta }, &r.bytes);
    }
    assert_eq!(state(&w, 1), before);
}

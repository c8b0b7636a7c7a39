//! Addresses that change, paths that only one end knows, and many of them.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_core::config::{LocalEnd, PathConfig};
use mpt_core::{DatagramMeta, PathId};
use mpt_lab::link::LinkProfile;
use mpt_lab::sim::sweep::sweep;
use mpt_lab::sim::world::{Far, Traffic, Way, World};
use std::net::SocketAddr;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

fn link(delay: u32) -> LinkProfile {
    LinkProfile { rate_bps: Some(8_000_000), delay: MS * delay, ..Default::default() }
}

/// Traffic both ways over all paths.
fn busy(seed: u64, paths: &[LinkProfile], far: Far) -> World {
    let mut w = World::pair(seed, paths, far);
    w.run_until_up(3 * S).expect("all paths answer");
    w.stream(Traffic::new(0, 1, 1e6));
    w.stream(Traffic::new(1, 0, 1e6));
    let time = S + w.any(S);
    w.run(time);
    w
}

/// How long after `since` data went to line `line` again, from the far end.
fn down_again(w: &World, line: usize, since: mpt_core::Time) -> Duration {
    let first = w.lines[line].first_data(Way::Down, since);
    first.map_or(Duration::MAX, |t| t.since(since))
}

/// Traffic flows both ways within 2 s of `since`, by the addresses that count now.
fn assert_recovers(w: &mut World, all: bool) {
    let since = w.now;
    w.run(2 * S);
    for s in &mut w.streams {
        s.reset_extremes();
    }
    let missing: Vec<_> = w.streams.iter().map(|s| s.missing()).collect();
    w.run(3 * S);
    for (s, before) in w.streams.iter().zip(missing) {
        let lost = s.missing().saturating_sub(before);
        assert!(lost < 10, "{lost} packets lost from the second to the fifth second");
        assert!(s.longest_gap < 150 * MS, "nothing came out for {:?}", s.longest_gap);
    }
    if all {
        for line in 0..w.lines.len() {
            let public = w.lines[line].public.to_string();
            assert_eq!(w.ends[1].path(w.now, line).remote.as_ref(), Some(&public));
            assert!(down_again(w, line, since + 2 * S) < 500 * MS, "line {line} carries data");
        }
    }
}

#[test]
fn a_nat_gives_another_port() {
    for far in [Far::Configured, Far::Waits, Far::Hub] {
        sweep(&format!("NAT rebinding, {far:?}"), 6, |seed| {
            let mut w = busy(seed, &[link(5), link(25)], far);
            let line = w.below(2);
            w.rebind(line);
            assert_recovers(&mut w, true);
        });
    }
}

#[test]
fn a_nat_forgets_while_nothing_flows() {
    sweep("NAT rebinding, idle", 5, |seed| {
        let mut w = World::pair(seed, &[link(5), link(25)], Far::Hub);
        w.run_until_up(3 * S).unwrap();
        w.run(20 * S);
        w.rebind(0);
        w.rebind(1);
        // The near end's probes find out, a few seconds later; then everything flows.
        w.run(10 * S);
        w.stream(Traffic::new(1, 0, 1e6));
        w.stream(Traffic::new(0, 1, 1e6));
        assert_recovers(&mut w, true);
    });
}

#[test]
fn an_address_changes_as_by_dhcp() {
    for far in [Far::Configured, Far::Hub] {
        sweep(&format!("new address, {far:?}"), 6, |seed| {
            let mut w = busy(seed, &[link(5), link(25)], far);
            let line = w.below(2);
            w.readdress(line);
            assert_recovers(&mut w, true);
        });
    }
}

#[test]
fn all_paths_roam_at_once() {
    for paths in [&[link(5), link(25)][..], &[link(15)][..]] {
        sweep(&format!("{} paths roam at once", paths.len()), 6, |seed| {
            let mut w = busy(seed, paths, Far::Hub);
            for line in 0..paths.len() {
                if seed % 2 == 0 { w.rebind(line) } else { w.readdress(line) }
            }
            assert_recovers(&mut w, true);
        });
    }
}

#[test]
fn an_address_that_the_peer_declared_dead_is_left_with_the_first_answer() {
    for paths in [&[link(5), link(25)][..], &[link(10), link(15)][..]] {
        sweep("both addresses go, and others come", 10, |seed| {
            let mut w = busy(seed, paths, Far::Hub);
            let gone = |w: &mut World, path: u8| {
                w.lines[usize::from(path)].cut(Way::Both);
                w.operate(0, |endpoint, now, peer| {
                    let local = LocalEnd::Gone { why: "no address".to_owned() };
                    endpoint.set_local(now, peer, PathId::new(path).unwrap(), local);
                });
            };
            gone(&mut w, 0);
            // The hub opens them in the order in which they come.
            let first = |w: &World| {
                let paths = w.ends[1].peer(w.now).paths;
                paths.into_iter().find(|p| p.name == "path-0").unwrap()
            };
            let told = |w: &World| first(w).why.contains("peer");
            w.run_until(200 * MS, told).expect("the other path tells");
            gone(&mut w, 1);
            w.run(60 * MS);
            let since = w.now;
            for line in 0..2 {
                w.lines[line].mend();
                w.readdress(line);
            }
            let public = Some(w.lines[0].public.to_string());
            let moved = w.run_until(S, |w| first(w).remote == public);
            let after = moved.unwrap().since(since);
            assert!(after < 100 * MS, "one challenge, not three rounds: {after:?}");
            w.run(S);
            let after = down_again(&w, 0, since);
            assert!(after < 350 * MS, "{after:?}");
        });
    }
}

#[test]
fn roaming_again_and_again() {
    sweep("roaming every few seconds", 3, |seed| {
        let mut w = busy(seed, &[link(5), link(25)], Far::Hub);
        for _ in 0..6 {
            let line = w.below(2);
            w.rebind(line);
            let time = S + w.any(3 * S);
            w.run(time);
        }
        assert_recovers(&mut w, true);
        for s in &w.streams {
            assert_eq!(s.duplicates, 0);
        }
    });
}

#[test]
fn a_relayed_copy_moves_nothing() {
    sweep("spoofed sources", 5, |seed| {
        let mut w = busy(seed, &[link(5), link(25)], Far::Hub);
        let public: Vec<_> = w.lines.iter().map(|l| l.public).collect();
        // Somebody on the way sends every datagram again, from an address of his own, before the
        // original arrives; what is sent to him he swallows.
        w.recording = Some(Vec::new());
        let end = w.now + 5 * S;
        let mut spoofed = 0;
        while w.now < end {
            w.run(MS);
            for r in w.recording.replace(Vec::new()).unwrap() {
                if r.to == 1 {
                    let source = SocketAddr::from(([192, 0, 2, 66], 666));
                    w.inject(1, DatagramMeta { source, ..r.meta }, &r.bytes);
                    spoofed += r.bytes.len();
                }
            }
        }
        let answered: usize = w.astray.iter().map(|(_, bytes)| bytes).sum();
        assert!(spoofed > 500_000 && answered < spoofed / 10, "{answered} of {spoofed} bytes");
        w.recording = None;
        for (line, public) in public.iter().enumerate() {
            let remote = w.ends[1].path(w.now, line).remote;
            assert_eq!(remote, Some(public.to_string()), "line {line}");
        }
        w.stop_streams();
        w.run(S);
        for s in &w.streams {
            assert!(s.missing() == 0, "{} missing", s.missing());
        }
    });
}

#[test]
fn paths_are_matched_by_name_whatever_their_order() {
    sweep("names in another order", 5, |seed| {
        let mut w = World::pair(seed, &[link(5), link(25), link(60)], Far::Waits);
        // The far end lists the same names in another order: what it calls 0 is our 2.
        w.ends[1].peers[0].paths.reverse();
        w.kill(1);
        w.start(1);
        w.run_until_up(3 * S).expect("all paths answer");
        // Sockets keep the order of the lines, so names and addresses contradict each other here: names
        // count, and answers go where the probes came from.
        let remotes: Vec<_> =
            w.ends[1].peer(w.now).paths.into_iter().map(|p| (p.name, p.remote.unwrap())).collect();
        for (i, (name, remote)) in remotes.iter().rev().enumerate() {
            assert_eq!((name, remote), (&format!("path-{i}"), &w.lines[i].public.to_string()));
        }
        w.stream(Traffic::new(0, 1, 1e6));
        w.stream(Traffic::new(1, 0, 1e6));
        w.run(3 * S);
        w.stop_streams();
        w.run(S);
        for s in &w.streams {
            assert_eq!((s.missing(), s.out_of_order), (0, 0));
        }
    });
}

#[test]
fn paths_of_other_names_are_matched_by_address() {
    sweep("other names", 5, |seed| {
        let mut w = World::pair(seed, &[link(5), link(25)], Far::Configured);
        for (path, name) in w.ends[1].peers[0].paths.iter_mut().zip(["dsl", "lte"]) {
            path.name = name.to_owned();
        }
        w.kill(1);
        w.start(1);
        w.run_until_up(3 * S).expect("all paths answer");
        w.run(2 * S);
        let names: Vec<_> = w.ends[1].peer(w.now).paths.into_iter().map(|p| p.name).collect();
        assert_eq!(names, ["dsl", "lte"], "no path was opened besides");
        w.stream(Traffic::new(0, 1, 1e6));
        w.stream(Traffic::new(1, 0, 1e6));
        w.run(2 * S);
        for line in 0..2 {
            assert!(w.lines[line].data(Way::Down).len() > 50);
        }
    });
}

#[test]
fn paths_whose_names_are_crossed_are_matched_by_address() {
    sweep("crossed names", 20, |seed| {
        let mut w = busy(seed, &[link(5), link(25)], Far::Crossed);
        for end in 0..2 {
            for path in 0..2 {
                let p = w.ends[end].path(w.now, path);
                assert!(p.in_use && p.tx_data_packets > 0, "{p:?}");
            }
        }
        w.stop_streams();
        w.run(S);
        assert!(w.streams.iter().all(|s| s.missing() == 0 && s.out_of_order == 0));
    });
}

#[test]
fn sixteen_paths() {
    sweep("16 paths", 2, |seed| {
        for far in [Far::Configured, Far::Hub] {
            let links: Vec<_> = (0..16).map(|i| link(3 + 2 * i)).collect();
            let mut w = World::pair(seed, &links, far);
            w.run_until_up(3 * S).expect("all paths answer");
            assert_eq!(w.ends[1].peer(w.now).paths.len(), 16);
            w.stream(Traffic::new(0, 1, 3e6));
            w.stream(Traffic::new(1, 0, 3e6));
            w.run(3 * S);
            w.stop_streams();
            w.run(S);
            for s in &w.streams {
                assert_eq!((s.missing(), s.out_of_order), (0, 0));
            }
            for l in &w.lines {
                assert!(l.data(Way::Up).len() > 40 && l.data(Way::Down).len() > 40);
            }
        }
    });
}

#[test]
fn a_seventeenth_path_is_refused() {
    // Configured: at once.
    let mut w = World::pair(1, &[link(5)], Far::Hub);
    let one = w.ends[0].peers[0].paths[0].clone();
    let mut peer = w.ends[0].peers[0].clone();
    peer.allowed_ips.clear();
    peer.paths = (0..17).map(|i| PathConfig { name: format!("p{i}"), ..one.clone() }).collect();
    let now = w.ends[0].clock(w.now);
    let refused = w.ends[0].endpoint.add_peer(now, peer);
    assert!(refused.unwrap_err().to_string().contains("more than 16 paths"));

    // Opened by the peer beside sixteen of our own: not opened, the others work on.
    sweep("16 paths and one more", 3, |seed| {
        let mut w = World::pair(seed, &[link(5), link(10)], Far::Configured);
        // The far end knows 15 others and the first; the second has neither name nor address there.
        let first = w.ends[1].peers[0].paths[0].clone();
        let others = (0..15).map(|i| PathConfig { name: format!("other-{i}"), ..first.clone() });
        w.ends[1].peers[0].paths = std::iter::once(first.clone()).chain(others).collect();
        w.kill(1);
        w.start(1);
        let nowhere = SocketAddr::from(([192, 0, 2, 1], 1));
        w.operate(1, |endpoint, now, peer| {
            endpoint.set_remote(now, peer, mpt_core::PathId::new(1).unwrap(), nowhere);
        });
        w.run(3 * S);
        assert_eq!(w.ends[1].peer(w.now).paths.len(), 16);
        assert_eq!(w.ends[0].path(w.now, 0).state, "up");
        assert_ne!(w.ends[0].path(w.now, 1).state, "up");
        assert!(w.ends[1].drops(w.now, mpt_core::DropReason::UnknownPath) > 5);
        w.stream(Traffic::new(0, 1, 1e6));
        w.run(S);
        w.stop_streams();
        w.run(S);
        assert_eq!(w.streams[0].missing(), 0);
    });
}

#[test]
fn a_hub_with_three_peers() {
    sweep("hub and three spokes", 3, |seed| {
        let mut w = World::new(seed);
        let hub = w.add_end();
        for i in 0..3 {
            let spoke = w.add_end();
            w.connect(spoke, hub, &[link(5 + i), link(20 + i)], Far::Hub);
        }
        w.run(2 * S);
        for spoke in 1..=3 {
            w.stream(Traffic::new(spoke, hub, 5e5));
            w.stream(Traffic::new(hub, spoke, 5e5));
        }
        w.run(2 * S);
        w.rebind(2);
        w.kill(3);
        w.run(3 * S);
        w.start(3);
        w.run(2 * S);
        let before: Vec<_> = w.streams.iter().map(|s| (s.sent, s.delivered)).collect();
        w.run(2 * S);
        for (s, (sent, delivered)) in w.streams.iter().zip(before) {
            let share = (s.delivered - delivered) as f64 / (s.sent - sent) as f64;
            assert!(share > 0.9, "{:?}: {share}", s.traffic);
            assert_eq!((s.out_of_order, s.duplicates), (0, 0), "{:?}", s.traffic);
        }
        assert!(w.strays.is_empty(), "nobody gets what is another's");
    });
}

#[test]
fn a_path_opened_by_the_peer_goes_with_it() {
    let mut w = World::pair(1, &[link(5), link(25)], Far::Hub);
    w.run_until_up(3 * S).unwrap();
    w.lines[1].cut(Way::Both);
    w.run(130 * S);
    assert_eq!(w.ends[1].peer(w.now).paths.len(), 1, "forgotten");
    w.lines[1].mend();
    w.run(5 * S);
    assert_eq!(w.ends[1].peer(w.now).paths.len(), 2, "and opened again");
    assert!(w.ends.iter().all(|e| e.peer(w.now).paths.iter().all(|p| p.state == "up")));
}

#[test]
fn strangers_get_nothing() {
    let mut w = World::pair(1, &[link(5)], Far::Hub);
    w.run_until_up(3 * S).unwrap();
    let source = SocketAddr::from(([192, 0, 2, 66], 666));
    let meta = DatagramMeta {
        socket: mpt_core::SocketId(1_000),
        source,
        destination: Some([198, 51, 100, 1].into()),
        ecn: 0,
    };
    for kind in 0..=255u8 {
        for len in [1, 16, 64, 116, 152, 400] {
            let mut bytes = vec![7; len];
            bytes[0] = kind;
            w.inject(1, meta, &bytes);
        }
    }
    w.run(S);
    assert_eq!(w.astray, [], "not one answer");
    assert_eq!(w.ends[1].peer(w.now).paths.len(), 1);
}

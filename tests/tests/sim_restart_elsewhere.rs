//! An end restarts, and its paths call from addresses that belonged to other ones of its paths before: each end has as many paths
//! afterwards as are configured, and the right ones.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_lab::link::LinkProfile;
use mpt_lab::sim::sweep::sweep;
use mpt_lab::sim::world::{Far, Traffic, World};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

/// How the process ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ending {
    Killed,
    Closed,
}

/// What of a path's addresses is another one's after the restart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rotated {
    /// Its own: by DHCP or a NAT.
    Own,
    /// Both: the configuration was edited.
    Both,
}

fn links(n: u32) -> Vec<LinkProfile> {
    let link = |i| LinkProfile {
        rate_bps: Some(8_000_000),
        delay: MS * (5 + 10 * i),
        ..Default::default()
    };
    (0..n).map(link).collect()
}

/// Each end has the paths of end 0's configuration, all of them up, and each of end 1's stands where the one of that name calls from.
fn assert_right_paths(w: &World) {
    let configured = w.ends[0].peers[0].paths.len();
    for end in 0..2 {
        let mut names = Vec::new();
        for p in w.ends[end].peer(w.now).paths {
            let i: usize = p.name.strip_prefix("path-").unwrap().parse().unwrap();
            let remote = match end {
                0 => w.configured_remote(0, i).unwrap(),
                _ => w.lines[i].public,
            };
            assert_eq!(
                (p.state.as_str(), p.remote),
                ("up", Some(remote.to_string())),
                "{end} {}",
                p.name
            );
            names.push(i);
        }
        names.sort_unstable();
        assert_eq!(names, (0..configured).collect::<Vec<_>>(), "end {end}");
    }
}

/// Lets time pass; neither end has more than `most` paths at any time.
fn run_with(w: &mut World, time: Duration, most: usize) {
    let end = w.now + time;
    while w.now < end {
        w.run(20 * MS);
        for (i, e) in w.ends.iter().enumerate() {
            let paths = e.peer(w.now).paths;
            assert!(paths.len() <= most, "end {i}, {:?}: {paths:#?}", w.now);
        }
    }
}

/// All of it, for hubs with one address and with one for each link, with traffic and without, and for both endings.
fn restarts(name: &str, paths: u32, far: Far, rotated: Rotated, seeds: u64) {
    for one_address in [false, true] {
        for ending in [Ending::Killed, Ending::Closed] {
            for busy in [false, true] {
                let name = format!("{name}, {far:?}, one: {one_address}, {ending:?}, busy: {busy}");
                sweep(&name, seeds, |seed| {
                    let mut w = World::pair(seed, &links(paths), far);
                    if one_address {
                        w.share_address(0, 1);
                    }
                    w.run_until_up(3 * S).expect("all paths answer");
                    if busy {
                        w.stream(Traffic::new(0, 1, 1e5));
                        w.stream(Traffic::new(1, 0, 1e5));
                    }
                    let time = S + w.any(S);
                    w.run(time);
                    // What was restarted once is no better known than what was not.
                    for _ in 0..2 {
                        match ending {
                            Ending::Killed => w.kill(0),
                            Ending::Closed => w.close(0),
                        }
                        let time = w.any(S);
                        w.run(time);
                        w.rotate(0);
                        if rotated == Rotated::Both {
                            w.rotate_remotes(0);
                        }
                        w.start(0);
                        run_with(&mut w, 5 * S, paths as usize);
                        assert_right_paths(&w);
                        let missing: Vec<_> = w.streams.iter().map(|s| s.missing()).collect();
                        run_with(&mut w, 10 * S, paths as usize);
                        assert_right_paths(&w);
                        for (s, before) in w.streams.iter().zip(missing) {
                            let lost = s.missing().saturating_sub(before);
                            assert!(lost < 5, "{lost} packets lost after the first 5 seconds");
                        }
                    }
                });
            }
        }
    }
}

#[test]
fn three_links_rotated() {
    for rotated in [Rotated::Own, Rotated::Both] {
        restarts(&format!("3 links rotated, {rotated:?}"), 3, Far::Hub, rotated, 4);
    }
}

#[test]
fn two_links_swapped() {
    for rotated in [Rotated::Own, Rotated::Both] {
        restarts(&format!("2 links swapped, {rotated:?}"), 2, Far::Hub, rotated, 4);
    }
}

#[test]
fn an_end_that_waits_for_paths_it_knows_by_name() {
    restarts("waits, 3 links rotated", 3, Far::Waits, Rotated::Own, 3);
    restarts("waits, 2 links swapped", 2, Far::Waits, Rotated::Own, 3);
}

#[test]
fn a_path_of_an_earlier_process_goes_away() {
    sweep("3 links, then 2", 5, |seed| {
        let mut w = World::pair(seed, &links(3), Far::Hub);
        w.run_until_up(3 * S).unwrap();
        w.kill(0);
        w.rotate(0);
        w.drop_last_path(0);
        w.start(0);
        run_with(&mut w, 130 * S, 3);
        assert_right_paths(&w);
    });
}

#[test]
fn paths_of_earlier_processes_make_room() {
    sweep("9 names, and 9 others", 3, |seed| {
        let mut w = World::pair(seed, &links(9), Far::Hub);
        w.run_until_up(3 * S).unwrap();
        w.kill(0);
        for (i, path) in w.ends[0].peers[0].paths.iter_mut().enumerate() {
            path.name = format!("other-{i}");
        }
        w.rotate(0);
        w.start(0);
        w.run(5 * S);
        let up = |end: usize| {
            let paths = w.ends[end].peer(w.now).paths;
            let up = paths.iter().filter(|p| p.state == "up");
            assert!(up.clone().all(|p| p.name.starts_with("other-")), "{paths:#?}");
            up.count()
        };
        assert_eq!((up(0), up(1)), (9, 9));
    });
}

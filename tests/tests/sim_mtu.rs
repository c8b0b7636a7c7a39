//! Paths whose MTU shrinks without a word, in virtual time.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_lab::sim::profiles::{Profile, Tunnel, world};
use mpt_lab::sim::steady::Steady;
use mpt_lab::sim::sweep::sweep;
use mpt_lab::sim::world::Way;
use std::time::Duration;

const S: Duration = Duration::from_secs(1);
const MS: Duration = Duration::from_millis(1);

/// What is longer than all paths carry goes in parts; over a single one, and over two of which one is lost.
#[test]
fn packets_that_no_path_carries_arrive() {
    for tunnel in [Tunnel::Alone(0), Tunnel::Adaptive, Tunnel::Weighted] {
        sweep("small paths", 10, |seed| {
            let mut world = world(&Profile::named("loss_2").unwrap(), tunnel, seed);
            for line in &mut world.lines {
                line.mtu = 1_300;
            }
            // It shows when something long is sent.
            let (from, end) = (world.now + 3 * S, world.now + 10 * S);
            let (long, arrived) = Steady::new((0, 1), 5_006, 1_250, 2 * MS, (world.now, from, end));
            world.hosts.push(Box::new(long));
            world.run(5 * S);
            if tunnel != Tunnel::Alone(0) {
                world.lines[0].cut(Way::Both);
            }
            world.run(6 * S);
            let arrived = arrived.borrow();
            // Some of the two per cent of parts that the links lose was lost with the path a second time.
            assert!(arrived.loss() < 0.003, "{tunnel:?}: {} lost", arrived.loss());
            assert_eq!(arrived.out_of_order, 0, "{tunnel:?}");
        });
    }
}

/// Small packets, which pass, hide that all the large ones are lost.
#[test]
fn a_black_hole_for_large_packets_is_found_beside_small_ones() {
    for tunnel in [Tunnel::Alone(0), Tunnel::Adaptive, Tunnel::Weighted] {
        sweep("black hole", 10, |seed| {
            let mut world = world(&Profile::named("baseline").unwrap(), tunnel, seed);
            assert_eq!(world.ends[0].path(world.now, 0).mtu, 1_500);
            let end = world.now + 20 * S;
            let call = Steady::new((0, 1), 5_004, 172, 5 * MS, (world.now, world.now, end));
            // Beyond what 1 300 bytes carry from 3 s after the hole on.
            let large = (world.now, world.now + 6 * S, end);
            let (large, arrived) = Steady::new((0, 1), 5_006, 1_250, 2 * MS, large);
            world.hosts.push(Box::new(call.0));
            world.hosts.push(Box::new(large));
            world.run(3 * S);
            world.lines[0].mtu = 1_300;
            world.run(3 * S);
            assert!(world.ends[0].path(world.now, 0).mtu <= 1_300, "{tunnel:?}");
            world.run(16 * S);
            let arrived = arrived.borrow();
            assert_eq!(world.ends[0].path(world.now, 0).state, "up");
            assert!(arrived.loss() < 0.001, "{tunnel:?}: {} lost", arrived.loss());
        });
    }
}

/// The same without small ones, and with room beside: the packets go there as soon as none of them arrives any more.
#[test]
fn what_a_black_hole_swallows_is_rescued_like_what_is_lost_with_a_path() {
    for (mtu, bytes) in [(1_300, 1_250), (800, 1_000)] {
        for tunnel in [Tunnel::Adaptive, Tunnel::Weighted] {
            sweep("black hole, room beside", 10, |seed| {
                let mut world = world(&Profile::named("baseline").unwrap(), tunnel, seed);
                let whole = (world.now, world.now, world.now + 8 * S);
                let gap = Duration::from_micros(270);
                let (large, arrived) = Steady::new((0, 1), 5_006, bytes, gap, whole);
                world.hosts.push(Box::new(large));
                world.run(3 * S);
                world.lines[0].mtu = mtu;
                world.run(7 * S);
                let arrived = arrived.borrow();
                let what = format!("{tunnel:?}, {mtu}: {} lost", arrived.sent - arrived.delivered);
                assert_eq!(arrived.delivered, arrived.sent, "{what}");
                assert_eq!(arrived.out_of_order, 0, "{what}");
                let longest = arrived.delays.iter().max().unwrap();
                assert!(*longest < 400 * MS, "{what}, {longest:?} late");
                assert_eq!(world.ends[0].path(world.now, 0).downs, 0, "{what}");
            });
        }
    }
}

/// The same beside packets that pass: the path seems to work, as some of what is sent there arrives.
#[test]
fn what_a_black_hole_swallows_between_shorter_packets_is_rescued_too() {
    for (mtu, shorter) in [(1_400, 1_250), (1_300, 300)] {
        for tunnel in [Tunnel::Adaptive, Tunnel::Weighted] {
            sweep("black hole, shorter packets beside", 10, |seed| {
                let mut world = world(&Profile::named("baseline").unwrap(), tunnel, seed);
                let whole = (world.now, world.now, world.now + 8 * S);
                let (large, arrived) =
                    Steady::new((0, 1), 5_006, 1_370, Duration::from_micros(300), whole);
                world.hosts.push(Box::new(large));
                let (beside, also) = Steady::new((0, 1), 5_008, shorter, 5 * MS, whole);
                world.hosts.push(Box::new(beside));
                world.run(3 * S);
                world.lines[0].mtu = mtu;
                world.run(7 * S);
                for arrived in [arrived.borrow(), also.borrow()] {
                    let lost = arrived.sent - arrived.delivered;
                    let what = format!("{tunnel:?}, {mtu}: {lost} lost");
                    assert_eq!((lost, arrived.out_of_order), (0, 0), "{what}");
                    let longest = arrived.delays.iter().max().unwrap();
                    assert!(*longest < 400 * MS, "{what}, {longest:?} late");
                }
            });
        }
    }
}

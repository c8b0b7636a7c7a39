//! Paths that fail silently, stumble, and come back.

use super::simulation::{Link, ReportsOver, Simulation, Traffic, at, ms};
use crate::path::{Change, State, Usability};
use crate::{DownReason, Time};
use std::time::Duration;

/// 9.6 Mbit/s.
const BUSY: Traffic = Traffic { gap: Duration::from_millis(1), bytes: 1_200 };

/// 20 small packets a second.
const THIN: Traffic = Traffic { gap: Duration::from_millis(50), bytes: 150 };

/// A path that has carried `traffic` for five seconds and a fraction that depends on `seed`.
fn running(seed: u64, link: Link, traffic: Traffic) -> Simulation {
    let mut sim = Simulation::new(seed, link);
    sim.traffic = Some(traffic);
    sim.run_for(ms(5_000) + Duration::from_micros(seed * 7_919 % 200_000));
    assert_eq!(sim.health.usability(sim.now), Usability::Preferred, "seed {seed}, {link:?}");
    sim
}

fn unplug(sim: &mut Simulation) -> Time {
    sim.link.forward_dead = true;
    sim.link.back_dead = true;
    sim.now
}

fn plug(sim: &mut Simulation) -> Time {
    sim.link.forward_dead = false;
    sim.link.back_dead = false;
    sim.now
}

fn links() -> impl Iterator<Item = Link> {
    [1, 2, 5, 6, 10, 20, 35, 50, 70, 85, 99]
        .into_iter()
        .flat_map(|rtt| [0, 1, 3, 5].map(|jitter| Link { jitter: ms(jitter), ..Link::of(ms(rtt)) }))
}

#[test]
fn a_silent_path_with_traffic_is_out_of_use_within_300_ms() {
    let mut worst = Duration::ZERO;
    for link in links() {
        for seed in 0..12 {
            for reports_over in [ReportsOver::SamePath, ReportsOver::OtherPath] {
                let mut sim = running(seed, link, BUSY);
                sim.reports_over = reports_over;
                let dead = unplug(&mut sim);
                sim.run_for(ms(1_500));
                let took = sim.out_of_use(dead).expect("never noticed").since(dead);
                assert!(took < ms(300), "{took:?}, seed {seed}, {reports_over:?}, {link:?}");
                worst = worst.max(took);
                let back = sim.in_use(dead);
                assert_eq!(back, None, "seed {seed}, {reports_over:?}, {link:?}");
                assert_eq!(sim.health.state(), State::Down);
                assert_eq!(sim.health.downs(), 1);
            }
        }
    }
    assert!(worst > ms(150), "the scenario is too easy: {worst:?}");
}

#[test]
fn a_path_dead_in_one_direction_is_out_of_use_within_300_ms() {
    for link in links() {
        for seed in 0..6 {
            let mut sim = running(seed, link, BUSY);
            sim.link.forward_dead = true;
            let dead = sim.now;
            sim.run_for(ms(1_000));
            let took = sim.out_of_use(dead).expect("never noticed").since(dead);
            assert!(took < ms(300), "{took:?}, seed {seed}, {link:?}");
        }
    }
}

#[test]
fn with_thin_traffic_probes_find_it_within_450_ms() {
    for link in links() {
        for seed in 0..12 {
            let mut sim = running(seed, link, THIN);
            let dead = unplug(&mut sim);
            sim.run_for(ms(1_000));
            let took = sim.out_of_use(dead).expect("never noticed").since(dead);
            assert!(took < ms(450), "{took:?}, seed {seed}, {link:?}");
        }
    }
}

#[test]
fn a_path_that_died_in_its_sleep_is_found_when_traffic_starts() {
    for link in links() {
        for seed in 0..6 {
            let mut sim = Simulation::new(seed, link);
            sim.run_for(ms(5_000 + seed * 331));
            unplug(&mut sim);
            sim.run_for(ms(100 + seed * 77));
            let start = sim.now;
            sim.traffic = Some(BUSY);
            sim.run_for(ms(1_000));
            let took = sim.out_of_use(start).expect("never noticed").since(start);
            assert!(took < ms(450), "{took:?}, seed {seed}, {link:?}");
        }
    }
}

#[test]
fn it_is_used_again_within_a_second_of_its_return() {
    for link in links().chain([Link::of(ms(250))]) {
        for seed in 0..12 {
            let mut sim = running(seed, link, BUSY);
            unplug(&mut sim);
            sim.run_for(ms(500 + seed * 977));
            let returned = plug(&mut sim);
            sim.run_for(ms(2_000));
            let took = sim.in_use(returned).expect("never came back").since(returned);
            assert!(took < ms(1_000), "{took:?}, seed {seed}, {link:?}");
            assert_eq!(sim.health.usability(sim.now), Usability::Preferred);
            let (downs, ups): (Vec<_>, Vec<_>) = sim
                .changes
                .iter()
                .filter(|(_, c)| *c != Change::Other)
                .partition(|(_, c)| matches!(c, Change::Down(_)));
            assert_eq!((downs.len(), ups.len()), (1, 2));
            assert_eq!(downs[0].1, Change::Down(DownReason::ProbesMissed));
        }
    }
}

#[test]
fn healthy_paths_are_left_in_peace() {
    for link in links() {
        for traffic in [BUSY, THIN] {
            let mut sim = running(3, link, traffic);
            let start = sim.now;
            sim.run_for(ms(20_000));
            assert_eq!(sim.out_of_use(start), None, "{traffic:?} over {link:?}");
        }
    }
}

#[test]
fn loss_and_heavy_jitter_alone_do_not_take_a_path_down() {
    for (loss, jitter) in [(0.01, 0), (0.05, 2), (0.1, 0), (0.0, 20), (0.02, 10)] {
        for seed in 0..4 {
            let link = Link { loss, jitter: ms(jitter), ..Link::of(ms(30)) };
            let mut sim = running(seed, link, BUSY);
            let start = sim.now;
            sim.run_for(ms(60_000));
            assert_eq!(sim.health.downs(), 0, "seed {seed}, {link:?}");
            let mut out = Duration::ZERO;
            for pair in sim.ranks.windows(2).filter(|p| p[0].0 >= start) {
                if pair[0].1 != Usability::Preferred {
                    out += pair[1].0.since(pair[0].0);
                }
            }
            assert!(out < ms(300), "out of use for {out:?}, seed {seed}, {link:?}");
        }
    }
}

#[test]
fn a_peer_that_is_busy_for_a_moment_is_not_down() {
    for rtt in [1, 10, 40] {
        for seed in 0..20 {
            let mut sim = running(seed, Link::of(ms(rtt)), BUSY);
            sim.reports_over = ReportsOver::SamePath;
            sim.stalled_until = sim.now + ms(150);
            sim.run_for(ms(1_000));
            assert_eq!(sim.health.downs(), 0, "seed {seed}, {rtt} ms");
            assert_eq!(sim.health.usability(sim.now), Usability::Preferred);
        }
    }
}

#[test]
fn a_path_whose_echoes_alone_are_lost_goes_on_carrying_data() {
    let mut sim = running(1, Link::of(ms(20)), BUSY);
    sim.link.back_dead = true;
    let start = sim.now;
    sim.run_for(ms(10_000));
    assert_eq!((sim.health.downs(), sim.out_of_use(start)), (0, None));
    // No data to speak for it any more.
    sim.traffic = None;
    sim.run_for(ms(10_000));
    assert_eq!(sim.health.state(), State::Down);
}

#[test]
fn a_sudden_longer_round_trip_is_learned_from_late_echoes() {
    let mut sim = running(1, Link::of(ms(20)), THIN);
    sim.link.rtt = ms(600);
    sim.run_for(ms(10_000));
    let settled = sim.now;
    sim.run_for(ms(20_000));
    assert_eq!(sim.health.usability(sim.now), Usability::Preferred);
    assert_eq!(sim.out_of_use(settled), None);
    assert!(sim.health.rtt().smoothed().unwrap() > ms(550));
}

#[test]
fn a_flapping_path_is_held_down_longer_and_longer_up_to_a_quarter_of_its_time() {
    let mut sim = running(2, Link::of(ms(10)), BUSY);
    let mut holds = Vec::new();
    for _ in 0..6 {
        unplug(&mut sim);
        sim.run_for(ms(1_000));
        let returned = plug(&mut sim);
        sim.run_for(ms(20_000));
        let up = sim
            .changes
            .iter()
            .find(|(t, c)| *t >= returned && *c == Change::Up)
            .expect("answers within a second")
            .0;
        assert!(up.since(returned) < ms(500), "the state says up at once");
        holds.push(sim.in_use(returned).expect("within 20 s").since(up).as_secs());
    }
    assert_eq!(holds, [0, 1, 2, 4, 5, 5]);
    assert!(sim.health.why().contains("6 s after 6 failures"), "{}", sim.health.why());
    sim.run_for(ms(60_000));
    unplug(&mut sim);
    sim.run_for(ms(1_000));
    let returned = plug(&mut sim);
    sim.run_for(ms(1_000));
    assert!(sim.in_use(returned).is_some(), "forgiven after a stable minute");
}

#[test]
fn probes_are_sparing() {
    let sent = |sim: &Simulation, from: Time| sim.probes.iter().filter(|t| **t >= from).count();
    let mut sim = Simulation::new(1, Link::of(ms(20)));
    let start = sim.now;
    sim.run_for(ms(20_000));
    assert!((9..=11).contains(&sent(&sim, start)), "idle: {}", sent(&sim, start));
    sim.traffic = Some(BUSY);
    let start = sim.now;
    sim.run_for(ms(10_000));
    assert!((99..=101).contains(&sent(&sim, start)), "active: {}", sent(&sim, start));
    unplug(&mut sim);
    sim.run_for(ms(1_000));
    let start = sim.now;
    sim.run_for(ms(10_000));
    assert!((99..=101).contains(&sent(&sim, start)), "dead, traffic: {}", sent(&sim, start));
    sim.traffic = None;
    sim.run_for(ms(10_000));
    let (start, wakeups) = (sim.now, sim.wakeups);
    sim.run_for(ms(20_000));
    assert!(sim.wakeups - wakeups < 100, "{} wakeups", sim.wakeups - wakeups);
    assert!((19..=21).contains(&sent(&sim, start)), "dead, idle: {}", sent(&sim, start));
    let wake = sim.now;
    sim.traffic = Some(BUSY);
    sim.run_for(ms(100));
    assert!(sent(&sim, wake) >= 1);
}

#[test]
fn backing_off_wakes_nobody_for_nothing() {
    let mut sim = running(1, Link::of(ms(20)), BUSY);
    sim.traffic = None;
    unplug(&mut sim);
    sim.run_for(ms(600));
    assert_eq!(sim.health.state(), State::Down);
    let (wakeups, probes) = (sim.wakeups, sim.probes.len());
    sim.run_for(ms(8_000));
    let (wakeups, probes) = (sim.wakeups - wakeups, sim.probes.len() - probes);
    assert!((10..40).contains(&probes), "{probes} probes");
    // Each is sent, and missed.
    assert!(wakeups <= 2 * probes + 2, "{wakeups} wakeups for {probes} probes");
}

#[test]
fn slow_paths_never_have_more_probes_under_way_than_are_remembered() {
    let mut sim = running(1, Link { loss: 0.3, ..Link::of(ms(2_500)) }, THIN);
    sim.run_for(ms(60_000));
    let most = (0..sim.probes.len())
        .map(|i| sim.probes[i..].iter().take_while(|t| t.since(sim.probes[i]) < ms(2_500)).count())
        .max();
    assert!(most.unwrap() < 64, "{most:?}");
    assert_ne!(sim.health.rtt().smoothed(), None);
}

#[test]
fn large_packets_that_vanish_are_told_from_a_dead_path() {
    for seed in 0..10 {
        let mut sim = running(seed, Link::of(ms(20)), BUSY);
        assert!(sim.large_losses.is_empty());
        sim.link.data_dead = true;
        let start = sim.now;
        sim.run_for(ms(1_000));
        assert!(sim.large_losses.iter().any(|t| *t >= start), "seed {seed}");
        assert_eq!(sim.health.downs(), 0);
    }
}

#[test]
fn the_first_answer_brings_a_new_path_up() {
    let mut sim = Simulation::new(1, Link::of(ms(30)));
    sim.run_for(ms(200));
    assert_eq!(sim.ranks, [(at(1_030), Usability::Preferred)]);
    assert_eq!(sim.changes, [(at(1_030), Change::Up)]);
    let mut sim = Simulation::new(1, Link::of(ms(30)));
    unplug(&mut sim);
    sim.run_for(ms(5_000));
    assert_eq!((sim.health.state(), sim.health.downs()), (State::Down, 0));
    assert!(sim.changes.iter().all(|(_, c)| *c == Change::Other), "it never carried anything");
    let returned = plug(&mut sim);
    sim.run_for(ms(1_100));
    assert!(sim.in_use(returned).is_some(), "one answer is enough for a path that never failed");
}

//! Copies that nobody asked for, of calls beside flows that fill several paths: whole endpoints in virtual time.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_core::config::{RepairConfig, SchedulerKind};
use mpt_core::{PathId, RateLimit};
use mpt_lab::link::{LinkProfile, QueueLimit};
use mpt_lab::sim::world::{Far, Traffic, World};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

const EF: u8 = 46 << 2;

fn link(mbit: u64, delay: u32, jitter: u32, loss: f64) -> LinkProfile {
    LinkProfile {
        rate_bps: Some(mbit * 1_000_000),
        delay: MS * delay,
        jitter: MS * jitter,
        reorder: true,
        queue: QueueLimit::Time(MS * 100),
        loss,
        ..Default::default()
    }
}

fn world(seed: u64, links: &[LinkProfile], copies: bool) -> World {
    let mut w = World::new(seed);
    for _ in 0..2 {
        let end = w.add_end();
        let config = &mut w.ends[end].config;
        config.repair = RepairConfig { copies, ..RepairConfig::default() };
        config.scheduler = SchedulerKind::Adaptive;
        w.start(end);
    }
    w.connect(0, 1, links, Far::Configured);
    w.run_until_up(3 * S).expect("all paths answer");
    w
}

/// One flow of so many packets of `bytes` bytes a second.
fn even(packets: u32, bytes: usize) -> Traffic {
    let rate = f64::from(packets) * bytes as f64 * 8.0;
    Traffic { flows: 1, bytes, even: true, ..Traffic::new(0, 1, rate) }
}

fn call() -> Traffic {
    even(50, 160)
}

fn copies(w: &World) -> u64 {
    w.ends[0].peer(w.now).copies.sent
}

/// What is said of a packet of `bytes` bytes that no policy names.
fn explained(w: &mut World, bytes: usize) -> String {
    let packet = format!("udp 10.77.0.1:1 -> 10.77.0.2:2 size {bytes}").parse().unwrap();
    let mut said = String::new();
    w.operate(0, |endpoint, at, _| said = endpoint.explain(at, &packet).happens.join("; "));
    said
}

fn p99(w: &World, stream: usize) -> f64 {
    w.streams[stream].delays.value_at_quantile(0.99) as f64 / 1e3
}

#[test]
fn a_call_beside_a_full_pair_of_uneven_paths_has_the_sooner_of_two() {
    let uneven = [link(40, 20, 15, 0.0), link(40, 25, 15, 0.0)];
    let lossy = [link(40, 60, 0, 0.02), link(40, 70, 0, 0.02)];
    for (links, load, gain) in [(uneven, 66e6, 10.0), (lossy, 45e6, 10.0)] {
        let [without, with] = [false, true].map(|wanted| {
            let mut w = world(1, &links, wanted);
            // Until it is known what the paths lose while nothing stands in them.
            w.stream(Traffic::new(0, 1, 20e6));
            w.run(10 * S);
            w.stop_streams();
            w.stream(Traffic::new(0, 1, load));
            w.run(5 * S);
            let (before, stream) = (copies(&w), w.stream(call()));
            w.run(30 * S);
            w.stop_streams();
            w.run(2 * S);
            let (s, sent) = (&w.streams[stream], copies(&w) - before);
            println!("{} of {} copied, p99 {} ms", sent, s.sent, p99(&w, stream));
            assert_eq!(s.duplicates, 0);
            assert!(s.missing() == 0 && s.out_of_order <= 2, "{} {}", s.missing(), s.out_of_order);
            assert!(if wanted { sent > s.sent * 9 / 10 } else { sent == 0 }, "{sent}");
            let large = explained(&mut w, 1_200);
            assert!(!large.contains("second path"), "{large}");
            let small = explained(&mut w, 160);
            let copied = "by a second path too, if its flow is sparse and others fill that one, while path-0 and path-1 lose";
            assert_eq!(small.contains(copied), wanted, "{small}");
            p99(&w, stream)
        });
        assert!(with <= without - gain, "{with} of {without} ms");
    }
}

#[test]
fn steady_paths_carry_none() {
    let mut w = world(1, &[link(40, 20, 0, 0.0), link(40, 25, 0, 0.0)], true);
    w.stream(call());
    w.stream(Traffic::new(0, 1, 66e6));
    w.run(20 * S);
    assert_eq!(copies(&w), 0);
}

#[test]
fn a_path_in_reserve_carries_none() {
    let mut w = world(1, &[link(50, 20, 8, 0.01), link(50, 45, 8, 0.0)], true);
    w.stream(call());
    w.stream(Traffic::new(0, 1, 5e6));
    w.run(5 * S);
    let sent = |w: &World| (copies(w), w.ends[0].path(w.now, 1).tx_data_bytes);
    let before = sent(&w);
    w.run(20 * S);
    let then = sent(&w);
    println!("{before:?}, then {then:?}");
    // Of the little that goes there, repairs above all, a part.
    let data = (then.1 - before.1) as f64;
    assert!((then.0 - before.0) as f64 * 220.0 < data / 10.0 && data < 400e3);
}

/// Acknowledgements are small and sparse too, but many.
#[test]
fn acknowledgements_have_none() {
    let mut w = world(1, &[link(40, 20, 15, 0.01), link(40, 25, 15, 0.01)], true);
    w.stream(Traffic::new(0, 1, 66e6));
    w.stream(even(1_500, 60));
    w.run(20 * S);
    assert!(copies(&w) < 300, "{}", copies(&w));
}

/// What a policy wants duplicated does not wait for tokens that a bulk flow takes; nor do large packets overdraw them.
#[test]
fn a_policys_copies_of_small_packets_go_beside_what_fills_the_limits() {
    let mut w = world(1, &[link(100, 10, 0, 0.0), link(100, 15, 0, 0.0)], true);
    for path in PathId::all().take(2) {
        let limit = RateLimit::At(mpt_core::Rate::nearest_to_bits(10_000_000));
        w.operate(0, |endpoint, now, peer| endpoint.set_rate_limit(now, peer, path, limit));
    }
    w.stream(Traffic::new(0, 1, 30e6));
    w.run(3 * S);
    let before = copies(&w);
    let voice = w.stream(Traffic { tos: EF, ..call() });
    w.run(20 * S);
    let (sent, copied) = (w.streams[voice].sent, copies(&w) - before);
    println!("{copied} of {sent} copied, p99 {} ms", p99(&w, voice));
    assert!(copied >= sent * 19 / 20, "{copied} of {sent}");
    let carried: u64 = (0..2).map(|i| w.ends[0].path(w.now, i).tx_bytes).sum();
    let seconds = w.now.as_micros() as f64 / 1e6;
    assert!((carried as f64 * 8.0) < 20.5e6 * seconds, "{carried} bytes in {seconds} s");
}

//! Rate limits pace, and what waits for them waits its turn: whole endpoints in virtual time.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_core::config::SchedulerKind;
use mpt_core::wire::MessageType;
use mpt_core::{DropReason, PathId, Rate, RateLimit, Time, Weight};
use mpt_lab::link::{LinkProfile, QueueLimit};
use mpt_lab::sim::sweep::sweep;
use mpt_lab::sim::world::{Far, Stream, Traffic, World};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

/// Inner bytes of a packet, and what it takes of the limit: our header and tag, IP and UDP.
const INNER: usize = 1_000;
const OUTER: usize = INNER + 36 + 28;

/// The links could carry far more than the limits let go.
const WIDE: LinkProfile = LinkProfile {
    rate_bps: Some(1_000_000_000),
    delay: Duration::from_millis(10),
    jitter: Duration::ZERO,
    jitter_correlation: Duration::ZERO,
    reorder: false,
    loss: 0.0,
    burst: None,
    queue: QueueLimit::Time(Duration::from_millis(100)),
    policer: None,
    blackhole: false,
};

fn mbit(n: u64) -> RateLimit {
    RateLimit::At(Rate::nearest_to_bits(n * 1_000_000))
}

fn path(i: usize) -> PathId {
    PathId::new(i as u8).unwrap()
}

/// A pair whose end 0 keeps to these limits.
fn limited(seed: u64, limits: &[RateLimit], scheduler: SchedulerKind) -> World {
    limited_over(seed, &vec![WIDE; limits.len()], limits, scheduler)
}

fn limited_over(
    seed: u64,
    links: &[LinkProfile],
    limits: &[RateLimit],
    scheduler: SchedulerKind,
) -> World {
    let mut w = World::new(seed);
    for _ in 0..2 {
        let end = w.add_end();
        w.ends[end].config.scheduler = scheduler;
        w.start(end);
    }
    w.connect(0, 1, links, Far::Configured);
    for (i, limit) in limits.iter().enumerate() {
        set_limit(&mut w, i, *limit);
    }
    w.run_until_up(3 * S).expect("all paths answer");
    w.run(S);
    w
}

fn set_limit(w: &mut World, i: usize, limit: RateLimit) {
    w.operate(0, |endpoint, now, peer| endpoint.set_rate_limit(now, peer, path(i), limit));
}

/// A stream that takes `mbit` of the limits.
fn greedy(mbit: f64) -> Traffic {
    let inner = mbit * 1e6 * INNER as f64 / OUTER as f64;
    Traffic { bytes: INNER, ..Traffic::new(0, 1, inner) }
}

/// 50 packets of 160 bytes a second, one flow.
fn call() -> Traffic {
    Traffic { bytes: 160, flows: 1, ..Traffic::new(0, 1, 50.0 * 160.0 * 8.0) }
}

/// Megabits a second of the limits that came through.
fn carried(w: &mut World, stream: usize, time: Duration) -> f64 {
    let before = w.streams[stream].delivered;
    w.run(time);
    let packets = w.streams[stream].delivered - before;
    packets as f64 * OUTER as f64 * 8.0 / time.as_secs_f64() / 1e6
}

fn account(w: &World) -> String {
    let streams = w.streams.iter().map(|s| {
        let delay = |q| s.delays.value_at_quantile(q) as f64 / 1e3;
        format!(
            "{} sent, {} missing, {} out of order, {} marked, delay p50 {:.1} p99 {:.1} ms, at most {:?}",
            s.sent,
            s.missing(),
            s.out_of_order,
            s.ce,
            delay(0.5),
            delay(0.99),
            s.delay_max
        )
    });
    let peer = w.ends[0].peer(w.now);
    format!("{}; {:?}", streams.collect::<Vec<_>>().join(" | "), peer.queue)
}

fn p99(s: &Stream) -> Duration {
    Duration::from_micros(s.delays.value_at_quantile(0.99))
}

const KINDS: [SchedulerKind; 3] =
    [SchedulerKind::Weighted, SchedulerKind::Failover, SchedulerKind::Flow];

#[test]
fn goodput_is_the_limit() {
    for limit in [1, 5, 20, 100] {
        let mut w = limited(1, &[mbit(limit)], SchedulerKind::Weighted);
        let s = w.stream(greedy(2.0 * limit as f64));
        w.run(2 * S);
        let got = carried(&mut w, s, 10 * S);
        println!("limit {limit} Mbit: {got:.3}; {}", account(&w));
        // What is not data is paid for, too: 2 % of a megabit.
        assert!((0.98..=1.001).contains(&(got / limit as f64)), "{got} of {limit}");
        assert_eq!(w.streams[s].out_of_order, 0);
    }
}

#[test]
fn the_link_never_sees_more_than_the_limit() {
    let mut w = limited(2, &[mbit(20)], SchedulerKind::Weighted);
    w.stream(greedy(40.0));
    w.run(S);
    w.recording = Some(Vec::new());
    w.run(5 * S);
    let sent: Vec<(Time, usize)> = w
        .recording
        .take()
        .unwrap()
        .iter()
        .filter(|r| r.to == 1)
        .map(|r| (r.at, r.bytes.len() + 28))
        .collect();
    for window in [MS * 2, MS * 10, MS * 100] {
        let (mut from, mut bytes, mut most) = (0, 0, 0);
        for &(at, len) in &sent {
            bytes += len;
            while at.since(sent[from].0) > window {
                bytes -= sent[from].1;
                from += 1;
            }
            most = most.max(bytes);
        }
        // A burst of 2 ms, half a millisecond in hand, and packets that overdraw.
        let allowed = 2_500_000.0 * (window.as_secs_f64() + 0.002_5) + 2.0 * 1_500.0;
        println!("{window:?}: {most} bytes of {allowed}");
        assert!(most as f64 <= allowed, "{window:?}: {most} of {allowed}");
    }
}

#[test]
fn a_call_beside_a_greedy_stream() {
    sweep("a call beside twice the limit", 4, |seed| {
        for (limit, scheduler) in [5, 20].into_iter().flat_map(|l| KINDS.map(|k| (l, k))) {
            let mut w = limited(seed, &[mbit(limit)], scheduler);
            let call = w.stream(call());
            w.stream(greedy(2.0 * limit as f64));
            w.run(20 * S);
            w.stop_streams();
            w.run(2 * S);
            let s = &w.streams[call];
            if seed == 1 {
                println!("{limit} Mbit, {scheduler}: {}", account(&w));
            }
            assert_eq!((s.missing(), s.out_of_order), (0, 0), "{}", account(&w));
            assert!(p99(s) <= WIDE.delay + 30 * MS, "{}", account(&w));
        }
    });
}

#[test]
fn two_limited_paths_give_their_sum_in_order() {
    let links = [WIDE, LinkProfile { delay: 25 * MS, ..WIDE }];
    for scheduler in KINDS {
        let mut w = limited_over(3, &links, &[mbit(20), mbit(10)], scheduler);
        let s = w.stream(greedy(60.0));
        w.run(2 * S);
        let got = carried(&mut w, s, 10 * S);
        println!("{scheduler}: {got:.2} Mbit; {}", account(&w));
        assert!((0.98..=1.001).contains(&(got / 30.0)), "{scheduler}: {got}");
        assert_eq!(w.streams[s].out_of_order, 0, "{scheduler}");
        // Below the sum nothing is lost, though each is more than either path takes.
        let mut w = limited_over(4, &links, &[mbit(20), mbit(10)], scheduler);
        let s = w.stream(greedy(27.0));
        w.run(10 * S);
        w.stop_streams();
        w.run(S);
        assert_eq!(w.streams[s].out_of_order, 0, "{scheduler}");
        let lost = w.streams[s].missing() as f64 / w.streams[s].sent as f64;
        assert!(lost < 0.001, "{scheduler}: {}", account(&w));
    }
}

#[test]
fn a_path_without_a_limit_takes_the_rest() {
    let mut w = limited(5, &[mbit(5), RateLimit::Off], SchedulerKind::Weighted);
    let s = w.stream(greedy(30.0));
    w.run(5 * S);
    w.stop_streams();
    w.run(S);
    let peer = w.ends[0].peer(w.now);
    let bytes = peer.paths.iter().map(|p| p.tx_data_bytes as f64 + p.tx_data_packets as f64 * 28.0);
    let rates: Vec<_> = bytes.map(|b| b * 8.0 / 5.0 / 1e6).collect();
    assert!((4.8..5.1).contains(&rates[0]) && rates[1] > 24.0, "{rates:?}");
    assert_eq!((w.streams[s].missing(), w.streams[s].out_of_order), (0, 0), "{}", account(&w));
}

#[test]
fn marked_not_dropped() {
    let mut w = limited(6, &[mbit(20)], SchedulerKind::Weighted);
    // A little more than there is room for: it waits, but the queue does not overflow for long.
    let s = w.stream(Traffic { tos: 2, flows: 4, ..greedy(20.5) });
    w.run(4 * S);
    let peer = w.ends[0].peer(w.now);
    assert_eq!(peer.queue.dropped_delay, 0, "{}", account(&w));
    assert!(peer.queue.marked > 5, "{}", account(&w));
    w.stop_streams();
    w.run(S);
    let marked = w.ends[0].peer(w.now).queue.marked;
    assert_eq!(w.streams[s].ce, marked, "all marks come out: {}", account(&w));
    assert_eq!(w.streams[s].missing(), w.ends[0].drops(w.now, DropReason::QueueFull));
    println!("{}", account(&w));
    // The same without ECN.
    let mut w = limited(6, &[mbit(20)], SchedulerKind::Weighted);
    w.stream(Traffic { flows: 4, ..greedy(20.5) });
    w.run(4 * S);
    let peer = w.ends[0].peer(w.now);
    assert!(peer.queue.dropped_delay > 5 && peer.queue.marked == 0, "{}", account(&w));
}

#[test]
fn who_does_not_respond_is_held_by_the_cap() {
    for (limit, cap) in [(2, 64 << 10), (20, 250_000), (100, 1_250_000)] {
        let mut w = limited(7, &[mbit(limit)], SchedulerKind::Weighted);
        let flood = w.stream(Traffic { flows: 1, ..greedy(4.0 * limit as f64) });
        let other = w.stream(Traffic { flows: 1, ..greedy(0.2 * limit as f64) });
        w.run(5 * S);
        let queue = w.ends[0].peer(w.now).queue;
        assert_eq!(queue.capacity, cap);
        assert!(queue.bytes <= cap, "{queue:?}");
        w.stop_streams();
        w.run(2 * S);
        println!("{limit} Mbit: {}", account(&w));
        let s = &w.streams[flood];
        let longest = Duration::from_secs_f64(cap as f64 * 8.0 / (limit as f64 * 1e6)) * 3 / 2;
        assert!(s.delay_max <= WIDE.delay + longest + 20 * MS, "{}", account(&w));
        let s = &w.streams[other];
        assert!((s.missing() as f64) < s.sent as f64 * 0.002, "{}", account(&w));
    }
}

#[test]
fn a_limit_that_changes_counts_at_once() {
    let mut w = limited(8, &[mbit(20)], SchedulerKind::Weighted);
    let s = w.stream(greedy(100.0));
    w.run(S);
    for limit in [20, 5, 50, 2, 20] {
        set_limit(&mut w, 0, mbit(limit));
        w.run(300 * MS);
        let got = carried(&mut w, s, 3 * S);
        assert!((0.97..=1.01).contains(&(got / limit as f64)), "{got} of {limit}");
    }
    set_limit(&mut w, 0, RateLimit::Off);
    w.run(300 * MS);
    let got = carried(&mut w, s, S);
    assert!(got > 97.0, "{got}");
    let peer = w.ends[0].peer(w.now);
    assert_eq!((peer.queue.capacity, peer.paths[0].rate_limit), (0, None));
    set_limit(&mut w, 0, mbit(10));
    w.run(300 * MS);
    let got = carried(&mut w, s, S);
    assert!((0.97..=1.01).contains(&(got / 10.0)), "{got}");
    assert_eq!(w.streams[s].out_of_order, 0);
}

#[test]
fn weights_end_what_adaptive_kept_paths_to() {
    let link = LinkProfile { rate_bps: Some(20_000_000), ..WIDE };
    let mut w = limited_over(3, &[link; 2], &[], SchedulerKind::Auto);
    w.stream(greedy(60.0));
    w.run(8 * S);
    let source = |w: &World| w.ends[0].path(w.now, 0).rate_limit_source;
    assert_eq!(source(&w).as_deref(), Some("estimate"), "a steady path that is flooded");
    w.operate(0, |endpoint, _, peer| endpoint.set_weight(peer, path(0), Weight::new(2).unwrap()));
    w.run(2 * S);
    assert_eq!(source(&w), None, "`auto` is `weighted` now");
}

#[test]
fn an_estimate_counts_where_it_is_lower() {
    let mut w = limited(9, &[mbit(20)], SchedulerKind::Weighted);
    let s = w.stream(greedy(60.0));
    let estimate = |w: &mut World, limit: Option<u64>| {
        let limit = limit.map(|n| Rate::nearest_to_bytes(n * 1_000_000 / 8));
        w.operate(0, |endpoint, now, peer| {
            endpoint.set_estimated_limit(now, peer, path(0), limit);
        });
    };
    for (limit, due, source) in
        [(Some(8), 8.0, "estimate"), (Some(40), 20.0, "own"), (None, 20.0, "own")]
    {
        estimate(&mut w, limit);
        w.run(300 * MS);
        let got = carried(&mut w, s, 2 * S);
        assert!((0.97..=1.01).contains(&(got / due)), "{got} of {due}");
        let p = w.ends[0].path(w.now, 0);
        assert_eq!(p.rate_limit_source.as_deref(), Some(source));
    }
    // Estimates that move all the time are kept to on average.
    let from = w.streams[s].delivered;
    for i in 0..400 {
        estimate(&mut w, Some(if i % 2 == 0 { 8 } else { 12 }));
        w.run(10 * MS);
    }
    let got = (w.streams[s].delivered - from) as f64 * OUTER as f64 * 8.0 / 4.0 / 1e6;
    assert!((9.6..=10.1).contains(&got), "{got}");
}

#[test]
fn a_hub_honours_the_callers_wish() {
    for style in [Far::Hub, Far::Waits] {
        let mut w = World::new(10);
        w.add_end();
        w.add_end();
        w.connect(0, 1, &[WIDE; 2], style);
        set_limit(&mut w, 0, mbit(5));
        set_limit(&mut w, 1, mbit(3));
        w.run_until_up(3 * S).expect("all paths answer");
        w.run(S);
        let down = w.stream(Traffic { from: 1, to: 0, ..greedy(20.0) });
        w.run(S);
        let got = carried(&mut w, down, 5 * S);
        assert!((0.97..=1.01).contains(&(got / 8.0)), "{style:?}: {got}");
        let p = w.ends[1].path(w.now, 0);
        assert_eq!(p.rate_limit_source.as_deref(), Some("peer"), "{style:?}");
        // The far end's own word wins.
        for i in 0..2 {
            w.operate(1, |endpoint, now, peer| {
                endpoint.set_rate_limit(now, peer, path(i), mbit(10));
            });
        }
        w.run(S);
        let got = carried(&mut w, down, S);
        assert!(got > 18.0, "{style:?}: {got}");
    }
}

#[test]
fn what_is_not_data_does_not_wait() {
    let mut w = limited(11, &[mbit(1)], SchedulerKind::Weighted);
    let s = w.stream(greedy(20.0));
    w.run(30 * S);
    let (peer, events) = (w.ends[0].peer(w.now), &w.ends[0].events);
    let srtt = peer.paths[0].srtt.unwrap();
    assert!((0.019..0.03).contains(&srtt), "probes pass the queue: {srtt}");
    assert_eq!(peer.paths[0].downs, 0, "{events:?}");
    let got = carried(&mut w, s, 5 * S);
    assert!((0.95..=1.001).contains(&got), "{got}");
}

#[test]
fn what_waits_survives_a_path_and_stays_in_order() {
    use mpt_lab::sim::world::Way;
    let mut w = limited(12, &[mbit(10), mbit(10)], SchedulerKind::Weighted);
    let s = w.stream(greedy(30.0));
    for i in 0..8 {
        w.run(S);
        w.lines[i % 2].cut(Way::Both);
        w.run(S);
        w.lines[i % 2].mend();
        w.run(3 * S);
    }
    w.stop_streams();
    w.run(2 * S);
    println!("{}", account(&w));
    let queued = w.ends[0].drops(w.now, DropReason::QueueFull)
        + w.ends[0].drops(w.now, DropReason::QueueDelay);
    let lost = w.streams[s].missing() - queued;
    println!("{lost} lost beside the queue");
    assert!(w.streams[s].out_of_order * 1_000 < w.streams[s].sent, "{}", account(&w));
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let run = || {
        let mut w = limited(13, &[mbit(20), mbit(7)], SchedulerKind::Weighted);
        w.stream(greedy(50.0));
        w.run(2 * S);
        w.digest()
    };
    assert_eq!(run(), run());
}

#[test]
fn data_is_numbered_when_it_goes() {
    let mut w = limited(14, &[mbit(5)], SchedulerKind::Weighted);
    w.stream(greedy(50.0));
    w.run(S);
    w.recording = Some(Vec::new());
    w.run(S);
    let numbers: Vec<u32> = w
        .recording
        .take()
        .unwrap()
        .iter()
        .filter(|r| r.to == 1 && MessageType::of(&r.bytes) == Some(MessageType::Data))
        .filter_map(|r| mpt_core::wire::DataHeader::decode(&r.bytes))
        .filter(|h| h.copy == 0)
        .map(|h| h.pn)
        .collect();
    assert!(numbers.len() > 400 && numbers.windows(2).all(|n| n[1] == n[0] + 1), "no holes");
    assert!(w.ends[0].drops(w.now, DropReason::QueueFull) > 1_000, "though many were dropped");
}

#[test]
fn who_is_pinned_to_a_path_without_tokens_does_not_keep_the_others_waiting() {
    const AF41: u8 = 34 << 2;
    sweep("a pinned flood beside others", 4, |seed| {
        let mut w = limited(seed, &[mbit(2), mbit(20)], SchedulerKind::Weighted);
        w.operate(0, |endpoint, _, _| {
            endpoint.add_policy("dscp af41 send pin path-0".parse().unwrap(), None).unwrap();
        });
        w.stream(Traffic { tos: AF41, flows: 3, ..greedy(6.0) });
        w.stream(greedy(12.0));
        w.stream(call());
        w.run(S);
        let before = w.streams[1].delivered;
        let pinned = carried(&mut w, 0, 4 * S);
        let packets = w.streams[1].delivered - before;
        let others = packets as f64 * OUTER as f64 * 8.0 / 4e6;
        w.stop_streams();
        w.run(S);
        let what = format!("pinned {pinned:.2}, others {others:.2} Mbit/s; {}", account(&w));
        // It shares its path with the others, in turn.
        assert!((1.0..2.2).contains(&pinned), "{what}");
        assert!(others > 11.5, "{what}");
        assert!(w.streams[2].missing() == 0 && p99(&w.streams[2]) < 40 * MS, "{what}");
    });
}

#[test]
fn a_flood_that_only_a_limited_path_takes_is_held_by_that_paths_cap() {
    const AF41: u8 = 34 << 2;
    let mut w = limited(21, &[mbit(5), RateLimit::Off], SchedulerKind::Weighted);
    w.operate(0, |endpoint, _, _| {
        endpoint.add_policy("dscp af41 send pin path-0".parse().unwrap(), None).unwrap();
    });
    let flood = w.stream(Traffic { tos: AF41, flows: 1, ..greedy(10.0) });
    let other = w.stream(greedy(30.0));
    w.run(5 * S);
    let queue = w.ends[0].peer(w.now).queue;
    assert_eq!(queue.capacity, 64 << 10, "a tenth of a second, at least this");
    w.stop_streams();
    w.run(2 * S);
    // The others have their turns on that path too.
    assert!(w.streams[flood].delay_max < 300 * MS, "{}", account(&w));
    assert_eq!(w.streams[other].missing(), 0, "{}", account(&w));
}

#[test]
fn a_call_that_a_limit_is_too_small_for_goes_by_another_path() {
    let far = LinkProfile { delay: 60 * MS, ..WIDE };
    for kbit in [48, 64, 80] {
        let small = RateLimit::At(Rate::nearest_to_bits(kbit * 1_000));
        let limits = [small, RateLimit::Off];
        let mut w = limited_over(kbit, &[WIDE, far], &limits, SchedulerKind::Adaptive);
        // 50 packets a second of some 220 bytes on a link: 88 kbit/s.
        let s = w.stream(call());
        w.run(20 * S);
        w.stop_streams();
        w.run(S);
        let call = &w.streams[s];
        println!("{kbit} kbit: {}", account(&w));
        assert_eq!((call.missing(), call.out_of_order), (0, 0), "{kbit} kbit: {}", account(&w));
        assert!(p99(call) < 130 * MS, "{kbit} kbit: {}", account(&w));
    }
}

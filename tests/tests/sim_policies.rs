//! What policies do with packets: whole endpoints in virtual time.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_core::config::{RepairConfig, SchedulerKind};
use mpt_core::policy::PolicyConfig;
use mpt_core::wire::DataHeader;
use mpt_lab::link::{LinkProfile, QueueLimit};
use mpt_lab::sim::world::{Far, Traffic, Way, World};
use std::collections::HashSet;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

const EF: u8 = 46 << 2;

fn link(delay: u32, loss: f64) -> LinkProfile {
    LinkProfile {
        rate_bps: Some(20_000_000),
        delay: MS * delay,
        queue: QueueLimit::Time(MS * 100),
        loss,
        ..Default::default()
    }
}

/// Two ends with these policies of their own, over these links.
fn world(seed: u64, links: &[LinkProfile], own: &[&str], repair: RepairConfig) -> World {
    world_with(seed, links, own, repair, SchedulerKind::Weighted)
}

fn world_with(
    seed: u64,
    links: &[LinkProfile],
    own: &[&str],
    repair: RepairConfig,
    scheduler: SchedulerKind,
) -> World {
    let mut w = World::new(seed);
    for _ in 0..2 {
        let end = w.add_end();
        let config = &mut w.ends[end].config;
        config.repair = repair;
        config.scheduler = scheduler;
        let own = own.iter().map(|p| p.parse().unwrap()).collect();
        config.policies = PolicyConfig { own, ..PolicyConfig::default() };
        w.start(end);
    }
    w.connect(0, 1, links, Far::Configured);
    w.run_until_up(3 * S).expect("all paths answer");
    w
}

/// A call: 50 packets of 160 bytes a second.
fn call(tos: u8) -> Traffic {
    Traffic { flows: 1, bytes: 160, tos, even: true, ..Traffic::new(0, 1, 50.0 * 160.0 * 8.0) }
}

/// Lets comes what is under way.
fn finish(w: &mut World) {
    w.stop_streams();
    w.run(2 * S);
}

/// What the first stream lost, in percent.
fn residual(w: &World) -> f64 {
    w.streams[0].missing() as f64 * 100.0 / w.streams[0].sent as f64
}

fn account(w: &World) -> String {
    let s = &w.streams[0];
    let (sender, receiver) = (w.ends[0].peer(w.now), w.ends[1].peer(w.now));
    format!(
        "{} sent, {} lost ({:.4} %), {} out of order, {} twice, delay p99 {} ms, most {:?}; {:?} {:?} {:?} {:?}",
        s.sent,
        s.missing(),
        residual(w),
        s.out_of_order,
        s.duplicates,
        s.delays.value_at_quantile(0.99) as f64 / 1e3,
        s.delay_max,
        sender.repair,
        sender.copies,
        receiver.copies,
        receiver.reordering,
    )
}

/// Packets of the policy called `name` so far.
fn taken(w: &World, name: &str) -> u64 {
    let status = w.ends[0].status(w.now);
    status.policies.iter().find(|p| p.name.as_deref() == Some(name)).unwrap().packets
}

/// Virtual minutes of a call: `MPT_CALL_MINUTES`, by default enough to see that nothing is wrong.
fn call_time() -> Duration {
    let minutes = std::env::var("MPT_CALL_MINUTES").ok().and_then(|s| s.parse().ok());
    60 * S * minutes.unwrap_or(60)
}

#[test]
fn a_call_on_two_paths_loses_what_both_lose() {
    let mut w = world(1, &[link(50, 0.05); 2], &[], RepairConfig::OFF);
    w.stream(call(EF));
    w.run(call_time());
    finish(&mut w);
    println!("{}", account(&w));
    let s = &w.streams[0];
    assert!((0.17..0.33).contains(&residual(&w)), "{}", account(&w));
    assert_eq!(s.duplicates, 0, "{}", account(&w));
    assert_eq!(taken(&w, "voice"), s.sent);
    let (sent, removed) = (w.ends[0].peer(w.now).copies.sent, w.ends[1].peer(w.now).copies.removed);
    // But for moments in which one of them seems not to work.
    assert!(sent > s.sent * 99 / 100, "{}", account(&w));
    // Both came of 0.95² of the packets.
    let share = removed as f64 / s.sent as f64;
    assert!((0.895..0.91).contains(&share), "{share}");
}

/// A duplicated call over two paths of 5 % loss, with a patience of two round trips: one in ten thousand may be lost.
fn a_patient_call(delay: u32) -> World {
    let own = format!("name call dscp ef send duplicate patience {}ms", 4 * delay);
    let mut w = world(1, &[link(delay, 0.05); 2], &[&own], RepairConfig::default());
    w.stream(call(EF));
    w.run(call_time());
    finish(&mut w);
    println!("{}", account(&w));
    assert!(residual(&w) < 0.01, "{}", account(&w));
    let s = &w.streams[0];
    assert_eq!(
        (s.out_of_order, s.duplicates, taken(&w, "call")),
        (0, 0, s.sent),
        "{}",
        account(&w)
    );
    w
}

#[test]
fn with_repair_a_call_on_two_paths_loses_nothing_to_speak_of() {
    let w = a_patient_call(50);
    let repair = w.ends[0].peer(w.now).repair;
    // What arrived once is not sent again: both lose 0.25 %, and a few copies are lost again.
    assert!(repair.sent_again as f64 <= w.streams[0].sent as f64 * 0.005, "{}", account(&w));
}

/// Nothing but this call tells of what it lost: after a packet comes none for as long as a round trip takes.
#[test]
fn what_a_call_lost_is_found_before_its_next_packet() {
    let w = a_patient_call(10);
    assert!(w.streams[0].delays.value_at_quantile(0.999) < 40_000, "{}", account(&w));
}

/// The last packets of bursts: nobody waits for the next burst until they are sent again. Where nothing is lost nothing is said of pauses.
#[test]
fn the_end_of_a_burst_is_sent_again_before_the_next_one() {
    for loss in [0.02, 0.0] {
        let mut w = world(5, &[link(10, loss)], &[], RepairConfig::default());
        // Thirty packets a second of one flow, each of them a burst.
        let rate = 30.0 * 900.0 * 8.0;
        w.stream(Traffic { flows: 1, bytes: 900, even: true, ..Traffic::new(0, 1, rate) });
        w.run(call_time() / 6);
        finish(&mut w);
        println!("{}", account(&w));
        let s = &w.streams[0];
        assert_eq!((s.missing(), s.out_of_order), (0, 0), "{}", account(&w));
        // The link's 10 ms, 5 until it is a pause, a round trip.
        let most = s.delays.value_at_quantile(0.998) as f64 / 1e3;
        assert!(most < 38.0, "{most}: {}", account(&w));
        let told = w.ends[0].peer(w.now).repair.pauses;
        assert_eq!(told > s.sent * 3 / 4, loss > 0.0, "{told} of {}", s.sent);
        assert!(loss > 0.0 || told == 0, "{told}");
    }
}

#[test]
fn a_duplicate_by_a_much_slower_path_still_counts() {
    for repair in [RepairConfig::OFF, RepairConfig::default()] {
        let mut w = world(3, &[link(10, 0.05), link(80, 0.0)], &[], repair);
        w.stream(call(EF));
        w.run(call_time() / 10);
        finish(&mut w);
        println!("{}", account(&w));
        assert_eq!((w.streams[0].missing(), w.streams[0].duplicates), (0, 0), "{}", account(&w));
    }
}

#[test]
fn large_packets_marked_as_voice_are_not_sent_twice() {
    let mut w = world(1, &[link(10, 0.0); 2], &[], RepairConfig::default());
    w.stream(Traffic { tos: EF, ..Traffic::new(0, 1, 5e6) });
    w.run(5 * S);
    finish(&mut w);
    let copies = w.ends[0].peer(w.now).copies;
    assert_eq!((copies.sent, taken(&w, "voice"), w.streams[0].missing()), (0, 0, 0));
    assert_eq!(taken(&w, "rest"), w.streams[0].sent);
}

#[test]
fn with_one_path_a_call_goes_by_it() {
    let mut w = world(1, &[link(10, 0.0); 2], &[], RepairConfig::default());
    w.stream(call(EF));
    w.run(2 * S);
    w.lines[0].cut(Way::Both);
    w.run(2 * S);
    let before = w.ends[0].peer(w.now).copies.sent;
    w.run(5 * S);
    assert!(w.ends[0].peer(w.now).copies.sent <= before + 1, "nothing goes to a dead path");
    w.lines[0].mend();
    w.run(20 * S);
    finish(&mut w);
    let s = &w.streams[0];
    assert_eq!((s.missing(), s.out_of_order, s.duplicates), (0, 0, 0), "{}", account(&w));
    assert!(w.ends[0].peer(w.now).copies.sent > before + 100, "both again");
    // While the path was dying, its twin came by the other one.
    assert!(s.longest_gap < 250 * MS, "{}", account(&w));
}

#[test]
fn a_tunnel_that_duplicates_everything() {
    let links = [link(10, 0.02), link(15, 0.02)];
    let mut w = world_with(1, &links, &[], RepairConfig::default(), SchedulerKind::Duplicate);
    w.stream(Traffic::new(0, 1, 5e6));
    w.run(20 * S);
    finish(&mut w);
    println!("{}", account(&w));
    let s = &w.streams[0];
    assert_eq!((s.missing(), s.out_of_order, s.duplicates), (0, 0, 0), "{}", account(&w));
    assert_eq!(w.ends[0].peer(w.now).copies.sent, s.sent);
    let receiver = w.ends[1].peer(w.now).reordering;
    assert!(receiver.duplicates > s.sent * 9 / 10, "{}", account(&w));
}

#[test]
fn what_is_free_never_waits() {
    let links = [link(5, 0.02), link(60, 0.02)];
    let own = ["name free order free dscp af41"];
    let mut w = world(1, &links, &own, RepairConfig::default());
    w.stream(Traffic { tos: 34 << 2, ..Traffic::new(0, 1, 4e6) });
    w.run(20 * S);
    finish(&mut w);
    println!("{}", account(&w));
    let s = &w.streams[0];
    assert_eq!(w.ends[1].peer(w.now).reordering.held, 0, "{}", account(&w));
    assert_eq!((s.missing(), s.duplicates, taken(&w, "free")), (0, 0, s.sent), "{}", account(&w));
    assert!(s.out_of_order > s.sent / 10, "that is the price: {}", account(&w));
}

#[test]
fn what_is_pinned_goes_only_there() {
    // With 2 % a path is suspected at times, for a moment; then what is pinned there is spread.
    let own = ["name pinned dscp af41 send pin path-1"];
    let mut w = world(1, &[link(5, 0.0), link(20, 0.005)], &own, RepairConfig::default());
    w.stream(Traffic { tos: 34 << 2, ..Traffic::new(0, 1, 4e6) });
    w.run(20 * S);
    let data = |w: &World, path| w.ends[0].path(w.now, path).tx_data_packets;
    assert_eq!(data(&w, 0), 0, "nothing, not even what is sent again: {}", account(&w));
    finish(&mut w);
    assert_eq!((w.streams[0].missing(), w.streams[0].duplicates), (0, 0), "{}", account(&w));
}

#[test]
fn what_is_pinned_is_spread_while_its_path_is_of_no_use() {
    let own = ["name pinned dscp af41 send pin path-1"];
    let mut w = world(1, &[link(5, 0.0), link(20, 0.0)], &own, RepairConfig::default());
    w.stream(Traffic { tos: 34 << 2, ..Traffic::new(0, 1, 4e6) });
    w.run(2 * S);
    let data = |w: &World, path| w.ends[0].path(w.now, path).tx_data_packets;
    w.lines[1].cut(Way::Both);
    w.run(5 * S);
    assert!(data(&w, 0) > 2_000, "{}", account(&w));
    w.operate(0, |endpoint, at, _| {
        let e = endpoint.explain(at, &"udp 10.77.0.1:1 -> 10.77.0.2:2 dscp af41".parse().unwrap());
        let happens =
            "pinned to path-1, which is down; spread: the scheduler (weighted) picks the path";
        assert_eq!(e.happens[0], happens);
    });
    w.lines[1].mend();
    w.run(30 * S);
    let before = data(&w, 0);
    w.run(5 * S);
    assert_eq!(data(&w, 0), before, "back again: {}", account(&w));
    finish(&mut w);
    assert_eq!((w.streams[0].missing(), w.streams[0].duplicates), (0, 0), "{}", account(&w));
}

#[test]
fn the_fastest_goes_by_one_path() {
    let own = ["name quick dscp af41 send fastest"];
    let mut w = world(1, &[link(30, 0.0), link(10, 0.0)], &own, RepairConfig::default());
    w.stream(Traffic { tos: 34 << 2, ..Traffic::new(0, 1, 4e6) });
    w.run(10 * S);
    finish(&mut w);
    let data = |path| w.ends[0].path(w.now, path).tx_data_packets;
    assert_eq!((data(0), data(1)), (0, w.streams[0].sent), "{}", account(&w));
}

#[test]
fn no_nonce_comes_twice() {
    let own = ["name call dscp ef send duplicate"];
    let mut w = world(1, &[link(10, 0.2), link(20, 0.2)], &own, RepairConfig::default());
    w.stream(Traffic { tos: EF, ..Traffic::new(0, 1, 2e6) });
    w.recording = Some(Vec::new());
    for line in [0, 1, 0, 1] {
        w.run(S);
        w.lines[line].cut(Way::Both);
        w.run(S);
        w.lines[line].mend();
    }
    let mut seen = HashSet::new();
    let mut copies = [0u32; 16];
    for r in w.recording.take().unwrap() {
        let Some(h) = DataHeader::decode(&r.bytes) else { continue };
        // The index names the path.
        assert!(seen.insert((h.index, h.worker, h.copy, h.pn)), "{h:?}");
        copies[usize::from(h.copy)] += 1;
    }
    assert!(copies[1] > 500 && copies[2] > 20 && copies[3] > 10, "{copies:?}");
}

#[test]
fn policies_change_while_packets_flow() {
    let mut w = world(1, &[link(10, 0.0), link(15, 0.0)], &[], RepairConfig::default());
    w.stream(Traffic { tos: 34 << 2, ..Traffic::new(0, 1, 2e6) });
    w.run(2 * S);
    let data = |w: &World, path| w.ends[0].path(w.now, path).tx_data_packets;
    assert!(data(&w, 0) > 100 && data(&w, 1) > 100);
    w.operate(0, |endpoint, at, _| {
        let wrong = endpoint.add_policy("send pin path-9".parse().unwrap(), None).unwrap_err();
        assert_eq!(wrong.0, "no path is called `path-9`; did you mean `path-0`?");
        endpoint.add_policy("name p dscp af41 send pin path-0".parse().unwrap(), None).unwrap();
        let packet = "udp 10.77.0.1:1 -> 10.77.0.2:2 dscp af41 size 200".parse().unwrap();
        let e = endpoint.explain(at, &packet);
        assert!(e.tried.len() == 1 && e.tried[0].takes, "{e:?}");
        assert_eq!(e.happens[0], "pinned to path-0, and sent again there only");
    });
    let before = data(&w, 1);
    w.run(2 * S);
    assert_eq!(data(&w, 1), before);
    w.operate(0, |endpoint, at, _| {
        endpoint.remove_policy("p").unwrap();
        let explain = |text: &str| endpoint.explain(at, &text.parse().unwrap());
        let e = explain("udp 10.77.0.1:1 -> 10.77.0.2:2 dscp ef size 200");
        assert_eq!(e.happens[0], "duplicated: on path-0 and on path-1");
        let e = explain("icmp 10.77.0.1 -> 10.9.0.2");
        assert!(e.peer.is_none() && e.happens[0].contains("no-peer"), "{e:?}");
        let e = explain("icmp 10.77.0.1 -> 10.77.0.2");
        assert_eq!(e.happens[0], "by the fastest path, which is path-0");
    });
    w.run(2 * S);
    assert!(data(&w, 1) > before + 100);
    finish(&mut w);
    let s = &w.streams[0];
    assert_eq!((s.missing(), s.out_of_order), (0, 0), "{}", account(&w));
}

#[test]
fn what_is_protected_is_made_again() {
    let own = ["name video dscp af41 send protect"];
    for (repair, bytes) in
        [(RepairConfig::OFF, 1_000), (RepairConfig::default(), 1_000), (RepairConfig::OFF, 300)]
    {
        let links = [link(10, 0.01), link(25, 0.01)];
        let mut w = world(1, &links, &own, repair);
        w.stream(Traffic { tos: 34 << 2, bytes, ..Traffic::new(0, 1, 4e6) });
        w.run(60 * S);
        finish(&mut w);
        println!("{bytes} bytes: {}", account(&w));
        let s = &w.streams[0];
        let (sender, receiver) = (w.ends[0].peer(w.now).copies, w.ends[1].peer(w.now).copies);
        assert_eq!((s.duplicates, taken(&w, "video")), (0, s.sent), "{}", account(&w));
        let blocks = s.sent / 8;
        assert!((blocks..blocks + blocks / 5).contains(&sender.parity), "{}", account(&w));
        // Of 1 % losses nearly all are alone in their block.
        let lost = receiver.recovered - receiver.early;
        assert!((s.sent / 140..s.sent / 80).contains(&lost), "{}", account(&w));
        let most = if repair.is_on() { 0.0 } else { 0.15 };
        assert!(residual(&w) <= most, "{}", account(&w));
    }
}

#[test]
fn what_fills_the_mtu_has_parity_in_two_pieces() {
    let links = [link(10, 0.01), link(25, 0.01)];
    let mut w = world(1, &links, &["send protect"], RepairConfig::OFF);
    w.run(2 * S);
    let mtu = usize::from(w.ends[0].status(w.now).mtu);
    for bytes in [mtu, mtu - 60] {
        let before = w.ends[1].peer(w.now).copies;
        let stream = w.stream(Traffic { bytes, ..Traffic::new(0, 1, 4e6) });
        w.run(20 * S);
        finish(&mut w);
        let (s, after) = (&w.streams[stream], w.ends[1].peer(w.now).copies);
        let lost = (after.recovered - before.recovered) - (after.early - before.early);
        assert!((s.sent / 160..s.sent / 70).contains(&lost), "{bytes}: {}", account(&w));
        assert!(s.missing() < s.sent / 400, "{bytes}: {}", account(&w));
    }
}

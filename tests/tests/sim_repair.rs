//! Nothing is lost with a path: whole endpoints in virtual time. Paths that fail, paths that lose, and more
//! traffic than there is room for.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_core::config::RepairConfig;
use mpt_core::wire::DataHeader;
use mpt_core::{PathId, Weight};
use mpt_lab::link::{BurstLoss, LinkProfile, QueueLimit};
use mpt_lab::sim::sweep::sweep;
use mpt_lab::sim::world::{Far, Traffic, Way, World};
use std::collections::HashSet;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);
const S: Duration = Duration::from_secs(1);

/// Inner bytes of a packet, and what it takes on the link: our header and tag, IP and UDP.
const INNER: usize = 1_000;
const OUTER: usize = INNER + 36 + 28;

fn link(mbit: u64, delay: u32) -> LinkProfile {
    LinkProfile {
        rate_bps: Some(mbit * 1_000_000),
        delay: MS * delay,
        queue: QueueLimit::Time(MS * 100),
        ..Default::default()
    }
}

/// The same link, but its jitter reorders, and it loses.
fn radio(mbit: u64, delay: u32, jitter: u32, loss: f64) -> LinkProfile {
    LinkProfile { jitter: MS * jitter, reorder: true, loss, ..link(mbit, delay) }
}

/// Inner bits a second which take this part of what the links carry.
fn load(links: &[LinkProfile], part: f64) -> f64 {
    let sum: u64 = links.iter().filter_map(|l| l.rate_bps).sum();
    sum as f64 * part * INNER as f64 / OUTER as f64
}

/// A pair with weights like rates, under this load for at least 2 s.
fn loaded(seed: u64, links: &[LinkProfile], part: f64, repair: RepairConfig) -> World {
    loaded_ends(seed, links, part, [repair; 2])
}

fn loaded_ends(seed: u64, links: &[LinkProfile], part: f64, repair: [RepairConfig; 2]) -> World {
    let mut w = World::new(seed);
    for repair in repair {
        let end = w.add_end();
        w.ends[end].config.repair = repair;
    }
    for end in 0..2 {
        w.start(end);
    }
    w.connect(0, 1, links, Far::Configured);
    for (i, l) in links.iter().enumerate() {
        let weight = Weight::new(l.rate_bps.unwrap() / 1_000_000).unwrap();
        let path = PathId::new(i as u8).unwrap();
        w.operate(0, |endpoint, _, peer| endpoint.set_weight(peer, path, weight));
    }
    w.run_until_up(3 * S).expect("all paths answer");
    w.stream(Traffic { bytes: INNER, ..Traffic::new(0, 1, load(links, part)) });
    let longer = 2 * S + w.any(S);
    w.run(longer);
    w
}

/// Lets come what is under way.
fn finish(w: &mut World) {
    w.stop_streams();
    w.run(2 * S);
}

fn account(w: &World) -> String {
    let s = &w.streams[0];
    let (sender, receiver) = (w.ends[0].peer(w.now), w.ends[1].peer(w.now));
    format!(
        "{} sent, {} lost, {} out of order, gap {:?}, delay {:?}; {:?} {:?}",
        s.sent,
        s.missing(),
        s.out_of_order,
        s.longest_gap,
        s.delay_max,
        sender.repair,
        receiver.reordering,
    )
}

fn assert_whole(w: &World) {
    let s = &w.streams[0];
    assert_eq!((s.missing(), s.out_of_order, s.duplicates), (0, 0, 0), "{}", account(w));
}

const BRIDGES: [LinkProfile; 2] = [LinkProfile {
    rate_bps: Some(20_000_000),
    delay: Duration::from_millis(3),
    jitter: Duration::ZERO,
    jitter_correlation: Duration::ZERO,
    reorder: false,
    loss: 0.0,
    burst: None,
    queue: QueueLimit::Time(Duration::from_millis(100)),
    policer: None,
    blackhole: false,
}; 2];

#[test]
fn a_blackhole_loses_nothing() {
    let mut worst = Duration::ZERO;
    sweep("blackhole at 45 % of the sum", 12, |seed| {
        let mut w = loaded(seed, &BRIDGES, 0.45, RepairConfig::default());
        let line = w.below(2);
        w.streams[0].reset_extremes();
        w.lines[line].cut(Way::Both);
        w.run(2 * S);
        worst = worst.max(w.streams[0].longest_gap);
        w.lines[line].mend();
        w.run(2 * S);
        finish(&mut w);
        assert_whole(&w);
        assert!(w.streams[0].longest_gap < 150 * MS, "{}", account(&w));
        if seed == 1 {
            println!("{}", account(&w));
        }
    });
    println!("longest gap {worst:?}");
}

#[test]
fn a_blackhole_one_way_loses_nothing() {
    sweep("blackhole of one direction", 6, |seed| {
        for way in [Way::Up, Way::Down] {
            let mut w = loaded(seed, &BRIDGES, 0.45, RepairConfig::default());
            let line = w.below(2);
            w.streams[0].reset_extremes();
            w.lines[line].cut(way);
            w.run(2 * S);
            w.lines[line].mend();
            w.run(S);
            finish(&mut w);
            assert_whole(&w);
            assert!(w.streams[0].longest_gap < 150 * MS, "{}", account(&w));
        }
    });
}

#[test]
fn a_link_that_goes_down_locally_loses_nothing() {
    let mut worst = Duration::ZERO;
    sweep("local link down", 12, |seed| {
        let mut w = loaded(seed, &BRIDGES, 0.45, RepairConfig::default());
        let line = w.below(2);
        w.streams[0].reset_extremes();
        w.lines[line].cut(Way::Both);
        let path = PathId::new(line as u8).unwrap();
        w.operate(0, |endpoint, now, peer| {
            let why = "link down".to_owned();
            endpoint.set_local(now, peer, path, mpt_core::config::LocalEnd::Gone { why });
        });
        w.run(2 * S);
        worst = worst.max(w.streams[0].longest_gap);
        finish(&mut w);
        assert_whole(&w);
        assert!(w.streams[0].longest_gap < 30 * MS, "{}", account(&w));
    });
    println!("longest gap {worst:?}");
}

#[test]
fn paths_that_flap_in_turn_lose_nothing() {
    sweep("flapping in turn", 4, |seed| {
        let mut w = loaded(seed, &BRIDGES, 0.45, RepairConfig::default());
        w.streams[0].reset_extremes();
        for i in 0..20 {
            w.lines[i % 2].cut(Way::Both);
            w.run(S / 2 * 3);
            w.lines[i % 2].mend();
            w.run(S / 2 * 3);
        }
        finish(&mut w);
        let s = &w.streams[0];
        assert_eq!(s.missing(), 0, "{}", account(&w));
        println!("{}", account(&w));
    });
}

/// What a row of losses shows.
struct Row {
    name: String,
    sent: u64,
    lost: u64,
    out_of_order: u64,
}

/// Sends packets for `time`, and prints what became of them; order and delays without the first 2 s.
fn row(name: &str, links: &[LinkProfile], part: f64, time: Duration, repair: RepairConfig) -> Row {
    let mut w = loaded(1, links, part, repair);
    let out_of_order = w.streams[0].out_of_order;
    w.streams[0].reset_extremes();
    w.run(time);
    finish(&mut w);
    let s = &w.streams[0];
    let row = Row {
        name: name.to_owned(),
        sent: s.sent,
        lost: s.missing(),
        out_of_order: s.out_of_order - out_of_order,
    };
    let p99 = s.delays.value_at_quantile(0.99) as f64 / 1e3;
    println!(
        "{name}: {} sent, {:.5} % lost, {:.5} % out of order, delay p99 {p99:.1} ms; {}",
        row.sent,
        row.lost as f64 * 100.0 / row.sent as f64,
        row.out_of_order as f64 * 100.0 / row.sent as f64,
        account(&w)
    );
    row
}

impl Row {
    fn at_most(&self, lost: f64, out_of_order: f64) {
        let share = |n: u64| n as f64 * 100.0 / self.sent as f64;
        assert!(share(self.lost) <= lost, "{}: {} of {} lost", self.name, self.lost, self.sent);
        assert!(
            share(self.out_of_order) <= out_of_order,
            "{}: {} of {} out of order",
            self.name,
            self.out_of_order,
            self.sent
        );
    }
}

/// Virtual seconds of a row: `MPT_ROW_SECONDS`, by default enough to see that nothing is wrong.
fn row_time() -> Duration {
    let seconds = std::env::var("MPT_ROW_SECONDS").ok().and_then(|s| s.parse().ok());
    S * seconds.unwrap_or(30)
}

#[test]
fn random_loss_is_repaired() {
    let lossy = |loss| [LinkProfile { loss, ..link(20, 10) }, link(20, 10)];
    let bursts = |loss| {
        let burst = Some(BurstLoss { mean_length: 10.0, loss });
        [LinkProfile { burst, ..link(20, 10) }, link(20, 10)]
    };
    for (name, links) in [
        ("1 % on one", lossy(0.01)),
        ("5 % on one", lossy(0.05)),
        ("bursts of 10, 1 % on one", bursts(0.01)),
    ] {
        row(name, &links, 0.6, row_time(), RepairConfig::default()).at_most(0.001, 0.0);
    }
}

#[test]
fn radio_links_are_repaired() {
    let lte = [radio(40, 30, 5, 0.005), radio(25, 45, 8, 0.005)];
    row("dual_lte", &lte, 0.8, row_time(), RepairConfig::default()).at_most(0.001, 0.01);
    let congested = [radio(20, 50, 20, 0.02), radio(15, 60, 25, 0.02)];
    row("congested", &congested, 0.8, row_time(), RepairConfig::default()).at_most(0.1, 0.1);
}

#[test]
fn congestion_is_not_repaired_into_a_collapse() {
    let delivered = |repair| {
        let row = row("120 %", &[link(20, 10), link(20, 10)], 1.2, row_time() / 3, repair);
        (row.sent - row.lost) as f64 / row.sent as f64
    };
    let (with, without) = (delivered(RepairConfig::default()), delivered(RepairConfig::OFF));
    println!("delivered {:.2} % with repair, {:.2} % without", with * 100.0, without * 100.0);
    assert!(with >= without * 0.998, "{with} {without}");
}

#[test]
fn no_nonce_comes_twice() {
    let mut w =
        loaded(1, &[radio(20, 10, 5, 0.05), radio(20, 20, 5, 0.05)], 0.45, RepairConfig::default());
    w.recording = Some(Vec::new());
    for line in [0, 1, 0, 1] {
        w.run(S);
        w.lines[line].cut(Way::Both);
        w.run(S);
        w.lines[line].mend();
    }
    let mut seen = HashSet::new();
    let mut copies = 0;
    for r in w.recording.take().unwrap() {
        let Some(h) = DataHeader::decode(&r.bytes) else { continue };
        // The index names the path.
        assert!(seen.insert((h.index, h.worker, h.copy, h.pn)), "{h:?}");
        copies += u64::from(h.copy > 0);
    }
    let repair = w.ends[0].peer(w.now).repair;
    assert!(copies > 200, "{copies}");
    assert!(repair.sent_again > 100 && repair.rescued > 50, "{repair:?}");
}

#[test]
fn both_ends_have_to_repair() {
    let (on, off) = (RepairConfig::default(), RepairConfig::OFF);
    for repair in [[on, off], [off, on]] {
        let links = [LinkProfile { loss: 0.01, ..link(20, 10) }, link(20, 10)];
        let mut w = loaded_ends(1, &links, 0.6, repair);
        w.run(5 * S);
        finish(&mut w);
        let (sender, receiver) = (w.ends[0].peer(w.now), w.ends[1].peer(w.now));
        assert!(!sender.repair.active && !receiver.repair.active);
        assert_eq!((sender.repair.sent_again, w.streams[0].out_of_order), (0, 0));
        assert!(w.streams[0].missing() > 20, "{}", account(&w));
        assert!(receiver.reordering.hold_p99 < 0.01, "nobody waits in vain: {}", account(&w));
    }
}

//! The rows of the ordering rules' table, from `mpt-core` itself in virtual time.
//!
//! `MPT_SEEDS=100 cargo test --release -p mpt-lab --test ordering_rows -- --nocapture` runs more seeds
//! and shows the table.

#![allow(clippy::unwrap_used, reason = "part of tests")]

use mpt_core::Time;
use mpt_lab::link::{BurstLoss, LinkProfile, QueueLimit};
use mpt_lab::sim::ordering::{Scenario, Unplugged, run};
use mpt_lab::sim::outcome::Outcome;
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

/// Packets of `Scenario` are sent for this long.
const DURATION: Duration = Duration::from_secs(10);

/// What a row must show, of all its seeds together.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// Share of packets out of order after the first 2 s. Zero: none at any time, for every seed.
    out_of_order: f64,
    /// How much greater than the slowest path's own 99th percentile the one-way delay's may be.
    delay: Duration,
}

const FIFO: Bounds = Bounds { out_of_order: 0.0, delay: Duration::from_millis(2) };
/// Where two paths swell in turn, order makes each packet as late as the later of them.
const EQUALS: Bounds = Bounds { delay: Duration::from_millis(20), ..FIFO };
const REORDERS: Bounds = Bounds { out_of_order: 0.000_1, ..FIFO };
const ON_OFF: Bounds = Bounds { out_of_order: 0.000_12, ..FIFO };
/// What is lost on a link that reorders is known one extent later.
const LOSES: Bounds = Bounds { delay: Duration::from_millis(25), ..REORDERS };
/// What waits for a path that is gone waits for the delays' difference, and then 50 ms of patience.
const CUT: Bounds = Bounds { delay: Duration::from_millis(50), ..FIFO };

fn link(delay: u32, jitter: u32) -> LinkProfile {
    LinkProfile {
        rate_bps: Some(20_000_000),
        delay: MS * delay,
        jitter: MS * jitter,
        queue: QueueLimit::Time(MS * 300),
        ..Default::default()
    }
}

fn correlated(delay: u32, jitter: u32) -> LinkProfile {
    LinkProfile { jitter_correlation: 20 * MS, ..link(delay, jitter) }
}

/// Jitter that swells and ebbs, as a busy radio channel's does.
fn slow(profile: LinkProfile) -> LinkProfile {
    LinkProfile { jitter_correlation: 300 * MS, ..profile }
}

fn reordering(profile: LinkProfile) -> LinkProfile {
    LinkProfile { reorder: true, ..profile }
}

fn lossy(profile: LinkProfile, loss: f64) -> LinkProfile {
    LinkProfile { loss, ..profile }
}

/// 32 flows at 80 % load, weights like rates.
fn scenario(name: &'static str, links: &[LinkProfile]) -> Scenario {
    let rate = |l: &LinkProfile| l.rate_bps.unwrap_or(20_000_000);
    Scenario {
        name,
        paths: links.iter().map(|l| (*l, (rate(l) / 1_000_000) as u32)).collect(),
        flows: 32,
        rate_bps: 0.8 * links.iter().map(|l| rate(l) as f64).sum::<f64>(),
        on_off: None,
        unplugged: None,
        pauses: None,
        batch: Duration::ZERO,
        duration: DURATION,
    }
}

/// At 5 % load each path idles and opens again all the time. Longer, for enough packets to count.
fn sparse(s: Scenario) -> Scenario {
    Scenario { rate_bps: s.rate_bps / 16.0, duration: s.duration * 8, ..s }
}

fn short(s: Scenario) -> Scenario {
    Scenario { duration: Duration::from_secs(3), ..s }
}

fn batched(s: Scenario) -> Scenario {
    Scenario { batch: MS, ..s }
}

/// Once a second the second path brings nothing for 40 ms, as radio links do. Patience bridges that,
/// with jitter to spare: at 50 ms, all there is, one packet in 10 million meets its deadline first
/// (seed 219).
fn pausing(s: Scenario) -> Scenario {
    Scenario { pauses: Some((1_000 * MS, 40 * MS)), ..s }
}

/// More than the links carry: full queues, which drop.
fn overload(s: Scenario) -> Scenario {
    Scenario { rate_bps: s.rate_bps * 1.1 / 0.8, ..s }
}

fn on_off(s: Scenario) -> Scenario {
    Scenario { on_off: Some((100 * MS, 100 * MS)), ..s }
}

/// Links that are FIFO, with whatever jitter.
fn fifo_rows() -> Vec<(Bounds, Scenario)> {
    let l = link;
    let c = correlated;
    let fast = |l| LinkProfile { rate_bps: Some(400_000_000), ..l };
    let thin = |l| LinkProfile { rate_bps: Some(5_000_000), ..l };
    let unshaped = |l| LinkProfile { rate_bps: None, ..l };
    let bursts = |l| LinkProfile { burst: Some(BurstLoss { mean_length: 5.0, loss: 0.01 }), ..l };
    let calls = |s| Scenario { rate_bps: 480_000.0, flows: 2, ..s };
    [
        scenario("10/10 ms", &[l(10, 0); 2]),
        scenario("5/25 ms", &[l(5, 0), l(25, 0)]),
        scenario("20/120 ms", &[l(20, 0), l(120, 0)]),
        scenario("5/25 ms, jitter 5", &[l(5, 5), l(25, 5)]),
        scenario("5/25 ms, correlated jitter 5", &[c(5, 5), c(25, 5)]),
        scenario("20/120 ms, jitter 5/20", &[l(20, 5), l(120, 20)]),
        scenario("20/120 ms, correlated jitter 5/20", &[c(20, 5), c(120, 20)]),
        scenario("5/25 ms, jitter 5, loss 1 % on one", &[l(5, 5), lossy(l(25, 5), 0.01)]),
        scenario("5/25 ms, jitter 5, loss 2 %", &[lossy(l(5, 5), 0.02), lossy(l(25, 5), 0.02)]),
        scenario("5/25 ms, burst loss 1 %", &[bursts(l(5, 0)), bursts(l(25, 0))]),
        scenario("5/15/40 ms, jitter 5", &[l(5, 5), l(15, 5), l(40, 5)]),
        scenario("5/25 ms, 20 + 5 Mbit/s", &[l(5, 0), thin(l(25, 0))]),
        scenario("unshaped, no delay", &[unshaped(l(0, 0)); 2]),
        short(scenario("5/25 ms, jitter 5, 400 Mbit/s each", &[fast(l(5, 5)), fast(l(25, 5))])),
        batched(scenario("5/25 ms, jitter 5, taken in every ms", &[l(5, 5), l(25, 5)])),
        scenario("5/60 ms, slow jitter 5/40", &[l(5, 5), slow(l(60, 40))]),
        pausing(scenario("5/25 ms, jitter 5, pauses of 40 ms", &[l(5, 5), l(25, 5)])),
        overload(scenario("5/25 ms, jitter 5, 110 % load", &[l(5, 5), l(25, 5)])),
        overload(scenario(
            "20/120 ms, queues 100/300 ms, 110 % load",
            &[LinkProfile { queue: QueueLimit::Time(100 * MS), ..l(20, 5) }, l(120, 5)],
        )),
        on_off(scenario("5/25 ms, jitter 5, on/off", &[l(5, 5), l(25, 5)])),
        on_off(scenario(
            "20/120 ms, loss 0.5 %, on/off",
            &[lossy(l(20, 0), 0.005), lossy(l(120, 0), 0.005)],
        )),
        sparse(scenario("5/25 ms, jitter 5, 5 % load", &[l(5, 5), l(25, 5)])),
        on_off(sparse(scenario("5/25 ms, jitter 5, 5 % load on/off", &[l(5, 5), l(25, 5)]))),
        on_off(sparse(scenario(
            "20/120 ms, jitter 5, loss 1 %, 5 % on/off",
            &[lossy(l(20, 5), 0.01), lossy(l(120, 5), 0.01)],
        ))),
        calls(scenario("20/120 ms, jitter 5, 50 packets/s", &[l(20, 5), l(120, 5)])),
    ]
    .map(|s| (FIFO, s))
    .into_iter()
    .chain([(EQUALS, scenario("60/60 ms, slow jitter 40", &[slow(l(60, 40)); 2]))])
    .collect()
}

/// Links whose jitter reorders.
fn reordering_rows() -> Vec<(Bounds, Scenario)> {
    let r = |delay, jitter| reordering(link(delay, jitter));
    let c = |delay, jitter| reordering(correlated(delay, jitter));
    let fast = |l| LinkProfile { rate_bps: Some(400_000_000), ..l };
    vec![
        (REORDERS, scenario("5/25 ms, jitter 5", &[r(5, 5), r(25, 5)])),
        (REORDERS, scenario("20/120 ms, jitter 5/20", &[r(20, 5), r(120, 20)])),
        (REORDERS, scenario("5/25 ms, correlated jitter 5", &[c(5, 5), c(25, 5)])),
        (REORDERS, scenario("20/120 ms, correlated jitter 5/20", &[c(20, 5), c(120, 20)])),
        (REORDERS, scenario("5/25 ms, jitter 5, one is FIFO", &[link(5, 5), r(25, 5)])),
        (REORDERS, scenario("5/15/40 ms, jitter 5", &[r(5, 5), r(15, 5), r(40, 5)])),
        (
            REORDERS,
            short(scenario("5/25 ms, jitter 5, 400 Mbit/s each", &[fast(r(5, 5)), fast(r(25, 5))])),
        ),
        (
            LOSES,
            scenario("5/25 ms, jitter 5, loss 1 %", &[lossy(r(5, 5), 0.01), lossy(r(25, 5), 0.01)]),
        ),
        (ON_OFF, on_off(scenario("5/25 ms, jitter 5, on/off", &[r(5, 5), r(25, 5)]))),
        (ON_OFF, on_off(scenario("20/120 ms, jitter 5/20, on/off", &[r(20, 5), r(120, 20)]))),
        (ON_OFF, sparse(scenario("5/25 ms, jitter 5, 5 % load", &[r(5, 5), r(25, 5)]))),
    ]
}

/// A path that is cut from 3 to 6 s; the sender notices after 300 ms.
fn cut_rows() -> Vec<(Bounds, Scenario)> {
    let cut = |path, s: Scenario| {
        let (from, to) = (Time::from_millis(3_000), Time::from_millis(6_000));
        let unplugged = Some(Unplugged { path, from, to, noticed_after: 300 * MS });
        Scenario { unplugged, rate_bps: s.rate_bps / 2.0, ..s }
    };
    [
        cut(1, scenario("5/25 ms, jitter 5, 25 is cut", &[link(5, 5), link(25, 5)])),
        cut(0, scenario("5/25 ms, jitter 5, 5 is cut", &[link(5, 5), link(25, 5)])),
        cut(0, scenario("20/120 ms, jitter 5, 20 is cut", &[link(20, 5), link(120, 5)])),
        cut(1, scenario("20/120 ms, jitter 5, 120 is cut", &[link(20, 5), link(120, 5)])),
    ]
    .map(|s| (CUT, s))
    .into()
}

fn seeds() -> u64 {
    std::env::var("MPT_SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(4)
}

#[test]
fn fifo_links_are_never_out_of_order() {
    run_table("FIFO", fifo_rows());
}

#[test]
fn links_that_reorder_are_learned() {
    run_table("reordering", reordering_rows());
}

#[test]
fn a_link_that_is_cut_delays_no_longer_than_patience() {
    run_table("FIFO", cut_rows());
}

fn run_table(title: &str, rows: Vec<(Bounds, Scenario)>) {
    let only = std::env::var("MPT_ROW").unwrap_or_default();
    let mut table = format!("{title:<44} {HEADINGS}\n");
    let mut failures = Vec::new();
    for (bounds, scenario) in rows.into_iter().filter(|r| r.1.name.contains(&only)) {
        let outcomes: Vec<Outcome> = (0..seeds()).map(|seed| run(&scenario, seed)).collect();
        table += &row(scenario.name, &outcomes);
        check(scenario.name, bounds, &outcomes, &mut failures);
    }
    println!("{table}");
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

fn check(name: &str, bounds: Bounds, outcomes: &[Outcome], failures: &mut Vec<String>) {
    let sum = |f: fn(&Outcome) -> u64| outcomes.iter().map(f).sum::<u64>();
    for (seed, o) in outcomes.iter().enumerate() {
        if bounds.out_of_order == 0.0 && o.out_of_order > 0 {
            failures.push(format!("{name}, seed {seed}: {} out of order", o.out_of_order));
        }
        if o.held_for_others > 0 {
            failures.push(format!("{name}, seed {seed}: {} held for others", o.held_for_others));
        }
        if o.delay_p99 > o.slowest_p99.saturating_add(bounds.delay) {
            failures.push(format!(
                "{name}, seed {seed}: delay p99 {:?}, of the slowest path {:?}",
                o.delay_p99, o.slowest_p99
            ));
        }
    }
    let share = sum(|o| o.out_of_order_warm) as f64 / sum(|o| o.delivered_warm).max(1) as f64;
    if share > bounds.out_of_order {
        failures.push(format!("{name}: {:.5} % out of order after 2 s", share * 100.0));
    }
}

/// Out of order in all and after the first 2 s; held packets; hold time (of the held), wait and
/// one-way delay (of all), and the slowest path's own, in ms, each the worst seed's; packets held for
/// another flow's sake; markers sent.
const HEADINGS: &str = " packets  disorder  after 2s  held  hold99  wait99 waitmax     p50     p99  path99 others markers";

fn row(name: &str, outcomes: &[Outcome]) -> String {
    let sum = |f: fn(&Outcome) -> u64| outcomes.iter().map(f).sum::<u64>();
    let percent = |part: u64, of: u64| part as f64 * 100.0 / of.max(1) as f64;
    let worst = |f: fn(&Outcome) -> Duration| {
        outcomes.iter().map(f).max().unwrap_or_default().as_secs_f64() * 1e3
    };
    let packets = sum(|o| o.delivered);
    format!(
        "{name:<44} {packets:>8} {:>8.5}% {:>8.5}% {:>4.0}% {:>7.1} {:>7.1} {:>7.1} {:>7.1} {:>7.1} {:>7.1} {:>6} {:>7}\n",
        percent(sum(|o| o.out_of_order), packets),
        percent(sum(|o| o.out_of_order_warm), sum(|o| o.delivered_warm)),
        percent(sum(|o| o.held), packets),
        worst(|o| Duration::from_secs_f64(o.stats.hold_p99)),
        worst(|o| o.wait_p99),
        worst(|o| o.wait_max),
        worst(|o| o.delay_p50),
        worst(|o| o.delay_p99),
        worst(|o| o.slowest_p99),
        sum(|o| o.held_for_others),
        sum(|o| o.markers),
    )
}

//! The rows of the ordering rules' table, from `mpt-core` itself in virtual time.
//!
//! `MPT_SEEDS=100 cargo test --release -p mpt-lab --test ordering_rows -- --nocapture` runs more seeds
//! and shows the table.

use mpt_lab::link::{BurstLoss, LinkProfile, QueueLimit};
use mpt_lab::sim::ordering::{Outcome, Scenario, run};
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
const REORDERS: Bounds = Bounds { out_of_order: 0.0001, delay: Duration::MAX };

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
        batch: Duration::ZERO,
        duration: DURATION,
    }
}

/// At 5 % load each path idles and opens again all the time.
fn sparse(s: Scenario) -> Scenario {
    Scenario { rate_bps: s.rate_bps / 16.0, ..s }
}

fn on_off(s: Scenario) -> Scenario {
    Scenario { on_off: Some((100 * MS, 100 * MS)), ..s }
}

fn rows() -> Vec<(Scenario, Bounds)> {
    let unequal = LinkProfile { rate_bps: Some(5_000_000), ..link(25, 0) };
    let unshaped = LinkProfile { rate_bps: None, ..link(0, 0) };
    let burst = Some(BurstLoss { mean_length: 5.0, loss: 0.01 });
    let mut rows = Vec::new();
    let mut fifo = |s| rows.push((s, FIFO));
    fifo(scenario("10/10 ms", &[link(10, 0); 2]));
    fifo(scenario("5/25 ms", &[link(5, 0), link(25, 0)]));
    fifo(scenario("20/120 ms", &[link(20, 0), link(120, 0)]));
    fifo(scenario("5/25 ms, jitter 5 ms", &[link(5, 5), link(25, 5)]));
    fifo(scenario("5/25 ms, correlated jitter 5 ms", &[correlated(5, 5), correlated(25, 5)]));
    fifo(scenario("20/120 ms, jitter 5/20 ms", &[link(20, 5), link(120, 20)]));
    fifo(scenario("20/120 ms, correlated 5/20 ms", &[correlated(20, 5), correlated(120, 20)]));
    fifo(scenario("5/25 ms, jitter 5, loss 1 % on one", &[link(5, 5), lossy(link(25, 5), 0.01)]));
    fifo(scenario(
        "5/25 ms, jitter 5, loss 2 % on both",
        &[lossy(link(5, 5), 0.02), lossy(link(25, 5), 0.02)],
    ));
    fifo(scenario(
        "5/25 ms, burst loss 1 %",
        &[LinkProfile { burst, ..link(5, 0) }, LinkProfile { burst, ..link(25, 0) }],
    ));
    fifo(scenario("5/15/40 ms, jitter 5 ms", &[link(5, 5), link(15, 5), link(40, 5)]));
    fifo(scenario("20 + 5 Mbit/s, 5/25 ms", &[link(5, 0), unequal]));
    fifo(scenario("two unshaped", &[unshaped; 2]));
    fifo(Scenario {
        batch: MS,
        ..scenario("5/25 ms, jitter 5, batches of 1 ms", &[link(5, 5), link(25, 5)])
    });
    fifo(on_off(scenario("5/25 ms, jitter 5, on/off", &[link(5, 5), link(25, 5)])));
    fifo(on_off(scenario(
        "20/120 ms, on/off, loss 0.5 %",
        &[lossy(link(20, 0), 0.005), lossy(link(120, 0), 0.005)],
    )));
    fifo(sparse(scenario("5/25 ms, jitter 5, 5 % load", &[link(5, 5), link(25, 5)])));
    fifo(sparse(on_off(scenario(
        "20/120 ms, jitter 5, loss 1 %, 5 % on/off",
        &[lossy(link(20, 5), 0.01), lossy(link(120, 5), 0.01)],
    ))));
    fifo(Scenario {
        rate_bps: 480_000.0,
        flows: 2,
        ..scenario("20/120 ms, jitter 5, 50 packets/s", &[link(20, 5), link(120, 5)])
    });

    let mut reorders = |s, out_of_order| rows.push((s, Bounds { out_of_order, ..REORDERS }));
    let r = |delay, jitter| reordering(link(delay, jitter));
    let rc = |delay, jitter| reordering(correlated(delay, jitter));
    reorders(scenario("5/25 ms, jitter 5 ms", &[r(5, 5), r(25, 5)]), 0.0001);
    reorders(scenario("20/120 ms, jitter 5/20 ms", &[r(20, 5), r(120, 20)]), 0.0001);
    reorders(scenario("5/25 ms, correlated jitter 5 ms", &[rc(5, 5), rc(25, 5)]), 0.0001);
    reorders(scenario("20/120 ms, correlated 5/20 ms", &[rc(20, 5), rc(120, 20)]), 0.0001);
    reorders(scenario("one FIFO, one reorders, 5/25 ms", &[link(5, 5), r(25, 5)]), 0.0001);
    reorders(
        scenario("5/25 ms, jitter 5, loss 1 %", &[lossy(r(5, 5), 0.01), lossy(r(25, 5), 0.01)]),
        0.0001,
    );
    reorders(scenario("5/15/40 ms, jitter 5 ms", &[r(5, 5), r(15, 5), r(40, 5)]), 0.0001);
    reorders(on_off(scenario("5/25 ms, jitter 5, on/off", &[r(5, 5), r(25, 5)])), 0.00012);
    reorders(on_off(scenario("20/120 ms, jitter 5/20, on/off", &[r(20, 5), r(120, 20)])), 0.00012);
    reorders(sparse(scenario("5/25 ms, jitter 5, 5 % load", &[r(5, 5), r(25, 5)])), 0.00012);
    rows
}

fn seeds() -> u64 {
    std::env::var("MPT_SEEDS").ok().and_then(|s| s.parse().ok()).unwrap_or(1)
}

#[test]
fn the_table() {
    let only = std::env::var("MPT_ROW").ok();
    println!(
        "{:<44} {:>8} {:>10} {:>7} {:>7} {:>8} {:>8} {:>8} {:>8} {:>7} {:>7} {:>7}",
        "links",
        "packets",
        "disorder",
        "warm",
        "held %",
        "hold p99",
        "wait p99",
        "p50",
        "p99",
        "path99",
        "others",
        "markers"
    );
    let mut failures = Vec::new();
    for (scenario, bounds) in rows() {
        let kind = if bounds.out_of_order == 0.0 { "FIFO " } else { "reord" };
        let name = format!("{kind} {}", scenario.name);
        if only.as_ref().is_some_and(|o| !name.contains(o.as_str())) {
            continue;
        }
        let outcomes: Vec<(u64, Outcome)> =
            (0..seeds()).map(|seed| (seed, run(&scenario, seed))).collect();
        print_row(&name, &outcomes);
        check(&name, bounds, &outcomes, &mut failures);
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

fn check(name: &str, bounds: Bounds, outcomes: &[(u64, Outcome)], failures: &mut Vec<String>) {
    let sum = |f: fn(&Outcome) -> u64| outcomes.iter().map(|(_, o)| f(o)).sum::<u64>();
    for (seed, o) in outcomes {
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

fn print_row(name: &str, outcomes: &[(u64, Outcome)]) {
    let sum = |f: fn(&Outcome) -> u64| outcomes.iter().map(|(_, o)| f(o)).sum::<u64>();
    let worst = |f: fn(&Outcome) -> f64| outcomes.iter().map(|(_, o)| f(o)).fold(0.0, f64::max);
    let ms = |d: Duration| d.as_secs_f64() * 1e3;
    let packets = sum(|o| o.delivered);
    println!(
        "{:<44} {:>8} {:>9.5}% {:>6.4}% {:>7.2} {:>8.1} {:>8.1} {:>8.1} {:>8.1} {:>7.1} {:>7} {:>7}",
        name,
        packets,
        sum(|o| o.out_of_order) as f64 * 100.0 / packets as f64,
        sum(|o| o.out_of_order_warm) as f64 * 100.0 / sum(|o| o.delivered_warm).max(1) as f64,
        sum(|o| o.held) as f64 * 100.0 / packets as f64,
        worst(|o| o.stats.hold_p99 * 1e3),
        worst(|o| o.wait_p99.as_secs_f64() * 1e3),
        worst(|o| o.delay_p50.as_secs_f64() * 1e3),
        ms(outcomes.iter().map(|(_, o)| o.delay_p99).max().unwrap_or_default()),
        ms(outcomes.iter().map(|(_, o)| o.slowest_p99).max().unwrap_or_default()),
        sum(|o| o.held_for_others),
        sum(|o| o.markers),
    );
}

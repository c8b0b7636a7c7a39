//! Networks that nobody picked: two to four links of any rate, delay, jitter, loss and queue. A sample; more by `mpt-lab profiles
//! --sim --random --seeds N`.

use mpt_lab::sim::profiles::{Outcome, Traffic, random_network};

/// So many networks.
const SEEDS: u64 = 8;

fn run(traffic: Traffic) -> Vec<Outcome> {
    (1..=SEEDS).map(|seed| random_network(traffic, seed)).collect()
}

/// In the mean: a single flow's fate hangs on a loss in its first second, with any of the links alone too.
#[test]
fn a_bulk_flow_has_more_than_the_best_link_alone() {
    for traffic in [Traffic::Cubic, Traffic::Bbr] {
        let outcomes = run(traffic);
        let mean = |i: usize| outcomes.iter().map(|o| o.shares[i]).sum::<f64>() / SEEDS as f64;
        let said = format!("{}: {:.2} of best, {:.2} of sum", traffic.name(), mean(0), mean(1));
        println!("{said}");
        assert!(mean(0) > 1.1 && mean(1) > 0.75, "{said}: {outcomes:#?}");
    }
}

/// Repaired, whatever the links lose. While a link that nobody has measured shows what it carries, a few packets may be lost there.
#[test]
fn a_constant_stream_loses_hardly_anything() {
    for outcome in run(Traffic::Steady) {
        let [lost, disorder] = outcome.shares;
        assert!(lost < 0.001 && disorder < 1e-4, "{outcome:#?}");
    }
}

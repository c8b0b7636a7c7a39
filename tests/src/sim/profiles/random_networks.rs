//! Networks that nobody picked: two to four links, drawn by a seed from what DSL, cable, LTE, Wi-Fi and satellites are like. In
//! each, what adaptive makes of all links against each of them alone.

use super::crew::Crew;
use super::grid::millis;
use super::options::{Options, Traffic};
use super::run::{bulk_in, call_in, steady_in, world_over};
use super::table::{CALL_EXTRA, DISORDER_GOAL, OF_BEST, WEB_OF_BEST, fine, percent};
use super::trace::trace_in;
use super::web_run::{WebRun, web_in};
use super::{Beside, Figures, Flow, STEADY_SHARE};
use crate::link::{LinkProfile, QueueLimit};
use crate::sim::world::World;
use mpt_core::config::SchedulerKind;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::io;
use std::time::Duration;

/// A call of 750 packets may lose one.
const CALL_LOSS: f64 = 0.0014;

/// So many of the worst are listed.
const WORST: usize = 10;

/// Chance in the shapes needed here.
struct Chance(ChaCha8Rng);

impl Chance {
    /// From 0 to below 1.
    fn share(&mut self) -> f64 {
        f64::from(self.0.next_u32()) / (f64::from(u32::MAX) + 1.0)
    }

    fn one_in_two(&mut self) -> bool {
        self.share() < 0.5
    }

    /// As likely between 1 and 2 as between 10 and 20.
    fn scaled(&mut self, least: f64, most: f64) -> f64 {
        least * (most / least).powf(self.share())
    }
}

/// The links of that seed.
fn draw(seed: u64) -> Vec<LinkProfile> {
    let mut chance = Chance(ChaCha8Rng::seed_from_u64(seed));
    let count = match chance.share() {
        s if s < 0.6 => 2,
        s if s < 0.85 => 3,
        _ => 4,
    };
    (0..count).map(|_| link(&mut chance)).collect()
}

/// 2 to 200 Mbit/s and 2 to 150 ms; half with jitter of up to two fifths of the delay, half with loss of up to 2 %; queues of
/// 30 to 300 ms.
fn link(chance: &mut Chance) -> LinkProfile {
    let rate = chance.scaled(2e6, 200e6);
    let delay = chance.scaled(2.0, 150.0);
    let jitter = if chance.one_in_two() { 0.4 * delay * chance.share() } else { 0.0 };
    let loss = if chance.one_in_two() { chance.scaled(0.0001, 0.02) } else { 0.0 };
    let queue = chance.scaled(30.0, 300.0);
    let ms = |ms: f64| Duration::from_secs_f64(ms / 1e3);
    LinkProfile {
        rate_bps: Some(rate as u64),
        delay: ms(delay),
        jitter: ms(jitter),
        reorder: true,
        loss,
        queue: QueueLimit::Time(ms(queue)),
        ..LinkProfile::default()
    }
}

/// `40 Mbit/s 30±5 ms 0.5 % queue 100 ms`.
fn describe(link: &LinkProfile) -> String {
    let QueueLimit::Time(queue) = link.queue else { return String::new() };
    let mut text = format!("{:.1} Mbit/s {:.0}", rate(link) / 1e6, millis(link.delay));
    if !link.jitter.is_zero() {
        let _ = write!(text, "±{:.1}", millis(link.jitter));
    }
    text += " ms";
    if link.loss > 0.0 {
        let _ = write!(text, " {:.2} %", link.loss * 1e2);
    }
    let _ = write!(text, " queue {:.0}", millis(queue));
    text
}

fn rate(link: &LinkProfile) -> f64 {
    link.rate_bps.unwrap_or(0) as f64
}

/// What one traffic gave in one network.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Drew the network.
    pub seed: u64,
    /// What was carried.
    pub traffic: Traffic,
    /// Over these.
    pub links: Vec<LinkProfile>,
    /// What is to be judged, in whatever its goal is counted: the larger, the better; below 0 is a goal missed.
    pub margin: f64,
    /// Of bulk flows: of the best link alone, and of the sum; of constant streams: lost, and out of order; of short
    /// connections: their mean time and the flow's goodput, of the best link alone.
    pub shares: [f64; 2],
    /// For people.
    pub said: String,
}

/// All links, or one of them alone.
fn world(links: &[LinkProfile], alone: Option<usize>, seed: u64) -> World {
    match alone {
        Some(path) => world_over(&links[path..=path], SchedulerKind::Weighted, &[], seed),
        None => world_over(links, SchedulerKind::Adaptive, &[], seed),
    }
}

/// Prints what happens in the network of the first seed.
///
/// # Errors
/// When it has no such link as is to be traced.
pub(super) fn trace(options: &Options, traffic: Traffic) -> io::Result<()> {
    let seed = options.first;
    let links = links(options, seed);
    let alone = options.traced_of(links.len())?;
    let rate = links.iter().map(rate).sum();
    trace_in(world(&links, alone, seed), rate, traffic, seed);
    Ok(())
}

/// Those that were asked for, or drawn by the seed.
fn links(options: &Options, seed: u64) -> Vec<LinkProfile> {
    if options.links.is_empty() { draw(seed) } else { options.links.clone() }
}

/// What this traffic makes of the network of that seed.
#[must_use]
pub fn random_network(traffic: Traffic, seed: u64) -> Outcome {
    network(traffic, draw(seed), seed)
}

/// What this traffic makes of a network of these links.
#[must_use]
pub fn network(traffic: Traffic, links: Vec<LinkProfile>, seed: u64) -> Outcome {
    let alone = |path: usize| world(&links, Some(path), seed);
    let together = || world(&links, None, seed);
    let (margin, shares, said) = match (traffic, traffic.flow()) {
        (Traffic::Web, _) => {
            let each: Vec<WebRun> =
                (0..links.len()).map(|path| web_in(alone(path), seed)).collect();
            compare_web(&each, &web_in(together(), seed))
        }
        (Traffic::Cubic | Traffic::Bbr | Traffic::Tcp, Some(flow)) => {
            let run = |world: World| bulk_in(world, flow, Beside::Nothing, seed);
            let rate = |world: World| run(world).goodput / 1e6;
            let each: Vec<f64> = (0..links.len()).map(|path| rate(alone(path))).collect();
            let run = run(together());
            let both = run.goodput / 1e6;
            let best = each.iter().copied().fold(0.0, f64::max);
            let of_best = both / best.max(0.001);
            let of_sum = both / each.iter().sum::<f64>().max(0.001);
            let each: Vec<String> = each.iter().map(|e| format!("{e:.1}")).collect();
            let mut said = format!("{both:.1} Mbit/s; alone {}", each.join(", "));
            if flow == Flow::Tcp {
                let (lost, timeouts) = (run.achieved.lost, run.achieved.timeouts);
                let _ = write!(said, "; lost {lost}, timeouts {timeouts}");
            }
            (of_best - OF_BEST, [of_best, of_sum], said)
        }
        (_, Some(flow)) => {
            let call = bulk_in(together(), flow, Beside::Call, seed).call.unwrap_or_default();
            let own = (0..links.len()).map(|path| millis(call_in(alone(path)).delay(0.99)));
            let own = own.fold(f64::INFINITY, f64::min);
            let p99 = millis(call.delay(0.99));
            let said = format!("p99 {p99:.0} ms, {own:.0} alone; lost {}", fine(call.loss()));
            // One that delivers nothing has no delay either.
            let most = links.iter().map(|l| l.loss).fold(0.0, f64::max);
            let lost =
                if call.loss() > most.max(CALL_LOSS) { -call.loss() * 1e3 } else { f64::MAX };
            ((own + CALL_EXTRA - p99).min(lost), [0.0; 2], said)
        }
        (_, None) => {
            let sum: f64 = links.iter().map(rate).sum();
            let own = links.iter().map(|l| l.loss * rate(l)).sum::<f64>() / sum;
            let arrived = steady_in(together(), sum * STEADY_SHARE);
            let most = if links.iter().all(|l| l.jitter.is_zero()) { 0.0 } else { DISORDER_GOAL };
            let (lost, disorder) = (arrived.loss(), arrived.disorder());
            let said = format!(
                "lost {}, by the links {}; out of order {}; p99 {:.0} ms",
                fine(lost),
                fine(own),
                fine(disorder),
                millis(arrived.delay(0.99))
            );
            ((own - lost).min(most - disorder), [lost, disorder], said)
        }
    };
    Outcome { seed, traffic, links, margin, shares, said }
}

/// Each link alone and all of them: margin, shares and words.
fn compare_web(each: &[WebRun], all: &WebRun) -> (f64, [f64; 2], String) {
    let least = |time: fn(&WebRun) -> f64| each.iter().map(time).fold(f64::INFINITY, f64::min);
    let [mean, p90]: [fn(&WebRun) -> f64; 2] = [|r| millis(r.mean()), |r| millis(r.within(0.9))];
    let best = each.iter().map(|r| r.goodput / 1e6).fold(0.001, f64::max);
    let of_mean = mean(all) / least(mean).max(0.001);
    let of_flow = all.goodput / 1e6 / best;
    let mut said = format!(
        "mean {:.0} ms ({of_mean:.2} of the best), p90 {:.0} ({:.2}), flow {:.1} Mbit/s ({of_flow:.2})",
        mean(all),
        p90(all),
        p90(all) / least(p90).max(0.001),
        all.goodput / 1e6
    );
    said += "; alone";
    for run in each {
        let _ = write!(said, " {:.0}, {:.0}, {:.1};", mean(run), p90(run), run.goodput / 1e6);
    }
    let _ = write!(said, " unfinished {}", all.unfinished());
    (WEB_OF_BEST - of_mean, [of_mean, of_flow], said)
}

/// Text and JSON.
pub(super) fn report(options: &Options) -> (String, Value) {
    let traffic: Vec<Traffic> = options.chosen_traffic().collect();
    let runs: Vec<(u64, Traffic)> = (0..options.seeds)
        .flat_map(|n| traffic.iter().map(move |t| (options.first + n, *t)))
        .collect();
    let crew = Crew::new(options.jobs, options.time_limit());
    let results = crew.run(runs.len(), |i| {
        let (seed, traffic) = runs[i];
        network(traffic, links(options, seed), seed)
    });
    let networks = if options.random { "Networks drawn by" } else { "One network," };
    let mut text = format!("{networks} {} seeds from {} on.\n", options.seeds, options.first);
    for ((seed, traffic), _) in runs.iter().zip(&results).filter(|(_, r)| r.is_none()) {
        let _ =
            writeln!(text, "Not finished: --random --traffic {} --first {seed}", traffic.name());
    }
    let outcomes: Vec<Outcome> = results.into_iter().flatten().collect();
    for traffic in traffic {
        let mut of_it: Vec<&Outcome> = outcomes.iter().filter(|o| o.traffic == traffic).collect();
        of_it.sort_by(|a, b| a.margin.total_cmp(&b.margin));
        let _ = one_traffic(traffic, &of_it, &mut text);
    }
    (text, json(&outcomes))
}

fn one_traffic(traffic: Traffic, outcomes: &[&Outcome], text: &mut String) -> std::fmt::Result {
    let margins = Figures(outcomes.iter().map(|o| o.margin).collect());
    // What rounding hides is not missed.
    let missed = percent(margins.share_below(if traffic.is_bulk() { -0.005 } else { 0.0 }));
    writeln!(text, "\n{}: the goal is missed in {missed} of {}", traffic.name(), outcomes.len())?;
    if traffic.is_bulk() {
        let [best, sum] =
            [0, 1].map(|i| Figures(outcomes.iter().map(|o| o.shares[i]).collect()).mean());
        writeln!(text, "in the mean {best:.2} of the best link alone, {sum:.2} of the sum")?;
    }
    if traffic == Traffic::Web {
        let [time, flow] =
            [0, 1].map(|i| Figures(outcomes.iter().map(|o| o.shares[i]).collect()).mean());
        writeln!(
            text,
            "of the best link alone in the mean {time:.2} of its time, {flow:.2} of its flow"
        )?;
    }
    for outcome in outcomes.iter().take(WORST) {
        let links: Vec<String> = outcome.links.iter().map(describe).collect();
        writeln!(text, "{:6} {} | {}", outcome.seed, outcome.said, links.join("; "))?;
    }
    Ok(())
}

fn json(outcomes: &[Outcome]) -> Value {
    let all = outcomes.iter().map(|o| {
        json!({
            "seed": o.seed,
            "traffic": o.traffic.name(),
            "links": o.links.iter().map(describe).collect::<Vec<_>>(),
            "margin": o.margin,
            "of_best": o.shares[0],
            "of_sum": o.shares[1],
            "said": o.said,
        })
    });
    Value::Array(all.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_links_within_bounds() {
        for seed in 0..500 {
            let links = draw(seed);
            assert_eq!(links, draw(seed));
            assert!((2..=4).contains(&links.len()));
            for link in links {
                assert!((2e6..=200e6).contains(&rate(&link)), "{link:?}");
                assert!(link.jitter * 2 < link.delay && link.loss < 0.02, "{link:?}");
            }
        }
    }
}

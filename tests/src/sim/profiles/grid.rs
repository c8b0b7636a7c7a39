//! All runs of a comparison, each once: a path alone is the same in every profile that has it.

use super::crew::Crew;
use super::options::{Options, Traffic};
use super::{Beside, Figures, PROFILES, Profile, STEADY_SHARE, Tunnel, bulk, steady, web};
use serde_json::{Value, json};
use std::time::Duration;

/// A link without loss and jitter is much the same with every seed: so many are enough for it alone.
const ALONE_SEEDS: u64 = 4;

/// The figures of one run, by kind.
const FIGURES: usize = 6;
pub(super) const GOODPUT: usize = 0;
pub(super) const LOSS: usize = 1;
pub(super) const DISORDER: usize = 2;
pub(super) const P99: usize = 3;
pub(super) const MEAN: usize = 4;
pub(super) const P90: usize = 5;
const NAMES: [&str; FIGURES] = ["goodput_mbit", "loss", "disorder", "p99_ms", "mean_ms", "p90_ms"];

/// Those that a traffic has.
const fn kinds(traffic: Traffic) -> &'static [usize] {
    match traffic {
        Traffic::Web => &[GOODPUT, MEAN, P90],
        _ => &[GOODPUT, LOSS, DISORDER, P99],
    }
}

type Sample = [f64; FIGURES];

/// What is run with several seeds.
#[derive(Clone, Copy, Debug)]
struct Cell {
    profile: Profile,
    traffic: Traffic,
    tunnel: Tunnel,
    seeds: u64,
}

/// The comparison, run.
pub(super) struct Grid {
    cells: Vec<(Cell, Vec<(u64, Sample)>)>,
    /// Seeds that were run everywhere.
    pub seeds: u64,
    /// Runs that panicked, as somebody would repeat them.
    pub failed: Vec<String>,
}

impl Grid {
    pub(super) fn run(options: &Options) -> Self {
        let mut cells: Vec<Cell> = Vec::new();
        for traffic in options.chosen_traffic() {
            for profile in options.chosen_profiles() {
                let both = std::iter::once(Tunnel::Adaptive)
                    .chain((!options.no_weighted).then_some(Tunnel::Weighted));
                let plain = traffic.is_bulk() || traffic == Traffic::Web;
                let alone = [Tunnel::Alone(0), Tunnel::Alone(1)];
                for tunnel in alone.into_iter().filter(|_| plain).chain(both) {
                    let cell = Cell::new(profile, traffic, tunnel, options.seeds);
                    if !cells.iter().any(|c| c.is(&cell)) {
                        cells.push(cell);
                    }
                }
            }
        }
        // Seed by seed, so that any beginning of it is a comparison.
        let runs: Vec<(usize, u64)> = (0..options.seeds)
            .flat_map(|n| (0..cells.len()).map(move |c| (c, n)))
            .filter(|&(c, n)| n < cells[c].seeds)
            .collect();
        let crew = Crew::new(options.jobs, options.time_limit());
        let results = crew.run(runs.len(), |i| {
            let (cell, n) = runs[i];
            cells[cell].sample(options.first + n)
        });
        let begun = results.iter().rposition(Option::is_some).map_or(0, |last| last + 1);
        let whole = |n: u64| runs[begun..].iter().all(|r| r.1 > n);
        let seeds = (0..options.seeds).take_while(|n| whole(*n)).count() as u64;
        let mut grid = Self {
            cells: cells.iter().map(|c| (*c, Vec::new())).collect(),
            seeds,
            failed: Vec::new(),
        };
        for (&(cell, n), result) in runs.iter().zip(results).filter(|((_, n), _)| *n < seeds) {
            match result {
                Some(sample) => grid.cells[cell].1.push((options.first + n, sample)),
                None => grid.failed.push(cells[cell].command(options.first + n)),
            }
        }
        grid
    }

    /// One kind of figure over all seeds.
    pub(super) fn figures(
        &self,
        profile: &Profile,
        traffic: Traffic,
        tunnel: Tunnel,
        kind: usize,
    ) -> Figures {
        let cell = Cell::new(*profile, traffic, tunnel, 0);
        let found = self.cells.iter().find(|(c, _)| c.is(&cell));
        Figures(found.map_or_else(Vec::new, |(_, s)| s.iter().map(|(_, s)| s[kind]).collect()))
    }

    pub(super) fn json(&self) -> Value {
        let cells = self.cells.iter().map(|(cell, samples)| {
            let runs = samples.iter().map(|(seed, sample)| {
                let kinds = kinds(cell.traffic).iter();
                let figures = kinds.map(|&k| (NAMES[k].to_owned(), json!(sample[k])));
                let mut run: serde_json::Map<String, Value> = figures.collect();
                run.insert("seed".to_owned(), json!(seed));
                Value::Object(run)
            });
            json!({
                "profile": cell.profile.name,
                "traffic": cell.traffic.name(),
                "tunnel": cell.tunnel.name(),
                "runs": runs.collect::<Vec<_>>(),
            })
        });
        json!({ "seeds": self.seeds, "failed": self.failed, "cells": cells.collect::<Vec<_>>() })
    }
}

impl Cell {
    /// A path alone stands for the first profile that has such a link.
    fn new(profile: Profile, traffic: Traffic, tunnel: Tunnel, seeds: u64) -> Self {
        let Tunnel::Alone(path) = tunnel else { return Self { profile, traffic, tunnel, seeds } };
        let link = profile.links[path];
        let seeds = if link.is_plain() { seeds.min(ALONE_SEEDS) } else { seeds };
        let like = PROFILES.iter().find_map(|p| {
            let path = p.links.iter().position(|l| *l == link)?;
            Some((*p, Tunnel::Alone(path)))
        });
        let (profile, tunnel) = like.unwrap_or((profile, tunnel));
        Self { profile, traffic, tunnel, seeds }
    }

    fn is(&self, other: &Self) -> bool {
        (self.profile.name, self.traffic, self.tunnel)
            == (other.profile.name, other.traffic, other.tunnel)
    }

    fn command(&self, seed: u64) -> String {
        let (profile, traffic) = (self.profile.name, self.traffic.name());
        let tunnel = self.tunnel.name();
        format!("--profile {profile} --traffic {traffic} --first {seed} ({tunnel})")
    }

    fn sample(&self, seed: u64) -> Sample {
        let Self { profile, traffic, tunnel, .. } = self;
        if *traffic == Traffic::Web {
            let run = web(profile, *tunnel, seed);
            return [run.goodput / 1e6, 0.0, 0.0, 0.0, millis(run.mean()), millis(run.within(0.9))];
        }
        let Some(flow) = traffic.flow() else {
            let a = steady(profile, *tunnel, STEADY_SHARE, seed);
            return [0.0, a.loss(), a.disorder(), millis(a.delay(0.99)), 0.0, 0.0];
        };
        let beside = if traffic.is_call() { Beside::Call } else { Beside::Nothing };
        let run = bulk(profile, *tunnel, flow, beside, seed);
        let call = run.call.unwrap_or_default();
        [run.goodput / 1e6, call.loss(), call.disorder(), millis(call.delay(0.99)), 0.0, 0.0]
    }
}

pub(super) fn millis(d: Duration) -> f64 {
    d.as_secs_f64() * 1e3
}

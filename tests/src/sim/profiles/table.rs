//! The comparison as tables in Markdown: means over seeds, the worst seed, and the share of seeds that miss the goal.

use super::grid::{DISORDER, GOODPUT, Grid, LOSS, MEAN, P90, P99, millis};
use super::options::{Options, Traffic};
use super::{Figures, Flow, Profile, Tunnel, call_alone, changes_report, random_networks, trace};
use std::fmt::Write as _;
use std::io::{self, Write};

/// Of the better path alone a bulk flow is to have at least this part, as a mean over seeds.
pub(super) const OF_BEST: f64 = 0.98;

/// A call's 99th percentile is to be no more than this above what it has alone by the better path, milliseconds.
pub(super) const CALL_EXTRA: f64 = 30.0;

/// Short connections are to take no more than this part of what they take over the better path alone, each beside a bulk flow.
pub(super) const WEB_OF_BEST: f64 = 1.1;

/// Where links reorder, this share may.
pub(super) const DISORDER_GOAL: f64 = 1e-4;

/// Prints the comparison, or what else is asked for.
///
/// # Errors
/// When nobody reads it, or a file cannot be written.
pub fn print(options: &Options) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if options.trace {
        for traffic in options.chosen_traffic() {
            if options.has_other_networks() {
                random_networks::trace(options, traffic)?;
                continue;
            }
            for profile in options.chosen_profiles() {
                let alone = options.traced_of(profile.links.len())?;
                let tunnel = alone.map_or(Tunnel::Adaptive, Tunnel::Alone);
                trace(&profile, tunnel, traffic, options.first);
            }
        }
        return Ok(());
    }
    let (text, json) = if options.changes {
        changes_report(options)
    } else if options.has_other_networks() {
        random_networks::report(options)
    } else {
        let grid = Grid::run(options);
        (tables(options, &grid), grid.json())
    };
    out.write_all(text.as_bytes())?;
    if let Some(path) = &options.markdown {
        std::fs::write(path, &text)?;
    }
    if let Some(path) = &options.json {
        std::fs::write(path, format!("{json:#}\n"))?;
    }
    Ok(())
}

fn tables(options: &Options, grid: &Grid) -> String {
    let mut text = format!("{} seeds from {} on.\n", grid.seeds, options.first);
    for failed in &grid.failed {
        let _ = writeln!(text, "A run ended early: {failed}");
    }
    for traffic in options.chosen_traffic() {
        let _ = match traffic {
            Traffic::Cubic | Traffic::Bbr | Traffic::Tcp => {
                bulk_table(options, grid, traffic, &mut text)
            }
            Traffic::Web => web_table(options, grid, &mut text),
            Traffic::Steady => steady_table(options, grid, &mut text),
            Traffic::CallCubic | Traffic::CallBbr => call_table(options, grid, traffic, &mut text),
        };
    }
    text
}

fn bulk_table(
    options: &Options,
    grid: &Grid,
    traffic: Traffic,
    text: &mut String,
) -> std::fmt::Result {
    let sender = match traffic.flow() {
        Some(Flow::Tcp) => "TCP bulk flow, cubic, unpaced".to_owned(),
        _ => format!("QUIC bulk flow, {}", traffic.name()),
    };
    writeln!(text, "\nOne {sender}: Mbit/s read by the application.\n")?;
    writeln!(
        text,
        "| profile | A | B | both (worst) | of best (worst; below {OF_BEST}) | of sum (goal; below) | weights |"
    )?;
    writeln!(text, "|---|---|---|---|---|---|---|")?;
    for profile in options.chosen_profiles() {
        let goodput = |tunnel| grid.figures(&profile, traffic, tunnel, GOODPUT);
        let [a, b] = [0, 1].map(|path| goodput(Tunnel::Alone(path)).mean());
        let both = goodput(Tunnel::Adaptive);
        let best = both.over(a.max(b));
        let sum = both.over(a + b);
        let (goal, below) = match profile.sum_goal() {
            Some(goal) => (format!("{goal:.2}"), percent(sum.share_below(goal - 0.005))),
            None => ("–".to_owned(), "–".to_owned()),
        };
        let weights = match !options.no_weighted {
            true => format!("{:.1}", goodput(Tunnel::Weighted).mean()),
            false => String::new(),
        };
        writeln!(
            text,
            "| {} | {a:.1} | {b:.1} | {:.1} ({:.1}) | {:.2} ({:.2}; {}) | {:.2} ({goal}; {below}) | {weights} |",
            profile.name,
            both.mean(),
            both.least(),
            best.mean(),
            best.least(),
            percent(best.share_below(OF_BEST - 0.005)),
            sum.mean(),
        )?;
    }
    Ok(())
}

fn steady_table(options: &Options, grid: &Grid, text: &mut String) -> std::fmt::Result {
    writeln!(text, "\nConstant UDP at 80 % of the sum, after 2 s.\n")?;
    writeln!(
        text,
        "| profile | the links lose | lost (worst; above) | out of order (worst; above) | p99, ms (worst) | weights: lost, p99 |"
    )?;
    writeln!(text, "|---|---|---|---|---|---|")?;
    for profile in options.chosen_profiles() {
        let figures = |tunnel, kind| grid.figures(&profile, Traffic::Steady, tunnel, kind);
        let [lost, disorder, p99] = [LOSS, DISORDER, P99].map(|k| figures(Tunnel::Adaptive, k));
        let own = profile.loss();
        let most = if profile.reorders() { DISORDER_GOAL } else { 0.0 };
        let weights = match !options.no_weighted {
            true => format!(
                "{}, {:.1}",
                fine(figures(Tunnel::Weighted, LOSS).mean()),
                figures(Tunnel::Weighted, P99).mean()
            ),
            false => String::new(),
        };
        writeln!(
            text,
            "| {} | {} | {} ({}; {}) | {} ({}; {}) | {:.1} ({:.1}) | {weights} |",
            profile.name,
            fine(own),
            fine(lost.mean()),
            fine(lost.greatest()),
            percent(lost.share_above(own)),
            fine(disorder.mean()),
            fine(disorder.greatest()),
            percent(disorder.share_above(most)),
            p99.mean(),
            p99.greatest(),
        )?;
    }
    Ok(())
}

fn call_table(
    options: &Options,
    grid: &Grid,
    traffic: Traffic,
    text: &mut String,
) -> std::fmt::Result {
    let control = match traffic.flow() {
        Some(Flow::Quic(control)) => control.to_string(),
        _ => String::new(),
    };
    writeln!(text, "\nA call beside a bulk flow, {control}: one way, ms.\n")?;
    writeln!(
        text,
        "| profile | path's own | p99 (worst; above +{CALL_EXTRA}) | lost (worst) | flow, Mbit/s | weights: p99, lost |"
    )?;
    writeln!(text, "|---|---|---|---|---|---|")?;
    for profile in options.chosen_profiles() {
        let figures = |tunnel, kind| grid.figures(&profile, traffic, tunnel, kind);
        let [lost, p99, flow]: [Figures; 3] =
            [LOSS, P99, GOODPUT].map(|k| figures(Tunnel::Adaptive, k));
        let own = alone(&profile, options.first, options.seeds);
        let weights = match !options.no_weighted {
            true => format!(
                "{:.1}, {}",
                figures(Tunnel::Weighted, P99).mean(),
                fine(figures(Tunnel::Weighted, LOSS).mean())
            ),
            false => String::new(),
        };
        writeln!(
            text,
            "| {} | {own:.0} | {:.1} ({:.1}; {}) | {} ({}) | {:.1} | {weights} |",
            profile.name,
            p99.mean(),
            p99.greatest(),
            percent(p99.share_above(own + CALL_EXTRA)),
            fine(lost.mean()),
            fine(lost.greatest()),
            flow.mean(),
        )?;
    }
    Ok(())
}

fn web_table(options: &Options, grid: &Grid, text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "\nShort TCP connections of 20, 60 and 150 kB beside a bulk flow of the same TCP: until the last byte came, ms.\n"
    )?;
    writeln!(
        text,
        "| profile | mean: A, B | both (worst) | of the better | p90: A, B | both (worst) | of the better | flow, Mbit/s: A, B | both | of the better | weights: mean, p90, flow |"
    )?;
    writeln!(text, "|---|---|---|---|---|---|---|---|---|---|---|")?;
    for profile in options.chosen_profiles() {
        let figures = |tunnel, kind| grid.figures(&profile, Traffic::Web, tunnel, kind);
        let alone = |kind| [0, 1].map(|path| figures(Tunnel::Alone(path), kind).mean());
        write!(text, "| {} |", profile.name)?;
        for kind in [MEAN, P90] {
            let ([a, b], both) = (alone(kind), figures(Tunnel::Adaptive, kind));
            let (mean, ratio) = (both.mean(), both.mean() / a.min(b));
            write!(text, " {a:.0}, {b:.0} | {mean:.0} ({:.0}) | {ratio:.2} |", both.greatest())?;
        }
        let ([a, b], both) = (alone(GOODPUT), figures(Tunnel::Adaptive, GOODPUT).mean());
        write!(text, " {a:.1}, {b:.1} | {both:.1} | {:.2} |", both / a.max(b))?;
        let weights = |kind| figures(Tunnel::Weighted, kind).mean();
        match options.no_weighted {
            true => writeln!(text, "  |")?,
            false => writeln!(
                text,
                " {:.0}, {:.0}, {:.1} |",
                weights(MEAN),
                weights(P90),
                weights(GOODPUT)
            )?,
        }
    }
    Ok(())
}

/// Where packets are lost, one seed's 99th percentile is nearly twice another's; more seeds than this cost time and change little.
const ALONE_SEEDS: u64 = 8;

/// What a call has alone by the better path: the 99th percentile, milliseconds, the mean of the first `seeds`.
fn alone(profile: &Profile, first: u64, seeds: u64) -> f64 {
    let seeds = seeds.clamp(1, ALONE_SEEDS);
    let by = |path, seed| millis(call_alone(profile, path, seed).delay(0.99));
    let better = (first..).take(seeds as usize).map(|seed| by(0, seed).min(by(1, seed)));
    better.sum::<f64>() / seeds as f64
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// A small share: no zeros where there is nothing.
pub(super) fn fine(share: f64) -> String {
    match share * 100.0 {
        p if p <= 0.0 => "0".to_owned(),
        p if p < 0.1 => format!("{p:.4} %"),
        p => format!("{p:.2} %"),
    }
}

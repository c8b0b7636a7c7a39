//! Changes while running, as a report in Markdown.

use super::change::{CHANGES, Change, Load, Network, Timeline};
use super::crew::Crew;
use super::grid::millis;
use super::options::Options;
use super::{Figures, Recovery};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::time::Duration;

/// All is to be well after this.
const GOAL: Duration = Duration::from_secs(2);

/// Runs all changes under all loads with all seeds.
pub(super) fn changes_report(options: &Options) -> (String, Value) {
    let kinds: Vec<(Change, Load)> =
        CHANGES.iter().flat_map(|c| Load::ALL.map(|l| (*c, l))).collect();
    let count = kinds.len() * options.seeds as usize;
    let crew = Crew::new(options.jobs, options.time_limit());
    let runs = crew.run(count, |i| {
        let (change, load) = kinds[i % kinds.len()];
        change.run(load, Network::Two, options.first + (i / kinds.len()) as u64)
    });
    // Nothing there is left to chance.
    let one_link =
        crew.run(kinds.len(), |i| kinds[i].0.run(kinds[i].1, Network::One, options.first));
    let of = |kind: usize| -> Vec<&Timeline> {
        runs.iter().skip(kind).step_by(kinds.len()).flatten().collect()
    };
    let mut text = String::new();
    let _ = summary(&kinds, &of, &one_link, &mut text);
    for (i, change) in CHANGES.iter().enumerate() {
        let first = (0..Load::ALL.len()).map(|l| of(i * Load::ALL.len() + l).first().copied());
        if let Some(timelines) = first.collect::<Option<Vec<_>>>() {
            let _ = timeline(change, &timelines, options.first, &mut text);
        }
    }
    let json = kinds.iter().enumerate().map(|(i, (change, load))| {
        let runs: Vec<Value> = of(i).iter().map(|t| recoveries(t)).collect();
        json!({ "change": change.name, "load": load.name(), "runs": runs })
    });
    (text, json!({ "first_seed": options.first, "changes": json.collect::<Vec<_>>() }))
}

fn recoveries(timeline: &Timeline) -> Value {
    let all = timeline.recoveries.iter().map(|r| {
        json!({
            "at_s": r.at.as_secs_f64(),
            "after_s": r.after.map(|d| d.as_secs_f64()),
            "least_after": r.least_after,
        })
    });
    let out_of_order: u64 = timeline.slices.iter().map(|s| s.out_of_order).sum();
    json!({ "recoveries": all.collect::<Vec<_>>(), "out_of_order": out_of_order })
}

/// A row for each change and load: each event's recovery, mean and worst over seeds.
fn summary<'t>(
    kinds: &[(Change, Load)],
    of: &impl Fn(usize) -> Vec<&'t Timeline>,
    one_link: &[Option<Timeline>],
    text: &mut String,
) -> std::fmt::Result {
    writeln!(
        text,
        "| change | load | seeds | well again after, s: mean (worst) of each event | over {} s | least share afterwards, of each event | out of order | one link of both rates: well again, s; least share |",
        GOAL.as_secs()
    )?;
    writeln!(text, "|---|---|---|---|---|---|---|---|")?;
    for (i, (change, load)) in kinds.iter().enumerate() {
        let runs = of(i);
        let Some(events) = runs.first().map(|t| t.recoveries.len()) else { continue };
        let event = |n: usize| runs.iter().map(move |t| t.recoveries[n]);
        let (mut after, mut least) = (Vec::new(), Vec::new());
        for n in 0..events {
            after.push(recovered(event(n)));
            let low = event(n).map(|r| r.least_after).fold(f64::INFINITY, f64::min);
            least.push(format!("{low:.2}"));
        }
        let all = runs.iter().flat_map(|t| &t.recoveries);
        let late = all.clone().filter(|r| r.after.is_none_or(|a| a > GOAL)).count();
        let disorder: u64 = runs.iter().flat_map(|t| &t.slices).map(|s| s.out_of_order).sum();
        writeln!(
            text,
            "| {}: {} | {} | {} | {} | {late} of {} | {} | {disorder} | {} |",
            change.name,
            change.about,
            load.name(),
            runs.len(),
            after.join(", "),
            all.count(),
            least.join(", "),
            one_link[i].as_ref().map_or_else(String::new, alone)
        )?;
    }
    Ok(())
}

fn alone(timeline: &Timeline) -> String {
    let after = timeline.recoveries.iter().map(|r| match r.after {
        Some(after) => format!("{:.1}", after.as_secs_f64()),
        None => "never".to_owned(),
    });
    let least = timeline.recoveries.iter().map(|r| format!("{:.2}", r.least_after));
    format!("{}; {}", after.collect::<Vec<_>>().join(", "), least.collect::<Vec<_>>().join(", "))
}

/// Mean and worst; runs that never were well again count as worst.
fn recovered(runs: impl Iterator<Item = Recovery> + Clone) -> String {
    let found = Figures(runs.clone().filter_map(|r| Some(r.after?.as_secs_f64())).collect());
    let never = runs.filter(|r| r.after.is_none()).count();
    match (found.0.is_empty(), never) {
        (true, _) => "never".to_owned(),
        (_, 0) => format!("{:.1} ({:.1})", found.mean(), found.greatest()),
        (_, never) => format!("{:.1} (never in {never})", found.mean()),
    }
}

/// One seed, every half second: share of what the links carry, median (longest) delay, lost, out of order.
fn timeline(
    change: &Change,
    timelines: &[&Timeline],
    seed: u64,
    text: &mut String,
) -> std::fmt::Result {
    writeln!(text, "\n{}: {} (seed {seed}).\n", change.name, change.about)?;
    write!(text, "| s | links, Mbit/s |")?;
    for load in Load::ALL {
        write!(text, " {} | delay, ms | lost | out of order |", load.name())?;
    }
    writeln!(text, "\n|---|---|{}", "---|---|---|---|".repeat(Load::ALL.len()))?;
    for row in 0..timelines[0].slices.len() {
        let slice = timelines[0].slices[row];
        write!(text, "| {:.1} | {:.0} |", slice.at.as_secs_f64(), slice.capacity)?;
        for timeline in timelines {
            let Some(s) = timeline.slices.get(row) else { continue };
            write!(
                text,
                " {:.2} | {:.0} ({:.0}) | {} | {} |",
                s.came / s.capacity,
                millis(s.median),
                millis(s.longest),
                s.lost.some,
                s.out_of_order
            )?;
        }
        writeln!(text)?;
    }
    Ok(())
}

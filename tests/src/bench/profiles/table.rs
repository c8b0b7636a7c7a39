//! The Markdown tables: one for each figure of a traffic, a row for each profile.

use super::carrier::Carrier;
use super::figure::Figure;
use super::options::ProfilesOptions;
use super::plan::Plan;
use super::records::{Compare, Key, Records};
use super::traffic::Traffic;
use crate::bench::records::Summary;
use crate::bench::table::{in_cell, markdown};
use std::fmt::Write as _;

/// The tables of a traffic.
pub(super) fn traffic(
    options: &ProfilesOptions,
    plan: &Plan,
    records: &Records,
    traffic: Traffic,
) -> String {
    let carriers: Vec<&Carrier> = plan.carriers.iter().filter(|c| traffic.goes_by(c)).collect();
    let mut text = format!("## {}\n\n", traffic.title(options.beside));
    for &figure in traffic.figures() {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}:\n", capitalised(figure.title()));
        text += &table(plan, records, traffic, figure, &carriers);
        text.push('\n');
    }
    text
}

fn table(
    plan: &Plan,
    records: &Records,
    traffic: Traffic,
    figure: Figure,
    carriers: &[&Carrier],
) -> String {
    let mut rows = vec![vec!["profile".to_owned()]];
    rows[0].extend(carriers.iter().map(|carrier| carrier.title().to_owned()));
    // Ratios are of bulk flows; beside a call it is the call that is asked about.
    let ratios = figure == Figure::Goodput && traffic != Traffic::Call;
    let schedulers: Vec<&str> = carriers
        .iter()
        .filter_map(|carrier| match carrier {
            Carrier::Both(scheduler) if ratios => Some(scheduler.as_str()),
            _ => None,
        })
        .collect();
    for scheduler in &schedulers {
        rows[0].extend([format!("{scheduler} / best"), format!("{scheduler} / sum")]);
    }
    for profile in plan.profiles_of(traffic) {
        let mut row = vec![profile.name.to_owned()];
        for carrier in carriers {
            let carrier = (*carrier).clone();
            let key = Key { profile: profile.name, traffic, carrier };
            row.push(cell(records, &key, figure));
        }
        for scheduler in &schedulers {
            for compare in [Compare::Best, Compare::Sum] {
                let ratio = records.against(profile.name, traffic, scheduler, compare);
                row.push(ratio.map_or(String::new(), |ratio| show(&ratio, |x| format!("{x:.2}"))));
            }
        }
        rows.push(row);
    }
    markdown(&rows)
}

/// Median and range; alone where all rounds agree.
fn cell(records: &Records, key: &Key, figure: Figure) -> String {
    let failed = records.failures(key).next().is_some();
    match records.summary(key, figure) {
        None if failed => "failed".into(),
        None => String::new(),
        Some(summary) => {
            let mark = if failed { " !" } else { "" };
            show(&summary, |value| figure.show(value)) + mark
        }
    }
}

fn show(summary: &Summary, show: impl Fn(f64) -> String) -> String {
    let (median, min, max) = (show(summary.median), show(summary.min), show(summary.max));
    if min == max { median } else { format!("{median} ({min}–{max})") }
}

/// Why values are missing, a line each.
pub(super) fn failures(records: &Records) -> String {
    let mut text = String::new();
    for (Key { profile, traffic, carrier }, round, reason) in records.all_failures() {
        let (traffic, carrier, reason) = (traffic.name(), carrier.title(), in_cell(reason));
        let _ = writeln!(text, "- {profile}, {traffic}, {carrier}, round {round}: {reason}");
    }
    if text.is_empty() {
        text
    } else {
        format!("## Failed (`!` marks what is of fewer rounds)\n\n{text}\n")
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

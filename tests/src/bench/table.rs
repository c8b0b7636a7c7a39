//! The Markdown tables.

use super::goals::Goal;
use super::metric::Metric;
use super::pass::Pass;
use super::records::{Key, Records};
use super::tunnels::Tunnel;
use std::fmt::Write as _;

/// Columns of the first table of a pass: what goes through.
const THROUGHPUT: &[Metric] = &[
    Metric::Tcp1,
    Metric::Tcp4,
    Metric::Gso,
    Metric::Udp1200,
    Metric::Udp200,
    Metric::Udp64,
    Metric::OutOfOrder,
];

/// Columns of the second: what it takes.
const COST: &[Metric] = &[
    Metric::PingP50,
    Metric::PingP99,
    Metric::LoadedP50,
    Metric::LoadedP99,
    Metric::LoadedRate,
    Metric::CpuTcp,
    Metric::CpuUdp,
    Metric::Resident,
];

/// All tables of a pass.
pub(crate) fn pass(records: &Records, tunnels: &[Tunnel], pass: Pass) -> String {
    let mut text = format!("## {}\n\n", capitalised(pass.title()));
    for metrics in [THROUGHPUT, COST] {
        // What nobody was asked for needs no column.
        let asked = |&metric: &Metric| {
            let keys = tunnels.iter().map(|tunnel| Key { pass, tunnel: tunnel.name, metric });
            keys.into_iter().any(|key| !cell(records, key).is_empty())
        };
        let metrics: Vec<Metric> = metrics.iter().copied().filter(asked).collect();
        text += &table(records, tunnels, pass, &metrics);
        text.push('\n');
    }
    text
}

fn table(records: &Records, tunnels: &[Tunnel], pass: Pass, metrics: &[Metric]) -> String {
    let mut rows = vec![vec!["tunnel".to_owned(), "MTU".to_owned()]];
    rows[0].extend(metrics.iter().map(|metric| metric.title().to_owned()));
    for tunnel in tunnels {
        let tunnel = tunnel.name;
        let mut row = vec![tunnel.to_owned()];
        let absent = records.absent.get(&(pass, tunnel));
        if let Some(reason) = absent.filter(|_| !records.mtus.contains_key(&(pass, tunnel))) {
            row.push(format!("failed: {}", in_cell(reason)));
            row.resize(metrics.len() + 2, String::new());
        } else {
            let mtu = records.mtus.get(&(pass, tunnel));
            row.push(mtu.map_or(String::new(), ToString::to_string));
            row.extend(metrics.iter().map(|&metric| cell(records, Key { pass, tunnel, metric })));
        }
        rows.push(row);
    }
    markdown(&rows)
}

/// Median and range; alone where all rounds agree.
fn cell(records: &Records, key: Key) -> String {
    let failed = records.failure(key).is_some();
    let Some(summary) = records.summary(key) else {
        return if failed { "failed".into() } else { String::new() };
    };
    let show = |value| key.metric.show(value);
    let (median, min, max) = (show(summary.median), show(summary.min), show(summary.max));
    let mark = if failed { " !" } else { "" };
    if min == max { format!("{median}{mark}") } else { format!("{median} ({min}–{max}){mark}") }
}

/// The ratios.
pub(crate) fn goals(goals: &[Goal]) -> String {
    if goals.is_empty() {
        return String::new();
    }
    let head = ["figure", "offloads", "of", "to", "ratio", "range", "better"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for goal in goals {
        let (name, _unit) = goal.metric.title().split_once(", ").unwrap_or_default();
        rows.push(vec![
            name_of(goal.metric, name),
            goal.pass.short().to_owned(),
            goal.ours.to_owned(),
            goal.other.clone(),
            format!("{:.2}", goal.median),
            format!("{:.2}–{:.2}", goal.min, goal.max),
            if goal.more_is_better { "more" } else { "less" }.to_owned(),
        ]);
    }
    format!("## Goals\n\nRatios within a round; their median and range.\n\n{}\n", markdown(&rows))
}

fn name_of(metric: Metric, name: &str) -> String {
    match metric {
        Metric::CpuTcp => "CPU s/GB, TCP".into(),
        Metric::CpuUdp => "CPU s/GB, UDP".into(),
        _ => name.to_owned(),
    }
}

/// Why values are missing, a line each.
pub(crate) fn failures(records: &Records) -> String {
    let mut text = String::new();
    for ((pass, tunnel), reason) in &records.absent {
        // Writing to a string cannot fail.
        let _ =
            writeln!(text, "- {tunnel}, offloads {}: failed: {}", pass.short(), in_cell(reason));
    }
    for (key, reason) in records.failures() {
        let Key { pass, tunnel, metric } = key;
        let reason = in_cell(reason);
        let _ = writeln!(
            text,
            "- {tunnel}, offloads {}, {}: failed: {reason}",
            pass.short(),
            metric.title()
        );
    }
    if text.is_empty() {
        text
    } else {
        format!("## Failed (`!` marks what is of fewer rounds)\n\n{text}\n")
    }
}

/// A reason on one line that ends no cell.
fn in_cell(reason: &str) -> String {
    let line = reason.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "/");
    match line.char_indices().nth(200) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or(String::new(), |first| first.to_uppercase().chain(letters).collect())
}

/// A table whose columns line up in plain text, too.
fn markdown(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| {
        let longest = |row: &Vec<String>| row[column].chars().count();
        // A reason takes its row's room, not everybody's.
        let fits = rows.iter().filter(|row| !row[column].starts_with("failed:"));
        fits.map(longest).max().unwrap_or(0).max(3)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        for (cell, &width) in row.iter().zip(&widths) {
            let _ = write!(text, "| {cell:width$} ");
        }
        text += "|\n";
        if number == 0 {
            for &width in &widths {
                let _ = write!(text, "|{}", "-".repeat(width + 2));
            }
            text += "|\n";
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_shows_median_range_and_failure() {
        let mut records = Records::default();
        let key = Key { pass: Pass::Veth, tunnel: "x", metric: Metric::Tcp1 };
        assert_eq!(cell(&records, key), "");
        for (round, value) in [(1, 1e9), (2, 3e9), (3, 2e9)] {
            records.add(key, round, value);
        }
        assert_eq!(cell(&records, key), "2000 (1000–3000)");
        records.fail(key, "why".into());
        assert_eq!(cell(&records, key), "2000 (1000–3000) !");
        assert_eq!(failures(&records).matches("why").count(), 1);
    }

    #[test]
    fn columns_line_up() {
        let rows = [["a", "long head"], ["µs", "1"]].map(|row| row.map(str::to_owned).to_vec());
        let text = markdown(&rows);
        let widths: Vec<_> = text.lines().map(|line| line.chars().count()).collect();
        assert_eq!(widths, [widths[0]; 3], "{text}");
    }
}

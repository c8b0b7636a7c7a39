//! The table of a peer's paths.

use super::units::{ago, millis_bare, percent, rate};
use super::{Line, Span, Tone, wrap};
use mpt_core::control::PathStatus;

/// A column: its heading, where its cells stand, and what they say.
struct Column {
    heading: &'static str,
    align: Align,
    /// Fewest characters: what often changes is not to move all the rest each time.
    least: usize,
    cell: fn(&PathStatus) -> String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Align {
    Left,
    Right,
}

const fn left(heading: &'static str, cell: fn(&PathStatus) -> String) -> Column {
    Column { heading, align: Align::Left, least: 0, cell }
}

const fn right(heading: &'static str, cell: fn(&PathStatus) -> String) -> Column {
    Column { heading, align: Align::Right, least: 0, cell }
}

/// Characters of most rates.
const RATE: usize = "18.1 Mbit".len();

const PATH: Column = left("PATH", |p| p.name.clone());
const STATE: Column = Column { least: "suspected".len(), ..left("STATE", state) };
const INTERFACE: Column = left("INTERFACE", interface);
const ADDRESSES: Column = left("ADDRESSES", addresses);
const WEIGHT: Column = right("WEIGHT", |p| p.weight.to_string());
const RTT: Column = right("RTT p50/p99", rtt);
const LOSS: Column = right("LOSS up/down", loss);
const LOSS_SHORT: Column = right("LOSS u/d", loss);
const UP: Column = Column { least: RATE, ..right("UP/s", |p| rate(p.rate_up)) };
const DOWN: Column = Column { least: RATE, ..right("DOWN/s", |p| rate(p.rate_down)) };
const SHARE: Column = right("SHARE up/down", share);
const SHARE_SHORT: Column = right("SHARE u/d", share);
const MTU: Column = right("MTU", |p| p.mtu.to_string());
const CHANGE: Column = left("LAST CHANGE", change);

/// A way to draw the table.
struct Layout {
    columns: &'static [Column],
    /// Blanks between columns.
    space: usize,
    /// What stands on a line below each path.
    below: &'static [fn(&PathStatus) -> String],
}

const NARROW: Layout = Layout {
    columns: &[PATH, STATE, WEIGHT, RTT, LOSS_SHORT, UP, DOWN, SHARE_SHORT],
    space: 2,
    below: &[interface, addresses, mtu, change, estimate],
};

/// From the widest to the narrowest.
const LAYOUTS: [Layout; 4] = [
    Layout {
        columns: &[
            PATH, STATE, INTERFACE, ADDRESSES, WEIGHT, RTT, LOSS, UP, DOWN, SHARE, MTU, CHANGE,
        ],
        space: 2,
        below: &[estimate],
    },
    Layout {
        columns: &[PATH, STATE, INTERFACE, WEIGHT, RTT, LOSS, UP, DOWN, SHARE, MTU],
        space: 2,
        below: &[addresses, change, estimate],
    },
    NARROW,
    Layout { space: 1, ..NARROW },
];

/// The table, in at most `width` columns where that is possible.
pub(super) fn paths(paths: &[PathStatus], width: usize) -> Vec<Line> {
    if paths.is_empty() {
        return vec![vec![Span::new(Tone::Faint, "  no paths yet")]];
    }
    let fits = |layout: &&Layout| {
        let widths = widths(layout.columns, paths);
        widths.iter().sum::<usize>() + layout.space * (widths.len() - 1) <= width
    };
    let layout = LAYOUTS.iter().find(fits).unwrap_or(&LAYOUTS[LAYOUTS.len() - 1]);
    let widths = widths(layout.columns, paths);
    let mut lines = vec![heading(layout, &widths)];
    for path in paths {
        lines.push(row(path, layout, &widths));
        let pieces = layout.below.iter().map(|piece| piece(path));
        let pieces: Vec<_> = pieces.filter(|piece| !piece.is_empty()).collect();
        lines.extend(line_below(&pieces, width));
    }
    lines
}

/// The widest cell of each column, the heading among them.
fn widths(columns: &[Column], paths: &[PathStatus]) -> Vec<usize> {
    let cells = |column: &Column| {
        let cells = paths.iter().map(|path| (column.cell)(path).chars().count());
        cells.chain([column.heading.len(), column.least]).max().unwrap_or(0)
    };
    columns.iter().map(cells).collect()
}

fn heading(layout: &Layout, widths: &[usize]) -> Line {
    let cells = layout.columns.iter().zip(widths).map(|(c, width)| pad(c.heading, *width, c.align));
    vec![Span::new(Tone::Faint, cells.collect::<Vec<_>>().join(&" ".repeat(layout.space)))]
}

fn row(path: &PathStatus, layout: &Layout, widths: &[usize]) -> Line {
    let mut line = Line::new();
    for (i, (column, width)) in layout.columns.iter().zip(widths).enumerate() {
        let tone = match column.heading {
            "STATE" => tone(path),
            "PATH" => Tone::Strong,
            _ if path.state == "disabled" => Tone::Faint,
            _ => Tone::Plain,
        };
        if i > 0 {
            line.push(Span::new(Tone::Plain, " ".repeat(layout.space)));
        }
        line.push(Span::new(tone, pad(&(column.cell)(path), *width, column.align)));
    }
    line
}

fn line_below(pieces: &[String], width: usize) -> Vec<Line> {
    let last = pieces.len().saturating_sub(1);
    let pieces: Vec<_> = pieces
        .iter()
        .enumerate()
        .map(|(i, piece)| format!("{piece}{}", if i < last { "," } else { "" }))
        .collect();
    wrap(&pieces, "", width.saturating_sub(4))
        .into_iter()
        .filter(|line| !line.is_empty())
        .map(|line| vec![Span::new(Tone::Faint, format!("    {line}"))])
        .collect()
}

fn pad(text: &str, width: usize, align: Align) -> String {
    match align {
        Align::Left => format!("{text:<width$}"),
        Align::Right => format!("{text:>width$}"),
    }
}

/// A path that is up but may not be used yet is held down for having flapped.
fn state(path: &PathStatus) -> String {
    if path.state == "up" && !path.in_use { "up (held)".to_owned() } else { path.state.clone() }
}

fn tone(path: &PathStatus) -> Tone {
    match (path.state.as_str(), path.in_use) {
        ("up", true) => Tone::Good,
        ("down", _) => Tone::Bad,
        ("disabled", _) => Tone::Faint,
        _ => Tone::Doubtful,
    }
}

fn interface(path: &PathStatus) -> String {
    path.interface.clone().unwrap_or_else(|| "-".to_owned())
}

fn addresses(path: &PathStatus) -> String {
    let end = |end: &Option<String>| end.clone().unwrap_or_else(|| "?".to_owned());
    format!("{} -> {}", end(&path.local), end(&path.remote))
}

fn mtu(path: &PathStatus) -> String {
    format!("MTU {}", path.mtu)
}

fn change(path: &PathStatus) -> String {
    match path.why.as_str() {
        "" => ago(path.last_change),
        why => format!("{}: {why}", ago(path.last_change)),
    }
}

fn rtt(path: &PathStatus) -> String {
    match (path.rtt_p50, path.rtt_p99) {
        (Some(p50), Some(p99)) => format!("{}/{} ms", millis_bare(p50), millis_bare(p99)),
        _ => "-".to_owned(),
    }
}

fn loss(path: &PathStatus) -> String {
    pair_of_percents(path.loss_up, path.loss_down)
}

/// What the adaptive scheduler goes by.
fn estimate(path: &PathStatus) -> String {
    let Some(e) = path.estimate.as_ref().filter(|_| path.state == "up") else {
        return String::new();
    };
    let least = if e.rate_is_limit { "" } else { "at least " };
    format!(
        "estimated {least}{}, {} ms slower, queue {} ms, jitter {} ms, loss {}+{} %",
        rate(e.rate),
        millis_bare(e.extra_delay),
        millis_bare(e.queue),
        millis_bare(e.jitter),
        percent(e.loss_random),
        percent(e.loss_congestive)
    )
}

/// Where nothing flows there is nothing to share.
fn share(path: &PathStatus) -> String {
    let of = |rate: f64, share: f64| Some(share).filter(|_| rate > 0.0);
    pair_of_percents(of(path.rate_up, path.share_up), of(path.rate_down, path.share_down))
}

/// To the peer and from it.
fn pair_of_percents(up: Option<f64>, down: Option<f64>) -> String {
    let one = |part: Option<f64>| part.map_or_else(|| "-".to_owned(), percent);
    match (up, down) {
        (None, None) => "-".to_owned(),
        _ => format!("{}/{} %", one(up), one(down)),
    }
}

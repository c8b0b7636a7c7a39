//! A status as lines of text with tones, the same for a terminal, a pipe and the watch.
//!
//! One paragraph for the tunnel, one for each peer with the table of its paths. The table comes in
//! three widths: everything on one line a path; addresses and the last change on a line below; at
//! the narrowest the interface and the MTU go there, too. The widest that fits is taken.

mod table;
mod units;

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::two_bridges;

use mpt_core::control::{
    CopyStatus, PathStatus, PeerStatus, PolicyStatus, ReorderStatus, SocketStatus, Status,
};
use mpt_core::is_shown;
use units::seconds;
pub(crate) use units::{bytes, count};

/// How a piece of text is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    Plain,
    /// A heading.
    Strong,
    /// An aside.
    Faint,
    /// All is well.
    Good,
    /// Worth a look.
    Doubtful,
    /// Broken.
    Bad,
}

/// A piece of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// How it is meant.
    pub tone: Tone,
    /// The text, without line ends.
    pub text: String,
}

impl Span {
    fn new(tone: Tone, text: impl Into<String>) -> Self {
        // What a daemon says is shown, not obeyed.
        let text: String = text.into();
        Self { tone, text: text.chars().filter(|&c| is_shown(c)).collect() }
    }
}

/// A line.
pub type Line = Vec<Span>;

/// Everything about a tunnel, for a screen of `width` columns.
#[must_use]
pub fn render(status: &Status, width: usize) -> Vec<Line> {
    let mut lines = vec![headline(status)];
    for warning in &status.warnings {
        let text = wrap(&[format!("warning: {warning}")], "  ", width);
        lines.extend(text.into_iter().map(|line| vec![Span::new(Tone::Doubtful, line)]));
    }
    let machinery = machinery(status);
    if !machinery.is_empty() {
        lines.extend(faint(wrap(&machinery, "  ", width)));
    }
    let policies = policies(&status.policies);
    if !policies.is_empty() {
        lines.extend(faint(wrap(&policies, "  ", width)));
    }
    for peer in &status.peers {
        lines.push(Line::new());
        lines.extend(peer_lines(status, peer, width));
    }
    if !status.drops.is_empty() {
        lines.push(Line::new());
        lines.extend(faint(wrap(&[drops("dropped, of no peer", &status.drops)], "  ", width)));
    }
    lines
}

fn headline(status: &Status) -> Line {
    let mut rest = format!(
        ": up {}, MTU {}, {}, cipher {}",
        seconds(status.uptime),
        status.mtu,
        status.scheduler,
        status.cipher
    );
    if let Some(port) = status.listen {
        rest += &format!(", port {port}");
    }
    rest += &format!(", pid {}", status.pid);
    vec![Span::new(Tone::Strong, &status.interface), Span::new(Tone::Plain, rest)]
}

/// What moves packets: workers, super-packets, buffers. Daemons that do not tell have none of it.
fn machinery(status: &Status) -> Vec<String> {
    if status.workers == 0 {
        return Vec::new();
    }
    let names = |all: &[(&'static str, bool)]| {
        let on: Vec<_> = all.iter().filter(|(_, on)| *on).map(|(name, _)| *name).collect();
        if on.is_empty() { "none".to_owned() } else { on.join(" ") }
    };
    let tun = [("TSO", status.offloads.tso), ("USO", status.offloads.uso)];
    let workers = if status.workers == 1 {
        "1 worker".to_owned()
    } else {
        format!("{} workers", status.workers)
    };
    let mut pieces = vec![format!("{workers}; super-packets: TUN {},", names(&tun))];
    let sockets = &status.sockets;
    let all = |f: fn(&SocketStatus) -> bool| sockets.iter().all(f) && !sockets.is_empty();
    pieces.push(format!("UDP {};", names(&[("GSO", all(|s| s.gso)), ("GRO", all(|s| s.gro))])));
    let least = |f: fn(&SocketStatus) -> u64| bytes(sockets.iter().map(f).min().unwrap_or(0));
    pieces.push(format!("buffers: receive {},", least(|s| s.receive_buffer)));
    let dropped: u64 = sockets.iter().map(|s| s.kernel_drops).sum();
    let dropped =
        if dropped > 0 { format!("; full {} times", count(dropped)) } else { String::new() };
    pieces.push(format!("send {}{dropped}", least(|s| s.send_buffer)));
    pieces
}

/// A peer that does not answer for this long, in seconds, is no longer just about to.
const PATIENCE: f64 = 5.0;

fn peer_lines(status: &Status, peer: &PeerStatus, width: usize) -> Vec<Line> {
    let silence = silence(peer);
    let tone = match peer.state.as_str() {
        "established" if silence.is_some() => Tone::Bad,
        "established" => Tone::Good,
        "refused" => Tone::Bad,
        _ => Tone::Doubtful,
    };
    let mut rest = String::new();
    if let Some(cipher) = &peer.cipher {
        rest += &format!(", {cipher}");
    }
    if let Some(age) = peer.session_age {
        rest += &format!(", keys {} old", seconds(age));
    }
    let mut lines = vec![vec![
        Span::new(Tone::Plain, "peer "),
        Span::new(Tone::Strong, &peer.name),
        Span::new(Tone::Plain, ": "),
        Span::new(tone, &peer.state),
        Span::new(Tone::Plain, rest),
    ]];
    if let Some(why) = silence.as_ref().or(peer.why.as_ref()) {
        let text = wrap(&[why], "  ", width.saturating_sub(2));
        lines.extend(text.into_iter().map(|line| vec![Span::new(tone, format!("  {line}"))]));
    }
    // It answers, so it runs and knows us.
    let is_explained = peer.why.as_ref().is_some_and(|why| why.contains("pre-shared keys"));
    if peer.state == "connecting" && status.uptime > PATIENCE && !is_explained {
        let hint = format!(
            "is it running, does it know our public key {}, does UDP come through?",
            status.public_key
        );
        let hint = wrap(&[hint], "  ", width.saturating_sub(2));
        lines.extend(faint(hint.into_iter().map(|line| format!("  {line}")).collect()));
    }
    // What is true of all paths is said once.
    let path = |path: &PathStatus| {
        let told = peer.state == "refused" && peer.why.as_deref() == Some(path.why.as_str());
        let why = if told { "see above".to_owned() } else { path.why.clone() };
        PathStatus { why, ..path.clone() }
    };
    lines.extend(table::paths(&peer.paths.iter().map(path).collect::<Vec<_>>(), width));
    let inner = format!(
        "inner packets: sent {} ({}), received {} ({})",
        count(peer.tx_packets),
        bytes(peer.tx_bytes),
        count(peer.rx_packets),
        bytes(peer.rx_bytes)
    );
    lines.extend(faint(wrap(&[inner], "  ", width)));
    lines.extend(faint(wrap(&reordering(&peer.reordering), "  ", width)));
    let repair = repair(peer);
    if !repair.is_empty() {
        lines.extend(faint(wrap(&repair, "  ", width)));
    }
    let limits = limits(peer);
    if !limits.is_empty() {
        lines.extend(faint(wrap(&limits, "  ", width)));
    }
    let copies = copies(&peer.copies);
    if !copies.is_empty() {
        lines.extend(faint(wrap(&copies, "  ", width)));
    }
    if !peer.drops.is_empty() {
        lines.extend(faint(wrap(&[drops("dropped", &peer.drops)], "  ", width)));
    }
    lines
}

/// For so long, in seconds, the answer that is on its way is waited for.
const LULL: f64 = 2.0;

/// That nothing gets through though there is a session: its keys outlive the paths.
fn silence(peer: &PeerStatus) -> Option<String> {
    let answers = |path: &PathStatus| matches!(path.state.as_str(), "up" | "suspected");
    if peer.state != "established" || peer.paths.is_empty() || peer.paths.iter().any(answers) {
        return None;
    }
    if peer.paths.iter().all(|path| path.state == "disabled") {
        return Some("all its paths are disabled: nothing gets through".to_owned());
    }
    // An answer agreed the keys, and each path has been what it is for as long at least.
    let since = peer.paths.iter().map(|path| path.last_change).chain(peer.session_age);
    let since = since.fold(f64::INFINITY, f64::min);
    (since >= LULL).then(|| {
        format!("no path has answered for {}: nothing is known to get through", seconds(since))
    })
}

/// What was never held was not released either: then there is little to say.
fn reordering(r: &ReorderStatus) -> Vec<String> {
    let mut pieces = vec![format!("order: {} at once,", count(r.direct))];
    if r.held == 0 {
        pieces.push("0 held;".to_owned());
    } else {
        let millis = units::millis_bare;
        pieces.extend([
            format!(
                "{} held (p50/p99 {}/{} ms);",
                count(r.held),
                millis(r.hold_p50),
                millis(r.hold_p99)
            ),
            format!("holding {}, at most {};", bytes(r.held_bytes), bytes(r.held_bytes_peak)),
            format!(
                "released after a loss {}, by deadline {}, for memory {};",
                count(r.released_lost),
                count(r.released_deadline),
                count(r.released_full)
            ),
        ]);
    }
    pieces.push(format!("given up {}, late {}", count(r.given_up), count(r.late)));
    pieces
}

/// What was sent again, and what came again. Nothing where nothing had to be.
fn repair(peer: &PeerStatus) -> Vec<String> {
    let (sent, came) = (&peer.repair, &peer.reordering);
    if !sent.active && peer.state == "established" {
        return vec!["repair: off,".to_owned(), "here or at the peer".to_owned()];
    }
    let sent = counts(&[
        ("sent again", sent.sent_again),
        ("rescued", sent.rescued),
        ("abandoned", sent.abandoned),
        ("pauses told", sent.pauses),
    ]);
    let came = counts(&[("came in time", came.repaired), ("came late", came.repaired_late)]);
    match (sent.is_empty(), came.is_empty()) {
        (true, true) => Vec::new(),
        (false, true) => vec![format!("repair: {sent}")],
        (true, false) => vec![format!("repair: {came}")],
        (false, false) => vec![format!("repair: {sent};"), came],
    }
}

/// The limits in force, and what waits for them. Where there are none there is nothing to say.
fn limits(peer: &PeerStatus) -> Vec<String> {
    let limited = peer.paths.iter().filter_map(|p| Some((p, p.rate_limit?)));
    let limits = limited.map(|(p, rate)| {
        let whose = match p.rate_limit_source.as_deref() {
            Some("peer") => " (the peer's wish)",
            Some("estimate") => " (estimated)",
            _ => "",
        };
        format!("{} {}{whose}", p.name, units::rate(rate))
    });
    let limits: Vec<_> = limits.collect();
    if limits.is_empty() {
        return Vec::new();
    }
    let q = &peer.queue;
    vec![
        format!("limits: {};", limits.join(", ")),
        format!("{} waiting ({} of {});", count(q.packets), bytes(q.bytes), bytes(q.capacity)),
        format!(
            "dropped for delay {}, for room {}; marked {}",
            count(q.dropped_delay),
            count(q.dropped_full),
            count(q.marked)
        ),
    ]
}

/// Packets that each policy took; nothing where none took any but the rest.
fn policies(all: &[PolicyStatus]) -> Vec<String> {
    let used: Vec<_> = all.iter().filter(|p| p.packets > 0).collect();
    if used.iter().all(|p| p.built_in && p.name.as_deref() == Some("rest")) {
        return Vec::new();
    }
    let called = |p: &PolicyStatus| match (&p.name, p.number) {
        (Some(name), _) => name.clone(),
        (None, number) => format!("policy {}", number.unwrap_or_default()),
    };
    let last = used.len() - 1;
    let piece = |(i, p): (usize, &&PolicyStatus)| {
        let comma = if i < last { "," } else { "" };
        format!("{} {} ({}){comma}", called(p), count(p.packets), bytes(p.bytes))
    };
    let heading = std::iter::once("policies:".to_owned());
    heading.chain(used.iter().enumerate().map(piece)).collect()
}

/// Nothing where nothing was ever sent twice.
fn copies(c: &CopyStatus) -> Vec<String> {
    let told = counts(&[
        ("sent twice", c.sent),
        ("duplicates removed", c.removed),
        ("parity sent", c.parity),
        ("recovered", c.recovered.saturating_sub(c.early)),
        ("made early", c.early),
    ]);
    if told.is_empty() { Vec::new() } else { vec![format!("copies: {told}")] }
}

/// Those that are not zero.
fn counts(named: &[(&str, u64)]) -> String {
    let told = named.iter().filter(|(_, n)| *n > 0);
    told.map(|(what, n)| format!("{what} {}", count(*n))).collect::<Vec<_>>().join(", ")
}

fn drops(what: &str, drops: &[mpt_core::control::DropCount]) -> String {
    let all: Vec<_> = drops.iter().map(|d| format!("{} {}", d.reason, count(d.count))).collect();
    format!("{what}: {}", all.join(", "))
}

/// The words of `pieces`, in lines of at most `width` columns; all but the first begin with
/// `indent`. Pieces stay whole where they fit a line.
fn wrap(pieces: &[impl AsRef<str>], indent: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    let mut place = |text: &str| {
        let last = lines.last().map_or(0, |line| line.chars().count());
        let fits = last + 1 + text.chars().count() <= width;
        match lines.last_mut() {
            Some(line) if line.trim().is_empty() => line.push_str(text),
            Some(line) if fits => {
                line.push(' ');
                line.push_str(text);
            }
            _ => lines.push(format!("{indent}{text}")),
        }
    };
    for piece in pieces.iter().map(AsRef::as_ref) {
        if piece.chars().count() + indent.len() <= width {
            place(piece);
        } else {
            piece.split_whitespace().for_each(&mut place);
        }
    }
    lines
}

fn faint(lines: Vec<String>) -> Vec<Line> {
    lines.into_iter().map(|line| vec![Span::new(Tone::Faint, line)]).collect()
}

/// The text alone.
#[must_use]
pub(crate) fn to_plain(lines: &[Line]) -> String {
    written(lines, |span| span.text.clone())
}

/// The text with colours for a terminal.
#[must_use]
pub(crate) fn to_ansi(lines: &[Line]) -> String {
    written(lines, |span| {
        let code = match span.tone {
            Tone::Plain => return span.text.clone(),
            Tone::Strong => 1,
            Tone::Faint => 2,
            Tone::Good => 32,
            Tone::Doubtful => 33,
            Tone::Bad => 31,
        };
        format!("\x1b[{code}m{}\x1b[0m", span.text)
    })
}

fn written(lines: &[Line], span: impl Fn(&Span) -> String) -> String {
    lines.iter().fold(String::new(), |mut text, line| {
        text.extend(line.iter().map(&span));
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
        text
    })
}

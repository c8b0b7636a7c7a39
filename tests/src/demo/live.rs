//! The lines that show what happens while it does.

use super::DemoOptions;
use crate::emulator::Direction;
use crate::stream::Stream;
use crate::testbed::Testbed;
use mpt_core::Time;
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

/// Time between lines; each shows the mean since the one before.
const LINE: Duration = Duration::from_millis(500);

/// How long packets may be on their way from the emulator to the host: a line waits for its last.
const SETTLE: Duration = Duration::from_millis(60);

/// Columns of a full bar.
const BAR: usize = 16;

pub(super) struct Live {
    options: DemoOptions,
    /// Whether there are bars and colours.
    pretty: bool,
    lines: u32,
    notes: Vec<&'static str>,
}

impl Live {
    pub(super) fn new(options: &DemoOptions) -> Self {
        let pretty = std::io::stdout().is_terminal();
        Self { options: options.clone(), pretty, lines: 0, notes: Vec::new() }
    }

    /// What is about to be seen.
    pub(super) fn introduce(&self) {
        let o = &self.options;
        self.print(&format!(
            "host a ── router a ══ {} × {:.0} Mbit/s, {:?} ══ router b ── host b\n\
             one UDP stream of {:.1} Mbit/s in packets of {} bytes; the bridges can carry {:.1}\n",
            o.paths,
            o.link_rate as f64 / 1e6,
            o.delay,
            o.rate() as f64 / 1e6,
            o.size,
            o.capacity(o.paths) / 1e6,
        ));
    }

    /// Says at the next line what happened.
    pub(super) fn note(&mut self, what: &'static str) {
        self.notes.push(what);
    }

    /// Draws the next line if it is time.
    pub(super) fn draw(&mut self, now: Time, testbed: &Testbed, stream: &Stream) {
        let start = stream.start_time();
        let from = start + LINE * self.lines;
        let to = from + LINE;
        if now < to + SETTLE || to > start + self.options.duration() {
            return;
        }
        self.lines += 1;
        let mut line = format!("{:5.1} s", to.since(start).as_secs_f64());
        for number in 1..=self.options.paths {
            let rate = testbed.link(number).delivered(Direction::Forward).rate(from, to);
            let full = self.options.link_rate as f64;
            line += &format!("  {number}:{}", self.bar(rate, full, 1 + number % 6));
        }
        let timeline = stream.timeline();
        // Buckets of the stream are 50 ms.
        let buckets = |t: Time| (t.since(start).as_millis() / 50) as usize;
        let got = timeline.get(buckets(from)..buckets(to).min(timeline.len())).unwrap_or_default();
        let bytes: u64 = got.iter().map(|b| b.bytes).sum();
        let rate = bytes as f64 * 8.0 / LINE.as_secs_f64();
        line += &format!("  host b:{}", self.bar(rate, self.options.rate() as f64, 7));
        let shuffled: u64 = got.iter().map(|b| b.out_of_order).sum();
        if shuffled > 0 {
            line += &format!("  {shuffled} out of order");
        }
        for note in self.notes.drain(..) {
            line += &format!("  ← {note}");
        }
        self.print(&line);
    }

    /// A bar and the number it shows, in Mbit/s.
    fn bar(&self, rate: f64, full: f64, colour: usize) -> String {
        let number = format!("{:5.1}", rate / 1e6);
        if !self.pretty || self.options.paths > 4 {
            return number;
        }
        let columns = ((rate / full * BAR as f64).round() as usize).min(BAR);
        let (on, off) = ("█".repeat(columns), "·".repeat(BAR - columns));
        format!("\x1b[3{colour}m{on}\x1b[90m{off}\x1b[0m{number}")
    }

    fn print(&self, line: &str) {
        if !self.options.json {
            let mut out = std::io::stdout();
            // A reader that has gone (`| head`) is no error.
            let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        }
    }
}

//! `status`: once, as a table or JSON.

use crate::client::Client;
use crate::command::StatusArguments;
use crate::path::{Answers, statuses};
use crate::render::{render, to_ansi, to_plain};
use crate::watch;
use std::io::{IsTerminal, Write};

/// Columns where nobody says how many there are.
const DEFAULT_WIDTH: u16 = 120;

pub(crate) fn run(arguments: &StatusArguments) -> anyhow::Result<()> {
    if arguments.watch {
        return watch::run(arguments.tunnel.as_deref());
    }
    let mut stdout = std::io::stdout().lock();
    if let (Some(name), true) = (&arguments.tunnel, arguments.json) {
        let status = Client::connect(name)?.status()?;
        writeln!(stdout, "{}", serde_json::to_string_pretty(&status)?)?;
        return Ok(());
    }
    let answers = match &arguments.tunnel {
        Some(name) => Answers::of(name, Client::connect(name)?.status()?),
        None => statuses()?,
    };
    let all: Vec<_> = answers.tunnels.iter().map(|(_, status)| status).collect();
    if arguments.json {
        writeln!(stdout, "{}", serde_json::to_string_pretty(&all)?)?;
        return answers.complete();
    }
    let is_terminal = stdout.is_terminal();
    for (i, status) in all.iter().enumerate() {
        if i > 0 {
            writeln!(stdout)?;
        }
        let lines = render(status, width(is_terminal));
        let colours = is_terminal && std::env::var_os("NO_COLOR").is_none();
        let text = if colours { to_ansi(&lines) } else { to_plain(&lines) };
        stdout.write_all(text.as_bytes())?;
    }
    answers.complete()
}

/// `COLUMNS` where it is set, else the terminal's width.
fn width(is_terminal: bool) -> usize {
    // A serial line says 0: nobody told it.
    let known = |columns: &u16| *columns > 0;
    let columns = std::env::var("COLUMNS").ok().and_then(|c| c.parse().ok()).filter(known);
    let terminal =
        || is_terminal.then(|| ratatui::crossterm::terminal::size().ok()).flatten().map(|s| s.0);
    columns.or_else(|| terminal().filter(known)).unwrap_or(DEFAULT_WIDTH).into()
}

//! `status --watch`: the status drawn anew every second.
//!
//! Each second connects anew, so a daemon that was started again is found without more ado. While
//! one does not answer, that is said, and what was last known stays below.

use crate::client::{Client, ClientError, running};
use crate::render::{Line, Tone, render};
use anyhow::{Context as _, bail};
use mpt_core::control::Status;
use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Flex, Layout};
use ratatui::style::{Color, Style, Stylize};
use ratatui::text::{Line as TextLine, Span as TextSpan, Text};
use ratatui::widgets::Paragraph;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

/// Between two looks at the daemon.
const EVERY: Duration = Duration::from_secs(1);

/// Watches tunnel `name`, or all, until somebody presses q.
pub(crate) fn run(name: Option<&str>) -> anyhow::Result<()> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        bail!("--watch needs a terminal; use `status --json` in scripts");
    }
    // Puts the terminal back on a panic, too.
    let mut terminal = ratatui::try_init().context("cannot draw on this terminal")?;
    let result = watch(&mut terminal, name);
    ratatui::restore();
    result
}

fn watch(terminal: &mut ratatui::DefaultTerminal, name: Option<&str>) -> anyhow::Result<()> {
    let mut view = View::new(name);
    loop {
        view.look();
        let next = Instant::now() + EVERY;
        loop {
            terminal.draw(|frame| view.draw(frame))?;
            if !event::poll(next.saturating_duration_since(Instant::now()))? {
                break;
            }
            // A resize needs no more than to be drawn again.
            if let Event::Key(key) = event::read()?
                && view.press(key) == Next::End
            {
                return Ok(());
            }
            if Instant::now() >= next {
                break;
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    GoOn,
    End,
}

/// What is on the screen.
#[derive(Debug)]
struct View {
    /// The tunnel asked for; `None` means all.
    name: Option<String>,
    /// What was last known of each tunnel, and why it is no longer known, if so.
    tunnels: Vec<(String, Option<Status>, Option<String>)>,
    /// Lines scrolled away at the top.
    scrolled: u16,
}

impl View {
    fn new(name: Option<&str>) -> Self {
        let tunnels = name.map(|name| (name.to_owned(), None, None)).into_iter().collect();
        Self { name: name.map(str::to_owned), tunnels, scrolled: 0 }
    }

    /// Asks the daemons.
    fn look(&mut self) {
        if self.name.is_none() {
            for name in running() {
                if !self.tunnels.iter().any(|(known, ..)| *known == name) {
                    self.tunnels.push((name, None, None));
                }
            }
            self.tunnels.sort_by(|a, b| a.0.cmp(&b.0));
        }
        for (name, status, trouble) in &mut self.tunnels {
            match Client::connect(name).and_then(|mut client| client.status()) {
                Ok(now) => (*status, *trouble) = (Some(now), None),
                Err(ClientError::NotRunning(_)) => *trouble = Some("it is not running".to_owned()),
                Err(ClientError::HungUp(_)) => *trouble = Some("it hung up".to_owned()),
                Err(error) => *trouble = Some(error.to_string()),
            }
        }
    }

    fn press(&mut self, key: KeyEvent) -> Next {
        let control = key.modifiers.contains(KeyModifiers::CONTROL);
        match key.code {
            _ if key.kind == KeyEventKind::Release => {}
            KeyCode::Char('q') | KeyCode::Esc => return Next::End,
            KeyCode::Char('c') if control => return Next::End,
            KeyCode::Down | KeyCode::Char('j') => self.scrolled = self.scrolled.saturating_add(1),
            KeyCode::Up | KeyCode::Char('k') => self.scrolled = self.scrolled.saturating_sub(1),
            KeyCode::PageDown | KeyCode::Char(' ') => {
                self.scrolled = self.scrolled.saturating_add(10);
            }
            KeyCode::PageUp => self.scrolled = self.scrolled.saturating_sub(10),
            KeyCode::Home => self.scrolled = 0,
            _ => {}
        }
        Next::GoOn
    }

    fn draw(&mut self, frame: &mut Frame<'_>) {
        let area = frame.area();
        let text = self.text(area.width.into());
        let height = u16::try_from(text.lines.len()).unwrap_or(u16::MAX);
        // Below the text, or in the screen's last line where the text is longer.
        let rows = [Constraint::Max(height), Constraint::Length(u16::from(area.height > 1))];
        let [above, last] = Layout::vertical(rows).flex(Flex::Start).areas(area);
        self.scrolled = self.scrolled.min(height.saturating_sub(above.height));
        let more = height > self.scrolled.saturating_add(above.height);
        frame.render_widget(Paragraph::new(text).scroll((self.scrolled, 0)), above);
        let keys =
            if more { "q ends, arrows scroll; there is more" } else { "q ends, arrows scroll" };
        frame.render_widget(TextLine::from(keys).dim(), last);
    }

    fn text(&self, width: usize) -> Text<'static> {
        let mut lines: Vec<TextLine<'static>> = Vec::new();
        if self.tunnels.is_empty() {
            lines.push(TextLine::from("waiting for a tunnel…").yellow());
        }
        for (name, status, trouble) in &self.tunnels {
            if !lines.is_empty() {
                lines.push(TextLine::default());
            }
            if let Some(why) = trouble {
                let waiting = format!("waiting for mpt-tund {name}… ({why})");
                lines.push(TextLine::from(waiting).yellow());
            }
            let Some(status) = status else { continue };
            let known = render(status, width);
            if trouble.is_some() {
                lines.push(TextLine::from("last known:").dim());
                lines.extend(known.iter().map(|line| drawn(line).dim()));
            } else {
                lines.extend(known.iter().map(drawn));
            }
        }
        Text::from(lines)
    }
}

fn drawn(line: &Line) -> TextLine<'static> {
    let spans = line.iter().map(|span| {
        let style = match span.tone {
            Tone::Plain => Style::new(),
            Tone::Strong => Style::new().bold(),
            Tone::Faint => Style::new().dim(),
            Tone::Good => Style::new().fg(Color::Green),
            Tone::Doubtful => Style::new().fg(Color::Yellow),
            Tone::Bad => Style::new().fg(Color::Red),
        };
        TextSpan::styled(span.text.clone(), style)
    });
    TextLine::from(spans.collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::two_bridges;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    fn screen(view: &mut View, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view.draw(frame)).unwrap();
        let buffer = terminal.backend().buffer();
        (0..height)
            .map(|y| {
                let row: String = (0..width).map(|x| buffer[(x, y)].symbol()).collect();
                row.trim_end().to_owned()
            })
            .collect()
    }

    #[test]
    fn a_daemon_comes_goes_and_comes_back() {
        let mut view = View::new(Some("mpt0"));
        view.tunnels[0].2 = Some("it is not running".to_owned());
        let waiting = "waiting for mpt-tund mpt0… (it is not running)";
        assert_eq!(screen(&mut view, 80, 3), [waiting, "q ends, arrows scroll", ""]);
        view.tunnels[0] = ("mpt0".to_owned(), Some(two_bridges()), None);
        assert!(screen(&mut view, 80, 24)[0].starts_with("mpt0: up 2 h 13 min"));
        view.tunnels[0].2 = Some("it is not running".to_owned());
        let lines = screen(&mut view, 80, 24);
        assert_eq!(lines[..2], [waiting, "last known:"]);
        assert!(lines[2].starts_with("mpt0: up"));
    }

    #[test]
    fn any_size_of_screen_will_do_and_scrolling_ends_with_the_text() {
        let mut view = View::new(Some("mpt0"));
        view.tunnels[0].1 = Some(two_bridges());
        for (width, height) in [(1, 1), (20, 5), (80, 24), (200, 60)] {
            screen(&mut view, width, height);
        }
        let press = |view: &mut View, code| view.press(KeyEvent::from(code));
        for _ in 0..50 {
            assert_eq!(press(&mut view, KeyCode::PageDown), Next::GoOn);
        }
        assert_eq!(screen(&mut view, 80, 4)[3], "q ends, arrows scroll");
        press(&mut view, KeyCode::Home);
        let top = screen(&mut view, 80, 4);
        assert!(top[0].starts_with("mpt0"));
        assert_eq!(top[3], "q ends, arrows scroll; there is more");
        assert_eq!(press(&mut view, KeyCode::Char('q')), Next::End);
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(view.press(control_c), Next::End);
    }

    #[test]
    fn without_a_name_any_tunnel_will_do() {
        assert_eq!(screen(&mut View::new(None), 40, 1)[0], "waiting for a tunnel…");
    }
}

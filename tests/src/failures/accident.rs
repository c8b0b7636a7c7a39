//! What happens to the links while a stream is under way.

use crate::netns::Namespace;
use crate::testbed::Testbed;
use anyhow::{Context as _, Result};
use mpt_core::Time;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use std::time::Duration;

/// What happens to the links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accident {
    /// Nothing; they may lose packets of themselves.
    Nothing,
    /// Link 1 swallows everything, in both directions, from a random moment on for some time.
    Blackhole {
        /// For so long.
        away: Duration,
        /// One moment in each such time.
        every: Duration,
    },
    /// The interface of link 1 is taken down at the sending router.
    InterfaceDown {
        /// For so long.
        away: Duration,
        /// One moment in each such time.
        every: Duration,
    },
    /// The links swallow everything in turn: one for the first time, both work for the second, then the other.
    Flapping {
        /// One link is away for so long, …
        away: Duration,
        /// … then both are there for so long.
        both: Duration,
    },
}

/// What is to be done to a link at some time.
#[derive(Clone, Copy, Debug)]
struct Step {
    at: Time,
    link: usize,
    works: bool,
}

/// The accidents of a stream.
#[derive(Debug)]
pub(super) struct Accidents {
    kind: Accident,
    /// The next one last.
    steps: Vec<Step>,
    events: Vec<Time>,
}

/// The stream runs for so long before anything happens, and after the last thing has happened.
const CALM: Duration = Duration::from_secs(1);

impl Accident {
    /// The accidents during a stream.
    pub(super) fn begin(self, start: Time, duration: Duration, seed: u64) -> Accidents {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let (mut steps, end) = (Vec::new(), start + duration);
        let mut outage = |at: Time, link: usize, away: Duration| {
            steps.push(Step { at, link, works: false });
            steps.push(Step { at: at + away, link, works: true });
        };
        let mut from = start + CALM;
        match self {
            Self::Nothing => {}
            Self::Blackhole { away, every } | Self::InterfaceDown { away, every } => {
                while from + every + CALM <= end + CALM {
                    let room = every.saturating_sub(away + CALM);
                    let at =
                        from + room.mul_f64(f64::from(random.next_u32()) / f64::from(u32::MAX));
                    outage(at, 1, away);
                    from += every;
                }
            }
            Self::Flapping { away, both } => {
                for link in [1, 2].into_iter().cycle() {
                    if from + away + both + CALM > end {
                        break;
                    }
                    outage(from, link, away);
                    from += away + both;
                }
            }
        }
        steps.reverse();
        Accidents { kind: self, steps, events: Vec::new() }
    }
}

impl Accidents {
    /// Does what is due.
    pub(super) fn turn(&mut self, now: Time, testbed: &Testbed) -> Result<()> {
        while let Some(step) = self.steps.pop_if(|step| step.at <= now) {
            if matches!(self.kind, Accident::InterfaceDown { .. }) {
                switch(testbed.a().router(), &format!("wan{}", step.link), step.works)?;
            } else {
                testbed.link(step.link).blackhole(!step.works);
            }
            if !step.works {
                self.events.push(crate::now());
            }
        }
        Ok(())
    }

    /// When the next thing happens.
    pub(super) fn next(&self) -> Option<Time> {
        self.steps.last().map(|step| step.at)
    }

    /// When links stopped working.
    pub(super) fn events(&self) -> &[Time] {
        &self.events
    }
}

fn switch(router: &Namespace, interface: &str, on: bool) -> Result<()> {
    let result = if on { router.set_up(interface) } else { router.set_down(interface) };
    result.with_context(|| format!("cannot switch {interface}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn outages_lie_within_the_stream_and_apart() {
        let start = Time::from_millis(5_000);
        let accident = Accident::Blackhole { away: S, every: 4 * S };
        for seed in 0..50 {
            let mut steps = accident.begin(start, 41 * S, seed).steps;
            steps.reverse();
            assert_eq!(steps.len(), 20);
            assert!(steps.windows(2).all(|w| w[0].at < w[1].at && w[0].works != w[1].works));
            assert!(steps[0].at >= start + CALM && steps[19].at <= start + 41 * S);
        }
        let flaps = Accident::Flapping { away: 2 * S, both: S }.begin(start, 60 * S, 1).steps;
        assert!(flaps.chunks(2).all(|w| w[0].link == w[1].link) && flaps.len() >= 36);
        assert!(Accident::Nothing.begin(start, S, 1).steps.is_empty());
    }
}

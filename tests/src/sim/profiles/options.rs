//! What is asked of `mpt-lab profiles`.

use super::{Flow, PROFILES, Profile, link_words};
use crate::link::LinkProfile;
use crate::sim::quic::Control;
use clap::builder::PossibleValuesParser;
use clap::{Args, ValueEnum};
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// What is compared.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Simulates in virtual time.
    #[arg(long, required = true)]
    pub sim: bool,
    /// Seeds of each figure.
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub seeds: u64,
    /// The first seed.
    #[arg(long, default_value_t = 1, value_name = "SEED")]
    pub first: u64,
    /// Only these profiles.
    #[arg(long = "profile", value_name = "NAME", num_args = 1.., value_parser = names())]
    pub profiles: Vec<String>,
    /// Only these traffics; all but `tcp` and `web` when none is named.
    #[arg(long = "traffic", value_enum, num_args = 1..)]
    pub traffic: Vec<Traffic>,
    /// Runs at the same time; by default as many as there are processors.
    #[arg(long, value_name = "N")]
    pub jobs: Option<usize>,
    /// Begins no more runs after so many minutes; only seeds that were run everywhere count.
    #[arg(long, value_name = "MINUTES")]
    pub minutes: Option<f64>,
    /// Leaves out static weights.
    #[arg(long)]
    pub no_weighted: bool,
    /// Writes the tables to this file too.
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Writes every run's figures to this file.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Changes while running instead of the comparison: a timeline of each, and how soon all was well again.
    #[arg(long)]
    pub changes: bool,
    /// Networks that nobody picked instead of the sixteen: two to four links, drawn anew for each seed.
    #[arg(long, conflicts_with_all = ["profiles", "changes"])]
    pub random: bool,
    /// A network of these links instead of the sixteen: Mbit/s and ms of delay each, then if wanted its jitter, loss and queue in ms, as in
    /// `50/15 5/60/±15/2%/300`.
    #[arg(
        long = "links",
        value_name = "LINK",
        num_args = 1..,
        value_parser = link_words::parse,
        conflicts_with_all = ["profiles", "changes", "random"]
    )]
    pub links: Vec<LinkProfile>,
    /// Prints what the adaptive scheduler believes in each tenth of a second of one run; no table.
    #[arg(long)]
    pub trace: bool,
    /// Traces this path alone, counted from 0.
    #[arg(long, value_name = "PATH", requires = "trace")]
    pub alone: Option<usize>,
}

fn names() -> PossibleValuesParser {
    PossibleValuesParser::new(PROFILES.map(|p| p.name))
}

/// What is carried.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum Traffic {
    /// A bulk flow with CUBIC.
    Cubic,
    /// A bulk flow with BBR.
    Bbr,
    /// A constant stream at 80 % of the sum.
    Steady,
    /// A call beside a bulk flow with CUBIC.
    CallCubic,
    /// A call beside a bulk flow with BBR.
    CallBbr,
    /// A bulk flow with CUBIC as a kernel's TCP sends it: unpaced.
    Tcp,
    /// Short connections of that TCP beside a bulk flow of it.
    Web,
}

impl Traffic {
    /// All there are.
    pub const ALL: [Self; 7] = [
        Self::Cubic,
        Self::Bbr,
        Self::Steady,
        Self::CallCubic,
        Self::CallBbr,
        Self::Tcp,
        Self::Web,
    ];

    /// The bulk flow in it.
    #[must_use]
    pub const fn flow(self) -> Option<Flow> {
        match self {
            Self::Cubic | Self::CallCubic => Some(Flow::Quic(Control::Cubic)),
            Self::Bbr | Self::CallBbr => Some(Flow::Quic(Control::Bbr)),
            Self::Tcp | Self::Web => Some(Flow::Tcp),
            Self::Steady => None,
        }
    }

    /// Whether a call is beside it.
    #[must_use]
    pub const fn is_call(self) -> bool {
        matches!(self, Self::CallCubic | Self::CallBbr)
    }

    /// Whether it is run when none is named.
    const fn is_usual(self) -> bool {
        !matches!(self, Self::Tcp | Self::Web)
    }

    /// Whether the bulk flow is what is judged.
    #[must_use]
    pub const fn is_bulk(self) -> bool {
        matches!(self, Self::Cubic | Self::Bbr | Self::Tcp)
    }

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cubic => "cubic",
            Self::Bbr => "bbr",
            Self::Steady => "steady",
            Self::CallCubic => "call-cubic",
            Self::CallBbr => "call-bbr",
            Self::Tcp => "tcp",
            Self::Web => "web",
        }
    }
}

impl Options {
    pub(super) fn chosen_profiles(&self) -> impl Iterator<Item = Profile> {
        let wanted =
            |p: &Profile| self.profiles.is_empty() || self.profiles.iter().any(|n| n == p.name);
        PROFILES.into_iter().filter(wanted)
    }

    pub(super) fn chosen_traffic(&self) -> impl Iterator<Item = Traffic> {
        let wanted = |t: &Traffic| match self.traffic.is_empty() {
            true => t.is_usual(),
            false => self.traffic.contains(t),
        };
        Traffic::ALL.into_iter().filter(wanted)
    }

    /// Of so many links, the one that is traced alone, if any.
    ///
    /// # Errors
    /// When there is none of that number.
    pub(super) fn traced_of(&self, links: usize) -> io::Result<Option<usize>> {
        match self.alone {
            Some(path) if path >= links => Err(io::Error::other(format!(
                "--alone {path}: the links are counted from 0 to {}",
                links - 1
            ))),
            alone => Ok(alone),
        }
    }

    /// Whether networks are not among the sixteen.
    pub(super) fn has_other_networks(&self) -> bool {
        self.random || !self.links.is_empty()
    }

    pub(super) fn time_limit(&self) -> Option<Duration> {
        self.minutes.map(|m| Duration::from_secs_f64(m.max(0.0) * 60.0))
    }
}

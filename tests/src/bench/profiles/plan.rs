//! What is to be measured.

use super::carrier::Carrier;
use super::options::ProfilesOptions;
use super::traffic::Traffic;
use crate::link::{LinkProfile, QueueLimit};
use crate::sim::profiles::{PROFILES, Profile};
use anyhow::{Result, bail, ensure};
use std::time::Duration;

/// Two slow links whose delays differ, for one TCP flow with BBR beside MPTCP.
const EXTRA: [Profile; 2] = [
    Profile { name: "tcp_5_25", links: [slow(5), slow(25)] },
    Profile { name: "tcp_5_100", links: [slow(5), slow(100)] },
];

/// 10 Mbit/s with this one-way delay in milliseconds.
const fn slow(delay: u64) -> LinkProfile {
    LinkProfile {
        rate_bps: Some(10_000_000),
        delay: Duration::from_millis(delay),
        jitter: Duration::ZERO,
        jitter_correlation: Duration::ZERO,
        reorder: true,
        loss: 0.0,
        burst: None,
        queue: QueueLimit::Time(Duration::from_millis(100)),
        policer: None,
        blackhole: false,
    }
}

/// Rows, columns and tables.
pub(super) struct Plan {
    profiles: Vec<Profile>,
    pub(super) traffics: Vec<Traffic>,
    pub(super) carriers: Vec<Carrier>,
}

impl Plan {
    /// What `options` ask for.
    pub(super) fn new(options: &ProfilesOptions) -> Result<Self> {
        let known = || PROFILES.iter().chain(&EXTRA);
        for name in &options.only {
            if !known().any(|profile| profile.name == name) {
                let names: Vec<&str> = known().map(|profile| profile.name).collect();
                bail!("there is no profile `{name}`; there are {}", names.join(", "));
            }
        }
        let asked = |profile: &&Profile| {
            options.only.is_empty() || options.only.iter().any(|name| name == profile.name)
        };
        let plan = Self {
            profiles: known().filter(asked).copied().collect(),
            traffics: options.traffic(),
            carriers: Carrier::all(&options.schedulers)
                .into_iter()
                .filter(|carrier| options.carriers.matches(carrier.name()))
                .collect(),
        };
        ensure!(
            !plan.carriers.is_empty(),
            "--carriers matches none; there are direct, a, b, mptcp and the schedulers"
        );
        ensure!(plan.cells() > 0, "nothing to measure: tcp_5_25 and tcp_5_100 are for tcp-bbr");
        Ok(plan)
    }

    /// The profiles in which a traffic is measured.
    pub(super) fn profiles_of(&self, traffic: Traffic) -> impl Iterator<Item = &Profile> {
        self.profiles.iter().filter(move |profile| measured(profile, traffic))
    }

    /// All profiles.
    pub(super) fn profiles(&self) -> &[Profile] {
        &self.profiles
    }

    /// The traffics measured in a profile.
    pub(super) fn traffics_in(&self, profile: &Profile) -> impl Iterator<Item = Traffic> {
        self.traffics.iter().copied().filter(|&traffic| measured(profile, traffic))
    }

    /// How many cells a round has.
    pub(super) fn cells(&self) -> usize {
        let carriers = |traffic: Traffic| {
            self.carriers.iter().filter(|carrier| traffic.goes_by(carrier)).count()
        };
        self.traffics.iter().map(|&t| self.profiles_of(t).count() * carriers(t)).sum()
    }
}

/// The extra profiles are for one traffic.
fn measured(profile: &Profile, traffic: Traffic) -> bool {
    traffic == Traffic::TcpBbr || EXTRA.iter().all(|extra| extra.name != profile.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        profiles: ProfilesOptions,
    }

    fn plan(line: &str) -> Result<Plan> {
        Plan::new(&Cli::parse_from(line.split(' ')).profiles)
    }

    #[test]
    fn all_that_makes_sense_is_measured() {
        // Five carriers, and MPTCP for both TCP flows; the extra rows have one traffic and all six.
        assert_eq!(plan("x").unwrap().cells(), 16 * (6 * 5 + 2) + 2 * 6);
        let plan = plan("x --only tcp_5_25 baseline --schedulers weighted --carriers a|mptcp");
        assert_eq!(plan.unwrap().cells(), 6 + 2 + 2);
    }

    #[test]
    fn nonsense_is_told() {
        let error = |line| plan(line).err().unwrap().to_string();
        assert!(error("x --only bassline").contains("baseline"));
        assert!(error("x --only tcp_5_25 --traffic call").contains("tcp-bbr"));
        assert!(error("x --carriers nobody").contains("direct"));
    }
}

//! What the bench can be told.

use super::pass::Pass;
use super::pattern::Pattern;
use super::profiles::ProfilesOptions;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Measures mpt beside the kernel's and other programs' tunnels, side by side in one run.
///
/// Each tunnel joins two network namespaces over veth pairs. All tunnels of a round are up at once
/// and each workload goes over all of them before the next begins, so that a machine that is
/// slower for a while is slower for all. A round runs twice: over veth as it is, and with its
/// transmit offloads off, as over a plain network card. Figures are medians over the rounds, with
/// their range; ratios are taken within each round. Needs root (or user namespaces), iperf3 and
/// iproute2, and touches nothing outside the namespaces it makes.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BenchOptions {
    /// Another bench; the options below are for the comparison with other tunnels.
    #[command(subcommand)]
    pub command: Option<BenchCommand>,
    /// How many rounds there are.
    #[arg(long, default_value_t = 3, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=50))]
    pub rounds: u32,
    /// What each measurement counts, after half a second of warming up.
    #[arg(long, default_value_t = 1.0, value_name = "S", value_parser = parse_seconds)]
    pub seconds: f64,
    /// One round, as a check that all of it works.
    #[arg(long)]
    pub quick: bool,
    /// Only these tunnels: names separated by `|`, with `*` for anything, such as 'vxlan|mpt-*'.
    #[arg(long, value_name = "PATTERN", default_value = "*", hide_default_value = true)]
    pub only: Pattern,
    /// Only these workloads: tcp1, tcp4, gso, udp1200, udp200, udp64, ping, ping-loaded, cpu-udp.
    #[arg(long, value_name = "PATTERN", default_value = "*", hide_default_value = true)]
    pub workloads: Pattern,
    /// Only over veth as it is, or with its transmit offloads off; without this both.
    #[arg(long, value_name = "WHICH")]
    pub offloads: Option<Pass>,
    /// Measures wireguard-go, OpenVPN, fastd, vtun and tinc, too; what is missing of them is
    /// installed by apt-get.
    #[arg(long)]
    pub peers: bool,
    /// The wireguard-go to measure; Debian's is older than its offloads.
    #[arg(long, value_name = "FILE", default_value = "wireguard-go")]
    pub wireguard_go: PathBuf,
    /// Writes everything that was measured there, each round's value.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Writes the tables there, besides printing them.
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
}

/// A bench besides the comparison with other tunnels.
#[derive(Subcommand, Clone, Debug)]
pub enum BenchCommand {
    #[allow(missing_docs, reason = "its options tell, and a comment here would hide that")]
    Profiles(ProfilesOptions),
}

impl BenchOptions {
    /// How many rounds are run.
    #[must_use]
    pub fn rounds(&self) -> u32 {
        if self.quick { 1 } else { self.rounds }
    }

    /// The passes of a round.
    #[must_use]
    pub fn passes(&self) -> Vec<Pass> {
        self.offloads.map_or(Pass::DEFAULT.to_vec(), |pass| vec![pass])
    }
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.2..=60.0).contains(&seconds) => Ok(seconds),
        _ => Err("0.2 to 60 seconds".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        bench: BenchOptions,
    }

    #[test]
    fn three_rounds_of_both_passes_unless_told_otherwise() {
        let parse = |line: &str| Cli::parse_from(line.split(' ')).bench;
        let options = parse("x");
        assert_eq!((options.rounds(), options.passes().len()), (3, 2));
        assert!(!options.peers && options.only.matches("veth"));
        let options = parse("x --quick --only veth|mpt-* --offloads off");
        assert_eq!((options.rounds(), options.passes()), (1, vec![Pass::PlainNic]));
        assert!(options.only.matches("mpt-plain") && !options.only.matches("vxlan"));
    }
}

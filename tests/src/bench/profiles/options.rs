//! What `bench profiles` can be told.

use super::traffic::{Beside, Traffic};
use crate::bench::pattern::Pattern;
use clap::Args;
use std::path::PathBuf;
use std::time::Duration;

/// Measures mpt in sixteen networks of two emulated links: every traffic over each path alone,
/// through each scheduler, without a tunnel, and by MPTCP.
///
/// Each cell has a network of its own, made for it: two hosts, two routers with fresh daemons, the
/// links between them. In a round a traffic goes over all carriers of a profile, one after the other,
/// before the next traffic begins; every other round goes over them backwards. Figures are medians
/// over the rounds, with their range. A cell that fails is told with its reason, and the run goes on.
/// Needs root (or user namespaces), for MPTCP also iproute2, and touches nothing outside the
/// namespaces it makes.
#[derive(Args, Clone, Debug)]
pub struct ProfilesOptions {
    /// Only these profiles, such as baseline, loss_05 or fiber_lte.
    #[arg(long, value_name = "PROFILE", num_args = 1.., value_delimiter = ',')]
    pub only: Vec<String>,
    /// Only these traffics.
    #[arg(long, value_name = "TRAFFIC", num_args = 1.., value_enum, value_delimiter = ',')]
    pub traffic: Vec<Traffic>,
    /// The schedulers to measure.
    #[arg(long, value_name = "NAMES", value_delimiter = ',', default_value = "weighted,adaptive")]
    pub schedulers: Vec<String>,
    /// Only these carriers: names separated by `|`, of direct, a, b, mptcp and the schedulers.
    #[arg(long, value_name = "PATTERN", default_value = "*", hide_default_value = true)]
    pub carriers: Pattern,
    /// The bulk flow beside the call.
    #[arg(long, value_name = "FLOW", value_enum, default_value_t = Beside::QuicBbr)]
    pub beside: Beside,
    /// How long each traffic runs; the first quarter, 5 s at most, does not count.
    #[arg(long, value_name = "S", default_value_t = 20.0, value_parser = parse_seconds)]
    pub seconds: f64,
    /// How many rounds there are.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=50))]
    pub rounds: u32,
    /// Decides the links' accidents; round after round adds one.
    #[arg(long, value_name = "SEED", default_value_t = 1)]
    pub seed: u64,
    /// Writes everything that was measured there, each round's value.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Writes the tables there, besides printing them.
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
}

impl ProfilesOptions {
    /// What is carried.
    #[must_use]
    pub fn traffic(&self) -> Vec<Traffic> {
        let asked = |traffic: &Traffic| self.traffic.is_empty() || self.traffic.contains(traffic);
        Traffic::ALL.into_iter().filter(asked).collect()
    }

    /// What of a run does not count.
    #[must_use]
    pub fn warm_up(&self) -> Duration {
        Duration::from_secs_f64((self.seconds / 4.0).min(5.0))
    }
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (1.0..=600.0).contains(&seconds) => Ok(seconds),
        _ => Err("1 to 600 seconds".into()),
    }
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

    #[test]
    fn everything_unless_told_otherwise() {
        let parse = |line: &str| Cli::parse_from(line.split(' ')).profiles;
        let options = parse("x");
        assert_eq!(options.traffic(), Traffic::ALL);
        assert_eq!(options.warm_up(), Duration::from_secs(5));
        assert_eq!(options.schedulers, ["weighted", "adaptive"]);
        let options = parse("x --only baseline lte_geo --traffic call,quic-bbr --seconds 2");
        assert_eq!(options.only, ["baseline", "lte_geo"]);
        // In the order of the tables.
        assert_eq!(options.traffic(), [Traffic::QuicBbr, Traffic::Call]);
        assert_eq!(options.warm_up(), Duration::from_millis(500));
    }
}

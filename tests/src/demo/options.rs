//! What the demonstration can be told.

use crate::units::{parse_duration, parse_rate};
use clap::Args;
use std::time::Duration;

/// Runs two routers joined by bridges, unplugs one under load, and shows what happens.
#[derive(Args, Clone, Debug)]
pub struct DemoOptions {
    /// How long the stream lasts; bridge 1 is away in the middle third.
    #[arg(long, default_value_t = 12.0, value_name = "SECONDS", value_parser = parse_seconds)]
    pub seconds: f64,
    /// UDP payload the host sends [default: 90 % of the bridges' rates, 36mbit].
    #[arg(long, value_name = "RATE", value_parser = parse_rate)]
    pub rate: Option<u64>,
    /// How many bridges there are.
    #[arg(long, default_value_t = 2, value_parser = parse_paths)]
    pub paths: usize,
    /// UDP payload of a packet, in bytes.
    #[arg(long, default_value_t = 1000, value_name = "BYTES", value_parser = parse_size)]
    pub size: usize,
    /// What each bridge carries, IP packets.
    #[arg(long, default_value = "20mbit", value_name = "RATE", value_parser = parse_rate)]
    pub link_rate: u64,
    /// What each bridge takes, one way.
    #[arg(long, default_value = "3ms", value_name = "TIME", value_parser = parse_duration)]
    pub delay: Duration,
    /// Prints nothing but one JSON object with all results.
    #[arg(long)]
    pub json: bool,
    /// Sends the stream over bridge 1 alone, without a tunnel.
    #[arg(long, hide = true)]
    pub without_tunnel: bool,
}

impl DemoOptions {
    /// What the host sends, bits a second of UDP payload.
    #[must_use]
    pub fn rate(&self) -> u64 {
        self.rate.unwrap_or(self.link_rate * self.paths as u64 * 9 / 10)
    }

    /// How long the stream lasts.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_secs_f64(self.seconds)
    }

    /// Bytes of an IP packet on a bridge that carries one packet of the stream.
    #[must_use]
    pub fn packet_on_bridge(&self) -> usize {
        /// IPv4 and UDP.
        const HEADERS: usize = 28;
        /// Our header and the authentication tag.
        const TUNNEL: usize = 36;
        let inner = self.size + HEADERS;
        if self.without_tunnel { inner } else { inner + TUNNEL + HEADERS }
    }

    /// What `bridges` bridges can carry of this stream, bits a second of UDP payload.
    #[must_use]
    pub fn capacity(&self, bridges: usize) -> f64 {
        let bridges = if self.without_tunnel { bridges.min(1) } else { bridges };
        let share = self.size as f64 / self.packet_on_bridge() as f64;
        (self.link_rate * bridges as u64) as f64 * share
    }
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (3.0..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("3 to 3600 seconds".into()),
    }
}

fn parse_paths(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        Ok(paths) if (1..=16).contains(&paths) => Ok(paths),
        _ => Err("1 to 16 bridges".into()),
    }
}

fn parse_size(text: &str) -> Result<usize, String> {
    match text.parse::<usize>() {
        // More would be fragmented, and the figures would mean something else.
        Ok(size) if (200..=1300).contains(&size) => Ok(size),
        _ => Err("200 to 1300 bytes: a packet must fit the tunnel whole".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        demo: DemoOptions,
    }

    #[test]
    fn defaults_are_those_of_the_readme() {
        let demo = Cli::parse_from(["x"]).demo;
        assert_eq!(demo.rate(), 36_000_000);
        assert!((demo.capacity(2) / 36.63e6 - 1.0).abs() < 1e-3, "{}", demo.capacity(2));
        assert!(demo.rate() as f64 > 0.97 * demo.capacity(2));
        assert_eq!(Cli::parse_from(["x", "--paths", "3"]).demo.rate(), 54_000_000);
        assert!(Cli::try_parse_from(["x", "--size", "1400"]).is_err());
        assert!(Cli::try_parse_from(["x", "--seconds", "nan"]).is_err());
    }
}

//! What the comparison can be told.

use clap::Args;

/// Lets paths fail and lose in every way, and shows what is lost with them.
///
/// The stream takes 45, 60 or 80 % of what the links together carry; the tunnel has its default configuration. Each
/// row says what was lost, what came out of order, and how long nothing arrived, beside its goal. Behind them, without
/// `--json`: 20 calls over two paths of 5 % loss each (`--only call`), 120 % of what the links carry (`--only overload`),
/// and a video (`--only video`).
#[derive(Args, Clone, Debug)]
pub struct FailuresOptions {
    /// How many times a path fails, at random moments.
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub times: u32,
    /// How long the rows with loss and flapping last.
    #[arg(long, default_value_t = 60, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(4..=3600))]
    pub seconds: u64,
    /// Decides all accidents.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Only rows whose name has one of these words in it.
    #[arg(long, value_name = "WORD")]
    pub only: Vec<String>,
    /// Prints nothing but a JSON list of all rows.
    #[arg(long)]
    pub json: bool,
}

impl FailuresOptions {
    /// Whether this row is asked for.
    #[must_use]
    pub fn wants(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|word| name.contains(word.as_str()))
    }
}

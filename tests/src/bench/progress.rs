//! What is going on, on stderr.

use super::options::BenchOptions;
use super::pass::Pass;
use super::workloads::Workload;
use mpt_core::Time;

/// Tells of a run under way.
pub(crate) struct Progress {
    start: Time,
    rounds: u32,
}

impl Progress {
    /// A run that begins now.
    pub(crate) fn new(options: &BenchOptions) -> Self {
        Self { start: crate::now(), rounds: options.rounds() }
    }

    /// A round begins.
    pub(crate) fn round(&self, round: u32, pass: Pass) {
        self.line(&format!("round {round} of {}, {}", self.rounds, pass.title()));
    }

    /// A workload has gone over all tunnels.
    pub(crate) fn workload(&self, workload: Workload) {
        self.line(&format!("  {}", workload.name()));
    }

    /// Something failed.
    pub(crate) fn failed(&self, tunnel: &str, what: &str, reason: &str) {
        self.line(&format!("  {tunnel}: {what}: {reason}"));
    }

    fn line(&self, text: &str) {
        let seconds = crate::now().since(self.start).as_secs();
        eprintln!("{:2}:{:02} {text}", seconds / 60, seconds % 60);
    }
}

//! The machine the figures are of.

use serde::Serialize;

/// What a reader must know of the machine.
#[derive(Clone, Debug, Serialize)]
pub struct Facts {
    /// Kernel release.
    pub kernel: String,
    /// CPU model.
    pub cpu: String,
    /// Cores this process may use.
    pub cores: usize,
    /// Load average over the last minute when the run began: others that ran show in the figures.
    pub load: String,
    /// Whether this program was built with optimisations.
    pub optimised: bool,
}

impl Facts {
    /// Those of this machine, now.
    #[must_use]
    pub fn gather() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        let cpu = read("/proc/cpuinfo")
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
            .map_or("unknown".to_owned(), |(_, model)| model.trim().to_owned());
        Self {
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            cpu,
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            load: read("/proc/loadavg").split(' ').next().unwrap_or_default().to_owned(),
            optimised: !cfg!(debug_assertions),
        }
    }
}

impl std::fmt::Display for Facts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { kernel, cpu, cores, load, .. } = self;
        write!(f, "Linux {kernel}, {cores} cores of {cpu}, load {load} before the run")?;
        if !self.optimised {
            write!(f, "; DEBUG BUILD, speeds mean nothing")?;
        }
        Ok(())
    }
}

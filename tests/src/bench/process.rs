//! Programs that run beside a measurement.

use crate::netns::Namespace;
use crate::sys::process;
use anyhow::{Context as _, Result, bail};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// How often what is waited for is looked at.
pub(crate) const POLL: Duration = Duration::from_millis(10);

/// How long a program may take to end by itself.
const GRACE: Duration = Duration::from_millis(500);

/// A running program. It is ended when dropped, and so are the processes it started.
#[derive(Debug)]
pub(crate) struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `program` in a namespace; what it prints goes to `log`.
    pub(crate) fn start(
        namespace: &Namespace,
        program: impl AsRef<Path>,
        log: PathBuf,
        complete: impl FnOnce(&mut Command),
    ) -> Result<Self> {
        let program = program.as_ref();
        let name = program.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut command = namespace.command(program);
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        complete(&mut command);
        let child = process::spawn(command).with_context(|| format!("cannot start {name}"))?;
        Ok(Self { name, child, log })
    }

    /// Its process id and those of the processes it started and that still run.
    pub(crate) fn pids(&self) -> Vec<u32> {
        let mut pids = vec![self.child.id()];
        let mut next = 0;
        while let Some(pid) = pids.get(next) {
            let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"))
                .unwrap_or_default();
            pids.extend(children.split_whitespace().filter_map(|c| c.parse::<u32>().ok()));
            next += 1;
        }
        pids
    }

    /// Fails when it has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("{} ended, {status}: {}", self.name, self.last_words());
        }
        Ok(())
    }

    /// The last line it printed.
    pub(crate) fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no output").to_owned()
    }

    /// Waits for its end and returns what it printed, unless it takes longer than `timeout`.
    pub(crate) fn output(mut self, timeout: Duration) -> Result<String> {
        let until = crate::now() + timeout;
        while self.child.try_wait()?.is_none() {
            super::check_interrupt()?;
            if crate::now() >= until {
                bail!("{} did not end within {timeout:?}: {}", self.name, self.last_words());
            }
            std::thread::sleep(POLL);
        }
        Ok(std::fs::read_to_string(&self.log)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let pids = self.pids();
        for &pid in &pids {
            // It may have ended by itself meanwhile.
            let _ = process::signal(pid, libc::SIGTERM);
        }
        let until = crate::now() + GRACE;
        while matches!(self.child.try_wait(), Ok(None)) && crate::now() < until {
            std::thread::sleep(POLL);
        }
        for pid in pids.into_iter().skip(1).filter(|pid| descends_from_us(*pid)) {
            let _ = process::signal(pid, libc::SIGKILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether a process that ours had started still lives in a namespace that is not the machine's: a
/// number that another program got meanwhile is not to be killed.
fn descends_from_us(pid: u32) -> bool {
    let of = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net"));
    matches!((of(&pid.to_string()), of("self")), (Ok(its), Ok(ours)) if its != ours)
}

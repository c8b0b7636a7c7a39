//! Network namespaces without a name: an open file is all there is of one, so that it ends with
//! the last process that has it open, and nothing is left behind however a test ends.

use crate::sys::{namespace, process};
use anyhow::{Context as _, Result};
use std::ffi::OsStr;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::Command;
use std::sync::Arc;
use std::thread;

/// A network namespace. Clones name the same one.
#[derive(Clone, Debug)]
pub struct Namespace {
    name: Arc<str>,
    file: Arc<OwnedFd>,
}

impl Namespace {
    /// Makes a namespace; `name` is for messages only. Its loopback is up, IPv6 addresses are
    /// usable at once, reverse paths are not checked, and it forwards nothing.
    ///
    /// # Errors
    /// When this process may not: see [`crate::privilege::enter`].
    pub fn new(name: &str) -> Result<Self> {
        crate::privilege::check()?;
        let file = thread::scope(|s| s.spawn(namespace::unshare_net).join())
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            .context("cannot make a network namespace")?;
        let ns = Self { name: name.into(), file: Arc::new(file) };
        for key in ["all", "default"] {
            ns.sysctl(&format!("net/ipv4/conf/{key}/rp_filter"), "0")?;
            ns.sysctl(&format!("net/ipv6/conf/{key}/disable_ipv6"), "0")?;
            ns.sysctl(&format!("net/ipv6/conf/{key}/accept_dad"), "0")?;
            ns.sysctl(&format!("net/ipv6/conf/{key}/router_solicitations"), "0")?;
        }
        ns.set_forwarding(false)?;
        // The machine's default may be anything; results are to be comparable. Every kernel has reno,
        // not every one lets a namespace choose cubic.
        let algorithms = ["cubic", "reno"];
        if algorithms.iter().all(|a| ns.sysctl("net/ipv4/tcp_congestion_control", a).is_err()) {
            tracing::debug!(namespace = name, "its TCP congestion control is the machine's");
        }
        ns.set_up("lo")?;
        Ok(ns)
    }

    /// The name it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file that names it.
    pub(crate) fn file(&self) -> &OwnedFd {
        &self.file
    }

    /// Runs `f` in the namespace, on a thread of its own, and returns what it returns. Sockets
    /// that `f` opens stay in the namespace wherever they are used.
    ///
    /// # Panics
    /// When `f` does.
    pub fn run<R: Send>(&self, f: impl FnOnce() -> R + Send) -> R {
        thread::scope(|scope| {
            let worker = scope.spawn(|| {
                self.enter();
                f()
            });
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Starts a thread in the namespace.
    ///
    /// # Errors
    /// When the system has no room for another thread.
    pub fn spawn<R: Send + 'static>(
        &self,
        thread_name: &str,
        f: impl FnOnce() -> R + Send + 'static,
    ) -> std::io::Result<thread::JoinHandle<R>> {
        let ns = self.clone();
        thread::Builder::new().name(thread_name.into()).spawn(move || {
            ns.enter();
            f()
        })
    }

    /// A command that will run in the namespace.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        process::start_in(&mut command, Arc::clone(&self.file));
        command
    }

    /// Writes a kernel setting, such as `net/ipv4/ip_forward`.
    ///
    /// # Errors
    /// When there is no such setting, or the kernel refuses the value.
    pub fn sysctl(&self, key: &str, value: &str) -> Result<()> {
        // Which namespace's settings stand in there depends on the thread that looks.
        self.run(|| std::fs::write(format!("/proc/sys/{key}"), value))
            .with_context(|| format!("{}: cannot set {key} to {value}", self.name))
    }

    /// Whether packets for others are forwarded, IPv4 and IPv6.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn set_forwarding(&self, forward: bool) -> Result<()> {
        let value = if forward { "1" } else { "0" };
        self.sysctl("net/ipv4/ip_forward", value)?;
        self.sysctl("net/ipv6/conf/all/forwarding", value)
    }

    /// Moves the calling thread here, for good.
    fn enter(&self) {
        // Cannot fail: the file is open and was made by this process, which still has the rights.
        namespace::enter_net(self.file.as_fd())
            .unwrap_or_else(|e| panic!("cannot enter namespace {}: {e}", self.name));
    }
}

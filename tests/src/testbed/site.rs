//! A router and the host behind it.

use super::daemon::Daemon;
use super::{lan_v4, lan_v6, tunnel_v4, tunnel_v6};
use crate::netlink::{Offloads, VethEnd, add_veth};
use crate::netns::Namespace;
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A router with its LAN host. Its daemon is started by [`Site::start`].
#[derive(Debug)]
pub struct Site {
    name: String,
    index: usize,
    router: Namespace,
    host: Namespace,
    directory: PathBuf,
    program: PathBuf,
    daemon: Option<Daemon>,
}

impl Site {
    /// Name of the tunnel and its interface on every router.
    pub const TUNNEL: &str = "mpt0";

    /// Makes the namespaces and the LAN between them.
    pub(super) fn new(name: &str, index: usize, directory: &Path, program: &Path) -> Result<Self> {
        let directory = directory.join(name);
        std::fs::create_dir(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let router = Namespace::new(&format!("router-{name}"))?;
        let host = Namespace::new(&format!("host-{name}"))?;
        add_veth(
            VethEnd { namespace: &router, interface: "lan0" },
            VethEnd { namespace: &host, interface: "eth0" },
            1500,
            Offloads::On,
        )?;
        for (namespace, interface, end) in [(&router, "lan0", 1), (&host, "eth0", 2)] {
            namespace.add_address(interface, lan_v4(index, end), 24)?;
            namespace.add_address(interface, lan_v6(index, end.into()), 64)?;
        }
        host.add_default_route(lan_v4(index, 1))?;
        host.add_default_route(lan_v6(index, 1))?;
        router.set_forwarding(true)?;
        let (name, program) = (name.to_owned(), program.to_owned());
        Ok(Self { name, index, router, host, directory, program, daemon: None })
    }

    /// Its name, by which peers know it.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The router, where the daemon runs.
    #[must_use]
    pub fn router(&self) -> &Namespace {
        &self.router
    }

    /// The host behind the router.
    #[must_use]
    pub fn host(&self) -> &Namespace {
        &self.host
    }

    /// The host's IPv4 address.
    #[must_use]
    pub fn host_v4(&self) -> IpAddr {
        lan_v4(self.index, 2)
    }

    /// The host's IPv6 address.
    #[must_use]
    pub fn host_v6(&self) -> IpAddr {
        lan_v6(self.index, 2)
    }

    /// A UDP destination on the host, IPv4.
    #[must_use]
    pub fn host_port(&self, port: u16) -> SocketAddr {
        (self.host_v4(), port).into()
    }

    /// The router's IPv4 address in the tunnel.
    #[must_use]
    pub fn tunnel_v4(&self) -> IpAddr {
        tunnel_v4(self.index)
    }

    /// The router's IPv6 address in the tunnel.
    #[must_use]
    pub fn tunnel_v6(&self) -> IpAddr {
        tunnel_v6(self.index)
    }

    /// The daemon's configuration file.
    #[must_use]
    pub fn configuration_file(&self) -> PathBuf {
        self.directory.join("mpt0.yaml")
    }

    /// The private key's file.
    #[must_use]
    pub fn key_file(&self) -> PathBuf {
        self.directory.join("mpt0.key")
    }

    /// The directory of the control socket.
    #[must_use]
    pub fn run_directory(&self) -> PathBuf {
        self.directory.clone()
    }

    /// The configuration as it was last written.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn configuration(&self) -> Result<Value> {
        let text = std::fs::read_to_string(self.configuration_file())?;
        Ok(serde_yaml::from_str(&text)?)
    }

    /// Writes the configuration that the next start uses.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write_configuration(&self, document: &Value) -> Result<()> {
        let path = self.configuration_file();
        std::fs::write(&path, serde_yaml::to_string(document)?)
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// A command on the router that is `mpt-tund` with these arguments, to be completed and run.
    #[must_use]
    pub fn tund(&self, arguments: &[&str]) -> Command {
        self.own_command("internal-tund", arguments)
    }

    /// A command on the router that is `mpt-cli` with these arguments, to be completed and run.
    #[must_use]
    pub fn cli(&self, arguments: &[&str]) -> Command {
        self.own_command("internal-cli", arguments)
    }

    fn own_command(&self, which: &str, arguments: &[&str]) -> Command {
        let mut command = self.router.command(&self.program);
        command.arg(which).args(arguments).env("MPT_RUN_DIR", self.run_directory());
        command
    }

    /// Starts the daemon; [`Daemon::wait_up`] waits until it is of use.
    ///
    /// # Errors
    /// When it runs already, or cannot be started.
    pub fn start(&mut self) -> Result<()> {
        ensure!(!self.is_running(), "the daemon of {} runs already", self.name);
        let file = self.configuration_file();
        let mut command = self.tund(&["up"]);
        command.arg(file);
        let socket = self.run_directory().join(format!("{}.sock", Self::TUNNEL));
        let log = self.directory.join("log");
        self.daemon = Some(Daemon::start(&self.name, command, socket, log)?);
        Ok(())
    }

    /// Whether the daemon was started and not ended by us.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.daemon.is_some()
    }

    /// The running daemon.
    ///
    /// # Errors
    /// When it was not started.
    pub fn daemon(&mut self) -> Result<&mut Daemon> {
        self.daemon.as_mut().with_context(|| format!("the daemon of {} is not started", self.name))
    }

    /// Ends the daemon by SIGTERM and tells how it ended.
    ///
    /// # Errors
    /// When it is not started, or does not end within five seconds.
    pub fn stop(&mut self) -> Result<std::process::ExitStatus> {
        let daemon = self.daemon.take();
        daemon.with_context(|| format!("the daemon of {} is not started", self.name))?.stop()
    }

    /// Kills the daemon, which cannot clean up then.
    ///
    /// # Errors
    /// When it is not started.
    pub fn kill(&mut self) -> Result<()> {
        // Dropping it kills it.
        self.daemon.take().map(drop).with_context(|| format!("no daemon of {}", self.name))
    }

    /// Ends the daemon by SIGTERM and starts it again.
    ///
    /// # Errors
    /// As with [`Site::stop`] and [`Site::start`].
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.start()
    }
}

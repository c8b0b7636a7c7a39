//! A tunnel that is up.

use super::Tunnel;
use crate::bench::pass::Pass;
use crate::bench::process::{POLL, Process};
use crate::bench::topology::{Topology, inner};
use crate::bench::workloads::ping;
use crate::netns::Namespace;
use crate::sys::{cpu, packet};
use anyhow::{Context as _, Result, bail};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

/// How long a tunnel may take to carry its first datagram.
const UP_WITHIN: Duration = Duration::from_secs(12);

/// What a tunnel's start hands over.
pub(crate) struct Parts {
    /// Its interface at both ends.
    pub(crate) interface: String,
    /// Its programs at both ends, none of those in the kernel.
    pub(crate) daemons: Vec<Process>,
    /// The inner address of each end; veth has its own.
    pub(crate) addresses: [Ipv4Addr; 2],
}

impl Parts {
    /// Those of a tunnel whose interface has the usual addresses.
    pub(crate) fn new(interface: &str, daemons: Vec<Process>) -> Self {
        Self { interface: interface.to_owned(), daemons, addresses: [inner(0), inner(1)] }
    }
}

/// A tunnel that carries datagrams. Dropped, its programs end and its namespaces vanish.
pub(crate) struct Running {
    pub(crate) tunnel: Tunnel,
    parts: Parts,
    iperf: Process,
    pub(crate) topology: Topology,
}

impl Running {
    /// Begins to bring `tunnel` up.
    pub(crate) fn start(tunnel: &Tunnel, pass: Pass) -> Result<Self> {
        let topology = Topology::new(pass, tunnel.cables)?;
        let parts = tunnel.parts(&topology)?;
        let iperf =
            Process::start(&topology.b, "iperf3", topology.file("iperf3-server.log"), |c| {
                c.args(["-s", "-J", "-i", "0.1"]);
            })?;
        Ok(Self { tunnel: tunnel.clone(), parts, iperf, topology })
    }

    /// Waits until a datagram comes back.
    pub(crate) fn wait_up(&mut self) -> Result<()> {
        let until = crate::now() + UP_WITHIN;
        loop {
            crate::bench::check_interrupt()?;
            self.check()?;
            // Its address may still be missing.
            if let Ok(true) = ping::answered(self) {
                return Ok(());
            }
            if crate::now() >= until {
                let words = self.parts.daemons.first().map_or(String::new(), Process::last_words);
                bail!("nothing passed within {UP_WITHIN:?}; {words}");
            }
            std::thread::sleep(POLL);
        }
    }

    /// Fails when one of its programs has ended.
    pub(crate) fn check(&mut self) -> Result<()> {
        self.parts.daemons.iter_mut().try_for_each(Process::check)?;
        self.iperf.check()
    }

    /// The far end's inner address with a port.
    pub(crate) fn remote(&self, port: u16) -> SocketAddr {
        (self.parts.addresses[1], port).into()
    }

    /// The near end's inner address.
    pub(crate) fn local(&self) -> Ipv4Addr {
        self.parts.addresses[0]
    }

    /// The interface's MTU as it is now.
    pub(crate) fn mtu(&self) -> Result<u32> {
        let interface = &self.parts.interface;
        self.topology
            .a
            .run(|| packet::interface_mtu(interface))
            .with_context(|| format!("no MTU of {interface}"))
    }

    /// CPU time of all its programs so far; `None`: it is in the kernel.
    pub(crate) fn cpu(&self) -> Result<Option<Duration>> {
        if self.parts.daemons.is_empty() {
            return Ok(None);
        }
        let pids = self.parts.daemons.iter().flat_map(Process::pids);
        Ok(Some(pids.map(cpu::process_time).sum::<std::io::Result<_>>()?))
    }

    /// Resident bytes of its larger program; `None`: it is in the kernel.
    pub(crate) fn resident(&self) -> Option<u64> {
        let sizes = self.parts.daemons.iter().flat_map(Process::pids).filter_map(|pid| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
        });
        sizes.max()
    }
}

/// Waits until both ends have `interface`, which `daemons` make.
pub(super) fn wait_interface(
    topology: &Topology,
    interface: &str,
    daemons: &mut [Process],
) -> Result<()> {
    topology.ends().into_iter().try_for_each(|ns| wait_for(ns, interface, daemons))
}

/// Waits until a namespace has `interface`, which one of `daemons` makes.
pub(super) fn wait_for(
    namespace: &Namespace,
    interface: &str,
    daemons: &mut [Process],
) -> Result<()> {
    let until = crate::now() + UP_WITHIN;
    while !namespace.has_interface(interface) {
        crate::bench::check_interrupt()?;
        daemons.iter_mut().try_for_each(Process::check)?;
        if crate::now() >= until {
            let words = daemons.first().map_or(String::new(), Process::last_words);
            bail!("no interface within {UP_WITHIN:?}; {words}");
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

//! Two namespaces and the cables between them.

use super::pass::Pass;
use crate::netlink::{Offloads, VethEnd, add_veth};
use crate::netns::Namespace;
use crate::sys::ethtool;
use anyhow::{Context as _, Result, ensure};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// MTU of the cables, bytes of an IP packet.
pub(crate) const MTU: u32 = 1500;

/// Up to 32 MB, so that windows do not bound what is measured.
pub(crate) const TCP_BUFFERS: [(&str, &str); 2] =
    [("net/ipv4/tcp_rmem", "4096 131072 33554432"), ("net/ipv4/tcp_wmem", "4096 65536 33554432")];

/// Where a tunnel is measured: its daemons and what loads them live in `a` and `b`.
#[derive(Debug)]
pub(crate) struct Topology {
    pub(crate) a: Namespace,
    pub(crate) b: Namespace,
    directory: TempDir,
}

impl Topology {
    /// Two namespaces joined by so many veth pairs, `wan1` and on at both ends.
    pub(crate) fn new(pass: Pass, cables: usize) -> Result<Self> {
        let directory = tempfile::Builder::new().prefix("mpt-bench-").tempdir()?;
        let topology = Self { a: Namespace::new("a")?, b: Namespace::new("b")?, directory };
        for namespace in topology.ends() {
            TCP_BUFFERS.iter().try_for_each(|(key, value)| namespace.sysctl(key, value))?;
        }
        for number in 1..=cables {
            let interface = cable(number);
            let [a, b] = [&topology.a, &topology.b]
                .map(|namespace| VethEnd { namespace, interface: &interface });
            add_veth(a, b, MTU, Offloads::On)?;
            for (end, namespace) in topology.ends().into_iter().enumerate() {
                if pass != Pass::Veth {
                    namespace
                        .run(|| ethtool::disable_transmit_offloads(&interface))
                        .with_context(|| format!("cannot turn off offloads of {interface}"))?;
                }
                if pass == Pass::Gro {
                    namespace
                        .run(|| ethtool::enable_gro(&interface))
                        .with_context(|| format!("cannot turn on GRO of {interface}"))?;
                }
                namespace.add_address(&interface, outer(number, end).into(), 24)?;
            }
        }
        Ok(topology)
    }

    /// Both namespaces.
    pub(crate) fn ends(&self) -> [&Namespace; 2] {
        [&self.a, &self.b]
    }

    /// Where files of this tunnel go.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Gives both ends' `interface` its inner address and an MTU, and brings it up.
    pub(crate) fn address(&self, interface: &str, mtu: u32) -> Result<()> {
        for (end, namespace) in self.ends().into_iter().enumerate() {
            namespace.set_mtu(interface, mtu)?;
            namespace.add_address(interface, inner(end).into(), 24)?;
            namespace.set_up(interface)?;
        }
        Ok(())
    }

    /// Runs a short command in the namespace of `end` and returns what it prints.
    pub(crate) fn run(&self, end: usize, program: &str, arguments: &[&str]) -> Result<String> {
        run(self.ends()[end].command(program), program, arguments)
    }
}

/// Runs a short command to its end.
pub(crate) fn run(mut command: Command, program: &str, arguments: &[&str]) -> Result<String> {
    let output = command
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {program}"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let last = errors.lines().last().unwrap_or_default();
    ensure!(output.status.success(), "{program} {}: {last}", arguments.join(" "));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The name of a cable's ends.
pub(crate) fn cable(number: usize) -> String {
    format!("wan{number}")
}

/// The address of an end (0 or 1) of cable `number`, from 1.
pub(crate) fn outer(number: usize, end: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, number as u8, 0, 1 + end as u8)
}

/// The address of an end in the tunnel.
pub(crate) fn inner(end: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, 1 + end as u8)
}

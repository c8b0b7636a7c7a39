//! The tunnels that are measured, and how each is brought up.
//!
//! Each has a file; its `start` brings both ends up over a [`Topology`] and leaves the inner
//! addresses to the tunnel's interface. [`Running::start`] then waits until datagrams pass.

mod fastd;
mod mpt;
mod openvpn;
mod running;
mod tinc;
mod veth;
mod vtun;
mod vxlan;
mod wireguard;

pub(crate) use running::{Parts, Running};

use super::options::BenchOptions;
use super::topology::Topology;
use super::workloads::Workload;
use anyhow::Result;

/// What a tunnel is to mpt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// mpt itself.
    Own,
    /// In the kernel.
    Kernel,
    /// Another program.
    Peer,
}

/// A tunnel that can be measured.
#[derive(Clone, Debug)]
pub(crate) struct Tunnel {
    pub(crate) name: &'static str,
    pub(crate) role: Role,
    /// Whether it leaves packets in the clear: only those compare with `mpt-plain`.
    pub(crate) plain: bool,
    pub(crate) cables: usize,
    pub(crate) workloads: &'static [Workload],
    start: Start,
}

/// How a tunnel is brought up.
#[derive(Clone, Debug)]
enum Start {
    Simple(fn(&Topology) -> Result<Parts>),
    Mpt(mpt::Settings),
    Wireguard(std::path::PathBuf),
}

impl Tunnel {
    /// Brings it up; `directory` and namespaces are the topology's.
    fn parts(&self, topology: &Topology) -> Result<Parts> {
        match &self.start {
            Start::Simple(start) => start(topology),
            Start::Mpt(settings) => mpt::start(topology, *settings, self.cables),
            Start::Wireguard(program) => wireguard::start(topology, program),
        }
    }
}

/// All tunnels that `options` ask for.
pub(crate) fn catalogue(options: &BenchOptions) -> Vec<Tunnel> {
    use Role::{Kernel, Own, Peer};
    use Workload::{CpuUdp, Gso, Ping, Tcp1, Tcp4, Udp1200};
    let all = Workload::ALL;
    let mpt = |cipher, workers| Start::Mpt(mpt::Settings { cipher, workers, repair: true });
    let without_repair =
        |cipher| Start::Mpt(mpt::Settings { cipher, workers: None, repair: false });
    let tunnel = |name, role, plain, cables, workloads: &'static [Workload], start| Tunnel {
        name,
        role,
        plain,
        cables,
        workloads,
        start,
    };
    let mut tunnels = vec![
        tunnel(
            "veth",
            Kernel,
            true,
            1,
            &[Tcp1, Tcp4, Gso, Udp1200, Ping],
            Start::Simple(veth::start),
        ),
        tunnel("vxlan", Kernel, true, 1, all, Start::Simple(vxlan::start)),
        tunnel("mpt-plain", Own, true, 1, all, mpt("none", None)),
        tunnel("mpt-aes", Own, false, 1, all, mpt("aes-256-gcm", None)),
        tunnel(
            "mpt-chacha",
            Own,
            false,
            1,
            &[Tcp1, Gso, Udp1200, CpuUdp],
            mpt("chacha20-poly1305", None),
        ),
        tunnel("mpt-plain-2paths", Own, true, 2, &[Tcp1, Tcp4, Gso, Udp1200], mpt("none", None)),
        tunnel(
            "mpt-aes-2paths",
            Own,
            false,
            2,
            &[Tcp1, Tcp4, Gso, Udp1200],
            mpt("aes-256-gcm", None),
        ),
        tunnel(
            "mpt-plain-norepair",
            Own,
            true,
            1,
            &[Tcp1, Gso, Udp1200, CpuUdp],
            without_repair("none"),
        ),
        tunnel(
            "mpt-aes-norepair",
            Own,
            false,
            1,
            &[Tcp1, Gso, Udp1200, CpuUdp],
            without_repair("aes-256-gcm"),
        ),
        tunnel("mpt-plain-1worker", Own, true, 1, &[Tcp4, Gso, Udp1200], mpt("none", Some(1))),
        tunnel("mpt-plain-2workers", Own, true, 1, &[Tcp4, Gso, Udp1200], mpt("none", Some(2))),
    ];
    if options.peers {
        let wireguard = Start::Wireguard(options.wireguard_go.clone());
        tunnels.extend([
            tunnel("wireguard-go", Peer, false, 1, all, wireguard),
            tunnel("openvpn", Peer, true, 1, all, Start::Simple(openvpn::start)),
            tunnel("fastd", Peer, true, 1, all, Start::Simple(fastd::start)),
            tunnel("vtun", Peer, true, 1, all, Start::Simple(vtun::start)),
            tunnel("tinc", Peer, true, 1, all, Start::Simple(tinc::start)),
        ]);
    }
    tunnels.retain(|tunnel| options.only.matches(tunnel.name));
    tunnels
}

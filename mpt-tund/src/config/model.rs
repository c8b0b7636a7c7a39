//! A configuration that was found to be right.

use mpt_core::config::{
    CipherChoice, Dscp, MssClamp, Prefix, ProbeIntervals, RepairConfig, SchedulerKind,
};
use mpt_core::keys::{PresharedKey, PrivateKey, PublicKey};
use mpt_core::policy::{PolicyConfig, Protocol};
use mpt_core::{RateLimit, Weight};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

/// All that a daemon needs to know.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it was read from.
    pub file: PathBuf,
    /// The TUN device.
    pub interface: Interface,
    /// Our static key.
    pub private_key: PrivateKey,
    /// Where to listen, if anywhere.
    pub listen: Option<Listen>,
    /// Protection of inner packets.
    pub cipher: CipherChoice,
    /// How packets are spread over paths.
    pub scheduler: SchedulerKind,
    /// No packet waits longer than this for an earlier one.
    pub max_hold: Duration,
    /// Packets that wait for earlier ones take this many bytes of a peer at most; `None`: by the machine's memory.
    pub hold_memory: Option<usize>,
    /// Repair of losses.
    pub repair: RepairConfig,
    /// Number of workers.
    pub workers: Workers,
    /// Packets that come close together are waited for so long, to be handled together; zero: never.
    pub coalesce: Duration,
    /// Offloads of the TUN device, and of paths that say nothing else.
    pub offloads: Offloads,
    /// Probe intervals.
    pub probe: ProbeIntervals,
    /// The peers.
    pub peers: Vec<Peer>,
    /// What is led into the tunnel by policy routing.
    pub routes: Vec<Route>,
    /// What is done with which packets.
    pub policies: PolicyConfig,
}

impl Config {
    /// What the control socket, and messages, call this tunnel.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.interface.name
    }
}

/// The TUN device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name, 1 to 15 bytes.
    pub name: String,
    /// Its addresses, at least one.
    pub addresses: Vec<InterfaceAddress>,
    /// Its MTU.
    pub mtu: Mtu,
    /// What happens to the MSS of TCP connections that pass.
    pub mss_clamp: MssClamp,
}

impl Interface {
    /// The network of the device that `address` is in, if it is in one.
    #[must_use]
    pub fn network_of(&self, address: IpAddr) -> Option<Prefix> {
        let networks = self.addresses.iter().filter_map(|a| Prefix::new(a.address, a.length));
        networks.into_iter().find(|network| network.contains(address.to_canonical()))
    }
}

/// An address of the TUN device, with the length of its network's prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// The address.
    pub address: IpAddr,
    /// Leading bits that it shares with its network.
    pub length: u8,
}

impl InterfaceAddress {
    /// How many bits the address has.
    #[must_use]
    pub const fn bits(&self) -> u8 {
        if self.address.is_ipv4() { 32 } else { 128 }
    }
}

impl fmt::Display for InterfaceAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// MTU of the TUN device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Mtu {
    /// It follows the least of the paths.
    #[default]
    Auto,
    /// This many bytes, at least 1280.
    Fixed(u16),
}

impl Mtu {
    /// The fixed number of bytes, if there is one.
    #[must_use]
    pub const fn fixed(self) -> Option<u16> {
        match self {
            Self::Auto => None,
            Self::Fixed(bytes) => Some(bytes),
        }
    }
}

/// Where the daemon listens; path sockets send from that port, too.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen {
    /// The port.
    pub port: u16,
    /// The addresses; empty means all, v4 and v6.
    pub addresses: Vec<IpAddr>,
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.addresses.is_empty() {
            return write!(f, "port {} of every address", self.port);
        }
        for (i, address) in self.addresses.iter().enumerate() {
            let comma = if i > 0 { ", " } else { "" };
            write!(f, "{comma}{}", SocketAddr::new(*address, self.port))?;
        }
        Ok(())
    }
}

/// How many workers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Workers {
    /// As many as the machine is good for.
    #[default]
    Auto,
    /// This many, 1 to 16.
    Fixed(u8),
}

/// A peer.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Its name, unique.
    pub name: String,
    /// Its static key, unique and not ours.
    pub public_key: PublicKey,
    /// The key shared with it, all zero when there is none.
    pub preshared_key: PresharedKey,
    /// What it may send and is sent; no other peer has the same prefix.
    pub allowed_ips: Vec<Prefix>,
    /// The paths to it; none on a hub that only answers.
    pub paths: Vec<Path>,
}

/// A path.
#[derive(Clone, Debug, PartialEq)]
pub struct Path {
    /// Its name, unique within the peer.
    pub name: String,
    /// The interface its socket is bound to.
    pub interface: Option<String>,
    /// The address its socket is bound to.
    pub local: Option<IpAddr>,
    /// The port its socket is bound to; without it, that of `listen`, or any.
    pub local_port: Option<u16>,
    /// The far end. `None`: it is learned from what comes (only with `listen`).
    pub remote: Option<Remote>,
    /// Next hop to it; without it, the interface's own default route.
    pub gateway: Option<IpAddr>,
    /// Its share with `weighted` and `flow`. `None`: the peer's wish counts.
    pub weight: Option<Weight>,
    /// Its rank with `failover`, lower first.
    pub priority: u16,
    /// DSCP of outer packets.
    pub dscp: Dscp,
    /// Most that is sent. `None`: the peer's wish counts.
    pub rate_limit: Option<RateLimit>,
    /// Whether it is used at all.
    pub enabled: bool,
    /// Offloads of its socket: its own, else the tunnel's.
    pub offloads: PathOffloads,
}

/// The far end of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remote {
    /// Its host.
    pub host: Host,
    /// Its UDP port.
    pub port: u16,
}

impl fmt::Display for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Address(address) => SocketAddr::new(*address, self.port).fmt(f),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
        }
    }
}

/// A host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Host {
    /// By address.
    Address(IpAddr),
    /// By name, to be resolved, and again when the path fails.
    Name(String),
}

/// Which offloads a tunnel may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Offloads {
    /// TCP super-packets from and to the TUN device.
    pub tso: Offload,
    /// UDP super-packets from and to the TUN device.
    pub uso: Offload,
    /// Those of the paths' sockets.
    pub paths: PathOffloads,
}

/// Which offloads a path may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct PathOffloads {
    /// Many datagrams leave as one super-packet.
    pub gso: Offload,
    /// Many datagrams come as one super-packet.
    pub gro: Offload,
}

/// Whether an offload may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Offload {
    /// Where the kernel has it.
    #[default]
    Auto,
    /// Never.
    Off,
}

impl Offload {
    /// Whether it is to be tried.
    #[must_use]
    pub const fn wanted(self) -> bool {
        matches!(self, Self::Auto)
    }
}

/// What is led into the tunnel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// Destinations.
    pub to: Prefix,
    /// Only these protocols; empty means all.
    pub protocols: Vec<Protocol>,
    /// What happens while no path is up.
    pub when_down: WhenDown,
}

/// What happens to a route while no path is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum WhenDown {
    /// It stays; packets are dropped.
    #[default]
    Keep,
    /// It is taken away; packets go where they went without the tunnel.
    Bypass,
}

//! What an endpoint is told at the start: already validated, names resolved by the daemon.

use crate::keys::{PresharedKey, PrivateKey, PublicKey};
use crate::policy::{BadPolicy, PolicyConfig};
use crate::{RateLimit, SocketId, Weight};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

/// Protection of the inner packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CipherChoice {
    /// What both CPUs do best.
    #[default]
    Auto,
    /// AES-256-GCM.
    #[serde(rename = "aes-256-gcm")]
    Aes256Gcm,
    /// ChaCha20-Poly1305.
    #[serde(rename = "chacha20-poly1305")]
    ChaCha20Poly1305,
    /// Inner packets stay plain; a keyed MAC keeps strangers out. Both ends must say so.
    None,
}

impl fmt::Display for CipherChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::Aes256Gcm => "aes-256-gcm",
            Self::ChaCha20Poly1305 => "chacha20-poly1305",
            Self::None => "none",
        })
    }
}

/// How packets are spread over the paths.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SchedulerKind {
    /// Deficit round robin in bytes, by weight.
    #[default]
    Weighted,
    /// The usable path of the lowest priority number.
    Failover,
    /// Each flow stays on one path, chosen by a weighted hash.
    Flow,
    /// Each packet on the two paths that answer soonest.
    Duplicate,
    /// By what is measured of the paths; weights are a bias.
    Adaptive,
    /// `weighted` where a path of the peer has a weight, here or by the peer's wish; else `adaptive`.
    Auto,
}

impl fmt::Display for SchedulerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Weighted => "weighted",
            Self::Failover => "failover",
            Self::Flow => "flow",
            Self::Duplicate => "duplicate",
            Self::Adaptive => "adaptive",
            Self::Auto => "auto",
        })
    }
}

/// What to do with the DSCP field of outer packets.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dscp {
    /// This value, 0 to 63, on every outer packet.
    Fixed(u8),
    /// The inner packet's.
    Copy,
}

impl Default for Dscp {
    fn default() -> Self {
        Self::Fixed(0)
    }
}

/// Intervals between probes of a path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProbeIntervals {
    /// While traffic flows.
    pub active: Duration,
    /// When the tunnel is idle, or the path is in reserve.
    pub idle: Duration,
}

impl Default for ProbeIntervals {
    fn default() -> Self {
        Self { active: Duration::from_millis(100), idle: Duration::from_secs(2) }
    }
}

/// An endpoint: one private key, one TUN device, many peers.
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// The static key.
    pub private_key: PrivateKey,
    /// Protection of the inner packets.
    pub cipher: CipherChoice,
    /// Whether this CPU does AES in hardware; decides `auto` together with the peer's.
    pub aes_in_hardware: bool,
    /// How packets are spread.
    pub scheduler: SchedulerKind,
    /// No packet waits longer than this for an earlier one.
    pub max_hold: Duration,
    /// Probe intervals.
    pub probe: ProbeIntervals,
    /// Clamp the MSS of TCP SYNs to the tunnel's MTU.
    pub mss_clamp: MssClamp,
    /// A fixed tunnel MTU; `None` follows the paths.
    pub mtu: Option<u16>,
    /// Caps on memory held for peers.
    pub memory: MemoryLimits,
    /// How many workers there are.
    pub workers: WorkerCount,
    /// What is kept to be sent again.
    pub repair: RepairConfig,
    /// What is done with which packets.
    pub policies: PolicyConfig,
}

/// What is kept to be sent again, of each peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RepairConfig {
    /// Most bytes; 0 switches repair off.
    pub memory: usize,
    /// For how long.
    pub max_age: Duration,
    /// Whether paths that lose packets at random are covered by parity, too.
    pub parity: bool,
    /// Whether small packets go by a second path, too, where theirs is uneven and others fill that one.
    pub copies: bool,
}

impl RepairConfig {
    /// Nothing is kept: what is lost stays lost.
    pub const OFF: Self = Self { memory: 0, max_age: Duration::ZERO, parity: false, copies: false };

    /// Whether this end repairs.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        self.memory > 0
    }
}

impl Default for RepairConfig {
    fn default() -> Self {
        Self { memory: 8 << 20, max_age: Duration::from_secs(1), parity: true, copies: true }
    }
}

/// A number of workers, 1 to 16.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WorkerCount(u8);

impl WorkerCount {
    /// A single one.
    pub const ONE: Self = Self(1);

    /// The number nearest to `count` that there may be.
    #[must_use]
    pub fn nearest(count: usize) -> Self {
        Self(count.clamp(1, 16) as u8)
    }

    /// As a number.
    #[must_use]
    pub const fn get(self) -> u8 {
        self.0
    }
}

/// What to do with the MSS option of TCP SYNs that pass through the tunnel.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MssClamp {
    /// Lower it to what fits the tunnel MTU.
    #[default]
    Auto,
    /// Lower it to this many bytes.
    Fixed(u16),
    /// Leave it.
    Off,
}

/// Caps on memory held for peers, in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemoryLimits {
    /// Held packets of one peer.
    pub held_per_peer: usize,
    /// Held packets of all peers.
    pub held_total: usize,
}

impl MemoryLimits {
    /// The least that is of use: 300 ms of 100 Mbit/s.
    const LEAST: usize = 4 << 20;

    /// Enough for 130 ms of 2 Gbit/s.
    const MOST: usize = 32 << 20;

    /// For so much memory in the machine, in bytes: a peer gets one part in 64, from 4 to 32 MiB.
    #[must_use]
    pub fn for_machine(memory: u64) -> Self {
        let part = usize::try_from(memory / 64).unwrap_or(Self::MOST);
        Self::per_peer(part.clamp(Self::LEAST, Self::MOST))
    }

    /// So many bytes for one peer, and for all together four times as many.
    #[must_use]
    pub const fn per_peer(bytes: usize) -> Self {
        Self { held_per_peer: bytes, held_total: bytes.saturating_mul(4) }
    }
}

impl Default for MemoryLimits {
    fn default() -> Self {
        Self::per_peer(Self::LEAST)
    }
}

/// A prefix of addresses, `10.0.0.0/8`; host bits are zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Prefix {
    /// The network's address.
    pub address: IpAddr,
    /// How many leading bits count.
    pub length: u8,
}

impl Prefix {
    /// The prefix of `address` with `length` bits; host bits are cleared. `None` when `length` is
    /// more than the address has.
    #[must_use]
    pub fn new(address: IpAddr, length: u8) -> Option<Self> {
        let address = match address {
            IpAddr::V4(a) if length <= 32 => {
                let mask = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
                IpAddr::from((u32::from(a) & mask).to_be_bytes())
            }
            IpAddr::V6(a) if length <= 128 => {
                let mask = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
                IpAddr::from((u128::from(a) & mask).to_be_bytes())
            }
            _ => return None,
        };
        Some(Self { address, length })
    }

    /// Whether `ip` lies within.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        ip.is_ipv4() == self.address.is_ipv4()
            && Self::new(ip, self.length).is_some_and(|p| p.address == self.address)
    }
}

impl FromStr for Prefix {
    type Err = BadPolicy;
    /// `10.0.0.0/8`, or an address alone. Host bits are an error, since it is not clear what was meant.
    fn from_str(text: &str) -> Result<Self, BadPolicy> {
        let bad = |why: String| {
            BadPolicy(format!("expected a prefix such as 10.0.0.0/8; found `{text}`{why}"))
        };
        let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
        let parsed = address.parse::<IpAddr>();
        let address = parsed.map_err(|_| bad(format!(" (`{address}` is no address)")))?;
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let length = length.map_or(Ok(bits), str::parse).ok();
        let prefix = length.and_then(|length| Self::new(address, length));
        match prefix.ok_or_else(|| bad(format!(" (the length is 0 to {bits})")))? {
            prefix if prefix.address == address => Ok(prefix),
            prefix => Err(bad(format!(
                "; write {prefix} for the network, or {address}/{bits} for the one host"
            ))),
        }
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// A peer.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    /// As it stands in the configuration; unique.
    pub name: String,
    /// Its static key.
    pub public_key: PublicKey,
    /// The pre-shared key, all zero when there is none.
    pub preshared_key: PresharedKey,
    /// What the peer may send, and is sent.
    pub allowed_ips: Vec<Prefix>,
    /// Our paths to it; empty on a hub that only answers. At most 16.
    pub paths: Vec<PathConfig>,
}

/// A path as it is configured here.
#[derive(Clone, Debug)]
pub struct PathConfig {
    /// Unique within the peer.
    pub name: String,
    /// Share with `weighted` and `flow`. `None`: not configured here, the peer's wish counts.
    pub weight: Option<Weight>,
    /// Rank with `failover`, lower first.
    pub priority: u16,
    /// DSCP of outer packets.
    pub dscp: Dscp,
    /// Taken out of use by configuration.
    pub disabled: bool,
    /// Most that is sent. `None`: not configured here, the peer's wish counts.
    pub rate_limit: Option<RateLimit>,
}

/// Where a path starts on this machine; the daemon's word on sockets and interfaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LocalEnd {
    /// The path's socket is open and its interface usable.
    Ready {
        /// The socket to send from.
        socket: SocketId,
        /// For the status: the interface's name, if the path is bound to one.
        interface: Option<String>,
        /// For the status: the local address.
        address: Option<SocketAddr>,
        /// MTU of the interface: the upper end of the path-MTU search, outer IP packet.
        mtu: u16,
    },
    /// Wherever the peer calls: the sockets on which we listen, and the address that it called.
    Called,
    /// It cannot be used now; the text says why ("interface wan1 does not exist").
    Gone {
        /// One line for the status.
        why: String,
    },
}

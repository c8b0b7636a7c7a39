//! The same, as the protocol core wants it.

use super::model::{Config, Path, Peer};
use mpt_core::config::{EndpointConfig, MemoryLimits, PathConfig, PeerConfig, WorkerCount};

/// What the file cannot know.
#[derive(Clone, Copy, Debug)]
pub struct Machine {
    /// Whether the CPU does AES in hardware.
    pub aes_in_hardware: bool,
    /// For how many workers it is good, or how many are wanted.
    pub workers: WorkerCount,
    /// Bytes of memory.
    pub memory: u64,
}

impl Config {
    /// For the core's endpoint.
    #[must_use]
    pub fn to_endpoint(&self, machine: &Machine) -> EndpointConfig {
        let Machine { aes_in_hardware, workers, memory } = *machine;
        EndpointConfig {
            private_key: self.private_key.clone(),
            cipher: self.cipher,
            aes_in_hardware,
            scheduler: self.scheduler,
            max_hold: self.max_hold,
            probe: self.probe,
            mss_clamp: self.interface.mss_clamp,
            mtu: self.interface.mtu.fixed(),
            memory: match self.hold_memory {
                Some(bytes) => MemoryLimits::per_peer(bytes),
                None => MemoryLimits::for_machine(memory),
            },
            workers,
            repair: self.repair,
            policies: self.policies.clone(),
        }
    }
}

impl From<&Peer> for PeerConfig {
    fn from(peer: &Peer) -> Self {
        Self {
            name: peer.name.clone(),
            public_key: peer.public_key,
            preshared_key: peer.preshared_key.clone(),
            allowed_ips: peer.allowed_ips.clone(),
            paths: peer.paths.iter().map(PathConfig::from).collect(),
        }
    }
}

impl From<&Path> for PathConfig {
    fn from(path: &Path) -> Self {
        Self {
            name: path.name.clone(),
            weight: path.weight,
            priority: path.priority,
            dscp: path.dscp,
            disabled: !path.enabled,
            rate_limit: path.rate_limit,
        }
    }
}

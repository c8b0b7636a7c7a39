//! The same, as the protocol core wants it.

use super::model::{Config, Path, Peer};
use mpt_core::config::{EndpointConfig, MemoryLimits, PathConfig, PeerConfig, WorkerCount};

impl Config {
    /// For the core's endpoint. The daemon adds what the file cannot know: whether the CPU does
    /// AES in hardware, and for how many workers the machine is good.
    #[must_use]
    pub fn to_endpoint(&self, aes_in_hardware: bool, workers: WorkerCount) -> EndpointConfig {
        EndpointConfig {
            private_key: self.private_key.clone(),
            cipher: self.cipher,
            aes_in_hardware,
            scheduler: self.scheduler,
            max_hold: self.max_hold,
            probe: self.probe,
            mss_clamp: self.interface.mss_clamp,
            mtu: self.interface.mtu.fixed(),
            memory: MemoryLimits::default(),
            workers,
            repair: Default::default(),
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
        }
    }
}

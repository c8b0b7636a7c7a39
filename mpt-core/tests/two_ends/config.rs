//! What endpoints of tests are configured with.

use mpt_core::config::{
    CipherChoice, EndpointConfig, MssClamp, PathConfig, PeerConfig, Prefix, WorkerCount,
};
use mpt_core::keys::{PresharedKey, PrivateKey, PublicKey};
use std::time::Duration;

/// An endpoint with all defaults.
pub fn endpoint(
    private_key: PrivateKey,
    cipher: CipherChoice,
    workers: WorkerCount,
) -> EndpointConfig {
    EndpointConfig {
        private_key,
        cipher,
        aes_in_hardware: true,
        scheduler: Default::default(),
        max_hold: Duration::from_millis(500),
        probe: Default::default(),
        mss_clamp: MssClamp::Auto,
        mtu: None,
        workers,
        memory: Default::default(),
        repair: Default::default(),
        policies: Default::default(),
    }
}

/// A peer at this one inner address, with paths of these names.
pub fn peer(public_key: PublicKey, address: [u8; 4], paths: &[&str]) -> PeerConfig {
    let path = |name: &&str| PathConfig {
        name: (*name).to_owned(),
        weight: None,
        priority: 0,
        dscp: Default::default(),
        disabled: false,
        rate_limit: None,
    };
    PeerConfig {
        name: "peer".to_owned(),
        public_key,
        preshared_key: PresharedKey::from_bytes([9; 32]),
        allowed_ips: vec![Prefix::new(address.into(), 32).expect("32 bits")],
        paths: paths.iter().map(path).collect(),
    }
}

//! WireGuard in user space, by wireguard-go.

use super::Parts;
use crate::bench::process::Process;
use crate::bench::topology::{MTU, Topology, inner, outer};
use crate::keys;
use anyhow::Result;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// IP, UDP, its header and tag.
const OVERHEAD: u32 = 20 + 8 + 32;

pub(super) fn start(topology: &Topology, program: &Path) -> Result<Parts> {
    let mut interface = String::new();
    let key_pair = [keys::generate()?, keys::generate()?];
    let mut daemons = Vec::new();
    for (end, namespace) in topology.ends().into_iter().enumerate() {
        let name = unique_name();
        let log = topology.file(&format!("wireguard-{end}.log"));
        daemons.push(Process::start(namespace, program, log, |command| {
            command.args(["-f", &name]).env("WG_PROCESS_FOREGROUND", "1");
        })?);
        super::running::wait_for(namespace, &name, &mut daemons)?;
        let key = topology.file(&format!("wireguard-{end}.key"));
        keys::write(&key, &key_pair[end])?;
        let peer = key_pair[1 - end].public_key().to_string();
        let endpoint = format!("{}:51820", outer(1, 1 - end));
        #[rustfmt::skip]
        let arguments = [
            "set", &name, "listen-port", "51820", "private-key", &key.to_string_lossy(),
            "peer", &peer, "endpoint", &endpoint, "allowed-ips", &format!("{}/32", inner(1 - end)),
        ];
        retry(|| topology.run(end, "wg", &arguments))?;
        namespace.set_mtu(&name, MTU - OVERHEAD)?;
        namespace.add_address(&name, inner(end).into(), 24)?;
        namespace.set_up(&name)?;
        if end == 0 {
            interface = name;
        }
    }
    Ok(Parts::new(&interface, daemons))
}

/// A name that nothing on this machine has: the control socket is called after it, in a directory
/// that all namespaces share.
fn unique_name() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("wg{}n{}", std::process::id() % 10_000_000, NEXT.fetch_add(1, Ordering::Relaxed) % 1000)
}

/// Tries for a second: the control socket appears a moment after the interface.
fn retry<T>(mut attempt: impl FnMut() -> Result<T>) -> Result<T> {
    for _ in 0..20 {
        if let Ok(done) = attempt() {
            return Ok(done);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    attempt()
}

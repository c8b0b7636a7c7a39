//! fastd with its method `null`: in the clear, keys for the handshake only.

use super::Parts;
use crate::bench::process::Process;
use crate::bench::topology::{MTU, Topology, outer, run};
use anyhow::{Context as _, Result};
use std::process::Command;

const INTERFACE: &str = "fastd0";

/// IP, UDP, and one byte of its own.
const OVERHEAD: u32 = 20 + 8 + 1;

pub(super) fn start(topology: &Topology) -> Result<Parts> {
    let keys = [key_pair()?, key_pair()?];
    let mut daemons = Vec::new();
    for (end, namespace) in topology.ends().into_iter().enumerate() {
        let file = topology.file(&format!("fastd-{end}.conf"));
        let text = format!(
            r#"log level info; mode tun; interface "{INTERFACE}"; method "null"; mtu {};
bind {}:10000; secret "{}"; peer "peer" {{ key "{}"; remote {}:10000; }}
"#,
            MTU - OVERHEAD,
            outer(1, end),
            keys[end].0,
            keys[1 - end].1,
            outer(1, 1 - end),
        );
        std::fs::write(&file, text)?;
        let log = topology.file(&format!("fastd-{end}.log"));
        daemons.push(Process::start(namespace, "fastd", log, |command| {
            command.arg("--config").arg(file);
        })?);
    }
    super::running::wait_interface(topology, INTERFACE, &mut daemons)?;
    topology.address(INTERFACE, MTU - OVERHEAD)?;
    Ok(Parts::new(INTERFACE, daemons))
}

/// A secret and its public key.
fn key_pair() -> Result<(String, String)> {
    let text = run(Command::new("fastd"), "fastd", &["--generate-key"])?;
    let find = |name: &str| {
        text.lines()
            .find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
            .with_context(|| format!("fastd --generate-key printed no {name}"))
    };
    Ok((find("Secret:")?, find("Public:")?))
}

//! tinc 1.0 with its legacy protocol's ciphers off.

use super::Parts;
use crate::bench::process::Process;
use crate::bench::topology::{MTU, Topology, inner, outer, run};
use anyhow::Result;
use std::process::Command;

const INTERFACE: &str = "tinc0";

/// IP, UDP, a sequence number, and an Ethernet header it leaves room for.
const OVERHEAD: u32 = 20 + 8 + 4 + 14;

const NAMES: [&str; 2] = ["near", "far"];

pub(super) fn start(topology: &Topology) -> Result<Parts> {
    let directories = NAMES.map(|name| topology.file(name));
    for (end, directory) in directories.iter().enumerate() {
        std::fs::create_dir_all(directory.join("hosts"))?;
        let text = format!(
            "Name = {}\nDevice = /dev/net/tun\nDeviceType = tun\nInterface = {INTERFACE}\nMode = router\n\
             DirectOnly = yes\nConnectTo = {}\nBindToAddress = {}\nUDPRcvBuf = 4194304\n\
             UDPSndBuf = 4194304\nReplayWindow = 0\n",
            NAMES[end],
            NAMES[1 - end],
            outer(1, end),
        );
        std::fs::write(directory.join("tinc.conf"), text)?;
        let host = format!(
            "Address = {}\nSubnet = {}/32\nCipher = none\nDigest = none\nMACLength = 0\nCompression = 0\n",
            outer(1, end),
            inner(end),
        );
        std::fs::write(directory.join("hosts").join(NAMES[end]), host)?;
        let path = directory.to_string_lossy();
        // Adds the public key to the host's file.
        run(Command::new("tincd"), "tincd", &["-c", &path, "-K1024"])?;
    }
    let mut daemons = Vec::new();
    for (end, namespace) in topology.ends().into_iter().enumerate() {
        let other = NAMES[1 - end];
        std::fs::copy(
            directories[1 - end].join("hosts").join(other),
            directories[end].join("hosts").join(other),
        )?;
        let log = topology.file(&format!("tinc-{end}.log"));
        let pid_file = topology.file(&format!("tinc-{end}.pid"));
        daemons.push(Process::start(namespace, "tincd", log, |command| {
            command.arg("-c").arg(&directories[end]).args(["-D", "-d2"]);
            command.arg(format!("--pidfile={}", pid_file.display()));
        })?);
    }
    super::running::wait_interface(topology, INTERFACE, &mut daemons)?;
    topology.address(INTERFACE, MTU - OVERHEAD)?;
    Ok(Parts::new(INTERFACE, daemons))
}

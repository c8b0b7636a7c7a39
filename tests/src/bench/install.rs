//! The other programs, from Debian.

use super::topology::run;
use anyhow::{Context as _, Result};
use std::process::Command;

/// Each program with the package it is in.
const PROGRAMS: [(&str, &str); 8] = [
    ("wireguard-go", "wireguard-go"),
    ("wg", "wireguard-tools"),
    ("openvpn", "openvpn"),
    ("fastd", "fastd"),
    ("vtund", "vtun"),
    ("tincd", "tinc"),
    ("iperf3", "iperf3"),
    ("ip", "iproute2"),
];

/// Installs what is missing of them.
pub(crate) fn missing() -> Result<()> {
    let packages: Vec<&str> = PROGRAMS
        .iter()
        .filter(|(program, _)| !exists(program))
        .map(|&(_, package)| package)
        .collect();
    if packages.is_empty() {
        return Ok(());
    }
    eprintln!("installing {}", packages.join(", "));
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        run(command, "apt-get", arguments)
    };
    apt(&["update"])?;
    apt(&[&["install", "-y", "--no-install-recommends"], &packages[..]].concat())
        .with_context(|| format!("cannot install {}", packages.join(" ")))?;
    Ok(())
}

/// Whether a program is where programs are looked for.
pub(crate) fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(program).is_file())
}

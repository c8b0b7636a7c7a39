//! OpenVPN, point to point, in the clear.

use super::Parts;
use crate::bench::process::Process;
use crate::bench::topology::{MTU, Topology, inner, outer};
use anyhow::Result;

const INTERFACE: &str = "ovpn0";

/// IP and UDP; in the clear it adds nothing of its own.
const OVERHEAD: u32 = 20 + 8;

pub(super) fn start(topology: &Topology) -> Result<Parts> {
    let daemons = topology.ends().into_iter().enumerate().map(|(end, namespace)| {
        let log = topology.file(&format!("openvpn-{end}.log"));
        let address = |a: std::net::Ipv4Addr| a.to_string();
        Process::start(namespace, "openvpn", log, |command| {
            #[rustfmt::skip]
            command
                .args(["--dev", INTERFACE, "--dev-type", "tun", "--proto", "udp", "--port", "1194"])
                .args(["--local", &address(outer(1, end)), "--remote", &address(outer(1, 1 - end))])
                .args(["--ifconfig", &address(inner(end)), &address(inner(1 - end))])
                .args(["--cipher", "none", "--auth", "none", "--fast-io"])
                .args(["--tun-mtu", &(MTU - OVERHEAD).to_string(), "--mssfix", "0"])
                .args(["--sndbuf", "4194304", "--rcvbuf", "4194304", "--txqueuelen", "1000"]);
        })
    });
    Ok(Parts::new(INTERFACE, daemons.collect::<Result<_>>()?))
}

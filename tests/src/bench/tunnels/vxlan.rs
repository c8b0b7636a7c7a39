//! The kernel's VXLAN, the nearest thing to mpt that needs no program.

use super::Parts;
use crate::bench::topology::{MTU, Topology, cable, outer};
use anyhow::Result;

const INTERFACE: &str = "vxlan0";

/// IP, UDP, VXLAN and the inner Ethernet header.
const OVERHEAD: u32 = 20 + 8 + 8 + 14;

pub(super) fn start(topology: &Topology) -> Result<Parts> {
    for end in 0..2 {
        let [local, remote] = [outer(1, end), outer(1, 1 - end)].map(|a| a.to_string());
        let dev = cable(1);
        #[rustfmt::skip]
        topology.run(end, "ip", &[
            "link", "add", INTERFACE, "type", "vxlan", "id", "77", "dstport", "4789",
            "local", &local, "remote", &remote, "dev", &dev,
        ])?;
    }
    topology.address(INTERFACE, MTU - OVERHEAD)?;
    Ok(Parts::new(INTERFACE, Vec::new()))
}

//! vtun over UDP, neither encrypted nor compressed.

use super::Parts;
use crate::bench::process::Process;
use crate::bench::topology::{MTU, Topology, outer};
use anyhow::Result;

const INTERFACE: &str = "vtun0";

/// IP, UDP, and two bytes of its own.
const OVERHEAD: u32 = 20 + 8 + 2;

pub(super) fn start(topology: &Topology) -> Result<Parts> {
    // Where it locks sessions; the package does not always make it.
    let _ = std::fs::create_dir_all("/var/lock/vtund");
    // Sessions are locked by name over the whole machine.
    let session = format!("bench{}", std::process::id());
    let file = topology.file("vtund.conf");
    let text = format!(
        "options {{ port 5000; timeout 5; syslog daemon; }}
{session} {{ passwd bench; type tun; device {INTERFACE}; proto udp; encrypt no; compress no; \
         keepalive no; stat no; speed 0; persist yes; }}
"
    );
    std::fs::write(&file, text)?;
    let server = Process::start(&topology.b, "vtund", topology.file("vtun-1.log"), |command| {
        command.args(["-n", "-s", "-f"]).arg(&file);
    })?;
    let client = Process::start(&topology.a, "vtund", topology.file("vtun-0.log"), |command| {
        command.args(["-n", "-f"]).arg(&file).arg(&session).arg(outer(1, 1).to_string());
    })?;
    let mut daemons = vec![client, server];
    super::running::wait_interface(topology, INTERFACE, &mut daemons)?;
    topology.address(INTERFACE, MTU - OVERHEAD)?;
    Ok(Parts::new(INTERFACE, daemons))
}

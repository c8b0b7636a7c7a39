//! mpt: this program runs itself as the daemon, as released.

use super::Parts;
use crate::bench::process::{POLL, Process};
use crate::bench::topology::{Topology, cable, inner, outer};
use crate::keys;
use crate::sys::packet;
use crate::testbed::{PORT, status_at};
use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use std::time::Duration;

const INTERFACE: &str = "mpt0";

/// How long it may take until all paths are in use.
const UP_WITHIN: Duration = Duration::from_secs(10);

/// How long the MTU it chooses must stand before it is measured, and how long that may take.
const SETTLED: Duration = Duration::from_millis(600);
const SETTLED_WITHIN: Duration = Duration::from_secs(5);

pub(super) fn start(
    topology: &Topology,
    cipher: &str,
    workers: Option<u32>,
    paths: usize,
) -> Result<Parts> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let key_pair = [keys::generate()?, keys::generate()?];
    let mut daemons = Vec::new();
    for (end, namespace) in topology.ends().into_iter().enumerate() {
        let directory = topology.file(&format!("end{end}"));
        std::fs::create_dir(&directory)?;
        keys::write(&directory.join("key"), &key_pair[end])?;
        let peer = key_pair[1 - end].public_key().to_string();
        let document = configuration(end, &peer, cipher, workers, paths);
        let file = directory.join("mpt0.yaml");
        std::fs::write(&file, serde_yaml::to_string(&document)?)?;
        daemons.push(Process::start(namespace, &program, directory.join("log"), |command| {
            command.args(["internal-tund", "up"]).arg(&file).env("MPT_RUN_DIR", &directory);
        })?);
    }
    let mut parts = Parts::new(INTERFACE, daemons);
    wait_up(topology, &mut parts)?;
    Ok(parts)
}

fn configuration(
    end: usize,
    peer: &str,
    cipher: &str,
    workers: Option<u32>,
    paths: usize,
) -> Value {
    let paths: Vec<Value> = (1..=paths)
        .map(|number| {
            json!({
                "name": format!("path{number}"),
                "interface": cable(number),
                "remote": format!("{}:{PORT}", outer(number, 1 - end)),
                "weight": 1,
            })
        })
        .collect();
    let mut document = json!({
        "interface": { "name": INTERFACE, "address": [format!("{}/24", inner(end))] },
        "private_key_file": "key",
        "listen": PORT,
        "cipher": cipher,
        "peers": [{
            "name": "peer",
            "public_key": peer,
            "allowed_ips": [format!("{}/32", inner(1 - end))],
            "paths": paths,
        }],
    });
    if let Some(workers) = workers {
        document["workers"] = json!(workers);
    }
    document
}

/// Waits until every path is in use, and the interface has the MTU that they allow.
fn wait_up(topology: &Topology, parts: &mut Parts) -> Result<()> {
    let until = crate::now() + UP_WITHIN;
    for end in 0..2 {
        let socket = topology.file(&format!("end{end}")).join(format!("{INTERFACE}.sock"));
        loop {
            crate::bench::check_interrupt()?;
            let up = status_at(&socket).is_ok_and(|status| {
                !status.peers.is_empty()
                    && status.peers.iter().all(|peer| peer.paths.iter().all(|path| path.in_use))
            });
            if up {
                break;
            }
            parts.daemons[end].check()?;
            if crate::now() >= until {
                bail!(
                    "not all paths in use within {UP_WITHIN:?}; {}",
                    parts.daemons[end].last_words()
                );
            }
            std::thread::sleep(POLL);
        }
    }
    let until = crate::now() + SETTLED_WITHIN;
    let mtus = || topology.ends().map(|ns| ns.run(|| packet::interface_mtu(INTERFACE)).ok());
    let (mut last, mut since) = (mtus(), crate::now());
    while crate::now() < until && crate::now() < since + SETTLED {
        crate::bench::check_interrupt()?;
        std::thread::sleep(POLL);
        let seen = mtus();
        if seen != last {
            (last, since) = (seen, crate::now());
        }
    }
    Ok(())
}

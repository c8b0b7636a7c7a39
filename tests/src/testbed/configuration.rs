//! The routers' configuration files.

use super::builder::{Family, LinkSpec};
use super::site::Site;
use super::{PORT, lan_v4, lan_v6, link_v4, link_v6, tunnel_v4, tunnel_v6};
use crate::keys;
use anyhow::Result;
use mpt_core::keys::PrivateKey;
use serde_json::{Value, json};

/// A change to the configuration of a site.
pub(super) type Edit = (usize, Box<dyn FnOnce(&mut Value)>);

/// What the configurations say.
pub(super) struct Plan {
    /// Of each site.
    pub(super) keys: Vec<PrivateKey>,
    /// The sites of each link, and what it is.
    pub(super) links: Vec<([usize; 2], LinkSpec)>,
}

/// Writes keys and configurations of all sites.
pub(super) fn write(sites: &[Site], plan: &Plan, hub: bool, edits: Vec<Edit>) -> Result<()> {
    let mut documents: Vec<_> =
        (0..sites.len()).map(|index| document(sites, plan, hub, index)).collect();
    for (index, edit) in edits {
        anyhow::ensure!(index < documents.len(), "there is no site {index} to configure");
        edit(&mut documents[index]);
    }
    for ((site, document), key) in sites.iter().zip(&documents).zip(&plan.keys) {
        keys::write(&site.key_file(), key)?;
        site.write_configuration(document)?;
    }
    Ok(())
}

/// The configuration of site `index`.
fn document(sites: &[Site], plan: &Plan, hub: bool, index: usize) -> Value {
    let others = (0..sites.len()).filter(|&other| other != index);
    // A client reaches everybody by way of the hub.
    let peers: Vec<usize> = if hub && index > 0 { vec![0] } else { others.clone().collect() };
    let (v4_length, v6_length) = (24, 64);
    let peers: Vec<Value> = peers
        .into_iter()
        .map(|peer| {
            let behind: Vec<usize> =
                if hub && index > 0 { others.clone().collect() } else { vec![peer] };
            let paths = if hub && index == 0 { Vec::new() } else { paths(plan, index, peer) };
            json!({
                "name": sites[peer].name(),
                "public_key": plan.keys[peer].public_key().to_string(),
                "allowed_ips": behind.iter().flat_map(|&s| [
                    format!("{}/32", tunnel_v4(s)),
                    format!("{}/128", tunnel_v6(s)),
                    format!("{}/24", lan_v4(s, 0)),
                    format!("{}/64", lan_v6(s, 0)),
                ]).collect::<Vec<_>>(),
                "paths": paths,
            })
        })
        .collect();
    let routes: Vec<Value> = others
        .flat_map(|s| [format!("{}/24", lan_v4(s, 0)), format!("{}/64", lan_v6(s, 0))])
        .map(|to| json!({ "to": to }))
        .collect();
    json!({
        "interface": {
            "name": Site::TUNNEL,
            "address": [
                format!("{}/{v4_length}", tunnel_v4(index)),
                format!("{}/{v6_length}", tunnel_v6(index)),
            ],
        },
        "private_key_file": sites[index].key_file(),
        "listen": PORT,
        "peers": peers,
        "routes": routes,
    })
}

/// The paths from a site to a peer, one over each link between them.
fn paths(plan: &Plan, from: usize, to: usize) -> Vec<Value> {
    let links = plan.links.iter().enumerate().map(|(i, (sites, spec))| (i + 1, sites, spec));
    links
        .filter(|(_, sites, _)| sites.contains(&from) && sites.contains(&to))
        .map(|(number, sites, spec)| {
            let end = usize::from(sites[1] == to);
            let remote = match spec.family {
                Family::V4 => format!("{}:{PORT}", link_v4(number, end)),
                Family::V6 => format!("[{}]:{PORT}", link_v6(number, end)),
            };
            json!({
                "name": format!("bridge{number}"),
                "interface": format!("wan{number}"),
                "remote": remote,
                "weight": spec.weight,
            })
        })
        .collect()
}

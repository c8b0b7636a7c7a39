//! Peers and their paths.

use super::super::model::{Host, Path, PathOffloads, Peer, Remote};
use super::super::reader::{Map, Node};
use super::super::rules::{SeenPath, SeenPeer};
use super::super::yaml::Yaml;
use super::super::{secrets, units};
use super::{beside, inline_key, interface_name};
use mpt_core::Weight;
use mpt_core::config::Dscp;
use mpt_core::keys::{KeyError, PresharedKey, PublicKey};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path as FilePath;

const PEER_KEYS: &[&str] =
    &["name", "public_key", "preshared_key_file", "preshared_key", "allowed_ips", "paths"];

const PATH_KEYS: &[&str] = &[
    "name",
    "interface",
    "local",
    "local_port",
    "remote",
    "gateway",
    "weight",
    "priority",
    "dscp",
    "rate_limit",
    "enabled",
    "offloads",
];

/// Rank of a path that was given none: after those that were given one on purpose.
const DEFAULT_PRIORITY: u16 = 100;

/// A name's most bytes: it travels in one small packet, and the peer takes no longer one.
const LONGEST_NAME: usize = mpt_core::wire::MAX_NAME;

/// All peers; `None` when there is something wrong with the list itself.
pub(super) fn peers<'a>(
    file: &FilePath,
    node: &Node<'a>,
    listening: bool,
    offloads: PathOffloads,
) -> Option<Vec<SeenPeer<'a>>> {
    let items = node.list("peers")?;
    if items.is_empty() {
        node.fail("expected at least one peer");
    }
    Some(items.iter().filter_map(|item| peer(file, item, listening, offloads)).collect())
}

fn peer<'a>(
    file: &FilePath,
    node: &Node<'a>,
    listening: bool,
    offloads: PathOffloads,
) -> Option<SeenPeer<'a>> {
    let map = node.map(PEER_KEYS)?;
    let name_node = map.require("name", "name: roof");
    let name = name_node.as_ref().and_then(|node| node.read(name_text));
    let key_node = map.require("public_key", "public_key: \"…\"");
    let public_key = key_node.as_ref().and_then(|node| {
        node.read(|value| {
            let told = |e| format!("{e}; the peer's `mpt-cli pubkey < ITS_KEY_FILE` prints it");
            let key: PublicKey =
                units::text(value)?.parse().map_err(|e: KeyError| told(e.to_string()))?;
            match key.is_low_order() {
                true => Err(told("no private key belongs to this one".to_owned())),
                false => Ok(key),
            }
        })
    });
    let preshared_key = preshared_key(file, &map);
    let allowed_node = map.require("allowed_ips", "allowed_ips: [10.77.0.2/32]");
    let mut allowed_nodes = Vec::new();
    let mut allowed_ips = Vec::new();
    if let Some(items) = allowed_node.as_ref().and_then(|node| node.list("prefixes")) {
        if let (true, Some(node)) = (items.is_empty(), &allowed_node) {
            node.fail("expected at least one prefix, such as 10.77.0.2/32");
        }
        for item in items {
            if let Some(prefix) = item.read(units::prefix) {
                allowed_nodes.push(item);
                allowed_ips.push(prefix);
            }
        }
    }
    let path_list = match map.get("paths") {
        Some(node) => node.list("paths").unwrap_or_default(),
        None => Vec::new(),
    };
    if !listening && path_list.is_empty() {
        map.node()
            .fail("a peer without `paths` can only call us, but there is no `listen`; add either");
    }
    let (path_nodes, paths) =
        path_list.iter().filter_map(|item| path(item, listening, offloads)).unzip();
    Some(SeenPeer {
        name_node: name_node?,
        key_node: key_node?,
        allowed_nodes,
        path_nodes,
        peer: Peer {
            name: name?,
            public_key: public_key?,
            preshared_key: preshared_key?,
            allowed_ips,
            paths,
        },
    })
}

/// What stands in a file, here, or nowhere (then it is all zero).
fn preshared_key(file: &FilePath, map: &Map<'_>) -> Option<PresharedKey> {
    match (map.get("preshared_key_file"), map.get("preshared_key")) {
        (Some(_), Some(inline)) => {
            inline.fail_key("the key stands here and in `preshared_key_file`; leave one out");
            None
        }
        (Some(node), None) => node.read(|value| {
            let name = units::text(value)?;
            secrets::check_name::<PresharedKey>(name, "preshared_key")?;
            secrets::read_key(&beside(file, name), "mpt-cli genpsk")
        }),
        (None, Some(node)) => inline_key(file, &node),
        (None, None) => Some(PresharedKey::default()),
    }
}

fn path<'a>(
    node: &Node<'a>,
    listening: bool,
    tunnel: PathOffloads,
) -> Option<(SeenPath<'a>, Path)> {
    let map = node.map(PATH_KEYS)?;
    let name_node = map.require("name", "name: bridge-1");
    let name = name_node.as_ref().and_then(|node| node.read(name_text));
    let port = units::number("a port", 1..=65_535);
    let path = Path {
        name: name?,
        interface: map.read("interface", interface_name),
        local: map.read("local", |value| address(value, LOCAL)),
        local_port: map.read("local_port", port).and_then(|n| u16::try_from(n).ok()),
        remote: map.read("remote", remote),
        gateway: map.read("gateway", |value| address(value, GATEWAY)),
        weight: map.read("weight", weight),
        priority: map
            .read("priority", units::number("a rank", 0..=65_535))
            .and_then(|n| u16::try_from(n).ok())
            .unwrap_or(DEFAULT_PRIORITY),
        dscp: map.read("dscp", dscp).unwrap_or_default(),
        rate_limit: map.read("rate_limit", units::rate_limit),
        enabled: map.read("enabled", units::truth).unwrap_or(true),
        offloads: map.get("offloads").and_then(|node| offloads(&node, tunnel)).unwrap_or(tunnel),
    };
    if map.get("remote").is_none() && !listening {
        node.fail(
            "without a `remote` the far end must call us, but there is no `listen`; add either",
        );
    }
    if let (Some(node), None) = (map.get("gateway"), &path.interface) {
        node.fail("a gateway means nothing without the path's `interface`");
    }
    fits_together(&map, &path);
    let seen = SeenPath {
        name_node: name_node?,
        interface_node: map.get("interface"),
        remote_node: map.get("remote"),
        gateway_node: map.get("gateway"),
    };
    Some((seen, path))
}

/// Addresses of one path are of one family, and link-local ones need their link.
fn fits_together(map: &Map<'_>, path: &Path) {
    let remote = path.remote.as_ref().and_then(|remote| match remote.host {
        Host::Address(address) => Some(address),
        Host::Name(_) => None,
    });
    let reference = remote.or(path.local);
    for (key, address) in [("local", path.local), ("gateway", path.gateway)] {
        let (Some(a), Some(b), Some(node)) = (address, reference, map.get(key)) else { continue };
        if a.is_ipv4() != b.is_ipv4() {
            node.fail(format!("{a} and {b} are of different families; a path is IPv4 or IPv6"));
        }
    }
    for (key, address) in [("remote", remote), ("local", path.local), ("gateway", path.gateway)] {
        let link_local = matches!(address, Some(IpAddr::V6(a)) if a.is_unicast_link_local());
        if let (true, None, Some(node)) = (link_local, &path.interface, map.get(key)) {
            node.fail("a link-local address means nothing without the path's `interface`");
        }
    }
}

/// A name of a peer or path.
fn name_text(value: &Yaml) -> Result<String, String> {
    let name = units::text(value)?;
    if name.len() > LONGEST_NAME {
        return Err(format!("`{name}` has {} bytes, a name at most {LONGEST_NAME}", name.len()));
    }
    match name.chars().find(|&c| c.is_whitespace() || !mpt_core::is_shown(c)) {
        Some(c) => Err(format!("a name cannot hold {c:?}")),
        None => Ok(name.to_owned()),
    }
}

/// What to do where no host can have an address.
const LOCAL: &str = "write one of this machine, or leave `local` out";
const GATEWAY: &str = "write the next hop's, or leave `gateway` out";
const REMOTE: &str = "write the peer's, or leave `remote` out where it calls";

/// An address that one host can have; `remedy` says what to do about others.
fn address(value: &Yaml, remedy: &str) -> Result<IpAddr, String> {
    let text = units::text(value)?;
    let (bare, zone) = text.split_once('%').map_or((text, None), |(a, z)| (a, Some(z)));
    match (bare.parse(), zone) {
        (Ok(address), None) => {
            units::of_one_host(address).map_err(|what| format!("{what}; {remedy}"))
        }
        (Ok(_), Some(zone)) => {
            Err(format!("leave `%{zone}` out; the path's `interface` says which link"))
        }
        (Err(_), _) => Err(format!("expected an address such as 10.1.0.1, found `{text}`")),
    }
}

fn remote(value: &Yaml) -> Result<Remote, String> {
    let text = units::text(value)?;
    let expected = |why: &str| {
        format!(
            "expected \"HOST:PORT\" such as \"192.0.2.1:4511\", \"[2001:db8::1]:4511\" or \"hub.example.net:4511\"; found `{text}`{why}"
        )
    };
    if text.parse::<Ipv6Addr>().is_ok() {
        return Err(expected(" (IPv6 addresses stand in brackets, before the port)"));
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(|| expected(" (the port is missing)"))?;
    let Ok(port @ 1..) = port.parse::<u16>() else {
        return Err(expected(" (a port is 1 to 65535)"));
    };
    let host = if let Some(inner) = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')) {
        match address(&Yaml::Text(inner.to_owned()), REMOTE)? {
            IpAddr::V6(v6) => Host::Address(v6.into()),
            IpAddr::V4(_) => return Err(expected(" (brackets are for IPv6)")),
        }
    } else if host.parse::<Ipv4Addr>().is_ok() {
        Host::Address(address(&Yaml::Text(host.to_owned()), REMOTE)?)
    } else if is_host_name(host) {
        Host::Name(host.to_owned())
    } else {
        return Err(expected(&format!(" (`{host}` is neither an address nor a name)")));
    };
    Ok(Remote { host, port })
}

/// Labels of letters, digits, `-` and `_`; not all digits at the end, which would be a slip in an
/// IPv4 address.
fn is_host_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !l.starts_with('-')
            && !l.ends_with('-')
    };
    let last_is_number =
        name.rsplit('.').next().is_some_and(|l| l.bytes().all(|b| b.is_ascii_digit()));
    name.len() <= 253 && !last_is_number && name.split('.').all(label)
}

fn weight(value: &Yaml) -> Result<Weight, String> {
    match value {
        Yaml::Int(n) => match u64::try_from(*n) {
            Ok(n) => Weight::new(n).map_err(|e| e.to_string()),
            Err(_) => Err(format!("a weight is a whole number from 1 to 10000, not {n}")),
        },
        // Always an error, which tells how numbers are written.
        _ => units::number("a weight", 1..=10_000)(value).map(|_| Weight::DEFAULT),
    }
}

fn dscp(value: &Yaml) -> Result<Dscp, String> {
    match value {
        Yaml::Text(t) if t == "copy" => Ok(Dscp::Copy),
        _ => units::number("`copy` or a DSCP", 0..=63)(value)
            .map(|n| Dscp::Fixed(u8::try_from(n).unwrap_or_default())),
    }
}

/// A path's own choice, else the tunnel's.
fn offloads(node: &Node<'_>, tunnel: PathOffloads) -> Option<PathOffloads> {
    let map = node.map(&["gso", "gro"])?;
    Some(PathOffloads {
        gso: map.read("gso", super::offload).unwrap_or(tunnel.gso),
        gro: map.read("gro", super::offload).unwrap_or(tunnel.gro),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remotes() {
        let read = |text: &str| remote(&Yaml::Text(text.to_owned()));
        for good in ["10.1.0.2:4511", "[2001:db8::1]:1", "hub.example.net:65535", "hub:4511"] {
            assert_eq!(read(good).unwrap().to_string(), good);
        }
        for bad in [
            "10.1.0.2",
            "10.1.0.2:0",
            "10.1.0.2:65536",
            "10.1.0:4511",
            "[10.1.0.2]:4511",
            ":4511",
            "2001:db8::1",
            "2001:db8::1:x",
            "[2001:db8::1]",
            "[fe80::1%eth0]:4511",
            "a b:4511",
            "10.1.0.256:4511",
            "-a:1",
            "0.0.0.0:4511",
            "[::]:4511",
            "224.0.0.1:4511",
            "[ff02::1]:4511",
            "255.255.255.255:4511",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(read("2001:db8::1").unwrap_err().contains("brackets"));
        assert!(read("hub").unwrap_err().contains("port is missing"));
    }
}

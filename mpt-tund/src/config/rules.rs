//! What only shows when peers and paths stand side by side.

use super::model::{Host, Interface, InterfaceAddress, Path, Peer};
use super::reader::Node;
use mpt_core::PathId;
use mpt_core::config::Prefix;
use mpt_core::keys::PrivateKey;
use std::net::IpAddr;

/// Paths of one peer: their ids are that many.
fn most_paths() -> usize {
    PathId::all().count()
}

/// A peer, and where what may collide stands.
pub(super) struct SeenPeer<'a> {
    pub(super) name_node: Node<'a>,
    pub(super) key_node: Node<'a>,
    /// One a prefix, in the order of [`Peer::allowed_ips`].
    pub(super) allowed_nodes: Vec<Node<'a>>,
    /// One a path, in the order of [`Peer::paths`].
    pub(super) path_nodes: Vec<SeenPath<'a>>,
    pub(super) peer: Peer,
}

/// Where a path's name, interface, remote and gateway stand.
pub(super) struct SeenPath<'a> {
    pub(super) name_node: Node<'a>,
    pub(super) interface_node: Option<Node<'a>>,
    pub(super) remote_node: Option<Node<'a>>,
    pub(super) gateway_node: Option<Node<'a>>,
}

/// Notes what collides among `peers`, and what is ourselves: a peer with our key, or an address of
/// our `tunnel`, and a path over it.
pub(super) fn judge(
    private: Option<&PrivateKey>,
    tunnel: Option<&Interface>,
    peers: &[SeenPeer<'_>],
) {
    let ours = private.map(PrivateKey::public_key);
    for (i, seen) in peers.iter().enumerate() {
        let (peer, earlier) = (&seen.peer, &peers[..i]);
        if earlier.iter().any(|e| e.peer.name == peer.name) {
            seen.name_node
                .fail(format!("another peer is called `{}`; names are unique", peer.name));
        }
        if Some(peer.public_key) == ours {
            seen.key_node.fail(
                "this is our own public key (it belongs to our private key); the peer's is wanted",
            );
        } else if private.is_some_and(|key| key.as_bytes() == peer.public_key.as_bytes()) {
            // The text is a secret.
            seen.key_node.fail("this is our own private key; the peer's public key is wanted, which `mpt-cli pubkey` makes of its private one");
        } else if peer.preshared_key.as_bytes() == peer.public_key.as_bytes() {
            seen.key_node.fail("the same key is its `preshared_key`, which is to be a secret; `mpt-cli genpsk` makes one");
        } else if let Some(same) = earlier.iter().find(|e| e.peer.public_key == peer.public_key) {
            seen.key_node.fail(format!(
                "peer `{}` has the same public key; each peer has its own",
                same.peer.name
            ));
        }
        prefixes_are_claimed_once(seen, earlier);
        if let Some(tunnel) = tunnel {
            our_addresses_are_ours(&tunnel.addresses, seen);
            no_path_uses_the_tunnel(&tunnel.name, seen);
            no_remote_is_in_the_tunnel(tunnel, seen);
        }
        paths_have_their_own_names(seen);
    }
    an_interface_has_one_gateway(peers);
}

/// A file copied from the other end has our address where the peer's is wanted.
fn our_addresses_are_ours(own: &[InterfaceAddress], seen: &SeenPeer<'_>) {
    for (prefix, node) in seen.peer.allowed_ips.iter().zip(&seen.allowed_nodes) {
        let host = |own: &InterfaceAddress| Prefix::new(own.address, own.bits());
        if own.iter().any(|own| host(own).as_ref() == Some(prefix)) {
            node.fail(format!(
                "{} is our own address (it stands in `interface`); the peer's is wanted",
                prefix.address
            ));
        }
    }
}

fn no_path_uses_the_tunnel(tunnel: &str, seen: &SeenPeer<'_>) {
    for (path, node) in seen.peer.paths.iter().zip(&seen.path_nodes) {
        if let (Some(name), Some(node)) = (&path.interface, &node.interface_node)
            && name == tunnel
        {
            node.fail(format!(
                "{tunnel} is the tunnel itself; name the interface that leads to the peer"
            ));
        }
    }
}

/// The kernel sends what is for the device's own network into the device, and a path's packets with it, unless they are bound
/// to another interface.
fn no_remote_is_in_the_tunnel(tunnel: &Interface, seen: &SeenPeer<'_>) {
    for (path, node) in seen.peer.paths.iter().zip(&seen.path_nodes) {
        let unbound = path.remote.as_ref().filter(|_| path.interface.is_none());
        let remote = unbound.map(|remote| &remote.host);
        if let (Some(Host::Address(remote)), Some(node)) = (remote, &node.remote_node)
            && let Some(network) = tunnel.network_of(*remote)
        {
            node.fail(format!(
                "{remote} lies within {network}, the tunnel's own network (`interface`); write the address that the peer \
                 has outside of the tunnel, or the path's `interface`"
            ));
        }
    }
}

/// Routes belong to an interface, whichever path uses it: two paths over one cannot differ.
fn an_interface_has_one_gateway(peers: &[SeenPeer<'_>]) {
    let mut first: Vec<(&str, IpAddr, &str)> = Vec::new();
    let paths = peers.iter().flat_map(|seen| seen.peer.paths.iter().zip(&seen.path_nodes));
    for (path, node) in paths {
        let Path { interface: Some(interface), gateway: Some(gateway), name, .. } = path else {
            continue;
        };
        let same =
            |(i, g, _): &&(&str, IpAddr, &str)| i == interface && g.is_ipv4() == gateway.is_ipv4();
        match (first.iter().find(same), &node.gateway_node) {
            (Some((_, other, path)), Some(node)) if other != gateway => node.fail(format!(
                "path `{path}` has the gateway {other} on the same interface {interface}; \
                 an interface has one for IPv4 and one for IPv6"
            )),
            (Some(_), _) => {}
            (None, _) => first.push((interface, *gateway, name)),
        }
    }
}

fn prefixes_are_claimed_once(seen: &SeenPeer<'_>, earlier: &[SeenPeer<'_>]) {
    for (n, (prefix, node)) in seen.peer.allowed_ips.iter().zip(&seen.allowed_nodes).enumerate() {
        if let Some(other) = earlier.iter().find(|e| e.peer.allowed_ips.contains(prefix)) {
            node.fail(format!(
                "peer `{}` has {prefix}, too; it can be sent to one only",
                other.peer.name
            ));
        } else if seen.peer.allowed_ips[..n].contains(prefix) {
            node.fail(format!("{prefix} stands here a second time; leave one out"));
        }
    }
}

fn paths_have_their_own_names(seen: &SeenPeer<'_>) {
    let paths = &seen.peer.paths;
    for (n, (path, node)) in paths.iter().zip(&seen.path_nodes).enumerate() {
        if paths[..n].iter().any(|e| e.name == path.name) {
            node.name_node.fail(format!(
                "another path of peer `{}` is called `{}`; names are unique",
                seen.peer.name, path.name
            ));
        }
        if n == most_paths() {
            node.name_node.fail(format!(
                "this is path {} of peer `{}`; a peer has at most {n}",
                n + 1,
                seen.peer.name
            ));
        }
    }
}

//! Names of far ends that only the tunnel itself could ask for.

use super::all_paths;
use super::networks::Network;
use super::routes::is_for_udp;
use crate::config::{Config, Host, WhenDown};
use std::net::IpAddr;

/// The addresses in a `resolv.conf`.
pub(super) fn parse(text: &str) -> Vec<IpAddr> {
    let address = |line: &str| {
        let mut words = line.split_whitespace();
        let server = words.next().filter(|&key| key == "nameserver").and(words.next())?;
        // Behind `%` stands the interface of a link-local one.
        server.split('%').next()?.parse().ok()
    };
    text.lines().filter_map(address).collect()
}

/// Warnings about nameservers that are asked through the tunnel while it is down, as it needs an answer to come up. Where a
/// resolver on this machine is asked, it is not known whom that asks.
pub(super) fn behind_the_tunnel(
    config: &Config,
    servers: &[IpAddr],
    networks: &[Network],
) -> Vec<String> {
    let name = all_paths(config).find_map(|(_, path)| match &path.remote.as_ref()?.host {
        Host::Name(name) => Some(name),
        Host::Address(_) => None,
    });
    let Some(name) = name else { return Vec::new() };
    let within = |server: IpAddr| {
        if let Some(network) = config.interface.network_of(server) {
            return Some(format!("the tunnel's own network {network}"));
        }
        // What the main table knows better stays there.
        let near = |length| {
            let mut others = networks.iter().filter(|n| n.interface != config.interface.name);
            others.any(|n| n.prefix.length > length && n.prefix.contains(server))
        };
        let mut routes = config.routes.iter();
        let route = routes.find(|r| {
            r.to.contains(server)
                && r.when_down == WhenDown::Keep
                && is_for_udp(r)
                && !server.is_loopback()
                && !near(r.to.length)
        })?;
        Some(format!("the route {}", route.to))
    };
    let warning = |server: &IpAddr| {
        Some(format!(
            "{name} is asked for at {server}, which lies within {}: without an answer there is no tunnel, and \
             without a tunnel no answer; write the far end's address, or have names asked for elsewhere \
             (`when_down: bypass` where a route is in the way)",
            within(*server)?
        ))
    };
    servers.iter().filter_map(warning).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nameservers_of_a_resolv_conf() {
        let text = "# nameserver 1.1.1.1\nsearch lan\nnameserver 9.9.9.9\n\tnameserver  fe80::1%eth0 \n\
                    nameserver\nnameserver x\noptions ndots:1\n";
        let expected: [IpAddr; 2] = ["9.9.9.9".parse().unwrap(), "fe80::1".parse().unwrap()];
        assert_eq!(parse(text), expected);
        assert!(parse("").is_empty());
    }
}

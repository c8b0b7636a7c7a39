//! Far ends that an interface has no way to.

use super::networks::Network;
use std::net::IpAddr;

/// What is to be done where path `path`, bound to `interface`, cannot reach `remote` by any of the machine's `routes`; nothing where it
/// can, or where the interface has no routes of that family yet. The kernel would look for it on the link itself, in silence.
pub(super) fn missing(
    path: &str,
    interface: &str,
    remote: IpAddr,
    routes: &[Network],
) -> Option<String> {
    let is_own = |n: &&Network| {
        let version = n.prefix.address.is_ipv4() == remote.is_ipv4();
        n.interface == interface && version && !is_of_the_link(n.prefix.address)
    };
    let mut own = routes.iter().filter(is_own).peekable();
    own.peek()?;
    (!is_of_the_link(remote) && !own.any(|n| n.prefix.contains(remote))).then(|| {
        format!(
            "path {path}: interface {interface} has no route to {remote}; write the next hop as the path's `gateway`"
        )
    })
}

/// Every interface has those, which lead nowhere else.
fn is_of_the_link(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(a) => a.is_link_local() || a.is_multicast(),
        IpAddr::V6(a) => a.is_unicast_link_local() || a.is_multicast(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpt_core::config::Prefix;

    #[test]
    fn what_no_route_of_the_interface_leads_to_is_told() {
        let routes = [
            ("0.0.0.0", 0, "wan1"),
            ("10.1.0.0", 24, "wan1"),
            ("10.2.0.0", 24, "wan2"),
            ("203.0.113.0", 24, "wan3"),
            ("::", 0, "wan1"),
            ("fe80::", 64, "wan2"),
            ("ff00::", 8, "wan2"),
        ];
        let routes = routes.map(|(address, length, interface)| Network {
            prefix: Prefix::new(address.parse().unwrap(), length).unwrap(),
            interface: interface.to_owned(),
        });
        let told =
            |interface, remote: &str| missing("dsl", interface, remote.parse().unwrap(), &routes);
        let words = "path dsl: interface wan2 has no route to 198.51.100.1; write the next hop";
        assert!(told("wan2", "198.51.100.1").unwrap().starts_with(words));
        assert!(told("wan3", "198.51.100.1").is_some());
        for (interface, remote) in [
            ("wan1", "198.51.100.1"),
            ("wan2", "10.2.0.9"),
            ("wan3", "203.0.113.7"),
            ("wan1", "2001:db8::1"),
            ("wan2", "2001:db8::1"),
            ("wan2", "fe80::1"),
            ("wan9", "198.51.100.1"),
        ] {
            assert_eq!(told(interface, remote), None, "{interface} {remote}");
        }
    }
}

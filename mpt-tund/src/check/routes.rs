//! Routes that cannot do what they seem to.

use super::all_paths;
use crate::config::{Config, Host, Route};
use mpt_core::config::Prefix;
use mpt_core::policy::Protocol;

/// Routes that lead nowhere, or might lead the tunnel into itself.
pub(super) fn judge(config: &Config, warnings: &mut Vec<String>) {
    let within = |inner: &Prefix, outer: &Prefix| {
        outer.length <= inner.length && outer.contains(inner.address)
    };
    for (i, route) in config.routes.iter().enumerate() {
        if let Some(protocol) = route.protocols.iter().find(|p| is_of_other_version(**p, route)) {
            let own = if route.to.address.is_ipv4() { "icmp" } else { "icmpv6" };
            warnings.push(format!("route {}: {protocol} never goes there; write {own}", route.to));
        }
        if config.routes[..i].iter().any(|other| contradicts(other, route)) {
            warnings.push(format!(
                "route {} stands here twice, to be kept and to be bypassed while no path is up: it is kept",
                route.to
            ));
        }
        let mut allowed = config.peers.iter().flat_map(|peer| &peer.allowed_ips);
        if !allowed.any(|prefix| within(&route.to, prefix)) {
            warnings.push(format!(
                "no peer's allowed_ips holds all of the route {}; what no peer has is dropped",
                route.to
            ));
        }
        for (_, path) in all_paths(config) {
            let remote = path.remote.as_ref().map(|remote| &remote.host);
            let covered = match remote {
                Some(Host::Address(address)) => route.to.contains(*address),
                Some(Host::Name(_)) => route.to.length == 0,
                None => false,
            };
            if covered && path.interface.is_none() && is_for_udp(route) {
                warnings.push(format!(
                    "path {} has no `interface`, and its far end lies within the route {}; \
                     only its mark keeps its packets out of the tunnel: name the interface",
                    path.name, route.to
                ));
            }
        }
    }
}

/// Whether the outer packets, which are UDP, would follow it.
pub(super) fn is_for_udp(route: &Route) -> bool {
    const UDP: u8 = 17;
    route.protocols.is_empty() || route.protocols.iter().any(|p| p.0 == UDP)
}

/// ICMP of IPv4 where the destinations have IPv6, or the other way round.
fn is_of_other_version(protocol: Protocol, route: &Route) -> bool {
    const ICMP: u8 = 1;
    const ICMPV6: u8 = 58;
    protocol.0 == if route.to.address.is_ipv4() { ICMPV6 } else { ICMP }
}

/// Whether both are for the same packets, and disagree about `when_down`.
fn contradicts(one: &Route, other: &Route) -> bool {
    one.to == other.to && one.protocols == other.protocols && one.when_down != other.when_down
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::WhenDown;

    fn route(to: &str, length: u8, protocols: &[u8], when_down: WhenDown) -> Route {
        let to = Prefix::new(to.parse().unwrap(), length).unwrap();
        Route { to, protocols: protocols.iter().map(|&p| Protocol(p)).collect(), when_down }
    }

    #[test]
    fn contradictions_and_the_other_versions_icmp() {
        let keep = route("10.0.0.0", 8, &[17], WhenDown::Keep);
        let bypass = Route { when_down: WhenDown::Bypass, ..keep.clone() };
        assert!(contradicts(&keep, &bypass) && !contradicts(&keep, &keep));
        let all = Route { protocols: Vec::new(), ..bypass.clone() };
        assert!(!contradicts(&keep, &all), "the rest of the packets");
        let v6 = route("fd00::", 8, &[1, 58], WhenDown::Keep);
        let other = |route: &Route, p| is_of_other_version(Protocol(p), route);
        assert!(other(&v6, 1) && !other(&v6, 58) && !other(&v6, 17));
        assert!(other(&keep, 58) && !other(&keep, 1) && !other(&keep, 17));
    }
}

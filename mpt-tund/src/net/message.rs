//! Our rules and routes as netlink messages, and back.

use super::plan::{NextHop, RTPROT_MPT, Route, Rule};
use crate::udp::Family;
use mpt_core::config::Prefix;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::IpProtocol;
use rtnetlink::packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteHeader, RouteMessage, RouteProtocol, RouteScope,
    RouteType,
};
use rtnetlink::packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use std::net::IpAddr;

pub(super) const OURS: RouteProtocol = RouteProtocol::Other(RTPROT_MPT);

/// "No prefix length is suppressed", as the kernel dumps it.
const NOT_SUPPRESSED: u32 = u32::MAX;

impl From<Family> for AddressFamily {
    fn from(family: Family) -> Self {
        match family {
            Family::V4 => Self::Inet,
            Family::V6 => Self::Inet6,
        }
    }
}

fn family(family: AddressFamily) -> Option<Family> {
    match family {
        AddressFamily::Inet => Some(Family::V4),
        AddressFamily::Inet6 => Some(Family::V6),
        _ => None,
    }
}

impl From<&Rule> for RuleMessage {
    fn from(rule: &Rule) -> Self {
        let mut m = Self::default();
        m.header.family = rule.family.into();
        m.header.action = RuleAction::ToTable;
        m.attributes = vec![
            RuleAttribute::Priority(rule.preference),
            RuleAttribute::Protocol(OURS),
            RuleAttribute::FwMark(rule.mark),
            RuleAttribute::FwMask(rule.mask),
            RuleAttribute::Table(rule.table),
        ];
        if let Some(to) = rule.to {
            m.header.dst_len = to.length;
            m.attributes.push(RuleAttribute::Destination(to.address));
        }
        if let Some(protocol) = rule.protocol {
            m.attributes.push(RuleAttribute::IpProtocol(IpProtocol::from(i32::from(protocol))));
        }
        if let Some(name) = &rule.out_interface {
            m.attributes.push(RuleAttribute::Oifname(name.clone()));
        }
        if let Some(length) = rule.suppress {
            m.attributes.push(RuleAttribute::SuppressPrefixLen(u32::from(length)));
        }
        m
    }
}

/// The protocol and the mark of a rule, by which ours are known.
pub(super) fn rule_tag(message: &RuleMessage) -> (Option<RouteProtocol>, Option<u32>) {
    let mut tag = (None, None);
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Protocol(p) => tag.0 = Some(*p),
            RuleAttribute::FwMark(m) => tag.1 = Some(*m),
            _ => {}
        }
    }
    tag
}

/// A dumped rule; `None` when it is not of the shape of ours.
pub(super) fn rule_from(message: &RuleMessage) -> Option<Rule> {
    let mut rule = Rule {
        family: family(message.header.family)?,
        preference: 0,
        mark: 0,
        mask: 0,
        to: None,
        protocol: None,
        out_interface: None,
        table: u32::from(message.header.table),
        suppress: None,
    };
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Priority(n) => rule.preference = *n,
            RuleAttribute::FwMark(n) => rule.mark = *n,
            RuleAttribute::FwMask(n) => rule.mask = *n,
            RuleAttribute::Table(n) => rule.table = *n,
            RuleAttribute::Destination(ip) => {
                rule.to = Some(Prefix::new(*ip, message.header.dst_len)?);
            }
            RuleAttribute::IpProtocol(p) => {
                rule.protocol = Some(u8::from(*p));
            }
            RuleAttribute::Oifname(name) => rule.out_interface = Some(name.clone()),
            RuleAttribute::SuppressPrefixLen(NOT_SUPPRESSED) => {}
            RuleAttribute::SuppressPrefixLen(n) => rule.suppress = Some(u8::try_from(*n).ok()?),
            RuleAttribute::Source(_)
            | RuleAttribute::Iifname(_)
            | RuleAttribute::Goto(_)
            | RuleAttribute::UidRange(_)
            | RuleAttribute::SourcePortRange(_)
            | RuleAttribute::DestinationPortRange(_) => return None,
            _ => {}
        }
    }
    Some(rule)
}

impl From<&Route> for RouteMessage {
    fn from(route: &Route) -> Self {
        let mut m = Self::default();
        m.header.address_family = Family::of(route.to.address).into();
        m.header.destination_prefix_length = route.to.length;
        m.header.table = RouteHeader::RT_TABLE_UNSPEC;
        m.header.protocol = OURS;
        m.header.kind = RouteType::Unicast;
        if route.hop.onlink {
            m.header.flags = RouteFlags::Onlink;
        }
        m.header.scope = match route.hop.gateway {
            None if route.to.address.is_ipv4() => RouteScope::Link,
            _ => RouteScope::Universe,
        };
        m.attributes = vec![
            RouteAttribute::Table(route.table),
            RouteAttribute::Oif(route.interface),
            RouteAttribute::Priority(route.metric),
        ];
        if route.to.length > 0 {
            m.attributes.push(RouteAttribute::Destination(route.to.address.into()));
        }
        if let Some(gateway) = route.hop.gateway {
            m.attributes.push(RouteAttribute::Gateway(gateway.into()));
        }
        if let Some(source) = route.hop.source {
            m.attributes.push(RouteAttribute::PrefSource(source.into()));
        }
        m
    }
}

/// A route's table, also when its number does not fit the header.
pub(super) fn route_table(message: &RouteMessage) -> u32 {
    let attribute = message.attributes.iter().find_map(|a| match a {
        RouteAttribute::Table(n) => Some(*n),
        _ => None,
    });
    attribute.unwrap_or(u32::from(message.header.table))
}

/// A dumped route; `None` when it is not of the shape of ours.
pub(super) fn route_from(message: &RouteMessage) -> Option<Route> {
    let mut route = Route {
        table: route_table(message),
        to: Prefix { address: family(message.header.address_family)?.unspecified(), length: 0 },
        hop: NextHop {
            onlink: message.header.flags.contains(RouteFlags::Onlink),
            ..NextHop::default()
        },
        interface: 0,
        metric: 0,
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(a) => {
                route.to = Prefix::new(ip(a)?, message.header.destination_prefix_length)?;
            }
            RouteAttribute::Gateway(a) => route.hop.gateway = Some(ip(a)?),
            RouteAttribute::PrefSource(a) => route.hop.source = Some(ip(a)?),
            RouteAttribute::Oif(n) => route.interface = *n,
            RouteAttribute::Priority(n) => route.metric = *n,
            RouteAttribute::MultiPath(_) | RouteAttribute::Via(_) => return None,
            _ => {}
        }
    }
    Some(route)
}

/// The IP address of a route's attribute.
pub(super) fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(a) => Some((*a).into()),
        RouteAddress::Inet6(a) => Some((*a).into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::{Plan, RouteSpec, TunnelNumbers, Uplink, WhenDown};
    use super::*;

    #[test]
    fn rules_and_routes_survive_the_round_trip() {
        let to = |a: &str, n| Prefix::new(a.parse().unwrap(), n).unwrap();
        let spec = |to| RouteSpec { to, protocols: vec![17, 1], when_down: WhenDown::Keep };
        let uplink = Uplink {
            interface: "wan1".into(),
            index: 3,
            family: Family::V6,
            hop: NextHop {
                gateway: "fe80::1".parse().ok(),
                onlink: true,
                source: "fd01::1".parse().ok(),
            },
        };
        let routes = [spec(to("10.0.0.0", 8)), spec(to("::", 0))];
        let plan = Plan::new(TunnelNumbers::of("mpt0"), 9, &routes, &[uplink], true);
        assert_eq!((plan.rules.len(), plan.routes.len()), (10, 3));
        for rule in &plan.rules {
            assert_eq!(rule_from(&RuleMessage::from(rule)).as_ref(), Some(rule));
        }
        for route in &plan.routes {
            assert_eq!(route_from(&RouteMessage::from(route)).as_ref(), Some(route));
        }
    }
}

//! A snapshot of the interfaces.

use super::message::ip;
use super::netlink::{NetError, Netlink, collect};
use super::plan::{NextHop, Uplink};
use crate::udp::Family;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use rtnetlink::packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rtnetlink::packet_route::route::{
    RouteAttribute, RouteFlags, RouteMessage, RouteNextHopFlags, RouteType,
};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// An interface with what matters for a path.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Interface {
    /// Its index; another one when it was deleted and created again.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// MTU, bytes.
    pub mtu: u32,
    /// Whether it can carry packets: switched on and with a carrier.
    pub up: bool,
    /// Its addresses that can be used (not those still being checked for duplicates), in the kernel's
    /// order.
    pub addresses: Vec<IpAddr>,
    /// Its default route for IPv4 in the main table.
    pub default_v4: Option<DefaultRoute>,
    /// Its default route for IPv6 in the main table.
    pub default_v6: Option<DefaultRoute>,
}

/// A default route.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DefaultRoute {
    /// The next hop.
    pub hop: NextHop,
    /// Lower is preferred.
    pub metric: u32,
}

/// All interfaces at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Interfaces {
    pub(super) by_index: BTreeMap<u32, Interface>,
}

impl Interface {
    /// Its default route for a family.
    #[must_use]
    pub const fn default_route(&self, family: Family) -> Option<DefaultRoute> {
        match family {
            Family::V4 => self.default_v4,
            Family::V6 => self.default_v6,
        }
    }

    /// How outer packets leave by this interface: by the configured `gateway`, or as its own default
    /// route says. `None` when there is neither; then only what is on the link can be reached.
    #[must_use]
    pub fn uplink(&self, family: Family, gateway: Option<IpAddr>) -> Option<Uplink> {
        let own = self.default_route(family).map(|route| route.hop);
        let hop = match gateway.filter(|&g| Family::of(g) == family) {
            Some(configured) => {
                let gateway = Some(configured);
                let same = own.filter(|hop| hop.gateway == gateway);
                same.unwrap_or(NextHop { gateway, ..NextHop::default() })
            }
            None => own?,
        };
        Some(Uplink { interface: self.name.clone(), index: self.index, family, hop })
    }
}

impl Interfaces {
    /// By name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Interface> {
        self.iter().find(|i| i.name == name)
    }

    /// By index.
    #[must_use]
    pub fn by_index(&self, index: u32) -> Option<&Interface> {
        self.by_index.get(&index)
    }

    /// The one that has an address.
    #[must_use]
    pub fn holding(&self, address: IpAddr) -> Option<&Interface> {
        self.iter().find(|i| i.addresses.contains(&address))
    }

    /// All, by index.
    pub fn iter(&self) -> impl Iterator<Item = &Interface> {
        self.by_index.values()
    }
}

impl Netlink {
    /// What is there now.
    ///
    /// # Errors
    /// When the kernel does not answer.
    pub async fn interfaces(&self) -> Result<Interfaces, NetError> {
        let mut all = self.links_and_addresses().await?;
        for family in [Family::V4, Family::V6] {
            self.each_main_route(family, |route| all.take_default_route(family, route)).await?;
        }
        Ok(all)
    }

    /// The same without default routes, which may be among a million others.
    pub(super) async fn links_and_addresses(&self) -> Result<Interfaces, NetError> {
        let links = collect("list the interfaces", self.handle.link().get().execute()).await?;
        let by_index = links.iter().filter_map(link).map(|i| (i.index, i)).collect();
        let mut all = Interfaces { by_index };
        let addresses =
            collect("list the addresses", self.handle.address().get().execute()).await?;
        for message in &addresses {
            if let (Some(ip), Some(interface)) =
                (usable_address(message), all.by_index.get_mut(&message.header.index))
            {
                interface.addresses.push(ip);
            }
        }
        Ok(all)
    }
}

impl Interfaces {
    fn take_default_route(&mut self, family: Family, route: &RouteMessage) {
        let header = &route.header;
        if header.destination_prefix_length != 0 || header.kind != RouteType::Unicast {
            return;
        }
        let metric = route.attributes.iter().find_map(|a| match a {
            RouteAttribute::Priority(n) => Some(*n),
            _ => None,
        });
        let metric = metric.unwrap_or(0);
        let source = route.attributes.iter().find_map(|a| match a {
            RouteAttribute::PrefSource(a) => ip(a),
            _ => None,
        });
        let mut hop = |index: u32, onlink: bool, attributes: &[RouteAttribute]| {
            // A router of the other family, which we copy nowhere: the main table leads there.
            if attributes.iter().any(|a| matches!(a, RouteAttribute::Via(_))) {
                return;
            }
            let gateway = attributes.iter().find_map(|a| match a {
                RouteAttribute::Gateway(a) => ip(a),
                _ => None,
            });
            let Some(interface) = self.by_index.get_mut(&index) else { return };
            let slot = match family {
                Family::V4 => &mut interface.default_v4,
                Family::V6 => &mut interface.default_v6,
            };
            if slot.is_none_or(|old| metric < old.metric) {
                *slot = Some(DefaultRoute { hop: NextHop { gateway, onlink, source }, metric });
            }
        };
        for attribute in &route.attributes {
            match attribute {
                RouteAttribute::Oif(index) => {
                    hop(*index, header.flags.contains(RouteFlags::Onlink), &route.attributes);
                }
                RouteAttribute::MultiPath(hops) => {
                    for next in hops {
                        let onlink = next.flags.contains(RouteNextHopFlags::Onlink);
                        hop(next.interface_index, onlink, &next.attributes);
                    }
                }
                _ => {}
            }
        }
    }
}

/// A link message as an interface without addresses; `None` for those that tell of a bridge's port or
/// a radio's scan.
pub(super) fn link(message: &LinkMessage) -> Option<Interface> {
    // "Running" is the kernel's word for a carrier and an operational state of up or unknown.
    let flags = message.header.flags;
    let mut interface = Interface {
        index: message.header.index,
        up: flags.contains(LinkFlags::Up) && flags.contains(LinkFlags::Running),
        ..Interface::default()
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => interface.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => interface.mtu = *mtu,
            _ => {}
        }
    }
    let whole = message.header.interface_family == AddressFamily::Unspec;
    Some(interface).filter(|i| whole && !i.name.is_empty())
}

/// The local address of an address message, if a socket can be bound to it now.
pub(super) fn usable_address(message: &AddressMessage) -> Option<IpAddr> {
    let mut local = None;
    let mut remote = None;
    let mut flags = AddressFlags::empty();
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(ip) => local = Some(*ip),
            // The far end's on a point-to-point link; the local one where there is no other.
            AddressAttribute::Address(ip) => remote = Some(*ip),
            AddressAttribute::Flags(f) => flags = *f,
            _ => {}
        }
    }
    let tentative = flags.contains(AddressFlags::Tentative)
        && !flags.contains(AddressFlags::Optimistic)
        || flags.contains(AddressFlags::Dadfailed);
    local.or(remote).filter(|_| !tentative)
}

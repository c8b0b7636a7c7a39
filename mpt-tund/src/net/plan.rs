//! Which rules and routes there should be: no kernel here.

use crate::udp::Family;
use mpt_core::config::Prefix;
use std::net::IpAddr;

/// `protocol` of all our routes and rules, as `ip route` and `ip rule` show it: 109, an "m".
pub const RTPROT_MPT: u8 = 0x6d;

/// Set in the mark of every tunnel's outer packets.
const GUARD: u32 = 0x4000_0000;

/// First byte of our marks and table numbers; contains the guard bit.
const TAG: u32 = 0x6d00_0000;

/// `RT_TABLE_MAIN`.
pub(super) const MAIN: u32 = 254;

/// Preferences, lower first. Uplink rules come before other programs' rules, which start at 1000 or
/// above (mwan3, Tailscale).
const UPLINK_PREFERENCE: u32 = 109;

/// Behind those, before those `ip rule` numbers by itself (downwards from 32 765).
const TUNNEL_PREFERENCE: u32 = 28_016;

/// A tunnel's mark and table numbers, all made of its name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TunnelNumbers(u32);

/// What is to go into the tunnel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RouteSpec {
    /// Destinations.
    pub to: Prefix,
    /// IP protocol numbers (17 is UDP); empty for all.
    pub protocols: Vec<u8>,
    /// What happens while no path is up.
    pub when_down: WhenDown,
}

/// What happens to a route while no path is up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum WhenDown {
    /// It stays; packets are dropped.
    #[default]
    Keep,
    /// It is withdrawn; packets go where they would go without the tunnel.
    Bypass,
}

/// Where a route leads on its interface, and from where.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NextHop {
    /// The router; `None` on a point-to-point link.
    pub gateway: Option<IpAddr>,
    /// It is on the link though it lies in no network of the interface (`onlink`).
    pub onlink: bool,
    /// The source of packets that have none yet (`src`).
    pub source: Option<IpAddr>,
}

/// How outer packets leave by an interface: the default route of path sockets bound to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Uplink {
    /// The interface's name.
    pub interface: String,
    /// Its index now.
    pub index: u32,
    /// IPv4 or IPv6.
    pub family: Family,
    /// The next hop.
    pub hop: NextHop,
}

/// A policy rule of ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Rule {
    pub(super) family: Family,
    pub(super) preference: u32,
    pub(super) mark: u32,
    pub(super) mask: u32,
    pub(super) to: Option<Prefix>,
    pub(super) protocol: Option<u8>,
    pub(super) out_interface: Option<String>,
    pub(super) table: u32,
    /// Results with a prefix of at most this length do not count.
    pub(super) suppress: Option<u8>,
}

/// A route of ours.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Route {
    pub(super) table: u32,
    pub(super) to: Prefix,
    pub(super) hop: NextHop,
    pub(super) interface: u32,
    pub(super) metric: u32,
}

/// Everything that should be there.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Plan {
    pub(super) rules: Vec<Rule>,
    pub(super) routes: Vec<Route>,
}

impl TunnelNumbers {
    /// The numbers of tunnel `name`. Two names get the same ones in one of 65 536 cases.
    #[must_use]
    pub fn of(name: &str) -> Self {
        // FNV-1a: stable between versions and machines.
        let hash =
            name.bytes().fold(0x811c_9dc5_u32, |h, b| (h ^ u32::from(b)).wrapping_mul(0x0100_0193));
        Self(TAG | ((hash ^ (hash >> 16)) & 0xffff) << 8)
    }

    /// `SO_MARK` of outer packets.
    #[must_use]
    pub const fn mark(self) -> u32 {
        self.0
    }

    /// The table with each uplink's default route.
    #[must_use]
    pub const fn uplink_table(self) -> u32 {
        self.0
    }

    /// The table with the routes into the TUN device.
    #[must_use]
    pub const fn tunnel_table(self) -> u32 {
        self.0 | 1
    }

    /// Whether a mark, as our rules carry it, is this tunnel's.
    pub(super) const fn owns_mark(self, mark: u32) -> bool {
        mark | GUARD == self.0
    }

    /// Whether a table is this tunnel's.
    pub(super) const fn owns_table(self, table: u32) -> bool {
        table == self.uplink_table() || table == self.tunnel_table()
    }
}

impl RouteSpec {
    fn holds(&self, carrying: bool) -> bool {
        carrying || self.when_down == WhenDown::Keep
    }
}

impl Plan {
    /// What should be there for these routes into the TUN device of index `tun`, and these uplinks, while
    /// the tunnel is `carrying` (a path is up) or not.
    pub(super) fn new(
        numbers: TunnelNumbers,
        tun: u32,
        routes: &[RouteSpec],
        uplinks: &[Uplink],
        carrying: bool,
    ) -> Self {
        let mut plan = Self::default();
        for uplink in uplinks {
            plan.add_uplink(numbers, uplink);
        }
        for spec in routes.iter().filter(|r| r.holds(carrying)) {
            plan.add_tunnel_route(numbers, tun, spec);
        }
        plan
    }

    /// One default route per interface and family; a second one is passed over.
    fn add_uplink(&mut self, numbers: TunnelNumbers, uplink: &Uplink) {
        let (family, table) = (uplink.family, numbers.uplink_table());
        let to = everything(family);
        if self.routes.iter().any(|r| r.interface == uplink.index && r.to == to) {
            return;
        }
        // Metrics must differ within a table; an index is as good as any.
        self.routes.push(Route {
            table,
            to,
            hop: uplink.hop,
            interface: uplink.index,
            metric: uplink.index,
        });
        let rule = |preference, table, suppress| Rule {
            family,
            preference,
            mark: numbers.mark(),
            mask: u32::MAX,
            to: None,
            protocol: None,
            out_interface: Some(uplink.interface.clone()),
            table,
            suppress,
        };
        self.rules.push(rule(UPLINK_PREFERENCE, MAIN, Some(0)));
        self.rules.push(rule(UPLINK_PREFERENCE + 1, table, None));
    }

    fn add_tunnel_route(&mut self, numbers: TunnelNumbers, tun: u32, spec: &RouteSpec) {
        let (family, table) = (Family::of(spec.to.address), numbers.tunnel_table());
        let to = everything(family);
        let route = Route { table, to, hop: NextHop::default(), interface: tun, metric: 1 };
        add(&mut self.routes, route);
        let length = spec.to.length;
        // Four numbers for each length, longer prefixes first. Rules with a protocol have numbers of
        // their own, since deleting a rule without one would match them too.
        let preference = TUNNEL_PREFERENCE + 4 * (128 - u32::from(length));
        let rule = |preference, protocol, table, suppress| Rule {
            family,
            preference,
            mark: numbers.mark() & !GUARD,
            mask: GUARD,
            to: (length > 0).then_some(spec.to),
            protocol,
            out_interface: None,
            table,
            suppress,
        };
        let any = spec.protocols.is_empty().then_some(None);
        for protocol in any.into_iter().chain(spec.protocols.iter().copied().map(Some)) {
            let preference = preference + if protocol.is_some() { 0 } else { 2 };
            add(&mut self.rules, rule(preference, protocol, MAIN, Some(length)));
            add(&mut self.rules, rule(preference + 1, protocol, table, None));
        }
    }
}

fn add<T: PartialEq>(list: &mut Vec<T>, item: T) {
    if !list.contains(&item) {
        list.push(item);
    }
}

/// `0.0.0.0/0` or `::/0`.
const fn everything(family: Family) -> Prefix {
    Prefix { address: family.unspecified(), length: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(to: &str, length: u8, protocols: &[u8], when_down: WhenDown) -> RouteSpec {
        let to = Prefix::new(to.parse().unwrap(), length).unwrap();
        RouteSpec { to, protocols: protocols.to_vec(), when_down }
    }

    #[test]
    fn numbers_differ_by_name_and_carry_the_guard() {
        let (a, b) = (TunnelNumbers::of("mpt0"), TunnelNumbers::of("mpt1"));
        assert_ne!(a, b);
        assert_ne!(a.mark() & GUARD, 0);
        assert!(a.owns_mark(a.mark()) && a.owns_mark(a.mark() & !GUARD));
        assert!(!a.owns_mark(b.mark()) && !a.owns_mark(0) && !a.owns_table(MAIN));
    }

    #[test]
    fn longer_prefixes_come_first_and_main_before_the_tunnel() {
        let numbers = TunnelNumbers::of("mpt0");
        let routes =
            [spec("0.0.0.0", 0, &[17], WhenDown::Keep), spec("10.0.0.0", 8, &[], WhenDown::Keep)];
        let mut rules = Plan::new(numbers, 7, &routes, &[], true).rules;
        rules.sort_by_key(|r| r.preference);
        let got: Vec<_> = rules.iter().map(|r| (r.protocol, r.table, r.suppress)).collect();
        let tunnel = numbers.tunnel_table();
        assert_eq!(
            got,
            [
                (None, MAIN, Some(8)),
                (None, tunnel, None),
                (Some(17), MAIN, Some(0)),
                (Some(17), tunnel, None)
            ]
        );
        assert!(rules.iter().all(|r| r.mark & GUARD == 0 && r.mask == GUARD));
        assert!(rules.iter().all(|r| r.preference < 32_766));
    }

    #[test]
    fn bypass_withdraws_only_its_own() {
        let numbers = TunnelNumbers::of("mpt0");
        let routes = [
            spec("0.0.0.0", 0, &[17], WhenDown::Bypass),
            spec("10.0.0.0", 8, &[17], WhenDown::Keep),
        ];
        assert_eq!(Plan::new(numbers, 7, &routes, &[], true).rules.len(), 4);
        let down = Plan::new(numbers, 7, &routes, &[], false);
        assert_eq!(down.rules.len(), 2);
        assert!(down.rules.iter().all(|r| r.to.is_some()));
    }
}

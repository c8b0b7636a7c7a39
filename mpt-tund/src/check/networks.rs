//! The networks this machine is in, from the kernel's lists of routes in `/proc`.

use mpt_core::config::Prefix;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// A network that an interface is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Network {
    pub(super) prefix: Prefix,
    pub(super) interface: String,
}

/// Which routes count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// Those of the networks this machine is in: without a next hop, link-local and multicast ones aside.
    Near,
    /// All but default routes.
    Specific,
    /// All.
    All,
}

/// The networks in the texts of `/proc/net/route` and `/proc/net/ipv6_route`. What cannot be read is left out.
pub(super) fn parse(v4: &str, v6: &str, which: Which) -> Vec<Network> {
    let v4 = v4.lines().filter_map(|line| v4_network(&fields(line), which));
    v4.chain(v6.lines().filter_map(|line| v6_network(&fields(line), which))).collect()
}

fn fields(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

/// `Iface Destination Gateway Flags RefCnt Use Metric Mask …`; addresses are the words of this
/// machine's memory in hexadecimal.
fn v4_network(fields: &[&str], which: Which) -> Option<Network> {
    let [interface, destination, gateway, _, _, _, _, mask, ..] = fields else { return None };
    let word = |hex: &str| u32::from_str_radix(hex, 16).ok();
    let address = Ipv4Addr::from(word(destination)?.to_ne_bytes());
    let length = u8::try_from(word(mask)?.count_ones()).ok()?;
    let near = word(gateway)? == 0 && !address.is_link_local();
    counts(which, near, length).then(|| network(address.into(), length, interface)).flatten()
}

fn counts(which: Which, near: bool, length: u8) -> bool {
    match which {
        Which::Near => length > 0 && near,
        Which::Specific => length > 0,
        Which::All => true,
    }
}

/// `Destination Length Source Length NextHop Metric RefCnt Use Flags Iface`, all hexadecimal.
fn v6_network(fields: &[&str], which: Which) -> Option<Network> {
    let [destination, length, _, _, hop, .., interface] = fields else { return None };
    let word = |hex: &str| u128::from_str_radix(hex, 16).ok();
    let address = Ipv6Addr::from(word(destination)?);
    let length = u8::from_str_radix(length, 16).ok()?;
    // The length of a route to one host: the kernel lists our own addresses so, too.
    let near = word(hop)? == 0
        && length < 128
        && !address.is_unicast_link_local()
        && !address.is_multicast();
    counts(which, near, length).then(|| network(address.into(), length, interface)).flatten()
}

fn network(address: IpAddr, length: u8, interface: &str) -> Option<Network> {
    let prefix = Prefix::new(address, length)?;
    Some(Network { prefix, interface: interface.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_told_from_other_routes() {
        let word = |a: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(a));
        let row = |interface: &str, to, via, mask| {
            let [to, via, mask] = [to, via, mask].map(word);
            format!("{interface}\t{to}\t{via}\t0001\t0\t0\t0\t{mask}\t0\t0\t0\n")
        };
        let v4 = "Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n".to_owned()
            + &row("lan0", [192, 168, 11, 0], [0; 4], [255, 255, 255, 0])
            + &row("wan1", [0; 4], [10, 1, 0, 9], [0; 4])
            + &row("wan1", [10, 9, 0, 0], [10, 1, 0, 9], [255, 255, 0, 0])
            + &row("wan2", [169, 254, 0, 0], [0; 4], [255, 255, 0, 0]);
        let zero = "0".repeat(32);
        let row = |to: &str, length: &str, hop: &str, interface: &str| {
            format!(
                "{to} {length} {zero} 00 {hop} 00000100 00000001 00000000 00000001 {interface}\n"
            )
        };
        let ula = "fd010000000000000000000000000000";
        let v6 = row(ula, "40", &zero, "lan0")
            + &row("fd010000000000000000000000000001", "80", &zero, "lan0")
            + &row("fe800000000000000000000000000000", "40", &zero, "lan0")
            + &row(&zero, "00", "fe800000000000000000000000000001", "lan0")
            + "nonsense\n";
        let found = |which| {
            let networks = parse(&v4, &v6, which);
            networks.iter().map(|n| format!("{} {}", n.prefix, n.interface)).collect::<Vec<_>>()
        };
        assert_eq!(found(Which::Near), ["192.168.11.0/24 lan0", "fd01::/64 lan0"]);
        let all = found(Which::Specific);
        assert_eq!(all[..2], ["192.168.11.0/24 lan0", "10.9.0.0/16 wan1"]);
        assert!(all.contains(&"fd01::1/128 lan0".to_owned()) && all.len() == 6, "{all:?}");
        let all = found(Which::All);
        assert!(all.contains(&"0.0.0.0/0 wan1".to_owned()) && all.len() == 8, "{all:?}");
    }
}

//! Reverse-path filtering: read and named, never set.

use std::fs;

/// How strictly the kernel checks the source of packets that come in by an interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RpFilter {
    /// Not at all.
    Off,
    /// Only packets whose source is routed out by that same interface pass. Packets of a second uplink
    /// are dropped beside one default route.
    Strict,
    /// There must be some route to the source.
    Loose,
}

/// What applies to IPv4 packets that come in by `interface`: the larger of its own and the `all`
/// setting. `None` where it cannot be read. IPv6 has no such filter.
#[must_use]
pub fn rp_filter(interface: &str) -> Option<RpFilter> {
    let read = |name: &str| -> Option<u8> {
        let path = format!("/proc/sys/net/ipv4/conf/{name}/rp_filter");
        fs::read_to_string(path).ok()?.trim().parse().ok()
    };
    Some(match read("all")?.max(read(interface)?) {
        0 => RpFilter::Off,
        1 => RpFilter::Strict,
        _ => RpFilter::Loose,
    })
}

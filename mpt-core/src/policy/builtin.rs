//! Policies that are there without being asked for.

use super::{Class, Codepoint, Matcher, Policy, PortRange, Protocol, Sending, SizeRange};

/// Their names.
pub const BUILTIN_NAMES: [&str; 4] = ["voice", "dns", "icmp", REST];

/// What no policy takes.
pub(super) const REST: &str = "rest";

/// Largest packet of [voice](builtins) that is sent twice, bytes. A call's packets have 60 to 300; what is
/// marked alike and fills its packets is a bulk flow, which would take twice its share of every path.
pub const LARGEST_DUPLICATED: u16 = 400;

/// The built-in policies, in order.
///
/// *voice*: EF and CS5, in packets of up to 400 bytes, by two paths at once. *dns*: port 53. *icmp*: echoes and
/// errors. The last two go by the fastest path: a question with one packet for an answer waits for that one.
#[must_use]
pub fn builtins() -> Vec<Policy> {
    let policy = |name: &str, matcher, sending| Policy {
        name: Some(name.to_owned()),
        matcher,
        class: Class { sending, ..Class::default() },
    };
    let [voice, dns, icmp, _] = BUILTIN_NAMES;
    vec![
        policy(
            voice,
            Matcher {
                dscp: vec![Codepoint::EF, Codepoint::CS5],
                size: Some(SizeRange::up_to(LARGEST_DUPLICATED)),
                ..Matcher::default()
            },
            Sending::Duplicate,
        ),
        policy(
            dns,
            Matcher {
                protocol: vec![Protocol::UDP, Protocol::TCP],
                ports: vec![PortRange::one(53)],
                ..Matcher::default()
            },
            Sending::Fastest,
        ),
        policy(
            icmp,
            Matcher { protocol: vec![Protocol::ICMP, Protocol::ICMPV6], ..Matcher::default() },
            Sending::Fastest,
        ),
    ]
}

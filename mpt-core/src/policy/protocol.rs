//! A transport protocol.

use super::BadPolicy;
use std::fmt;
use std::str::FromStr;

/// The number of an IP protocol.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Protocol(pub u8);

/// The protocols with names of their own here.
const NAMES: [(&str, u8); 11] = [
    ("icmp", 1),
    ("igmp", 2),
    ("tcp", 6),
    ("udp", 17),
    ("dccp", 33),
    ("gre", 47),
    ("esp", 50),
    ("ah", 51),
    ("icmpv6", 58),
    ("sctp", 132),
    ("udplite", 136),
];

/// Group membership, which IPv6 has as a part of ICMPv6.
const IGMP: Protocol = Protocol(2);

impl Protocol {
    /// ICMP.
    pub const ICMP: Self = Self(1);
    /// TCP.
    pub const TCP: Self = Self(6);
    /// UDP.
    pub const UDP: Self = Self(17);
    /// ICMP of IPv6.
    pub const ICMPV6: Self = Self(58);

    /// Whether its header begins with two ports.
    #[must_use]
    pub const fn has_ports(self) -> bool {
        matches!(self.0, 6 | 17 | 33 | 132 | 136)
    }

    /// Whether it is spoken over IPv4, or else IPv6.
    pub(super) const fn is_of(self, v4: bool) -> bool {
        match self {
            Self::ICMP | IGMP => v4,
            Self::ICMPV6 => !v4,
            _ => true,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match NAMES.iter().find(|(_, number)| *number == self.0) {
            Some((name, _)) => f.write_str(name),
            None => self.0.fmt(f),
        }
    }
}

impl FromStr for Protocol {
    type Err = BadPolicy;
    fn from_str(text: &str) -> Result<Self, BadPolicy> {
        let named = NAMES.iter().find(|(name, _)| *name == text).map(|(_, number)| *number);
        let number = || text.parse().ok().filter(|n| *n != 0);
        named.or_else(number).map(Self).ok_or_else(|| {
            let names = NAMES.map(|(name, _)| name);
            let expected = format!("a protocol: {}, or a number from 1 to 255", names.join(", "));
            BadPolicy::unknown(&expected, &names, text)
        })
    }
}

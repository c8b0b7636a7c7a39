//! Which packets are meant.

use super::{Codepoint, Facts, PortRange, Protocol, SizeRange};
use crate::config::Prefix;
use std::fmt;
use std::net::IpAddr;

/// The least that a packet has, bytes.
const IPV4_HEADER_LEN: u16 = 20;
const IPV6_HEADER_LEN: u16 = 40;

/// Conditions, all of which a packet has to meet. An empty list is no condition; of the entries of a list one
/// has to hold.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Matcher {
    /// Its DSCP.
    pub dscp: Vec<Codepoint>,
    /// Its protocol.
    pub protocol: Vec<Protocol>,
    /// One of its ports, whichever.
    pub ports: Vec<PortRange>,
    /// Its source port.
    pub source_ports: Vec<PortRange>,
    /// Its destination port.
    pub destination_ports: Vec<PortRange>,
    /// Its source address.
    pub from: Vec<Prefix>,
    /// Its destination address.
    pub to: Vec<Prefix>,
    /// Its size; of a super-packet, that of its segments.
    pub size: Option<SizeRange>,
}

/// A condition, called as its key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Condition {
    /// `dscp`
    Dscp,
    /// `protocol`
    Protocol,
    /// `ports`
    Ports,
    /// `source_ports`
    SourcePorts,
    /// `destination_ports`
    DestinationPorts,
    /// `from`
    From,
    /// `to`
    To,
    /// `size`
    Size,
}

impl Matcher {
    /// The keys of the conditions.
    pub const KEYS: [&'static str; 8] =
        ["dscp", "protocol", "ports", "source_ports", "destination_ports", "from", "to", "size"];

    /// The first condition that a packet does not meet; none when it is one of those meant.
    #[must_use]
    #[inline]
    pub fn refusal(&self, facts: &Facts) -> Option<Condition> {
        let ports = |ranges: &[PortRange], of: fn((u16, u16)) -> [u16; 2]| {
            let has = |p: &u16| ranges.iter().any(|r| r.contains(*p));
            ranges.is_empty() || facts.ports.is_some_and(|p| of(p).iter().any(has))
        };
        let address = |prefixes: &[Prefix], address: IpAddr| {
            prefixes.is_empty() || prefixes.iter().any(|p| p.contains(address))
        };
        match () {
            () if !self.dscp.is_empty() && !self.dscp.contains(&facts.dscp) => {
                Some(Condition::Dscp)
            }
            () if !self.protocol.is_empty() && !self.protocol.contains(&facts.protocol) => {
                Some(Condition::Protocol)
            }
            () if self.size.is_some_and(|s| !s.contains(facts.size)) => Some(Condition::Size),
            () if !ports(&self.ports, |(a, b)| [a, b]) => Some(Condition::Ports),
            () if !ports(&self.source_ports, |(a, _)| [a, a]) => Some(Condition::SourcePorts),
            () if !ports(&self.destination_ports, |(_, b)| [b, b]) => {
                Some(Condition::DestinationPorts)
            }
            () if !address(&self.from, facts.source) => Some(Condition::From),
            () if !address(&self.to, facts.destination) => Some(Condition::To),
            () => None,
        }
    }

    /// Whether it takes everything.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Why no packet can meet all conditions, if that is so.
    #[must_use]
    pub fn contradiction(&self) -> Option<String> {
        let wants_ports = [&self.ports, &self.source_ports, &self.destination_ports];
        if wants_ports.iter().any(|p| !p.is_empty())
            && !self.protocol.is_empty()
            && !self.protocol.iter().any(|p| p.has_ports())
        {
            return Some(format!("{} has no ports", list(&self.protocol)));
        }
        let is_of = |prefixes: &[Prefix], v4: bool| {
            prefixes.is_empty() || prefixes.iter().any(|p| p.address.is_ipv4() == v4)
        };
        let addressed = |v4| is_of(&self.from, v4) && is_of(&self.to, v4);
        if !addressed(true) && !addressed(false) {
            return Some("`from` and `to` are of different families".to_owned());
        }
        let spoken = |v4| {
            self.protocol.is_empty() || self.protocol.iter().any(|p| p.is_of(v4)) && addressed(v4)
        };
        if !spoken(true) && !spoken(false) {
            let family = if addressed(true) { "IPv4" } else { "IPv6" };
            let protocols = list(&self.protocol);
            return Some(format!(
                "{protocols} is not spoken over {family}, which the addresses are of"
            ));
        }
        let least = if addressed(true) { IPV4_HEADER_LEN } else { IPV6_HEADER_LEN };
        self.size
            .filter(|size| !size.reaches(least))
            .map(|size| format!("size {size}, and a packet's header alone has {least} bytes"))
    }

    /// The condition as it stands in the text.
    #[must_use]
    pub fn wanted(&self, condition: Condition) -> String {
        match condition {
            Condition::Dscp => list(&self.dscp),
            Condition::Protocol => list(&self.protocol),
            Condition::Ports => list(&self.ports),
            Condition::SourcePorts => list(&self.source_ports),
            Condition::DestinationPorts => list(&self.destination_ports),
            Condition::From => list(&self.from),
            Condition::To => list(&self.to),
            Condition::Size => self.size.map(|s| s.to_string()).unwrap_or_default(),
        }
    }
}

/// Words and values; nothing where there are no conditions.
impl fmt::Display for Matcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut blank = "";
        for condition in Condition::ALL {
            let wanted = self.wanted(condition);
            if !wanted.is_empty() {
                write!(f, "{blank}{} {wanted}", condition.key())?;
                blank = " ";
            }
        }
        Ok(())
    }
}

impl Condition {
    const ALL: [Self; 8] = [
        Self::Dscp,
        Self::Protocol,
        Self::Ports,
        Self::SourcePorts,
        Self::DestinationPorts,
        Self::From,
        Self::To,
        Self::Size,
    ];

    /// Its key.
    #[must_use]
    pub const fn key(self) -> &'static str {
        Matcher::KEYS[self as usize]
    }

    /// What `facts` have to say about it.
    #[must_use]
    pub fn found(self, facts: &Facts) -> String {
        let ports = |of: fn((u16, u16)) -> String| facts.ports.map_or("no ports".to_owned(), of);
        match self {
            Self::Dscp => facts.dscp.to_string(),
            Self::Protocol => facts.protocol.to_string(),
            Self::Ports => ports(|(a, b)| format!("{a} and {b}")),
            Self::SourcePorts => ports(|(a, _)| a.to_string()),
            Self::DestinationPorts => ports(|(_, b)| b.to_string()),
            Self::From => facts.source.to_string(),
            Self::To => facts.destination.to_string(),
            Self::Size => facts.size.to_string(),
        }
    }
}

fn list(values: &[impl fmt::Display]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

//! A packet as somebody describes it.

use super::{BadPolicy, Codepoint, Facts, Protocol};
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

/// Size of a packet that was described without one.
const DEFAULT_SIZE: u16 = 1_000;

/// A packet: `udp 10.0.0.1:5004 -> 10.1.0.9:5004 dscp ef size 200`. DSCP is 0 and size 1000 where nothing is
/// said; what has no ports is written without them, and IPv6 with ports in brackets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PacketText(pub Facts);

const EXAMPLE: &str = "udp 10.0.0.1:5004 -> 10.1.0.9:5004 dscp ef size 200";

impl fmt::Display for PacketText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Facts { source, destination, dscp, protocol, ports, size } = self.0;
        write!(f, "{protocol} ")?;
        match ports {
            Some((from, to)) => write!(
                f,
                "{} -> {}",
                SocketAddr::new(source, from),
                SocketAddr::new(destination, to)
            )?,
            None => write!(f, "{source} -> {destination}")?,
        }
        write!(f, " dscp {dscp} size {size}")
    }
}

impl FromStr for PacketText {
    type Err = BadPolicy;
    fn from_str(text: &str) -> Result<Self, BadPolicy> {
        let bad = |why: String| BadPolicy(format!("{why}; a packet is written `{EXAMPLE}`"));
        let mut words = text.split_whitespace().filter(|w| *w != "->");
        let missing = |what: &str| bad(format!("{what} is missing"));
        let protocol: Protocol = words.next().ok_or_else(|| missing("the protocol"))?.parse()?;
        let mut end = |what: &str| {
            let word = words.next().ok_or_else(|| missing(what))?;
            end(word).ok_or_else(|| bad(format!("{what}: `{word}` is no address")))
        };
        let (source, from) = end("the source")?;
        let (destination, to) = end("the destination")?;
        if source.is_ipv4() != destination.is_ipv4() {
            return Err(bad(format!("{source} and {destination} are of different families")));
        }
        let ports = match (protocol.has_ports(), from, to) {
            (true, Some(from), Some(to)) => Some((from, to)),
            (true, ..) => {
                let example = SocketAddr::new(source, 5_004);
                return Err(bad(format!("{protocol} has a port at either end, as in {example}")));
            }
            (false, None, None) => None,
            (false, ..) => return Err(bad(format!("{protocol} has no ports"))),
        };
        let mut facts = Facts {
            source,
            destination,
            dscp: Codepoint::of_tos(0),
            protocol,
            ports,
            size: DEFAULT_SIZE,
        };
        while let Some(key) = words.next() {
            let value = words.next().ok_or_else(|| bad(format!("`{key}` has no value")))?;
            match key {
                "dscp" => facts.dscp = value.parse()?,
                "size" => {
                    facts.size = value
                        .parse()
                        .ok()
                        .filter(|size| *size >= 20)
                        .ok_or_else(|| bad(format!("`size`: `{value}` is not 20 to 65535")))?;
                }
                _ => {
                    let BadPolicy(why) = BadPolicy::unknown("dscp or size", &["dscp", "size"], key);
                    return Err(bad(why));
                }
            }
        }
        Ok(Self(facts))
    }
}

fn end(word: &str) -> Option<(IpAddr, Option<u16>)> {
    match (word.parse::<SocketAddr>(), word.parse::<IpAddr>()) {
        (Ok(both), _) => Some((both.ip(), Some(both.port()))),
        (_, Ok(address)) => Some((address, None)),
        _ => None,
    }
}

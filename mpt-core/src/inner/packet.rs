//! A look at an IP packet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Not an IPv4 or IPv6 packet, or its lengths do not add up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not an IP packet")]
pub struct NotIp;

/// The IP version.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// IPv6 extension headers looked through; real packets have two or three.
const MAX_EXTENSIONS: usize = 8;

/// What matters of an IP packet: addresses, and where its transport header is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InnerPacket {
    source: IpAddr,
    destination: IpAddr,
    tos: u8,
    protocol: u8,
    fragment: bool,
    /// Offset of the transport header.
    transport: usize,
}

impl InnerPacket {
    /// Looks at `packet`.
    ///
    /// # Errors
    /// When it is not an IP packet of exactly this length.
    #[inline]
    pub fn parse(packet: &[u8]) -> Result<Self, NotIp> {
        match packet.first().map(|b| b >> 4) {
            Some(4) => Self::parse_v4(packet),
            Some(6) => Self::parse_v6(packet),
            _ => Err(NotIp),
        }
    }

    fn parse_v4(packet: &[u8]) -> Result<Self, NotIp> {
        let h: &[u8; 20] = packet.first_chunk().ok_or(NotIp)?;
        let header = usize::from(h[0] & 0x0f) * 4;
        let total = usize::from(u16::from_be_bytes([h[2], h[3]]));
        if header < 20 || total < header || total != packet.len() {
            return Err(NotIp);
        }
        let address = |i: usize| IpAddr::V4(Ipv4Addr::new(h[i], h[i + 1], h[i + 2], h[i + 3]));
        Ok(Self {
            source: address(12),
            destination: address(16),
            tos: h[1],
            protocol: h[9],
            // More fragments, or an offset.
            fragment: u16::from_be_bytes([h[6], h[7]]) & 0x3fff != 0,
            transport: header,
        })
    }

    fn parse_v6(packet: &[u8]) -> Result<Self, NotIp> {
        let h: &[u8; 40] = packet.first_chunk().ok_or(NotIp)?;
        if 40 + usize::from(u16::from_be_bytes([h[4], h[5]])) != packet.len() {
            return Err(NotIp);
        }
        let address = |i: usize| {
            let bytes: [u8; 16] = std::array::from_fn(|j| h[i + j]);
            IpAddr::V6(Ipv6Addr::from(bytes))
        };
        let (protocol, transport, fragment) = skip_extensions(packet, h[6]);
        Ok(Self {
            source: address(8),
            destination: address(24),
            tos: h[0] << 4 | h[1] >> 4,
            protocol,
            fragment,
            transport,
        })
    }

    /// Where it comes from.
    #[must_use]
    pub const fn source(&self) -> IpAddr {
        self.source
    }

    /// Where it goes.
    #[must_use]
    pub const fn destination(&self) -> IpAddr {
        self.destination
    }

    /// The IP version.
    #[must_use]
    pub const fn version(&self) -> Version {
        if self.source.is_ipv4() { Version::V4 } else { Version::V6 }
    }

    /// The IPv4 TOS or IPv6 traffic class byte: DSCP and ECN.
    #[must_use]
    pub const fn tos(&self) -> u8 {
        self.tos
    }

    /// The transport protocol's number, behind IPv6 extension headers.
    #[must_use]
    pub const fn protocol(&self) -> u8 {
        self.protocol
    }

    /// Whether it is a fragment, the first one included.
    #[must_use]
    pub const fn is_fragment(&self) -> bool {
        self.fragment
    }

    /// Offset of the transport header; at most the packet's length.
    #[must_use]
    pub const fn transport(&self) -> usize {
        self.transport
    }
}

/// Protocol, its offset, and whether it is a fragment. Stops where the headers end or stop making sense,
/// and in a fragment behind its fragment header: what follows there is the middle of something, save in the
/// first one, and all fragments of a packet are to look alike.
fn skip_extensions(packet: &[u8], first: u8) -> (u8, usize, bool) {
    const HOP_BY_HOP: u8 = 0;
    const ROUTING: u8 = 43;
    const FRAGMENT: u8 = 44;
    const AUTHENTICATION: u8 = 51;
    const DESTINATION: u8 = 60;
    let (mut protocol, mut at) = (first, 40);
    for _ in 0..MAX_EXTENSIONS {
        let Some(&[next, length, high, low]) = packet.get(at..at + 4) else { break };
        let len = match protocol {
            HOP_BY_HOP | ROUTING | DESTINATION => (usize::from(length) + 1) * 8,
            AUTHENTICATION => (usize::from(length) + 2) * 4,
            FRAGMENT => 8,
            _ => break,
        };
        if at + len > packet.len() {
            break;
        }
        // An atomic fragment (offset 0, none to follow) is a whole packet (RFC 6946).
        let fragment = protocol == FRAGMENT && u16::from_be_bytes([high, low]) & 0xfff9 != 0;
        (protocol, at) = (next, at + len);
        if fragment {
            return (protocol, at, true);
        }
    }
    (protocol, at, false)
}

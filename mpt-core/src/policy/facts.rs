//! What policies look at in a packet.

use super::{Codepoint, Protocol};
use crate::inner::{InnerPacket, Offload, Segments};
use std::net::IpAddr;

/// An inner packet as policies see it; of a super-packet, its first segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts {
    /// Where it comes from.
    pub source: IpAddr,
    /// Where it goes.
    pub destination: IpAddr,
    /// Its DSCP.
    pub dscp: Codepoint,
    /// Its transport protocol.
    pub protocol: Protocol,
    /// Source and destination port. Fragments have none: all of a packet are to be treated alike.
    pub ports: Option<(u16, u16)>,
    /// Bytes of the IP packet.
    pub size: u16,
}

impl Facts {
    /// What stands in `packet`.
    #[must_use]
    #[inline]
    pub fn of(packet: &[u8], inner: &InnerPacket, offload: &Offload) -> Self {
        let protocol = Protocol(inner.protocol());
        let transport = packet.get(inner.transport()..).unwrap_or(&[]);
        let ports = match *transport {
            [a, b, c, d, ..] if protocol.has_ports() && !inner.is_fragment() => {
                Some((u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
            }
            _ => None,
        };
        let segment = match offload.segments {
            Segments::One => packet.len(),
            Segments::Udp { size } => inner.transport() + 8 + usize::from(size),
            Segments::Tcp { size } => {
                let header = transport.get(12).map_or(20, |b| usize::from(b >> 4) * 4);
                inner.transport() + header + usize::from(size)
            }
        };
        Self {
            source: inner.source(),
            destination: inner.destination(),
            dscp: Codepoint::of_tos(inner.tos()),
            protocol,
            ports,
            size: u16::try_from(segment.min(packet.len())).unwrap_or(u16::MAX),
        }
    }
}

//! A super-packet cut into its segments, as a network card would (TSO, USO).

use super::checksum::{fold, pseudo_header, replace_u16};
use super::{Checksum, InnerPacket, Offload, Segments, Version};
use std::ops::Range;

/// TCP flags in the last byte of their field.
const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const CWR: u8 = 0x80;

/// Bytes of a UDP header, and the least of a TCP header.
const UDP_HEADER: usize = 8;
const TCP_HEADER: usize = 20;

/// A super-packet whose headers do not add up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the super-packet's headers do not add up")]
pub struct BadSuperPacket;

/// How to cut a super-packet.
///
/// Every segment gets the headers with its own length and, in TCP, sequence number; IPv4 identifications
/// count up. FIN and PSH stay on the last one only, CWR on the first. Checksums stay partial.
#[derive(Clone, Copy, Debug)]
pub struct Split {
    version: Version,
    /// Offset of the transport header.
    transport: usize,
    /// Bytes of all headers.
    header: usize,
    payload: usize,
    size: u16,
    tcp: bool,
    /// The pseudo header's sum without its length: of a partial checksum what stands there, so that a wrong one stays
    /// wrong.
    pseudo: u16,
}

impl Split {
    /// Looks at the super-packet `packet`.
    ///
    /// # Errors
    /// When it is none, or its headers do not add up; only TCP and UDP with partial checksums, or valid
    /// ones, can be cut.
    pub fn new(
        packet: &[u8],
        offload: &Offload,
        inner: &InnerPacket,
    ) -> Result<Self, BadSuperPacket> {
        let transport = inner.transport();
        let (tcp, size) = match (offload.segments, inner.protocol()) {
            (Segments::Tcp { size }, 6) => (true, size),
            (Segments::Udp { size }, 17) => (false, size),
            _ => return Err(BadSuperPacket),
        };
        let length = if tcp {
            usize::from(packet.get(transport + 12).ok_or(BadSuperPacket)? >> 4) * 4
        } else {
            UDP_HEADER
        };
        let least = if tcp { TCP_HEADER } else { UDP_HEADER };
        let header = transport + length;
        let at = transport + if tcp { 16 } else { 6 };
        let sound = size > 0 && length >= least && header < packet.len() && !inner.is_fragment();
        if !sound {
            return Err(BadSuperPacket);
        }
        let field = u16::from_be_bytes([packet[at], packet[at + 1]]);
        let whole = packet.len() - transport;
        let field = match offload.checksum {
            Checksum::Partial if usize::from(offload.transport) == transport => field,
            // A network card joined them, and found all checksums right. Nothing gets one that had none.
            Checksum::Valid if tcp || field != 0 => pseudo_header(inner, whole),
            _ => return Err(BadSuperPacket),
        };
        if !tcp && packet[transport + 4..transport + 6] != (whole as u16).to_be_bytes() {
            return Err(BadSuperPacket);
        }
        Ok(Self {
            version: inner.version(),
            transport,
            header,
            payload: packet.len() - header,
            size,
            tcp,
            pseudo: fold(u64::from(field) + u64::from(!(whole as u16))),
        })
    }

    /// Bytes of headers in each segment.
    #[must_use]
    pub const fn header_len(&self) -> usize {
        self.header
    }

    /// Bytes of payload in all segments.
    #[must_use]
    pub const fn payload_len(&self) -> usize {
        self.payload
    }

    /// Bytes of payload in each segment but the last; at least one.
    #[must_use]
    pub const fn segment_size(&self) -> u16 {
        self.size
    }

    /// Whether it is TCP, which may be cut elsewhere too.
    #[must_use]
    pub const fn is_tcp(&self) -> bool {
        self.tcp
    }

    /// Writes segment number `index`, which carries the bytes `payload` of the super-packet's payload, into
    /// `out`, which has room for exactly that.
    ///
    /// # Panics
    /// When `packet` is not the one this was made for, `payload` is not within it, or `out` has another length.
    #[inline]
    pub fn write(&self, packet: &[u8], index: u16, payload: Range<usize>, out: &mut [u8]) {
        let (first, last) = (payload.start == 0, payload.end == self.payload);
        let total = out.len();
        let (header, body) = out.split_at_mut(self.header);
        header.copy_from_slice(&packet[..self.header]);
        body.copy_from_slice(&packet[self.header..][payload.clone()]);
        match self.version {
            Version::V4 => {
                replace_u16(header, 2, total as u16, 10);
                let id = u16::from_be_bytes([header[4], header[5]]).wrapping_add(index);
                replace_u16(header, 4, id, 10);
            }
            Version::V6 => header[4..6].copy_from_slice(&((total - 40) as u16).to_be_bytes()),
        }
        let length = (total - self.transport) as u16;
        let checksum = fold(u64::from(self.pseudo) + u64::from(length)).to_be_bytes();
        let transport = &mut header[self.transport..];
        if self.tcp {
            let seq = u32::from_be_bytes(std::array::from_fn(|i| transport[4 + i]));
            let seq = seq.wrapping_add(payload.start as u32);
            transport[4..8].copy_from_slice(&seq.to_be_bytes());
            if !last {
                transport[13] &= !(FIN | PSH);
            }
            if !first {
                transport[13] &= !CWR;
            }
            transport[16..18].copy_from_slice(&checksum);
        } else {
            transport[4..6].copy_from_slice(&length.to_be_bytes());
            transport[6..8].copy_from_slice(&checksum);
        }
    }
}

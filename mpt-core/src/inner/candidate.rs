//! A TCP or UDP packet that may join others of its flow.

use super::{Checksum, InnerPacket, Version};

const TCP: u8 = 6;
const UDP: u8 = 17;

const IPV6_HEADER: usize = 40;

const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const ACK: u8 = 0x10;
const ECE: u8 = 0x40;

/// What of a packet's headers decides whether it joins others. The headers themselves are compared where they
/// lie.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    pub(super) version: Version,
    /// TCP, else UDP.
    pub(super) tcp: bool,
    /// Offset of the transport header.
    pub(super) transport: usize,
    /// Bytes of all headers.
    pub(super) header: usize,
    /// Bytes behind them.
    pub(super) payload: usize,
    /// It carries something and nothing that concerns itself alone: no SYN, RST, URG, CWR, no pure ACK; its
    /// UDP length is its own; no IPv6 extension headers, behind which not every kernel cuts.
    pub(super) may_join: bool,
    /// PSH or FIN: nothing comes behind it.
    pub(super) ends_run: bool,
    pub(super) checksum: Checksum,
}

impl Candidate {
    /// Looks at an unfragmented packet; `None` when it is neither TCP nor UDP, or cut short.
    #[inline]
    pub(super) fn of(packet: &[u8], inner: &InnerPacket) -> Option<Self> {
        let transport = inner.transport();
        let rest = packet.get(transport..)?;
        let (tcp, length) = match inner.protocol() {
            TCP => (true, usize::from(*rest.get(12)? >> 4) * 4),
            UDP => (false, 8),
            _ => return None,
        };
        if length < if tcp { 20 } else { 8 } || rest.len() < length {
            return None;
        }
        let payload = rest.len() - length;
        let (may_join, ends_run) = if tcp {
            let flags = rest[13];
            let plain = flags & ACK != 0 && flags & !(ACK | PSH | FIN | ECE) == 0;
            // The reserved bits beside the header's length.
            (plain && rest[12] & 0x0f == 0, flags & (PSH | FIN) != 0)
        } else {
            (usize::from(u16::from_be_bytes([rest[4], rest[5]])) == rest.len(), false)
        };
        let version = inner.version();
        let direct = version == Version::V4 || transport == IPV6_HEADER;
        Some(Self {
            version,
            tcp,
            transport,
            header: transport + length,
            payload,
            may_join: may_join && direct && payload > 0,
            ends_run,
            checksum: Checksum::Full,
        })
    }

    /// Whether both have the same addresses, protocol and ports.
    #[inline]
    pub(super) fn is_same_flow(&self, mine: &[u8], other: &Self, theirs: &[u8]) -> bool {
        if self.tcp != other.tcp || self.version != other.version {
            return false;
        }
        let addresses = match self.version {
            Version::V4 => 12..20,
            Version::V6 => 8..40,
        };
        mine[addresses.clone()] == theirs[addresses]
            && mine[self.transport..][..4] == theirs[other.transport..][..4]
    }

    /// Whether `other` of the same flow is what cutting would give behind `count` packets, which are joined
    /// in `mine`.
    #[inline]
    pub(super) fn is_followed(
        &self,
        mine: &[u8],
        count: usize,
        other: &Self,
        theirs: &[u8],
    ) -> bool {
        if (self.transport, self.header) != (other.transport, other.header) {
            return false;
        }
        let same = |range: std::ops::Range<usize>| mine[range.clone()] == theirs[range];
        let (t, end) = (self.transport, self.header);
        let ip = match self.version {
            // Version, length, TOS; fragment bits, TTL, protocol; options.
            Version::V4 => {
                same(0..2) && same(6..10) && same(20..t) && follows_id(mine, count, theirs)
            }
            // Version, class, label; next header, hop limit.
            Version::V6 => same(0..4) && same(6..8),
        };
        if !ip || !self.tcp {
            return ip;
        }
        let seq = |p: &[u8]| u32::from_be_bytes([p[t + 4], p[t + 5], p[t + 6], p[t + 7]]);
        let next = seq(mine).wrapping_add((mine.len() - end) as u32);
        seq(theirs) == next
            // Acknowledgement, length; window; urgent pointer and options.
            && same(t + 8..t + 13)
            && (mine[t + 13] ^ theirs[t + 13]) & !(PSH | FIN) == 0
            && same(t + 14..t + 16)
            && same(t + 18..end)
    }
}

/// Cutting counts identifications up. With DF they mean nothing (RFC 6864), and some senders leave them at zero.
fn follows_id(mine: &[u8], count: usize, theirs: &[u8]) -> bool {
    const DF: u8 = 0x40;
    let id = |p: &[u8]| u16::from_be_bytes([p[4], p[5]]);
    theirs[6] & DF != 0 || id(theirs) == id(mine).wrapping_add(count as u16)
}

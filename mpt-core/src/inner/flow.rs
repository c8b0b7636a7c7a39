//! Which flow a packet belongs to.

use super::InnerPacket;
use siphasher::sip::SipHasher13;
use std::hash::Hasher;
use std::net::IpAddr;

const ICMP: u8 = 1;
const TCP: u8 = 6;
const UDP: u8 = 17;
const DCCP: u8 = 33;
const GRE: u8 = 47;
const ESP: u8 = 50;
const AH: u8 = 51;
const ICMPV6: u8 = 58;
const SCTP: u8 = 132;
const UDP_LITE: u8 = 136;

/// Turns packets into flow hashes. Keyed, so that nobody outside can make flows collide.
#[derive(Clone, Debug)]
pub struct FlowHasher(SipHasher13);

impl FlowHasher {
    /// A hasher with this key.
    #[must_use]
    pub fn new(key: [u64; 2]) -> Self {
        Self(SipHasher13::new_with_keys(key[0], key[1]))
    }

    /// The hash of `packet`'s flow: addresses, protocol and ports. ESP and AH by SPI, GRE by key, ICMP
    /// queries by identifier. Fragments, the first one too, by addresses and protocol: all but the first have no
    /// ports, and all fragments of a flow are to stay together.
    #[must_use]
    #[inline]
    pub fn hash(&self, inner: &InnerPacket, packet: &[u8]) -> u64 {
        self.hash_of([inner.source(), inner.destination()], Ports::AsTheyAre, inner, packet)
    }

    /// The hash of the flow whose packets `packet` answers, with source and destination exchanged: where
    /// [`answers_are_known`] says so.
    #[must_use]
    #[inline]
    pub fn hash_back(&self, inner: &InnerPacket, packet: &[u8]) -> u64 {
        self.hash_of([inner.destination(), inner.source()], Ports::Exchanged, inner, packet)
    }

    #[inline]
    fn hash_of(
        &self,
        addresses: [IpAddr; 2],
        ports: Ports,
        inner: &InnerPacket,
        packet: &[u8],
    ) -> u64 {
        let mut hasher = self.0;
        for ip in addresses {
            match ip {
                IpAddr::V4(a) => hasher.write(&a.octets()),
                IpAddr::V6(a) => hasher.write(&a.octets()),
            }
        }
        hasher.write_u8(inner.protocol());
        if !inner.is_fragment() {
            let rest = packet.get(inner.transport()..).unwrap_or(&[]);
            let word = |at: usize| rest.get(at..at + 4);
            let key = match inner.protocol() {
                TCP | UDP | DCCP | SCTP | UDP_LITE if ports == Ports::Exchanged => {
                    if let Some(&[a, b, c, d]) = word(0) {
                        hasher.write(&[c, d, a, b]);
                    }
                    None
                }
                TCP | UDP | DCCP | SCTP | UDP_LITE | ESP => word(0),
                AH => word(4),
                GRE => gre_key(rest),
                // Echo and its reply, timestamp, …: type 0, 8, 13–18; 128 and 129 in ICMPv6.
                ICMP if matches!(rest.first(), Some(0 | 8 | 13..=18)) => rest.get(4..6),
                ICMPV6 if matches!(rest.first(), Some(128 | 129)) => rest.get(4..6),
                _ => None,
            };
            hasher.write(key.unwrap_or(&[]));
        }
        hasher.finish()
    }
}

/// Whether the answers to such a packet can be told by its headers: UDP by its ports. Not so ESP and AH, whose two directions
/// have nothing in common; and TCP always has answers, even where they take another way.
#[must_use]
pub fn answers_are_known(inner: &InnerPacket) -> bool {
    matches!(inner.protocol(), UDP | UDP_LITE) && !inner.is_fragment()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ports {
    AsTheyAre,
    Exchanged,
}

/// The key of a GRE header, behind the optional checksum (RFC 2890). In version 1, which is PPTP
/// (RFC 2637), the upper half is the packet's length and only the lower one, the call, names the flow.
fn gre_key(header: &[u8]) -> Option<&[u8]> {
    const CHECKSUM_OR_ROUTING: u8 = 0xc0;
    const KEY: u8 = 0x20;
    const VERSION: u8 = 0x07;
    let (flags, version) = (*header.first()?, header.get(1)? & VERSION);
    if flags & KEY == 0 {
        return None;
    }
    let at = if flags & CHECKSUM_OR_ROUTING != 0 { 8 } else { 4 };
    header.get(if version == 1 { at + 2..at + 4 } else { at..at + 4 })
}

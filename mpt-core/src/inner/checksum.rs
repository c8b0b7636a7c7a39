//! Internet checksums (RFC 1071): summed up, kept right while a field changes (RFC 1624, equation 3),
//! completed and verified.

use super::{Checksum, InnerPacket, Version};
use std::net::IpAddr;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// A packet whose transport checksum is not known here: neither TCP nor UDP, a fragment, or cut short.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no TCP or UDP header")]
pub struct NoChecksum;

/// The checksum after a 16-bit field changed from `old` to `new`. A wrong checksum stays as wrong as it was.
pub(super) fn updated(checksum: u16, old: u16, new: u16) -> u16 {
    let sum = u32::from(!checksum) + u32::from(!old) + u32::from(new);
    let sum = (sum & 0xffff) + (sum >> 16);
    !((sum & 0xffff) + (sum >> 16)) as u16
}

/// Writes `new` at `at` and updates the checksum at `sum_at`. Both lie within `packet`.
///
/// `at` is even within the checksummed area.
#[inline]
pub(super) fn replace_u16(packet: &mut [u8], at: usize, new: u16, sum_at: usize) {
    let old = u16::from_be_bytes([packet[at], packet[at + 1]]);
    let sum = u16::from_be_bytes([packet[sum_at], packet[sum_at + 1]]);
    packet[at..at + 2].copy_from_slice(&new.to_be_bytes());
    packet[sum_at..sum_at + 2].copy_from_slice(&updated(sum, old, new).to_be_bytes());
}

/// The one's complement sum of `bytes` as 16-bit words, the last one filled up with zero; not complemented.
pub(super) fn sum(bytes: &[u8]) -> u16 {
    let mut sum = 0u64;
    let words = bytes.chunks_exact(8);
    let mut last = [0; 8];
    last[..words.remainder().len()].copy_from_slice(words.remainder());
    // In the machine's byte order, which such a sum does not mind (RFC 1071, section 2). 8 192 words of two
    // halves stay far below 2^64.
    for word in words {
        let word = u64::from_ne_bytes(std::array::from_fn(|i| word[i]));
        sum += (word & 0xffff_ffff) + (word >> 32);
    }
    let word = u64::from_ne_bytes(last);
    sum += (word & 0xffff_ffff) + (word >> 32);
    fold(sum).to_be()
}

/// The same sum in 16 bits.
pub(super) const fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The sum of the pseudo header in front of `len` bytes of transport header and payload.
pub(super) fn pseudo_header(inner: &InnerPacket, len: usize) -> u16 {
    let addresses = match (inner.source(), inner.destination()) {
        (IpAddr::V4(a), IpAddr::V4(b)) => u64::from(sum(&a.octets())) + u64::from(sum(&b.octets())),
        (IpAddr::V6(a), IpAddr::V6(b)) => u64::from(sum(&a.octets())) + u64::from(sum(&b.octets())),
        // A packet has one version.
        _ => 0,
    };
    fold(addresses + u64::from(inner.protocol()) + (len as u64 & 0xffff) + (len as u64 >> 16))
}

/// Where the transport checksum of TCP or UDP stands.
///
/// # Errors
/// When it is neither, a fragment, or too short.
pub fn transport_checksum_at(packet: &[u8], inner: &InnerPacket) -> Result<usize, NoChecksum> {
    let (offset, header) = match inner.protocol() {
        TCP => (16, 20),
        UDP => (6, 8),
        _ => return Err(NoChecksum),
    };
    let fits = packet.len() >= inner.transport() + header;
    if fits && !inner.is_fragment() { Ok(inner.transport() + offset) } else { Err(NoChecksum) }
}

/// Completes a partial transport checksum: the field holds the sum of the pseudo header, the rest is added
/// here.
///
/// # Errors
/// When there is none to complete.
pub fn complete_checksum(packet: &mut [u8], inner: &InnerPacket) -> Result<(), NoChecksum> {
    let at = transport_checksum_at(packet, inner)?;
    let mut checksum = !sum(&packet[inner.transport()..]);
    if checksum == 0 && inner.protocol() == UDP {
        // Zero would mean that there is none (RFC 768).
        checksum = 0xffff;
    }
    packet[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
    Ok(())
}

/// Whether a complete transport checksum is there and right.
pub(super) fn is_right(packet: &[u8], inner: &InnerPacket) -> bool {
    let Ok(at) = transport_checksum_at(packet, inner) else { return false };
    if inner.protocol() == UDP && packet[at..at + 2] == [0, 0] {
        return false;
    }
    let covered = &packet[inner.transport()..];
    let total = u64::from(pseudo_header(inner, covered.len())) + u64::from(sum(covered));
    fold(total) == 0xffff
}

/// Whether the checksums of a TCP or UDP packet are such that it may become part of a super-packet, whose
/// checksums are made anew: nothing wrong may come out right, and nothing gets one that had none.
pub(super) fn may_be_made_anew(packet: &[u8], inner: &InnerPacket, known: Checksum) -> bool {
    if inner.version() == Version::V4 && sum(&packet[..inner.transport()]) != 0xffff {
        return false;
    }
    let Ok(at) = transport_checksum_at(packet, inner) else { return false };
    match known {
        Checksum::Full => is_right(packet, inner),
        Checksum::Valid => inner.protocol() != UDP || packet[at..at + 2] != [0, 0],
        Checksum::Partial => {
            let pseudo = pseudo_header(inner, packet.len() - inner.transport());
            packet[at..at + 2] == pseudo.to_be_bytes()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naive(bytes: &[u8]) -> u16 {
        let words = bytes.chunks(2).map(|p| [p[0], p.get(1).copied().unwrap_or(0)]);
        fold(words.map(|w| u64::from(u16::from_be_bytes(w))).sum())
    }

    proptest! {
        #[test]
        fn sums_as_by_hand(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            // 0 and 0xffff are the same number, but only zeros sum up to 0.
            prop_assert_eq!(sum(&bytes), naive(&bytes));
        }

        #[test]
        fn an_update_is_as_good_as_summing_up_again(
            mut bytes in prop::collection::vec(any::<u8>(), 40), at in 0usize..18, new: u16,
        ) {
            bytes[38] = 0;
            bytes[39] = 0;
            let checksum = !sum(&bytes);
            bytes[38..].copy_from_slice(&checksum.to_be_bytes());
            replace_u16(&mut bytes, at * 2, new, 38);
            prop_assert!(matches!(sum(&bytes), 0xffff | 0));
        }
    }

    #[test]
    fn udp_without_a_checksum_is_not_right_and_zero_is_written_as_ones() {
        // 10.0.0.1 to 10.0.0.2, ports and payload such that the sum is 0xffff.
        let mut packet = vec![0u8; 30];
        packet[0] = 0x45;
        packet[3] = 30;
        packet[9] = 17;
        packet[12..20].copy_from_slice(&[10, 0, 0, 1, 10, 0, 0, 2]);
        packet[25] = 10;
        let inner = InnerPacket::parse(&packet).unwrap();
        assert!(!is_right(&packet, &inner));
        let pseudo = pseudo_header(&inner, 10);
        packet[26..28].copy_from_slice(&pseudo.to_be_bytes());
        let rest = !sum(&packet[20..]);
        packet[28..30].copy_from_slice(&rest.to_be_bytes());
        complete_checksum(&mut packet, &inner).unwrap();
        assert_eq!(packet[26..28], [0xff, 0xff]);
        assert!(is_right(&packet, &inner));
        packet[29] ^= 1;
        assert!(!is_right(&packet, &inner));
    }
}

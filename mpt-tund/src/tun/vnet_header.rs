//! The header in front of each packet on a TUN device with `IFF_VNET_HDR`: `struct virtio_net_hdr` in the
//! machine's byte order.

use mpt_core::inner::{Checksum, Offload, Segments};

/// Bytes of the header: flags, GSO type, header length, segment size, checksum start and offset.
pub const VNET_HEADER_LEN: usize = 10;

const NEEDS_CSUM: u8 = 1;
const DATA_VALID: u8 = 2;

const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
/// A bit beside the type: the TCP flow takes part in ECN.
const GSO_ECN: u8 = 0x80;

/// Offset of the checksum in the TCP and in the UDP header.
const TCP_CHECKSUM: u16 = 16;
const UDP_CHECKSUM: u16 = 6;

/// A header that says something the kernel was not asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Unexpected;

/// Reads the header in front of `packet`. A checksum that is neither TCP's nor UDP's is completed here.
///
/// # Errors
/// When it speaks of an offload that was not asked for, or points outside the packet.
pub fn decode(header: &[u8; VNET_HEADER_LEN], packet: &mut [u8]) -> Result<Offload, Unexpected> {
    let word = |at: usize| u16::from_ne_bytes([header[at], header[at + 1]]);
    let (size, start, offset) = (word(4), word(6), word(8));
    let segments = match header[1] & !GSO_ECN {
        GSO_NONE => Segments::One,
        GSO_TCPV4 | GSO_TCPV6 => Segments::Tcp { size },
        GSO_UDP_L4 => Segments::Udp { size },
        _ => return Err(Unexpected),
    };
    let checksum = if header[0] & NEEDS_CSUM != 0 {
        if matches!(offset, TCP_CHECKSUM | UDP_CHECKSUM) {
            Checksum::Partial
        } else {
            complete(packet, start.into(), offset.into())?;
            Checksum::Full
        }
    } else if header[0] & DATA_VALID != 0 {
        Checksum::Valid
    } else {
        Checksum::Full
    };
    Ok(Offload { checksum, segments, transport: start })
}

/// Writes the header that stands for `offload` of `packet`, an IP packet.
pub fn encode(offload: &Offload, packet: &[u8], header: &mut [u8; VNET_HEADER_LEN]) {
    header.fill(0);
    let transport = usize::from(offload.transport);
    let v6 = packet.first().is_some_and(|b| b >> 4 == 6);
    let (kind, size) = match offload.segments {
        Segments::One => (GSO_NONE, 0),
        Segments::Tcp { size } => (if v6 { GSO_TCPV6 } else { GSO_TCPV4 }, size),
        Segments::Udp { size } => (GSO_UDP_L4, size),
    };
    let mut put = |at: usize, value: u16| header[at..at + 2].copy_from_slice(&value.to_ne_bytes());
    if kind != GSO_NONE {
        // Only a hint how much to keep in one piece: the headers.
        let transport_len = match kind {
            GSO_UDP_L4 => 8,
            _ => packet.get(transport + 12).map_or(20, |b| (b >> 4) * 4),
        };
        put(2, offload.transport + u16::from(transport_len));
        put(4, size);
    }
    match offload.checksum {
        Checksum::Partial => {
            let tcp = match offload.segments {
                Segments::One => is_tcp(packet),
                Segments::Tcp { .. } => true,
                Segments::Udp { .. } => false,
            };
            put(6, offload.transport);
            put(8, if tcp { TCP_CHECKSUM } else { UDP_CHECKSUM });
            header[0] = NEEDS_CSUM;
        }
        Checksum::Valid => header[0] = DATA_VALID,
        Checksum::Full => {}
    }
    header[1] = kind;
}

/// Whether the transport header of an IP packet is TCP's, by the only two protocols with partial checksums.
fn is_tcp(packet: &[u8]) -> bool {
    mpt_core::inner::InnerPacket::parse(packet).is_ok_and(|p| p.protocol() == 6)
}

/// Sums up `packet` from `start` and writes the checksum `offset` bytes behind it; what stands there is the
/// sum of what else belongs to it.
fn complete(packet: &mut [u8], start: usize, offset: usize) -> Result<(), Unexpected> {
    let covered = packet.get(start..).ok_or(Unexpected)?;
    let mut sum: u64 = 0;
    for pair in covered.chunks(2) {
        sum += u64::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let at = start + offset;
    let field = packet.get_mut(at..at + 2).ok_or(Unexpected)?;
    field.copy_from_slice(&(!(sum as u16)).to_be_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(bytes: [u8; 2], words: [u16; 4]) -> [u8; VNET_HEADER_LEN] {
        let mut h = [0; VNET_HEADER_LEN];
        h[..2].copy_from_slice(&bytes);
        for (to, word) in h[2..].chunks_exact_mut(2).zip(words) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        h
    }

    #[test]
    fn the_ecn_bit_is_no_type_and_the_header_length_is_not_believed() {
        let h = header([NEEDS_CSUM, GSO_TCPV4 | GSO_ECN], [9999, 1400, 20, 16]);
        let got = decode(&h, &mut [0x45; 60]).unwrap();
        let segments = Segments::Tcp { size: 1400 };
        assert_eq!(got, Offload { checksum: Checksum::Partial, segments, transport: 20 });
    }

    #[test]
    fn fragments_of_old_kernels_and_wild_offsets_are_refused() {
        assert_eq!(decode(&header([1, 3], [0, 1400, 20, 6]), &mut [0; 60]), Err(Unexpected));
        assert_eq!(decode(&header([1, 0], [0, 0, 59, 8]), &mut [0; 60]), Err(Unexpected));
        assert_eq!(decode(&header([1, 0], [0, 0, 9_000, 8]), &mut [0; 60]), Err(Unexpected));
    }

    #[test]
    fn checksums_of_other_protocols_are_completed() {
        let mut packet = [0u8; 32];
        packet[20..].copy_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0]);
        let got = decode(&header([1, 0], [0, 0, 20, 10]), &mut packet).unwrap();
        assert_eq!(got.checksum, Checksum::Full);
        let sum: u32 = packet[20..].chunks(2).map(|p| u32::from(p[0]) << 8 | u32::from(p[1])).sum();
        assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff);
    }

    #[test]
    fn what_is_written_can_be_read() {
        let mut packet = vec![0u8; 200];
        packet[0] = 0x60;
        packet[4..6].copy_from_slice(&160u16.to_be_bytes());
        packet[6] = 6;
        packet[52] = 0x80;
        for segments in [Segments::One, Segments::Tcp { size: 50 }] {
            for checksum in [Checksum::Partial, Checksum::Valid, Checksum::Full] {
                let transport = if checksum == Checksum::Partial { 40 } else { 0 };
                let offload = Offload { checksum, segments, transport };
                let mut h = [0xee; VNET_HEADER_LEN];
                encode(&offload, &packet, &mut h);
                assert_eq!(decode(&h, &mut packet.clone()), Ok(offload));
            }
        }
    }
}

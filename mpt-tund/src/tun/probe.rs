//! Whether the kernel takes the super-packets that it said it would take.

use super::{Offloads, TunDevice, VNET_HEADER_LEN};
use mpt_core::inner::{Checksum, Offload, Segments};

/// Payload of a segment; two of them make a super-packet.
const SIZE: usize = 64;

const TCP: u8 = 6;
const UDP: u8 = 17;

impl TunDevice {
    /// Writes a super-packet of each kind, which the kernel drops for its addresses: they are those of the loopback
    /// interface, where it did not come from. Gives the offloads without those that were refused. The
    /// interface has to be up.
    #[must_use]
    pub fn prove(&self) -> Offloads {
        let granted = self.offloads();
        if !granted.vnet {
            return granted;
        }
        let takes = |protocol| {
            [packet_v4(protocol), packet_v6(protocol)].into_iter().all(|(packet, transport)| {
                let segments = match protocol {
                    TCP => Segments::Tcp { size: SIZE as u16 },
                    _ => Segments::Udp { size: SIZE as u16 },
                };
                let offload = Offload { checksum: Checksum::Partial, segments, transport };
                let mut buffer = vec![0; VNET_HEADER_LEN];
                buffer.extend(packet);
                match self.write(&mut buffer, &offload) {
                    Ok(()) => true,
                    // Anything else is not about super-packets.
                    Err(e) => e.raw_os_error() != Some(libc::EINVAL),
                }
            })
        };
        Offloads { tso: granted.tso && takes(TCP), uso: granted.uso && takes(UDP), ..granted }
    }
}

/// A header with a pseudo header's sum where the checksum belongs, and two segments' payload.
fn transport(protocol: u8) -> Vec<u8> {
    let mut header = match protocol {
        // Ports, sequence and acknowledgement, length and ACK flag, window, checksum, urgent pointer.
        TCP => vec![0, 9, 0, 9, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 1, 0, 0, 0, 0, 0],
        _ => vec![0, 9, 0, 9, 0, (8 + 2 * SIZE) as u8, 0, 0],
    };
    header.resize(header.len() + 2 * SIZE, 0x6d);
    header
}

fn packet_v4(protocol: u8) -> (Vec<u8>, u16) {
    let transport = transport(protocol);
    let len = (20 + transport.len()) as u16;
    let mut packet =
        vec![0x45, 0, 0, 0, 0, 0, 0x40, 0, 64, protocol, 0, 0, 127, 0, 0, 2, 127, 0, 0, 3];
    packet[2..4].copy_from_slice(&len.to_be_bytes());
    let sum: u32 =
        packet.chunks_exact(2).map(|w| u32::from(u16::from_be_bytes([w[0], w[1]]))).sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
    packet.extend(transport);
    (packet, 20)
}

fn packet_v6(protocol: u8) -> (Vec<u8>, u16) {
    let transport = transport(protocol);
    let mut packet = vec![0x60, 0, 0, 0, 0, transport.len() as u8, protocol, 64];
    packet.extend(std::net::Ipv6Addr::LOCALHOST.octets());
    packet.extend(std::net::Ipv6Addr::LOCALHOST.octets());
    packet.extend(transport);
    (packet, 40)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mpt_core::inner::{InnerPacket, Split};

    #[test]
    fn they_are_super_packets_of_two() {
        for (protocol, segments) in
            [(TCP, Segments::Tcp { size: SIZE as u16 }), (UDP, Segments::Udp { size: SIZE as u16 })]
        {
            for (packet, transport) in [packet_v4(protocol), packet_v6(protocol)] {
                let offload = Offload { checksum: Checksum::Partial, segments, transport };
                let inner = InnerPacket::parse(&packet).unwrap();
                let split = Split::new(&packet, &offload, &inner).unwrap();
                assert_eq!((split.payload_len(), inner.protocol()), (2 * SIZE, protocol));
            }
        }
    }
}

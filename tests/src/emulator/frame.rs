//! What the emulator must know of a frame.

/// Bytes before the IP packet: two addresses and the EtherType.
pub(super) const ETHERNET_HEADER: usize = 14;

/// Whether the frame asks or tells a neighbour's hardware address.
pub(super) fn is_neighbour_discovery(frame: &[u8]) -> bool {
    const ARP: [u8; 2] = [0x08, 0x06];
    const IPV6: [u8; 2] = [0x86, 0xdd];
    const ICMPV6: u8 = 58;
    match frame.get(12..ETHERNET_HEADER) {
        Some(kind) if kind == ARP => true,
        Some(kind) if kind == IPV6 => {
            // Router solicitation to redirect, RFC 4861, 4. The next-header field is byte 6.
            let next = frame.get(ETHERNET_HEADER + 6).copied();
            let kind = frame.get(ETHERNET_HEADER + 40).copied();
            next == Some(ICMPV6) && kind.is_some_and(|k| (133..=137).contains(&k))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbour_discovery_is_told_from_data() {
        let mut frame = [0u8; 64];
        frame[12..14].copy_from_slice(&[0x08, 0x06]);
        assert!(is_neighbour_discovery(&frame));
        frame[12..14].copy_from_slice(&[0x86, 0xdd]);
        assert!(!is_neighbour_discovery(&frame));
        frame[20] = 58;
        frame[54] = 135;
        assert!(is_neighbour_discovery(&frame));
        frame[54] = 128;
        assert!(!is_neighbour_discovery(&frame), "an echo request is data");
        assert!(!is_neighbour_discovery(&frame[..54]));
    }
}

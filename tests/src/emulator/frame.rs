//! What the emulator must know of a frame.

/// Bytes before the IP packet: two addresses and the EtherType.
pub(super) const ETHERNET_HEADER: usize = 14;

/// Whether the frame serves the link itself and not what uses it: ARP, neighbour discovery, and
/// what IPv6 says to all on the link, such as multicast listener reports.
pub(super) fn is_housekeeping(frame: &[u8]) -> bool {
    const ARP: [u8; 2] = [0x08, 0x06];
    const IPV6: [u8; 2] = [0x86, 0xdd];
    const ICMPV6: u8 = 58;
    /// `ff02::/16`, multicast that no router passes on.
    const LINK_LOCAL: [u8; 2] = [0xff, 0x02];
    match frame.get(12..ETHERNET_HEADER) {
        Some(kind) if kind == ARP => true,
        Some(kind) if kind == IPV6 => {
            let ip = &frame[ETHERNET_HEADER..];
            // Router solicitation to redirect, RFC 4861, 4. The next-header field is byte 6.
            let discovers = ip.get(6) == Some(&ICMPV6)
                && ip.get(40).is_some_and(|kind| (133..=137).contains(kind));
            discovers || ip.get(24..26) == Some(&LINK_LOCAL)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn housekeeping_is_told_from_data() {
        let mut frame = [0u8; 64];
        frame[12..14].copy_from_slice(&[0x08, 0x06]);
        assert!(is_housekeeping(&frame));
        frame[12..14].copy_from_slice(&[0x86, 0xdd]);
        assert!(!is_housekeeping(&frame));
        frame[20] = 58;
        frame[54] = 135;
        assert!(is_housekeeping(&frame));
        frame[54] = 128;
        assert!(!is_housekeeping(&frame), "an echo request is data");
        assert!(!is_housekeeping(&frame[..54]));
        frame[38..40].copy_from_slice(&[0xff, 0x02]);
        assert!(is_housekeeping(&frame), "a multicast on the link");
    }
}

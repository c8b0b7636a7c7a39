//! A NAT in front of a link's first end, as far as a tunnel sees one: it gives UDP flows other
//! source ports, forgets them when told to, and lets in only what answers.

use super::frame::ETHERNET_HEADER;

/// How far apart the public ports of successive bindings are.
const STEP: u16 = 1000;

#[derive(Debug, Default)]
pub(super) struct Nat {
    shift: u16,
    /// Ports at the first end, and what the second end sees instead.
    bindings: Vec<(u16, u16)>,
}

impl Nat {
    /// Forgets all bindings; the next packet of a flow gets another port.
    pub(super) fn rebind(&mut self) {
        self.bindings.clear();
        self.shift = self.shift.wrapping_add(STEP);
    }

    /// Translates a frame on its way from the first end to the second.
    pub(super) fn outbound(&mut self, frame: &mut [u8]) {
        let Some(udp) = udp_header(frame) else { return };
        let port = u16::from_be_bytes([frame[udp], frame[udp + 1]]);
        let public = match self.bindings.iter().find(|(private, _)| *private == port) {
            Some((_, public)) => *public,
            None => {
                let public = port.wrapping_add(self.shift);
                self.bindings.push((port, public));
                public
            }
        };
        set_port(frame, udp, 0, public);
    }

    /// Translates a frame on its way back; `false` when nobody behind the NAT asked for it.
    #[must_use]
    pub(super) fn inbound(&self, frame: &mut [u8]) -> bool {
        let Some(udp) = udp_header(frame) else { return true };
        let port = u16::from_be_bytes([frame[udp + 2], frame[udp + 3]]);
        let Some((private, _)) = self.bindings.iter().find(|(_, public)| *public == port) else {
            return false;
        };
        set_port(frame, udp, 2, *private);
        true
    }
}

/// Where the frame's UDP header is; nothing when it has none, such as a later fragment.
fn udp_header(frame: &[u8]) -> Option<usize> {
    const UDP: u8 = 17;
    let ip = frame.get(ETHERNET_HEADER..)?;
    let (protocol, length) = match ip.first()? >> 4 {
        4 if u16::from_be_bytes([*ip.get(6)?, *ip.get(7)?]) & 0x1fff == 0 => {
            (*ip.get(9)?, usize::from(ip[0] & 15) * 4)
        }
        6 => (*ip.get(6)?, 40),
        _ => return None,
    };
    (protocol == UDP && ip.len() >= length + 8).then_some(ETHERNET_HEADER + length)
}

/// Writes the port at `offset` in the UDP header at `udp`, and corrects the checksum (RFC 1624,
/// equation 3), unless there is none.
fn set_port(frame: &mut [u8], udp: usize, offset: usize, port: u16) {
    let word = |frame: &[u8], at: usize| u16::from_be_bytes([frame[at], frame[at + 1]]);
    let (old, checksum) = (word(frame, udp + offset), word(frame, udp + 6));
    frame[udp + offset..udp + offset + 2].copy_from_slice(&port.to_be_bytes());
    if checksum != 0 {
        let mut sum = u32::from(!checksum) + u32::from(!old) + u32::from(port);
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        // Zero would mean that there is no checksum.
        let sum = match !(sum as u16) {
            0 => 0xffff,
            sum => sum,
        };
        frame[udp + 6..udp + 8].copy_from_slice(&sum.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An IPv4 frame with a UDP header of these ports and checksum.
    fn frame(source: u16, destination: u16, checksum: u16) -> Vec<u8> {
        let mut frame = vec![0; ETHERNET_HEADER + 28];
        frame[14] = 0x45;
        frame[23] = 17;
        frame[34..36].copy_from_slice(&source.to_be_bytes());
        frame[36..38].copy_from_slice(&destination.to_be_bytes());
        frame[40..42].copy_from_slice(&checksum.to_be_bytes());
        frame
    }

    #[test]
    fn answers_come_in_until_the_binding_is_forgotten() {
        let mut nat = Nat::default();
        nat.rebind();
        let mut answer = frame(4511, 5000, 0);
        assert!(!nat.inbound(&mut answer), "nobody asked");
        let mut question = frame(4000, 4511, 0);
        nat.outbound(&mut question);
        assert_eq!(question, frame(5000, 4511, 0));
        assert!(nat.inbound(&mut answer));
        assert_eq!(answer, frame(4511, 4000, 0));
        nat.rebind();
        assert!(!nat.inbound(&mut frame(4511, 5000, 0)));
        let mut question = frame(4000, 4511, 0);
        nat.outbound(&mut question);
        assert_eq!(question, frame(6000, 4511, 0));
    }

    #[test]
    fn checksums_stay_right() {
        // The one's complement sum of ports and checksum is what may not change.
        let sum = |f: &[u8]| {
            let words = f[34..42].chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1]));
            let sum: u32 = words.sum();
            (sum & 0xffff) + (sum >> 16)
        };
        for checksum in [1, 0x1234, 0xfffe, 0xffff] {
            let mut nat = Nat::default();
            nat.rebind();
            let before = frame(64_800, 4511, checksum);
            let mut after = before.clone();
            nat.outbound(&mut after);
            assert_ne!(after, before);
            assert_eq!(sum(&after) % 0xffff, sum(&before) % 0xffff, "{checksum:#x}");
        }
    }
}

//! The payload of a numbered packet: 32 bytes of header, then a fixed pattern.

use mpt_core::Time;

/// Bytes before the pattern: mark, flow, number in the flow, number overall (truncated), send time.
pub(super) const HEADER: usize = 32;

/// Tells our packets from others.
const MARK: u32 = 0x6d70_745f;

/// What a packet says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Which flow it belongs to.
    pub(super) flow: u32,
    /// Its number in the flow, from 0.
    pub(super) sequence: u64,
    /// Its number among all packets of the stream, from 0.
    pub(super) number: u64,
    /// When it was sent.
    pub(super) sent: Time,
}

impl Header {
    pub(super) fn write(self, packet: &mut [u8]) {
        packet[0..4].copy_from_slice(&MARK.to_be_bytes());
        packet[4..8].copy_from_slice(&self.flow.to_be_bytes());
        packet[8..16].copy_from_slice(&self.sequence.to_be_bytes());
        packet[16..24].copy_from_slice(&self.number.to_be_bytes());
        packet[24..32].copy_from_slice(&self.sent.as_nanos().to_be_bytes());
    }

    /// `None`: not a packet of ours.
    pub(super) fn read(packet: &[u8]) -> Option<Self> {
        let word = |at: usize| packet.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes);
        let long = |at: usize| packet.get(at..at + 8)?.try_into().ok().map(u64::from_be_bytes);
        (word(0)? == MARK).then_some(())?;
        Some(Self {
            flow: word(4)?,
            sequence: long(8)?,
            number: long(16)?,
            sent: Time::from_nanos(long(24)?),
        })
    }
}

/// A packet of `size` bytes whose header is still to be written. Its bytes tell of their place, so
/// that a segment cut or joined wrongly is noticed even where no checksum is.
pub(super) fn blank(size: usize) -> Vec<u8> {
    (0..size).map(|i| (i % 251) as u8).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_comes_back() {
        let header = Header { flow: 7, sequence: 1 << 40, number: 99, sent: Time::from_millis(5) };
        let mut packet = blank(40);
        header.write(&mut packet);
        assert_eq!(Header::read(&packet), Some(header));
        assert_eq!(packet[HEADER..], blank(40)[HEADER..]);
        packet[0] ^= 1;
        assert_eq!(Header::read(&packet), None);
        assert_eq!(Header::read(&packet[..20]), None);
    }
}

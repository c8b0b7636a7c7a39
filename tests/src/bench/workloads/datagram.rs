//! The datagrams we send: a number, and to which measurement it belongs.

/// Tells our datagrams from others.
const MARK: u32 = 0x6d70_7462;

/// What a datagram says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The measurement it belongs to: those that come late are not counted to the next.
    pub(super) step: u32,
    /// Its number in the step, from 0.
    pub(super) number: u64,
}

impl Header {
    /// Writes it to the beginning of `datagram`.
    pub(super) fn write(self, datagram: &mut [u8]) {
        datagram[0..4].copy_from_slice(&MARK.to_be_bytes());
        datagram[4..8].copy_from_slice(&self.step.to_be_bytes());
        datagram[8..16].copy_from_slice(&self.number.to_be_bytes());
    }

    /// `None`: not a datagram of ours.
    pub(super) fn read(datagram: &[u8]) -> Option<Self> {
        let (mark, rest) = datagram.split_first_chunk()?;
        let (step, rest) = rest.split_first_chunk()?;
        let number = u64::from_be_bytes(*rest.first_chunk()?);
        let step = u32::from_be_bytes(*step);
        (u32::from_be_bytes(*mark) == MARK).then_some(Self { step, number })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_comes_back() {
        let header = Header { step: 7, number: 1 << 40 };
        let mut datagram = [0; 64];
        header.write(&mut datagram);
        assert_eq!(Header::read(&datagram), Some(header));
        datagram[0] ^= 1;
        assert_eq!(Header::read(&datagram), None);
        assert_eq!(Header::read(&datagram[..15]), None);
    }
}

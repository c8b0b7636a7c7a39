//! A part of an inner packet, as it stands in a data packet.

use crate::DropReason;

/// Bytes in front of a part.
pub const PART_HEADER_LEN: usize = 8;

/// Where an IP packet has its version. No IP packet has this one, and none ever had.
const MARK: u8 = 0x10;

const ECN: u8 = 3;
const NOT_ECT: u8 = 0;
const CE: u8 = 3;

/// Not a part, or its lengths do not add up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a part of a packet")]
pub struct BadPart;

/// Bytes of an inner packet, and where they belong.
///
/// ```text
/// 0  mark    u8: 0x10
/// 1  tos     u8: the packet's TOS or traffic class, with what its ECN bits became on the way
/// 2  id      u16: counts the packets that this end sent in parts, wrapping
/// 4  offset  u16: of the bytes in the packet
/// 6  total   u16: bytes of the packet
/// 8          the bytes
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Part<'a> {
    /// TOS or traffic class.
    pub tos: u8,
    /// Which packet, of those in parts.
    pub id: u16,
    /// Where the bytes begin in it.
    pub offset: u16,
    /// How long it is.
    pub total: u16,
    /// The bytes.
    pub bytes: &'a [u8],
}

impl<'a> Part<'a> {
    /// Whether this is a part, or at least no packet.
    #[inline]
    #[must_use]
    pub fn is_one(inner: &[u8]) -> bool {
        inner.first().is_some_and(|b| b & 0xf0 == MARK)
    }

    /// Writes header and bytes.
    ///
    /// # Panics
    /// When `out` is not exactly as long as both.
    pub fn encode(&self, out: &mut [u8]) {
        let (header, bytes) = out.split_at_mut(PART_HEADER_LEN);
        header[0] = MARK;
        header[1] = self.tos;
        header[2..4].copy_from_slice(&self.id.to_be_bytes());
        header[4..6].copy_from_slice(&self.offset.to_be_bytes());
        header[6..8].copy_from_slice(&self.total.to_be_bytes());
        bytes.copy_from_slice(self.bytes);
    }

    /// Reads a part.
    ///
    /// # Errors
    /// When it is none: no bytes, or some beyond the packet's end, or all of them at once.
    pub fn decode(inner: &'a [u8]) -> Result<Self, BadPart> {
        let (h, bytes) = inner.split_first_chunk::<PART_HEADER_LEN>().ok_or(BadPart)?;
        let u16_at = |i: usize| u16::from_be_bytes([h[i], h[i + 1]]);
        let part = Self { tos: h[1], id: u16_at(2), offset: u16_at(4), total: u16_at(6), bytes };
        let (total, end) = (usize::from(part.total), usize::from(part.offset) + bytes.len());
        let whole = bytes.len() >= total;
        if h[0] != MARK || bytes.is_empty() || end > total || whole {
            Err(BadPart)
        } else {
            Ok(part)
        }
    }

    /// Notes on a part that was read what the outer packet's ECN field says, for the packet it belongs to.
    ///
    /// # Errors
    /// Congestion was signalled to a packet that does not take part in ECN: it is to be dropped (RFC 6040).
    pub fn note_ecn(inner: &mut [u8], outer: u8) -> Result<(), DropReason> {
        let Some(tos) = inner.get_mut(1) else { return Ok(()) };
        match (*tos & ECN, outer & ECN) {
            (NOT_ECT, CE) => Err(DropReason::EcnNotCapable),
            (NOT_ECT, _) => Ok(()),
            (_, CE) => {
                *tos |= CE;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PART: Part<'static> =
        Part { tos: 0xb8, id: 0x0102, offset: 640, total: 1_280, bytes: &[7; 640] };

    fn encoded(part: &Part<'_>) -> Vec<u8> {
        let mut out = vec![0; PART_HEADER_LEN + part.bytes.len()];
        part.encode(&mut out);
        out
    }

    #[test]
    fn is_read_as_it_was_written() {
        let out = encoded(&PART);
        assert_eq!(&out[..9], &[0x10, 0xb8, 1, 2, 2, 0x80, 5, 0, 7], "docs/protocol.md");
        assert!(Part::is_one(&out));
        assert_eq!(Part::decode(&out), Ok(PART));
    }

    #[test]
    fn lengths_must_add_up() {
        for bad in [
            Part { bytes: &[], ..PART },
            Part { offset: 641, ..PART },
            Part { offset: u16::MAX, ..PART },
            Part { total: 0, ..PART },
            Part { offset: 0, total: 640, ..PART },
        ] {
            assert_eq!(Part::decode(&encoded(&bad)), Err(BadPart), "{bad:?}");
        }
        assert_eq!(Part::decode(&encoded(&PART)[..8]), Err(BadPart));
        assert_eq!(Part::decode(&[0x45; 40]), Err(BadPart));
        assert!(!Part::is_one(&[0x45; 40]));
        assert!(!Part::is_one(&[]));
    }

    #[test]
    fn congestion_is_noted() {
        let noted = |tos, outer| {
            let mut out = encoded(&Part { tos, ..PART });
            Part::note_ecn(&mut out, outer).map(|()| out[1])
        };
        assert_eq!(noted(0xba, 3), Ok(0xbb));
        assert_eq!(noted(0xbb, 0), Ok(0xbb));
        assert_eq!(noted(0xb8, 2), Ok(0xb8));
        assert_eq!(noted(0xb8, 3), Err(DropReason::EcnNotCapable));
    }
}

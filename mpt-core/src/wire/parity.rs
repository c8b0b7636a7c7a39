//! What a lost packet is made again from.

use super::{Reader, Writer};
use crate::WorkerId;

/// Packets that one parity covers, at most.
pub const MAX_COVERED: usize = 8;

/// Bytes in front of the parity's own, at most.
pub const PARITY_HEADER_LEN: usize = 1 + 1 + 8 + 2 * (MAX_COVERED - 1) + 2 + 2 + 1 + 2;

/// The exclusive or of some packets: with all but one of them it gives the one.
///
/// `worker u8 | piece and count u8 | first packet number u64 | (count - 1) × step u16 | lengths u16 | distances u16 |
/// checksum flags u8 | length u16 | bytes`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Parity<'a> {
    /// Whose packet numbers.
    pub worker: WorkerId,
    /// How much of it this is.
    pub piece: Piece,
    /// What it covers.
    pub covered: Covered,
    /// The exclusive or of what stands beside the packets.
    pub beside: Beside,
    /// The exclusive or of the packets, shorter ones filled up with zeros; of a piece its part of that.
    pub bytes: &'a [u8],
}

/// What a message carries of a parity: one of packets that fill the MTU does not fit into a datagram.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Piece {
    /// All of it.
    #[default]
    Whole,
    /// The beginning.
    Head,
    /// What comes behind that.
    Tail,
}

/// The piece stands beside the count, in its high bits.
const HEAD: u8 = 0x80;
const TAIL: u8 = 0x40;

impl Piece {
    const fn bits(self) -> u8 {
        match self {
            Self::Whole => 0,
            Self::Head => HEAD,
            Self::Tail => TAIL,
        }
    }

    /// The piece, and the count.
    const fn split(byte: u8) -> Option<(Self, u8)> {
        let count = byte & !(HEAD | TAIL);
        match byte & (HEAD | TAIL) {
            0 => Some((Self::Whole, count)),
            HEAD => Some((Self::Head, count)),
            TAIL => Some((Self::Tail, count)),
            _ => None,
        }
    }
}

/// What a receiver has to know of a packet beside its bytes; or the exclusive or of that.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Beside {
    /// Bytes of the packet.
    pub len: u16,
    /// How far back its predecessor is.
    pub distance: u16,
    /// Its checksum flags, as they stand in the data header.
    pub flags: u8,
}

impl Beside {
    /// The exclusive or with `other`.
    pub const fn mix(&mut self, other: Self) {
        self.len ^= other.len;
        self.distance ^= other.distance;
        self.flags ^= other.flags;
    }
}

/// Packet numbers, one to eight, that grow.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Covered {
    numbers: [u64; MAX_COVERED],
    count: u8,
}

impl Covered {
    /// Adds a number; whether there was room, and it is near enough to the one before.
    pub fn add(&mut self, pn: u64) -> bool {
        let near = self.as_slice().last().is_none_or(|&last| {
            pn.checked_sub(last).is_some_and(|step| (1..=u64::from(u16::MAX)).contains(&step))
        });
        let Some(slot) = self.numbers.get_mut(usize::from(self.count)).filter(|_| near) else {
            return false;
        };
        *slot = pn;
        self.count += 1;
        true
    }

    /// Whether `pn` is one of them.
    #[must_use]
    pub fn contains(&self, pn: u64) -> bool {
        let numbers = self.as_slice();
        numbers.last().is_some_and(|&last| pn <= last) && numbers.contains(&pn)
    }

    /// The numbers.
    #[must_use]
    pub fn as_slice(&self) -> &[u64] {
        &self.numbers[..usize::from(self.count)]
    }
}

impl<'a> Parity<'a> {
    /// Writes it; the length, or `None` when there is no room.
    #[must_use]
    pub fn encode(&self, out: &mut [u8]) -> Option<usize> {
        let numbers = self.covered.as_slice();
        let mut w = Writer::new(out);
        w.u8(self.worker.get())?;
        w.u8(self.piece.bits() | self.covered.count)?;
        w.u64(*numbers.first()?)?;
        for pair in numbers.windows(2) {
            w.u16((pair[1] - pair[0]) as u16)?;
        }
        w.u16(self.beside.len)?;
        w.u16(self.beside.distance)?;
        w.u8(self.beside.flags)?;
        w.u16(u16::try_from(self.bytes.len()).ok()?)?;
        w.bytes(self.bytes)?;
        Some(w.len())
    }

    /// Reads it.
    #[must_use]
    pub fn decode(message: &'a [u8]) -> Option<Self> {
        let mut r = Reader::new(message);
        let worker = WorkerId::new(r.u8()?)?;
        let (piece, count) = Piece::split(r.u8()?)?;
        let mut covered = Covered::default();
        let mut pn = r.u64()?;
        if count == 0 || pn == 0 || !covered.add(pn) {
            return None;
        }
        for _ in 1..count {
            pn = pn.checked_add(u64::from(r.u16()?))?;
            if !covered.add(pn) {
                return None;
            }
        }
        let beside = Beside { len: r.u16()?, distance: r.u16()?, flags: r.u8()? };
        let len = usize::from(r.u16()?);
        Some(Self { worker, piece, covered, beside, bytes: r.bytes(len)? })
    }
}

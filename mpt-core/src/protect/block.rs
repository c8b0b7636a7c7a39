//! Packets that are protected together.

use crate::id::MAX_PATHS;
use crate::wire::{Beside, Covered, MAX_COVERED, Parity, Piece};
use crate::{PathId, Time, WorkerId};
use std::time::Duration;

/// Most packets of a block.
pub const BLOCK_PACKETS: usize = MAX_COVERED;

/// A block ends so long after its first packet, for what is lost is not to be waited for longer.
pub const BLOCK_TIME: Duration = Duration::from_millis(20);

/// What a parity may cost.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Cost {
    /// Somebody asked for it.
    #[default]
    Any,
    /// It covers sparse flows: little.
    Small,
    /// It is sent only where there is room that nobody uses.
    Spare,
}

/// The exclusive or of the packets so far.
#[derive(Clone, Debug, Default)]
pub struct Block {
    cost: Cost,
    covered: Covered,
    beside: Beside,
    bytes: Vec<u8>,
    began: Time,
    /// Packets by path.
    on: [u8; MAX_PATHS],
}

impl Block {
    /// Begins afresh; memory is kept.
    pub fn clear(&mut self) {
        self.bytes.clear();
        *self = Self { bytes: std::mem::take(&mut self.bytes), ..Self::default() };
    }

    /// Whether its parity is to be sent in any case: said of an empty one.
    pub(super) const fn set_cost(&mut self, cost: Cost) {
        self.cost = cost;
    }

    /// What its parity may cost.
    #[must_use]
    pub const fn cost(&self) -> Cost {
        self.cost
    }

    /// Adds a packet, which goes by `path`. Whether it could: there was room, and it came soon enough.
    pub fn add(&mut self, now: Time, path: PathId, pn: u64, beside: Beside, packet: &[u8]) -> bool {
        if self.is_empty() {
            self.began = now;
        }
        if !self.covered.add(pn) {
            return false;
        }
        self.beside.mix(beside);
        mix(&mut self.bytes, packet);
        self.on[path.index()] += 1;
        true
    }

    /// When it ends; none while there is nothing in it.
    #[must_use]
    pub fn ends(&self) -> Option<Time> {
        (!self.is_empty()).then(|| self.began + BLOCK_TIME)
    }

    /// Bytes of its parity.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.covered.as_slice().is_empty()
    }

    /// Whether it has all the packets that it may have.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.covered.as_slice().len() == BLOCK_PACKETS
    }

    /// How many of its packets went by `path`.
    #[must_use]
    pub const fn on(&self, path: PathId) -> u8 {
        self.on[path.index()]
    }

    /// Its parity, in two pieces where it has more than `room` bytes.
    pub fn parity(&self, worker: WorkerId, room: usize) -> impl Iterator<Item = Parity<'_>> {
        let piece = move |piece, bytes| Parity {
            worker,
            piece,
            covered: self.covered,
            beside: self.beside,
            bytes,
        };
        let pieces = match self.bytes.split_at_checked(room) {
            Some((head, tail)) if !tail.is_empty() => {
                [Some(piece(Piece::Head, head)), Some(piece(Piece::Tail, tail))]
            }
            _ => [Some(piece(Piece::Whole, &self.bytes)), None],
        };
        pieces.into_iter().flatten()
    }
}

/// The exclusive or of both, as long as the longer one.
pub(super) fn mix(sum: &mut Vec<u8>, packet: &[u8]) {
    if sum.len() < packet.len() {
        sum.resize(packet.len(), 0);
    }
    for (sum, byte) in sum.iter_mut().zip(packet) {
        *sum ^= byte;
    }
}

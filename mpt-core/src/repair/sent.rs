//! An entry in the account of what was sent.

use super::chunks::Spot;
use super::{Handling, Kept};
use crate::wire::HeaderFlags;
use crate::{PathId, Time};
use std::time::Duration;

/// Where a packet's bytes are, in a word: in a chunk from an offset on, in a super-packet, or gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Place(u32);

impl Place {
    /// They made room for newer ones.
    pub(super) const GONE: Self = Self(u32::MAX);
    const WHOLE: u32 = 1 << 31;
    const OFFSET: u32 = u16::MAX as u32;

    /// In super-packet `number`, of 15 bits; the payload begins at `at`, which is never the last of 65 536.
    pub(super) const fn whole(number: u16, at: u16) -> Self {
        Self(Self::WHOLE | (number as u32) << 16 | at as u32)
    }

    pub(super) const fn in_chunk(spot: Spot) -> Self {
        Self((spot.chunk as u32) << 16 | spot.offset as u32)
    }

    pub(super) fn chunk(self) -> Option<Spot> {
        let spot = Spot { chunk: (self.0 >> 16) as u16, offset: self.0 as u16 };
        (self.0 & Self::WHOLE == 0).then_some(spot)
    }

    pub(super) fn in_whole(self) -> Option<(u16, usize)> {
        let whole = self.0 & Self::WHOLE != 0 && self != Self::GONE;
        whole.then_some(((self.0 >> 16) as u16 & 0x7fff, usize::from(self.0 as u16)))
    }

    /// `bytes` further on in the same chunk or super-packet.
    fn plus(self, bytes: u32) -> Self {
        if self == Self::GONE { self } else { Self(self.0 + bytes) }
    }

    /// How many bytes `next` is behind this, if it is in the same chunk or super-packet.
    fn step_to(self, next: Self) -> Option<u16> {
        let same = self.0 & !Self::OFFSET == next.0 & !Self::OFFSET;
        let both = self != Self::GONE && next != Self::GONE;
        let step = (same && both).then(|| (next.0 as u16).checked_sub(self.0 as u16))??;
        (step > 0).then_some(step)
    }
}

/// Packets of consecutive numbers that were sent alike: at one time, by one path, of one length, one behind the other in
/// memory. What is said of a packet is so of each of them.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// When it was sent first.
    pub at: Time,
    /// The lower half of the first one's number.
    low: u32,
    /// How long after that it was found lost first, in microseconds and one more; 0 while it was not.
    lost_after: u32,
    /// The first one's.
    place: Place,
    len: u16,
    count: u16,
    /// From one's place to the next one's, where there are several.
    step: u16,
    /// How far back its predecessor is.
    pub distance: u16,
    /// The open paths it said first.
    pub open_paths: u16,
    /// What its class asks.
    pub handling: Handling,
    /// Its header's flags.
    pub flags: HeaderFlags,
    /// Seals so far, less one.
    pub copy: u8,
    /// Seals that may still arrive.
    pub under_way: u8,
    /// It arrived, or is not to be sent again.
    pub done: bool,
    /// It said of itself that it would not be sent again.
    pub unrepaired: bool,
    /// Where it was sent last.
    pub path: PathId,
}

// One for each packet under way, where all are sent one by one.
const _: () = assert!(size_of::<Sent>() <= 40);

impl Sent {
    /// Packet `pn`, sent for the first time.
    pub(super) fn new(
        at: Time,
        pn: u64,
        path: PathId,
        kept: Kept,
        unrepaired: bool,
        place: Place,
        len: u16,
    ) -> Self {
        let Kept { distance, open_paths, flags, handling } = kept;
        Self {
            at,
            low: pn as u32,
            lost_after: 0,
            place,
            len,
            count: 1,
            step: 0,
            distance,
            open_paths,
            handling,
            flags,
            copy: 0,
            under_way: 1,
            done: false,
            unrepaired,
            path,
        }
    }

    /// Takes the next packet, which was sent behind these for the first time, into this entry; false where it differs.
    // One value is compared with another here, and none is put together before: to read in one piece what was just written
    // in several takes the processor longer than all of this, for the packet's bytes must leave its store buffer first.
    #[inline]
    pub(super) fn join(
        &mut self,
        at: Time,
        path: PathId,
        kept: Kept,
        unrepaired: bool,
        place: Place,
        len: u16,
    ) -> bool {
        let Kept { distance, open_paths, flags, handling } = kept;
        let untouched = self.copy == 0 && self.under_way == 1 && !self.done && self.lost_after == 0;
        let alike = self.at == at
            && self.path == path
            && self.len == len
            && self.distance == distance
            && self.open_paths == open_paths
            && self.flags == flags
            && self.handling == handling
            && self.unrepaired == unrepaired;
        if !untouched || !alike || self.count == u16::MAX {
            return false;
        }
        let last = self.place.plus(u32::from(self.step) * u32::from(self.count - 1));
        match last.step_to(place) {
            Some(step) if self.count == 1 => self.step = step,
            Some(step) if step == self.step => {}
            _ => return false,
        }
        self.count += 1;
        true
    }

    /// Leaves the packets before `pn` here and gives the others, if there are both.
    pub(super) fn split_off(&mut self, pn: u64) -> Option<Self> {
        let before = self.before(pn);
        if before == 0 || before >= self.count {
            return None;
        }
        let rest =
            Self { low: pn as u32, place: self.place_of(pn), count: self.count - before, ..*self };
        self.count = before;
        Some(rest)
    }

    /// Where packet `pn` of these is.
    pub(super) fn place_of(&self, pn: u64) -> Place {
        self.place.plus(u32::from(self.step) * u32::from(self.before(pn)))
    }

    /// Whether packet `pn` is one of these. As for the others: of numbers that are remembered, which are close.
    pub(super) fn has(&self, pn: u64) -> bool {
        (pn as u32).wrapping_sub(self.low) < u32::from(self.count)
    }

    /// Whether the first one's number is less than `pn`.
    pub(super) fn is_before(&self, pn: u64) -> bool {
        (self.low.wrapping_sub(pn as u32) as i32) < 0
    }

    /// How many come before `pn`, which is one of these or follows them.
    fn before(&self, pn: u64) -> u16 {
        u16::try_from((pn as u32).wrapping_sub(self.low)).unwrap_or(u16::MAX)
    }

    /// How many there are.
    #[must_use]
    pub const fn count(&self) -> u16 {
        self.count
    }

    /// They lose their bytes; where those were.
    pub(super) fn release(&mut self) -> Place {
        std::mem::replace(&mut self.place, Place::GONE)
    }

    /// They were found lost; the first time counts.
    pub fn mark_lost(&mut self, now: Time) {
        if self.lost_after == 0 {
            let micros = now.since(self.at).as_micros() + 1;
            self.lost_after = u32::try_from(micros).unwrap_or(u32::MAX);
        }
    }

    /// How long ago they were found lost first.
    #[must_use]
    pub fn lost_for(&self, now: Time) -> Duration {
        match self.lost_after {
            0 => Duration::ZERO,
            after => now.since(self.at + Duration::from_micros(u64::from(after) - 1)),
        }
    }

    /// Bytes of a packet.
    #[must_use]
    pub const fn len(&self) -> u16 {
        self.len
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether their bytes made room for newer ones: they cannot be sent again.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.place == Place::GONE
    }
}

//! What was sent lately, in the form in which it was read.

use super::Handling;
use super::chunks::{CHUNK, Chunks, Spot};
use super::whole::{Segment, Wholes};
use crate::inner::Split;
use crate::wire::HeaderFlags;
use crate::{PacketNumber, PathId, Time};
use std::collections::VecDeque;
use std::time::Duration;

/// Packets count as at least this long: so the account of them is bounded too.
const LEAST_PACKET: usize = 128;

/// Memory beyond the first is given back when nothing was sent for this long.
const IDLE: Duration = Duration::from_secs(5);

/// Chunks that nobody needed for so long are given back.
const ROOMY: Duration = Duration::from_secs(1);

/// Super-packets take this part of the memory at most, in quarters.
const WHOLES: usize = 3;

/// A super-packet that fills this part of its buffer is kept in it; copying less is cheaper than
/// a large buffer for it.
const LEAST_SHARE: usize = 2;

/// What a packet's header said, and what its class asks.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// How far back its predecessor is.
    pub distance: u16,
    /// The open paths it said first.
    pub open_paths: u16,
    /// Its header's flags.
    pub flags: HeaderFlags,
    /// What its class asks.
    pub handling: Handling,
}

/// What of a packet is to be kept.
#[derive(Clone, Copy, Debug)]
pub enum Content<'a> {
    /// All of it, copied.
    Packet(&'a [u8]),
    /// Nothing: it is the segment of the super-packet about to be [adopted](SentStore::adopt) whose payload begins
    /// at `at`.
    Segment {
        /// Its payload's offset in the super-packet's.
        at: u16,
        /// Bytes of the segment with its headers.
        len: u16,
    },
}

/// A packet that was sent.
#[derive(Clone, Copy, Debug)]
pub enum Stored<'a> {
    /// As it was read.
    Packet(&'a [u8]),
    /// To be cut from what was read.
    Segment(Segment<'a>),
}

impl Stored<'_> {
    /// Bytes of the packet.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Packet(packet) => packet.len(),
            Self::Segment(segment) => segment.len(),
        }
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its first bytes, up to the end of its first header at least; lengths and checksums there may be those of a
    /// super-packet.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        match self {
            Self::Packet(packet) => packet,
            Self::Segment(segment) => segment.head(),
        }
    }

    /// Writes the packet to `to`, which has its length.
    pub fn write(&self, to: &mut [u8]) {
        match self {
            Self::Packet(packet) => to.copy_from_slice(packet),
            Self::Segment(segment) => segment.write(to),
        }
    }
}

/// Where a packet's bytes are, in a word: in a chunk from an offset on, in a super-packet, or gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Place(u32);

impl Place {
    /// They made room for newer ones.
    const GONE: Self = Self(u32::MAX);
    const WHOLE: u32 = 1 << 31;

    /// In super-packet `number`, of 15 bits; the payload begins at `at`, which is never the last of 65 536.
    const fn whole(number: u16, at: u16) -> Self {
        Self(Self::WHOLE | (number as u32) << 16 | at as u32)
    }

    const fn in_chunk(spot: Spot) -> Self {
        Self((spot.chunk as u32) << 16 | spot.offset as u32)
    }

    fn chunk(self) -> Option<Spot> {
        let spot = Spot { chunk: (self.0 >> 16) as u16, offset: self.0 as u16 };
        (self.0 & Self::WHOLE == 0).then_some(spot)
    }

    fn in_whole(self) -> Option<(u16, usize)> {
        let whole = self.0 & Self::WHOLE != 0 && self != Self::GONE;
        whole.then_some(((self.0 >> 16) as u16 & 0x7fff, usize::from(self.0 as u16)))
    }
}

/// One packet that was sent.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// When it was sent first.
    pub at: Time,
    /// How long after that it was found lost first, in microseconds and one more; 0 while it was not.
    lost_after: u32,
    place: Place,
    len: u16,
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

// One for each packet under way.
const _: () = assert!(size_of::<Sent>() <= 32);

impl Sent {
    /// It was found lost; the first time counts.
    pub fn mark_lost(&mut self, now: Time) {
        if self.lost_after == 0 {
            let micros = now.since(self.at).as_micros() + 1;
            self.lost_after = u32::try_from(micros).unwrap_or(u32::MAX);
        }
    }

    /// How long ago it was found lost first.
    #[must_use]
    pub fn lost_for(&self, now: Time) -> Duration {
        match self.lost_after {
            0 => Duration::ZERO,
            after => now.since(self.at + Duration::from_micros(u64::from(after) - 1)),
        }
    }

    /// Bytes of the packet.
    #[must_use]
    pub const fn len(&self) -> u16 {
        self.len
    }

    /// Whether it has none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether its bytes made room for newer ones: it cannot be sent again.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.place == Place::GONE
    }
}

/// The packets of consecutive numbers: their bytes in chunks, where the oldest make room for the newest, or,
/// as segments, in the super-packets that they were cut from. What a packet's header said is remembered
/// longer than its bytes: the receiver is to be told of what cannot be sent again.
///
/// The memory is small while little is under way: what became free is used again first, and it grows only where what is in
/// the way may still be asked for.
#[derive(Debug)]
pub struct SentStore {
    chunks: Chunks,
    wholes: Wholes,
    /// Bytes of the two together, at most.
    limit: usize,
    max_age: Duration,
    packets: VecDeque<Sent>,
    /// The number of the first of `packets`.
    first: u64,
    /// Packets before this number have no bytes any more.
    kept: u64,
    /// Segments of the super-packet that is about to be adopted.
    segments: usize,
    /// When something was sent last.
    last: Time,
    /// When chunks were given back last.
    judged: Time,
}

impl SentStore {
    /// An empty store of at most `limit` bytes, of packets up to `max_age` old.
    #[must_use]
    pub fn new(limit: usize, max_age: Duration) -> Self {
        // Chunks and super-packets have numbers of 15 bits.
        let limit = limit.min(i32::MAX as usize);
        Self {
            chunks: Chunks::new(limit),
            wholes: Wholes::default(),
            limit,
            max_age,
            packets: VecDeque::new(),
            first: 1,
            kept: 1,
            segments: 0,
            last: Time::ZERO,
            judged: Time::ZERO,
        }
    }

    /// Keeps a packet. Numbers come without gaps.
    #[inline]
    pub fn push(
        &mut self,
        now: Time,
        pn: PacketNumber,
        path: PathId,
        kept: Kept,
        content: Content<'_>,
    ) {
        self.last = now;
        if pn.0 != self.end() {
            self.begin_at(pn.0);
        }
        if self.packets.len() >= (self.limit / LEAST_PACKET).max(1) {
            self.forget_through(self.first);
        }
        let (place, len) = match content {
            Content::Packet(packet) => match u16::try_from(packet.len()) {
                Ok(len) => (self.copy(now, packet), len),
                Err(_) => (Place::GONE, u16::MAX),
            },
            Content::Segment { at, len } => {
                self.segments += 1;
                (Place::whole(self.wholes.next(), at), len)
            }
        };
        let Kept { distance, open_paths, flags, handling } = kept;
        self.packets.push_back(Sent {
            at: now,
            lost_after: 0,
            place,
            len,
            distance,
            open_paths,
            handling,
            flags,
            copy: 0,
            under_way: 1,
            done: false,
            unrepaired: false,
            path,
        });
    }

    /// Whether a super-packet of `len` bytes, in a buffer of `buffer` bytes, is to be kept there. If so, its segments
    /// are to follow as such, and then [`adopt`](Self::adopt).
    pub fn wants(&mut self, now: Time, len: usize, buffer: usize) -> bool {
        self.segments = 0;
        len * LEAST_SHARE >= buffer && self.make_room(now, buffer)
    }

    /// Keeps the super-packet of `len` bytes at `start` in `buffer` that the last segments were cut from, `size` bytes of
    /// payload for each; another buffer of the same length, with anything in it, takes its place. Nothing happens when none of them was
    /// sent.
    pub fn adopt(
        &mut self,
        buffer: &mut Box<[u8]>,
        place: (usize, usize),
        split: Split,
        size: usize,
    ) {
        if self.segments > 0 {
            self.wholes.keep(buffer, place, (split, size), self.segments);
            self.segments = 0;
        }
    }

    /// Packet `pn`, if it is remembered.
    #[must_use]
    pub fn get(&self, pn: u64) -> Option<&Sent> {
        self.packets.get(usize::try_from(pn.checked_sub(self.first)?).ok()?)
    }

    /// Packet `pn`, if it is remembered.
    pub fn get_mut(&mut self, pn: u64) -> Option<&mut Sent> {
        self.packets.get_mut(usize::try_from(pn.checked_sub(self.first)?).ok()?)
    }

    /// What was read, unless it is [gone](Sent::is_gone).
    #[must_use]
    pub fn content(&self, sent: &Sent) -> Option<Stored<'_>> {
        if let Some(spot) = sent.place.chunk() {
            return self.chunks.get(spot, usize::from(sent.len)).map(Stored::Packet);
        }
        let (number, at) = sent.place.in_whole()?;
        self.wholes.get(number, at).map(Stored::Segment)
    }

    /// Forgets packets up to `pn`.
    pub fn forget_through(&mut self, pn: u64) {
        let end = self.end();
        let keep_from = pn.saturating_add(1).clamp(self.first, end);
        while self.kept < keep_from {
            self.release_oldest();
        }
        self.packets.drain(..(keep_from - self.first) as usize);
        self.first = keep_from;
    }

    /// Gives back memory, when nothing was sent for a while.
    pub fn trim(&mut self, now: Time) {
        if self.memory() > CHUNK && now.since(self.last) >= IDLE {
            self.begin_at(self.end());
            self.chunks.clear();
            self.wholes.trim();
            self.packets = VecDeque::new();
        }
    }

    /// The number of the oldest packet that is remembered, or the next one's.
    #[must_use]
    pub const fn first(&self) -> u64 {
        self.first
    }

    /// Bytes of memory for packets.
    #[must_use]
    pub const fn memory(&self) -> usize {
        self.chunks.memory() + self.wholes.memory()
    }

    /// The number of the next packet.
    fn end(&self) -> u64 {
        self.first + self.packets.len() as u64
    }

    /// Forgets everything; `pn` comes next.
    #[cold]
    fn begin_at(&mut self, pn: u64) {
        self.forget_through(self.end());
        (self.first, self.kept) = (pn, pn);
    }

    /// The oldest packet that has its bytes loses them.
    fn release_oldest(&mut self) {
        let pn = self.kept;
        self.kept += 1;
        let Some(sent) = self.get_mut(pn) else { return };
        let place = std::mem::replace(&mut sent.place, Place::GONE);
        if let Some((number, _)) = place.in_whole() {
            if number == self.wholes.next() {
                self.segments -= 1;
            }
            self.wholes.release(number);
        } else if let Some(spot) = place.chunk() {
            self.chunks.release(spot.chunk);
        }
    }

    /// Copies `packet` into a chunk.
    #[inline]
    fn copy(&mut self, now: Time, packet: &[u8]) -> Place {
        loop {
            if let Some(spot) = self.chunks.push(packet) {
                if spot.offset == 0 && now.since(self.judged) >= ROOMY {
                    self.judged = now;
                    self.chunks.give_back();
                }
                return Place::in_chunk(spot);
            }
            if !self.make_room_in_chunks(now, packet.len()) {
                return Place::GONE;
            }
        }
    }

    /// There is another chunk for packets, or the oldest one goes. Whether there is hope.
    #[cold]
    fn make_room_in_chunks(&mut self, now: Time, len: usize) -> bool {
        if !self.chunks.is_empty() && !self.oldest_matters(now) {
            return self.release_one();
        }
        if self.memory() + self.chunks.growth(len) <= self.limit {
            self.chunks.grow(len);
            true
        } else if self.chunks.shrink() {
            true
        } else if self.wholes.has_spare() {
            self.wholes.trim();
            true
        } else {
            self.release_one()
        }
    }

    /// Whether a super-packet in a buffer of `len` bytes may be kept: there is a spare one to give for it, or memory
    /// for one; where there is none the oldest packets make room.
    fn make_room(&mut self, now: Time, len: usize) -> bool {
        loop {
            let growth = self.wholes.growth(len);
            let wholes = self.wholes.memory() + growth;
            let fits =
                wholes <= self.limit / 4 * WHOLES && wholes + self.chunks.memory() <= self.limit;
            let matters = self.kept == self.end() || self.oldest_matters(now);
            if growth == 0 || fits && matters {
                return true;
            }
            if !fits && self.chunks.shrink() {
                continue;
            }
            if !fits && self.wholes.is_empty() || !self.release_one() {
                // Single packets have the memory, and need it.
                return false;
            }
        }
    }

    /// Whether the oldest packet that has its bytes may still be asked for.
    fn oldest_matters(&self, now: Time) -> bool {
        self.get(self.kept).is_some_and(|s| !s.done && now.since(s.at) < self.max_age)
    }

    /// The oldest packet that has its bytes loses them; false when there is none.
    fn release_one(&mut self) -> bool {
        let any = self.kept < self.end();
        if any {
            self.release_oldest();
        }
        any
    }
}

#[cfg(test)]
mod tests;

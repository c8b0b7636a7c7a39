//! What was sent lately, in the form in which it was read.

use super::Handling;
use super::chunks::{CHUNK, Chunks};
use super::sent::{Place, Sent};
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
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
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

impl Content<'_> {
    /// Bytes of the packet.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Packet(packet) => packet.len(),
            Self::Segment { len, .. } => usize::from(*len),
        }
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
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

/// The packets of consecutive numbers: their bytes in chunks, where the oldest make room for the newest, or,
/// as segments, in the super-packets that they were cut from. What a packet's header said is remembered
/// longer than its bytes: the receiver is to be told of what cannot be sent again.
///
/// Packets that were sent alike, such as the segments of a super-packet, have one entry for as long as their fate is the
/// same: that is what makes the account of them small enough for the processor's cache.
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
    /// One after the other, without gaps.
    packets: VecDeque<Sent>,
    /// The number of the first packet.
    first: u64,
    /// The number of the next one.
    end: u64,
    /// Where in `packets` somebody looked last.
    looked: usize,
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
            end: 1,
            looked: 0,
            kept: 1,
            segments: 0,
            last: Time::ZERO,
            judged: Time::ZERO,
        }
    }

    /// Keeps a packet, which said of itself that it will not be sent again if `unrepaired`. Numbers come without gaps.
    #[inline]
    pub fn push(
        &mut self,
        now: Time,
        pn: PacketNumber,
        path: PathId,
        kept: Kept,
        unrepaired: bool,
        content: Content<'_>,
    ) {
        self.last = now;
        if pn.0 != self.end {
            self.begin_at(pn.0);
        }
        if self.end - self.first >= (self.limit / LEAST_PACKET).max(1) as u64 {
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
        self.end += 1;
        let joined = self
            .packets
            .back_mut()
            .is_some_and(|last| last.join(now, path, kept, unrepaired, place, len));
        if !joined {
            self.packets.push_back(Sent::new(now, pn.0, path, kept, unrepaired, place, len));
        }
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

    /// What is known of packet `pn`, and of others like it, if it is remembered.
    #[must_use]
    pub fn get(&self, pn: u64) -> Option<&Sent> {
        self.packets.get(self.index(pn)?)
    }

    /// Packet `pn` by itself, if it is remembered.
    pub fn get_mut(&mut self, pn: u64) -> Option<&mut Sent> {
        let index = self.split(pn)?;
        self.split(pn + 1);
        self.packets.get_mut(index)
    }

    /// Changes `count` packets from `pn` on, those of them that are remembered, by all entries that they have. `change` gets the
    /// number of an entry's first packet besides.
    pub fn change(&mut self, pn: u64, count: u32, mut change: impl FnMut(u64, &mut Sent)) {
        let end = pn.saturating_add(u64::from(count)).min(self.end);
        let mut pn = pn.max(self.first);
        let Some(index) = self.split(pn) else { return };
        self.split(end);
        let mut next = index;
        while let Some(sent) = self.packets.get_mut(next).filter(|s| s.is_before(end)) {
            change(pn, sent);
            pn += u64::from(sent.count());
            next += 1;
        }
        self.looked = next;
    }

    /// Packets from `pn` on and those before it have no entry together.
    pub fn part(&mut self, pn: u64) {
        self.split(pn);
    }

    /// What was read as packet `pn`, unless it is [gone](Sent::is_gone).
    #[must_use]
    pub fn content(&self, pn: u64) -> Option<Stored<'_>> {
        let sent = self.get(pn)?;
        let place = sent.place_of(pn);
        if let Some(spot) = place.chunk() {
            return self.chunks.get(spot, usize::from(sent.len())).map(Stored::Packet);
        }
        let (number, at) = place.in_whole()?;
        self.wholes.get(number, at).map(Stored::Segment)
    }

    /// Forgets packets up to `pn`.
    pub fn forget_through(&mut self, pn: u64) {
        let keep_from = pn.saturating_add(1).clamp(self.first, self.end);
        self.split(keep_from);
        while self.kept < keep_from {
            self.release_oldest();
        }
        while self.packets.front().is_some_and(|sent| sent.is_before(keep_from)) {
            self.packets.pop_front();
            self.looked = self.looked.saturating_sub(1);
        }
        self.first = keep_from;
    }

    /// Gives back memory, when nothing was sent for a while.
    pub fn trim(&mut self, now: Time) {
        if self.memory() > CHUNK && now.since(self.last) >= IDLE {
            self.begin_at(self.end);
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

    /// Where in `packets` packet `pn` is.
    fn index(&self, pn: u64) -> Option<usize> {
        if pn < self.first || pn >= self.end {
            return None;
        }
        // Most are asked for one after the other, or from the first one on.
        let near = [self.looked, self.looked + 1, 0];
        let has = |&i: &usize| self.packets.get(i).is_some_and(|sent| sent.has(pn));
        near.into_iter()
            .find(has)
            .or_else(|| self.packets.partition_point(|sent| sent.is_before(pn + 1)).checked_sub(1))
    }

    /// Sees to it that an entry begins with packet `pn`. Where that is.
    fn split(&mut self, pn: u64) -> Option<usize> {
        let index = self.index(pn)?;
        self.looked = index;
        match self.packets.get_mut(index)?.split_off(pn) {
            None => Some(index),
            Some(rest) => {
                self.packets.insert(index + 1, rest);
                Some(index + 1)
            }
        }
    }

    /// Forgets everything; `pn` comes next.
    #[cold]
    fn begin_at(&mut self, pn: u64) {
        self.forget_through(self.end);
        (self.first, self.end, self.kept) = (pn, pn, pn);
    }

    /// The oldest packet that has its bytes loses them, and those that have one entry with it.
    fn release_oldest(&mut self) {
        let Some(sent) = self.index(self.kept).and_then(|i| self.packets.get_mut(i)) else {
            self.kept += 1;
            return;
        };
        let (place, count) = (sent.release(), sent.count());
        self.kept += u64::from(count);
        if let Some((number, _)) = place.in_whole() {
            if number == self.wholes.next() {
                self.segments -= usize::from(count);
            }
            self.wholes.release(number, usize::from(count));
        } else if let Some(spot) = place.chunk() {
            self.chunks.release(spot.chunk, usize::from(count));
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
            let matters = self.kept == self.end || self.oldest_matters(now);
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

    /// Like [`release_oldest`](Self::release_oldest); false when no packet has its bytes.
    fn release_one(&mut self) -> bool {
        let any = self.kept < self.end;
        if any {
            self.release_oldest();
        }
        any
    }
}

#[cfg(test)]
mod tests;
